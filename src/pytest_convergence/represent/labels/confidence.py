"""How sure does the model say it is? A stated number, or a word of estimative probability."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from pytest_convergence.errors import RepresentationError
from pytest_convergence.models.response import Response
from pytest_convergence.represent.features import Label
from pytest_convergence.represent.labels.number_words import with_digits
from pytest_convergence.represent.labels.reading import plain, unlabelled, unusable

Closed: TypeAlias = Literal["left", "right"]

# Sherman Kent, "Words of Estimative Probability", Studies in Intelligence 8(4), 1964.
KENT: tuple[tuple[str, float], ...] = (
    (r"almost certainly not|almost certain(?:ly)? (?:to be )?(?:false|wrong)", 0.07),
    (r"almost certain(?:ly)?", 0.93),
    (r"probably not|improbable|unlikely", 0.30),
    (r"chances (?:are )?about even|about even chances?", 0.50),
    (r"probab(?:le|ly)|likely", 0.75),
)
_SURE = r"(?:confiden(?:ce|t)|certain(?:ty)?|sure|probability|likelihood|likely|chance)"
_VALUE = r"(?P<value>\d{1,3}(?:\.\d+)?|\.\d+)\s*"
_VALUE += r"(?P<of>%|percent\b|/\s*10\b(?!0)|/\s*100\b|out of 100?\b)?"
_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b(?:confidence|certainty|probability|likelihood)(?:\s+(?:level|score|rating"
        rf"|in \w+(?: \w+)?))?"
        r"(?P<scale>\s*\(\s*0(?:%)?\s*(?:-|to)\s*(?:1|10|100)(?:%)?\s*\))?[\"']?"
        rf"\s*(?:\bat\b|\bis\b|\bof\b|\baround\b|\babout\b|\bvery\b"
        rf"|\bhigh\b|\bmoderate\b|\bmedium\b|\blow\b|[:=~(|,\s])*{_VALUE}",
        rf"{_VALUE}\s*[- ]?{_SURE}\b",
        r"\bconfidence\s*\|\s*\n\|[-| :]+\|\s*\n(?:\|[^|\n]*)*?\|\s*(?P<value>\d{1,3}(?:\.\d+)?)"
        r"\s*(?P<of>%)\s*\|",
    )
)


@dataclass(frozen=True, slots=True)
class Confidence:
    """Labels are bins of stated confidence; see :func:`confidence`."""

    bins: int = 10
    closed: Closed = "left"
    words: tuple[tuple[str, float], ...] = KENT
    name: str = "confidence"
    version: str = "1"

    def __call__(self, response: Response, data: Mapping[str, Any]) -> Label:  # noqa: ARG002
        """The bin of the confidence stated; missing where none is."""
        without = unusable(response)
        if without is not None:
            return without
        value = self.stated(response.text)
        if value is None:
            return unlabelled("no confidence stated")
        return Label(self.bin(value), why=f"states {value:g}")

    def stated(self, text: str) -> float | None:
        """The confidence stated, from 0 to 1; for calibration, which needs the number itself."""
        shown = plain(text)
        read = with_digits(shown)
        for pattern in _PATTERNS:
            found = [
                value for match in pattern.finditer(read) if (value := _value(match)) is not None
            ]
            if found:
                return found[-1]
        return next(
            (p for form, p in self.words if re.search(rf"\b(?:{form})\b", shown, re.I)), None
        )

    def bin(self, value: float) -> str:
        """The interval of a confidence: ``[0.8, 0.9)`` or, closed right, ``(0.8, 0.9]``."""
        scaled = value * self.bins
        # 0.7 * 10 is 7.000000000000001 in floating point: an edge is meant where it is this near.
        nearest = round(scaled)
        scaled = nearest if abs(scaled - nearest) < 1e-9 else scaled
        index = math.floor(scaled) if self.closed == "left" else math.ceil(scaled) - 1
        index = min(max(index, 0), self.bins - 1)
        low, high = (f"{edge / self.bins:.4g}" for edge in (index, index + 1))
        opening = "[" if self.closed == "left" or index == 0 else "("
        closing = "]" if self.closed == "right" or index == self.bins - 1 else ")"
        return f"{opening}{low}, {high}{closing}"


def confidence(
    bins: int = 10,
    *,
    closed: Closed = "left",
    words: Mapping[str, float] | None = None,
) -> Confidence:
    """A labeller of verbalised confidence, in bins of equal width.

    Parameters
    ----------
    bins
        How many, from 1.
    closed
        The edge rule. ``"left"``: a confidence on an edge belongs to the bin above it, and the
        last bin holds 1. ``"right"``: to the bin below it, and the first holds 0. Models like to
        state edges (.8, .9), so the rule shows in every calibration error.
    words
        Expressions (regular expressions) and the probability each stands for, tried in order
        where no number is stated; Kent's by default, ``{}`` for none.

    Raises
    ------
    RepresentationError
        For a number of bins below 1, an unknown edge rule or a probability outside 0 to 1.
    """
    given = KENT if words is None else tuple(words.items())
    outside = [value for _, value in given if not 0 <= value <= 1]
    if bins < 1 or closed not in ("left", "right") or outside:
        raise RepresentationError(
            f"confidence({bins}, closed={closed!r}, words=…) cannot be used",
            fix=['give bins from 1, closed="left" or "right", and probabilities from 0 to 1'],
        )
    return Confidence(int(bins), closed, given)


def _value(match: re.Match[str]) -> float | None:
    value = float(match["value"])
    of = re.sub(r"\s", "", (match["of"] or "").lower())
    scale = match.groupdict().get("scale") or ""
    if of in ("/10", "outof10") or re.search(r"(?:-|to)\s*10\s*\)", scale):
        value /= 10
    elif of or value > 1 or "100" in scale:
        # A percentage. Without a sign, 1 is taken for certainty and 80 for per cent.
        value /= 100
    return value if 0 <= value <= 1 else None
