from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_convergence.cli import main

PLAIN = """
import pytest
from pytest_convergence import assert_converges

SAID = {
    "capital": ["Canberra", "Canberra"],
    "planet": ["Jupiter <img src=x onerror=alert(1)>", "Saturn\\ud800"],
}

@pytest.mark.convergence(metric="exact")
@pytest.mark.parametrize("name", SAID)
def test_plain(name, convergence):
    first, second = SAID[name]
    assert_converges({"one": [first], "two": [second]}, threshold=0.9)
"""


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(test_plain=PLAIN)
    return pytester


@pytest.mark.parametrize("workers", ["0", "2"])
def test_the_page_is_written_where_asked_for(suite: pytest.Pytester, workers: str) -> None:
    done = suite.runpytest_subprocess("-n", workers, "--convergence-html=out/report.html")
    done.stdout.fnmatch_lines(["report: *report.html"])
    page = (suite.path / "out/report.html").read_text()
    assert "<h1" in page
    assert "1 of 2 cases are not as asserted." in page
    assert "onerror=alert" not in page


def test_a_saved_run_makes_the_same_page_again(
    suite: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    suite.runpytest_subprocess("--convergence-html=first.html", "--convergence-json=run.json")
    assert main(["report", "run.json", "-o", "second.html"]) == 0
    assert "report: second.html" in capsys.readouterr().out
    first, second = ((suite.path / f"{name}.html").read_text() for name in ("first", "second"))
    assert first == second


def test_a_file_that_is_no_run_is_refused(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("other.json").write_text(json.dumps({"schema": "something else"}))
    assert main(["report", "other.json"]) == 2
    assert "is not a run file" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_to_is_told_and_harms_nothing(
    suite: pytest.Pytester,
) -> None:
    (suite.path / "file").write_text("")
    done = suite.runpytest_subprocess("--convergence-html=file/report.html")
    done.stdout.fnmatch_lines(["*the report *file/report.html cannot be written*"])
    done.assert_outcomes(passed=1, failed=1)


def test_pytest_html_gets_the_panel_of_each_case_escaped(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pytest_html")
    monkeypatch.delenv("PYTEST_ADDOPTS")
    suite.runpytest_subprocess("-n", "2", "--html=all.html", "--self-contained-html")
    page = (suite.path / "all.html").read_text()
    assert "Canberra" in page
    assert "<img src=x onerror" not in page
    assert "&amp;lt;img src=x onerror=alert(1)&amp;gt;" in page


def test_colour_can_be_switched_off(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PY_COLORS", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in suite.runpytest_subprocess().stdout.str()
    monkeypatch.delenv("FORCE_COLOR")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in suite.runpytest_subprocess().stdout.str()
    # No page is written unasked.
    assert not list(suite.path.rglob("*.html"))


@pytest.mark.parametrize("workers", ["0", "2"])
def test_quietly_the_summary_is_one_line(suite: pytest.Pytester, workers: str) -> None:
    lines = suite.runpytest_subprocess("-q", "--tb=no", "-n", workers).stdout.lines
    ours = [line for line in lines if "converge" in line and not line.startswith("FAILED")]
    assert ours == ["convergence: 2 cases: 1 diverged, 1 converged"]
