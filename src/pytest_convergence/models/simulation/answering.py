"""The distribution of a model's answers to one request, in closed form.

Nothing here draws: every text a model can give is listed with its probability, so that the truth
about a panel can be computed from the same numbers its replies are drawn from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pytest_convergence.errors import SettingsError
from pytest_convergence.models.simulation.behaviour import (
    PLAIN,
    Answer,
    Behaviour,
    Capability,
    Conditions,
    Habits,
    Profile,
    Question,
    Rule,
)
from pytest_convergence.models.simulation.phrases import options, position, words
from pytest_convergence.models.wire import canonical_json

UNKNOWN = "unknown"
_TOPIC_WORDS = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """One reply a model can give, with its probability among those that are answered at all."""

    text: str
    kind: str
    finish: str
    probability: float


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request says, as far as a behaviour can depend on it."""

    messages: tuple[Mapping[str, str], ...]
    temperature: float | None = None
    top_p: float | None = None
    min_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = field(default=())

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> Asked:
        """Read from the body of a chat-completions request."""
        stop = body.get("stop") or ()
        return cls(
            messages=tuple(body["messages"]),
            temperature=body.get("temperature"),
            top_p=body.get("top_p"),
            min_p=body.get("min_p"),
            max_tokens=body.get("max_completion_tokens", body.get("max_tokens")),
            stop=(stop,) if isinstance(stop, str) else tuple(stop),
        )

    def text(self, *, system: bool) -> str:
        """The system messages, or all the others, as one text."""
        chosen = [m["content"] for m in self.messages if (m["role"] == "system") is system]
        return "\n".join(chosen)

    def questions(self) -> list[str]:
        """What the user said, last first: a follow-up belongs to the question before it."""
        return [m["content"] for m in reversed(self.messages) if m["role"] == "user"]


def uniform(*parts: object) -> float:
    """A number in [0, 1) fixed by ``parts`` (JSON types): the same on every machine."""
    digest = hashlib.sha256(canonical_json(list(parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def inverse(weights: Mapping[str, float], u: float) -> str:
    """The name at which the running share of positive ``weights`` first exceeds ``u``."""
    total, running = sum(weights.values()), 0.0
    for name, weight in weights.items():
        running += weight / total
        if u < running:
            return name
    return next(reversed([name for name, weight in weights.items() if weight > 0]))


def outcomes(
    behaviour: Behaviour, profile: Profile, asked: Asked, question: Question
) -> list[Outcome]:
    """Every reply ``profile`` can give to ``question``, asked in this way.

    Kinds come first (weights, the lineage's favourite, the option listed first), then style,
    then phrasing; temperature, top-p and min-p act on the whole texts, as they would on tokens.
    """
    capability = behaviour.capabilities.get(question.capability)
    capability = capability or Capability(question.capability, {}, {})
    answers = {
        **question.answers,
        **{k: v for k, v in capability.answers.items() if k not in question.answers},
    }
    habits = _habits(behaviour, profile, asked, question)
    kinds = _kinds(behaviour.seed, habits, question, answers, asked)
    texts: dict[tuple[str, str], float] = {}
    for kind, share in kinds.items():
        for text, part in _texts(answers[kind], capability, habits).items():
            filled = _filled(text, kind, question, asked)
            texts[filled, kind] = texts.get((filled, kind), 0.0) + share * part
    return [
        _finished(text, kind, probability, profile, asked)
        for (text, kind), probability in _sharpened(texts, asked).items()
    ]


def unknown_question(asked: Asked, capability: Capability) -> Question:
    """A question the files do not name: it gets the answers of the ``unknown`` capability.

    ``{topic}`` becomes the prompt's three longest words. Where the prompt has lettered options,
    each of them is a kind of answer instead.
    """
    prompt = next(iter(asked.questions()), "")
    found = words(prompt)
    longest = sorted(set(found), key=lambda word: (-len(word), found.index(word)))[:_TOPIC_WORDS]
    topic = ", ".join(sorted(longest, key=found.index)) or "nothing"
    answers = {
        f"option {letter}": Answer(verbatim={PLAIN: (f"{letter}) {option}",)})
        for letter, option in options(prompt)
    }
    return Question(
        id=f"{UNKNOWN}: {' '.join(found)}",
        asks=(),
        capability=f"{UNKNOWN} options" if answers else capability.name,
        answers=answers,
        slots={"topic": topic},
    )


def _habits(behaviour: Behaviour, profile: Profile, asked: Asked, question: Question) -> Habits:
    weights = profile.weights.get(question.capability, {})
    habits = replace(profile.habits, weights=question.weights.get(profile.name, weights))
    for rule in behaviour.rules:
        if _applies(rule, profile, asked, question):
            habits = Habits(
                lineage=rule.lineage or habits.lineage,
                weights=habits.weights if rule.weights is None else rule.weights,
                styles=habits.styles if rule.styles is None else rule.styles,
                steadiness=_first(rule.steadiness, habits.steadiness),
                first_option=_first(rule.first_option, habits.first_option),
            )
    return habits


def _first(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def _applies(rule: Rule, profile: Profile, asked: Asked, question: Question) -> bool:
    return (
        (not rule.models or profile.name in rule.models)
        and (rule.capability is None or rule.capability == question.capability)
        and (not rule.questions or question.id in rule.questions)
        and _holds(rule.when, asked)
    )


def _holds(when: Conditions, asked: Asked) -> bool:
    temperature = 1.0 if asked.temperature is None else asked.temperature
    checks: list[Callable[[], bool]] = [
        lambda: not when.system or _any(when.system, asked.text(system=True)),
        lambda: not when.prompt or _any(when.prompt, asked.text(system=False)),
        lambda: not _any(when.without, asked.text(system=False)),
        lambda: when.temperature_from is None or temperature >= when.temperature_from,
        lambda: when.temperature_below is None or temperature < when.temperature_below,
        lambda: len(asked.questions()) >= when.turns_from,
        lambda: when.depth is None or _deep(*when.depth, asked.text(system=False)),
    ]
    return all(check() for check in checks)


def _any(phrases: Sequence[str], text: str) -> bool:
    inside = words(text)
    return any(position(words(phrase), inside) is not None for phrase in phrases)


def _deep(phrase: str, low: float, high: float, text: str) -> bool:
    inside = words(text)
    at = position(words(phrase), inside)
    return at is not None and low <= at / len(inside) <= high


def _kinds(
    seed: int, habits: Habits, question: Question, answers: Mapping[str, Answer], asked: Asked
) -> dict[str, float]:
    given = habits.weights or dict.fromkeys(answers, 1.0)
    weights = {kind: given[kind] for kind in answers if given.get(kind, 0.0) > 0}
    if not weights:
        raise SettingsError(
            f"a simulated model has no answer to {question.id!r}",
            details=[f"kinds of answers: {', '.join(answers)}", f"its weights: {dict(given)}"],
            fix=["give one of these kinds a weight above 0 in the behaviour file"],
        )
    total = sum(weights.values())
    favourite = inverse(weights, uniform(seed, "favourite", habits.lineage, question.id))
    kinds = {kind: (1 - habits.steadiness) * weight / total for kind, weight in weights.items()}
    kinds[favourite] += habits.steadiness
    first = _listed_first(question, answers, asked) if habits.first_option else None
    if first is not None:
        kinds = {kind: (1 - habits.first_option) * share for kind, share in kinds.items()}
        kinds[first] = kinds.get(first, 0.0) + habits.first_option
    return kinds


def _listed_first(question: Question, answers: Mapping[str, Answer], asked: Asked) -> str | None:
    listed = options(asked.text(system=False))
    if not listed:
        return None
    letter, option = listed[0]
    if f"option {letter}" in answers:
        return f"option {letter}"
    return next((k for k, phrase in question.options.items() if _any((phrase,), option)), None)


def _texts(answer: Answer, capability: Capability, habits: Habits) -> dict[str, float]:
    """Phrasings with probabilities: styles by weight, within a style all alike."""
    by_style = answer.verbatim or {
        style: tuple(
            template.replace("{answer}", content)
            for template in templates
            for content in answer.contents
        )
        for style, templates in (capability.styles or {PLAIN: ("{answer}",)}).items()
    }
    weights = {style: habits.styles.get(style, 0.0) for style in by_style}
    if not any(weights.values()):
        weights = dict.fromkeys(by_style, 1.0)
    total = sum(weights.values())
    texts: dict[str, float] = {}
    for style, weight in weights.items():
        for text in by_style[style] if weight else ():
            share = weight / total / len(by_style[style])
            texts[text] = texts.get(text, 0.0) + share
    return texts


def _filled(text: str, kind: str, question: Question, asked: Asked) -> str:
    for slot, value in question.slots.items():
        text = text.replace(f"{{{slot}}}", value)
    return text.replace("{letter}", _letter(kind, question, asked)) if "{letter}" in text else text


def _letter(kind: str, question: Question, asked: Asked) -> str:
    phrase = question.options.get(kind)
    for letter, option in options(asked.text(system=False)):
        if phrase is not None and _any((phrase,), option):
            return letter
    raise SettingsError(
        f"the simulated answer {kind!r} to {question.id!r} chooses an option that is not listed",
        details=[f"it looks for {phrase!r} among the lettered lines of the prompt"],
        fix=["write the options one a line as 'A) …', or mend options in the behaviour file"],
    )


def _sharpened(
    texts: Mapping[tuple[str, str], float], asked: Asked
) -> dict[tuple[str, str], float]:
    """Temperature (p to the power 1/T; 0 keeps the first of the likeliest), then top-p, then min-p.

    Holtzman et al. 2020, The Curious Case of Neural Text Degeneration (top-p); Nguyen et al. 2024,
    Turning Up the Heat: Min-p Sampling.
    """
    ranked = sorted(texts.items(), key=lambda pair: -pair[1])
    if asked.temperature == 0:
        return {ranked[0][0]: 1.0}
    power = 1 / (1.0 if asked.temperature is None else asked.temperature)
    largest = ranked[0][1]
    ranked = [(key, (p / largest) ** power) for key, p in ranked]
    ranked = [(key, p) for key, p in ranked if p > 0]
    total = sum(p for _, p in ranked)
    kept: list[tuple[tuple[str, str], float]] = []
    running = 0.0
    for key, p in ranked:
        if kept and asked.top_p is not None and running >= asked.top_p - 1e-12:
            break
        running += p / total
        kept.append((key, p))
    kept = [(key, p) for key, p in kept if p >= (asked.min_p or 0.0)]
    total = sum(p for _, p in kept)
    return {key: p / total for key, p in kept}


def _finished(text: str, kind: str, probability: float, profile: Profile, asked: Asked) -> Outcome:
    """The reply as it ends: at a stop sequence, at the token limit (a word each), or by itself."""
    finish = profile.finish.get(kind, "stop")
    cuts = [text.index(mark) for mark in asked.stop if mark and mark in text]
    text = text[: min(cuts)] if cuts else text
    if asked.max_tokens is not None:
        room = max(asked.max_tokens - profile.reasoning_tokens, 0)
        pieces = text.split(" ")
        if len(pieces) > room:
            text, finish = " ".join(pieces[:room]), "length"
    return Outcome(text, kind, finish, probability)
