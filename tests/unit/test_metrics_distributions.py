from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_convergence.metrics.distributions import (
    aligned_counts,
    hybrid,
    hybrid_pairs,
    js_distance,
    js_divergence,
    js_similarity,
    kl_divergence,
    probabilities,
    total_variation,
    words,
)


def test_jensen_shannon_is_one_bit_for_disjoint_answers_and_zero_for_the_same() -> None:
    assert js_divergence([3, 0], [0, 7]) == 1.0
    assert js_divergence([3, 1], [6, 2]) == 0.0
    assert js_similarity([3, 0], [0, 7]) == 0.0
    assert js_distance([3, 0], [0, 7]) == 1.0


def test_total_variation_is_the_largest_difference_in_an_events_probability() -> None:
    assert total_variation([0.5, 0.5, 0], [0.2, 0.2, 0.6]) == pytest.approx(0.6)


def test_unsmoothed_kl_of_an_unseen_answer_is_infinite_and_smoothed_kl_is_not() -> None:
    assert kl_divergence([1, 1], [2, 0], smoothing=0) == math.inf
    assert kl_divergence([1, 1], [2, 0]) == pytest.approx(
        0.5 * math.log2(0.5 / 0.75) + 0.5 * math.log2(0.5 / 0.25)
    )
    assert kl_divergence([0, 2], [1, 1], smoothing=0) == 1.0


def test_leading_axes_are_vectorised() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.integers(1, 9, size=(2, 4, 3, 5))
    for measure in (kl_divergence, js_divergence, js_distance, total_variation):
        table = measure(first, second)
        assert table.shape == (4, 3)
        assert table[2, 1] == pytest.approx(measure(first[2, 1], second[2, 1]))


def test_distributions_without_mass_are_refused() -> None:
    with pytest.raises(ValueError, match="sum to 0"):
        probabilities([0, 0])
    with pytest.raises(ValueError, match="at least 0"):
        probabilities([2, -1])


def test_answers_are_aligned_on_what_occurs_in_either() -> None:
    first, second = aligned_counts(["a", "a", "b"], ["b", "c"])
    assert first.tolist() == [2, 1, 0]
    assert second.tolist() == [0, 1, 1]


def test_hybrid_is_the_stated_formula() -> None:
    first, second = ["The cat sat.", "A cat!"], ["The dog sat"]
    # a cat dog sat the
    p = np.array([1, 2, 0, 1, 1]) + 1.0
    q = np.array([0, 0, 1, 1, 1]) + 1.0
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2
    kl = ((p * np.log(p / q)).sum() + (q * np.log(q / p)).sum()) / 2
    js = ((p * np.log2(p / middle)).sum() + (q * np.log2(q / middle)).sum()) / 2
    result = hybrid(0.7, first, second)
    assert result.kl == pytest.approx(kl)
    assert result.js_distance == pytest.approx(math.sqrt(js))
    expected = 0.4 * 0.7 + 0.6 * (0.6 * math.exp(-kl) + 0.4 * (1 - math.sqrt(js)))
    assert result.score == pytest.approx(expected)


def test_hybrid_of_the_same_texts_is_one_and_its_cosine_is_clipped() -> None:
    assert hybrid(1.0000001, ["yes it is"], ["yes it is"]).score == pytest.approx(1)
    assert hybrid(-0.3, ["yes it is"], ["yes it is"]).score == pytest.approx(0.6)


def test_hybrid_does_not_depend_on_the_order_of_the_models_nor_on_a_third() -> None:
    texts = [["a b c"], ["c d"], ["x y z"]]
    cosines = np.array([[1, 0.5, 0.1], [0.5, 1, 0.2], [0.1, 0.2, 1]])
    three = hybrid_pairs(cosines, texts)
    two = hybrid_pairs(cosines[:2, :2], texts[:2])
    np.testing.assert_array_equal(three, three.T)
    assert three[0, 1] == two[0, 1]
    assert np.isnan(three.diagonal()).all()


def test_hybrid_of_a_text_without_words_is_refused() -> None:
    with pytest.raises(ValueError, match="no words"):
        hybrid(0.5, ["..."], ["yes"])


def test_words_ignore_case_and_punctuation() -> None:
    assert words(["Yes, it's 5%!"]) == ["yes", "it", "s", "5"]
