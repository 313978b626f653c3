"""Which option was chosen? By its letter, its text, or a sentence that says so."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_convergence.errors import RepresentationError
from pytest_convergence.models.response import Response
from pytest_convergence.represent.features import Label
from pytest_convergence.represent.labels.matching import mentions, normalise
from pytest_convergence.represent.labels.reading import before, plain, unlabelled, unusable

_LETTERS = string.ascii_uppercase
_MARKED = r"[\"'(\[{{ ]*{0}[\"')\]}}]*"
_BEFORE = (
    r"(?:final answer|correct answer|right answer|best answer|answer|correct option|correct choice"
    r"|right option|best option|best choice|right choice|my choice|choice|option|letter"
    r"|select(?:ion)?"
    r"|i(?:'d| would| will|'ll)? (?:choose|pick|select|go with|say|vote for)|respuesta|réponse"
    r"|antwort|resposta|risposta|答案|選択肢)"
)
_LINK = (
    r"(?:\s|[:=\-,]|is|was|are|would be|must be|should be|has to be|here|option|letter|choice|es"
    r"|est"
    r"|ist|é|是|clearly|definitely|therefore|la|le|die|der|the)*"
)
_NEGATED = re.compile(
    r"(?:\bnot|n't be|\bisn't|\bwasn't|\bneither|\bnor)\W*(?:option )?\W*$", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class MultipleChoice:
    """Labels are options in canonical order; see :func:`multiple_choice`."""

    options: tuple[str, ...] = ()
    by: str = "option"
    name: str = "multiple-choice"
    version: str = "1"

    def __call__(self, response: Response, data: Mapping[str, Any]) -> Label:
        """The one option chosen; missing where there is none, or more than one."""
        without = unusable(response)
        if without is not None:
            return without
        canonical, shown = _options(self.options, data)
        position, why = _chosen(plain(response.text), shown)
        if position is None:
            return unlabelled(why)
        index = canonical.index(shown[position])
        expected = _expected(data.get("answer"), canonical, shown)
        value = _LETTERS[position] if self.by == "letter" else canonical[index]
        return Label(value, correct=None if expected is None else index == expected, why=why)


def multiple_choice(options: Sequence[str] | int = (), *, by: str = "option") -> MultipleChoice:
    """A labeller of lettered options A, B, C …

    Parameters
    ----------
    options
        The options in canonical order, or how many; from the case's ``options`` where not given.
        Where a case shows them in another order its ``order`` says so: ``order[i]`` is the
        canonical index of the option shown as letter number i. The case's ``answer`` is an
        option's text, its canonical index, or the letter under which it is shown.
    by
        ``"option"`` labels with the option's text, so that another order changes nothing;
        ``"letter"`` with the letter as shown, to look for position bias.

    Raises
    ------
    RepresentationError
        Where ``by`` is neither, options repeat, or there are none or more than 26.
    """
    if by not in ("option", "letter"):
        raise RepresentationError(
            f"multiple_choice(by={by!r}) is not known", fix=['write by="option" or by="letter"']
        )
    given = tuple(_LETTERS[:options]) if isinstance(options, int) else tuple(map(str, options))
    return MultipleChoice(given and _checked(given), by)


def _checked(options: Sequence[str]) -> tuple[str, ...]:
    if not 0 < len(options) <= len(_LETTERS) or len(set(options)) < len(options):
        raise RepresentationError(
            f"{len(options)} options cannot be told apart by letters",
            details=[f"options: {', '.join(map(str, options))}"],
            fix=["give one to 26 options, each once"],
        )
    return tuple(options)


def _options(
    fixed: tuple[str, ...], data: Mapping[str, Any]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The options in canonical order and as shown."""
    given = data.get("options")
    if isinstance(given, Mapping):
        given = list(given.values())
    canonical = fixed or _checked([str(option) for option in given or ()])
    order = data.get("order")
    if order is None:
        return canonical, canonical
    if sorted(order) != list(range(len(canonical))):
        raise RepresentationError(
            f"order={list(order)!r} is no order of {len(canonical)} options",
            fix=["give each index from 0 once, in the order in which the options are shown"],
        )
    return canonical, tuple(canonical[index] for index in order)


def _expected(answer: Any, canonical: Sequence[str], shown: Sequence[str]) -> int | None:
    if answer is None:
        return None
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(canonical):
        return answer
    text = str(answer)
    keys = [normalise(option) for option in canonical]
    if normalise(text) in keys:
        return keys.index(normalise(text))
    letter = text.strip(" ().").upper()
    if len(letter) == 1 and letter in _LETTERS[: len(shown)]:
        return canonical.index(shown[_LETTERS.index(letter)])
    raise RepresentationError(
        f"answer={text!r} is none of the options",
        details=[f"options: {', '.join(canonical)}"],
        fix=["give an option's text, its index from 0, or its letter"],
    )


def _chosen(text: str, shown: Sequence[str]) -> tuple[int | None, str]:
    """Position as shown, and what says so, or None and why not."""
    for reader in (_whole, _stated, _leading, _by_text, _judged, _lettered):
        found = reader(text, shown)
        if len(found) == 1:
            return found.pop(), f"read from {reader.__name__.strip('_').replace('_', ' ')}"
        if len(found) > 1:
            names = ", ".join(_LETTERS[position] for position in sorted(found))
            return None, f"several options: {names}"
    return None, "no option named"


def _letters(shown: Sequence[str]) -> str:
    return f"[{_LETTERS[: len(shown)]}]"


def _whole(text: str, shown: Sequence[str]) -> set[int]:
    """The whole answer is a letter, or an option's text with or without its letter."""
    letter = _MARKED.format(f"({_letters(shown)})")
    found = re.fullmatch(rf"(?i:option )?{letter}[.:!)]*", text.strip(" $.*\n"), re.IGNORECASE)
    if found:
        return {_LETTERS.index(found[1].upper())}
    key = normalise(text)
    return {position for position, option in enumerate(shown) if normalise(option) == key}


def _stated(text: str, shown: Sequence[str]) -> set[int]:
    """``The answer is B``: the last such statement that is not negated."""
    letter = _letters(shown)
    boxed = re.findall(rf"\\boxed\{{\s*\(?({letter})\)?\s*[}}.:]", text)
    if boxed:
        return {_LETTERS.index(boxed[-1])}
    low = f"(?:{letter}|[\"'(\\[]{letter.lower()}[\"')\\]]|{letter.lower()}(?=\\s*(?:[).:]|$)))"
    marked = rf"[\"'(\[ ]*({low})(?![\w'])(?!\s*(?:or|and|/)\s*{letter}\b)"
    patterns = (
        rf"(?i:\b{_BEFORE}\b|答案){_ignore(_LINK)}{marked}",
        rf"(?:^|[\s(])({letter})[)\"']?\s+(?i:is (?:the )?(?:\w+ )?(?:correct|right|best|answer)"
        r"|is (?:it|my))\b",
        rf"(?i:\b(?:therefore|thus|hence|so)[, ]+(?:it is |it's )?)({letter})(?=[.!]?\s*(?:$|\n))",
        rf"(?i:\bit's |\bit is |\bmust be )({letter})(?=[\s.,:!)]|$)(?! (?:a|an|the)\b)",
        rf"({letter})(?i:,? definitely| it is)\b",
    )
    found = [
        (match.start(1), match[1])
        for pattern in patterns
        for match in re.finditer(pattern, text, re.MULTILINE)
        if not _negated(before(text, match.start(1)))
        and not _article(text, match.start(1), match.end(1))
    ]
    either = re.search(rf"\b({letter})\s*(?:or|/)\s*({letter})\b", text)
    if not found or (either and len(found) == 1 and either.start() <= found[0][0] <= either.end()):
        return set()
    last = max(found)[1].strip("\"'()[] ").upper()
    return {_LETTERS.index(last)}


def _ignore(pattern: str) -> str:
    return f"(?i:{pattern})"


def _negated(head: str) -> bool:
    return _NEGATED.search(head) is not None


def _article(text: str, start: int, end: int) -> bool:
    """Whether the letter found is the word ``A`` before a noun, or ``I``."""
    letter = text[start:end]
    return (
        letter in "AI"
        and re.match(r" [a-z]{2,}", text[end:]) is not None
        and not re.match(
            r" (?:is|as|because|since|and|or|with|for|here|was|it|would|seems|but)\b", text[end:]
        )
    )


def _leading(text: str, shown: Sequence[str]) -> set[int]:
    """The first line opens with a letter and a mark, and no other line does."""
    pattern = rf"^[ (\[\"'-]*({_letters(shown)})(?:[)\].:!\"']|,| -|$)"
    lines = [line for line in text.splitlines() if line.strip()]
    found = [match[1] for line in lines if (match := re.match(pattern, line.strip()))]
    opens = bool(lines) and re.match(pattern, lines[0].strip())
    return {_LETTERS.index(found[0])} if opens and len(set(found)) == 1 else set()


def _by_text(text: str, shown: Sequence[str]) -> set[int]:
    """Options whose text the answer affirms, longest first where one holds another."""
    if _lists_all(text, shown):
        return set()
    affirmed = mentions(
        text, {str(i): [option] for i, option in enumerate(shown) if len(option) > 1}
    )
    return {int(position) for position in affirmed}


def _lists_all(text: str, shown: Sequence[str]) -> bool:
    pattern = rf"^\W*({_letters(shown)})[).:]"
    return len(set(re.findall(pattern, text, re.MULTILINE))) == len(shown) > 1


def _judged(text: str, shown: Sequence[str]) -> set[int]:
    """Options judged one by one: ``C is right``, ``D: yes``."""
    letter = _letters(shown)
    right = r"(?:is |are )?(?:the )?(?:right|correct|true|yes|best)\b"
    found = re.finditer(rf"\b({letter})\b[.):]* *{_ignore(right)}", text)
    return {_LETTERS.index(match[1]) for match in found}


def _lettered(text: str, shown: Sequence[str]) -> set[int]:
    """Letters that stand alone and are not negated."""
    letter = _letters(shown)
    if re.search(r"(?i)\b(?:both|all|none|neither|don't know|not sure|cannot|can't)\b", text):
        return set()
    found = [
        match
        for match in re.finditer(rf"(?<![\w'])\(?({letter})\)?(?![\w'])", text)
        if not _negated(before(text, match.start(1)))
        and not _article(text, match.start(1), match.end(1))
    ]
    return {_LETTERS.index(match[1]) for match in found} if len(text) < 200 else set()
