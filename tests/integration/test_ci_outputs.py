"""JUnit, GitHub's annotations and step summary: complete, on the right line, and harmless."""

from __future__ import annotations

import html
import re
import xml.etree.ElementTree as ElementTree  # our own file
from pathlib import Path
from typing import Any

import pytest

from pytest_convergence.report.github import Failure, escaped, step_summary, workflow_commands
from pytest_convergence.report.junit import properties
from tests.conftest import Prepared, run
from tests.gate_parts import BASELINE, RECORD, REWRITE, UPDATE, behave, gated_project

HOSTILE = (
    "<script>alert(1)</script> | **bold** [x](javascript:1) `code` @user\n::error::no %0A\x1b[2J"
)


def test_escaped_text_is_the_text_and_nothing_else() -> None:
    shown = escaped(HOSTILE)
    assert not re.search(r"[<>|*\[\]()`@:\n\x1b\\]", shown)
    assert html.unescape(shown) == HOSTILE.replace("\n", "\\x0a").replace("\x1b", "\\x1b")


def test_a_message_cannot_begin_a_command_of_its_own() -> None:
    run_file: dict[str, Any] = {"groups": []}
    failure = Failure("a.py::test[x,y:z]", "evals\\a.py", 7, HOSTILE)
    (line,) = workflow_commands(run_file, [failure], prefix="sub/")
    assert line.startswith("::error file=sub/evals/a.py,line=7,title=test[x%2Cy%3Az]::")
    assert "\n" not in line
    assert "%250A" in line
    assert "%0A::error::" in line
    assert "\x1b" not in line


def test_at_most_ten_annotations_of_a_kind() -> None:
    failures = [Failure(f"a.py::t{i}", "a.py", i, "no") for i in range(30)]
    assert len(workflow_commands({"groups": []}, failures)) == 10


def test_a_summary_too_long_for_github_is_replaced_by_its_verdict() -> None:
    group = {
        "id": "x" * 300, "verdict": "diverged", "passed": False, "value": 0.1, "threshold": 0.5,
        "interval": None, "quantity": "score", "direction": "converges", "settled": True,
    }  # fmt: skip
    long = {
        "groups": [group],
        "cases": [],
        "models": [],
        "problems": ["x;" * 200] * 2000,
    }
    text = step_summary(long)
    assert len(text.encode()) < 1_000_000
    assert "Too long" in text
    assert "diverged" in text


def test_properties_are_plain_strings_and_numbered_where_a_test_has_several() -> None:
    result = {
        "quantity": "score", "verdict": "converged", "value": 0.81234, "threshold": 0.5,
        "metric": "exact", "capability": "", "reason": HOSTILE,
        "interval": {"low": 0.7, "high": 0.9},
    }  # fmt: skip
    found = dict(properties([{"result": result}, {"result": result}]))
    assert found["convergence.value"] == "0.8123"
    assert found["convergence.2.low"] == "0.7000"
    assert "\x1b" not in found["convergence.reason"]
    assert "convergence.capability" not in found
    assert all(type(value) is str for value in found.values())


def bless_outside_github(pytester: pytest.Pytester) -> None:
    result = run(gated_project(pytester), RECORD, *UPDATE)
    result.assert_outcomes(passed=18)
    result.stdout.no_fnmatch_line("::*")


def test_a_regression_reaches_junit_the_annotation_and_the_summary_and_outside_github_nothing_does(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = prepared(bless_outside_github)
    behave(project, off=["b"], on="p", says=HOSTILE)
    summary = Path(project.path) / "summary.md"
    summary.write_text("before us\n")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_WORKSPACE", str(project.path.parent))
    result = run(project, BASELINE, REWRITE, "--junit-xml=out.xml", workers=2)
    assert result.ret == 1
    folder = project.path.name
    (line,) = [one for one in result.outlines if one.startswith("::error ")]
    assert line.startswith(
        f"::error file={folder}/test_evals.py,line=3,title=test_letters[group]::"
    )
    assert "regressed: score" in line
    text = summary.read_text()
    assert text.startswith("before us\n### ❌ ")
    assert "| regressed |" in text
    assert "<details><summary>All 2 groups</summary>" in text
    assert "<script>" not in text
    suites = ElementTree.parse(project.path / "out.xml").getroot()
    cases = {case.get("name"): case for case in suites.iter("testcase")}
    failing = cases["test_letters[group]"]
    told = {one.get("name"): one.get("value") for one in failing.iter("property")}
    assert told["convergence.gate"] == "regressed"
    assert float(str(told["convergence.gate.difference"])) < -0.05
    failure = failing.find("failure")
    assert failure is not None
    assert str(failure.get("message")).startswith("regressed: score")


def test_an_eval_that_ends_in_an_error_reaches_them_too(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = pytester.path / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    project = gated_project(pytester)
    result = run(project, RECORD, BASELINE, "--junit-xml=out.xml")
    assert result.ret == 1
    told = [line for line in result.outlines if line.startswith("::error ")]
    assert len(told) == 2
    assert all(line.endswith("::there is no baseline base.json") for line in told)
    assert summary.read_text().startswith("### ")
    suites = ElementTree.parse(project.path / "out.xml").getroot()
    cases = {case.get("name"): case for case in suites.iter("testcase")}
    assert cases["test_letters[group]"].find("failure") is not None
