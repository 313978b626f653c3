from __future__ import annotations

from typing import Literal

import pytest

from pytest_convergence.metrics.estimates import Interval
from pytest_convergence.stats.verdicts import decide

Direction = Literal["converges", "diverges"]
ABOVE = Interval(0.75, 0.85, 0.95, "t")
ACROSS = Interval(0.65, 0.95, 0.95, "t")
BELOW = Interval(0.3, 0.5, 0.95, "t")


@pytest.mark.parametrize(
    ("value", "interval", "verdict", "settled"),
    [
        (0.8, ABOVE, "converged", True),
        (0.8, ACROSS, "converged", False),
        (0.68, ACROSS, "diverged", False),
        (0.4, BELOW, "diverged", True),
        (0.8, None, "converged", False),
    ],
)
@pytest.mark.parametrize("direction", ["converges", "diverges"])
def test_by_default_the_estimate_decides_and_a_straddling_interval_leaves_it_unsettled(
    value: float, interval: Interval | None, verdict: str, settled: bool, direction: Direction
) -> None:
    found = decide(value, interval, threshold=0.7, direction=direction)
    assert found.verdict == verdict
    assert found.settled is settled
    assert found.passed is ((verdict == "converged") == (direction == "converges"))


@pytest.mark.parametrize("direction", ["converges", "diverges"])
@pytest.mark.parametrize("interval", [ACROSS, None])
def test_with_a_confidence_an_interval_that_straddles_is_inconclusive_and_never_passes(
    interval: Interval | None, direction: Direction
) -> None:
    found = decide(0.8, interval, threshold=0.7, direction=direction, confidence=0.95)
    assert found.verdict == "inconclusive"
    assert not found.passed
    assert found.reason


def test_with_a_confidence_a_clear_bound_decides() -> None:
    assert decide(0.8, ABOVE, threshold=0.7, direction="converges", confidence=0.95).passed
    assert decide(0.4, BELOW, threshold=0.7, direction="diverges", confidence=0.95).passed


def test_a_bound_on_the_threshold_is_at_or_above_it() -> None:
    on = Interval(0.7, 0.9, 0.95, "t")
    found = decide(0.8, on, threshold=0.7, direction="converges", confidence=0.95)
    assert found.verdict == "converged"
    under = Interval(0.5, 0.7, 0.95, "t")
    found = decide(0.6, under, threshold=0.7, direction="diverges", confidence=0.95)
    assert found.verdict == "inconclusive"


@pytest.mark.parametrize("direction", ["converges", "diverges"])
def test_undefined_and_incomplete_pass_in_neither_direction(direction: Direction) -> None:
    undefined = decide(None, None, threshold=0.7, direction=direction, undefined="two families")
    assert (undefined.verdict, undefined.passed) == ("undefined", False)
    assert undefined.reason == "two families"
    incomplete = decide(
        0.9, ABOVE, threshold=0.7, direction=direction, incomplete="no answers", unanimous=True
    )
    assert (incomplete.verdict, incomplete.passed) == ("incomplete", False)


def test_unanimous_labels_count_as_converged_where_the_score_is_undefined() -> None:
    found = decide(
        None, None, threshold=0.7, direction="converges", undefined="no room", unanimous=True
    )
    assert (found.verdict, found.passed) == ("converged", True)
    found = decide(
        None, None, threshold=0.7, direction="diverges", undefined="no room", unanimous=True
    )
    assert (found.verdict, found.passed) == ("converged", False)


def test_without_a_threshold_nothing_is_asserted_and_nothing_fails() -> None:
    found = decide(None, None, threshold=None, direction="converges", undefined="no room")
    assert found.verdict is None
    assert found.passed
