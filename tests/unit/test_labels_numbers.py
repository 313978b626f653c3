"""Numbers, confidences, instructions and formats, beyond the labelled examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_convergence.errors import RepresentationError
from pytest_convergence.models.response import Response
from pytest_convergence.represent.labels import (
    check,
    confidence,
    instructions,
    number,
    response_format,
)
from pytest_convergence.represent.labels.languages import LANGUAGES, language


def test_a_number_within_the_tolerance_gets_the_label_of_the_answer() -> None:
    rule = number(tolerance=0.5)
    near, far = (rule(Response(text), {"answer": 10}) for text in ("10.4", "10.6"))
    assert (near.value, near.correct) == ("10", True)
    assert (far.value, far.correct) == ("10.5", False)


def test_a_relative_tolerance_is_of_the_answer() -> None:
    rule = number(relative=0.01)
    assert rule(Response("384,000"), {"answer": 384400}).correct is True
    assert rule(Response("390,000"), {"answer": 384400}).correct is False


def test_without_an_answer_a_number_is_rounded_to_the_tolerance() -> None:
    assert number(tolerance=10)(Response("1234"), {}).value == "1230"
    assert number(relative=0.01)(Response("1234"), {}).value == "1200"
    assert number()(Response("1234.50"), {}).value == "1234.5"


def test_no_tolerance_forgives_nothing_but_floating_point() -> None:
    assert number()(Response("0.3"), {"answer": 0.1 + 0.2}).correct is True
    assert number()(Response("0.3001"), {"answer": 0.3}).correct is False


def test_a_unit_of_another_kind_is_no_answer() -> None:
    label = number("km")(Response("It weighs 5 kg."), {})
    assert label.value is None
    assert label.missing is not None
    assert label.missing.reason == "no number in km"


def test_a_user_s_own_unit_is_converted() -> None:
    rule = number("km", units={"leagues": 4.828})
    assert rule(Response("2 leagues"), {}).value == "9.656"


def test_the_answer_of_a_case_may_be_a_text() -> None:
    assert number()(Response("It is 1200."), {"answer": "1,200"}).correct is True


@pytest.mark.parametrize(
    ("closed", "value", "expected"),
    [
        ("left", 0.8, "[0.8, 0.9)"),
        ("right", 0.8, "(0.7, 0.8]"),
        ("left", 0.7, "[0.7, 0.8)"),
        ("right", 0.7, "(0.6, 0.7]"),
        ("left", 1.0, "[0.9, 1]"),
        ("right", 0.0, "[0, 0.1]"),
        ("left", 0.0, "[0, 0.1)"),
        ("right", 1.0, "(0.9, 1]"),
    ],
)
def test_a_confidence_on_an_edge_goes_by_the_rule(closed: Any, value: float, expected: str) -> None:
    assert confidence(closed=closed).bin(value) == expected


def test_the_number_stated_is_there_for_calibration() -> None:
    assert confidence().stated("Lima. Confidence: 85%") == pytest.approx(0.85)
    assert confidence().stated("Lima.") is None


def test_words_of_probability_can_be_replaced_and_left_out() -> None:
    text = "It is probably Lima."
    assert confidence().stated(text) == 0.75
    assert confidence(words={"probably": 0.6}).stated(text) == 0.6
    assert confidence(words={}).stated(text) is None


def test_instructions_of_the_marker_and_of_the_case_are_both_checked() -> None:
    rule = instructions(check("words", at_most=2))
    label = rule(Response("one two three"), {"instructions": [{"check": "uppercase"}]})
    assert label.value == "fail: words, uppercase"
    assert label.correct is False
    assert label.why == "3 words, wanted at most 2; not in upper case"


def test_the_same_check_may_be_asked_twice() -> None:
    rule = instructions(check("includes", words="sea"), check("includes", words=["sky"]))
    assert rule(Response("the sea and the sky"), {}).value == "pass"
    assert rule(Response("the sea"), {}).value == "fail: includes"


def test_a_format_that_was_not_declared_is_unparsed() -> None:
    rule = response_format(["prose", "bullets"])
    found = [rule(Response(text), {}).value for text in ("- a\n- b", "1. a\n2. b", "Hello", "{}")]
    assert found == ["bullets", "unparsed", "prose", "unparsed"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("The cat is under the table.", "en"),
        ("De kat ligt onder de tafel en slaapt.", "nl"),
        ("Il gatto dorme sotto il tavolo e sogna.", "it"),
        ("O gato dorme e não quer sair da caixa.", "pt"),
        ("Кошка спит под столом.", "ru"),
        ("고양이가 잔다.", "ko"),
        ("猫在睡觉。", "zh"),
        ("猫は寝ている。", "ja"),
        ("Καλημέρα, γάτα.", "el"),
        ("القط نائم", "ar"),
        ("12345", None),
        ("xyz qrs", None),
    ],
)
def test_a_language_is_told_by_script_or_by_frequent_words(text: str, code: str | None) -> None:
    assert language(text) == code
    assert code is None or code in LANGUAGES


@pytest.mark.parametrize(
    "call",
    [
        lambda: number(tolerance=-1),
        lambda: number(relative=float("nan")),
        lambda: number(units={"league": 0}),
        lambda: number()(Response("1"), {"answer": "many"}),
        lambda: confidence(0),
        lambda: confidence(closed="both"),  # type: ignore[arg-type]
        lambda: confidence(words={"surely": 1.2}),
        lambda: instructions()(Response("a"), {}),
        lambda: check("rhymes"),
        lambda: check("words"),
        lambda: check("words", at_most=3, of="text"),
        lambda: check("includes"),
        lambda: check("language", code="xx"),
        lambda: check("pattern", regex="("),
        lambda: instructions({"at_most": 3}),
        lambda: response_format([]),
        lambda: response_format(["poem"]),
    ],
)
def test_settings_that_cannot_be_used_say_how_to_mend_them(call: Callable[[], object]) -> None:
    with pytest.raises(RepresentationError, match="How to fix"):
        call()
