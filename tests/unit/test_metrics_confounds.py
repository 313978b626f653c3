from __future__ import annotations

import numpy as np
import pytest

from pytest_convergence.metrics.confounds import confounds, length_difference
from pytest_convergence.metrics.transfer import backward_transfer, power


def test_similarity_made_of_length_alone_is_explained_by_length() -> None:
    rng = np.random.default_rng(0)
    prompts = np.repeat(np.arange(20), 15)
    lengths = rng.exponential(1, size=300)
    result = confounds(0.9 - 0.1 * lengths, lengths, prompts.tolist())
    assert result.length == pytest.approx(1)
    assert result.length_slope == pytest.approx(-0.1)
    assert result.format is None
    assert result.pairs == 300


def test_similarity_that_has_nothing_to_do_with_them_is_hardly_explained() -> None:
    rng = np.random.default_rng(1)
    prompts = np.repeat(np.arange(50), 20).tolist()
    result = confounds(
        rng.random(1000), rng.random(1000), prompts, same_format=rng.random(1000) < 0.5
    )
    assert result.together < 0.02
    assert result.format is not None
    assert max(result.length, result.format) <= result.together + 1e-12


def test_differences_between_prompts_are_no_confound() -> None:
    rng = np.random.default_rng(2)
    prompts = np.repeat(np.arange(40), 25)
    level = rng.random(40)[prompts]
    similarity = level + 0.01 * rng.normal(size=1000)
    result = confounds(similarity, level + 0.01 * rng.normal(size=1000), prompts.tolist())
    assert np.corrcoef(similarity, level)[0, 1] ** 2 > 0.95
    assert result.length < 0.02


def test_format_gap_is_held_at_equal_length() -> None:
    rng = np.random.default_rng(3)
    lengths, same = rng.exponential(1, size=400), rng.random(400) < 0.4
    similarity = 0.5 - 0.05 * lengths + 0.2 * same
    result = confounds(similarity, lengths, ["p"] * 400, same_format=same)
    assert result.together == pytest.approx(1)
    assert result.format_gap == pytest.approx(0.2)
    assert result.length_slope == pytest.approx(-0.05)


def test_similarity_that_does_not_vary_is_not_explained() -> None:
    result = confounds([0.5, 0.5, 0.5], [0.0, 1.0, 2.0], ["p"] * 3, same_format=[1, 0, 1])
    assert result.together == result.length == 0.0


def test_a_doubling_is_a_length_difference_of_one() -> None:
    lengths = np.array([49, 99])
    np.testing.assert_allclose(length_difference(lengths[:, None], lengths), [[0, 1], [1, 0]])
    assert length_difference(0, 0) == 0


def test_pairs_must_line_up() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        confounds([0.5], [0.1, 0.2], ["p"])


def test_forgetting_is_negative_backward_transfer() -> None:
    assert backward_transfer([[1.0, 0.0], [0.25, 1.0]]) == -0.75
    assert backward_transfer([[0.5, 0.0], [0.75, 1.0]]) == 0.25
    with pytest.raises(ValueError, match="two tasks"):
        backward_transfer([[1.0]])


def test_power_is_the_expected_best_of_uniform_rewards() -> None:
    rewards = np.random.default_rng(4).random((40_000, 5))
    for reachable in range(1, 6):
        assert rewards[:, :reachable].max(axis=1).mean() == pytest.approx(
            power(reachable), abs=0.005
        )
    with pytest.raises(ValueError, match="0 reachable"):
        power(0)
