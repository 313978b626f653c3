"""What a test holds: the panel of models, and the responses it sampled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from pytest_convergence.errors import ConvergenceError, SettingsError
from pytest_convergence.garbage import collector_paused

if TYPE_CHECKING:
    from pytest_convergence.declaration import Case, Declaration
    from pytest_convergence.evaluation import Evaluation
    from pytest_convergence.models.messages import Prompt
    from pytest_convergence.models.response import Response
    from pytest_convergence.represent.representation import Block, SampledCase
    from pytest_convergence.results import Result


class EvalTest(Struct):
    """One running test: what it declared, and the results of its assertions so far."""

    evaluation: Evaluation
    nodeid: str
    test_file: str
    test_name: str
    declaration: Declaration
    cases: tuple[Case, ...]
    data: Mapping[str, Any] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)


class Samples(Mapping[str, tuple[str, ...]]):
    """Responses of a panel: ``samples["provider/model"]`` is a tuple of texts.

    With several prompts the texts follow one another in the order of the prompts.
    """

    def __init__(
        self,
        test: EvalTest | None,
        models: Sequence[str],
        cases: Sequence[SampledCase],
        group: bool,
    ) -> None:
        self.test = test
        self.models = tuple(models)
        self.cases = tuple(cases)
        self.group = group

    def __getitem__(self, model: str) -> tuple[str, ...]:
        if model not in self.models:
            raise KeyError(model)
        return tuple(r.text for case in self.cases for r in case.responses[model])

    def __iter__(self) -> Iterator[str]:
        return iter(self.models)

    def __len__(self) -> int:
        return len(self.models)

    def responses(self, model: str) -> tuple[Response, ...]:
        """The whole responses of one model: finish reason, usage, log-probabilities."""
        return tuple(response for case in self.cases for response in case.responses[model])

    def features(
        self, metric: str | Callable[..., Any] | None = None
    ) -> dict[str, tuple[Block, ...]]:
        """The responses as vectors, for a measure of your own.

        Parameters
        ----------
        metric
            A metric whose similarity is an inner product; the marker's by default.

        Returns
        -------
        dict
            ``features[model][p]`` of prompt p, shape (usable responses, d): unit vectors for
            ``embedding`` and labels. Recorded and replayed like those of an assertion.

        Raises
        ------
        SettingsError
            For a measure of whole distributions, which has no vectors.
        """
        from pytest_convergence.assertions import labeller_of, vectors_of
        from pytest_convergence.represent.representation import represent
        from pytest_convergence.same_model import metric_of

        found = represent(
            self.cases,
            self.models,
            metric=metric_of(self, metric, None),
            labeller=labeller_of(self.test, self.test.declaration.label if self.test else None),
            vectors=vectors_of(self.test),
        )
        return {model: tuple(row) for model, row in zip(self.models, found.blocks, strict=True)}

    def __repr__(self) -> str:
        return f"<Samples of {len(self.models)} models on {len(self.cases)} prompts>"


class Panel:
    """The models a test is about, in the order they were named.

    Hand it to an assertion to judge the test's own prompt, or call :meth:`sample` for others.
    """

    def __init__(self, test: EvalTest, names: Sequence[str] | None = None) -> None:
        self._test = test
        self._names = None if names is None else tuple(names)

    @property
    def test(self) -> EvalTest:
        """The running test this panel belongs to."""
        return self._test

    @property
    def names(self) -> tuple[str, ...]:
        """The models' names."""
        if self._names is not None:
            return self._names
        return self._test.evaluation.panel_names(self._test)

    def only(self, *names: str) -> Panel:
        """The same panel with these models only.

        Raises
        ------
        SettingsError
            For a model that is not in the panel.
        """
        unknown = [name for name in names if name not in self.names]
        if unknown:
            raise SettingsError(
                f"{self._test.nodeid}: {unknown[0]!r} is not in the panel",
                details=[f"the panel: {', '.join(self.names)}"],
                fix=["name a member, or add it with --convergence-models"],
            )
        return Panel(self._test, names)

    @property
    def samples(self) -> Samples:
        """The responses to the test's own prompts, replayed or sampled."""
        if not self._test.cases:
            raise SettingsError(
                f"{self._test.nodeid} declares no prompt",
                details=["an assertion over the panel itself judges the prompts a test declares"],
                fix=[
                    "parametrize the test over `prompt`, or give its marker prompts={id: text}",
                    'or sample on the spot: assert_converges(models.sample("…"), threshold=0.8)',
                ],
            )
        with collector_paused():
            cases = self._test.evaluation.sampled_all(self._test.cases, self.names)
        return Samples(self._test, self.names, cases, group="#" in self._test.cases[0].id)

    def sample(
        self,
        prompt: Prompt | Mapping[str, Prompt],
        *,
        prompt_id: str | None = None,
        samples: int | None = None,
        **decoding: Any,
    ) -> Samples:
        """Responses to a prompt (or ``{id: prompt}``) that the test makes up as it runs.

        They are recorded and replayed like declared ones; they belong to no group.

        Parameters
        ----------
        prompt_id
            The prompt's name in recordings and messages; made from its text where not given.
        samples
            How many of each model; the marker's or the setting's where not given.
        **decoding
            Decoding parameters put over the marker's.
        """
        several = isinstance(prompt, Mapping)
        prompts = dict(prompt) if isinstance(prompt, Mapping) else {prompt_id: prompt}
        cases = [
            self._test.evaluation.sampled_now(self._test, name, text, self.names, samples, decoding)
            for name, text in prompts.items()
        ]
        return Samples(self._test, self.names, cases, group=several)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __repr__(self) -> str:
        try:
            return f"<Panel {', '.join(self.names)}>"
        except ConvergenceError as error:
            return f"<Panel: {error.headline}>"


class Convergence(Struct, frozen=True):
    """The ``convergence`` fixture: the panel, what the test declared, and its results so far."""

    models: Panel
    declaration: Declaration
    results: Sequence[Result]
