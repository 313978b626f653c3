from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pytest_convergence.metrics.summaries import Summaries
from pytest_convergence.stats.permutation import (
    p_value,
    prompt_permutation,
    prompt_permutation_pairs,
    same_model_test,
)

Blocks = list[list[NDArray[np.float64]]]


def deaf(
    rng: np.random.Generator, prompts: int, *, kind: str, models: int = 3
) -> tuple[Blocks, list[str]]:
    """Models whose answers have a house style and nothing to do with the prompt."""
    families = [f"f{p:03}" for p in range(prompts)]
    if kind in ("duplicates", "families"):
        families = [f"f{p // 2:03}" for p in range(prompts)]
    blocks: Blocks = []
    for _ in range(models):
        style = rng.normal(size=6) + 0.8
        row: list[NDArray[np.float64]] = []
        for p in range(prompts):
            if kind == "duplicates" and p % 2:
                row.append(row[-1])
                continue
            size = 0 if kind == "missing" and rng.random() < 0.1 else 2
            draws = style + rng.normal(size=(size, 6))
            row.append(draws / np.linalg.norm(draws, axis=1, keepdims=True))
        blocks.append(row)
    return blocks, families


def summarise(blocks: Blocks, families: list[str]) -> Summaries:
    return Summaries.from_features(
        blocks,
        models=[f"m{m}" for m in range(len(blocks))],
        prompts=[f"p{p:03}" for p in range(len(families))],
        families=families,
    )


@pytest.mark.parametrize("kind", ["plain", "families", "duplicates", "missing"])
def test_the_prompt_permutation_rejects_at_its_level_where_no_model_listens(kind: str) -> None:
    rng, count = np.random.default_rng(0), 200
    hits = 0
    for seed in range(count):
        test = prompt_permutation(summarise(*deaf(rng, 20, kind=kind)), permutations=99, seed=seed)
        assert test is not None
        hits += test.p <= 0.05
    error = np.sqrt(0.05 * 0.95 / count)
    assert 0.04 - 3 * error <= hits / count <= 0.06 + 3 * error


def test_rotations_of_many_prompts_keep_the_level_and_the_mean_of_all_permutations() -> None:
    rng, count, hits, means = np.random.default_rng(1), 200, 0, []
    for seed in range(count):
        blocks, families = deaf(rng, 110, kind="plain")
        whole = summarise(blocks, families)
        test = prompt_permutation(whole, permutations=99, seed=seed)
        assert test is not None
        hits += test.p <= 0.05
        if seed < 20:
            few = prompt_permutation_pairs(whole, permutations=99, seed=seed)
            assert test.statistic == pytest.approx(np.nanmean(few.statistic), abs=1e-12)
            means.append(test.null_mean - test.statistic)
    error = np.sqrt(0.05 * 0.95 / count)
    assert 0.04 - 3 * error <= hits / count <= 0.06 + 3 * error
    assert np.mean(means) == pytest.approx(0.0, abs=0.005)


def test_models_that_listen_are_told_from_chance() -> None:
    rng = np.random.default_rng(2)
    topics = rng.normal(size=(12, 1, 6))
    blocks = [[topics[p] + 0.5 * rng.normal(size=(2, 6)) for p in range(12)] for _ in range(3)]
    whole = summarise(blocks, [f"f{p:02}" for p in range(12)])
    test = prompt_permutation(whole, permutations=199, seed=0)
    assert test is not None
    assert test.p == 1 / 200
    assert test.null_mean < test.statistic
    pairs = prompt_permutation_pairs(whole, permutations=199, seed=0)
    upper = np.triu_indices(3, 1)
    assert (pairs.adjusted[upper] >= pairs.p[upper]).all()
    assert (pairs.adjusted[upper] <= 0.05).all()


def test_one_family_has_no_permutation_test() -> None:
    blocks, _ = deaf(np.random.default_rng(3), 3, kind="plain")
    assert prompt_permutation(summarise(blocks, ["f"] * 3), permutations=9, seed=0) is None


@pytest.mark.parametrize("duplicated", [False, True])
def test_the_same_model_test_keeps_its_level_also_with_prompts_asked_twice(
    duplicated: bool,
) -> None:
    rng, count, hits = np.random.default_rng(4), 200, 0
    for seed in range(count):
        topics = rng.normal(size=(5, 1, 4))
        blocks = [[topic + rng.normal(size=(4, 4)) for topic in topics] for _ in range(2)]
        families = [f"f{p}" for p in range(5)]
        if duplicated:
            blocks = [row + row for row in blocks]
            families = families + families
        test = same_model_test(blocks, families=families, permutations=99, seed=seed)
        assert test is not None
        hits += test.p <= 0.05
    error = np.sqrt(0.05 * 0.95 / count)
    assert 0.04 - 3 * error <= hits / count <= 0.06 + 3 * error


def test_the_same_model_test_tells_models_apart_by_spread_alone() -> None:
    rng = np.random.default_rng(5)
    blocks = [[scale * rng.normal(size=(6, 3)) for _ in range(30)] for scale in (0.3, 1.5)]
    unit = [[b / np.linalg.norm(b, axis=1, keepdims=True) for b in row] for row in blocks]
    families = [f"f{p}" for p in range(30)]
    shifted = [[b + np.array([2.0, 0.0, 0.0]) for b in row] for row in blocks]
    shifted = [[b / np.linalg.norm(b, axis=1, keepdims=True) for b in row] for row in shifted]
    apart = same_model_test(shifted, families=families, permutations=99, seed=0)
    alike = same_model_test(unit, families=families, permutations=99, seed=0)
    assert apart is not None
    assert alike is not None
    assert apart.p == 1 / 100
    assert alike.p > 0.01


def test_the_mean_discrepancy_is_the_unbiased_one_of_its_pairs() -> None:
    rng = np.random.default_rng(6)
    blocks = [[rng.normal(size=(size, 3))] for size in (3, 4, 2)]
    expected = []
    for a in range(3):
        for b in range(a):
            one, two = blocks[a][0], blocks[b][0]
            parts = [
                ((g := x @ x.T).sum() - np.trace(g)) / (len(x) * (len(x) - 1)) for x in (one, two)
            ]
            expected.append(sum(parts) - 2 * (one @ two.T).mean())
    test = same_model_test(blocks, families=["f"], permutations=9, seed=0)
    assert test is not None
    assert test.statistic == pytest.approx(np.mean(expected))


def test_a_p_value_is_never_zero_and_a_tie_is_a_hit() -> None:
    assert p_value(2.0, np.array([0.0, 1.0, 1.5])) == 1 / 4
    assert p_value(1.5, np.array([0.0, 1.0, 1.5])) == 2 / 4
