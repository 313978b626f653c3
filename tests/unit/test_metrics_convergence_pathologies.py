from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pytest_convergence.metrics.convergence import estimate_group, estimate_prompt
from pytest_convergence.metrics.estimates import GroupEstimate
from pytest_convergence.metrics.summaries import Summaries

Floats = NDArray[np.float64]


def estimate(features: Floats, permutations: int = 0) -> GroupEstimate:
    """Of features (M, P, n, d)."""
    names = [f"p{p:03}" for p in range(features.shape[1])]
    models = [f"m{m}" for m in range(features.shape[0])]
    whole = Summaries.from_features([list(row) for row in features], models=models, prompts=names)
    return estimate_group(whole, seed=0, permutations=permutations)


def one_hot(labels: NDArray[np.int64], kinds: int) -> Floats:
    return np.asarray(np.eye(kinds)[labels])


def test_identical_models_score_one_at_two_samples_where_a_mean_of_roots_does_not() -> None:
    rng = np.random.default_rng(0)
    scores, roots = [], []
    for _ in range(40):
        chances = rng.dirichlet(np.full(4, 0.3), size=200)
        draws = rng.random((2, 200, 2, 1)) > chances.cumsum(axis=1)[None, :, None, :-1]
        features = one_hot(draws.sum(axis=-1), 4)
        found = estimate(features)
        assert found.score is not None
        scores.append(found.score)
        within = (features[:, :, 0] * features[:, :, 1]).sum(axis=-1)
        root = np.sqrt(within[0] * within[1]).mean()
        roots.append((found.similarity - found.floor) / (root - found.floor))
    assert np.mean(scores) == pytest.approx(1.0, abs=0.03)
    assert np.mean(roots) > 1.5


def test_two_models_that_refuse_four_times_in_five_whatever_is_asked_are_undefined() -> None:
    rng = np.random.default_rng(1)
    undefined = 0
    for _ in range(60):
        refusals = one_hot((rng.random((2, 30, 5)) < 0.8).astype(np.int64), 2)
        undefined += estimate(refusals).score is None
    assert undefined >= 55


def test_models_that_say_one_thing_whatever_is_asked_are_undefined_identical_and_similar() -> None:
    found = estimate(one_hot(np.zeros((3, 10, 4), dtype=np.int64), 2))
    assert found.score is None
    assert found.identical
    assert found.similarity == pytest.approx(1.0)
    assert found.undefined is not None
    assert "under 0.05" in found.undefined


def test_unanimity_on_different_answers_is_a_score_of_one_with_room_for_doubt() -> None:
    labels = np.tile(np.arange(20)[None, :, None] % 4, (3, 1, 5))
    found = estimate(one_hot(labels, 4))
    assert found.identical
    assert found.score == pytest.approx(1.0)
    assert found.interval is not None
    assert 0.6 < found.interval.low < 0.9
    assert found.interval.high == pytest.approx(1.0)
    assert found.similarity_interval is not None
    assert found.similarity_interval.low < found.similarity_interval.high


def test_models_that_never_agree_have_a_similarity_interval_above_zero_width() -> None:
    labels = np.stack([np.zeros((20, 3)), np.ones((20, 3))]).astype(np.int64)
    found = estimate(one_hot(labels, 2))
    assert found.similarity_interval is not None
    assert found.similarity_interval.low == pytest.approx(0.0)
    assert 0.05 < found.similarity_interval.high < 0.3


def test_house_style_shows_as_a_same_model_floor_above_the_floor() -> None:
    rng = np.random.default_rng(2)
    style = 2.0 * rng.normal(size=(3, 1, 1, 8))
    draws = style + rng.normal(size=(1, 40, 1, 8)) + 0.3 * rng.normal(size=(3, 40, 3, 8))
    found = estimate(draws / np.linalg.norm(draws, axis=3, keepdims=True))
    assert found.same_model_floor > found.floor + 0.3


def test_labels_at_one_sample_are_cohens_kappa_but_for_same_prompt_pairs() -> None:
    from sklearn.metrics import cohen_kappa_score

    rng = np.random.default_rng(3)
    truth = rng.integers(3, size=200)
    answers = np.where(rng.random((2, 200)) < 0.7, truth, rng.integers(3, size=(2, 200)))
    found = estimate(one_hot(answers[:, :, None], 3))
    assert found.score == pytest.approx(cohen_kappa_score(*answers), abs=0.01)


def test_leverage_is_how_far_the_score_moves_without_the_prompt() -> None:
    rng = np.random.default_rng(4)
    draws = rng.normal(size=(1, 12, 1, 6)) + 0.7 * rng.normal(size=(3, 12, 3, 6))
    draws /= np.linalg.norm(draws, axis=3, keepdims=True)
    found = estimate(draws)
    without = estimate(np.delete(draws, 5, axis=1))
    assert found.score is not None
    assert without.score is not None
    assert found.leverage[5] == pytest.approx(without.score - found.score, abs=1e-12)


def test_a_model_without_answers_to_some_prompts_leaves_only_its_own_pairs() -> None:
    rng = np.random.default_rng(5)
    draws = rng.normal(size=(1, 12, 1, 6)) + 0.7 * rng.normal(size=(3, 12, 3, 6))
    draws /= np.linalg.norm(draws, axis=3, keepdims=True)
    blocks = [list(row) for row in draws]
    blocks[2][:4] = [block[:0] for block in blocks[2][:4]]
    names = [f"p{p:02}" for p in range(12)]
    found = estimate_group(
        Summaries.from_features(blocks, models="abc", prompts=names), seed=0, permutations=0
    )
    whole, part = estimate(draws[:2]), estimate(draws[[0, 2], 4:])
    for name in ("similarity", "floor", "ceiling", "score", "low", "high", "mmd2"):
        matrix = getattr(found.pairs, name)
        assert matrix[0, 1] == pytest.approx(getattr(whole.pairs, name)[0, 1], abs=1e-9)
        assert matrix[0, 2] == pytest.approx(getattr(part.pairs, name)[0, 1], abs=1e-9)


def test_a_prompt_that_nobody_answered_is_no_family() -> None:
    rng = np.random.default_rng(6)
    draws = rng.normal(size=(1, 8, 1, 6)) + 0.7 * rng.normal(size=(2, 8, 3, 6))
    draws /= np.linalg.norm(draws, axis=3, keepdims=True)
    blocks = [[*row, row[0][:0]] for row in draws]
    names = [f"p{p}" for p in range(9)]
    found = estimate_group(
        Summaries.from_features(blocks, models="ab", prompts=names), seed=0, permutations=9
    )
    assert found.families == 8
    assert np.isnan(found.by_prompt[8])
    assert found.score == pytest.approx(estimate(draws).score)


def test_a_pair_without_a_common_prompt_does_not_undo_the_panel() -> None:
    rng = np.random.default_rng(7)
    draws = rng.normal(size=(1, 16, 1, 6)) + 0.7 * rng.normal(size=(3, 16, 3, 6))
    blocks = [list(row / np.linalg.norm(row, axis=2, keepdims=True)) for row in draws]
    blocks[0][:8] = [block[:0] for block in blocks[0][:8]]
    blocks[1][8:] = [block[:0] for block in blocks[1][8:]]
    names = [f"p{p:02}" for p in range(16)]
    found = estimate_group(
        Summaries.from_features(blocks, models="abc", prompts=names), seed=0, permutations=9
    )
    assert np.isnan(found.pairs.similarity[0, 1])
    assert found.score is not None


def test_one_prompt_with_unanimous_labels_has_an_interval_below_one() -> None:
    block = one_hot(np.zeros(5, dtype=np.int64), 2)
    found = estimate_prompt({"a": block, "b": block})
    assert found.identical
    assert found.interval is not None
    assert 0.4 < found.interval.low < 0.6
    assert found.interval.high == pytest.approx(1.0)


def test_one_prompt_with_one_response_a_model_has_no_interval() -> None:
    block = one_hot(np.zeros(1, dtype=np.int64), 2)
    found = estimate_prompt({"a": block, "b": block})
    assert found.interval is None
    assert found.within is None


def test_the_bootstrap_of_many_responses_agrees_with_the_jackknife() -> None:
    rng = np.random.default_rng(8)
    draws = rng.normal(size=(1, 1, 6)) + 0.7 * rng.normal(size=(3, 60, 6))
    draws /= np.linalg.norm(draws, axis=2, keepdims=True)
    blocks = dict(zip("abc", draws, strict=True))
    jackknife = estimate_prompt(blocks).interval
    bootstrap = estimate_prompt(blocks, seed=1, resamples=2000).interval
    assert jackknife is not None
    assert bootstrap is not None
    assert bootstrap.high - bootstrap.low == pytest.approx(jackknife.high - jackknife.low, rel=0.15)


def test_similarity_does_not_depend_on_which_pairs_have_samples_enough_for_a_ceiling() -> None:
    rng = np.random.default_rng(9)
    draws = rng.normal(size=(1, 8, 1, 6)) + 0.7 * rng.normal(size=(3, 8, 3, 6))
    draws /= np.linalg.norm(draws, axis=3, keepdims=True)
    sparse = [list(row) for row in draws]
    # Models 0 and 1 share five prompts, on which model 1 has one response each.
    for p in range(5):
        sparse[1][p] = sparse[1][p][:1]
    for p in range(5, 8):
        sparse[0][p] = sparse[0][p][:0]
    sparse[1] += list(draws[1][:6])
    sparse[0] += [block[:0] for block in draws[0][:6]]
    sparse[2] += list(draws[2][:6])
    names = [f"p{p:02}" for p in range(14)]
    single = estimate_group(
        Summaries.from_features(sparse, models="abc", prompts=names), seed=0, permutations=0
    )
    doubled = [[np.tile(block, (2, 1)) for block in row] for row in sparse]
    several = estimate_group(
        Summaries.from_features(doubled, models="abc", prompts=names), seed=0, permutations=0
    )
    assert single.samples > 1
    assert single.score is None
    assert several.similarity == pytest.approx(single.similarity, abs=1e-12)
    assert several.floor == pytest.approx(single.floor, abs=1e-12)
