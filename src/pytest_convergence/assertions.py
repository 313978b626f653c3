"""Convergence as an assertion."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import pytest

from pytest_convergence.errors import SettingsError, percentage
from pytest_convergence.judging import Question, judge_group, judge_prompt
from pytest_convergence.models.secrets import without_keys
from pytest_convergence.panel import EvalTest, Panel, Samples
from pytest_convergence.results import (
    CheckResult,
    ConvergenceFailure,
    ConvergenceResult,
    Result,
)
from pytest_convergence.running import current_test

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_convergence.declaration import Direction
    from pytest_convergence.models.response import Response
    from pytest_convergence.represent.features import Labeller
    from pytest_convergence.represent.representation import SampledCase

Concluded = TypeVar("Concluded", bound=Result)
Responses: TypeAlias = "Panel | Samples | Mapping[str, Sequence[str | Response]]"


def assert_converges(
    models: Responses,
    threshold: float | None = None,
    *,
    metric: str | Callable[..., Any] | None = None,
    label: str | Labeller | None = None,
    confidence: float | None = None,
) -> ConvergenceResult:
    """The models behave alike: similarity (one prompt) or score (a group) reaches the threshold.

    Parameters
    ----------
    models
        The ``models`` fixture (the test's own prompt or prompts), what ``models.sample`` returned,
        or plain responses to one prompt, ``{model: [texts]}``.
    threshold
        In [-1, 1]. One prompt is compared by similarity: for labels, the share of response pairs
        that agree; for embeddings, the mean cosine. A group is compared by score, where 0 is
        chance and 1 is as alike as each model is to itself; only there the marker's threshold is
        the default.
    metric, label
        Put over the marker's.
    confidence
        For example .95: the bound of the interval decides, and a straddling one is inconclusive.

    Returns
    -------
    ConvergenceResult
        Frozen, with the estimate, its interval, the verdict and every response.

    Raises
    ------
    ConvergenceFailure
        An ``AssertionError``: diverged, inconclusive or undefined.
    SettingsError
        Where there is no threshold, or fewer than two models.

    Notes
    -----
    A case where a model has no usable response is incomplete: the test is skipped with the reason
    and the session exits non-zero. Agreement is not correctness.
    """
    __tracebackhide__ = True
    return _assert(models, threshold, "converges", metric, label, confidence)


def assert_diverges(
    models: Responses,
    threshold: float | None = None,
    *,
    metric: str | Callable[..., Any] | None = None,
    label: str | Labeller | None = None,
    confidence: float | None = None,
) -> ConvergenceResult:
    """The models behave differently: similarity or score stays below the threshold.

    Guards diversity, where homogeneity is the failure. Parameters, results and errors are those of
    :func:`assert_converges`.
    """
    __tracebackhide__ = True
    return _assert(models, threshold, "diverges", metric, label, confidence)


def _assert(
    models: Responses,
    threshold: float | None,
    direction: Direction,
    metric: str | Callable[..., Any] | None,
    label: str | Labeller | None,
    confidence: float | None,
) -> ConvergenceResult:
    __tracebackhide__ = True
    if isinstance(models, Panel):
        _check_panel(models.names, models.test.nodeid)
    own = models.test if isinstance(models, Panel | Samples) else current_test()
    # Before anything is sampled: an answer that cannot be judged is not worth its price.
    measure = _measure(own, metric, label)
    samples = as_samples(models)
    test = samples.test
    question = _question(samples, threshold, direction, measure, confidence)
    judge = judge_group if samples.group else None
    if judge is not None:
        result = judge(question, samples.cases, samples.models, vectors_of(test))
    else:
        result = judge_prompt(question, samples.cases[0], samples.models, vectors_of(test))
    return conclude(result, test)


def conclude(result: Concluded, test: EvalTest | None) -> Concluded:
    """Keep the result with its test; fail, skip or return it.

    Raises
    ------
    ConvergenceFailure
        Where what was asserted does not hold.
    """
    __tracebackhide__ = True
    if test is not None:
        test.results.append(result)
    if result.verdict == "incomplete":
        pytest.skip(described(result)[0])
    if not result.passed:
        raise ConvergenceFailure(without_keys(described(result)[1]), result)
    return result


def described(result: Result) -> tuple[str, str]:
    """The headline and the whole message of a result."""
    if isinstance(result, CheckResult):
        from pytest_convergence.report.checks import check_headline, check_message

        return check_headline(result), check_message(result)
    from pytest_convergence.report.message import headline, message

    return headline(result), message(result)


def _question(
    samples: Samples,
    threshold: float | None,
    direction: Direction,
    measure: tuple[str | Callable[..., Any], Labeller | None],
    confidence: float | None,
) -> Question:
    test = samples.test
    declaration = test.declaration if test else None
    where = test.nodeid if test else "assertion"
    if threshold is None and samples.group and declaration is not None:
        threshold = declaration.threshold
    if threshold is None:
        raise SettingsError(
            f"{where}: assert_{direction} needs a threshold",
            details=["the marker's threshold is for the score of a group, not for one prompt"],
            fix=[f"assert_{direction}(models, threshold=0.8)"],
        )
    check_number(threshold, -1, 1, name="threshold", where=where)
    if confidence is not None:
        check_number(confidence, 0.5, 0.9999, name="confidence", where=where)
    _check_panel(samples.models, where)
    metric, labeller = measure
    return Question(
        id=own_id(where if samples.group else samples.cases[0].id, test),
        nodeid=where,
        metric=metric,
        labeller=labeller,
        threshold=threshold,
        direction=direction,
        confidence=confidence or (declaration.confidence if declaration else None),
        max_missing=declaration.max_missing if declaration else 0.1,
        capability=declaration.capability if declaration else "",
        simulated=simulated(test, samples.models),
        mapped=test is not None and test.evaluation.mapped,
    )


def _measure(
    test: EvalTest | None,
    metric: str | Callable[..., Any] | None,
    label: str | Labeller | None,
) -> tuple[str | Callable[..., Any], Labeller | None]:
    """The metric and the labeller of an assertion: its own, else the marker's."""
    from pytest_convergence.represent.representation import check_metric

    declaration = test.declaration if test else None
    chosen = metric or ("label" if label is not None else None)
    if chosen is None:
        chosen = declaration.metric if declaration else "embedding"
    named = label if label is not None else declaration.label if declaration else None
    if test is not None:
        return chosen, test.evaluation.names.measure(chosen, named, test.nodeid)
    labeller = labeller_of(None, named)
    check_metric(chosen, labeller)
    return chosen, labeller


def check_number(value: object, low: float, high: float, *, name: str, where: str) -> None:
    """What an assertion compares with must be a number in its range.

    Raises
    ------
    SettingsError
        For something else: a comparison with it would pass or fail whatever was said.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and low <= float(value) <= high):  # type: ignore[arg-type]
        raise SettingsError(
            f"{where}: {name}={value!r} is not usable",
            fix=[f"give {name} a number from {low:g} to {high:g}{percentage(value)}"],
        )


def own_id(identity: str, test: EvalTest | None) -> str:
    """The id of a further result of one test: ``…~2`` where it has asserted of the same before."""
    taken = {result.id for result in test.results} if test else set()
    if identity not in taken:
        return identity
    return next(name for number in count(2) if (name := f"{identity}~{number}") not in taken)


def _check_panel(names: Sequence[str], where: str) -> None:
    if len(names) < 2:
        raise SettingsError(
            f"{where}: convergence needs two models, the panel has {len(names)}",
            fix=["name more with --convergence-models"],
        )


def labeller_of(test: EvalTest | None, label: str | Labeller | None) -> Labeller | None:
    """The labeller by name or as it is; what a test registered goes first."""
    if test is not None:
        return test.evaluation.names.labeller(label)
    if label is None or callable(label):
        return label
    from pytest_convergence.represent.labels import labeller

    return labeller(label)


def simulated(test: EvalTest | None, models: Sequence[str]) -> tuple[str, ...]:
    """Those of the models whose answers a simulation makes up."""
    if test is None or test.evaluation.recorded is not None:
        return ()
    return tuple(name for name in models if name.startswith("sim/"))


def as_samples(models: Responses) -> Samples:
    """Whatever a user may hand to an assertion, as samples.

    Raises
    ------
    SettingsError
        For something else, or responses that are neither texts nor responses.
    """
    if isinstance(models, Panel):
        return models.samples
    if isinstance(models, Samples):
        return models
    if isinstance(models, Mapping):
        return _plain(models)
    raise SettingsError(
        f"an assertion takes the models fixture or {{model: [texts]}}, not {type(models).__name__}",
        fix=['assert_converges({"a": ["yes"], "b": ["yes", "no"]}, threshold=0.8, metric="exact")'],
    )


def from_responses(
    prompts: Mapping[str, Mapping[str, Sequence[str | Response]]],
    *,
    data: Mapping[str, Mapping[str, Any]] | None = None,
    families: Mapping[str, str] | None = None,
) -> Samples:
    """Responses to several prompts that you already have, to be judged as a group.

    Parameters
    ----------
    prompts
        ``{prompt id: {model: [responses]}}``; the models of the first prompt are the panel.
    data
        By prompt id what a labeller reads: ``{"peru": {"answer": "Lima"}}``.
    families
        By prompt id, for prompts that are variants of one another.

    Raises
    ------
    SettingsError
        For no prompt, a prompt without one of the models, or what is no list of responses.
    """
    if not prompts:
        raise SettingsError("there are no responses", fix=['{"prompt": {"model": ["text"]}}'])
    panel = tuple(map(str, next(iter(prompts.values()))))
    cases = []
    for name, given in prompts.items():
        if sorted(map(str, given)) != sorted(panel):
            raise SettingsError(
                f"the prompt {name!r} has responses of {', '.join(map(str, given)) or 'nobody'}",
                details=[f"the first prompt has them of {', '.join(panel)}"],
                fix=["give every prompt every model; an empty list for one that did not answer"],
            )
        read = {str(model): _as_responses(model, texts) for model, texts in given.items()}
        known, family = (data or {}).get(name, {}), (families or {}).get(name, name)
        cases.append(_case(str(name), read, known, str(family)))
    return Samples(current_test(), panel, cases, group=True)


def _plain(models: Mapping[str, Sequence[str | Response]]) -> Samples:
    test = current_test()
    responses = {str(name): _as_responses(name, given) for name, given in models.items()}
    name = f"texts-{len(test.results) if test else 0}"
    case = _case(name, responses, test.data if test else {}, "texts")
    return Samples(test, tuple(responses), [case], group=False)


def _case(
    name: str, responses: Mapping[str, Sequence[Response]], data: Mapping[str, Any], family: str
) -> SampledCase:
    """Responses that came from no panel, as a case of the running test, if there is one."""
    from pytest_convergence.represent.representation import SampledCase

    test = current_test()
    where, store = "assertion", Path("texts.json")
    if test is not None:
        where = test.nodeid
        store = test.evaluation.text_store(test.test_file, test.test_name)
    return SampledCase(
        id=f"{where}#{name}",
        nodeid=where,
        prompt_id=name,
        prompt="",
        family=family,
        data=dict(data),
        responses=responses,
        stores=dict.fromkeys(responses, store),
    )


def _as_responses(name: object, given: Sequence[str | Response]) -> tuple[Response, ...]:
    from pytest_convergence.missing import recognise
    from pytest_convergence.models.response import Response

    if isinstance(given, str | bytes) or not isinstance(given, Sequence):
        raise SettingsError(
            f"the responses of {name!r} are {type(given).__name__}, not a list of texts",
            fix=['write {"model": ["first answer", "second answer"]}'],
        )
    result = []
    for position, one in enumerate(given):
        if isinstance(one, Response):
            result.append(one)
        elif isinstance(one, str):
            result.append(Response(one, missing=recognise(one)))
        else:
            raise SettingsError(
                f"response {position} of {name!r} is {type(one).__name__}, not a text",
                fix=["hand over strings, or the responses that models.sample returned"],
            )
    return tuple(result)


def vectors_of(
    test: EvalTest | None,
) -> Callable[[Mapping[Path, Sequence[str]]], Mapping[Path, NDArray[np.float32]]]:
    """Where a test's texts find their vectors; outside a test they are embedded anew."""
    if test is not None:
        return test.evaluation.vectors

    def embed_directly(
        wanted: Mapping[Path, Sequence[str]],
    ) -> Mapping[Path, NDArray[np.float32]]:
        from pytest_convergence.represent.embedders import load_embedder

        embedder = load_embedder("all-MiniLM-L6-v2")
        return {store: embedder.embed(list(texts)) for store, texts in wanted.items()}

    return embed_directly
