"""How long a recorded study takes from a cold process to verdict, run file and exit.

The study is made by ``generate.py``: 15 models x 750 prompts, texts of about 200 tokens, vectors
recorded. It is replayed as one test with all prompts and as 750 cases, each judged with intervals
and a permutation test, and the run file is written.

The *floor* is what no tool can do without: an empty pytest run that imports numpy (of one test, or
of as many cases) and reading and parsing the same texts from one compact JSONL file. Processor
seconds are given beside wall seconds: they are the fairer figure where a machine is shared.

The *published scorer* takes ``difflib.SequenceMatcher(None, a, b).ratio()`` over all ordered pairs
of models on every prompt. A sample of its pairs is timed, drawn at random, and the rest is
extrapolated. It is compared with the whole run, and with judging alone: from texts and vectors in
memory to the score with its intervals.
"""

from __future__ import annotations

import argparse
import difflib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from common import Cost, load, median, ratio, rounds, run
from generate import EMBEDDER, FORMS, Study

_PARSE = "import json; texts = [json.loads(line) for line in open('texts.jsonl', 'rb')]"
_JUDGE = """
import json, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from replay import judging
print(json.dumps(judging(Path("."))))
"""


def replayed(folder: Path, form: str, *more: str) -> Cost:
    """Our run of one form of the study."""
    written = folder / f"run-{form}.json"
    written.unlink(missing_ok=True)
    cost = run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("-p", "pytest_convergence.plugin", f"evals/test_{form}.py"),
            *(f"--convergence-json={written.name}", *more),
        ],
        folder=folder,
    )
    if not written.stat().st_size:
        raise SystemExit("no run file was written")
    return cost


def empty(folder: Path, form: str) -> Cost:
    """A pytest run of as many tests that import numpy and do nothing."""
    return run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"empty/test_{form}.py"],
        folder=folder,
    )


def parsing(folder: Path) -> Cost:
    """Reading and parsing the texts, measured inside a process: its start is in the empty run."""
    code = (
        "import time; wall, cpu = time.perf_counter(), time.process_time(); "
        f"{_PARSE}; "
        "print(time.perf_counter() - wall, time.process_time() - cpu)"
    )
    wall, cpu = map(float, _output([sys.executable, "-c", code], folder).split())
    return Cost(wall, cpu, 0)


def _output(command: list[str], folder: Path) -> str:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def judging(folder: Path) -> dict[str, float]:
    """Seconds from the texts and vectors of a study in memory to its score with intervals."""
    import scipy.special  # noqa: F401  # loaded once in a process, as numpy is

    from pytest_convergence.metrics.convergence import estimate_group
    from pytest_convergence.metrics.summaries import Summaries
    from pytest_convergence.represent.embedding import vectors_for

    by_cassette: dict[Path, dict[int, list[str]]] = {}
    for line in (folder / "texts.jsonl").read_text().splitlines():
        row = json.loads(line)
        place = folder / "cassettes/evals/test_whole/test_study"
        cassette = place / f"vllm%2Fmodel-{row['model']:02d}.json"
        by_cassette.setdefault(cassette, {}).setdefault(row["prompt"], []).append(row["text"])
    texts = {
        c: [text for cell in cells.values() for text in cell] for c, cells in by_cassette.items()
    }
    vectors = vectors_for(texts, EMBEDDER, record=False, lock_dir=folder)
    features = []
    for cassette, cells in by_cassette.items():
        ends = [0]
        for cell in cells.values():
            ends.append(ends[-1] + len(cell))
        features.append([vectors[cassette][a:b] for a, b in pairwise(ends)])
    prompts = [f"{p:05d}" for p in range(len(features[0]))]
    models = [cassette.name for cassette in by_cassette]
    found = []
    for _ in range(5):
        wall, cpu = time.perf_counter(), time.process_time()
        summaries = Summaries.from_features(features, models=models, prompts=prompts)
        estimate = estimate_group(summaries, seed=1)
        found.append((time.perf_counter() - wall, time.process_time() - cpu))
    assert estimate.score is not None
    wall, cpu = (sorted(column)[len(found) // 2] for column in zip(*found, strict=True))
    return {"wall": wall, "cpu": cpu, "score": estimate.score}


def published(folder: Path, study: Study, pairs: int) -> dict[str, float]:
    """The published scorer's arithmetic on this study: a timed sample of pairs, extrapolated."""
    texts: dict[int, dict[int, str]] = {}
    for line in (folder / "texts.jsonl").read_text().splitlines():
        row = json.loads(line)
        if row["sample"] == 0:
            texts.setdefault(row["prompt"], {})[row["model"]] = row["text"]
    source = random.Random(0)
    drawn = [
        [texts[source.randrange(study.prompts)][m] for m in source.sample(range(study.models), 2)]
        for _ in range(pairs)
    ]
    wall, cpu = time.perf_counter(), time.process_time()
    for a, b in drawn:
        difflib.SequenceMatcher(None, a, b).ratio()
    every = study.prompts * study.models * (study.models - 1)
    return {
        "pairs": every,
        "wall": (time.perf_counter() - wall) * every / pairs,
        "cpu": (time.process_time() - cpu) * every / pairs,
    }


def measures(folder: Path, prefix: str = "") -> dict[str, Callable[[], Cost]]:
    """What is run for one study, by name."""
    found: dict[str, Callable[[], Cost]] = {f"{prefix}parse": partial(parsing, folder)}
    for form in FORMS:
        found[f"{prefix}empty {form}"] = partial(empty, folder, form)
        found[f"{prefix}ours {form}"] = partial(replayed, folder, form)
    return found


def report(
    study: Study, costs: dict[str, list[Cost]], scorer: dict[str, float], judged: Any
) -> Any:
    """The table, and the figures of the last line."""
    figures: dict[str, Any] = {"models": study.models, "prompts": study.prompts}
    print(f"\n{study.models} models x {study.prompts} prompts x {study.samples} samples")
    print(f"{'':30}{'wall s':>9}{'CPU s':>9}{'peak MB':>9}{'x floor':>9}{'by CPU':>9}")
    for form in FORMS:
        floor = [
            Cost(e.wall + p.wall, e.cpu + p.cpu, e.peak)
            for e, p in zip(costs[f"empty {form}"], costs["parse"], strict=True)
        ]
        name = "one test, all prompts" if form == "whole" else f"{study.prompts} cases"
        for label, found in ((f"floor: {name}", floor), (f"ours: {name}", costs[f"ours {form}"])):
            cost = median(found)
            times = "".join(f"{one:9.2f}" for one in ratio(found, floor))
            peak = cost.peak / 1e6
            print(f"{label:30}{cost.wall:9.2f}{cost.cpu:9.2f}{peak:9.0f}{times}")
        ours = costs[f"ours {form}"]
        by_wall, by_cpu = ratio(ours, floor)
        figures[f"seconds_over_floor_{form}"] = round(by_wall, 2)
        figures[f"cpu_seconds_over_floor_{form}"] = round(by_cpu, 2)
        figures[f"seconds_{form}"] = round(median(ours).wall, 2)
        figures[f"cpu_seconds_{form}"] = round(median(ours).cpu, 2)
    whole = median(costs["ours whole"])
    print(f"{'judging alone':30}{judged['wall']:9.2f}{judged['cpu']:9.2f}")
    print(f"{'published scorer, extrapolated':30}{scorer['wall']:9.0f}{scorer['cpu']:9.0f}")
    figures["speedup_vs_published"] = round(scorer["wall"] / whole.wall, 1)
    figures["speedup_vs_published_cpu"] = round(scorer["cpu"] / whole.cpu, 1)
    figures["speedup_vs_published_judging"] = round(scorer["wall"] / judged["wall"])
    figures["speedup_vs_published_judging_cpu"] = round(scorer["cpu"] / judged["cpu"])
    return figures


def grown(folder: Path, study: Study, base: dict[str, list[Cost]], count: int) -> dict[str, Any]:
    """Growth and peak memory of a larger study against the first."""
    found = rounds(count, {k: v for k, v in measures(folder).items() if "ours" in k}, warm=False)
    times = study.responses / Study().responses
    figures: dict[str, Any] = {}
    print(f"\n{study.responses} responses, {times:.0f} times as many")
    for form in FORMS:
        small, large = median(base[f"ours {form}"]), median(found[f"ours {form}"])
        figures[f"growth_{form}"] = round(large.wall / small.wall, 2)
        figures[f"cpu_growth_{form}"] = round(large.cpu / small.cpu, 2)
        figures[f"peak_mb_{form}"] = round(large.peak / 1e6)
        print(
            f"{form:10}{large.wall:9.2f} s{large.cpu:9.2f} CPU s, {large.wall / small.wall:.1f} x "
            f"(CPU {large.cpu / small.cpu:.1f} x), peak {large.peak / 1e6:.0f} MB"
        )
    return figures


def _written(folder: Path, study: Study) -> Path:
    """The study made in a process of its own: this one has to stay small, see `Cost`."""
    sizes = [f"--{name}={size}" for name, size in vars(study).items()]
    script = Path(__file__).with_name("generate.py")
    subprocess.run([sys.executable, script, folder, *sizes], check=True, capture_output=True)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under 45 s: one round")
    parser.add_argument("--scale", type=int, default=1, help="also a study of so many prompts more")
    parser.add_argument("--folder", type=Path, help="keep the studies here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = arguments.folder or Path(temporary)
        study = Study()
        folder = _written(place / "study", study)
        print(load())
        count = 1 if arguments.quick else 5
        costs = rounds(count, measures(folder), warm=not arguments.quick)
        scorer = published(folder, study, 300 if arguments.quick else 3000)
        code = [sys.executable, "-c", _JUDGE, str(Path(__file__).parent)]
        judged = json.loads(_output(code, folder))
        figures = {"benchmark": "replay", **report(study, costs, scorer, judged)}
        if arguments.scale > 1:
            large = Study(prompts=study.prompts * arguments.scale)
            other = _written(place / f"study-{arguments.scale}", large)
            figures.update(grown(other, large, costs, 1 if arguments.quick else 3))
        print(f"\nscorer: all {scorer['pairs']:.0f} ordered pairs, from a sample; {load()}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
