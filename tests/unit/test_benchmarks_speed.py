"""What the benchmarks of speed stand on: studies, timed processes, pinned tools."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_convergence.cassettes import Cassette
from pytest_convergence.represent.vectors import VectorStore, text_hash

_BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.append(str(_BENCHMARKS))
common, generate, overhead, replay = map(
    import_module, ("common", "generate", "overhead", "replay")
)

STUDY = generate.Study(models=2, prompts=5, samples=2)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = generate.write_study(tmp_path_factory.mktemp("studies") / "study", STUDY)
    return folder


def test_the_same_study_has_the_same_bytes(study: Path, tmp_path: Path) -> None:
    other = generate.write_study(tmp_path / "other", STUDY)
    files = sorted(path.relative_to(study) for path in study.rglob("*") if path.is_file())
    assert len(files) == 8 + 4 * STUDY.models
    assert all((study / name).read_bytes() == (other / name).read_bytes() for name in files)


def test_a_whole_study_is_not_made_again_and_another_size_is(tmp_path: Path) -> None:
    folder = generate.write_study(tmp_path / "study", generate.Study(1, 2))
    before = (folder / "texts.jsonl").stat().st_mtime_ns
    generate.write_study(folder, generate.Study(1, 2))
    assert (folder / "texts.jsonl").stat().st_mtime_ns == before
    generate.write_study(folder, generate.Study(1, 3))
    assert len((folder / "texts.jsonl").read_text().splitlines()) == 3


def test_recordings_vectors_and_plain_texts_are_of_the_same_answers(study: Path) -> None:
    rows: list[dict[str, Any]] = [
        json.loads(line) for line in (study / "texts.jsonl").read_text().splitlines()
    ]
    assert len(rows) == STUDY.responses
    folder = study / "cassettes/evals/test_whole/test_study"
    for model in range(STUDY.models):
        texts = {row["text"] for row in rows if row["model"] == model}
        cassette = Cassette.load(folder / f"vllm%2Fmodel-{model:02d}.json")
        bodies = [json.loads(kept.response.body) for kept in cassette.recordeds]
        assert {body["choices"][0]["message"]["content"] for body in bodies} == texts
        store = VectorStore.load(
            folder / f"vllm%2Fmodel-{model:02d}.{generate.EMBEDDER}.npz",
            embedder=generate.EMBEDDER,
        )
        assert store is not None
        assert set(store.hashes) == set(map(text_hash, texts))


def test_texts_are_as_long_as_answers_and_vectors_have_norm_one() -> None:
    lengths = [len(text.split()) for text in generate.texts(generate.Study(1, 50), 0)]
    assert min(lengths) >= 100
    assert max(lengths) <= 200
    grid = generate.vectors(STUDY, 0).astype(np.int64)
    assert ((grid**2).sum(axis=1) == 2**28).all()


def test_a_failing_command_is_not_a_measurement(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="exited 3:\nwhy"):
        common.run([sys.executable, "-c", "print('why'); raise SystemExit(3)"], folder=tmp_path)


_MEASURE = """
import sys
from pathlib import Path
import common

for code in ("bytearray(300_000_000)", "sum(range(2_000_000))"):
    cost = common.run([sys.executable, "-c", code], folder=Path())
    print(cost.wall, cost.cpu, cost.peak)
"""


def test_a_process_is_measured_by_itself() -> None:
    # From a small process: the peak of one that is started is no less than its starter's.
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE],
        cwd=_BENCHMARKS,
        capture_output=True,
        text=True,
        check=True,
    )
    large, small = (list(map(float, line.split())) for line in done.stdout.splitlines())
    assert large[2] > 250_000_000 > small[2]
    assert small[1] > 0
    assert small[0] > 0


def test_ratios_are_taken_round_by_round() -> None:
    ours = [common.Cost(2, 4, 0), common.Cost(30, 30, 0), common.Cost(6, 9, 0)]
    floor = [common.Cost(1, 1, 0), common.Cost(10, 10, 0), common.Cost(2, 3, 0)]
    assert common.ratio(ours, floor) == (3, 3)
    assert common.median(ours).wall == statistics.median([2, 30, 6])


def test_the_published_scorer_is_extrapolated_to_all_ordered_pairs(study: Path) -> None:
    found = replay.published(study, STUDY, pairs=4)
    assert found["pairs"] == STUDY.prompts * STUDY.models * (STUDY.models - 1)
    assert found["cpu"] > 0


def test_judging_alone_is_judging_the_study(study: Path) -> None:
    found = replay.judging(study)
    assert 0.2 < found["score"] <= 1.0


@pytest.mark.parametrize("tool", sorted(overhead.PINS))
def test_every_tool_is_pinned_and_what_it_runs_is_python(tool: str, tmp_path: Path) -> None:
    if tool != "pytest-convergence":
        assert all("==" in pin for pin in overhead.PINS[tool])
    overhead.prepare(tool, tmp_path / tool, cases=3)
    (module,) = (tmp_path / tool).glob("*.py")
    compile(module.read_text(), str(module), "exec")
