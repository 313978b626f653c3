"""Yes or no? The last marked answer, else the first clear one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_convergence.errors import RepresentationError
from pytest_convergence.models.response import Response
from pytest_convergence.represent.features import Label
from pytest_convergence.represent.labels.reading import plain, sentences, unlabelled, unusable

_YES = (
    r"yes|yep|yeah|yup|true|correct|absolutely|definitely|certainly|indeed|of course|sure(?:ly)?"
    r"|affirmative|right|exactly|sí|sim|oui|ja|да|是的?|はい|네|예"
    r"|that(?:'s| is) (?:correct|true|right)"
    r"|i think so|i do|i would|it is|it does|they do|they are|without (?:a )?doubt|undoubtedly"
)
_NO = (
    r"no|nope|nah|false|incorrect|wrong|not at all|(?:absolutely|definitely|certainly|of course"
    r"|unfortunately|probably|surely|clearly) not|negative|nein|non|não|нет|不是?|いいえ|아니요?"
    r"|that(?:'s| is) (?:incorrect|false|wrong|not (?:true|correct|right)|untrue)"
    r"|i (?:do not|don't) think so|i would not|i wouldn't|i do not|i don't|it is not|it isn't"
    r"|it does not|it doesn't|they do not|they don't|by no means|never|not really"
)
_WORDS = {
    "yes": re.compile(rf"(?:{_YES})(?!\w)", re.I),
    "no": re.compile(rf"(?:{_NO})(?!\w)", re.I),
}
_NEITHER = re.compile(
    r"\b(?:yes and no|no and yes|both yes and no|yes or no|neither yes|(?:it|that) depends"
    r"|some say yes|not necessarily|either way)\b",
    re.IGNORECASE,
)
_NOT_THE_ANSWER = re.compile(
    r"no (?:one|problem|doubt|matter|simple|clear|easy|way (?:of|to)|definite|single|worries"
    r"|idea)\b"
    r"|right (?:now|away)|sure[,!]? (?:here|let)|sure thing|true or|correct me|i (?:do"
    r"|would) (?:n|li|lo)"
    r"|(?:i do not|i don't|it is not|it isn't) (?:know|have|sure|clear|certain|possible|known|yet"
    r"|see)"
    r"|i would not (?:say|know|be able)|i do not(?! think so|[.!,;]|$)|i don't(?! think so|[.!,;]"
    r"|$)"
    r"|it is (?!so|true|correct|indeed|not\b)\w+|i do (?!not)\w+|i would (?!not|accept)\w+",
    re.IGNORECASE,
)
_MARK = re.compile(
    r"(?:\b(?:final |short |correct |simple |my )?(?:answer|response|verdict|conclusion|respuesta"
    r"|réponse"
    r"|antwort)\b(?:\s+(?:is|would be|es|est|ist))?[\s:=-]*"
    r"|\b(?:so|therefore|thus|hence|in short|in a word|in conclusion|but|i'd say|i would say"
    r"|i(?:'d| would) have to say|i think so|doubt about it|i believe)[\s,:-]+(?:the answer is )?"
    r"|\\boxed\{(?:\\text\{)?)",
    re.IGNORECASE,
)
_OPENERS = re.compile(
    r"(?:\W|\b(?:well|oh|actually|ah|hmm|so|sorry|(?:that's a |that is a )?(?:good|great) question"
    r"|but|and|sure|i'm afraid|unfortunately(?! not)|wait|let me (?:check|think))\b)*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class YesNo:
    """Labels ``yes`` and ``no``; see :func:`yes_no`."""

    name: str = "yes-no"
    version: str = "1"

    def __call__(self, response: Response, data: Mapping[str, Any]) -> Label:
        """The answer given, missing where it is neither; right where the case's ``answer`` is."""
        without = unusable(response)
        if without is not None:
            return without
        value = answer(plain(response.text))
        if value is None:
            return unlabelled("neither yes nor no")
        expected = _expected(data.get("answer"))
        return Label(value, correct=None if expected is None else value == expected)


def yes_no() -> YesNo:
    """A labeller of yes and no, as words, as true and false, and in some other languages.

    An answer that is both or neither (``it depends``) is missing, because unlabelled. The case's
    ``answer`` may be a bool or any text that this labeller reads.
    """
    return YesNo()


def answer(text: str) -> str | None:
    """``yes``, ``no``, or None where a text without marks is neither."""
    found = _marked(text)
    if found:
        return found
    for sentence in sentences(text)[:3]:
        if _NEITHER.search(sentence):
            return None
        opened = sentence[_end_of_openers(sentence) :]
        value = _word(opened)
        if value:
            return value
    return None


def _end_of_openers(sentence: str) -> int:
    opener = _OPENERS.match(sentence)
    end = opener.end() if opener else 0
    rest = sentence[end:].strip(" .,!")
    return end if rest else 0


def _marked(text: str) -> str | None:
    """The last ``answer: …``, ``therefore, …``, ``but …``."""
    if _NEITHER.search(text):
        return None
    values = [
        value for mark in _MARK.finditer(text) if (value := _word(text[mark.end() :], clear=True))
    ]
    return values[-1] if values else None


def _word(text: str, *, clear: bool = False) -> str | None:
    """The answer that a text opens with; ``clear`` asks for a word that ends there."""
    text = text.lstrip(" \"'(*:-")
    if _NOT_THE_ANSWER.match(text):
        return None
    for value in ("no", "yes"):
        found = _WORDS[value].match(text)
        if found and (not clear or re.match(r"\W|$", text[found.end() :])):
            if clear and re.match(r" \w", text[found.end() :]):
                continue
            return value
    return None


def _expected(given: Any) -> str | None:
    if given is None:
        return None
    if isinstance(given, bool):
        return "yes" if given else "no"
    value = answer(str(given))
    if value is None:
        raise RepresentationError(
            f"answer={given!r} is neither yes nor no", fix=['give "yes", "no", True or False']
        )
    return value
