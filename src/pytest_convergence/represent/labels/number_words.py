"""Numbers written as English words, put into digits."""

from __future__ import annotations

import re

_UNITS = {
    word: value
    for value, word in enumerate(
        [
            "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
            "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen",
            "eighteen", "nineteen",
        ]
    )
}  # fmt: skip
_TENS = {
    word: 10 * value
    for value, word in enumerate(
        ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], 2
    )
}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9}
_WORD = "|".join([*sorted((*_UNITS, *_TENS), key=len, reverse=True), "hundred", *_SCALES])
_PHRASE = re.compile(rf"(?<![\w-])(?:{_WORD})(?:(?:[ -]|,? and )(?:{_WORD}))*(?!\w|-[a-z])", re.I)
_LONE_ONE = re.compile(
    r"one(?= (?:of|can|must|could|should|might|may|would|by|another|day|has|is|thing|who|way)\b)"
    r"|(?<=\bno )one|(?<=\bthis )one|(?<=\bthat )one|(?<=\bthe )one|(?<=\bany )one",
    re.IGNORECASE,
)


def with_digits(text: str) -> str:
    """The text with its number words as digits: ``three hundred and sixty-five`` is ``365``."""
    pronouns = {found.start() for found in _LONE_ONE.finditer(text)}
    text = re.sub(r"(?i)\bminus (?=\d|[a-z])", "-", text)
    return _PHRASE.sub(
        lambda found: found[0] if found.start() in pronouns else _digits(found[0]), text
    )


def _digits(phrase: str) -> str:
    words = [word for word in re.split(r"[\s,-]+", phrase.lower()) if word != "and"]
    if len(words) == 1 and words[0] in _SCALES | {"hundred": 100}:
        return phrase
    total = group = 0
    for word in words:
        if word == "hundred":
            group = max(group, 1) * 100
        elif word in _SCALES:
            total += max(group, 1) * _SCALES[word]
            group = 0
        else:
            group += _UNITS[word] if word in _UNITS else _TENS[word]
    return str(total + group)
