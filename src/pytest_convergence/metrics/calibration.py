"""Does confidence match accuracy? With the rule for bin edges said aloud."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Edges: TypeAlias = Literal["open_closed", "closed_open", "values"]


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Answers of about the same confidence: their number, mean confidence and accuracy."""

    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Expected calibration error, and what it was made of.

    Attributes
    ----------
    error
        Mean over answers of ``|accuracy - confidence|`` of their bin, in [0, 1].
    brier
        Mean squared distance of confidence from 1 (right) or 0 (wrong); knows no bins.
    overconfidence
        Mean confidence minus accuracy, in [-1, 1].
    edges
        The rule that put confidences into bins.
    bins
        The bins that hold answers, by confidence.
    """

    error: float
    brier: float
    overconfidence: float
    edges: Edges
    bins: tuple[CalibrationBin, ...]


def calibration(
    confidences: ArrayLike, correct: ArrayLike, *, bins: int = 10, edges: Edges = "open_closed"
) -> Calibration:
    """Expected calibration error of stated confidences.

    Parameters
    ----------
    confidences, correct
        Shape (n,): in [0, 1], and whether each answer was right.
    bins
        Number of bins of equal width.
    edges
        Where a confidence on an edge belongs, which is where models put theirs: ``"open_closed"``
        takes (.8, .9] as one bin (Guo et al. 2017), ``"closed_open"`` [.8, .9) with 1 in the last.
        On the same answers the two can differ by a third. ``"values"`` makes each distinct
        confidence its own bin and has no edges: right for models that say one of a few numbers.

    References
    ----------
    Naeini, Cooper and Hauskrecht 2015; Guo et al. 2017, "On calibration of modern neural
    networks". Brier 1950.
    """
    stated = np.asarray(confidences, dtype=np.float64)
    right = np.asarray(correct, dtype=np.float64)
    if stated.ndim != 1 or stated.shape != right.shape or not len(stated):
        raise ValueError(f"shapes {stated.shape} and {right.shape} do not hold the same answers")
    if not ((stated >= 0) & (stated <= 1)).all():
        raise ValueError("confidences must lie in [0, 1]")
    found, member = np.unique(_bin_of(stated, bins, edges), return_inverse=True)
    counts = np.bincount(member, minlength=len(found))
    mean_stated = np.bincount(member, weights=stated) / counts
    accuracy = np.bincount(member, weights=right) / counts
    rows = zip(counts.tolist(), mean_stated.tolist(), accuracy.tolist(), strict=True)
    return Calibration(
        error=float(counts @ np.abs(accuracy - mean_stated) / len(stated)),
        brier=float(np.mean((stated - right) ** 2)),
        overconfidence=float(stated.mean() - right.mean()),
        edges=edges,
        bins=tuple(CalibrationBin(*row) for row in rows),
    )


def _bin_of(stated: NDArray[np.float64], bins: int, edges: Edges) -> NDArray[np.float64]:
    if edges == "values":
        return stated
    if bins < 1:
        raise ValueError(f"bins is {bins}, not at least 1")
    # .7 * 10 must be 7 and not 7.000000000000001, or the edge rule is decided by rounding.
    position = np.round(stated * bins, 9)
    if edges == "open_closed":
        binned: NDArray[np.float64] = np.maximum(np.ceil(position) - 1, 0)
    elif edges == "closed_open":
        binned = np.minimum(np.floor(position), bins - 1)
    else:
        raise ValueError(f"edges {edges!r} is not one of open_closed, closed_open, values")
    return binned
