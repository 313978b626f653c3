"""What stands beside an agreement on labels, against the one-sample coefficients."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_convergence.metrics.agreement import conger_kappa, fleiss_kappa, gwet_ac1
from pytest_convergence.metrics.capa import answer_overlap
from pytest_convergence.metrics.panel_agreement import Answer, panel_agreement

NAMES = ("a", "b", "c")


def table(seed: int, missing: float) -> list[list[str | None]]:
    rng = np.random.default_rng(seed)
    return [
        [None if rng.random() < missing else str(rng.choice(list("xyz"))) for _ in range(30)]
        for _ in NAMES
    ]


def single(labels: list[list[str | None]], truth: str = "x") -> list[list[list[Answer]]]:
    return [[[] if one is None else [(one, one == truth)] for one in row] for row in labels]


@pytest.mark.parametrize("missing", [0.0, 0.2])
@pytest.mark.parametrize("seed", range(5))
def test_with_one_sample_the_coefficients_are_the_known_ones(seed: int, missing: float) -> None:
    labels = table(seed, missing)
    found = panel_agreement(single(labels), NAMES)
    assert found is not None
    for mine, theirs in (
        (found.conger, conger_kappa(labels)),
        (found.fleiss, fleiss_kappa(labels)),
        (found.gwet_ac1, gwet_ac1(labels)),
    ):
        assert mine.observed == pytest.approx(theirs.observed, abs=1e-12)
        assert mine.expected == pytest.approx(theirs.expected, abs=1e-12)
        assert mine.corrected == pytest.approx(theirs.corrected, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_with_one_sample_the_overlap_of_errors_is_the_known_one(seed: int) -> None:
    labels = table(seed, 0.1)
    found = panel_agreement(single(labels), NAMES)
    assert found is not None
    theirs = answer_overlap(labels[0], labels[2], ["x"] * 30)
    mine = found.overlap["a", "c"]
    assert mine.questions == theirs.questions
    assert mine.same_wrong == pytest.approx(theirs.same_wrong)
    assert mine.when_both_wrong == pytest.approx(theirs.when_both_wrong)
    assert mine.accuracies == pytest.approx(theirs.accuracies)
    assert mine.agreement == pytest.approx(theirs.agreement)


def test_the_order_of_samples_does_not_matter() -> None:
    first: list[list[list[Answer]]] = [
        [[("x", True), ("y", False), ("y", False)], [("x", True), ("x", True)]],
        [[("y", False), ("y", False), ("x", True)], [("x", True)]],
    ]
    second = [[list(reversed(cell)) for cell in row] for row in first]
    assert panel_agreement(first, ("a", "b")) == panel_agreement(second, ("a", "b"))


def test_agreement_when_both_are_wrong_is_a_share_of_the_pairs_that_are() -> None:
    answers: list[list[list[Answer]]] = [
        [[("p", False), ("q", False)], [("x", True), ("x", True)]],
        [[("p", False), ("x", True)], [("x", True), ("p", False)]],
    ]
    found = panel_agreement(answers, ("a", "b"))
    assert found is not None
    assert found.both_wrong == pytest.approx(0.25)
    assert found.same_wrong == pytest.approx(0.125)
    assert found.when_both_wrong == pytest.approx(0.5)
    assert found.prevalence == pytest.approx({"p": 0.375, "q": 0.125, "x": 0.5})


def test_unanimity_has_no_chance_corrected_value_and_one_label_is_no_error() -> None:
    answers: list[list[list[Answer]]] = [[[("x", None)]] * 4] * 2
    found = panel_agreement(answers, ("a", "b"))
    assert found is not None
    assert found.raw == 1
    assert found.conger.corrected is None
    assert (found.both_wrong, found.same_wrong, found.when_both_wrong) == (None, None, None)


def test_models_that_share_no_prompt_have_no_agreement() -> None:
    assert panel_agreement([[[("x", None)], []], [[], [("x", None)]]], ("a", "b")) is None
