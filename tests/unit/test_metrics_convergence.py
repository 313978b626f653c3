from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from pytest_convergence.metrics.convergence import estimate_group, estimate_prompt
from pytest_convergence.metrics.summaries import Summaries

Blocks = list[list[NDArray[np.float64]]]


def panel_of_unit_vectors(
    seed: int, models: int, prompts: int, samples: Sequence[int], width: int = 8
) -> Blocks:
    """Blocks [m][p] of unit vectors around a direction that the prompt sets."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(prompts, width))
    blocks: Blocks = []
    for m in range(models):
        own = 0.5 * rng.normal(size=(prompts, width))
        row = []
        for p in range(prompts):
            size = samples[(m + p) % len(samples)]
            draws = centres[p] + own[p] + 0.5 * rng.normal(size=(size, width))
            row.append(draws / np.linalg.norm(draws, axis=1, keepdims=True))
        blocks.append(row)
    return blocks


def summarise(blocks: Blocks, families: Sequence[str] | None = None) -> Summaries:
    return Summaries.from_features(
        blocks,
        models=[f"m{m}" for m in range(len(blocks))],
        prompts=[f"p{p:03}" for p in range(len(blocks[0]))],
        families=families,
    )


def by_loops(blocks: Blocks, families: Sequence[str], a: int, b: int) -> tuple[float, float, float]:
    """Similarity, floor and ceiling of a pair straight from the definitions."""
    shared = [p for p in range(len(families)) if len(blocks[a][p]) and len(blocks[b][p])]
    similarity = np.mean([(blocks[a][p] @ blocks[b][p].T).mean() for p in shared])
    floor = np.mean(
        [
            (blocks[a][i] @ blocks[b][j].T).mean()
            for i in shared
            for j in shared
            if families[i] != families[j]
        ]
    )

    def within(m: int) -> float:
        values = []
        for p in shared:
            size = len(blocks[m][p])
            if size > 1:
                gram = blocks[m][p] @ blocks[m][p].T
                values.append((gram.sum() - np.trace(gram)) / (size * (size - 1)))
        return float(max(np.mean(values), 0.0))

    return float(similarity), float(floor), float(np.sqrt(within(a) * within(b)))


@pytest.mark.parametrize("samples", [(4,), (2, 5, 3), (3, 0, 2)])
@pytest.mark.parametrize("size", [1, 3])
def test_every_pair_equals_loops_over_pairs_of_responses(
    samples: tuple[int, ...], size: int
) -> None:
    blocks = panel_of_unit_vectors(1, 4, 12, samples)
    families = [f"f{p // size:02}" for p in range(12)]
    estimate = estimate_group(summarise(blocks, families), seed=0, permutations=0)
    expected = []
    for a, b in combinations(range(4), 2):
        expected.append(by_loops(blocks, families, a, b))
        found = [
            matrix[a, b]
            for matrix in (
                estimate.pairs.similarity,
                estimate.pairs.floor,
                estimate.pairs.ceiling,
            )
        ]
        assert found == pytest.approx(expected[-1], abs=1e-12)
    similarity, floor, ceiling = np.mean(expected, axis=0)
    assert estimate.similarity == pytest.approx(similarity, abs=1e-12)
    assert estimate.floor == pytest.approx(floor, abs=1e-12)
    assert estimate.ceiling == pytest.approx(ceiling, abs=1e-12)
    assert estimate.score == pytest.approx((similarity - floor) / (ceiling - floor), abs=1e-12)


def test_one_sample_a_prompt_has_ceiling_one_and_no_within() -> None:
    estimate = estimate_group(summarise(panel_of_unit_vectors(2, 3, 20, (1,))), seed=0)
    assert estimate.samples == 1
    assert estimate.ceiling == 1.0
    assert estimate.within is None
    assert estimate.mmd2 is None
    assert np.isnan(np.diagonal(estimate.pairs.similarity)).all()


def test_fewer_than_four_families_is_undefined_with_its_numbers() -> None:
    blocks = panel_of_unit_vectors(3, 3, 9, (3,))
    estimate = estimate_group(summarise(blocks, [f"f{p % 3}" for p in range(9)]), seed=0)
    assert estimate.score is None
    assert estimate.interval is None
    assert "3 families" in str(estimate.undefined)
    assert estimate.similarity > estimate.floor


def test_the_order_of_models_and_prompts_does_not_change_a_bit() -> None:
    whole = summarise(panel_of_unit_vectors(4, 4, 15, (3, 2)))
    forward = estimate_group(whole, seed=7)
    models, prompts = [2, 0, 3, 1], list(range(15))[::-1]
    grid = np.ix_(models, prompts)
    backward = estimate_group(
        Summaries(
            tuple(whole.models[m] for m in models),
            tuple(whole.prompts[p] for p in prompts),
            tuple(whole.families[p] for p in prompts),
            whole.counts[grid],
            whole.sums[grid],
            whole.squares[grid],
        ),
        seed=7,
    )
    assert backward.score == forward.score
    assert backward.interval == forward.interval
    assert backward.permutation_p == forward.permutation_p
    np.testing.assert_array_equal(backward.leverage, forward.leverage[prompts])
    np.testing.assert_array_equal(backward.pairs.low, forward.pairs.low[np.ix_(models, models)])


def test_one_prompt_has_within_on_the_diagonal_and_an_interval_around_its_similarity() -> None:
    blocks = panel_of_unit_vectors(5, 3, 1, (5,))
    estimate = estimate_prompt({f"m{m}": blocks[m][0] for m in range(3)}, seed=3)
    gram = blocks[0][0] @ blocks[0][0].T
    assert estimate.pairs[0, 0] == pytest.approx((gram.sum() - 5) / 20)
    assert estimate.pairs[0, 1] == pytest.approx((blocks[0][0] @ blocks[1][0].T).mean())
    assert estimate.interval is not None
    assert estimate.interval.low < estimate.similarity < estimate.interval.high
