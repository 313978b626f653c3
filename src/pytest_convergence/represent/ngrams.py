"""Texts as hashed character or word n-grams, and the normal form that matching compares.

The hash depends on nothing but the text: not on the process, the machine, its byte order or
``PYTHONHASHSEED``. Sums of features made in different workers can therefore be added.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from itertools import chain

import numpy as np
from numpy.typing import NDArray

WIDTH = 2048

_Words = NDArray[np.uint64]

# Typographic apostrophes, quotes and minus signs, written as escapes because they look alike.
_STRAIGHT = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201b\u02bc\u00b4`", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb", '"'),
        **dict.fromkeys("\u2212\u2010\u2011", "-"),
    }
)
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_EDGE_UNDERSCORES = re.compile(r"(?<![^\W_])_+|_+(?![^\W_])")
# What carries meaning stays: the point in 3.5, the sign of -5, 5 %, the apostrophe of don't.
_MARK = re.compile(r"(?<=\d)[.:/](?=\d)|(?<=\w)'(?=\w)|(?<=\d)%|(?<!\S)-(?=\d)|([^\w\s])")
_ROWS_AT_ONCE = 1024


def normalize_text(text: str) -> str:
    """The text without case, punctuation, markup and spacing; what "normalized" matching compares.

    Unicode NFKC, casefold, straight quotes; thousands separators, punctuation and Markdown marks
    go, except a decimal point, a time's colon, a leading minus, a percent sign and an apostrophe
    inside a word. Negations, numbers, currency signs and emoji stay. A text of nothing but
    punctuation is kept as it is.

    Examples
    --------
    >>> normalize_text("**The answer is 1,250.50 €!**")
    'the answer is 1250.50 €'
    """
    plain = unicodedata.normalize("NFKC", text.translate(_STRAIGHT)).translate(_STRAIGHT).casefold()
    plain = _EDGE_UNDERSCORES.sub(" ", _THOUSANDS.sub("", plain))
    words = _MARK.sub(_kept_mark, plain).split()
    return " ".join(words) if words else text.strip()


def _kept_mark(match: re.Match[str]) -> str:
    mark = match.group(1)
    if mark is None:
        return match.group()
    category = unicodedata.category(mark)
    if category == "Cf":
        return ""
    return " " if category[0] == "P" or category in ("Sk", "Cc") else mark


def character_ngrams(
    texts: Sequence[str], *, orders: Sequence[int] = (3,), width: int = WIDTH
) -> NDArray[np.float32]:
    """Unit vectors of hashed character n-gram counts, shape (len(texts), width).

    Case and runs of white space are ignored; a space is put before and after each text.

    Parameters
    ----------
    orders
        Lengths of the n-grams, in characters.
    width
        Number of buckets. The inner product of two vectors estimates the cosine of their n-gram
        counts without bias, with a standard deviation of at most ``sqrt(2 / width)``.

    References
    ----------
    Weinberger et al. 2009, "Feature hashing for large scale multitask learning": a hashed sign
    keeps collisions from adding up.
    """
    padded = [f" {' '.join(text.casefold().split())} " for text in texts]
    codes = [
        np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
        for text in padded
    ]
    return _hashed(texts, codes, orders, width)


def word_ngrams(
    texts: Sequence[str], *, orders: Sequence[int] = (1, 2), width: int = WIDTH
) -> NDArray[np.float32]:
    """Unit vectors of hashed word n-gram counts, shape (len(texts), width).

    Words are those of `normalize_text`, split at white space: for a script without spaces use
    `character_ngrams`. Parameters and reference as there.
    """
    words = [normalize_text(text).split() for text in texts]
    known = {word: _stable_hash(word) for word in sorted(set(chain.from_iterable(words)))}
    codes = [np.array([known[word] for word in row], dtype=np.uint64) for row in words]
    return _hashed(texts, codes, orders, width)


def _stable_hash(text: str) -> int:
    encoded = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(encoded, digest_size=8).digest(), "little")


def _hashed(
    texts: Sequence[str], codes: Sequence[_Words], orders: Sequence[int], width: int
) -> NDArray[np.float32]:
    if width < 1 or not orders or min(orders) < 1:
        raise ValueError(f"orders {tuple(orders)} and width {width} must be at least 1")
    features = np.zeros((len(codes), width), dtype=np.float32)
    for start in range(0, len(codes), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        features[rows] = _hashed_rows(texts[rows], codes[rows], orders, width)
    return features


def _hashed_rows(
    texts: Sequence[str], codes: Sequence[_Words], orders: Iterable[int], width: int
) -> NDArray[np.float64]:
    flat = np.concatenate([*codes, np.empty(0, dtype=np.uint64)])
    row_of = np.repeat(np.arange(len(codes)), [len(code) for code in codes])
    counts = np.zeros(len(codes) * width)
    for order in orders:
        if len(flat) >= order:
            whole = row_of[: len(flat) - order + 1] == row_of[order - 1 :]
            grams = _windows(flat, order)[whole]
            rows = row_of[order - 1 :][whole]
            cells = rows * width + _buckets(grams, width)
            counts += np.bincount(cells, weights=_signs(grams), minlength=len(counts))
    table = counts.reshape(len(codes), width)
    norms = np.linalg.norm(table, axis=1)
    # A text too short for the order, or one whose buckets cancel, stands for itself alone.
    for row in np.flatnonzero(norms == 0).tolist():
        table[row, _stable_hash(texts[row]) % width] = norms[row] = 1.0
    unit: NDArray[np.float64] = table / norms[:, None]
    return unit


def _windows(codes: _Words, order: int) -> _Words:
    """One 64-bit hash for each run of ``order`` codes."""
    count = len(codes) - order + 1
    hashes = np.full(count, order, dtype=np.uint64)
    for offset in range(order):
        hashes = _mix(hashes ^ _mix(codes[offset : offset + count]))
    return hashes


def _mix(values: _Words) -> _Words:
    """SplitMix64's step and finaliser (Steele, Lea and Flood 2014), modulo 2^64."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _buckets(hashes: _Words, width: int) -> NDArray[np.int64]:
    return ((hashes >> np.uint64(1)) % np.uint64(width)).astype(np.int64)


def _signs(hashes: _Words) -> NDArray[np.float64]:
    return np.where(hashes & np.uint64(1), 1.0, -1.0)
