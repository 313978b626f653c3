from __future__ import annotations

import numpy as np
import pytest

from pytest_convergence.metrics.calibration import Edges, calibration

CONFIDENCES = [0.9] * 10 + [0.95] * 10 + [0.8] * 10
RULES: tuple[Edges, ...] = ("open_closed", "closed_open")
CORRECT = [True] * 10 + [True] * 5 + [False] * 5 + [True] * 6 + [False] * 4


def test_each_distinct_confidence_can_be_its_own_bin() -> None:
    result = calibration(CONFIDENCES, CORRECT, edges="values")
    assert [one.count for one in result.bins] == [10, 10, 10]
    assert [one.confidence for one in result.bins] == pytest.approx([0.8, 0.9, 0.95])
    assert [one.accuracy for one in result.bins] == pytest.approx([0.6, 1.0, 0.5])
    assert result.error == pytest.approx((0.2 + 0.1 + 0.45) / 3)


@pytest.mark.parametrize("bins", [3, 5, 7, 10, 20, 100])
def test_edges_are_decided_by_the_rule_and_not_by_rounding(bins: int) -> None:
    edges = np.arange(1, bins) / bins
    for rule in RULES:
        result = calibration(edges, np.ones(bins - 1), bins=bins, edges=rule)
        assert len(result.bins) == bins - 1
    pair = [edges[0], edges[0] - 1e-4]
    assert len(calibration(pair, [1, 1], bins=bins).bins) == 1
    assert len(calibration(pair, [1, 1], bins=bins, edges="closed_open").bins) == 2


def test_zero_and_one_have_a_bin_under_either_rule() -> None:
    for rule in RULES:
        result = calibration([0.0, 1.0], [0, 1], edges=rule)
        assert result.error == 0.0
        assert result.brier == 0.0
        assert len(result.bins) == 2


def test_overconfidence_is_signed() -> None:
    assert calibration([0.9, 0.9], [1, 0]).overconfidence == pytest.approx(0.4)
    assert calibration([0.2, 0.2], [1, 0]).overconfidence == pytest.approx(-0.3)


def test_unusable_answers_are_refused() -> None:
    with pytest.raises(ValueError, match="same answers"):
        calibration([0.5], [1, 0])
    with pytest.raises(ValueError, match="lie in"):
        calibration([50.0], [1])
    with pytest.raises(ValueError, match="bins is 0"):
        calibration([0.5], [1], bins=0)
    with pytest.raises(ValueError, match="edges"):
        calibration([0.5], [1], edges="closed")  # type: ignore[arg-type]
