"""Suites that are written oddly: told so, or judged as they mean it."""

from __future__ import annotations

import json
import re

import pytest

from pytest_convergence import ConvergenceError, assert_converges, assert_diverges
from tests.conftest import Project, run

RECORD = "--convergence-record=new_episodes"
SAME = {"a": ["x", "x", "y"], "b": ["x", "x", "x"]}
SPLIT = {f"q{i}": {"a": [f"yes {i}"], "b": [f"yes {i}"], "c": [f"no {i}"]} for i in range(4)}


@pytest.mark.parametrize("threshold", [80, -5, float("nan"), True, "0.5"])
@pytest.mark.parametrize("assertion", [assert_converges, assert_diverges])
def test_a_threshold_out_of_range_is_refused(assertion: object, threshold: object) -> None:
    assert callable(assertion)
    with pytest.raises(ConvergenceError, match=r"threshold=.* is not usable"):
        assertion(SAME, threshold=threshold, metric="exact")


@pytest.mark.parametrize("confidence", [95, 1.5, -1, 0, True, float("nan")])
def test_a_confidence_out_of_range_is_refused(confidence: float) -> None:
    with pytest.raises(ConvergenceError, match=r"confidence=.* is not usable"):
        assert_converges(SAME, 0.6, metric="exact", confidence=confidence)


def test_a_mark_on_one_prompt_is_not_a_mark_on_the_group(project: Project) -> None:
    tests = project(
        """
        import pytest
        letters = pytest.mark.convergence(metric="exact", threshold=0.9)
        @letters
        @pytest.mark.parametrize("prompt", [
            pytest.param("q0", marks=pytest.mark.skip), "q1", "q2", "q3"])
        def test_skip(prompt, models): pass
        @letters
        @pytest.mark.parametrize("prompt", [
            pytest.param("q0", marks=pytest.mark.slow), "q1", "q2", "q3"])
        def test_slow(prompt, models): pass
        """,
        answers=SPLIT,
        ini="markers = slow",
    )
    result = run(tests, RECORD, "-m", "not slow")
    assert result.parseoutcomes()["failed"] == 2
    for name in ("test_skip", "test_slow"):
        result.stdout.fnmatch_lines([f"FAILED test_evals.py::{name}?group?*"])


REFUSED = {
    "test_indirect": (
        'fixture\ndef prompt(request): return "WRAPPED " + request.param\n',
        '"prompt", ["q0", "q1"], indirect=True',
        "is made by a fixture",
    ),
    "test_fixture": (
        'fixture(params=["q0", "q1"])\ndef prompt(request): return "WRAPPED " + request.param\n',
        None,
        "is made by a fixture",
    ),
    "test_number": (None, '"prompt", [1, 2], ids="ab"', "a prompt is int, not a text"),
    "test_twice": (
        None,
        '"prompt", argvalues=["a", "b"], ids=["z", "z"]',
        "two prompts have the id 'z'",
    ),
    "test_long": (None, '"prompt", argvalues=["x" * 150]', "has no id and is too long"),
}


def test_odd_parametrization_is_told(project: Project) -> None:
    files = {}
    for name, (fixture, parametrize, _) in REFUSED.items():
        lines = ["import pytest", f"@pytest.{fixture}" if fixture else ""]
        lines += [f"@pytest.mark.parametrize({parametrize})"] if parametrize else []
        lines += ['@pytest.mark.convergence(metric="exact")', "def test_odd(prompt, models): pass"]
        files[name] = "\n".join(lines)
    result = run(project("", **files), RECORD)
    result.assert_outcomes(errors=len(REFUSED))
    sections = re.split(r"_ ERROR collecting (\w+)\.py _", result.stdout.str())
    told = dict(zip(sections[1::2], sections[2::2], strict=True))
    for name, (_, _, expected) in REFUSED.items():
        assert expected in told[name], name


def test_every_assertion_is_in_the_run_file_and_xfail_holds_for_the_group(project: Project) -> None:
    tests = project(
        """
        import pytest
        from pytest_convergence import assert_converges
        @pytest.mark.convergence(metric="exact")
        @pytest.mark.parametrize("prompt", ["q0"])
        def test_thrice(prompt, models):
            with pytest.raises(AssertionError):
                assert_converges(models, 0.9)
            assert_converges(models, 0.3)
            assert_converges(models, 0.3, metric="normalized")
        @pytest.mark.xfail(strict=True)
        @pytest.mark.convergence(metric="exact", threshold=0.9)
        @pytest.mark.parametrize("prompt", ["q0", "q1", "q2", "q3"])
        def test_known(prompt, models):
            assert_converges(models, 0.9)
        """,
        answers=SPLIT,
    )
    result = run(tests, RECORD, "--convergence-json=run.json")
    result.assert_outcomes(passed=2, xfailed=5)
    assert result.ret == 0
    cases = json.loads((tests.path / "run.json").read_text())["cases"]
    cases = [case for case in cases if "test_thrice" in case["id"]]
    base = "test_evals.py::test_thrice[q0]"
    assert [(case["id"], case["metric"], case["verdict"]) for case in cases] == [
        (base, "exact", "diverged"),
        (f"{base}~2", "exact", "converged"),
        (f"{base}~3", "normalized", "converged"),
    ]
    assert all(set(case["responses"]) == {"mine/a", "mine/b", "mine/c"} for case in cases)


def test_a_marker_on_one_prompt_is_the_closest(project: Project) -> None:
    tests = project(
        """
        import pytest
        @pytest.mark.convergence(metric="exact", samples=2)
        @pytest.mark.parametrize("prompt", [
            "q0", pytest.param("q1", marks=pytest.mark.convergence(samples=1))])
        def test_own(prompt, convergence):
            assert convergence.declaration.samples == (1 if prompt == "q1" else 2)
        """,
        test_split="""
        import pytest
        @pytest.mark.convergence(metric="exact")
        @pytest.mark.parametrize("prompt", [
            "q0", pytest.param("q1", marks=pytest.mark.convergence(threshold=0.9))])
        def test_split(prompt, models): pass
        """,
    )
    result = run(tests, "-k", "not group", "--continue-on-collection-errors")
    result.assert_outcomes(passed=2, errors=1)
    assert "its prompts are declared with different thresholds" in result.stdout.str()


def test_a_test_outside_the_rootdir_is_told_so(project: Project) -> None:
    tests = project(
        """
        import pytest
        @pytest.mark.convergence(metric="exact")
        @pytest.mark.parametrize("prompt", ["q0"])
        def test_out(prompt, models): pass
        """
    )
    (tests.path / "inner").mkdir()
    result = run(tests, "--rootdir=inner", "test_evals.py")
    output = result.stdout.str() + result.stderr.str()
    assert "lies outside the rootdir" in output
    assert "INTERNALERROR" not in output


def test_a_hook_that_returns_no_dict_is_told_so(project: Project) -> None:
    tests = project(
        """
        import pytest
        @pytest.mark.convergence(metric="exact")
        @pytest.mark.parametrize("prompt", ["q0"])
        def test_one(prompt, models): pass
        """
    )
    with (tests.path / "conftest.py").open("a") as stream:
        stream.write("\ndef pytest_convergence_models(config): return ['mine/a']\n")
    result = run(tests, RECORD)
    output = result.stdout.str() + result.stderr.str()
    assert "pytest_convergence_models returned list, not a dict" in output
    assert "INTERNALERROR" not in output


def test_keys_of_the_environment_are_in_nothing_that_is_written(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "sk-planted-0123456789abcdefghijklmnop"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    tests = project(
        """
        import os
        from pytest_convergence import assert_converges
        def test_leak(models):
            key = os.environ["OPENAI_API_KEY"]
            assert_converges(models.sample("echo " + key), 0.5, metric="exact")
            assert_converges({"a": ["the " + key], "b": ["other"]}, 0.5, metric="exact")
        """
    )
    arguments = ("--convergence-json=run.json", "--convergence-html=page.html")
    result = run(tests, RECORD, *arguments)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *diverged: similarity*"])
    for path in tests.path.rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            assert key.encode() not in path.read_bytes(), path


def test_files_are_written_without_a_terminal_and_where_the_command_was_given(
    project: Project,
) -> None:
    tests = project(
        """
        import pytest
        from pytest_convergence import assert_converges
        @pytest.mark.convergence(metric="exact")
        @pytest.mark.parametrize("prompt", ["q0"])
        def test_one(prompt, models):
            assert_converges(models, 0.5)
        """
    )
    below = tests.mkdir("below")
    for workers, name, arguments in ((2, "live.json", (RECORD,)), (0, "replay.json", ())):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(below)
            result = tests.runpytest_subprocess(
                *("-p", "no:terminal", "-p", "no:cacheprovider", "-n", str(workers)),
                *("--rootdir", str(tests.path), "-c", str(tests.path / "tox.ini")),
                *(str(tests.path / "test_evals.py"), f"--convergence-json={name}", *arguments),
            )
        assert result.ret == 0
        assert len(json.loads((below / name).read_text())["cases"]) == 1
