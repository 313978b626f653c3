"""How many of k answers are really different, and how much use they are (NoveltyBench)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence


def distinct_k(classes: Sequence[Hashable]) -> int:
    """Number of different classes among k answers, from 1 to k.

    References
    ----------
    Zhang et al. 2025, "NoveltyBench: Evaluating language models for humanlike diversity".
    """
    if not classes:
        raise ValueError("there are no answers")
    return len(set(classes))


def utility_k(
    classes: Sequence[Hashable], utilities: Sequence[float], *, patience: float = 0.8
) -> float:
    """Utility of k answers to a reader who goes on with probability ``patience`` after each.

    ``(1 - p)/(1 - p^k) sum_i p^(i - 1) [class i is new] u_i``: an answer that repeats an earlier
    one is of no use. Between 0 and the largest utility; order matters.

    Parameters
    ----------
    classes
        Class of each answer, in the order of reading.
    utilities
        Quality of each answer, u_i.
    patience
        p, in (0, 1).

    References
    ----------
    Zhang et al. 2025, "NoveltyBench", with p = .8.
    """
    if len(classes) != len(utilities) or not classes:
        raise ValueError(f"{len(classes)} classes and {len(utilities)} utilities")
    if not 0 < patience < 1:
        raise ValueError(f"patience {patience} is not between 0 and 1")
    seen: set[Hashable] = set()
    total = 0.0
    for position, (name, utility) in enumerate(zip(classes, utilities, strict=True)):
        if name not in seen:
            seen.add(name)
            total += patience**position * utility
    return float((1 - patience) / (1 - patience ** len(classes)) * total)
