"""Laws of the simulated panel that hold for any prompt and any decoding."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_convergence.models.decoding import Decoding
from pytest_convergence.models.simulated import SimulatedPanel
from pytest_convergence.models.simulation.answering import inverse, uniform
from pytest_convergence.models.simulation.transport import drawn

PANEL = SimulatedPanel.read()
PROMPTS = st.text(max_size=80)
MODELS = st.sampled_from(PANEL.models)


@st.composite
def decodings(draw: st.DrawFn) -> Decoding:
    shares = st.none() | st.floats(0.01, 1.0)
    min_p = draw(shares)
    return Decoding(
        temperature=draw(st.none() | st.floats(0.0, 3.0)),
        top_p=draw(shares),
        extra=() if min_p is None else (("min_p", min_p),),
    )


@example("epsilon", "x", Decoding(temperature=5e-324))
@example("alpha", "x", Decoding(temperature=0.01))
@given(MODELS, PROMPTS, decodings())
def test_probabilities_are_positive_and_add_to_one(
    model: str, prompt: str, decoding: Decoding
) -> None:
    found = PANEL.outcomes(model, prompt, decoding)
    assert all(outcome.probability > 0 for outcome in found)
    assert sum(outcome.probability for outcome in found) == pytest.approx(1)


@given(MODELS, PROMPTS, decodings())
def test_sharpening_keeps_the_likeliest_and_adds_no_text(
    model: str, prompt: str, decoding: Decoding
) -> None:
    base = dict(PANEL.distribution(model, prompt))
    sharp = dict(PANEL.distribution(model, prompt, decoding))
    assert set(sharp) <= set(base)
    largest = max(base.values())
    assert any(base[text] == pytest.approx(largest) for text in sharp)


@given(MODELS, PROMPTS)
def test_letter_case_and_white_space_change_no_answer_of_an_unknown_prompt(
    model: str, prompt: str
) -> None:
    spaced = "  " + " ".join(prompt.split()) + " \n"
    kinds = [outcome.kind for outcome in PANEL.outcomes(model, prompt)]
    assert [outcome.kind for outcome in PANEL.outcomes(model, spaced)] == kinds


@given(MODELS, PROMPTS, st.floats(0, 1, exclude_max=True))
def test_every_number_draws_one_of_the_outcomes(model: str, prompt: str, u: float) -> None:
    found = PANEL.outcomes(model, prompt)
    assert drawn(found, u) in found


@given(st.dictionaries(st.text(), st.floats(0.01, 10), min_size=1, max_size=6), st.floats(0, 0.999))
def test_the_inverse_of_the_running_shares_is_one_of_the_names(
    weights: dict[str, float], u: float
) -> None:
    assert inverse(weights, u) in weights


@given(st.text(), st.integers())
def test_uniform_numbers_lie_below_one_and_depend_on_all_parts(text: str, number: int) -> None:
    assert 0 <= uniform(text, number) < 1
    assert uniform(text, number) == uniform(text, number)
    assert uniform(text, number) != uniform(text, number, 0)
