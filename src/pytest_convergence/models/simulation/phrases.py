"""How a prompt is recognised: by a phrase in it, letter case, punctuation and slips apart."""

from __future__ import annotations

import re
from collections.abc import Sequence

_WORD = re.compile(r"\w+")
_OPTION = re.compile(r"^\s*[(\[]?([A-Z])[)\].:]\s+(.+?)\s*$", re.MULTILINE)
_LONG_WORD = 5


def words(text: str) -> tuple[str, ...]:
    """The words of a text, letter case and punctuation apart."""
    return tuple(_WORD.findall(text.casefold()))


def options(text: str) -> tuple[tuple[str, str], ...]:
    """The lettered options of a text, ``B) walk`` a line, as (letter, option) in their order."""
    return tuple((found[1], found[2]) for found in _OPTION.finditer(text))


def position(phrase: Sequence[str], text: Sequence[str], *, slips: bool = False) -> int | None:
    """Index of the word at which ``phrase`` first stands in ``text``, or None.

    With ``slips`` each word of five letters or more may differ by one letter: left out, added,
    changed, or swapped with its neighbour.
    """
    same = _same_but_for_a_slip if slips else str.__eq__
    width = len(phrase)
    for start in range(len(text) - width + 1):
        window = text[start : start + width]
        if all(same(wanted, found) for wanted, found in zip(phrase, window, strict=True)):
            return start
    return None


def _same_but_for_a_slip(wanted: str, found: str) -> bool:
    if wanted == found:
        return True
    if len(wanted) < _LONG_WORD or abs(len(wanted) - len(found)) > 1:
        return False
    start = next(
        (i for i, (a, b) in enumerate(zip(wanted, found, strict=False)) if a != b),
        min(len(wanted), len(found)),
    )
    rest, other = wanted[start:], found[start:]
    swapped = rest[:2] == other[:2][::-1] and rest[2:] == other[2:]
    return swapped or rest[1:] == other or rest == other[1:] or rest[1:] == other[1:]
