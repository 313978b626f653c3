"""A panel that answers without a network, from distributions a reader can look up.

A simulated model (``sim/alpha``) answers in the OpenAI chat-completions format. What it can say to
a prompt, and how likely each text is, stands in TOML files: the true similarity, within and score
of a panel follow from them, and what a test reports can be compared with the truth. It is a
stand-in for learning and testing the tool, and says "simulated" wherever it answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_convergence.errors import SettingsError
from pytest_convergence.models.decoding import Decoding
from pytest_convergence.models.messages import Prompt, as_messages
from pytest_convergence.models.response import Missing, Response
from pytest_convergence.models.simulation.answering import (
    UNKNOWN,
    Asked,
    Outcome,
    outcomes,
    unknown_question,
)
from pytest_convergence.models.simulation.behaviour import Behaviour, Capability, Profile, Question
from pytest_convergence.models.simulation.phrases import position, words
from pytest_convergence.models.simulation.reading import behaviour_files, read_behaviour
from pytest_convergence.models.wire import Model

if TYPE_CHECKING:
    import httpx

    from pytest_convergence.models.simulation.truth import Population

BASE_URL = "http://simulated.invalid/v1"
_DEFAULT = Path(__file__).parent / "simulation" / "panel.toml"


@dataclass(frozen=True)
class SimulatedPanel:
    """Simulated models, what they know, and the truth about them.

    Make one with :meth:`read`.
    """

    behaviour: Behaviour
    _found: dict[str, Question | None] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def read(cls, paths: Sequence[Path | str] = ()) -> SimulatedPanel:
        """The models shipped with the package, with the files or folders ``paths`` read over them.

        A later file replaces what it names again, key by key, and adds the rest.

        Raises
        ------
        SettingsError
            For a path that is not there, or a file that says something unknown or out of range.
        """
        files = [_DEFAULT, *behaviour_files([Path(path) for path in paths])]
        return _read(tuple((file, file.stat().st_mtime_ns, file.stat().st_size) for file in files))

    @property
    def models(self) -> tuple[str, ...]:
        """The names that follow ``sim/``."""
        return tuple(self.behaviour.models)

    def profile(self, model: str) -> Profile:
        """How one model behaves; ``model`` with or without ``sim/``."""
        name = model.removeprefix("sim/")
        if name not in self.behaviour.models:
            raise SettingsError(
                f"no simulated model is named {name!r}",
                fix=[f"use one of {', '.join('sim/' + known for known in self.models)}"],
            )
        return self.behaviour.models[name]

    def question(self, prompt: str) -> Question | None:
        """The question whose phrase stands in ``prompt``: the longest, slips allowed at need."""
        if prompt not in self._found:
            inside = words(prompt)
            exact = _longest(self._phrases, inside, slips=False)
            self._found[prompt] = exact or _longest(self._phrases, inside, slips=True)
        return self._found[prompt]

    def outcomes(
        self, model: str, prompt: Prompt, decoding: Decoding | None = None
    ) -> list[Outcome]:
        """Every reply ``model`` can give, refusals and cut ones included; probabilities add to 1.

        They are those of a reply that arrives: what ``faults`` spoil is apart from them.
        """
        decoding = decoding or Decoding()
        system = [{"role": "system", "content": decoding.system}] if decoding.system else []
        asked = Asked(
            messages=(*system, *as_messages(prompt)),
            temperature=decoding.temperature,
            top_p=decoding.top_p,
            min_p=dict(decoding.extra).get("min_p"),
            max_tokens=decoding.max_tokens,
            stop=decoding.stop or (),
        )
        return self._outcomes(self.profile(model), asked)

    def outcomes_of(self, body: Mapping[str, Any]) -> list[Outcome]:
        """The same for the body of a chat-completions request."""
        return self._outcomes(self.profile(body["model"]), Asked.from_body(body))

    def distribution(
        self, model: str, prompt: Prompt, decoding: Decoding | None = None
    ) -> list[tuple[str, float]]:
        """The texts a text kernel can use, with their probabilities, which add to 1.

        Empty where the model never gives one. A provider's refusal and a truncated reply are
        missing to text kernels, so that the rest is scaled up.
        """
        texts: dict[str, float] = {}
        for outcome in self.outcomes(model, prompt, decoding):
            if outcome.finish == "stop" and outcome.text.strip():
                texts[outcome.text] = texts.get(outcome.text, 0.0) + outcome.probability
        return _scaled(texts)

    def label_distribution(
        self,
        model: str,
        prompt: Prompt,
        label: Callable[[Response], str | None],
        decoding: Decoding | None = None,
    ) -> dict[str, float]:
        """Probabilities of the labels that ``label`` gives; None is missing, and scaled out."""
        labels: dict[str, float] = {}
        for outcome in self.outcomes(model, prompt, decoding):
            name = label(_response(outcome))
            if name is not None:
                labels[name] = labels.get(name, 0.0) + outcome.probability
        return dict(_scaled(labels))

    def label_population(
        self,
        models: Sequence[str],
        prompts: Sequence[Prompt],
        labels: Sequence[Callable[[Response], str | None]],
        *,
        decoding: Decoding | None = None,
        families: Sequence[str] | None = None,
    ) -> Population:
        """The population estimand of a label kernel; ``labels`` has one function a prompt."""
        from pytest_convergence.models.simulation.truth import one_hot_means, population

        cells = [
            [
                self.label_distribution(model, prompt, label, decoding)
                for prompt, label in zip(prompts, labels, strict=True)
            ]
            for model in models
        ]
        return population(one_hot_means(cells), models=models, families=families)

    def text_population(
        self,
        models: Sequence[str],
        prompts: Sequence[Prompt],
        features: Callable[[Sequence[str]], Any],
        *,
        decoding: Decoding | None = None,
        families: Sequence[str] | None = None,
    ) -> Population:
        """The population estimand of a text kernel.

        ``features`` maps T texts to an array of shape (T, d), for example of embeddings.
        """
        from pytest_convergence.models.simulation.truth import mean_features, population

        cells = [[self.distribution(m, prompt, decoding) for prompt in prompts] for m in models]
        return population(mean_features(cells, features), models=models, families=families)

    @cached_property
    def _phrases(self) -> list[tuple[tuple[str, ...], Question]]:
        """Phrases in words, longest first."""
        every = [(words(p), q) for q in self.behaviour.questions.values() for p in q.asks]
        return sorted(every, key=lambda pair: -len(pair[0]))

    def _outcomes(self, profile: Profile, asked: Asked) -> list[Outcome]:
        known = (self.question(prompt) for prompt in asked.questions())
        question = next((found for found in known if found is not None), None)
        unknown = self.behaviour.capabilities.get(UNKNOWN, Capability(UNKNOWN, {}, {}))
        question = question or unknown_question(asked, unknown)
        return outcomes(self.behaviour, profile, asked, question)


def simulated_model(name: str, *, panel: SimulatedPanel | None = None) -> Model:
    """The model of a spec ``sim/<model>``; without ``panel``, one of those shipped.

    Raises
    ------
    SettingsError
        Where the panel has no model of that name.
    """
    from pytest_convergence.models.openai import OpenAIAdapter

    panel = panel or SimulatedPanel.read()
    profile = panel.profile(name)
    return Model(
        name=f"sim/{profile.name}",
        provider="sim",
        model=profile.name,
        base_url=BASE_URL,
        adapter=OpenAIAdapter(provider="sim"),
        transport=cache(partial(_transport, panel)),  # it remembers whom it turned away
    )


def _transport(panel: SimulatedPanel) -> httpx.AsyncBaseTransport:
    from pytest_convergence.models.simulation.transport import SimulatedTransport

    return SimulatedTransport(panel)


@lru_cache(maxsize=8)
def _read(files: tuple[tuple[Path, int, int], ...]) -> SimulatedPanel:
    """One panel for all models that share their files, unless a file has changed."""
    return SimulatedPanel(read_behaviour([path for path, _, _ in files]))


def _longest(
    phrases: Sequence[tuple[tuple[str, ...], Question]], inside: tuple[str, ...], *, slips: bool
) -> Question | None:
    spoken = f" {' '.join(inside)} "
    for phrase, question in phrases:
        if f" {' '.join(phrase)} " in spoken:
            return question
        if slips and position(phrase, inside, slips=True) is not None:
            return question
    return None


def _scaled(shares: Mapping[str, float]) -> list[tuple[str, float]]:
    total = sum(shares.values())
    return [(name, share / total) for name, share in shares.items() if share > 0]


def _response(outcome: Outcome) -> Response:
    """What the adapter would read of this outcome."""
    if outcome.finish == "content_filter":
        return Response("", "content_filter", Missing("refused", "content filter"))
    if outcome.finish == "refusal":
        return Response(outcome.text, "refusal", Missing("refused", "the provider refused"))
    if outcome.finish == "length":
        return Response(outcome.text, "length", Missing("truncated", "token limit"))
    if not outcome.text.strip():
        return Response(outcome.text, "stop", Missing("empty", "no text"))
    return Response(outcome.text)
