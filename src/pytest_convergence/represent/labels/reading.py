"""What every labeller does first: is there an answer at all, and how does it read without marks."""

from __future__ import annotations

import re
import unicodedata

from pytest_convergence.models.response import Missing, Response
from pytest_convergence.represent.features import Label

_QUOTES = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′`´", "'"),  # noqa: RUF001
        **dict.fromkeys("“”„‟«»″", '"'),
        **dict.fromkeys("‐‑‒–—―−", "-"),  # noqa: RUF001
    }
)
_REASONING = re.compile(r"\s*<(think|thinking|reasoning)>.*?</\1>", re.DOTALL)
_QUOTED_LINE = re.compile(r"^[ \t]*>.*$", re.MULTILINE)
_HEADING = re.compile(r"^[ \t]*#{1,6}[ \t]+", re.MULTILINE)
_STRONG = re.compile(r"(\*\*\*|\*\*|__)(?=\S)(.+?)(?<=\S)\1")
_EMPHASIS = re.compile(r"(?<![\w*])\*(?=[^\s*])([^*\n]+?)(?<=[^\s*])\*(?![\w*])")
_TICKS = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LATEX = re.compile(r"\\(?:text|mathrm|mathbf)\{([^{}]*)\}")
_ABBREVIATION = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|vs|No|Fig|approx|etc|e\.g|i\.e|U\.S|U\.K|a\.m|p\.m)"
    r"|\b[A-Z])\.$"
)
_READ = 20_000
_LONGEST_ABBREVIATION = 8
_END = re.compile(r"(?<=[.!?…])[\"')\]]*\s+|(?<=[。！？])[」』]?\s*|\n+")  # noqa: RUF001


def unusable(response: Response, *, refused: bool = True) -> Label | None:
    """The label of a response that no text can be read from, or None where one can.

    ``refused`` says whether a provider's refusal is one of them.
    """
    missing = response.missing
    if missing is not None and (refused or missing.kind != "refused"):
        return Label(None, missing)
    if missing is None and not answer_of(response.text).strip():
        return Label(None, Missing("empty", "no text"))
    return None


def unlabelled(why: str) -> Label:
    """No label, because."""
    return Label(None, Missing("unlabelled", why), why=why)


def answer_of(text: str) -> str:
    """The text after a reasoning block, where there is one."""
    found = _REASONING.match(text)
    return text[found.end() :].lstrip() if found else text


def plain(text: str, *, whole: bool = False) -> str:
    """The answer without reasoning, emphasis, headings, quoted lines and emoji, quotes straight.

    Line feeds stay, so do list marks and fenced code. Unless the ``whole`` is wanted, a text over
    40,000 characters is read by its first and last 20,000: who answers does so there, and two
    megabytes of anything must not hold up a run.
    """
    text = answer_of(text)
    if not whole and len(text) > 2 * _READ:
        text = f"{text[:_READ]}\n{text[-_READ:]}"
    text = unicodedata.normalize("NFKC", text.translate(_QUOTES)).translate(_QUOTES)
    text = _QUOTED_LINE.sub("", text) or text
    text = _LATEX.sub(r"\1", _HEADING.sub("", text))
    for marks, kept in ((_STRONG, r"\2"), (_EMPHASIS, r"\1"), (_TICKS, r"\1")):
        text = marks.sub(kept, text)
    shown = "".join(c for c in text if c == "\n" or not _ornament(c))
    return re.sub(r"[ \t]+", " ", shown).strip()


def _ornament(character: str) -> bool:
    """Emoji, dingbats, and what joins them or shows nothing."""
    if character.isascii():
        return False
    kind = unicodedata.category(character)
    return kind in {"So", "Sk", "Cf", "Cs", "Co"} or "\ufe00" <= character <= "\ufe0f"


def sentences(text: str) -> list[str]:
    """The sentences of a text; a line feed ends one, an abbreviation's full stop does not."""
    found: list[str] = []
    start = 0
    for end in _END.finditer(text):
        before = text[max(start, end.start() - _LONGEST_ABBREVIATION) : end.start()]
        if "\n" not in end[0] and _ABBREVIATION.search(before.rstrip(" \"')]")):
            continue
        found.append(text[start : end.end()].strip())
        start = end.end()
    found.append(text[start:].strip())
    return [sentence for sentence in found if any(c.isalnum() for c in sentence)]


def before(text: str, position: int, reach: int = 80) -> str:
    """What stands just before a position; more would cost time squared over many positions."""
    return text[max(position - reach, 0) : position]


def words(text: str) -> list[str]:
    """The words of a text in lower case; an apostrophe or a hyphen inside belongs to its word."""
    return re.findall(r"\w+(?:['’-]\w+)*", text.casefold())  # noqa: RUF001
