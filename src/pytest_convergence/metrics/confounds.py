"""What a text similarity may be made of besides meaning: length and format."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike, NDArray

_Floats = NDArray[np.float64]


class Confounds(Struct, frozen=True):
    """Shares of the variance of similarity, within prompts, that surface features explain.

    Attributes
    ----------
    length
        R squared of the difference in length (absolute log ratio), in [0, 1].
    format
        R squared of whether the formats are the same; None where no formats were given.
    together
        R squared of both.
    length_slope
        Change of similarity where one text becomes twice as long as the other.
    format_gap
        Similarity of pairs with one format minus that of pairs with two, at equal length.
    pairs
        Number of pairs of responses.
    """

    length: float
    format: float | None
    together: float
    length_slope: float
    format_gap: float | None
    pairs: int


def length_difference(first: ArrayLike, second: ArrayLike) -> _Floats:
    """Absolute log2 ratio of two lengths, plus one so that empty texts have one: 1 is a doubling.

    Broadcasts; ``length_difference(n[:, None], n)`` gives all pairs.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    ratio: _Floats = np.abs(np.log2((a + 1) / (b + 1)))
    return ratio


def confounds(
    similarity: ArrayLike,
    length_differences: ArrayLike,
    prompts: Sequence[Hashable],
    *,
    same_format: ArrayLike | None = None,
) -> Confounds:
    """How much of the similarity between responses their length and format explain.

    Least squares with one constant a prompt: prompts differ in how long and how alike their
    answers are, and that is no confound. Shares are descriptive; pairs are not independent, so no
    p value comes with them.

    Parameters
    ----------
    similarity, length_differences
        One value for each pair of responses to one prompt, shape (n,).
    prompts
        The prompt of each pair.
    same_format
        Whether both responses of a pair have the same format, shape (n,).
    """
    target = np.asarray(similarity, dtype=np.float64)
    length = np.asarray(length_differences, dtype=np.float64)
    if target.ndim != 1 or target.shape != length.shape or len(prompts) != len(target):
        raise ValueError(
            f"shapes {target.shape}, {length.shape} and {len(prompts)} prompts do not fit"
        )
    numbers: dict[Hashable, int] = {}
    member = np.array(
        [numbers.setdefault(prompt, len(numbers)) for prompt in prompts], dtype=np.intp
    )
    y, x = _within(target, member), _within(length, member)
    of_length, slopes = _explained(y, x[:, None])
    if same_format is None:
        return Confounds(of_length, None, of_length, slopes[0], None, len(target))
    same = _within(np.asarray(same_format, dtype=np.float64), member)
    of_format, _ = _explained(y, same[:, None])
    together, slopes = _explained(y, np.column_stack([x, same]))
    return Confounds(of_length, of_format, together, slopes[0], slopes[1], len(target))


def _within(values: _Floats, member: NDArray[np.intp]) -> _Floats:
    """Values less the mean of their prompt."""
    means = np.bincount(member, weights=values) / np.bincount(member)
    centred: _Floats = values - means[member]
    return centred


def _explained(target: _Floats, covariates: _Floats) -> tuple[float, list[float]]:
    slopes = np.linalg.lstsq(covariates, target, rcond=None)[0]
    total = float(target @ target)
    # Rounding leaves 1e-17 of a target that does not vary.
    if total <= 1e-12 * max(len(target), 1):
        return 0.0, [0.0] * covariates.shape[1]
    left = target - covariates @ slopes
    return float(np.clip(1 - (left @ left) / total, 0.0, 1.0)), slopes.tolist()
