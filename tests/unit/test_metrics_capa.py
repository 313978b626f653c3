from __future__ import annotations

import numpy as np
import pytest

from pytest_convergence.metrics.capa import (
    answer_overlap,
    capa,
    capa_probabilistic,
    error_consistency,
)

TRUTH, A, B = "0123012301", "0123020103", "0123120003"


def test_independent_models_of_any_accuracy_have_capa_near_zero() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(4, size=20_000)

    def answers(accuracy: float) -> np.ndarray:
        wrong = (truth + rng.integers(1, 4, size=truth.size)) % 4
        return np.where(rng.random(truth.size) < accuracy, truth, wrong)

    result = capa(answers(0.9), answers(0.8), truth, options=4)
    assert result.observed > 0.7
    assert result.corrected is not None
    assert abs(result.corrected) < 0.03
    assert result.accuracies == pytest.approx((0.9, 0.8), abs=0.01)


def test_probabilistic_capa_of_certain_answers_is_discrete_capa() -> None:
    one_hot = np.eye(4)
    a, b = [int(x) for x in A], [int(x) for x in B]
    truth = [int(x) for x in TRUTH]
    probabilistic = capa_probabilistic(one_hot[a], one_hot[b], truth)
    assert probabilistic.corrected == pytest.approx(capa(a, b, truth, options=4).corrected)


def test_questions_may_have_different_numbers_of_options() -> None:
    even = capa("aab", "abb", "aaa", options=[2, 2, 2])
    odd = capa("aab", "abb", "aaa", options=[2, 5, 2])
    assert odd.expected < even.expected
    padded = capa_probabilistic(
        [[0.5, 0.5, np.nan], [0.2, 0.3, 0.5]], [[0.9, 0.1, np.nan], [0.2, 0.3, 0.5]], [0, 2]
    )
    assert padded.observed == pytest.approx(((0.45 + 0.05) + (0.04 + 0.09 + 0.25)) / 2)


def test_two_models_always_right_are_unanimous_and_capa_undefined() -> None:
    for result in (capa("abc", "abc", "abc", options=3), error_consistency("abc", "abc", "abc")):
        assert result.unanimous
        assert result.corrected is None
        assert result.accuracies == (1.0, 1.0)


def test_missing_answers_leave_their_question_out() -> None:
    complete = capa("aab", "abb", "aaa", options=3)
    gapped = capa(["a", "a", "b", None], ["a", "b", "b", "c"], "aaac", options=[3, 3, 3, 9])
    assert gapped == complete


def test_error_consistency_ignores_which_wrong_answer_was_given() -> None:
    assert error_consistency("ab", "ac", "ax").observed == 1.0
    assert capa("ab", "ac", "ax", options=4).observed == 0.5


def test_overlap_splits_agreement_into_right_and_wrong() -> None:
    overlap = answer_overlap(A, B, TRUTH, options=4)
    assert overlap.both_right == pytest.approx(0.5)
    assert overlap.only_first_right == pytest.approx(0.1)
    assert overlap.only_second_right == 0.0
    assert overlap.same_wrong == pytest.approx(0.3)
    assert overlap.different_wrong == pytest.approx(0.1)
    assert overlap.when_both_wrong == pytest.approx(0.75)
    assert overlap.by_chance == pytest.approx(1 / 3)
    assert overlap.agreement == pytest.approx(0.8)
    assert overlap.accuracies == pytest.approx((0.6, 0.5))


def test_agreement_when_both_wrong_is_none_where_that_never_happens() -> None:
    overlap = answer_overlap("ab", "ac", "ab", options=3)
    assert overlap.when_both_wrong is None
    assert overlap.by_chance is None


def test_unusable_input_is_refused() -> None:
    with pytest.raises(ValueError, match="lengths differ"):
        capa("ab", "a", "ab", options=2)
    with pytest.raises(ValueError, match="two options"):
        capa("ab", "ab", "ab", options=1)
    with pytest.raises(ValueError, match="answered by both"):
        capa([None], ["a"], "a", options=2)
    with pytest.raises(ValueError, match="sum to 1"):
        capa_probabilistic([[0.5, 0.4]], [[0.5, 0.5]], [0])
    with pytest.raises(ValueError, match="do not fit"):
        capa_probabilistic([[0.5, 0.5]], [[0.5, 0.5]], [0, 1])
