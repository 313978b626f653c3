"""Variants of a prompt: finite, the same every time, smallest first, one family."""

from __future__ import annotations

import pytest
from hypothesis import find, given
from hypothesis import strategies as st

from pytest_convergence.errors import SettingsError
from pytest_convergence.models.messages import prompt_text
from pytest_convergence.strategies import (
    CHANGES,
    Variant,
    casing,
    option_orders,
    parameters,
    politeness,
    pool,
    replayable,
    reworded,
    templates,
    typos,
    variants,
    whitespace,
)

QUESTION = "Which planet has the greatest mass? Answer in one word."
CHOICE = "What should the robot do next?\nA) wait quietly\nB) ask its owner\nC) leave the house"


def test_the_first_variant_is_the_prompt_as_it_is() -> None:
    assert pool(QUESTION)[0] == Variant(QUESTION, QUESTION)
    assert pool(QUESTION)[0].id == "as-is"


def test_pools_are_the_same_every_time_and_hold_each_text_once() -> None:
    assert pool(QUESTION, together=2) == pool(QUESTION, together=2)
    texts = [variant.text for variant in pool(QUESTION, together=2)]
    assert len(set(texts)) == len(texts)
    names = [variant.id for variant in pool(QUESTION, together=2)]
    assert len(set(names)) == len(names)


def test_every_kind_changes_the_prompt() -> None:
    for kind in CHANGES:
        assert len(pool(CHOICE, kinds=[kind])) > 1, kind


def test_fewer_changes_come_before_more_and_smaller_before_larger() -> None:
    found = pool(QUESTION, together=2)
    counts = [len(variant.changes) for variant in found]
    assert counts == sorted(counts)
    sizes = [abs(len(v.text) - len(QUESTION)) for v in found if len(v.changes) == 1]
    assert sizes == sorted(sizes)
    assert sizes[-1] > sizes[0]


def test_all_variants_are_one_family() -> None:
    assert {variant.family for variant in pool(QUESTION, together=2)} == {QUESTION}
    assert {variant.family for variant in pool(QUESTION, family="planet")} == {"planet"}


def test_a_failure_shrinks_until_no_change_can_be_left_out() -> None:
    broken = find(variants(QUESTION, together=2), lambda variant: "bus was late" in variant.text)
    assert broken.changes == ("distractor-2",)
    both = find(
        variants(QUESTION, together=3),
        lambda variant: "Please" in variant.text and variant.text.endswith("\n"),
    )
    assert both.changes == ("politeness-2", "whitespace-1")


def test_a_replayable_test_tries_every_variant_of_the_pool() -> None:
    seen = set()

    @replayable
    @given(variants(QUESTION, together=2))
    def collect(variant: Variant) -> None:
        seen.add(variant.text)

    collect()
    assert seen == {variant.text for variant in pool(QUESTION, together=2)}


def test_a_failing_test_reports_the_change_that_breaks_it() -> None:
    @replayable
    @given(variants(QUESTION, together=2))
    def survive(variant: Variant) -> None:
        assert variant.text.count("\n") == 0

    with pytest.raises(AssertionError) as failure:
        survive()
    assert "changes=('whitespace-1',)" in "".join(failure.value.__notes__)


def test_casing_leaves_quotes_code_and_numbers_alone() -> None:
    for text in casing('Repeat "Straße 5b" and `Foo()` with 3B, please.'):
        assert '"Straße 5b"' in text
        assert "`Foo()`" in text
        assert "3B" in text


def test_white_space_changes_nothing_but_white_space() -> None:
    for text in whitespace(CHOICE):
        assert text.split() == CHOICE.split()
        assert len(text.splitlines()) >= len(CHOICE.splitlines())


def test_what_follows_options_stands_on_its_own_line() -> None:
    assert politeness(CHOICE)[0] == CHOICE + "\nThank you."


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200))
def test_a_typo_changes_one_word_by_one_letter_or_one_swap(text: str) -> None:
    for changed in typos(text):
        assert abs(len(changed) - len(text)) <= 1
        before, after = text.split(), changed.split()
        assert len(before) == len(after)
        assert sum(a != b for a, b in zip(before, after, strict=True)) == 1


def test_typos_spare_names_quotes_and_options() -> None:
    assert typos("Say 'harmony' to Anna:\nA) quietly\nB) loudly") == []
    assert len(typos("Which planet orbits closest?")) == 2


def test_option_orders_keep_the_letters_in_place_and_move_every_option() -> None:
    reversed_text, *_ = option_orders(CHOICE)
    assert reversed_text.splitlines()[1:] == [
        "A) leave the house",
        "B) ask its owner",
        "C) wait quietly",
    ]
    for variant in pool(CHOICE, kinds=["options"], each=9)[1:]:
        assert variant.order is not None
        originals = [line[3:] for line in CHOICE.splitlines()[1:]]
        moved = [line[3:] for line in variant.text.splitlines()[1:]]
        assert moved == [originals[index] for index in variant.order]
    assert option_orders(QUESTION) == []


def test_a_conversation_is_varied_in_its_last_user_message() -> None:
    talk = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello there."},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": QUESTION},
    ]
    for variant in pool(talk)[1:]:
        assert not isinstance(variant.prompt, str)
        assert list(variant.prompt[:3]) == talk[:3]
        assert prompt_text(variant.prompt) != prompt_text(talk)


def test_templates_fill_their_slots_and_come_in_order() -> None:
    found = reworded("What is the capital of {place}?", "Name {place}'s capital.", place="Chad")
    assert [variant.text for variant in found] == [
        "What is the capital of Chad?",
        "Name Chad's capital.",
    ]
    assert len({variant.family for variant in found}) == 1
    assert find(templates("a {x}", "b {x}", x="1"), lambda v: True).text == "a 1"


def test_a_wording_that_lacks_a_slot_is_an_error() -> None:
    with pytest.raises(SettingsError, match="slots"):
        reworded("What is the capital of {place}?", "What is the capital?", place="Chad")
    with pytest.raises(SettingsError, match="wording"):
        templates()


def test_an_unknown_kind_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(SettingsError, match="shouting") as failure:
        pool(QUESTION, kinds=["shouting"])
    assert "politeness" in str(failure.value)


def test_parameters_name_the_base_as_family() -> None:
    made = parameters({"planet": QUESTION}, kinds=["typo"], each=1)
    assert [(one.values[1], one.id) for one in made] == [
        ("planet", "planet-as-is"),
        ("planet", "planet-typo-1"),
    ]
