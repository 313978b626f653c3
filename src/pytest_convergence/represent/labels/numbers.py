"""Which number? Digits, words, powers and fractions, in the unit asked for."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pytest_convergence.errors import RepresentationError
from pytest_convergence.models.response import Response
from pytest_convergence.represent.features import Label
from pytest_convergence.represent.labels.number_words import with_digits
from pytest_convergence.represent.labels.reading import (
    before,
    plain,
    sentences,
    unlabelled,
    unusable,
)
from pytest_convergence.represent.labels.units import NAMES, check_factors, factor

_SCALES = {"thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
_NUMBER = re.compile(
    r"(?<![\w.])(?P<sign>-\s?(?=[\d.]))?[$€£]?"
    r"(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,3}(?: \d{3})+(?![\d])|\d+(?:\.\d+)?|\.\d+)"
    r"(?:e(?P<exponent>[+-]?\d{1,3})(?![\w]))?"
    r"(?:\s?[x×*·]\s?10\s?(?:\^|\*\*)\s?\{?(?P<power>[+-]?\d{1,3})\}?)?"  # noqa: RUF001
    r"(?:\s?[/⁄]\s?(?P<below>\d+)(?![\d.,/]))?"  # noqa: RUF001
    r"(?:\s(?P<scale>thousand|million|billion|trillion)\b)?",
    re.IGNORECASE,
)
_UNIT = re.compile(r"\s?[-]?\s?(%|[A-Za-zµ°]+)")
_MARK = re.compile(
    r"(?:\bfinal answer\b|\banswer\b|\bresult\b|\btotal\b|####|\\boxed\{)"
    r"(?:\s|[:=$*\-]|\bis\b|\bcomes to\b|\bwould be\b|\babout\b|\bthus\b|\bof\b|\\boxed\{)*$",
    re.IGNORECASE,
)
_CONCLUDES = re.compile(r"^\W*(?:so|therefore|thus|hence|in total|altogether|finally)\b", re.I)
_RESULT = re.compile(r"[=≈]\s*\$?$|\bequals\s+$")
_VAGUE = re.compile(r"^\s*(?:-|to|or|and)\s*$", re.IGNORECASE)
_LABELS_LINE = re.compile(r"^\s*(?:(?:step|part)\s+)?\d+\s*[.):]\s+(?=\D)", re.IGNORECASE | re.M)
_UNSURE = re.compile(r"\b(?:don't know|do not know|can't say|cannot know|unknown|no idea)\b", re.I)


@dataclass(frozen=True, slots=True)
class Number:
    """Labels are numbers in decimal notation; see :func:`number`."""

    unit: str | None = None
    tolerance: float = 0.0
    relative: float = 0.0
    own_units: tuple[tuple[str, float], ...] = ()
    name: str = "number"
    version: str = "1"

    def __call__(self, response: Response, data: Mapping[str, Any]) -> Label:
        """The number given; missing where there is none, or several and none marked."""
        without = unusable(response)
        if without is not None:
            return without
        value, why = self.read(response.text, data)
        if value is None:
            return unlabelled(why)
        expected = _expected(data.get("answer"))
        if expected is None:
            return Label(_shown(_rounded(value, self.tolerance, self.relative)), why=why)
        slack = max(self.tolerance, self.relative * abs(expected))
        # What floating-point conversion adds is never what an answer is wrong by.
        right = abs(value - expected) <= slack + 1e-9 * abs(expected)
        label = expected if right else _rounded(value, self.tolerance, self.relative)
        return Label(_shown(label), correct=right, why=why)

    def read(self, text: str, data: Mapping[str, Any]) -> tuple[float | None, str]:
        """The number in the unit asked for, and what says so; None and why not."""
        unit = self.unit or data.get("unit")
        return _read(plain(text), unit, dict(self.own_units))


def number(
    unit: str | None = None,
    *,
    tolerance: float = 0.0,
    relative: float = 0.0,
    units: Mapping[str, float] | None = None,
) -> Number:
    """A labeller of numbers.

    Parameters
    ----------
    unit
        The unit to report in, or the case's ``unit``; other known units of length, mass, time and
        volume are converted, a number without a unit is taken to be in it.
    tolerance, relative
        Where the case knows its ``answer``, a number no farther from it than the larger of
        ``tolerance`` and ``relative * |answer|`` gets the answer's label. Any other number is
        rounded to a multiple of ``tolerance``, else to the significant digits that ``relative``
        leaves; two close numbers on either side of a rounding edge then differ.
    units
        Further units as ``{name: how many of the unit asked for it is}``.

    Raises
    ------
    RepresentationError
        For a tolerance below 0 or not finite, or a factor that is not positive.
    """
    for name, size in (("tolerance", tolerance), ("relative", relative)):
        if not 0 <= size < math.inf:
            raise RepresentationError(
                f"number({name}={size!r}) cannot be used", fix=["give a number from 0"]
            )
    return Number(unit, float(tolerance), float(relative), check_factors(units or {}))


@dataclass(frozen=True, slots=True)
class _Found:
    value: float
    has_unit: bool
    start: int
    end: int


def _read(text: str, unit: str | None, own: Mapping[str, float]) -> tuple[float | None, str]:
    if _UNSURE.search(text):
        return None, "the answer is not known"
    text = with_digits(_LABELS_LINE.sub("", text))
    found = _numbers(text, unit, own)
    if not found:
        return None, "no number" + (f" in {unit}" if unit else "")
    marked = [one for one in found if _MARK.search(before(text, one.start))]
    if marked:
        return marked[-1].value, "marked as the answer"
    if any(_VAGUE.match(text[a.end : b.start]) for a, b in pairwise(found)):
        return None, "a range or a choice of numbers"
    with_unit = [one for one in found if one.has_unit]
    if unit and with_unit:
        return with_unit[0].value, f"the first in {unit}"
    return _of_prose(text, found)


def _of_prose(text: str, found: Sequence[_Found]) -> tuple[float | None, str]:
    if len({one.value for one in found}) == 1:
        return found[0].value, "the only number"
    parts = sentences(text)
    equals = [one for one in found if _RESULT.search(before(text, one.start))]
    if equals:
        return equals[-1].value, "the last result"
    start = text.rfind(parts[-1])
    last = [one for one in found if one.start >= start]
    if last and _CONCLUDES.match(parts[-1]):
        return last[-1].value, "the conclusion"
    end = text.find(parts[0]) + len(parts[0])
    first = {one.value for one in found if one.start < end}
    if len(first) == 1:
        return first.pop(), "the first sentence"
    return None, "several numbers and none marked"


def _numbers(text: str, unit: str | None, own: Mapping[str, float]) -> list[_Found]:
    found = []
    for match in _NUMBER.finditer(text):
        value = _value(match)
        named = _UNIT.match(text, match.end())
        share = None if unit is None or named is None else factor(named[1], unit, own)
        known = named is not None and (named[1].lower() in NAMES or named[1].lower() in own)
        if value is None or (unit is not None and share is None and known):
            continue
        scaled = value if share is None else value * share
        found.append(_Found(scaled, share is not None, match.start(), match.end()))
    return found


def _value(match: re.Match[str]) -> float | None:
    try:
        value = float(match["digits"].replace(",", "").replace(" ", ""))
        value *= 10.0 ** int(match["exponent"] or 0) * 10.0 ** int(match["power"] or 0)
        value *= _SCALES.get((match["scale"] or "").lower(), 1.0)
        value /= float(match["below"] or 1)
    except (OverflowError, ZeroDivisionError, ValueError):
        return None
    if not math.isfinite(value):
        return None
    return -value if match["sign"] else value


def _expected(given: Any) -> float | None:
    if given is None:
        return None
    if isinstance(given, int | float) and not isinstance(given, bool):
        return float(given)
    value, why = _read(plain(str(given)), None, {})
    if value is None:
        raise RepresentationError(
            f"answer={given!r} is no number", details=[why], fix=["give a number"]
        )
    return value


def _rounded(value: float, tolerance: float, relative: float) -> float:
    if tolerance:
        return round(value / tolerance) * tolerance
    if relative and value:
        digits = max(1, round(-math.log10(relative)))
        return float(f"{value:.{digits}g}")
    return value


def _shown(value: float) -> str:
    """Up to 12 significant digits, without an exponent where they all fit."""
    text = f"{value:.12g}"
    if "e" in text and abs(value) < 1e15:
        text = f"{value:.15f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
