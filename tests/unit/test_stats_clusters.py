from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pytest_convergence.metrics.structure import dividing_prompts, leverage, outlier_model
from pytest_convergence.stats.clusters import convergent_groups, resampled_agreement

MODELS = ["a1", "a2", "a3", "b1", "b2", "lone"]


def families_of_models(rng: np.random.Generator, prompts: int) -> NDArray[np.float64]:
    """Labels of six models: two families that share most answers, and one model by itself."""
    labels = rng.integers(4, size=(3, prompts))
    rows = [labels[0]] * 3 + [labels[1]] * 2 + [labels[2]]
    table = np.array(
        [np.where(rng.random(prompts) < 0.9, row, 9 + m) for m, row in enumerate(rows)]
    )
    agree: NDArray[np.float64] = (table[:, None] == table[None]).astype(float).transpose(2, 0, 1)
    return agree


def test_families_are_found_and_stable() -> None:
    by_prompt = families_of_models(np.random.default_rng(0), 60)
    result = convergent_groups(
        by_prompt.mean(axis=0), MODELS, cutoff=0.6, resamples=resampled_agreement(by_prompt)
    )
    assert [group.members for group in result.groups] == [
        ("a1", "a2", "a3"),
        ("b1", "b2"),
        ("lone",),
    ]
    stabilities = [group.stability for group in result.groups]
    assert all(stability is not None and stability > 0.85 for stability in stabilities)
    assert result.groups[2].cohesion is None
    assert result.together is not None
    assert result.together[0, 1] > 0.9 > 0.1 > result.together[0, 3]
    assert sorted(result.order) == MODELS
    assert {result.order.index("a1") - result.order.index("a2")} <= {-2, -1, 1, 2}


def test_groups_in_noise_are_not_stable() -> None:
    rng = np.random.default_rng(1)
    table = rng.integers(4, size=(6, 20))
    by_prompt = (table[:, None] == table[None]).astype(float).transpose(2, 0, 1)
    result = convergent_groups(
        by_prompt.mean(axis=0), MODELS, cutoff=0.3, resamples=resampled_agreement(by_prompt)
    )
    pairs = [group for group in result.groups if len(group.members) > 1]
    assert pairs
    assert all(group.stability is not None and group.stability < 0.8 for group in pairs)


def test_groups_do_not_depend_on_the_order_of_the_models() -> None:
    by_prompt = families_of_models(np.random.default_rng(2), 40)
    turned = [3, 5, 0, 2, 4, 1]
    names = [MODELS[m] for m in turned]
    one = convergent_groups(
        by_prompt.mean(axis=0), MODELS, cutoff=0.6, resamples=resampled_agreement(by_prompt)
    )
    shuffled = by_prompt[:, turned][:, :, turned]
    two = convergent_groups(
        shuffled.mean(axis=0), names, cutoff=0.6, resamples=resampled_agreement(shuffled)
    )
    assert [group.members for group in one.groups] == [group.members for group in two.groups]
    assert one.order == two.order
    for a, b in zip(one.groups, two.groups, strict=True):
        assert a.stability == pytest.approx(b.stability)
    assert two.together is not None
    assert one.together is not None
    np.testing.assert_allclose(two.together, one.together[np.ix_(turned, turned)])


def test_agreement_equal_to_the_cutoff_merges() -> None:
    agreement = np.array([[1, 0.7, 0.1], [0.7, 1, 0.1], [0.1, 0.1, 1]])
    result = convergent_groups(agreement, ["x", "y", "z"], cutoff=0.7)
    assert result.groups[0].members == ("x", "y")
    assert result.groups[0].cohesion == pytest.approx(0.7)
    assert result.together is None
    assert result.groups[0].stability is None


def test_undefined_pairs_cannot_be_clustered() -> None:
    with pytest.raises(ValueError, match="undefined for a pair"):
        convergent_groups([[1, np.nan], [np.nan, 1]], ["x", "y"], cutoff=0.5)
    with pytest.raises(ValueError, match="symmetric"):
        convergent_groups([[1, 0.2], [0.9, 1]], ["x", "y"], cutoff=0.5)
    with pytest.raises(ValueError, match="shape"):
        convergent_groups([[1.0]], ["x"], cutoff=0.5)


def test_resampling_means_equal_the_loop_over_drawn_prompts_and_skip_missing() -> None:
    rng = np.random.default_rng(3)
    by_prompt = rng.random((12, 3, 3))
    by_prompt[4, 0, 1] = np.nan
    weights = np.random.default_rng(5).multinomial(12, np.full(12, 1 / 12), size=20)
    ours = resampled_agreement(by_prompt, n_resamples=20, seed=5)
    for draw, table in zip(weights, ours, strict=True):
        np.testing.assert_allclose(table, np.nanmean(np.repeat(by_prompt, draw, axis=0), axis=0))


def test_families_are_drawn_whole() -> None:
    by_prompt = np.arange(6.0)[:, None, None] * np.ones((6, 2, 2))
    means = resampled_agreement(by_prompt, families=list("aaabbb"), n_resamples=100)
    assert set(np.unique(means)) == {1.0, 2.5, 4.0}
    with pytest.raises(ValueError, match="families"):
        resampled_agreement(by_prompt, families=["a"])
    with pytest.raises(ValueError, match="by_prompt"):
        resampled_agreement(np.ones((2, 2)))


def test_a_pair_that_a_draw_lacks_keeps_its_overall_mean() -> None:
    by_prompt = np.full((5, 2, 2), np.nan)
    by_prompt[0] = 0.4
    np.testing.assert_allclose(resampled_agreement(by_prompt, n_resamples=50), 0.4)


def test_the_outlier_is_the_model_that_agrees_least_with_the_others() -> None:
    by_prompt = families_of_models(np.random.default_rng(4), 80)
    kept = [0, 1, 2, 5]
    table = by_prompt[:, kept][:, :, kept]
    result = outlier_model(
        table.mean(axis=0), [MODELS[m] for m in kept], resamples=resampled_agreement(table)
    )
    assert result.model == "lone"
    assert result.gap > 0.2
    assert result.stability == 1.0


def test_no_model_stands_apart_where_all_agree_alike() -> None:
    result = outlier_model(np.full((3, 3), 0.5), ["c", "a", "b"])
    assert result.model == "a"
    assert result.gap == 0.0
    assert result.stability is None
    with pytest.raises(ValueError, match="3 are needed"):
        outlier_model(np.ones((2, 2)), ["a", "b"])


def test_dividing_prompts_come_first_and_name_the_model_that_differs() -> None:
    by_prompt = np.ones((3, 3, 3))
    by_prompt[1, 2, :2] = by_prompt[1, :2, 2] = 0.0
    by_prompt[2, 0, 1:] = by_prompt[2, 1:, 0] = np.nan
    found = dividing_prompts(by_prompt, ["p0", "p1", "p2"], ["x", "y", "z"])
    assert [one.prompt for one in found] == ["p1", "p0", "p2"]
    assert found[0].agreement == pytest.approx(1 / 3)
    assert found[0].share == pytest.approx(1)
    assert [one.model for one in found] == ["z", None, None]
    assert all(one.share == 0 for one in dividing_prompts(np.ones((2, 2, 2)), "pq", "xy"))
    with pytest.raises(ValueError, match="by_prompt"):
        dividing_prompts(np.ones((2, 2, 2)), "pqr", "xy")


def test_leverage_is_what_leaving_a_prompt_out_changes() -> None:
    values = np.random.default_rng(6).random((7, 2))
    by_loop = leverage(values, lambda rows: rows.mean(axis=0))
    np.testing.assert_allclose(leverage(values), by_loop)
    ratio = leverage(values, lambda rows: rows[:, 0].sum() / rows[:, 1].sum())
    assert ratio.shape == (7,)
    with pytest.raises(ValueError, match="two prompts"):
        leverage([1.0])
