"""How much a set of texts repeats itself: n-grams, compression, the texts' effective number.

Tokens are runs of anything but white space, case kept, unless a function says otherwise.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Tokenizer: TypeAlias = Callable[[str], Sequence[str]]


def _ngrams(tokens: Sequence[str], order: int) -> list[tuple[str, ...]]:
    return [tuple(tokens[i : i + order]) for i in range(len(tokens) - order + 1)]


def _pooled(texts: Sequence[str], order: int, tokenize: Tokenizer) -> list[tuple[str, ...]]:
    pooled = [gram for text in texts for gram in _ngrams(tokenize(text), order)]
    if not pooled:
        raise ValueError(f"no text has {order} tokens")
    return pooled


def distinct_n(texts: Sequence[str], *, order: int = 2, tokenize: Tokenizer = str.split) -> float:
    """Distinct n-grams over all n-grams of the texts together, in (0, 1].

    It falls with the amount of text: compare only sets of about equal length, or use
    `expectation_adjusted_distinct`.

    References
    ----------
    Li et al. 2016, "A diversity-promoting objective function for neural conversation models".
    """
    pooled = _pooled(texts, order, tokenize)
    return len(set(pooled)) / len(pooled)


def expectation_adjusted_distinct(
    texts: Sequence[str], *, vocabulary: int, order: int = 1, tokenize: Tokenizer = str.split
) -> float:
    """EAD: distinct n-grams over their expected number had each been drawn evenly.

    ``N/(V [1 - ((V - 1)/V)^C])`` for N distinct of C n-grams out of V possible ones; unlike
    distinct-n it does not fall with length by itself.

    Parameters
    ----------
    vocabulary
        V, the number of n-grams that could occur.

    References
    ----------
    Liu et al. 2022, "Rethinking and refining the Distinct metric".
    """
    pooled = _pooled(texts, order, tokenize)
    distinct = len(set(pooled))
    if vocabulary < distinct or vocabulary < 2:
        raise ValueError(f"a vocabulary of {vocabulary} cannot hold {distinct} distinct n-grams")
    # log1p and expm1: for V in the millions the plain powers lose half their digits.
    expected = -vocabulary * math.expm1(len(pooled) * math.log1p(-1 / vocabulary))
    return distinct / expected


def compression_ratio(texts: Sequence[str]) -> float:
    """Bytes of the texts, joined by line feeds, over their bytes compressed; higher repeats more.

    DEFLATE at level 9 (``zlib``), whose last digits may differ between zlib builds. It grows with
    the amount of text: compare only sets of about equal length.

    References
    ----------
    Shaib et al. 2024, "Standardizing the measurement of text diversity".
    """
    raw = "\n".join(texts).encode("utf-8", "surrogatepass")
    if not raw:
        raise ValueError("there is no text")
    return len(raw) / len(zlib.compress(raw, 9))


def self_repetition(
    texts: Sequence[str], *, order: int = 4, tokenize: Tokenizer = str.split
) -> float:
    """Mean over texts of ``log(1 + sum_i N_i)``, N_i being the other texts that hold n-gram i.

    At least 0, where no n-gram occurs in two texts; the sum runs over the text's n-grams.

    References
    ----------
    Salkar et al. 2022, "Self-repetition in abstractive neural summarizers". The package
    ``diversity`` of Shaib et al. adds 1 for every n-gram instead of 1 for the text, and so grows
    with length where nothing is repeated.
    """
    if not texts:
        raise ValueError("there are no texts")
    grams = [_ngrams(tokenize(text), order) for text in texts]
    holders = Counter(gram for one in grams for gram in set(one))
    return math.fsum(math.log1p(sum(holders[g] - 1 for g in one)) for one in grams) / len(texts)


def vendi_score(similarity: ArrayLike, *, order: float = 1.0) -> float:
    """Effective number of different items: 1 where all are alike, n where none are.

    The exponential of the Renyi entropy of the eigenvalues of ``similarity/n``.

    Parameters
    ----------
    similarity
        Shape (n, n), symmetric, positive semidefinite, ones on the diagonal.
    order
        q > 0; 1 is Shannon's, ``math.inf`` looks at the largest eigenvalue alone. The larger it
        is, the less rare items count.

    References
    ----------
    Friedman and Dieng 2023, "The Vendi Score"; Pasarkar and Dieng 2024 for other orders. Equal to
    the package ``vendi-score``.
    """
    table = np.asarray(similarity, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or not len(table):
        raise ValueError(f"similarity has shape {table.shape}, not (n, n)")
    if not np.allclose(np.diagonal(table), 1.0) or not np.allclose(table, table.T):
        raise ValueError("similarity must be symmetric with ones on its diagonal")
    return _effective_number(np.linalg.eigvalsh(table / len(table)), order)


def vendi_score_of_features(features: ArrayLike, *, order: float = 1.0) -> float:
    """The Vendi score of unit vectors, shape (n, d), by whichever Gram matrix is smaller."""
    vectors = np.asarray(features, dtype=np.float64)
    if vectors.ndim != 2 or not len(vectors):
        raise ValueError(f"features have shape {vectors.shape}, not (n, d)")
    if not np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-4):
        raise ValueError("features must be unit vectors")
    dual = vectors.shape[0] > vectors.shape[1]
    gram = vectors.T @ vectors if dual else vectors @ vectors.T
    return _effective_number(np.linalg.eigvalsh(gram / len(vectors)), order)


def _effective_number(eigenvalues: NDArray[Any], order: float) -> float:
    if order <= 0:
        raise ValueError(f"order {order} is not above 0")
    # Rounding leaves 1e-17 where there is no eigenvalue, and a small order would count it.
    weights = eigenvalues[eigenvalues > 1e-13]
    entropy: Any
    if order == 1:
        entropy = -(weights * np.log(weights)).sum()
    elif math.isinf(order):
        entropy = -np.log(weights.max())
    else:
        entropy = np.log((weights**order).sum()) / (1 - order)
    return float(np.exp(entropy))
