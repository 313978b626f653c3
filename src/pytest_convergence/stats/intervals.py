"""Intervals over prompts: test inversion on a jackknifed ratio, made safe near unanimity.

A plain jackknife-t falls short where prompts are few, where a handful of them carries all the
disagreement, and where the scale (ceiling minus floor) is itself uncertain. Four remedies, each
known by itself:

- Fieller: a value ``t`` is in the interval where ``numerator - t * denominator`` is compatible
  with zero, so the uncertainty of the scale is in it.
- Hall's transformation removes the skewness of that difference (Hall 1992, On the removal of
  skewness by transformation, J. R. Stat. Soc. B 54).
- The degrees of freedom of Student's t come from the kurtosis of the prompts' contributions:
  a variance that rests on two prompts is not known to 19 degrees of freedom.
- Where all or nearly all prompts agree exactly, how many prompts that do not might have been
  missed bounds the interval (Clopper & Pearson 1934).

What they reach is measured by ``benchmarks/validity.py``.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from pytest_convergence.metrics.summaries import Floats
from pytest_convergence.stats.student import student_quantile

METHOD = "test inversion over families (Fieller, Hall, Clopper-Pearson)"

# Above this many families that are not unanimous, their own spread says enough.
_FEW_INFORMATIVE = 8
# Skewness estimated from few families is drawn towards none by n / (n + this).
_SKEWNESS_PRIOR = 2.0
# The quantile is stretched by 1 + this / n: what is left at five families.
_STRETCH = 0.5
# Steps between an estimate and its bound: 32 at a time, to a ten-millionth of the way.
_GRID = np.linspace(0.0, 1.0, 33)[1:]
_TURNS = 5
_TIE = 1e-6  # float32 unit vectors are not closer to 1 than this


class Contributions(Struct, frozen=True, eq=False):
    """What each unit (family of prompts) contributes to ``numerator / denominator``.

    ``numerator`` and ``denominator`` have shape (...); ``over`` and ``under`` are the units'
    jackknife deviations from them and ``counted`` says which units the ratio rests on, all of
    shape (..., U). A plain mean has denominator 1 and ``under`` zero.
    """

    numerator: Floats
    denominator: Floats
    over: Floats
    under: Floats
    counted: NDArray[np.bool_]

    @property
    def units(self) -> Floats:
        """How many units the ratio rests on, shape (...)."""
        return np.asarray(self.counted.sum(axis=-1), dtype=np.float64)

    @property
    def value(self) -> Floats:
        """The ratio; not finite where the denominator is zero."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.numerator / self.denominator)


def deviations(value: Floats, without: Floats, counted: NDArray[np.bool_]) -> Floats:
    """Each unit's jackknife pseudo-value minus the estimate, shape (..., U).

    Parameters
    ----------
    value, without
        A statistic, shape (...), and the same with one unit left out, shape (..., U).
    counted
        Which units the statistic rests on.
    """
    units = counted.sum(axis=-1, keepdims=True)
    moves = np.where(counted, np.asarray(value)[..., None] - np.where(counted, without, 0.0), 0.0)
    return np.asarray((units - 1) * moves)


def standard_error(deviation: Floats, units: Floats) -> Floats:
    """Jackknife standard error (Efron & Tibshirani 1993, ch. 11); nan below two units."""
    freedom = np.where(units > 1, units * (units - 1.0), np.nan)
    return np.asarray(np.sqrt((deviation**2).sum(axis=-1) / freedom))


def ratio_bounds(
    parts: Contributions, *, level: float, lowest: Floats, highest: Floats
) -> tuple[Floats, Floats]:
    """Bounds of the values that the units do not contradict at ``level``, shape (...).

    Parameters
    ----------
    lowest, highest
        What the ratio cannot pass, shape (...); the bounds stop there.

    Returns
    -------
    low, high
        Around the estimate; nan where it is or where there are fewer than two units.
    """
    value = parts.value
    moments = _Moments.of(parts)
    low = _edge(moments, value, np.fmin(lowest, value), level, sign=1.0)
    high = _edge(moments, value, np.fmax(highest, value), level, sign=-1.0)
    usable = (parts.units > 1) & np.isfinite(value)
    return np.where(usable, low, np.nan), np.where(usable, high, np.nan)


class _Moments(Struct, frozen=True, eq=False):
    """Joint central moments of the units' contributions: enough for any hypothesised ratio."""

    numerator: Floats
    denominator: Floats
    units: Floats
    joint: dict[tuple[int, int], Floats]

    @classmethod
    def of(cls, parts: Contributions) -> _Moments:
        units = np.maximum(parts.units, 1.0)
        over, under = (
            np.where(parts.counted, d - d.sum(axis=-1, keepdims=True) / units[..., None], 0.0)
            for d in (parts.over, parts.under)
        )
        overs, unders = _powers(over), _powers(under)
        joint = {
            (i, order - i): np.einsum("...u,...u->...", overs[i], unders[order - i]) / units
            for order in (2, 3, 4)
            for i in range(order + 1)
        }
        return cls(parts.numerator, parts.denominator, units, joint)

    def central(self, order: int, ratio: Floats) -> Floats:
        """The moment of ``over - ratio * under`` for ratios (..., G), by the binomial theorem."""
        from math import comb

        total = np.zeros_like(ratio)
        for i in range(order + 1):
            power = (-ratio) ** (order - i)
            total += comb(order, i) * power * self.joint[i, order - i][..., None]
        return total

    def excess(self, ratio: Floats, level: float) -> Floats:
        """The test statistic of hypothesised ratios (..., G) over its critical value, signed."""
        n = self.units[..., None]
        variance = np.maximum(self.central(2, ratio), 1e-300)
        skewness = self.central(3, ratio) / variance**1.5 * n / (n + _SKEWNESS_PRIOR)
        kurtosis = np.maximum(self.central(4, ratio) / variance**2, 1.0 + 2.0 / n)
        freedom = np.maximum(np.minimum(n - 1.0, 2.0 * n / (kurtosis - 1.0)), 1.0)
        away = self.numerator[..., None] - ratio * self.denominator[..., None]
        away /= np.sqrt(variance * n / np.maximum(n - 1.0, 1.0))
        hall = away + skewness * away**2 / 3.0 + skewness**2 * away**3 / 27.0 + skewness / (6.0 * n)
        critical = student_quantile(level, freedom) * (1.0 + _STRETCH / n)
        return np.asarray(np.sqrt(n) * hall / critical)


def _powers(values: Floats) -> list[Floats]:
    """Powers 0 to 4 by multiplication: ``**`` above 2 takes thirty times as long."""
    square = values * values
    return [np.ones_like(values), values, square, square * values, square * square]


def _edge(moments: _Moments, value: Floats, limit: Floats, level: float, *, sign: float) -> Floats:
    """The first ratio from ``value`` towards ``limit`` that is rejected, or the limit."""
    inner, outer = value, limit
    found: NDArray[np.bool_] = np.ones(np.shape(value), dtype=bool)
    with np.errstate(all="ignore"):
        for turn in range(_TURNS):
            # Cubed at first, for most edges are near; evenly between neighbours from then on.
            shares = _GRID**3 if turn == 0 else _GRID
            points = inner[..., None] + shares * (outer - inner)[..., None]
            rejected = sign * moments.excess(points, level) >= 1.0
            if turn == 0:
                found = np.asarray(rejected.any(axis=-1))
            first = np.where(rejected.any(axis=-1), rejected.argmax(axis=-1), len(_GRID) - 1)
            outer = np.take_along_axis(points, first[..., None], axis=-1)[..., 0]
            before = np.take_along_axis(points, np.maximum(first - 1, 0)[..., None], axis=-1)
            inner = np.where(first > 0, before[..., 0], inner)
    return np.where(found, outer, limit)


class Agreement(Struct, frozen=True, eq=False):
    """What the near-unanimity bound needs to know, for a similarity or for a score.

    ``by_unit`` is each unit's mean similarity in shares of the largest one that two responses can
    have, shape (..., U). A similarity ``s`` reads ``(s - floor) / (top - floor)`` on the scale of
    the ratio, where ``top`` is the similarity at which the ratio is 1; shapes (...).
    """

    by_unit: Floats
    counted: NDArray[np.bool_]
    floor: Floats
    top: Floats


def allow_for_unseen(
    low: Floats, high: Floats, value: Floats, agreement: Agreement, level: float
) -> tuple[Floats, Floats]:
    """Bounds put where prompts unlike the ones seen could move the estimate.

    With ``k`` of ``n`` units short of exact agreement, up to a share of ``BetaInv(k + 1, n - k)``
    may be; each is taken to disagree as much as those seen and one that disagrees altogether. The
    same holds at the other end, for units with no agreement at all, and around a ratio on which
    all units agree exactly. Where many units differ the bounds stay.
    """
    short = np.where(agreement.counted, 1.0 - agreement.by_unit, 0.0)
    some = np.where(agreement.counted, agreement.by_unit, 0.0)
    units = agreement.counted.sum(axis=-1)
    room = agreement.top - agreement.floor
    with np.errstate(divide="ignore", invalid="ignore"):
        below = 1.0 - _unseen(short, units, level) - agreement.floor
        below = below / np.maximum(1.0 - agreement.floor, _TIE)
        low = np.where(_lone(short, units), below, np.fmin(low, below))
        above = (_unseen(some, units, level) - agreement.floor) / room
        high = np.where(_lone(some, units), above, np.fmax(high, above))
        flat = high - low < _TIE
        share = unseen_share(np.zeros_like(units), np.maximum(units, 1), level)
        mean = some.sum(axis=-1) / np.maximum(units, 1)
        low = np.where(flat, low - share * mean / room, low)
        high = np.where(flat, high + share * (1.0 - mean) / room, high)
    return np.fmin(low, value), np.fmax(high, value)


def _lone(differences: Floats, units: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where one unit differs at most: the units' spread then says nothing at all."""
    differing = (differences > _TIE).sum(axis=-1)
    return np.asarray((differing < 2) & (differing < units))


def _unseen(differences: Floats, units: NDArray[np.int64], level: float) -> Floats:
    """The largest credible mean difference where few units differ and some do not, else nan."""
    differing = (differences > _TIE).sum(axis=-1)
    size = (differences.sum(axis=-1) + 1.0) / (differing + 1.0)
    few = np.asarray((differing < _FEW_INFORMATIVE) & (differing < units))
    found = np.full(np.shape(few), np.nan)
    found[few] = unseen_share(differing[few], units[few], level) * size[few]
    return found


def unseen_share(
    hits: NDArray[np.int64] | np.int64, units: NDArray[np.int64] | np.int64, level: float
) -> Floats:
    """Clopper-Pearson upper bound of a share of ``hits`` among ``units``, of at least one."""
    chance = 0.5 + level / 2.0
    if not np.any(hits):
        return np.asarray(-np.expm1(np.log1p(-chance) / units))
    from scipy.special import betaincinv

    return np.asarray(betaincinv(hits + 1.0, np.maximum(units - hits, 1), chance))
