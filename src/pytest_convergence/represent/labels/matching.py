"""Is it the expected answer? Exact and alias matching of whole words, negations left out."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_convergence.errors import RepresentationError
from pytest_convergence.models.response import Response
from pytest_convergence.represent.features import Label
from pytest_convergence.represent.labels.reading import (
    before,
    plain,
    sentences,
    unlabelled,
    unusable,
)

OTHER = "other"

_SMALL = [
    "zero", "one", "two", "three", "four", "five", "six",
    "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
]  # fmt: skip
_NUMBERS = {word: str(value) for value, word in enumerate(_SMALL)}
_ARTICLES = {"a", "an", "the"}
_TOKEN = re.compile(r"-?\d+(?:[.,]\d+)*|[^\W_]+(?:['.][^\W_]+)*")

_NEGATION = re.compile(
    r"\b(?:not|isn't|wasn't|aren't|never|neither|nor|rather than|instead of|ain't|no longer"
    r"|contrary to|other than)"
    r"(?: (?:be|actually|simply|in|by|from|called|the|a|an|just|only|even|written|really|of))*\W*$",
    re.IGNORECASE,
)
_ONLY = re.compile(r"\bnot (?:only|just|simply)\W*$", re.IGNORECASE)
_STATES = re.compile(
    r"(?:\b(?:is|was|are|were|it's|that's|called|named|written by|made by|done by|would be)"
    r"|\banswer:)\W*(?:the )?\W*$",
    re.IGNORECASE,
)
_ASIDE = re.compile(
    r"\b(?:many|most|some|people|often|commonly|popularly|tempt\w*|guess\w*|thought|thinks?|might"
    r" (?:say|think|guess|be)|could be|although|though|while|despite|unlike|contrary|used to be"
    r"|formerly|until|confused with|mistake\w*)\b",
    re.IGNORECASE,
)
_UNSURE = re.compile(
    r"\b(?:do(?:n't| not) know|not sure|unsure|uncertain|no idea|can(?:'t|not) (?:say|tell|answer"
    r"|determine))\b(?!.*\b(?:but|however|think|believe|guess)\b)",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Matches:
    """Labels are canonical answers or ``other``; see :func:`matches`."""

    answer: str | None = None
    aliases: tuple[str, ...] = ()
    alternatives: tuple[tuple[str, tuple[str, ...]], ...] = ()
    exact: bool = False
    other: str = OTHER
    name: str = "matches"
    version: str = "1"

    def __call__(self, response: Response, data: Mapping[str, Any]) -> Label:
        """The canonical answer that the response gives; right where that is the expected one."""
        without = unusable(response)
        if without is not None:
            return without
        answer = self.answer if self.answer is not None else data.get("answer")
        known = _known(self, answer, data)
        text = plain(response.text)
        found = _whole_matches(text, known) if self.exact else mentions(text, known)
        if len(found) > 1:
            return unlabelled(f"several answers: {', '.join(sorted(found))}")
        if found:
            return Label(next(iter(found)), correct=next(iter(found)) == str(answer))
        value = self.other if self.other == OTHER else f"other: {normalise(text)[:80]}"
        return Label(value, correct=False, why="none of the known answers")


def matches(
    answer: str | None = None,
    *,
    aliases: Iterable[str] = (),
    alternatives: Mapping[str, Sequence[str]] | Iterable[str] = (),
    exact: bool = False,
    other: str = OTHER,
) -> Matches:
    """A labeller of known answers.

    The comparison is by whole words; letter case, accents, punctuation, articles, markdown and
    the difference between ``4`` and ``four`` do not count. An answer that is negated (``not
    Sydney``) or set aside (``many think it is Sydney, but …``) is not given.

    Parameters
    ----------
    answer, aliases
        The right answer and its other names; from the case's ``answer`` and ``aliases`` where not
        given.
    alternatives
        Wrong answers that are worth telling apart, as names or as ``{name: aliases}``; the case's
        ``alternatives`` are added.
    exact
        The whole response must be the answer; otherwise it may stand in a sentence.
    other
        ``"other"`` gives all unknown answers one label, so that they agree with each other;
        ``"text"`` makes each its own, by its first 80 characters.
    """
    if other not in (OTHER, "text"):
        raise RepresentationError(
            f"matches(other={other!r}) is not known", fix=['write other="other" or other="text"']
        )
    return Matches(answer, tuple(aliases), _pairs(alternatives), exact, other)


def normalise(text: str) -> str:
    """Words in lower case, without accents, punctuation and articles; small numbers in digits."""
    return " ".join(_tokens(text))


def mentions(text: str, known: Mapping[str, Iterable[str]]) -> set[str]:
    """The names of which the text gives one form, neither negated nor set aside.

    Where nothing but asides is left, they count. Of several, the one that the text opens with or
    says something *is* (``the capital is Canberra``) stands for the text.
    """
    text = _plain_letters(text)
    if _UNSURE.search(text):
        return set()
    firm: set[str] = set()
    aside: set[str] = set()
    stated: set[str] = set()
    for name, start, end in _longest(_occurrences(text, known)):
        clause = re.split(r"[.;:!?\n]\s|\bbut\b|\bhowever\b", before(text, start, 300))[-1]
        if _negated(clause) or re.match(
            r"(?i)\W{0,3}\s?(?:is|was) (?:not|wrong|incorrect)\b", text[end:]
        ):
            continue
        set_aside = _ASIDE.search(clause) or re.match(r"(?i)'s? ", text[end:])
        (aside if set_aside else firm).add(name)
        if not set_aside and _STATES.search(clause):
            stated.add(name)
    if len(firm) > 1:
        opening = normalise(sentences(text)[0])
        alone = {n for n in firm if opening in {normalise(form) for form in known[n]}}
        firm = alone or (stated if len(stated) == 1 else firm)
    return firm or aside


def _known(rule: Matches, answer: Any, data: Mapping[str, Any]) -> dict[str, list[str]]:
    if answer is None:
        raise RepresentationError(
            "matches() has no answer to look for",
            fix=["parametrize answer beside prompt", 'or write matches("the answer")'],
        )
    given = data.get("aliases", ())
    named = [given] if isinstance(given, str) else list(given)
    known = {str(answer): [str(answer), *rule.aliases, *map(str, named)]}
    for name, forms in (*rule.alternatives, *_pairs(data.get("alternatives", ()))):
        known.setdefault(name, []).extend((name, *forms))
    return known


def _pairs(given: Any) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if isinstance(given, Mapping):
        return tuple((str(name), tuple(map(str, forms))) for name, forms in given.items())
    names = [given] if isinstance(given, str) else given
    return tuple((str(name), ()) for name in names)


def _whole_matches(text: str, known: Mapping[str, Iterable[str]]) -> set[str]:
    key = normalise(text)
    return {name for name, forms in known.items() if key in {normalise(form) for form in forms}}


def _plain_letters(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def _tokens(text: str) -> list[str]:
    return [token for token, _, _ in _spans(_plain_letters(text))]


def _spans(text: str) -> list[tuple[str, int, int]]:
    """Tokens with where they stand; articles left out."""
    spans = []
    for found in _TOKEN.finditer(text.casefold()):
        token = re.sub(r"(?<=[^\W\d])\.", "", found[0]).removesuffix("'s")
        if token[:1] == "-" and found.start() and text[found.start() - 1].isalnum():
            token = token[1:]
        token = re.sub(r",(?=\d{3}\b)", "", token)
        if token not in _ARTICLES:
            spans.append((_NUMBERS.get(token, token), found.start(), found.end()))
    return spans


def _occurrences(text: str, known: Mapping[str, Iterable[str]]) -> list[tuple[str, int, int]]:
    spans = _spans(text)
    tokens = [token for token, _, _ in spans]
    found = []
    for name, forms in known.items():
        for wanted in {tuple(_tokens(form)) for form in forms} - {()}:
            for index in range(len(tokens) - len(wanted) + 1):
                if tuple(tokens[index : index + len(wanted)]) == wanted:
                    last = index + len(wanted) - 1
                    found.append((name, spans[index][1], spans[last][2]))
    return found


def _longest(found: Sequence[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """Without those that lie inside a longer one."""
    return [
        one
        for one in found
        if not any(
            other[1] <= one[1] and one[2] <= other[2] and other[2] - other[1] > one[2] - one[1]
            for other in found
        )
    ]


def _negated(clause: str) -> bool:
    if _ONLY.search(clause):
        return False
    if _NEGATION.search(clause):
        return True
    # "neither Sydney nor Canberra", "isn't Melbourne or Sydney"
    return (
        re.search(r"(?i)\b(?:neither|isn't|is not|wasn't) (?:\w+ ){1,3}(?:nor|or)\W*$", clause)
        is not None
    )
