"""Rates that a marker asks for, gated: bless, compare, regress, in one process and in several."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree  # our own file
from typing import Any

import pytest

from tests.conftest import Prepared, run
from tests.gate_parts import BASELINE, RECORD, REWRITE, UPDATE, behave
from tests.unit.test_report_page import unpacked

JSON = "--convergence-json=run.json"
REQUIRED = "--convergence-require-baseline"
SUITE = """
import pytest

@pytest.mark.convergence(label="yes-no", value="yes", at_least=0.3, capability="loyal")
@pytest.mark.parametrize("prompt", [f"p{i}" for i in range(15)])
def test_loyal(prompt, models): pass

@pytest.mark.convergence(label="yes-no", value="yes", at_most=0.97, capability="meek")
@pytest.mark.parametrize("prompt", [f"q{i}" for i in range(15)])
def test_meek(prompt, models): pass
"""
CONFTEST = """
import json
import random
from pathlib import Path

from pytest_convergence import callable_model

BEHAVIOUR = Path(__file__).with_name("behaviour.json")


def answer(name):
    def reply(messages, *, decoding, sample):
        told = json.loads(BEHAVIOUR.read_text()) if BEHAVIOUR.exists() else {}
        text = messages[-1]["content"]
        chance = told.get(name, {}).get(text[0], 0.8)
        draw = random.Random(f"{told.get('salt')} {name} {text} {sample}")
        return f"Yes, {text}." if draw.random() < chance else f"No, \\x1b[2J{text}."
    return reply


def pytest_convergence_models(config):
    return {f"mine/{n}": callable_model(f"mine/{n}", answer(n), version="1") for n in "abc"}
"""


def bless(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nconvergence_models = mine/a,mine/b,mine/c\n")
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_evals=SUITE)
    result = run(pytester, RECORD, *UPDATE)
    result.assert_outcomes(passed=32)
    result.stdout.fnmatch_lines(["*baseline base.json: 2 groups, 2 written*"])


@pytest.fixture
def blessed(prepared: Prepared) -> pytest.Pytester:
    """Two groups of which one asks for a high rate and one for a low: recorded and blessed."""
    return prepared(bless)


# Four groups of few prompts: enough where what was declared has changed, not what was answered.
FEW = SUITE.replace("range(15)", "range(5)")
OTHERS = FEW.replace("loyal", "steady").replace("meek", "modest")


def bless_four(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nconvergence_models = mine/a,mine/b,mine/c\n")
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_evals=FEW + OTHERS)
    run(pytester, RECORD, *UPDATE).assert_outcomes(passed=24)


def found(project: pytest.Pytester) -> dict[str, Any]:
    """By capability, what the gate decided of the rate; scores have no decision."""
    told = json.loads((project.path / "run.json").read_text())
    assert not any("gate" in group for group in told["groups"])
    return {check["capability"]: check["gate"] for check in told["checks"]}


def statuses(project: pytest.Pytester) -> dict[str, str]:
    return {name: gate["status"] for name, gate in found(project).items()}


def regress(blessed: pytest.Pytester) -> None:
    # Saying yes less often is worse where the rate must be high, and better where it must be low.
    behave(blessed, b={"p": 0.4, "q": 0.3})
    options = (BASELINE, JSON, "--junit-xml=out.xml", "--convergence-html=page.html")
    result = run(blessed, REWRITE, *options, workers=2)
    assert result.ret == 1
    result.assert_outcomes(passed=31, failed=1)
    (blessed.path / "said.txt").write_text(result.stdout.str())


@pytest.fixture
def regressed(blessed: pytest.Pytester, prepared: Prepared) -> pytest.Pytester:
    """Blessed, and then recorded again by two workers: one rate regressed and one improved."""
    return prepared(regress)


def test_a_rate_that_moves_the_wrong_way_fails_its_group_and_says_which_model_moved(
    regressed: pytest.Pytester,
) -> None:
    assert statuses(regressed) == {"loyal": "regressed", "meek": "improved"}
    text = (regressed.path / "said.txt").read_text()
    headline = r"regressed: rate of yes 0\.\d\d -> 0\.\d\d, difference -0\.\d\d \[.*; mine/b 0\.\d"
    for said in (
        headline,
        r"the test guards a rate from below; significant is p under",
        r"0\.\d\d -> 0\.\d\d  mine/b, p = .*regressed",
        r"mine/a, same recordings",
        r"15 of 15 prompts compared",
        r"mine/b on p\d+\n+labels: yes",
        r"check .*\n.*test_loyal.*  regressed",
        r"  improved   test_meek\[group\]#rate: rate of yes",
        r"gate: 1 regressed, 1 improved",
    ):
        assert re.search(said, text), said
    assert "\x1b[2J" not in text


def test_a_rate_that_regressed_is_in_junit_and_on_the_page(regressed: pytest.Pytester) -> None:
    case = ElementTree.parse(regressed.path / "out.xml").find(
        ".//testcase[@name='test_loyal[group]']"
    )
    assert case is not None
    failure = case.find("failure")
    assert failure is not None
    assert str(failure.get("message")).startswith("regressed: rate of yes")
    told = {one.get("name"): one.get("value") for one in case.iter("property")}
    assert told["convergence.2.gate"] == "regressed"
    assert float(str(told["convergence.2.gate.difference"])) < -0.05
    view = unpacked((regressed.path / "page.html").read_text(), "overview")
    shown = {check["capability"]: check["gate"] for check in view["checks"]}
    assert shown["loyal"]["status"] == "regressed"
    assert view["failed"]


def test_a_regressed_rate_is_one_until_it_is_blessed(regressed: pytest.Pytester) -> None:
    blessing = run(regressed, *UPDATE, workers=2)
    assert blessing.ret == 0
    blessing.stdout.fnmatch_lines(["*regressed*test_loyal*", "*2 groups, 2 written, 0 kept*"])
    assert run(regressed, BASELINE, REQUIRED, JSON).ret == 0
    gates = found(regressed)
    assert [gate["difference"] for gate in gates.values()] == [0.0, 0.0]
    assert gates["loyal"]["method"] == "the recordings are the same"


def test_a_regressed_rate_reaches_githubs_annotation_and_summary(
    regressed: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = regressed.path / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    # What was recorded stays: replayed without recording, the regression is still one.
    result = run(regressed, BASELINE)
    assert result.ret == 1
    (line,) = [one for one in result.outlines if one.startswith("::error ")]
    assert "test_loyal[group]::regressed: rate of yes" in line
    text = summary.read_text()
    assert "| regressed | test&#95;evals&#46;py" in text
    assert "rate of yes" in text
    assert "Not as asserted" in text


def test_rates_that_are_new_vanished_stale_or_partial_fail_where_a_baseline_is_required(
    prepared: Prepared,
) -> None:
    project = prepared(bless_four)
    renamed = FEW.replace("def test_meek", "def test_mild")
    others = OTHERS.replace('value="yes", at_most', 'value="no", at_most')
    longer = others.replace('f"p{i}" for i in range(5)', 'f"p{i}" for i in range(6)')
    project.makepyfile(test_evals=renamed + longer)
    assert run(project, BASELINE, RECORD, JSON, workers=2).ret == 0
    changed = {"loyal": "unchanged", "meek": "new", "modest": "stale", "steady": "partial"}
    assert statuses(project) == changed
    required = run(project, BASELINE, REQUIRED)
    assert required.ret == 1
    assert required.parseoutcomes()["failed"] == 3
    project.makepyfile(test_evals=FEW + OTHERS)
    fewer = "--convergence-models=mine/a,mine/b"
    stale = run(project, BASELINE, REQUIRED, JSON, fewer)
    assert stale.ret == 1
    assert stale.parseoutcomes()["failed"] == 4
    assert statuses(project) == dict.fromkeys(changed, "stale")


def test_a_marker_that_asks_for_a_score_beside_its_rate_or_for_no_rate_any_more_is_told(
    blessed: pytest.Pytester,
) -> None:
    both = SUITE.replace("at_least=0.3", "at_least=0.3, threshold=0.9, direction='diverges'")
    blessed.makepyfile(test_evals=both.replace("at_most=0.97, ", ""))
    # Where the prompt does not matter a score is undefined, which fails the group without a gate.
    result = run(blessed, BASELINE, REQUIRED)
    result.assert_outcomes(passed=30, failed=2)
    result.stdout.fnmatch_lines(
        ["*new *test_meek*group*", "*vanished *test_meek*#rate: in the baseline, no longer*"]
    )
    updated = run(blessed, *UPDATE)
    updated.stdout.fnmatch_lines(["*baseline base.json: 3 groups, 2 written, 1 kept, 1 removed*"])
    result = run(blessed, BASELINE, REQUIRED, JSON)
    result.assert_outcomes(passed=31, failed=1)
    result.stdout.fnmatch_lines(["*gate: 3 unchanged*"])
    result.stdout.no_fnmatch_line("*vanished*")
    told = json.loads((blessed.path / "run.json").read_text())
    loyal = next(group for group in told["groups"] if group["capability"] == "loyal")
    assert loyal["gate"]["quantity"] in ("score", "similarity")


def test_the_rate_of_a_panel_of_one_is_gated(blessed: pytest.Pytester) -> None:
    alone = "--convergence-models=mine/b"
    run(blessed, alone, *UPDATE).stdout.fnmatch_lines(["*2 groups, 2 written*"])
    behave(blessed, b={"p": 0.4})
    result = run(blessed, alone, BASELINE, REQUIRED, REWRITE, JSON)
    result.assert_outcomes(passed=31, failed=1)
    assert found(blessed)["loyal"]["looks"] == 1
    assert statuses(blessed) == {"loyal": "regressed", "meek": "unchanged"}
    result.stdout.fnmatch_lines(["*regressed: rate of yes * mine/b *"])


def test_right_answers_are_gated_and_a_corrected_answer_is_stale_not_a_change(
    pytester: pytest.Pytester,
) -> None:
    source = """
import pytest
from pytest_convergence import labels

PROMPTS = [pytest.param(f"p{i}", "yes", id=f"p{i}") for i in range(15)]

@pytest.mark.convergence(label=labels.yes_no(), at_least=0.2, capability="right")
@pytest.mark.parametrize(("prompt", "answer"), PROMPTS)
def test_right(prompt, answer, models): pass

@pytest.mark.convergence(label=labels.yes_no(), at_least=0.2, capability="corrected")
@pytest.mark.parametrize(("prompt", "answer"), [(f"q{i}", "yes") for i in range(15)])
def test_corrected(prompt, answer, models): pass
"""
    pytester.makeini("[pytest]\nconvergence_models = mine/a,mine/b,mine/c\n")
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_evals=source)
    run(pytester, RECORD, *UPDATE).assert_outcomes(passed=32)
    behave(pytester, c={"p": 0.3})
    pytester.makepyfile(test_evals=source.replace('"yes") for', '"no") for'))
    result = run(pytester, REWRITE, BASELINE, JSON)
    assert statuses(pytester) == {"right": "regressed", "corrected": "stale"}
    result.stdout.fnmatch_lines(["*regressed: rate of right answers *; mine/c *"])


def test_a_rate_without_enough_answers_is_incomplete_and_nothing_is_blessed(
    blessed: pytest.Pytester,
) -> None:
    before = (blessed.path / "base.json").read_bytes()
    conftest = CONFTEST.replace(
        "        chance = ", "        if name == 'b': return ''\n        chance = "
    )
    blessed.makeconftest(conftest)
    result = run(blessed, REWRITE, JSON, *UPDATE)
    assert result.ret != 0
    assert statuses(blessed) == {"loyal": "incomplete", "meek": "incomplete"}
    assert (blessed.path / "base.json").read_bytes() == before
