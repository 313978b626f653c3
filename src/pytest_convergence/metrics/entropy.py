"""Entropy of answers, of clusters of answers, and of next tokens as far as they are shown."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

Correction = Literal["miller-madow"] | None


def entropy(counts: ArrayLike, *, base: float = 2.0, correction: Correction = None) -> float:
    """Shannon entropy of counts or shares, in bits by default.

    Parameters
    ----------
    counts
        Shape (K,). Real counts where a correction is asked for, else shares will do.
    correction
        ``"miller-madow"`` adds (observed classes - 1)/(2 n) nats: the plain estimate is too low
        from few samples, by about that much.

    References
    ----------
    Miller 1955, "Note on the bias of information estimates".
    """
    table = np.asarray(counts, dtype=np.float64)
    total = table.sum()
    if table.ndim != 1 or (table < 0).any() or total <= 0:
        raise ValueError("entropy needs one row of counts of at least 0 that do not sum to 0")
    seen = table[table > 0]
    nats = float(math.log(total) - (seen * np.log(seen)).sum() / total)
    if correction == "miller-madow":
        nats += (len(seen) - 1) / (2 * float(total))
    elif correction is not None:
        raise ValueError(f"correction {correction!r} is not None or 'miller-madow'")
    return max(nats, 0.0) / math.log(base)


def normalized_entropy(counts: ArrayLike, *, correction: Correction = "miller-madow") -> float:
    """Entropy over that of an even spread, in [0, 1]; 0 where one class takes all.

    ``counts`` holds every class that could have occurred, zeros included: what is even depends on
    it. The corrected estimate is cut at 1.
    """
    classes = np.size(counts)
    if classes < 2:
        raise ValueError("normalised entropy needs at least two classes that could have occurred")
    return min(entropy(counts, base=float(classes), correction=correction), 1.0)


def cluster_entropy(
    clusters: Sequence[Hashable],
    *,
    logprobs: Sequence[float] | None = None,
    base: float = math.e,
) -> float:
    """Semantic entropy: that of clusters of equivalent responses, in nats by default.

    Parameters
    ----------
    clusters
        For each response the cluster it belongs to: same meaning, same label.
    logprobs
        Natural-log probability of each response. Clusters then weigh by the normalised sum of
        their responses' probabilities; without it, by the number of responses ("discrete
        semantic entropy").

    References
    ----------
    Farquhar, Kossen, Kuhn and Gal 2024, "Detecting hallucinations in large language models using
    semantic entropy".
    """
    if logprobs is None:
        return entropy(list(Counter(clusters).values()), base=base)
    if len(logprobs) != len(clusters):
        raise ValueError(f"{len(clusters)} clusters but {len(logprobs)} log probabilities")
    shifted = np.exp(np.asarray(logprobs, dtype=np.float64) - max(logprobs))
    mass: dict[Hashable, float] = {}
    for cluster, weight in zip(clusters, shifted.tolist(), strict=True):
        mass[cluster] = mass.get(cluster, 0.0) + weight
    return entropy(list(mass.values()), base=base)


@dataclass(frozen=True, slots=True)
class TokenEntropy:
    """Mean entropy of the next token, in bits, between two bounds.

    Attributes
    ----------
    lower, upper
        What the tokens not shown could at least and at most add; ``upper`` is infinite where the
        size of the vocabulary was not given and some mass is not covered.
    covered
        Mean probability of the tokens shown, in (0, 1].
    tokens
        Number of positions.
    """

    lower: float
    upper: float
    covered: float
    tokens: int


def token_entropy(
    top_logprobs: Sequence[Sequence[float]], *, vocabulary: int | None = None
) -> TokenEntropy:
    """Bounds on the entropy of the next token from the few most likely ones.

    The tokens not shown hold the mass r that is left, each at most as likely as the least likely
    one shown, s. They add at least ``r log2(1/min(r, s))`` (as few tokens as can hold r) and at
    most ``r log2((V - k)/r)`` (spread over all the rest of V).

    Parameters
    ----------
    top_logprobs
        For each position the natural-log probabilities of the k most likely tokens.
    vocabulary
        Number of tokens of the model, V.
    """
    if not top_logprobs or not all(len(row) for row in top_logprobs):
        raise ValueError("token entropy needs at least one position, with at least one token each")
    rows = [_position_bounds(np.asarray(row, dtype=np.float64), vocabulary) for row in top_logprobs]
    lower, upper, covered = (math.fsum(column) / len(rows) for column in zip(*rows, strict=True))
    return TokenEntropy(lower, upper, covered, len(rows))


def _position_bounds(
    logprobs: np.ndarray[tuple[int, ...], np.dtype[np.float64]], vocabulary: int | None
) -> tuple[float, float, float]:
    shown = np.exp(logprobs[np.isfinite(logprobs)])
    covered = float(shown.sum())
    if covered > 1 + 1e-3 or not len(shown):
        raise ValueError(f"log probabilities of one position sum to a probability of {covered:.4f}")
    known = float(-(shown * np.log2(shown)).sum())
    rest = 1.0 - covered
    if rest <= 1e-12:
        return known, known, 1.0
    lower = known + rest * math.log2(1 / min(rest, float(shown.min())))
    if vocabulary is None:
        return lower, math.inf, covered
    if vocabulary <= len(shown):
        raise ValueError(f"{len(shown)} tokens shown of a vocabulary of {vocabulary}")
    upper = known + rest * math.log2((vocabulary - len(shown)) / rest)
    return lower, max(upper, lower), covered
