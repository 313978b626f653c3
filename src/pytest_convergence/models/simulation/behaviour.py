"""What the behaviour files say: capabilities, questions, models and rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Answer:
    """One kind of answer to a question.

    ``contents`` are put into each of the capability's phrasings, ``verbatim`` (texts by style)
    stand as they are; one of the two is empty.
    """

    contents: tuple[str, ...] = ()
    verbatim: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Capability:
    """Questions of one sort: phrasings by style, and answers that any of them can get."""

    name: str
    styles: Mapping[str, tuple[str, ...]]
    answers: Mapping[str, Answer]


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt the panel knows.

    ``asks`` are phrases one of which stands in the prompt; ``answers`` by kind; ``options`` gives
    for a kind the words of the lettered option it chooses; ``slots`` are filled into answers;
    ``weights`` (model to kind to weight) go before those of the capability.
    """

    id: str
    asks: tuple[str, ...]
    capability: str
    answers: Mapping[str, Answer]
    options: Mapping[str, str] = field(default_factory=dict)
    slots: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Faults:
    """Probabilities, of one request, that it goes wrong; what is left over is answered.

    ``error`` is an HTTP 500 for good, ``empty`` a reply without text, ``truncated`` one cut short.
    ``busy`` is apart: the share of samples whose first attempt gets an HTTP 429.
    """

    error: float = 0.0
    empty: float = 0.0
    truncated: float = 0.0
    busy: float = 0.0


@dataclass(frozen=True, slots=True)
class Habits:
    """How a model answers one question, after all that bears on it has been laid over.

    ``weights`` over kinds; ``styles`` weights over styles. With probability ``steadiness`` the
    answer is the favourite kind of its ``lineage`` for this question, else it is drawn from the
    weights. ``first_option`` is the share that picks the option listed first, whatever it says.
    """

    lineage: str
    weights: Mapping[str, float] = field(default_factory=dict)
    styles: Mapping[str, float] = field(default_factory=dict)
    steadiness: float = 0.0
    first_option: float = 0.0


@dataclass(frozen=True, slots=True)
class Profile:
    """A simulated model.

    ``weights`` are by capability; ``finish`` gives for a kind the provider's finish reason
    (``refusal``, ``content_filter``); ``rejects`` are parameters answered with an HTTP 400;
    ``reasoning_tokens`` are spent unseen; ``latency`` bounds the seconds before an answer.
    """

    name: str
    about: str
    habits: Habits
    weights: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    finish: Mapping[str, str] = field(default_factory=dict)
    rejects: tuple[str, ...] = ()
    reasoning_tokens: int = 0
    latency: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Conditions:
    """When a rule holds: all that are given must. Phrases are found as in questions, any of them.

    ``depth`` is (phrase, from, to): the phrase stands in that part of the prompt, 0 to 1.
    """

    system: tuple[str, ...] = ()
    prompt: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    temperature_from: float | None = None
    temperature_below: float | None = None
    turns_from: int = 0
    depth: tuple[str, float, float] | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """Habits laid over those of ``models`` (all, where empty) where ``when`` holds."""

    models: tuple[str, ...]
    capability: str | None
    questions: tuple[str, ...]
    when: Conditions
    weights: Mapping[str, float] | None = None
    styles: Mapping[str, float] | None = None
    lineage: str | None = None
    steadiness: float | None = None
    first_option: float | None = None


@dataclass(frozen=True, slots=True)
class Behaviour:
    """All that was read: questions by id, models and capabilities by name, rules in order."""

    seed: int
    capabilities: Mapping[str, Capability]
    questions: Mapping[str, Question]
    models: Mapping[str, Profile]
    rules: tuple[Rule, ...]
