"""Variants of a prompt that mean the same, as Hypothesis strategies.

Convergence that a typo or a "please" can break is no finding about what models know. Each strategy
here draws from a finite pool that depends on the prompt alone: a few changes of each kind, none or
several of them at once. So Hypothesis shrinks to a variant from which no change can be left out
without mending the test, and, asked with :data:`replayable`, tries every variant of the pool,
whatever its version: recordings replay.

Variants of a prompt are one family (:attr:`Variant.family`): they are not evidence of their own.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from pytest_convergence.errors import SettingsError
from pytest_convergence.models.messages import Prompt, as_messages, prompt_text

replayable = settings(
    max_examples=500,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
"""Settings for ``@given`` over these strategies: the same variants on every run, all of them."""

POLITENESS = ("{prompt} Thank you.", "Please answer this: {prompt}", "Could you help me? {prompt}")
PERSONAS = ("I am a teacher. {prompt}", "I ask as a nurse on a night shift: {prompt}")
DISTRACTORS = (
    "It rained this morning. {prompt}",
    "My bus was late and the bakery had run out of rolls. Now to my question. {prompt}",
)

# Quoted text, code, numbers and words with capitals carry meaning in their letters.
_KEPT = re.compile(r"\"[^\"]*\"|'[^'\n]*'(?!\w)|`[^`]*`|“[^”]*”|\S*[\d_{}]\S*")
_TYPO_WORD = re.compile(r"(?<![\w'])[a-z]{5,}(?![\w'])")
_OPTION = re.compile(r"^(\s*[(\[]?)([A-Z])([)\].:]\s+)(.+?)(\s*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Variant:
    """A prompt reworded.

    ``changes`` names what was done, nothing for the prompt as it is. ``family`` is the same for
    all variants of one prompt. ``order`` gives, where options were moved, for each place the index
    that its option had.
    """

    prompt: Prompt
    family: str
    changes: tuple[str, ...] = ()
    order: tuple[int, ...] | None = None

    @property
    def id(self) -> str:
        """A name for recordings, the same whenever the variant is made."""
        return "+".join(self.changes) or "as-is"

    @property
    def text(self) -> str:
        """The prompt as one text."""
        return prompt_text(self.prompt)

    def __repr__(self) -> str:
        return f"<{self.id}: {self.text!r}>"


Change = Callable[[str], Sequence[str]]
"""From a text to its variants of one kind, the smallest change first."""


def casing(text: str) -> list[str]:
    """The first letter small, all small, all capital; quotes, code and numbers stay."""
    small, large = _outside_kept(text, str.lower), _outside_kept(text, str.upper)
    first = text[:1].lower() + text[1:] if text[:2].istitle() or text[:1] == "A" else text
    return _distinct(text, [first, small, large])


def whitespace(text: str) -> list[str]:
    """A line feed after, a space before, two spaces after each sentence."""
    spaced = re.sub(r"(?<=[.?!]) (?=\S)", "  ", text)
    return _distinct(text, [text + "\n", " " + text, spaced])


def politeness(text: str) -> list[str]:
    """A thank-you, a please, a request for help."""
    return [_framed(frame, text) for frame in POLITENESS]


def personas(text: str) -> list[str]:
    """A word about who is asking."""
    return [_framed(frame, text) for frame in PERSONAS]


def distractors(text: str) -> list[str]:
    """Something beside the point before the prompt."""
    return [_framed(frame, text) for frame in DISTRACTORS]


def typos(text: str) -> list[str]:
    """One slip in one word: two letters swapped, or one doubled.

    A letter left out makes another word too easily (planet, plant) to be among them. Words of five
    small letters or more are eligible, outside quotes, code and option lines; which of them is hit
    depends on the text alone.
    """
    kept = [found.span() for pattern in (_KEPT, _OPTION) for found in pattern.finditer(text)]
    words = [
        found.span()
        for found in _TYPO_WORD.finditer(text)
        if not any(low < found.end() and found.start() < high for low, high in kept)
    ]
    if not words:
        return []
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    slips: list[Callable[[str, int], str]] = [_swapped, _doubled]
    made = []
    for slip, byte, place in zip(slips, digest, digest[2:], strict=False):
        start, end = words[byte % len(words)]
        inside = 1 + place % (end - start - 2)
        made.append(text[:start] + slip(text[start:end], inside) + text[end:])
    return _distinct(text, made)


def option_orders(text: str) -> list[str]:
    """The lettered options in another order, letters in their places: reversed, then rotated."""
    return [moved for moved, _ in _reordered(text)]


CHANGES: Mapping[str, Change] = {
    "typo": typos,
    "options": option_orders,
    "casing": casing,
    "politeness": politeness,
    "persona": personas,
    "distractor": distractors,
    "whitespace": whitespace,
}
"""The kinds of change, in the order in which several are made."""


def variants(
    prompt: Prompt,
    *,
    kinds: Sequence[str] = tuple(CHANGES),
    each: int = 2,
    together: int = 1,
    family: str | None = None,
) -> st.SearchStrategy[Variant]:
    """Variants of a prompt; see :func:`pool` for the parameters and for all that can be drawn.

    >>> from hypothesis import find
    >>> find(variants("Which bird is largest?"), lambda variant: "please" in variant.text.lower())
    <politeness-2: 'Please answer this: Which bird is largest?'>
    """
    base = Variant(prompt, family or prompt_text(prompt))
    change = st.sampled_from([None, *_single(base, kinds, each)])
    return _drawn(base, change, together)


def templates(
    *wordings: str, family: str | None = None, **slots: str
) -> st.SearchStrategy[Variant]:
    """Wordings of one question with its slots filled in, in the order given.

    >>> templates("What is the capital of {place}?", "Name {place}'s capital.", place="Chad")
    sampled_from([<as-is: 'What is the capital of Chad?'>, <wording-2: "Name Chad's capital.">])
    """
    return st.sampled_from(reworded(*wordings, family=family, **slots))


def reworded(*wordings: str, family: str | None = None, **slots: str) -> list[Variant]:
    """What :func:`templates` draws from.

    Raises
    ------
    SettingsError
        Where a wording lacks a slot that is given, or names one that is not: it would mean
        something else than the others.
    """
    filled = []
    for wording in wordings:
        named = set(re.findall(r"{(\w+)}", wording))
        if named != set(slots):
            raise SettingsError(
                f"the wording {wording!r} has the slots {sorted(named)}, not {sorted(slots)}",
                fix=["name every slot in every wording"],
            )
        filled.append(wording.format_map(slots))
    if not filled:
        raise SettingsError("templates needs at least one wording")
    name = family or filled[0]
    return [
        Variant(text, name, (f"wording-{position}",) if position > 1 else ())
        for position, text in enumerate(filled, start=1)
    ]


def pool(
    prompt: Prompt,
    *,
    kinds: Sequence[str] = tuple(CHANGES),
    each: int = 2,
    together: int = 1,
    family: str | None = None,
) -> list[Variant]:
    """Every variant that :func:`variants` can draw: fewer changes first, then smaller ones.

    Parameters
    ----------
    prompt
        A text, or a conversation, whose last user message is varied.
    kinds
        Out of :data:`CHANGES`.
    each
        How many variants of each kind.
    together
        How many kinds of change at once, at most.
    family
        The family's name; the prompt's text where not given.

    Raises
    ------
    SettingsError
        For a kind that is not known.
    """
    base = Variant(prompt, family or prompt_text(prompt))
    choices = itertools.combinations_with_replacement([None, *_single(base, kinds, each)], together)
    distinct: dict[str, Variant] = {}
    for variant in (_changed(base, drawn) for drawn in choices):
        distinct.setdefault(variant.text, variant)
    return sorted(
        distinct.values(), key=lambda v: (len(v.changes), abs(len(v.text) - len(base.text)))
    )


def parameters(prompts: Mapping[str, Prompt], **how: Any) -> list[Any]:
    """Arguments for ``parametrize(("prompt", "base"), …)``: the variants of several prompts.

    Their ids are ``<id>-<variant>``; with ``family="base"`` in the marker each base is a family.
    ``how`` goes to :func:`pool`.
    """
    import pytest

    return [
        pytest.param(variant.prompt, base, id=f"{base}-{variant.id}")
        for base, prompt in prompts.items()
        for variant in pool(prompt, family=base, **how)
    ]


@st.composite
def _drawn(
    draw: st.DrawFn, base: Variant, change: st.SearchStrategy[tuple[str, int] | None], count: int
) -> Variant:
    # Drawn one beside the other, each can shrink to None by itself.
    return _changed(base, [draw(change) for _ in range(count)])


def _single(base: Variant, kinds: Sequence[str], each: int) -> list[tuple[str, int]]:
    """Single changes of a prompt as (kind, position), those that move its length least first."""
    unknown = [kind for kind in kinds if kind not in CHANGES]
    if unknown:
        raise SettingsError(
            f"no change of prompts is called {unknown[0]!r}", fix=[f"known: {', '.join(CHANGES)}"]
        )
    text, _ = _varied_part(base.prompt)
    found = {
        (kind, position): abs(len(changed) - len(text))
        for kind in kinds
        for position, changed in enumerate(CHANGES[kind](text)[:each])
    }
    return sorted(found, key=lambda change: found[change])


def _changed(base: Variant, drawn: Sequence[tuple[str, int] | None]) -> Variant:
    """The prompt with these changes made, one of a kind, in the order of :data:`CHANGES`."""
    chosen: dict[str, int] = {}
    for kind, position in (change for change in drawn if change is not None):
        chosen[kind] = min(position, chosen.get(kind, position))
    text, rebuild = _varied_part(base.prompt)
    order, names = None, []
    for kind in (kind for kind in CHANGES if kind in chosen):
        made = CHANGES[kind](text)
        if chosen[kind] >= len(made):
            continue
        if kind == "options":
            order = _reordered(text)[chosen[kind]][1]
        text = made[chosen[kind]]
        names.append(f"{kind}-{chosen[kind] + 1}")
    return replace(base, prompt=rebuild(text), changes=tuple(names), order=order)


def _varied_part(prompt: Prompt) -> tuple[str, Callable[[str], Prompt]]:
    if isinstance(prompt, str):
        return prompt, lambda text: text
    messages = as_messages(prompt)
    asked = [place for place, message in enumerate(messages) if message["role"] == "user"]
    if not asked:
        raise SettingsError("a conversation without a user message has nothing to vary")
    last = asked[-1]

    def rebuild(text: str) -> Prompt:
        return [*messages[:last], {**messages[last], "content": text}, *messages[last + 1 :]]

    return messages[last]["content"], rebuild


def _framed(frame: str, text: str) -> str:
    before, after = frame.split("{prompt}")
    # What follows options or a document stands on a line of its own.
    return before + text + (after.replace(" ", "\n", 1) if "\n" in text else after)


def _distinct(text: str, made: Sequence[str]) -> list[str]:
    return [one for one in dict.fromkeys(made) if one != text]


def _outside_kept(text: str, change: Callable[[str], str]) -> str:
    parts, last = [], 0
    for found in _KEPT.finditer(text):
        parts += [change(text[last : found.start()]), found[0]]
        last = found.end()
    return "".join([*parts, change(text[last:])])


def _swapped(word: str, place: int) -> str:
    # Two equal neighbours swapped are no slip: go on to the next pair that differs.
    for at in (*range(place, len(word) - 1), *range(1, place)):
        if word[at] != word[at + 1]:
            return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return word


def _doubled(word: str, place: int) -> str:
    return word[: place + 1] + word[place:]


def _reordered(text: str) -> list[tuple[str, tuple[int, ...]]]:
    found = list(_OPTION.finditer(text))
    count = len(found)
    orders = [tuple(reversed(range(count)))]
    orders += [tuple((place + turn) % count for place in range(count)) for turn in range(1, count)]
    made = []
    for order in dict.fromkeys(orders) if count > 1 else ():
        moved, last = [], 0
        for place, line in enumerate(found):
            moved += [text[last : line.start(4)], found[order[place]][4]]
            last = line.end(4)
        made.append(("".join([*moved, text[last:]]), order))
    return made
