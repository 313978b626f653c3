from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_convergence.metrics.bleu import self_bleu, tokenize_13a
from pytest_convergence.metrics.diversity import (
    compression_ratio,
    distinct_n,
    expectation_adjusted_distinct,
    self_repetition,
    vendi_score,
    vendi_score_of_features,
)
from pytest_convergence.metrics.homogeneity import (
    homogeneity,
    mean_pairwise_similarity,
    unique_source_models,
)
from pytest_convergence.metrics.novelty import distinct_k, utility_k


def test_distinct_n_counts_ngrams_over_all_texts() -> None:
    assert distinct_n(["a b a b", "a b"], order=2) == 0.5
    assert distinct_n(["a b a b", "a b"], order=1) == pytest.approx(2 / 6)
    with pytest.raises(ValueError, match="no text has 3 tokens"):
        distinct_n(["a b"], order=3)


def test_ead_of_evenly_drawn_words_does_not_fall_with_length_and_distinct_does() -> None:
    rng = np.random.default_rng(0)
    short, long = (" ".join(map(str, rng.integers(500, size=n))) for n in (200, 4000))
    assert distinct_n([long], order=1) < 0.2 < 0.7 < distinct_n([short], order=1)
    for text in (short, long):
        assert expectation_adjusted_distinct([text], vocabulary=500) == pytest.approx(1, abs=0.05)


def test_ead_keeps_its_digits_for_large_vocabularies() -> None:
    assert expectation_adjusted_distinct(["a b c"], vocabulary=10**15) == pytest.approx(1)
    with pytest.raises(ValueError, match="cannot hold"):
        expectation_adjusted_distinct(["a b c"], vocabulary=2)


def test_repeating_oneself_raises_the_compression_ratio() -> None:
    rng = np.random.default_rng(0)
    same = ["the quick brown fox jumps over the lazy dog"] * 20
    different = ["".join(rng.choice(list("abcdefghijklmnop "), size=43)) for _ in range(20)]
    assert compression_ratio(same) > 3 * compression_ratio(different)
    with pytest.raises(ValueError, match="no text"):
        compression_ratio([""])


def test_self_repetition_counts_the_other_texts_that_hold_an_ngram() -> None:
    texts = ["a b c d e", "x a b c d", "p q r s"]
    # The first two share one 4-gram, which one other text holds; the third shares none.
    assert self_repetition(texts) == pytest.approx((math.log(2) + math.log(2) + 0) / 3)
    assert self_repetition(["a b c d"] * 3) == pytest.approx(math.log(3))
    with pytest.raises(ValueError, match="no texts"):
        self_repetition([])


def test_vendi_is_one_for_copies_and_n_for_unrelated_items_at_any_order() -> None:
    for order in (0.1, 1, 2, math.inf):
        assert vendi_score(np.ones((4, 4)), order=order) == pytest.approx(1)
        assert vendi_score(np.eye(4), order=order) == pytest.approx(4)


def test_vendi_falls_with_the_order() -> None:
    similarity = np.array([[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1.0]])
    scores = [vendi_score(similarity, order=order) for order in (0.1, 0.5, 1, 2, math.inf)]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("shape", [(3, 8), (20, 4)])
def test_vendi_of_features_is_vendi_of_their_similarities(shape: tuple[int, int]) -> None:
    features = np.random.default_rng(1).normal(size=shape)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    similarity = features @ features.T
    for order in (0.5, 1, 3, math.inf):
        expected = vendi_score(similarity, order=order)
        assert vendi_score_of_features(features, order=order) == pytest.approx(expected)


def test_what_is_no_similarity_has_no_vendi_score() -> None:
    with pytest.raises(ValueError, match="ones on its diagonal"):
        vendi_score([[2, 0], [0, 2]])
    with pytest.raises(ValueError, match="not \\(n, n\\)"):
        vendi_score([[1, 0]])
    with pytest.raises(ValueError, match="above 0"):
        vendi_score([[1.0]], order=0)
    with pytest.raises(ValueError, match="unit vectors"):
        vendi_score_of_features([[1.0, 1.0]])


def test_self_bleu_of_copies_is_one_and_of_texts_without_a_shared_word_zero() -> None:
    assert self_bleu(["the cat sat on the mat"] * 3) == pytest.approx(1)
    assert self_bleu(["a b c d", "e f g h"]) == 0.0
    with pytest.raises(ValueError, match="two texts"):
        self_bleu(["one"])
    with pytest.raises(ValueError, match="max_order"):
        self_bleu(["one", "two"], max_order=0)


def test_13a_sets_punctuation_apart_but_not_inside_numbers() -> None:
    assert tokenize_13a("It costs $1,234.50, right?") == [
        *["It", "costs", "$", "1,234.50", ",", "right", "?"]
    ]


def test_only_the_first_answer_of_a_class_is_of_use() -> None:
    assert distinct_k(["a", "b", "a"]) == 2
    assert utility_k(["a", "a"], [1, 1]) == pytest.approx(0.2 / (1 - 0.64))
    assert utility_k(["a", "b"], [1, 1]) == pytest.approx(1)
    assert utility_k(["a", "b", "a"], [0.5, 1, 1], patience=0.5) == pytest.approx(
        0.5 / (1 - 0.125) * (0.5 + 0.5)
    )
    with pytest.raises(ValueError, match="no answers"):
        distinct_k([])
    with pytest.raises(ValueError, match="utilities"):
        utility_k(["a"], [])
    with pytest.raises(ValueError, match="patience"):
        utility_k(["a"], [1], patience=1)


def test_mean_pairwise_similarity_leaves_self_pairs_out() -> None:
    features = np.random.default_rng(3).normal(size=(6, 4))
    gram = features @ features.T
    expected = gram[~np.eye(6, dtype=bool)].mean()
    assert mean_pairwise_similarity(features) == pytest.approx(expected)


def test_homogeneity_counts_prompts_above_the_cutoff_and_leaves_single_responses_out() -> None:
    alike, apart = np.tile([1.0, 0.0], (3, 1)), np.eye(2)
    result = homogeneity([alike, apart, alike[:1]], cutoff=0.8)
    assert result.share_above == 0.5
    assert result.mean == 0.5
    assert result.prompts == 2
    assert np.isnan(result.by_prompt[2])
    with pytest.raises(ValueError, match="no prompt"):
        homogeneity([alike[:1]])


def test_models_that_keep_to_themselves_have_one_source_among_their_neighbours() -> None:
    features = np.repeat(np.eye(3), 4, axis=0)
    sources = np.repeat(["a", "b", "c"], 4).tolist()
    result = unique_source_models(features, sources, neighbours=3)
    assert result.mean == 1.0
    assert result.by_chance > 1.9


def test_models_that_say_the_same_are_at_chance_whatever_the_order() -> None:
    sources = ["a"] * 5 + ["b"] * 5 + ["c"] * 3
    same = np.tile([1.0, 0.0], (13, 1))
    result = unique_source_models(same, sources, neighbours=4)
    assert result.mean == pytest.approx(result.by_chance)
    turned = unique_source_models(same, sources[::-1], neighbours=4)
    assert turned.mean == pytest.approx(result.mean)


def test_chance_is_what_shuffled_model_names_give_on_average() -> None:
    rng = np.random.default_rng(5)
    features = rng.normal(size=(15, 6))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    names = np.array(["a"] * 7 + ["b"] * 5 + ["c"] * 3)
    by_chance = unique_source_models(features, names.tolist(), neighbours=4).by_chance
    shuffled = [
        unique_source_models(features, rng.permutation(names).tolist(), neighbours=4).mean
        for _ in range(400)
    ]
    assert np.mean(shuffled) == pytest.approx(by_chance, abs=4 * float(np.std(shuffled)) / 20)


def test_more_neighbours_than_responses_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be found"):
        unique_source_models(np.eye(2), ["a", "b"], neighbours=2)
    with pytest.raises(ValueError, match="sources"):
        unique_source_models(np.eye(2), ["a"], neighbours=1)
