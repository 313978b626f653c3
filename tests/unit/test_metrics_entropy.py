from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_convergence.metrics.entropy import (
    cluster_entropy,
    entropy,
    normalized_entropy,
    token_entropy,
)
from pytest_convergence.metrics.formats import format_shares


def test_entropy_of_one_class_is_zero_and_of_an_even_spread_its_logarithm() -> None:
    assert entropy([7, 0, 0]) == 0.0
    assert entropy([2, 2, 2, 2]) == pytest.approx(2)
    assert normalized_entropy([2, 2, 2, 2], correction=None) == pytest.approx(1)


def test_declared_classes_that_did_not_occur_lower_normalized_entropy() -> None:
    assert normalized_entropy([5, 5], correction=None) == pytest.approx(1)
    assert normalized_entropy([5, 5, 0, 0], correction=None) == pytest.approx(0.5)


def test_miller_madow_removes_most_of_the_bias_from_small_samples() -> None:
    rng = np.random.default_rng(7)
    shares = np.array([0.5, 0.25, 0.15, 0.1])
    samples = rng.multinomial(15, shares, size=4000)
    truth = entropy(shares)
    plain = np.mean([entropy(row) for row in samples]) - truth
    mended = np.mean([entropy(row, correction="miller-madow") for row in samples]) - truth
    assert plain < -0.1
    assert abs(mended) < abs(plain) / 4


def test_normalized_entropy_is_cut_at_one() -> None:
    assert normalized_entropy([3, 3, 3]) == 1.0


def test_unusable_counts_are_refused() -> None:
    for bad in ([], [0, 0], [1, -1], [[1, 2]]):
        with pytest.raises(ValueError, match="entropy needs"):
            entropy(bad)
    with pytest.raises(ValueError, match="two classes"):
        normalized_entropy([4])
    with pytest.raises(ValueError, match="miller-madow"):
        entropy([1, 1], correction="jackknife")  # type: ignore[arg-type]


def test_cluster_entropy_weighs_by_probability_where_it_is_given() -> None:
    even = cluster_entropy(["a", "b"], logprobs=[-900.0, -900.0])
    assert even == pytest.approx(math.log(2))
    tilted = cluster_entropy(["a", "b"], logprobs=[math.log(0.3), math.log(0.1)])
    assert tilted == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    with pytest.raises(ValueError, match="log probabilities"):
        cluster_entropy(["a"], logprobs=[])


def test_token_entropy_bounds_hold_the_true_entropy() -> None:
    rng = np.random.default_rng(2)
    for concentration in (0.01, 0.1, 1.0):
        for _ in range(50):
            full = np.sort(rng.dirichlet(np.full(200, concentration)))[::-1]
            truth = entropy(full)
            top = np.log(full[:5])
            bounds = token_entropy([top.tolist()], vocabulary=200)
            assert bounds.lower <= truth + 1e-9
            assert truth <= bounds.upper + 1e-9
            assert bounds.covered == pytest.approx(full[:5].sum())


def test_token_entropy_is_exact_where_all_mass_is_shown() -> None:
    bounds = token_entropy([[math.log(0.5), math.log(0.5)], [0.0]])
    assert bounds.lower == bounds.upper == pytest.approx(0.5)
    assert bounds.covered == 1.0
    assert bounds.tokens == 2


def test_token_entropy_has_no_upper_bound_without_the_vocabulary() -> None:
    bounds = token_entropy([[math.log(0.5), math.log(0.25)]])
    assert bounds.upper == math.inf
    assert bounds.lower == pytest.approx(1.5)


def test_impossible_token_probabilities_are_refused() -> None:
    with pytest.raises(ValueError, match="sum to a probability"):
        token_entropy([[0.0, 0.0]])
    with pytest.raises(ValueError, match="at least one"):
        token_entropy([])
    with pytest.raises(ValueError, match="vocabulary of 1"):
        token_entropy([[math.log(0.5)]], vocabulary=1)


def test_unparsed_responses_have_a_share_of_their_own() -> None:
    shares = format_shares(["list", None, "prose", "list"], classes=["prose", "list", "table"])
    assert shares.shares == {"prose": 0.25, "list": 0.5, "table": 0.0, "unparsed": 0.25}
    assert shares.total == 4
    assert shares.entropy() == pytest.approx(entropy([1, 2]))
    assert shares.normalized_entropy(correction=None) == pytest.approx(entropy([1, 2], base=3))


def test_a_format_that_was_not_declared_is_refused() -> None:
    with pytest.raises(ValueError, match="not declared"):
        format_shares(["verse"], classes=["prose", "list"])
    with pytest.raises(ValueError, match="no responses"):
        format_shares([], classes=["prose"])
    with pytest.raises(ValueError, match="repeat"):
        format_shares(["prose"], classes=["prose", "prose"])
