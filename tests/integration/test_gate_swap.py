"""May one model replace another: equivalent, not equivalent, undecided."""

from __future__ import annotations

import json

import pytest

from pytest_convergence import ConvergenceFailure, assert_equivalent
from pytest_convergence.errors import SettingsError
from tests.conftest import run
from tests.gate_parts import RECORD, behave, gated_project

SUITE = """
import pytest

@pytest.mark.convergence(metric="exact", capability="letters", margin=0.2, threshold=0.99)
@pytest.mark.parametrize("prompt", [f"p{i}" for i in range(40)])
def test_letters(prompt, models): pass
"""
OTHERS = """
@pytest.mark.convergence(metric="exact", capability="numbers", margin=0.2, threshold=0.99)
@pytest.mark.parametrize("prompt", [f"q{i}" for i in range(40)])
def test_numbers(prompt, models): pass

@pytest.mark.convergence(metric="exact", capability="few", margin=0.2, threshold=0.99)
@pytest.mark.parametrize("prompt", [f"p{i}" for i in range(5)])
def test_few(prompt, models): pass
"""
VERDICTS = {"letters": "equivalent", "numbers": "not equivalent", "few": "undecided"}
SWAP = ("--convergence-candidate=mine/b", "--convergence-incumbent=mine/a")


@pytest.mark.parametrize("workers", [0, 2])
def test_the_swap_is_judged_by_group_with_the_markers_margin(
    pytester: pytest.Pytester, workers: int
) -> None:
    project = gated_project(pytester, SUITE + OTHERS)
    behave(project, off=["b"], on="q")
    result = run(project, RECORD, *SWAP, "--convergence-json=run.json", "-rf", workers=workers)
    assert result.ret == 1
    failed = sorted(line.split()[1] for line in result.outlines if line.startswith("FAILED "))
    assert failed == ["test_evals.py::test_few[group]", "test_evals.py::test_numbers[group]"]
    groups = json.loads((project.path / "run.json").read_text())["groups"]
    assert {group["capability"]: group["swap"]["verdict"] for group in groups} == VERDICTS
    for group in groups:
        assert group["models"] == ["mine/a", "mine/b"]
        assert group["interval"]["level"] == pytest.approx(0.9)
    for name, verdict in VERDICTS.items():
        said = f"*{verdict}*{name}: mine/b for mine/a: less alike*margin 0.2*"
        result.stdout.fnmatch_lines_random([said])


def test_a_swap_leaves_the_baseline_alone(pytester: pytest.Pytester) -> None:
    project = gated_project(pytester, SUITE)
    result = run(project, RECORD, *SWAP, "--convergence-baseline=base.json")
    assert result.ret == 0
    assert not (project.path / "base.json").exists()


def test_assert_equivalent_judges_the_prompts_of_its_test(pytester: pytest.Pytester) -> None:
    source = """
import pytest
from pytest_convergence import assert_equivalent

@pytest.mark.convergence(metric="exact", prompts={f"p{i}": f"p{i}" for i in range(40)})
def test_swap(models):
    result = assert_equivalent(models, "mine/b", "mine/a", margin=0.25)
    assert result.swap.verdict == "equivalent"
    assert -0.1 < result.swap.shortfall < 0.1
"""
    project = gated_project(pytester, source)
    run(project, RECORD).assert_outcomes(passed=2)
    behave(project, off=["b"])
    result = run(project, "--convergence-record=rewrite")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*not equivalent: mine/b for mine/a*outside the margin 0.25*"])


def test_one_prompt_or_a_stranger_is_refused() -> None:
    with pytest.raises(SettingsError, match="one prompt cannot say"):
        assert_equivalent({"a": ["x", "y"], "b": ["x", "y"]}, "a", "b", metric="exact")
    assert issubclass(ConvergenceFailure, AssertionError)
