"""Permutation tests: p values that hold however few the prompts, with the +1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from pytest_convergence.metrics.summaries import Floats, Summaries
from pytest_convergence.metrics.terms import family_starts
from pytest_convergence.stats.multiplicity import max_t

# From here on rotations, (F - 1)^(M - 1) of them and more, do for permutations.
_MANY_FAMILIES = 100
_FEATURES_AT_A_TIME = 32
# Numbers in each of the arrays on the way to a spectrum, at most about this many.
_NUMBERS_AT_A_TIME = 400_000

_Number = TypeVar("_Number", np.float64, np.int64)


class PermutationTest(Struct, frozen=True):
    """A statistic, its mean under the null and ``p = (1 + hits) / (1 + permutations)``.

    The p value is the one of Phipson & Smyth 2010, Permutation p-values should never be zero.
    """

    statistic: float
    null_mean: float
    p: float
    permutations: int


class PairPermutationTests(Struct, frozen=True, eq=False):
    """The same test for each pair of models; arrays of shape (M, M), nan where there is none.

    ``adjusted`` are the p values corrected for the number of pairs by max-T.
    """

    statistic: Floats
    p: Floats
    adjusted: Floats
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
    """
    sizes = _family_sizes(summaries)
    models, families = sizes.shape
    rng = np.random.default_rng(seed)
    if (sizes == sizes[0, 0]).all() and families >= _MANY_FAMILIES and models > 2:
        mean, nulls = _rotated(summaries, permutations, rng)
    else:
        observed, null, _ = _prompt_null(summaries, permutations, rng)
        if not len(observed):
            return None
        mean, nulls = float(observed.mean()), null.mean(axis=1)
    return PermutationTest(mean, float(nulls.mean()), p_value(mean, nulls), permutations)


def prompt_permutation_pairs(
    summaries: Summaries, *, permutations: int, seed: int
) -> PairPermutationTests:
    """The same test for every pair, corrected for their number.

    Pairs enter the correction on a common scale: less their mean and divided by their standard
    deviation under the null.
    """
    rng = np.random.default_rng(seed)
    observed, null, pairs = _prompt_null(summaries, permutations, rng)
    models = len(summaries.models)
    matrices = [np.full((models, models), np.nan) for _ in range(3)]
    if len(observed):
        centre, spread = null.mean(axis=0), np.maximum(null.std(axis=0), 1e-12)
        single = np.array([p_value(o, null[:, k]) for k, o in enumerate(observed)])
        adjusted = max_t((observed - centre) / spread, (null - centre) / spread)
        for matrix, values in zip(matrices, (observed, single, adjusted), strict=True):
            for (a, b), value in zip(pairs, values, strict=True):
                matrix[a, b] = matrix[b, a] = value
    statistic, p, corrected = matrices
    return PairPermutationTests(statistic, p, corrected, permutations)


def p_value(observed: float, null: Floats) -> float:
    """``(1 + hits) / (1 + B)``; a tie up to rounding is a hit."""
    slack = 1e-12 * max(1.0, abs(observed))
    return float((1 + np.count_nonzero(null >= observed - slack)) / (1 + len(null)))


def _prompt_null(
    summaries: Summaries, permutations: int, rng: np.random.Generator
) -> tuple[Floats, Floats, list[tuple[int, int]]]:
    """Each pair's similarity, (K,), and the same with prompts shuffled, (B, K)."""
    sizes = _family_sizes(summaries)
    models, families = sizes.shape
    means = _family_means(summaries, sizes, slice(None))
    orders = [_orders(sizes[m], permutations, rng) for m in range(models)]
    observed, null, pairs = [], [], []
    for a in range(models):
        for b in range(a + 1, models):
            shared = np.flatnonzero((sizes[a] > 0) & (sizes[b] > 0))
            if len(shared) < 2:
                continue
            gram = means[a] @ means[b].T
            places = orders[a][:, shared] * families + orders[b][:, shared]
            observed.append(float(gram[shared, shared].mean()))
            null.append(gram.ravel().take(places).mean(axis=1))
            pairs.append((a, b))
    columns = np.stack(null, axis=1) if null else np.zeros((permutations, 0))
    return np.array(observed), columns, pairs


def _rotated(
    summaries: Summaries, permutations: int, rng: np.random.Generator
) -> tuple[float, Floats]:
    """The panel's similarity, and under random rotations of each model's prompts, (B,).

    Rotations of a randomly ordered circle of families are a group, hence as exact a test as all
    permutations, and their similarities are one cross-correlation: a Fourier transform where
    ``B`` permutations of many families would be gathered one by one. Read a few features at a
    time, for memory's sake.
    """
    sizes = _family_sizes(summaries)
    models, families = sizes.shape
    circle = rng.permutation(families)
    spectrum = np.zeros((families // 2 + 1, models, models), dtype=np.complex128)
    step = max(min(_NUMBERS_AT_A_TIME // summaries.counts.size, _FEATURES_AT_A_TIME), 1)
    for start in range(0, summaries.sums.shape[2], step):
        part = slice(start, start + step)
        means = _family_means(summaries, sizes, part).take(circle, axis=1)
        waves = np.fft.rfft(means, axis=1).transpose(1, 0, 2)
        spectrum += waves.conj() @ waves.transpose(0, 2, 1)
    cross = np.fft.irfft(spectrum, n=families, axis=0)
    shifts = rng.integers(families, size=(permutations, models))
    rows, columns = np.triu_indices(models, k=1)
    turned = (shifts[:, columns] - shifts[:, rows]) % families
    null = cross[turned, rows, columns].mean(axis=1) / families
    return float(cross[0, rows, columns].mean() / families), null


def _family_sizes(summaries: Summaries) -> NDArray[np.int64]:
    """Each model's usable prompts by family, shape (M, F)."""
    starts = family_starts(summaries.families)
    return _by_family((summaries.counts > 0).astype(np.int64), starts)


def _family_means(summaries: Summaries, sizes: NDArray[np.int64], part: slice) -> Floats:
    """Mean feature vectors by family, shape (M, F, features in ``part``)."""
    starts = family_starts(summaries.families)
    totals = _by_family(_each(summaries.sums[:, :, part], summaries.counts), starts)
    return _each(totals, sizes)


def _each(sums: Floats, counts: NDArray[np.int64]) -> Floats:
    """Sums divided by how many there are; where it is one of each, they stand as they are."""
    if counts.max(initial=0) <= 1:
        return sums
    means: Floats = sums / np.maximum(counts, 1)[:, :, None]
    return means


def _by_family(values: NDArray[_Number], starts: NDArray[np.intp]) -> NDArray[_Number]:
    """Sums over the prompts of each family, the second axis."""
    if len(starts) == values.shape[1]:
        return values
    return np.asarray(np.add.reduceat(values, starts, axis=1))


def _orders(
    sizes: NDArray[np.int64], permutations: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Random orders of one model's families, shape (B, F), mixing only families of one size."""
    orders = np.tile(np.arange(len(sizes)), (permutations, 1))
    for size in sorted(set(sizes[sizes > 0].tolist())):
        places = np.flatnonzero(sizes == size)
        orders[:, places] = rng.permuted(np.tile(places, (permutations, 1)), axis=1)
    return orders


def same_model_test(
    features: Sequence[Sequence[NDArray[np.floating[Any]]]],
    *,
    families: Sequence[str],
    permutations: int = 999,
    seed: int,
) -> PermutationTest | None:
    """Are these models one and the same? Responses are shuffled between models, by prompt.

    The null: on each prompt all models answer from one distribution. The statistic is the mean
    over prompts, and over pairs of models with two or more responses to it, of the unbiased
    squared maximum mean discrepancy (Gretton et al. 2012, A kernel two-sample test, eq. 3); large
    values reject. Prompts of a family with equal counts are shuffled alike, so that a prompt
    repeated with the same recorded responses does not count as more evidence.

    Parameters
    ----------
    features
        ``features[m][p]``, shape (n, d); read one prompt at a time.
    families
        For each prompt the name of its family.

    Returns
    -------
    PermutationTest or None
        None where no prompt has two models with two responses each.
    """
    rng = np.random.default_rng(seed)
    drawn: dict[tuple[str, tuple[int, ...]], NDArray[np.int64]] = {}
    total, used = np.zeros(permutations + 1), 0
    for p in sorted(range(len(families)), key=lambda index: families[index]):
        blocks = [row[p] for row in features if len(row[p]) > 1]
        if len(blocks) < 2:
            continue
        sizes = tuple(len(row[p]) if len(row[p]) > 1 else 0 for row in features)
        key = (families[p], sizes)
        if key not in drawn:
            drawn = {k: v for k, v in drawn.items() if k[0] == families[p]}
            orders = np.tile(np.arange(sum(sizes)), (permutations + 1, 1))
            orders[1:] = rng.permuted(orders[1:], axis=1)
            drawn[key] = orders
        total += _discrepancies(blocks, drawn[key])
        used += 1
    if not used:
        return None
    observed, null = float(total[0] / used), total[1:] / used
    return PermutationTest(observed, float(null.mean()), p_value(observed, null), permutations)


def _discrepancies(
    blocks: Sequence[NDArray[np.floating[Any]]], orders: NDArray[np.int64]
) -> Floats:
    """Mean MMD^2 over pairs of models on one prompt for each order of its responses, (B,)."""
    pooled = np.concatenate([np.asarray(block, dtype=np.float64) for block in blocks])
    gram = pooled @ pooled.T
    norms = np.diagonal(gram)
    models, count = len(blocks), len(pooled)
    ends = np.cumsum([len(block) for block in blocks])
    whole = np.zeros(orders.shape)
    rows = np.arange(len(orders))[:, None]
    own_between, within = np.zeros(len(orders)), np.zeros(len(orders))
    for start, end in zip(ends - [len(block) for block in blocks], ends, strict=True):
        size = int(end - start)
        weights = np.zeros((len(orders), count))
        weights[rows, orders[:, start:end]] = 1.0 / size
        square = np.einsum("bn,bn->b", weights @ gram, weights)
        own_between += square
        within += (size * square - weights @ norms) / (size - 1)
        whole += weights
    between = np.einsum("bn,bn->b", whole @ gram, whole) - own_between
    return np.asarray(2.0 * within / models - 2.0 * between / (models * (models - 1)))
