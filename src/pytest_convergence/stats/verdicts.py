"""From a number and its interval to one of five words."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from pytest_convergence.metrics.estimates import Interval

Verdict: TypeAlias = Literal["converged", "diverged", "inconclusive", "undefined", "incomplete"]
Direction: TypeAlias = Literal["converges", "diverges"]


class Decision(Struct, frozen=True):
    """A verdict, whether its interval settles it, whether the assertion holds, and why.

    ``settled`` is False where the estimate decided although the interval straddles the threshold
    or there is none. ``verdict`` is None where there was no threshold to compare with.
    """

    verdict: Verdict | None
    settled: bool
    passed: bool
    reason: str


def decide(
    value: float | None,
    interval: Interval | None,
    *,
    threshold: float | None,
    direction: Direction,
    confidence: float | None = None,
    undefined: str | None = None,
    incomplete: str | None = None,
    unanimous: bool = False,
) -> Decision:
    """Compare a similarity or a score with a threshold.

    Converged means at or above the threshold, diverged below it; which of the two passes is the
    asserted direction's business. Incomplete and undefined pass in neither direction, save that
    unanimous labels count as converged.

    Parameters
    ----------
    value, interval
        The estimate and its interval; None where there is none.
    threshold
        None: nothing is asserted, so nothing can fail.
    direction
        What was asserted.
    confidence
        None: the estimate decides, and an interval that straddles the threshold leaves it
        unsettled. Otherwise the bound of ``interval``, made at this level, decides, and a
        straddling interval is inconclusive, which passes in neither direction.
    undefined, incomplete
        Why there is no verdict, or None.
    unanimous
        Whether all labels of every prompt are the same.
    """
    if incomplete is not None:
        return Decision("incomplete", settled=True, passed=False, reason=incomplete)
    if threshold is None:
        return Decision(None, settled=True, passed=True, reason=undefined or "no threshold")
    if undefined is not None or value is None:
        if unanimous:
            return _decided(
                "converged", direction, settled=True, reason="all responses have one label"
            )
        why = undefined or "nothing to compare"
        return Decision("undefined", settled=True, passed=False, reason=why)
    if confidence is None:
        settled = interval is not None and not _straddles(interval, threshold)
        return _decided(_side(value, threshold), direction, settled=settled, reason="")
    return _by_bound(value, interval, threshold, direction)


def _by_bound(
    value: float, interval: Interval | None, threshold: float, direction: Direction
) -> Decision:
    if interval is None:
        why = "there is no interval, so no bound can decide"
        return Decision("inconclusive", settled=False, passed=False, reason=why)
    if _straddles(interval, threshold):
        why = (
            f"the {interval.level:.0%} interval [{interval.low:.3f}, {interval.high:.3f}] "
            f"holds the threshold {threshold:g}"
        )
        return Decision("inconclusive", settled=False, passed=False, reason=why)
    return _decided(_side(value, threshold), direction, settled=True, reason="")


def _straddles(interval: Interval, threshold: float) -> bool:
    return interval.low < threshold <= interval.high


def _side(value: float, threshold: float) -> Verdict:
    return "converged" if value >= threshold else "diverged"


def _decided(verdict: Verdict, direction: Direction, *, settled: bool, reason: str) -> Decision:
    passed = (verdict == "converged") == (direction == "converges")
    return Decision(verdict, settled=settled, passed=passed, reason=reason)
