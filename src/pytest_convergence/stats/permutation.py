"""Permutation tests: p values that are exact however few the prompts, with the +1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pytest_convergence.metrics.summaries import Floats, Summaries
from pytest_convergence.metrics.terms import family_starts


@dataclass(frozen=True, slots=True)
class PermutationTest:
    """A statistic, its mean under the null and ``p = (1 + hits) / (1 + permutations)``."""

    statistic: float
    null_mean: float
    p: float
    permutations: int


def prompt_permutation(
    summaries: Summaries, *, permutations: int, seed: int
) -> PermutationTest | None:
    """Do models agree because of the prompt? Prompts are shuffled within each model.

    The null: what a model says does not depend on what it is asked. The statistic is the mean
    similarity over pairs of models and families of prompts; large values reject. A family's
    prompts move together, and only to the place of a family with as many usable prompts, so that
    families and missing answers keep the level.

    Parameters
    ----------
    summaries
        Prompts sorted by family.

    Returns
    -------
    PermutationTest or None
        None where no two models share two families.

    References
    ----------
    Phipson & Smyth 2010, Permutation p-values should never be zero.
    """
    means, sizes = _family_means(summaries)
    models, families, _ = means.shape
    present = sizes > 0
    rng = np.random.default_rng(seed)
    orders = [_orders(sizes[m], permutations, rng) for m in range(models)]
    observed, null, pairs = 0.0, np.zeros(permutations), 0
    for a in range(models):
        for b in range(a + 1, models):
            shared = np.flatnonzero(present[a] & present[b])
            if len(shared) < 2:
                continue
            gram = means[a] @ means[b].T
            places = orders[a][:, shared] * families + orders[b][:, shared]
            observed += float(gram[shared, shared].mean())
            null += gram.ravel().take(places).mean(axis=1)
            pairs += 1
    if not pairs:
        return None
    observed, null = observed / pairs, null / pairs
    return PermutationTest(observed, float(null.mean()), p_value(observed, null), permutations)


def p_value(observed: float, null: Floats) -> float:
    """``(1 + hits) / (1 + B)``; a tie up to rounding is a hit."""
    slack = 1e-12 * max(1.0, abs(observed))
    return float((1 + np.count_nonzero(null >= observed - slack)) / (1 + len(null)))


def _family_means(summaries: Summaries) -> tuple[Floats, NDArray[np.int64]]:
    """Mean feature vectors by family, shape (M, F, d), and their usable prompts, (M, F)."""
    starts = family_starts(summaries.families)
    safe = np.maximum(summaries.counts, 1)[:, :, None]
    sizes = np.add.reduceat((summaries.counts > 0).astype(np.int64), starts, axis=1)
    totals = np.add.reduceat(summaries.sums / safe, starts, axis=1)
    return totals / np.maximum(sizes, 1)[:, :, None], sizes


def _orders(
    sizes: NDArray[np.int64], permutations: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Random orders of one model's families, shape (B, F), mixing only families of one size."""
    orders = np.tile(np.arange(len(sizes)), (permutations, 1))
    for size in np.unique(sizes[sizes > 0]):
        places = np.flatnonzero(sizes == size)
        orders[:, places] = rng.permuted(np.tile(places, (permutations, 1)), axis=1)
    return orders
