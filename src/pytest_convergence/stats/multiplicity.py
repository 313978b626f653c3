"""Many tests at once: p values corrected for how many there are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

_Floats = NDArray[np.float64]


def holm(p: ArrayLike) -> _Floats:
    """Adjusted p values that bound the chance of any false rejection, whatever the dependence.

    nan stays nan and does not count as a test (Holm 1979).
    """
    return _adjust(p, _holm_sorted)


def benjamini_hochberg(p: ArrayLike) -> _Floats:
    """Adjusted p values that bound the expected share of false ones among the rejections.

    Under independence or positive dependence (Benjamini & Hochberg 1995); nan stays nan.
    """
    return _adjust(p, _hochberg_sorted)


def max_t(observed: ArrayLike, null: ArrayLike) -> _Floats:
    """Step-down max-T p values of K tests: correlated tests are corrected for less.

    Parameters
    ----------
    observed
        Statistics on a common scale, shape (K,); large values reject.
    null
        The same under B joint permutations, shape (B, K).

    Returns
    -------
    ndarray
        Adjusted p values with the +1, shape (K,), never below the unadjusted ones (Westfall &
        Young 1993, Resampling-based multiple testing, algorithm 2.8).
    """
    statistic, draws = np.asarray(observed, dtype=np.float64), np.asarray(null, dtype=np.float64)
    order = np.argsort(-statistic, kind="stable")
    # The largest of this test and all less significant ones, for each permutation.
    largest = np.maximum.accumulate(draws[:, order[::-1]], axis=1)[:, ::-1]
    hits = (largest >= statistic[order] - 1e-12).sum(axis=0)
    adjusted = np.maximum.accumulate((1.0 + hits) / (1.0 + len(draws)))
    result = np.empty_like(statistic)
    result[order] = adjusted
    return result


def _holm_sorted(p: _Floats) -> _Floats:
    count = len(p)
    return np.asarray(np.maximum.accumulate(p * (count - np.arange(count))))


def _hochberg_sorted(p: _Floats) -> _Floats:
    count = len(p)
    scaled = p * count / np.arange(1, count + 1)
    return np.asarray(np.minimum.accumulate(scaled[::-1])[::-1])


def _adjust(p: ArrayLike, rule: Callable[[_Floats], _Floats]) -> _Floats:
    """Apply a rule for sorted p values to any, leaving nan out."""
    values = np.asarray(p, dtype=np.float64)
    flat = values.ravel()
    tested = np.flatnonzero(~np.isnan(flat))
    order = tested[np.argsort(flat[tested], kind="stable")]
    adjusted = np.full(flat.shape, np.nan)
    adjusted[order] = np.minimum(rule(flat[order]), 1.0)
    return adjusted.reshape(values.shape)
