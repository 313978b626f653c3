"""Instructions that a program can check, by name; each says why a text does not follow it.

After IFEval's idea of verifiable instructions (Zhou et al., 2023, arXiv 2311.07911); the set, the
wording and the code are this project's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from pytest_convergence.represent.labels.languages import language
from pytest_convergence.represent.labels.reading import plain, sentences, words
from pytest_convergence.represent.layout import (
    BULLET,
    FENCED,
    NUMBERED,
    json_in,
    table_rows,
)

Checked: TypeAlias = str | None
_MINOR = {
    "a", "an", "the", "and", "but", "or", "nor", "for", "of", "to", "in", "on", "at", "by", "with",
    "from", "as", "is",
}  # fmt: skip


def _counted(count: int, what: str, limits: Mapping[str, int]) -> Checked:
    exactly, least, most = (limits.get(key) for key in ("exactly", "at_least", "at_most"))
    wanted = []
    if exactly is not None and count != exactly:
        wanted.append(f"exactly {exactly}")
    if least is not None and count < least:
        wanted.append(f"at least {least}")
    if most is not None and count > most:
        wanted.append(f"at most {most}")
    return f"{count} {what}, wanted {' and '.join(wanted)}" if wanted else None


def _cased(text: str, right: Callable[[str], bool], what: str) -> Checked:
    letters = [character for character in plain(text, whole=True) if character.isalpha()]
    cased = [character for character in letters if character.lower() != character.upper()]
    return None if cased and right("".join(cased)) else f"not in {what}"


def _words(text: str, **limits: int) -> Checked:
    return _counted(len(words(plain(text, whole=True))), "words", limits)


def _sentences(text: str, **limits: int) -> Checked:
    return _counted(len(sentences(plain(text, whole=True))), "sentences", limits)


def _characters(text: str, **limits: int) -> Checked:
    return _counted(len(text.strip()), "characters", limits)


def _paragraphs(text: str, **limits: int) -> Checked:
    found = [part for part in re.split(r"\n\s*\n", text.strip()) if part.strip()]
    return _counted(len(found), "paragraphs", limits)


def _bullets(text: str, **limits: int) -> Checked:
    return _counted(sum(bool(BULLET.match(line)) for line in text.splitlines()), "bullets", limits)


def _numbered(text: str, **limits: int) -> Checked:
    found = sum(bool(NUMBERED.match(line)) for line in text.splitlines())
    return _counted(found, "numbered items", limits)


def _includes(text: str, *, words: Sequence[str], times: int = 1) -> Checked:
    lacking = [word for word in _texts(words) if _occurrences(text, word) < times]
    return f"lacks {', '.join(map(repr, lacking))} ({times} times)" if lacking else None


def _excludes(text: str, *, words: Sequence[str]) -> Checked:
    found = [word for word in _texts(words) if _occurrences(text, word)]
    return f"has {', '.join(map(repr, found))}" if found else None


def _texts(value: Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _occurrences(text: str, word: str) -> int:
    return len(
        re.findall(rf"(?<!\w){re.escape(word)}(?!\w)", plain(text, whole=True), re.IGNORECASE)
    )


def _starts_with(text: str, *, text_: str) -> Checked:
    return None if plain(text, whole=True).startswith(text_) else f"does not start with {text_!r}"


def _ends_with(text: str, *, text_: str) -> Checked:
    return None if plain(text, whole=True).endswith(text_) else f"does not end with {text_!r}"


def _json(text: str, *, keys: Sequence[str] = ()) -> Checked:
    value = json_in(text)
    if value is None:
        return "no JSON object or array"
    if not keys:
        return None
    if not isinstance(value, dict):
        return "a JSON array, not an object"
    lacking = [key for key in _texts(keys) if key not in value]
    return f"lacks the keys {', '.join(lacking)}" if lacking else None


def _language(text: str, *, code: str) -> Checked:
    found = language(plain(text, whole=True))
    return None if found == code else f"in {found or 'no language that can be told'}, not {code}"


def _table(text: str, *, rows: int | None = None) -> Checked:
    found = table_rows(text)
    if found is None:
        return "no table"
    return None if rows is None or found == rows else f"{found} rows, not {rows}"


def _pattern(text: str, *, regex: str) -> Checked:
    return None if re.search(regex, text) else f"nothing matches {regex!r}"


def _title_case(text: str) -> Checked:
    found = re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)*", plain(text, whole=True))
    wrong = [
        word
        for position, word in enumerate(found)
        if not word[0].isupper() and (position == 0 or word.lower() not in _MINOR)
    ]
    return None if found and not wrong else f"not in title case: {', '.join(wrong[:3])}"


@dataclass(frozen=True, slots=True)
class Kind:
    """How a named check is run, and the parameters it takes and needs."""

    run: Callable[..., Checked]
    takes: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


_LIMITS = ("exactly", "at_least", "at_most")
KINDS: Mapping[str, Kind] = {
    "words": Kind(_words, _LIMITS),
    "sentences": Kind(_sentences, _LIMITS),
    "characters": Kind(_characters, _LIMITS),
    "paragraphs": Kind(_paragraphs, _LIMITS),
    "bullets": Kind(_bullets, _LIMITS),
    "numbered": Kind(_numbered, _LIMITS),
    "includes": Kind(_includes, ("words", "times"), ("words",)),
    "excludes": Kind(_excludes, ("words",), ("words",)),
    "starts_with": Kind(lambda said, text: _starts_with(said, text_=text), ("text",), ("text",)),
    "ends_with": Kind(lambda said, text: _ends_with(said, text_=text), ("text",), ("text",)),
    "json": Kind(_json, ("keys",)),
    "language": Kind(_language, ("code",), ("code",)),
    "table": Kind(_table, ("rows",)),
    "code_block": Kind(lambda said: None if FENCED.search(said) else "no code block"),
    "pattern": Kind(_pattern, ("regex",), ("regex",)),
    "lowercase": Kind(lambda said: _cased(said, str.islower, "lower case")),
    "uppercase": Kind(lambda said: _cased(said, str.isupper, "upper case")),
    "title_case": Kind(_title_case),
    "no_commas": Kind(lambda said: "has a comma" if re.search("[,，、]", said) else None),  # noqa: RUF001
    "quoted": Kind(
        lambda said: (
            None if re.fullmatch(r'".*"', plain(said, whole=True), re.DOTALL) else "not in quotes"
        )
    ),
}


def limits_of(parameters: Mapping[str, Any]) -> bool:
    """Whether at least one limit is given."""
    return any(key in parameters for key in _LIMITS)
