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


def test_the_page_is_written_where_asked_for_and_a_saved_run_makes_it_again(
    suite: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    done = suite.runpytest_subprocess(
        *("-n", "2", "--convergence-html=out/report.html", "--convergence-json=run.json")
    )
    done.stdout.fnmatch_lines(["report: *report.html"])
    page = (suite.path / "out/report.html").read_text()
    assert "<h1" in page
    assert "1 of 2 cases are not as asserted." in page
    assert "onerror=alert" not in page
    capsys.readouterr()
    assert main(["report", "run.json", "-o", "second.html"]) == 0
    assert "report: second.html" in capsys.readouterr().out
    assert (suite.path / "second.html").read_text() == page


def test_a_file_that_is_no_run_is_refused(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("other.json").write_text(json.dumps({"schema": "something else"}))
    assert main(["report", "other.json"]) == 2
    assert "is not a run file" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_to_is_told_in_colour_and_harms_nothing(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PY_COLORS", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    (suite.path / "file").write_text("")
    arguments = ("--convergence-html=file/report.html", "--convergence-json=run.json")
    done = suite.runpytest_subprocess(*arguments)
    done.stdout.fnmatch_lines(["*the report *file/report.html cannot be written*"])
    assert "\x1b[" in done.stdout.str()
    outcomes = [case["verdict"] for case in json.loads(Path("run.json").read_text())["cases"]]
    assert sorted(outcomes) == ["converged", "diverged"]
    assert done.ret == 1


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


def test_quietly_the_summary_is_one_line_without_colour_or_page(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PY_COLORS", raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    lines = suite.runpytest_subprocess("-q", "--tb=no").stdout.lines
    ours = [line for line in lines if "converge" in line and not line.startswith("FAILED")]
    assert ours == ["convergence: 2 cases: 1 diverged, 1 converged"]
    assert "\x1b[" not in "".join(lines)
    assert not list(suite.path.rglob("*.html"))
