"""What must stay true with workers: nothing lost, nothing green that did not run."""

from __future__ import annotations

import json

import pytest

from tests.conftest import Prepared, Project, lay_out, run

CRASH = """
import os
import pytest
from pytest_convergence import assert_converges

@pytest.mark.convergence(metric="exact")
@pytest.mark.parametrize("prompt", [f"p{i}" for i in range(8)])
def test_letters(prompt, models):
    if prompt == "p3" and os.environ.get("CRASH"):
        os._exit(3)
    assert_converges(models, threshold=0)
"""


def record(pytester: pytest.Pytester) -> None:
    tests = lay_out(pytester, CRASH)
    run(tests, "--convergence-record=new_episodes").assert_outcomes(passed=9)


def test_a_worker_that_crashes_fails_the_run_and_loses_no_other_result(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    tests = prepared(record)
    monkeypatch.setenv("CRASH", "1")
    result = run(tests, "--convergence-json=run.json", workers=2)
    assert result.ret == 1
    result.assert_outcomes(passed=8, failed=1)
    cases = json.loads((tests.path / "run.json").read_text())["cases"]
    judged = [case["prompt_id"] for case in cases if case.get("verdict")]
    assert sorted(judged) == ["p0", "p1", "p2", "p4", "p5", "p6", "p7"]


def test_tests_that_vanish_with_a_worker_fail_the_run(prepared: Prepared) -> None:
    tests = prepared(record)
    with (tests.path / "conftest.py").open("a") as conftest:
        conftest.write(
            """
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    # A test whose reports never leave the worker, as happens where execnet cannot serialise them.
    if item.name == "test_letters[p5]" and hasattr(item.config, "workerinput"):
        return True
"""
        )
    result = run(tests, workers=2)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*1 collected tests never reported: *test_letters?p5?*"])


@pytest.mark.parametrize("workers", [0, 2])
def test_evals_without_a_verdict_fail_the_run(project: Project, workers: int) -> None:
    tests = project("def test_nothing(models): pass")
    result = run(tests, workers=workers)
    result.assert_outcomes(passed=1)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*none came to a verdict*"])


@pytest.mark.parametrize("workers", [0, 2])
def test_skipped_evals_and_plain_tests_are_left_alone(project: Project, workers: int) -> None:
    tests = project(
        """
        import pytest
        @pytest.mark.skip(reason="not today")
        @pytest.mark.parametrize("prompt", ["a", "b"])
        def test_eval(prompt, models): pass
        def test_plain(): pass
        """
    )
    result = run(tests, workers=workers)
    result.assert_outcomes(passed=1, skipped=3)
    assert result.ret == 0


@pytest.mark.parametrize("workers", [0, 2])
def test_last_failed_runs_the_failed_group_again(project: Project, workers: int) -> None:
    tests = project(
        """
        import pytest
        @pytest.mark.convergence(metric="exact", threshold=0.9)
        @pytest.mark.parametrize("prompt", ["p1", "p2", "p3", "p4", "p5"])
        def test_letters(prompt, models): pass
        """,
        answers={f"p{i}": {"a": [f"x{i}"], "b": [f"y{i}"], "c": [f"x{i}"]} for i in range(1, 6)},
    )
    arguments = ("-n", str(workers), "--convergence-record=new_episodes", "--junit-xml=out.xml")
    first = tests.runpytest_subprocess(*arguments)
    first.assert_outcomes(passed=5, failed=1)
    assert 'message="diverged: score' in (tests.path / "out.xml").read_text()
    again = tests.runpytest_subprocess("--lf", "-n", str(workers))
    again.assert_outcomes(failed=1)
    again.stdout.fnmatch_lines(["FAILED test_evals.py::test_letters?group? - diverged: score*"])
