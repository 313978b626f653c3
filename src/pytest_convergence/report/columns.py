"""Columns of a terminal: widths as they are seen, and the signs that it can show."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

from msgspec import Struct


class Signs(Struct, frozen=True):
    """What bars and cut texts are drawn with."""

    band: str
    outside: str
    value: str
    threshold: str
    itself: str
    cut: str


UNICODE = Signs("─", "·", "●", "┃", "·", "…")
ASCII = Signs("-", ".", "o", "|", ".", "...")


def signs_for(encoding: str | None) -> Signs:
    """The signs that an output of this encoding can carry."""
    try:
        "".join((UNICODE.band, UNICODE.value, UNICODE.threshold, UNICODE.cut)).encode(
            encoding or "ascii"
        )
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE


def seen_width(text: str) -> int:
    """Columns that a text takes: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.combining(character)
        else 2
        if unicodedata.east_asian_width(character) in "WF"
        else 1
        for character in text
    )


def shortened(text: str, width: int, signs: Signs) -> str:
    """A text in at most ``width`` columns, with a sign where it was cut."""
    if seen_width(text) <= width:
        return text
    room = width - len(signs.cut)
    kept, used = "", 0
    for character in text:
        used += seen_width(character)
        if used > room:
            break
        kept += character
    return kept + signs.cut


def padded(text: str, width: int, signs: Signs) -> str:
    """A text in exactly ``width`` columns."""
    short = shortened(text, width, signs)
    return short + " " * (width - seen_width(short))


def bar(entry: Mapping[str, Any], width: int, signs: Signs) -> str:
    """An entry on an axis from 0 to 1: its band, its threshold and, on top, its value.

    A group's band runs from floor to ceiling, and its threshold, which is for the score, lies
    between them; a case has no floor, so its band ends at within.
    """
    cells = [signs.outside] * width

    def place(value: float) -> int:
        return round(min(max(value, 0.0), 1.0) * (width - 1))

    floor, ceiling, value, threshold = _axis(entry)
    if floor is not None and ceiling is not None:
        for cell in range(place(floor), place(ceiling) + 1):
            cells[cell] = signs.band
    if threshold is not None:
        cells[place(threshold)] = signs.threshold
    if value is not None:
        cells[place(value)] = signs.value
    return "".join(cells)


def _axis(
    entry: Mapping[str, Any],
) -> tuple[float | None, float | None, float | None, float | None]:
    threshold, value = entry["threshold"], entry["value"]
    if entry["quantity"] != "score":
        within = entry.get("within")
        return (None if within is None else 0.0), within, value, threshold
    floor, ceiling = entry.get("floor"), entry.get("ceiling")
    mapped = None
    if threshold is not None and value is not None and floor is not None and ceiling is not None:
        mapped = floor + threshold * (ceiling - floor)
    return floor, ceiling, entry.get("similarity"), mapped
