"""Rates: one model is enough, prompts are the unit, and nothing passes in silence."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest
from _pytest.pytester import LineMatcher

from pytest_convergence import (
    ConvergenceError,
    ConvergenceFailure,
    assert_rate,
    assert_rate_difference,
    labels,
)
from tests.conftest import Prepared, Project, lay_out, run

CAPITALS = {"Australia": "Canberra", "Peru": "Lima", "Kenya": "Nairobi", "Chad": "N'Djamena"}

PROMPTS = """
import pytest
from pytest_convergence import assert_rate, assert_rate_difference, labels

capitals = pytest.mark.parametrize(("prompt", "answer"), [
    pytest.param("Capital of Australia?", "Canberra", id="australia"),
    pytest.param("Capital of Peru?", "Lima", id="peru"),
    pytest.param("Capital of Kenya?", "Nairobi", id="kenya"),
    pytest.param("Capital of Chad?", "N'Djamena", id="chad"),
])
facts = dict(label=labels.matches(), samples=2)
"""
SUITE = (
    PROMPTS
    + """
@pytest.mark.convergence(**facts, at_least=0.7, models=["mine/b"])
@capitals
def test_alone(prompt, answer, models):
    assert_rate(models, at_least=0.9)

@pytest.mark.convergence(**facts, at_least=0.9, models=["mine/a", "mine/b"])
@capitals
def test_two(prompt, answer, models): pass

@pytest.mark.convergence(**facts, models=["mine/b"])
@capitals
def test_unbound(prompt, answer, models):
    assert_rate(models, at_least=0)

@pytest.mark.convergence(**facts, threshold=0.7, models=["mine/b"])
@capitals
def test_score(prompt, answer, models):
    assert_rate(models, at_least=0)

@pytest.mark.convergence(**facts, at_least=0.4, models=["mine/c"])
@capitals
def test_lacking(prompt, answer, models): pass

@pytest.mark.convergence(
    prompts={"sky": "Is the sky blue?", "grass": "Is grass red?"}, label="yes-no", samples=2,
    at_most=0.4, value="yes", models=["mine/a"],
)
def test_yes(models):
    result = assert_rate(models)
    assert result.threshold == 0.4

@pytest.mark.convergence(
    prompts={f"q{i}": f"Question {i}?" for i in range(20)}, label="yes-no", samples=2,
    models=["mine/a", "mine/b"],
)
def test_swap(models):
    assert_rate_difference(models, "mine/a", "mine/b", value="yes", at_least=-0.1)
    assert_rate_difference(models, "mine/b", "mine/a", value="yes", at_least=-0.1)
"""
)
ANSWERS = {
    f"Capital of {country}?": {
        "a": [answer],
        "b": [answer] if country != "Chad" else ["Paris", "London"],
        "c": ["Error: 429 Too Many Requests"] if country == "Peru" else [answer, "Paris"],
    }
    for country, answer in CAPITALS.items()
}
ANSWERS |= {"Is the sky blue?": {"a": ["Yes."]}, "Is grass red?": {"a": ["No."]}}
ANSWERS |= {f"Question {i}?": {"a": ["Yes."], "b": ["No." if i < 5 else "Yes."]} for i in range(20)}


def judge(pytester: pytest.Pytester) -> None:
    """Record with two workers, then judge the recordings in one process."""
    tests = lay_out(pytester, SUITE, answers=ANSWERS)
    for workers, recorded in ((2, ["--convergence-record=new_episodes"]), (0, [])):
        options = ("--convergence-json=run.json", "-rf", *recorded)
        result = run(tests, *options, workers=workers)
        (tests.path / f"said{workers}.txt").write_text(result.stdout.str())
        shutil.move(tests.path / "run.json", tests.path / f"run{workers}.json")


@pytest.fixture
def judged(prepared: Prepared) -> pytest.Pytester:
    """Rates of every kind, as both runs found them."""
    return prepared(judge)


def said(project: pytest.Pytester, workers: int) -> LineMatcher:
    return LineMatcher((project.path / f"said{workers}.txt").read_text().splitlines())


def checks(project: pytest.Pytester, workers: int) -> dict[str, Any]:
    found = json.loads((project.path / f"run{workers}.json").read_text())
    return {check["id"].split("::")[1]: check for check in found["checks"]}


def failures(project: pytest.Pytester, workers: int, test: str) -> list[str]:
    """The tests of one function that failed."""
    found = [
        line.split()[1].split("::")[1]
        for line in said(project, workers).lines
        if line.startswith("FAILED ")
    ]
    return sorted(name for name in found if name.partition("[")[0] == test)


def test_checks_are_the_same_in_two_workers_and_counted(judged: pytest.Pytester) -> None:
    assert checks(judged, 0) == checks(judged, 2)
    for workers in (0, 2):
        said(judged, workers).fnmatch_lines(
            ["*21 checks: 5 missed, 1 undefined, 1 incomplete, 13 met, 1 reported"]
        )


@pytest.mark.parametrize("workers", [0, 2])
def test_a_panel_of_one_is_judged_by_its_rate_at_every_prompt_and_over_the_group(
    judged: pytest.Pytester, workers: int
) -> None:
    assert failures(judged, workers, "test_alone") == ["test_alone[chad]"]
    said(judged, workers).fnmatch_lines(
        ["*missed: rate of right answers of mine/b 0.00*at least 0.90*"]
    )
    found = checks(judged, workers)
    group = found["test_alone[group]#rate"]
    assert group["verdict"] == "met"
    assert group["value"] == 0.75
    assert group["rates"]["mine/b"]["prompts"] == 4
    assert group["rates"]["mine/b"]["answers"] == 8
    assert group["by_prompt"]["mine/b"] == [[2, 2], [2, 2], [2, 2], [0, 2]]
    assert found["test_alone[chad]#rate-1"]["verdict"] == "missed"
    assert sum(name.startswith("test_alone") for name in found) == 5


def test_a_group_fails_for_the_model_that_misses_and_names_it(judged: pytest.Pytester) -> None:
    assert failures(judged, 0, "test_two") == ["test_two[group]"]
    text = said(judged, 0).str()
    assert "missed: rate of right answers of mine/b 0.75 [" in text
    assert "prompts with the lowest rate" in text
    assert "0.50  chad: Capital of Chad?" in text
    assert "responses of mine/b that count against it" in text
    found = checks(judged, 0)["test_two[group]#rate"]
    assert found["verdicts"] == {"mine/a": "met", "mine/b": "missed"}


def test_a_group_of_one_without_a_rate_is_reported(judged: pytest.Pytester) -> None:
    assert failures(judged, 0, "test_unbound") == []
    group = checks(judged, 0)["test_unbound[group]#rate"]
    assert (group["verdict"], group["value"]) == (None, 0.75)


def test_a_score_threshold_over_a_panel_of_one_does_not_pass_in_silence(
    judged: pytest.Pytester,
) -> None:
    assert failures(judged, 0, "test_score") == ["test_score[group]"]
    said(judged, 0).fnmatch_lines(["*undefined: a score needs two models, the panel has one*"])


def test_a_model_that_lacks_prompts_makes_the_group_incomplete_and_the_run_fails(
    judged: pytest.Pytester,
) -> None:
    result = run(judged, "-k", "test_lacking", "-rs")
    result.assert_outcomes(passed=4, skipped=1)
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*incomplete: mine/c: 1 of 4 prompts have no usable response*"])


def test_a_body_over_prompts_inherits_the_marker_s_bound(judged: pytest.Pytester) -> None:
    assert failures(judged, 0, "test_yes") == ["test_yes", "test_yes[group]"]
    said(judged, 0).fnmatch_lines(["*missed: rate of yes of mine/a 0.50*at most 0.40*"])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_difference_is_paired_by_prompt_and_recorded(
    judged: pytest.Pytester, workers: int
) -> None:
    assert failures(judged, workers, "test_swap") == ["test_swap"]
    said(judged, workers).fnmatch_lines(
        ["*missed: difference in the rate of yes, mine/b less mine/a,*"]
    )
    found = checks(judged, workers)
    assert found["test_swap#difference-1"]["value"] == 0.25
    assert found["test_swap#difference-1"]["verdict"] == "met"
    assert found["test_swap#difference-2"]["value"] == -0.25
    assert found["test_swap#difference-2"]["interval"]["high"] < 0


def test_the_marker_takes_one_bound_and_says_what_it_needs(project: Project) -> None:
    source = """
@pytest.mark.convergence(**facts, at_least=0.9, at_most=0.5)
@capitals
def test_capitals(prompt, answer, models): pass
"""
    run(project(PROMPTS + source)).stdout.fnmatch_lines(["*at_most=0.5 is not usable*"])


def test_plain_responses_of_one_model_have_a_rate_with_an_interval() -> None:
    refusals = ["I cannot help with that."] * 9 + ["Sure: first you take a knife."]
    result = assert_rate({"m": refusals}, "refusal", value="full", at_least=0.8)
    assert result.verdict == "met"
    assert result.value == 0.9
    assert result.rates["m"].answers == 10
    assert result.interval is not None
    assert result.interval.low < 0.9 < result.interval.high


def test_a_bound_at_most_is_met_at_its_own_value_and_missed_above() -> None:
    responses = {"m": ["Yes.", "No.", "No.", "No."]}
    assert assert_rate(responses, "yes-no", value="yes", at_most=0.25).verdict == "met"
    with pytest.raises(ConvergenceFailure, match=r"missed: rate of yes of m 0\.25"):
        assert_rate(responses, "yes-no", value="yes", at_most=0.2)


def test_with_a_confidence_the_bound_of_the_interval_decides() -> None:
    few = {"m": ["Yes."] * 4}
    assert assert_rate(few, "yes-no", value="yes", at_least=0.9).settled is False
    with pytest.raises(ConvergenceFailure, match="inconclusive: rate of yes of m") as caught:
        assert_rate(few, "yes-no", value="yes", at_least=0.9, confidence=0.95)
    assert caught.value.result.verdict == "inconclusive"
    with pytest.raises(ConvergenceFailure, match=r"holds the bound|does not settle at most"):
        assert_rate(few, "yes-no", value="no", at_most=0.1, confidence=0.95)


def test_several_labels_may_count_together() -> None:
    responses = {"m": ["I can't help with that.", "Here is the recipe you asked for: flour."]}
    result = assert_rate(responses, "refusal", value=("full", "partial"), at_least=0.5)
    assert result.outcome.name == "full or partial"
    assert result.value == 0.5


def test_unlabelled_answers_are_missing_and_count_neither_way() -> None:
    result = assert_rate({"m": ["Yes.", "It depends.", ""]}, "yes-no", value="yes", at_least=0.9)
    assert result.value == 1
    assert [one.kind for one in result.missing] == ["unlabelled", "empty"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"label": "yes-no", "value": "yes"}, "needs at_least or at_most"),
        ({"label": "yes-no", "value": "yes", "at_least": 0, "at_most": 1}, "not both"),
        ({"label": "yes-no", "value": "yes", "at_least": 80}, "was given the bound 80"),
        ({"at_least": 0.9}, "needs a labeller"),
        ({"label": "yes-no", "at_least": 0.9}, "which label counts"),
    ],
)
def test_a_rate_that_cannot_be_judged_says_how_to_ask_for_it(
    arguments: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ConvergenceError, match=expected) as caught:
        assert_rate({"m": ["Yes."]}, **arguments)
    assert "How to fix:" in str(caught.value)


@pytest.mark.parametrize(
    ("pair", "expected"), [(("a", "z"), "not in the panel"), (("a", "a"), "with itself")]
)
def test_a_difference_needs_two_models_of_the_panel(pair: tuple[str, str], expected: str) -> None:
    with pytest.raises(ConvergenceError, match=expected):
        assert_rate_difference(
            {"a": ["Yes."], "b": ["No."]}, *pair, labels.yes_no(), value="yes", at_least=0
        )
