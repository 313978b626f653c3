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


def test_the_swap_is_judged_by_group_with_the_markers_margin(pytester: pytest.Pytester) -> None:
    project = gated_project(pytester, SUITE + OTHERS)
    behave(project, off=["b"], on="q")
    options = (*SWAP, "--convergence-json=run.json", "-rf", "--convergence-baseline=base.json")
    # Recorded by two workers and replayed by one process.
    for workers, recorded in ((2, [RECORD]), (0, [])):
        result = run(project, *options, *recorded, workers=workers)
        assert result.ret == 1
        failed = sorted(line.split()[1] for line in result.outlines if line.startswith("FAILED "))
        assert failed == ["test_evals.py::test_few[group]", "test_evals.py::test_numbers[group]"]
        # A swap leaves the baseline alone, and one that is missing.
        assert not (project.path / "base.json").exists()
        groups = json.loads((project.path / "run.json").read_text())["groups"]
        assert {group["capability"]: group["swap"]["verdict"] for group in groups} == VERDICTS
        for group in groups:
            assert group["models"] == ["mine/a", "mine/b"]
            assert group["interval"]["level"] == pytest.approx(0.9)
        for name, verdict in VERDICTS.items():
            said = f"*{verdict}*{name}: mine/b for mine/a: less alike*margin 0.2*"
            result.stdout.fnmatch_lines_random([said])


def test_assert_equivalent_judges_the_prompts_of_its_test(pytester: pytest.Pytester) -> None:
    source = """
import pytest
from pytest_convergence import assert_equivalent

@pytest.mark.convergence(metric="exact", prompts={f"p{i}": f"p{i}" for i in range(40)})
def test_swap(models):
    result = assert_equivalent(models, "mine/b", "mine/a", margin=0.25)
    assert result.swap.verdict == "equivalent"
    assert -0.1 < result.swap.shortfall < 0.1

@pytest.mark.convergence(metric="exact", prompts={f"q{i}": f"q{i}" for i in range(40)})
def test_other(models):
    assert_equivalent(models, "mine/b", "mine/a", margin=0.25)
"""
    project = gated_project(pytester, source)
    behave(project, off=["b"], on="q")
    result = run(project, RECORD)
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*not equivalent: mine/b for mine/a*outside the margin 0.25*"])


def test_one_prompt_or_a_stranger_is_refused() -> None:
    with pytest.raises(SettingsError, match="one prompt cannot say"):
        assert_equivalent({"a": ["x", "y"], "b": ["x", "y"]}, "a", "b", metric="exact")
    assert issubclass(ConvergenceFailure, AssertionError)
