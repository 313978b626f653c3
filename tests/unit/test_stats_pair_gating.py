"""The gate's statistics on measures of whole pairs: exact signs, levels, power, who moved."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pytest_convergence.metrics.distributions import measure_of
from pytest_convergence.metrics.pair_tables import pair_table
from pytest_convergence.stats.gating import Look
from pytest_convergence.stats.pair_gating import PairTables, look_at_pairs

Floats = NDArray[np.float64]
MODELS, PROMPTS, SAMPLES, KINDS = 4, 20, 5, 4
NAMES = [f"p{index:02}" for index in range(PROMPTS)]


def looked(before: Floats, after: Floats, direction: str = "converges", groups: int = 10) -> Look:
    return look_at_pairs(
        PairTables(before, after, NAMES[: len(before)]),
        direction=direction,  # type: ignore[arg-type]
        smallest_effect=0.05,
        groups=groups,
        alpha=0.05,
        seed=1,
    )


def panel(rng: np.random.Generator) -> Floats:
    """Models that share favourite labels, (M, P, K)."""
    favourites = np.eye(KINDS)[rng.integers(KINDS, size=PROMPTS)]
    steadiness = rng.uniform(0.4, 0.95, (MODELS, PROMPTS, 1))
    rest = rng.dirichlet(np.full(KINDS, 0.5), size=(MODELS, PROMPTS))
    return np.asarray(steadiness * favourites + (1 - steadiness) * rest)


def recorded(chances: Floats, rng: np.random.Generator, metric: str) -> Floats:
    drawn = np.array([[rng.multinomial(SAMPLES, cell) for cell in row] for row in chances])
    return np.stack(
        [pair_table(measure_of(metric), [row[p][None] for row in drawn]) for p in range(PROMPTS)]
    )


@pytest.mark.parametrize("metric", ["js", "total-variation"])
def test_an_unchanged_panel_keeps_the_level_and_a_changed_model_is_caught(metric: str) -> None:
    rng = np.random.default_rng(11)
    alarms, caught = 0, 0
    for _ in range(40):
        chances = panel(rng)
        before = recorded(chances, rng, metric)
        alarms += looked(before, recorded(chances, rng, metric), groups=1).movement == "regressed"
        changed = chances.copy()
        changed[2, : PROMPTS // 2] = np.roll(changed[2, : PROMPTS // 2], 1, axis=1)
        found = looked(before, recorded(changed, rng, metric), groups=1)
        caught += found.moves[2] == "regressed"
    assert alarms <= 4
    assert caught >= 32


def test_signs_of_families_are_exact_and_their_number_limits_what_can_be_seen() -> None:
    before, after = np.full((6, 2, 2), 0.9), np.full((6, 2, 2), 0.4)
    found = looked(before, after)
    assert found.change.falling == pytest.approx(1 / 64)
    assert found.change.difference == pytest.approx(-0.5)
    assert not found.members
    assert found.movement == "unchanged"
    assert looked(before, after, groups=1).movement == "regressed"
    assert looked(before, after, "diverges", groups=1).movement == "improved"


def test_prompts_that_a_side_lacks_are_left_out_and_variants_count_once() -> None:
    before, after = np.full((4, 2, 2), 0.9), np.full((4, 2, 2), 0.9)
    after[0], before[1] = 0.1, np.nan
    tables = PairTables(before, after, ["a", "a", "b", "c"])
    first, second = tables.by_family()
    assert (first.tolist(), second.tolist()) == ([0.9, 0.9, 0.9], [0.1, 0.9, 0.9])
    with pytest.raises(ValueError, match="no two models"):
        looked(np.full((2, 2, 2), np.nan), np.full((2, 2, 2), 1.0))
