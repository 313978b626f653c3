"""How far apart two distributions of answers or of words are, and the two-part hybrid score.

Divergences are in bits (base 2) unless a function says otherwise. Distributions are given as
counts or probabilities over one shared support along the last axis; leading axes are vectorised.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_WORD = re.compile(r"\w+")


def probabilities(counts: ArrayLike, *, smoothing: float = 0.0) -> Floats:
    """Counts with ``smoothing`` added to each, divided by their sum along the last axis."""
    table = np.asarray(counts, dtype=np.float64) + smoothing
    total = table.sum(axis=-1, keepdims=True)
    if (table < 0).any() or not (total > 0).all():
        raise ValueError("a distribution needs counts of at least 0 that do not sum to 0")
    shares: Floats = table / total
    return shares


def aligned_counts(first: Iterable[Hashable], second: Iterable[Hashable]) -> tuple[Floats, Floats]:
    """Counts of answers, labels or words over what occurs in either, in the same order."""
    counted = Counter(first), Counter(second)
    support = sorted(set(counted[0]) | set(counted[1]), key=lambda x: (type(x).__name__, str(x)))
    a, b = (np.array([float(one[x]) for x in support]) for one in counted)
    return a, b


def words(texts: Iterable[str]) -> list[str]:
    """Casefolded runs of letters, digits and underscores of all texts."""
    return [word for text in texts for word in _WORD.findall(text.casefold())]


def kl_divergence(
    first: ArrayLike, second: ArrayLike, *, smoothing: float = 1.0, base: float = 2.0
) -> Any:
    """Kullback-Leibler divergence ``sum_k p_k log(p_k/q_k)`` of ``first`` from ``second``.

    Parameters
    ----------
    first, second
        Counts over one support, shape (..., K).
    smoothing
        Added to every count, one by default: without it one unseen answer makes the divergence
        infinite. Probabilities are counts too, so give 0 for those that need none.

    Returns
    -------
    float or ndarray
        At least 0, not symmetric; shape of the leading axes.
    """
    p, q = probabilities(first, smoothing=smoothing), probabilities(second, smoothing=smoothing)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * (np.log(p) - np.log(q)), 0.0)
    return _scalar(np.maximum(terms.sum(axis=-1), 0.0) / np.log(base))


def js_divergence(first: ArrayLike, second: ArrayLike, *, smoothing: float = 0.0) -> Any:
    """Jensen-Shannon divergence in bits, in [0, 1]: 0 for the same distribution, 1 for disjoint.

    It is the mean divergence of the two from their mixture, finite without smoothing.
    ``scipy.spatial.distance.jensenshannon`` returns its square root, in nats.

    References
    ----------
    Lin 1991, "Divergence measures based on the Shannon entropy".
    """
    p, q = probabilities(first, smoothing=smoothing), probabilities(second, smoothing=smoothing)
    middle = (p + q) / 2
    to_middle = [kl_divergence(one, middle, smoothing=0.0) for one in (p, q)]
    return _scalar(np.clip((to_middle[0] + to_middle[1]) / 2, 0.0, 1.0))


def js_distance(first: ArrayLike, second: ArrayLike, *, smoothing: float = 0.0) -> Any:
    """Root of the Jensen-Shannon divergence in bits: a metric, in [0, 1]."""
    return _scalar(np.sqrt(js_divergence(first, second, smoothing=smoothing)))


def js_similarity(first: ArrayLike, second: ArrayLike, *, smoothing: float = 0.0) -> Any:
    """1 minus the Jensen-Shannon divergence in bits, in [0, 1]."""
    return _scalar(1.0 - js_divergence(first, second, smoothing=smoothing))


def total_variation(first: ArrayLike, second: ArrayLike, *, smoothing: float = 0.0) -> Any:
    """Half the sum of absolute differences: the largest difference in any event's probability."""
    p, q = probabilities(first, smoothing=smoothing), probabilities(second, smoothing=smoothing)
    return _scalar(np.abs(p - q).sum(axis=-1) / 2)


def measure_of(metric: str) -> Callable[[ArrayLike, ArrayLike], float]:
    """The similarity of two vectors of counts that ``"js"`` or ``"total-variation"`` names."""
    if metric == "js":
        return lambda first, second: float(js_similarity(first, second))
    return lambda first, second: 1.0 - float(total_variation(first, second))


class Hybrid(Struct, frozen=True):
    """The two-part score of two models on one prompt, and its parts, each in [0, 1].

    ``kl`` is the mean of both directions in nats, ``js_distance`` the root of the divergence in
    bits; both over word distributions with one added to every count.
    """

    score: float
    cosine: float
    distributional: float
    kl: float
    js_distance: float


def hybrid(cosine: float, first: Sequence[str], second: Sequence[str]) -> Hybrid:
    """40 % meaning and 60 % wording: ``.4 cosine + .6 [.6 exp(-KL) + .4 (1 - JS distance)]``.

    Parameters
    ----------
    cosine
        Mean cosine between the two models' embeddings; clipped to [0, 1].
    first, second
        The two models' responses to the prompt; the words of each are pooled.

    Notes
    -----
    Four things differ from the study this score comes from. Its KL went one way, so that the
    score depended on the order of the models; its JS distance was in nats, so that disjoint
    distributions still scored .17; 1e-8 stood in for unseen words, so that a few of them made
    KL's part 0; and its vocabulary was that of the whole panel, so that a pair's
    score moved with the models beside it. The score has no floor and no ceiling: a constant part
    of it is due to words that all texts share.
    """
    counts = aligned_counts(words(first), words(second))
    if not all(one.sum() for one in counts):
        raise ValueError("a model's responses hold no words")
    meaning = float(np.clip(cosine, 0.0, 1.0))
    kl = float(
        (kl_divergence(*counts, base=np.e) + kl_divergence(counts[1], counts[0], base=np.e)) / 2
    )
    distance = float(js_distance(*counts, smoothing=1.0))
    wording = 0.6 * float(np.exp(-kl)) + 0.4 * (1.0 - distance)
    return Hybrid(0.4 * meaning + 0.6 * wording, meaning, wording, kl, distance)


def hybrid_pairs(cosines: ArrayLike, texts: Sequence[Sequence[str]]) -> Floats:
    """The hybrid score of every pair of M models on one prompt, shape (M, M); nan on the diagonal.

    Parameters
    ----------
    cosines
        Mean cosine between the responses of each pair, shape (M, M).
    texts
        ``texts[m]`` are model m's responses.
    """
    table = np.asarray(cosines, dtype=np.float64)
    scores = np.full((len(texts), len(texts)), np.nan)
    for a in range(len(texts)):
        for b in range(a):
            scores[a, b] = scores[b, a] = hybrid(float(table[a, b]), texts[a], texts[b]).score
    return scores


def _scalar(value: Any) -> Any:
    """A float where there were no leading axes."""
    return float(value) if np.ndim(value) == 0 else value
