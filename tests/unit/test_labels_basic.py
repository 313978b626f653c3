"""Refusal, multiple choice, yes/no and known answers, beyond the labelled examples."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from pytest_convergence.errors import RepresentationError
from pytest_convergence.models.response import Missing, MissingKind, Response
from pytest_convergence.represent.features import Label, Labeller
from pytest_convergence.represent.labels import (
    LABELLERS,
    labeller,
    matches,
    multiple_choice,
    refusal,
    yes_no,
)

OPTIONS = ("red", "green", "blue")
BASIC: dict[str, Any] = {"options": OPTIONS, "instructions": [{"check": "json"}]}
ANSWERS = {"yes-no": "yes", "number": 4, "multiple-choice": "red"}


def data_for(name: str) -> dict[str, Any]:
    return {**BASIC, "answer": ANSWERS.get(name, "anything")}


def value(rule: Labeller, text: str, **data: Any) -> str | None:
    answer = rule(Response(text), data)
    assert isinstance(answer, Label)
    return answer.value


def correct(rule: Labeller, text: str, **data: Any) -> bool | None:
    answer = rule(Response(text), data)
    assert isinstance(answer, Label)
    return answer.correct


@pytest.mark.parametrize("name", LABELLERS)
@pytest.mark.parametrize("kind", ["error", "empty", "truncated", "budget"])
def test_an_unusable_response_stays_missing_for_its_own_reason(
    name: str, kind: MissingKind
) -> None:
    missing = Missing(kind, "as the provider said")
    answer = labeller(name)(Response("Yes.", missing=missing), data_for(name))
    assert isinstance(answer, Label)
    assert (answer.value, answer.missing) == (None, missing)


@pytest.mark.parametrize("name", LABELLERS)
@pytest.mark.parametrize("text", ["", " \n", "<think>hm</think>"])
def test_a_response_without_text_is_empty_even_where_nobody_said_so(name: str, text: str) -> None:
    answer = labeller(name)(Response(text), data_for(name))
    assert isinstance(answer, Label)
    assert answer.value is None
    assert answer.missing is not None
    assert answer.missing.kind == "empty"


@pytest.mark.parametrize("name", LABELLERS)
def test_a_provider_s_refusal_is_a_label_only_to_refusal_and_abstention(name: str) -> None:
    refused = Response("", "content_filter", Missing("refused", "content_filter"))
    answer = labeller(name)(refused, data_for(name))
    assert isinstance(answer, Label)
    expected = {"refusal": "full", "abstention": "abstain"}.get(name)
    assert answer.value == expected
    if expected is None:
        assert answer.missing == refused.missing


@pytest.mark.parametrize("name", LABELLERS)
@pytest.mark.parametrize(
    "text", ["\ud800 lone", "x" * 200_000, "**" * 5000, "\x1b[2J(((", "1" * 5000]
)
def test_no_text_makes_a_labeller_raise(name: str, text: str) -> None:
    answer = labeller(name)(Response(text), data_for(name))
    assert isinstance(answer, Label)
    assert (answer.value is None) == (answer.missing is not None)


@pytest.mark.parametrize("name", LABELLERS)
def test_a_labeller_is_frozen_and_says_its_name_and_version(name: str) -> None:
    rule: Any = labeller(name)
    assert rule.name == name
    assert rule.version
    with pytest.raises(dataclasses.FrozenInstanceError):
        rule.name = "other"


def test_equal_settings_are_equal_labellers() -> None:
    assert matches("a", aliases=["b"]) == matches("a", aliases=("b",))
    assert matches("a") != matches("a", exact=True)


def test_an_unknown_labeller_names_the_closest() -> None:
    with pytest.raises(RepresentationError, match="did you mean 'refusal'"):
        labeller("refusals")


def test_a_labeller_s_name_may_be_written_with_underscores() -> None:
    assert labeller("yes_no") == yes_no()


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_the_order_of_options_changes_the_letter_and_not_the_label(
    order: tuple[int, ...],
) -> None:
    letter = "ABC"[order.index(2)]
    rule = multiple_choice(OPTIONS)
    assert value(rule, f"The answer is {letter}.", order=order) == "blue"
    assert value(rule, "blue", order=order) == "blue"
    assert value(multiple_choice(OPTIONS, by="letter"), "blue", order=order) == letter


@pytest.mark.parametrize("answer", ["blue", "Blue", 2, "A", "(a)"])
def test_the_expected_option_is_a_text_an_index_or_the_letter_shown(answer: Any) -> None:
    order = (2, 0, 1)
    rule = multiple_choice(OPTIONS)
    assert correct(rule, "A", order=order, answer=answer) is True
    assert correct(rule, "B", order=order, answer=answer) is False


def test_without_an_answer_nothing_is_said_about_being_right() -> None:
    assert correct(multiple_choice(OPTIONS), "A") is None
    assert correct(yes_no(), "Yes.") is None


def test_options_may_be_a_mapping_from_letters() -> None:
    assert value(multiple_choice(), "(B)", options={"A": "left", "B": "right"}) == "right"


@pytest.mark.parametrize(
    "call",
    [
        lambda: multiple_choice(["a", "a"]),
        lambda: multiple_choice([str(i) for i in range(27)]),
        lambda: multiple_choice(OPTIONS, by="colour"),
        lambda: multiple_choice()(Response("A"), {}),
        lambda: multiple_choice(OPTIONS)(Response("A"), {"order": [0, 0, 1]}),
        lambda: multiple_choice(OPTIONS)(Response("A"), {"answer": "yellow"}),
        lambda: matches()(Response("A"), {}),
        lambda: matches("a", other="label"),
        lambda: yes_no()(Response("Yes"), {"answer": "blue"}),
    ],
)
def test_a_case_that_cannot_be_labelled_says_how_to_mend_it(call: Callable[[], object]) -> None:
    with pytest.raises(RepresentationError, match="How to fix"):
        call()


@pytest.mark.parametrize("answer", [True, "yes", "Yes.", "true"])
def test_the_expected_yes_may_be_written_in_any_way(answer: Any) -> None:
    assert correct(yes_no(), "Yes, it is.", answer=answer) is True
    assert correct(yes_no(), "No.", answer=answer) is False


def test_unknown_answers_share_a_label_unless_they_are_told_apart() -> None:
    assert value(matches("Rome"), "Oslo") == value(matches("Rome"), "Bern") == "other"
    apart = matches("Rome", other="text")
    assert value(apart, "Oslo.") == value(apart, "oslo") != value(apart, "Bern")


def test_an_exact_match_is_the_whole_answer() -> None:
    rule = matches("Rome", exact=True)
    assert value(rule, "**Rome.**") == "Rome"
    assert value(rule, "It is Rome.") == "other"


def test_an_alternative_has_its_own_label_and_is_wrong() -> None:
    rule = matches("Canberra", alternatives={"Sydney": ["the harbour city"]})
    assert value(rule, "The harbour city!") == "Sydney"
    assert correct(rule, "Sydney") is False
    assert correct(rule, "Canberra") is True


def test_a_single_alias_may_be_a_plain_text() -> None:
    assert value(matches(), "H20", answer="water", aliases="H20") == "water"


@pytest.mark.parametrize("finish", ["refusal", "content_filter"])
def test_a_provider_s_stop_is_a_full_refusal_whatever_the_words(finish: Any) -> None:
    answer = refusal()(Response("Sure, here it is", finish), {})
    assert answer.value == "full"


def test_a_refusal_says_which_sentence_decided() -> None:
    answer = refusal()(Response("Good evening. I can't help with that. Bye."), {})
    assert answer.why == "I can't help with that."
