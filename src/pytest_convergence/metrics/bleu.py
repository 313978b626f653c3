"""Self-BLEU: how well each text of a set is covered by the others."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

_Grams: TypeAlias = Counter[tuple[str, ...]]

# The published rules of WMT's mteval-v13a, in their order.
_RULES_13A = (
    (re.compile(r"([{-~\[-` -&(-+:-@/])"), r" \1 "),
    (re.compile(r"([^0-9])([.,])"), r"\1 \2 "),
    (re.compile(r"([.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
)
_ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))


def tokenize_13a(text: str) -> list[str]:
    """Tokens as WMT's ``mteval-v13a`` makes them: punctuation apart, except inside numbers.

    References
    ----------
    Post 2018, "A call for clarity in reporting BLEU scores"; equal to sacrebleu's ``13a``.
    """
    line = text.rstrip().replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity, character in _ENTITIES:
        line = line.replace(entity, character)
    line = f" {line} "
    for rule, replacement in _RULES_13A:
        line = rule.sub(replacement, line)
    return line.split()


def self_bleu(texts: Sequence[str], *, max_order: int = 4) -> float:
    """Mean BLEU of each text against all the others as references, in [0, 1].

    Higher means that the set repeats itself. Tokeniser 13a, case kept, exponential smoothing and
    effective order: ``sacrebleu.sentence_bleu`` with its defaults, over 100.

    Parameters
    ----------
    texts
        At least two.
    max_order
        Longest n-gram.

    References
    ----------
    Zhu et al. 2018, "Texygen"; Papineni et al. 2002, "BLEU".
    """
    if len(texts) < 2:
        raise ValueError("self-BLEU needs at least two texts")
    if max_order < 1:
        raise ValueError(f"max_order is {max_order}, not at least 1")
    tokens = [tokenize_13a(text) for text in texts]
    grams = [_grams(one, max_order) for one in tokens]
    others = _Others.of(grams)
    lengths = [len(one) for one in tokens]
    scores = [
        _sentence_bleu(grams[i], others, lengths[i], _closest(i, lengths), max_order)
        for i in range(len(texts))
    ]
    return math.fsum(scores) / len(scores)


def _grams(tokens: Sequence[str], max_order: int) -> _Grams:
    return Counter(
        tuple(tokens[i : i + order])
        for order in range(1, max_order + 1)
        for i in range(len(tokens) - order + 1)
    )


@dataclass(frozen=True)
class _Others:
    """The largest count of each n-gram in any text, how many texts reach it, and the next one.

    With these, the largest count among the *others* costs one look instead of a pass over them.
    """

    largest: dict[tuple[str, ...], int]
    holders: dict[tuple[str, ...], int]
    second: dict[tuple[str, ...], int]

    @classmethod
    def of(cls, grams: Sequence[_Grams]) -> _Others:
        largest: dict[tuple[str, ...], int] = {}
        holders: dict[tuple[str, ...], int] = {}
        second: dict[tuple[str, ...], int] = {}
        for one in grams:
            for gram, count in one.items():
                best = largest.get(gram, 0)
                if count > best:
                    largest[gram], holders[gram], second[gram] = count, 1, best
                elif count == best:
                    holders[gram] += 1
                else:
                    second[gram] = max(second.get(gram, 0), count)
        return cls(largest, holders, second)

    def count(self, gram: tuple[str, ...], own: int) -> int:
        """The largest count in a text other than one that has it ``own`` times."""
        if own == self.largest[gram] and self.holders[gram] == 1:
            return self.second[gram]
        return self.largest[gram]


def _closest(index: int, lengths: Sequence[int]) -> int:
    """Length of the reference closest to the text's own; the shorter of two."""
    own = lengths[index]
    others = [length for i, length in enumerate(lengths) if i != index]
    return min(others, key=lambda length: (abs(length - own), length))


def _sentence_bleu(
    grams: _Grams, others: _Others, length: int, reference: int, max_order: int
) -> float:
    matched, total = [0] * max_order, [0] * max_order
    for gram, count in grams.items():
        order = len(gram) - 1
        total[order] += count
        matched[order] += min(count, others.count(gram, count))
    if not any(matched):
        return 0.0
    penalty = 1.0 if length >= reference else math.exp(1 - reference / length)
    logs: list[float] = []
    halvings = 0
    for hits, possible in zip(matched, total, strict=True):
        if possible == 0:
            break
        if hits == 0:
            halvings += 1
        logs.append(math.log(hits / possible if hits else 1 / (2**halvings * possible)))
    return penalty * math.exp(math.fsum(logs) / len(logs))
