"""What must hold of every text: nothing raises, marks do not matter, shuffling changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_convergence.missing import recognise
from pytest_convergence.models.response import Response
from pytest_convergence.represent.features import Label
from pytest_convergence.represent.labels import (
    LABELLERS,
    confidence,
    labeller,
    matches,
    multiple_choice,
    number,
    refusal,
    yes_no,
)

FRAGMENTS = st.lists(
    st.sampled_from(
        ["I", "can't", "help", "the answer is", "A", "B.", "(C)", "yes", "no", "not", "or", "**",
         "`", "12", "1,000", "3/0", "10^999", "%", "km", "\n- ", "\n1. ", "```", "{", "}", "[", "|",
         "---", "\n", " ", "confidence:", "I don't know", "<think>", "</think>", "\u2019", "\u200b",
         "½", "٣", "Ⅷ", "Error: 429", "LABEL:", "\\boxed{", "\ud800"]
    ),
    max_size=25,
).map(" ".join)  # fmt: skip
TEXTS = st.one_of(st.text(max_size=200), FRAGMENTS)
OPTIONS = ("red paint", "green grass", "blue sky", "white snow")
ANSWERS: dict[str, Any] = {"yes-no": "yes", "number": 4, "multiple-choice": "red paint"}


def data_for(name: str) -> dict[str, Any]:
    checks = [{"check": "json"}, {"check": "language", "code": "en"}, {"check": "title_case"}]
    return {"options": OPTIONS, "answer": ANSWERS.get(name, "Rome"), "instructions": checks}


@pytest.mark.parametrize("name", LABELLERS)
@given(text=TEXTS)
def test_a_label_is_either_there_or_missing_with_a_reason(name: str, text: str) -> None:
    label = labeller(name)(Response(text), data_for(name))
    assert isinstance(label, Label)
    assert (label.value is None) == (label.missing is not None)
    assert label.missing is None or label.missing.reason
    assert label.value != ""


@given(text=TEXTS)
def test_recognising_never_raises_and_gives_printable_reasons(text: str) -> None:
    found = recognise(text)
    assert found is None or found.reason.isprintable()


@given(text=TEXTS, name=st.sampled_from(sorted(LABELLERS)))
def test_a_label_is_a_function_of_the_response(text: str, name: str) -> None:
    one, other = (labeller(name)(Response(text), data_for(name)) for _ in range(2))
    assert one == other


@given(order=st.permutations(range(4)), chosen=st.integers(0, 3), letter=st.booleans())
def test_a_choice_keeps_its_label_in_any_order(order: list[int], chosen: int, letter: bool) -> None:
    shown = "ABCD"[order.index(chosen)]
    text = f"The answer is {shown}." if letter else f"I choose {OPTIONS[chosen]}."
    label = multiple_choice(OPTIONS)(Response(text), {"order": order, "answer": chosen})
    assert (label.value, label.correct) == (OPTIONS[chosen], True)


@given(value=st.integers(-(10**9), 10**9))
def test_an_integer_is_read_back_with_and_without_separators(value: int) -> None:
    for text in (str(value), f"{value:,}", f"The answer is {value:,}.", f"**{value}**"):
        assert number()(Response(text), {}).value == str(value)


@given(value=st.integers(0, 999_999))
def test_a_tolerance_accepts_exactly_what_lies_within(value: int) -> None:
    rule = number(tolerance=5)
    for distance, right in ((0, True), (5, True), (-5, True), (6, False), (-6, False)):
        label = rule(Response(str(value + 10 + distance)), {"answer": value + 10})
        assert label.correct is right


@given(value=st.integers(0, 100), bins=st.integers(1, 20))
def test_a_confidence_lies_in_its_bin_by_either_rule(value: int, bins: int) -> None:
    left, right = confidence(bins), confidence(bins, closed="right")
    for rule in (left, right):
        label = rule(Response(f"Confidence: {value}%"), {}).value
        assert label is not None
        low, high = (float(edge) for edge in label[1:-1].split(", "))
        assert low - 1e-4 <= value / 100 <= high + 1e-4
    on_edge = (value * bins) % 100 == 0 and 0 < value < 100
    assert (left.bin(value / 100)[1:-1] != right.bin(value / 100)[1:-1]) == on_edge


MARKS = st.sampled_from(["{}", "**{}**", "*{}*", "`{}`", "# {}", "“{}”", "{} 🙂", "\n\n{}\n"])


@given(mark=MARKS)
def test_marks_around_an_answer_change_no_label(mark: str) -> None:
    assert yes_no()(Response(mark.format("Yes")), {}).value == "yes"
    assert matches("Canberra")(Response(mark.format("Canberra")), {}).value == "Canberra"
    assert number()(Response(mark.format("42")), {}).value == "42"
    assert multiple_choice(4)(Response(mark.format("B")), {}).value == "B"
    refused = refusal()(
        Response(mark.format("I\u2019m sorry, but I can\u2019t help with that.")), {}
    )
    assert refused.value == "full"


@given(
    before=st.sampled_from(["", "Hello! ", "Thank you for asking. ", "Of course:\n\n"]),
    city=st.sampled_from(["Canberra", "Sydney", "Perth"]),
)
def test_a_negated_answer_is_never_the_label(before: str, city: str) -> None:
    text = f"{before}It is not {city}."
    label = matches("Canberra", alternatives=["Sydney"])(Response(text), {})
    assert label.value == "other"
