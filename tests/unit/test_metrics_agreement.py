from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pytest_convergence.metrics.agreement import (
    Agreement,
    cohen_kappa,
    conger_kappa,
    fleiss_kappa,
    gwet_ac1,
    pairwise_agreement,
    prevalence,
    raw_agreement,
)
from pytest_convergence.metrics.krippendorff import krippendorff_alpha
from pytest_convergence.metrics.tables import label_table

X = None
# Four raters and twelve units: cac.raw4raters of irrCAC, whose vignette prints the values.
FOUR_RATERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, X, X, X],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, X, X],
    [X, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 3],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, X],
]
Coefficient = Callable[[list[list[Any]]], Agreement]
PANEL: list[Coefficient] = [conger_kappa, fleiss_kappa, gwet_ac1, krippendorff_alpha]


@pytest.mark.parametrize(
    ("coefficient", "published"),
    [
        (conger_kappa, 0.76282),
        (fleiss_kappa, 0.76117),
        (gwet_ac1, 0.77544),
        (krippendorff_alpha, 0.74342),
    ],
)
def test_missing_labels_give_the_values_that_irrcac_publishes(
    coefficient: Coefficient, published: float
) -> None:
    assert coefficient(FOUR_RATERS).corrected == pytest.approx(published, abs=5e-6)


@pytest.mark.parametrize("coefficient", PANEL)
def test_unanimity_is_agreement_one_and_no_nan(coefficient: Coefficient) -> None:
    result = coefficient([["yes"] * 6, ["yes"] * 6, ["yes", "yes", X, "yes", "yes", "yes"]])
    assert result.observed == 1.0
    assert result.corrected is None
    assert str(result) == "agreement 1.0, chance-corrected undefined"
    assert result.unanimous
    assert result.reaches(0.99)
    assert result.undefined is not None
    assert result.prevalence == (("yes", 1.0),)


@pytest.mark.parametrize("items", range(1, 60))
def test_unanimity_is_exact_for_any_number_of_items(items: int) -> None:
    varied = ["abc"[i % 3] for i in range(items)]
    assert cohen_kappa(varied, varied).unanimous
    assert conger_kappa([varied] * 3).unanimous
    assert krippendorff_alpha([varied] * 3).unanimous


def test_declared_categories_give_unanimity_a_value_under_ac1() -> None:
    result = gwet_ac1([["yes"] * 5] * 3, categories=["yes", "no"])
    assert result.corrected == 1.0


def test_one_dissent_in_250_leaves_kappa_near_zero_and_raw_agreement_and_ac1_high() -> None:
    first, second = ["no"] * 250, ["no"] * 250
    first[3], second[7] = "yes", "yes"
    kappa = cohen_kappa(first, second)
    assert kappa.observed == pytest.approx(0.992)
    assert kappa.corrected is not None
    assert abs(kappa.corrected) < 0.01
    assert not kappa.reaches(0.5)
    chance_corrected = gwet_ac1([first, second]).corrected
    assert chance_corrected is not None
    assert chance_corrected > 0.99
    assert dict(kappa.prevalence) == pytest.approx({"no": 0.996, "yes": 0.004})


def test_conger_is_cohen_for_two_raters_and_fleiss_is_not() -> None:
    first, second = list("aaaabbbbcc"), list("aabbbbbbca")
    cohen = cohen_kappa(first, second)
    assert conger_kappa([first, second]).corrected == pytest.approx(cohen.corrected)
    pooled = fleiss_kappa([first, second]).corrected
    assert pooled != pytest.approx(cohen.corrected, abs=1e-4)


def test_conger_chance_is_the_mean_of_the_pairs_chances() -> None:
    rng = np.random.default_rng(3)
    table = rng.choice(list("abc"), size=(5, 40), p=[0.6, 0.3, 0.1])
    pairs = pairwise_agreement(table)
    upper = np.triu_indices(5, k=1)
    result = conger_kappa(table)
    assert result.observed == pytest.approx(pairs.observed[upper].mean())
    assert result.expected == pytest.approx(pairs.expected[upper].mean())


def test_pairwise_agreement_equals_cohen_on_the_items_each_pair_shares() -> None:
    pairs = pairwise_agreement(FOUR_RATERS)
    for a in range(4):
        for b in range(4):
            result = cohen_kappa(FOUR_RATERS[a], FOUR_RATERS[b])
            assert pairs.observed[a, b] == pytest.approx(result.observed)
            assert pairs.corrected[a, b] == pytest.approx(result.corrected)
            assert pairs.items[a, b] == result.items


def test_pairs_without_a_shared_item_are_nan_and_identical_constant_raters_undefined() -> None:
    pairs = pairwise_agreement([["a", X, "a"], [X, "a", X], ["a", X, "a"]])
    assert np.isnan(pairs.observed[0, 1])
    assert pairs.observed[0, 2] == 1.0
    assert np.isnan(pairs.corrected[0, 2])


def test_a_missing_label_is_neither_agreement_nor_disagreement() -> None:
    full = [list("abab"), list("abba")]
    with_gap: list[list[str | None]] = [[*full[0], X], [*full[1], "a"]]
    assert raw_agreement(full) == raw_agreement(with_gap) == 0.5
    assert fleiss_kappa(with_gap).items == 4


def test_prevalence_counts_declared_categories_that_nobody_used() -> None:
    assert prevalence([["a", X], ["b", "a"]], categories="abc") == pytest.approx(
        {"a": 2 / 3, "b": 1 / 3, "c": 0.0}
    )


def test_no_shared_item_is_an_error_rather_than_a_number() -> None:
    with pytest.raises(ValueError, match="two raters"):
        raw_agreement([["a", X], [X, "b"]])
    with pytest.raises(ValueError, match="both raters"):
        cohen_kappa(["a", X], [X, "b"])
    with pytest.raises(ValueError, match="no labels"):
        prevalence([[X]])


def test_undeclared_labels_and_ragged_tables_are_refused() -> None:
    with pytest.raises(ValueError, match="not among the categories"):
        gwet_ac1([["a", "b"], ["a", "z"]], categories=["a", "b"])
    with pytest.raises(ValueError, match="different numbers"):
        raw_agreement([["a"], ["a", "b"]])


def test_ordinal_credit_needs_the_order_of_the_labels() -> None:
    order = ["comply", "partial", "refuse"]
    near = cohen_kappa(
        ["comply", "partial", "refuse"],
        ["partial", "partial", "refuse"],
        categories=order,
        weights="linear",
    )
    far = cohen_kappa(
        ["comply", "partial", "refuse"],
        ["refuse", "partial", "refuse"],
        categories=order,
        weights="linear",
    )
    assert near.observed == pytest.approx(1 - 0.5 / 3)
    assert far.observed == pytest.approx(1 - 1 / 3)


def test_alpha_on_words_needs_their_order_or_numbers() -> None:
    words = [["low", "mid", "high"], ["low", "high", "high"]]
    ordered = krippendorff_alpha(words, level="ordinal", categories=["low", "mid", "high"])
    as_numbers = krippendorff_alpha([[0, 1, 2], [0, 2, 2]], level="ordinal")
    assert ordered.corrected == pytest.approx(as_numbers.corrected)
    with pytest.raises(ValueError, match="needs numbers"):
        krippendorff_alpha(words, level="interval")


def test_numbers_keep_their_order_and_nan_is_missing() -> None:
    table = label_table([[10.0, 9.0, np.nan], [2.0, 9.0, 10.0]])
    assert table.categories == (2.0, 9.0, 10.0)
    assert table.codes.tolist() == [[2, 1, -1], [0, 1, 2]]
