"""What a test declares: its marker merged with the settings, and the cases that follow."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from msgspec import Struct, field

from pytest_convergence.errors import SettingsError, percentage

if TYPE_CHECKING:
    from pytest_convergence.models.decoding import Decoding
    from pytest_convergence.models.messages import Prompt
    from pytest_convergence.settings import Settings

Direction: TypeAlias = Literal["converges", "diverges"]

DECODING_KEYS = ("temperature", "top_p", "max_tokens", "seed", "system", "stop", "top_logprobs")
MARKER_KEYS = (
    "capability",
    "metric",
    "label",
    "samples",
    "threshold",
    "direction",
    "confidence",
    "family",
    "max_missing",
    "models",
    "prompts",
    "template",
    "smallest_effect",
    "margin",
    "at_least",
    "at_most",
    "value",
    *DECODING_KEYS,
    "extra",
)


class Declaration(Struct, frozen=True):
    """What a test is judged by and how its prompts are sampled, known at collection.

    ``threshold`` is for the group's score. ``metric`` and ``label`` name a registered one or are
    callables. ``models`` are specs. ``max_missing`` is the share of prompts that one model may
    lack before its group is incomplete. ``smallest_effect`` is the change of a score or a
    rate that the baseline's gate calls a regression, ``margin`` the one an equivalence test
    tolerates.
    ``at_least`` and ``at_most`` bound each model's rate of ``value`` (right answers, where it is
    None) over the group.
    """

    capability: str = ""
    metric: str | Callable[..., Any] = "embedding"
    label: str | Callable[..., Any] | None = None
    samples: int = 5
    threshold: float | None = None
    direction: Direction = "converges"
    confidence: float | None = None
    max_missing: float = 0.1
    models: tuple[str, ...] = ()
    decoding: Mapping[str, Any] = field(default_factory=dict)
    template: str | None = None
    smallest_effect: float = 0.05
    margin: float = 0.05
    at_least: float | None = None
    at_most: float | None = None
    value: str | Collection[str] | None = None


class Case(Struct, frozen=True):
    """One prompt of one test.

    ``data`` are the parameters parametrized together with the prompt (an expected answer, the
    options), ``arms`` those of every other parametrize. ``id`` is unique in a run.
    """

    id: str
    nodeid: str
    test_file: str
    test_name: str
    prompt_id: str
    prompt: Prompt
    family: str
    data: Mapping[str, Any]
    arms: Mapping[str, Any]
    declaration: Declaration

    @property
    def parameters(self) -> dict[str, Any]:
        """Data and arms together: what a template may name."""
        return {**self.arms, **self.data}


class Group(Struct, frozen=True):
    """Function x capability x arm: the cases that one score is made of."""

    id: str
    capability: str
    arm: str
    cases: tuple[Case, ...]
    declaration: Declaration


def gated_names(group: Group) -> tuple[str, ...]:
    """Under which names a baseline keeps a group: its score, the rates that its marker bounds.

    Where the marker bounds a rate and says nothing of the score (neither a threshold nor that
    answers should differ), the rate is what it guards, and a better one may well be less alike.
    """
    asked = group.declaration
    rate = asked.at_least is not None or asked.at_most is not None
    score = not rate or asked.threshold is not None or asked.direction != "converges"
    return (*((group.id,) if score else ()), *((f"{group.id}#rate",) if rate else ()))


def declare(marks: Iterable[Mapping[str, Any]], settings: Settings, *, where: str) -> Declaration:
    """The declaration of one test.

    Parameters
    ----------
    marks
        The keyword arguments of the markers, the closest first.
    where
        The node id that an error names.

    Raises
    ------
    SettingsError
        For an unknown key, or a value of the wrong type or range.
    """
    given: dict[str, Any] = {}
    for mark in marks:
        for key, value in mark.items():
            _known(key, where)
            given.setdefault(key, value)
    _check(given, where)

    def pick(name: str) -> Any:
        if name in settings.explicit or given.get(name) is None:
            return settings[name]
        return given[name]

    label = given.get("label")
    metric = pick("metric") or ("label" if label is not None else "embedding")
    models = pick("models")
    optional = {
        name: given[name]
        for name in (
            "capability",
            "threshold",
            "direction",
            "max_missing",
            "template",
            "smallest_effect",
            "margin",
            "at_least",
            "at_most",
            "value",
        )
        if given.get(name) is not None
    }
    return Declaration(
        metric=metric,
        label=label,
        samples=pick("samples"),
        confidence=pick("confidence"),
        models=(models,) if isinstance(models, str) else tuple(models),
        decoding=_decoding(given, settings),
        **optional,
    )


def _decoding(given: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    marked = {name: given[name] for name in (*DECODING_KEYS, "extra") if name in given}
    low, high = settings["decoding"], {}
    if "decoding" in settings.explicit:
        low, high = settings.beneath["decoding"], low
    merged = {**low, **marked, **high}
    extra = {**low.get("extra", {}), **marked.get("extra", {}), **high.get("extra", {})}
    return {**merged, "extra": extra} if extra else merged


def resolve_decoding(case: Case) -> Decoding:
    """The decoding of a case: parameters named like decoding parameters are sent.

    A ``system`` text may name the case's other parameters: ``system="You are {persona}."``. A
    parameter ``extra`` is put over the marker's key by key.
    """
    from pytest_convergence.models.decoding import Decoding

    values = dict(case.declaration.decoding)
    values.update({name: value for name, value in case.parameters.items() if name in DECODING_KEYS})
    if (extra := case.parameters.get("extra")) is not None:
        if not isinstance(extra, Mapping):
            raise SettingsError(
                f"{case.nodeid}: the parameter extra={extra!r} is sent to the models",
                fix=['give a dict such as {"min_p": 0.2}, or name the parameter otherwise'],
            )
        values["extra"] = {**values.get("extra", {}), **extra}
    if isinstance(values.get("system"), str):
        values["system"] = fill(values["system"], case)
    return Decoding.from_mapping(values, where=case.nodeid)


def fill(template: str, case: Case, **more: Any) -> str:
    """A template with the case's parameters put in.

    Raises
    ------
    SettingsError
        Where it names a parameter that the case does not have.
    """
    if "{" not in template:
        return template
    try:
        return template.format_map({**case.parameters, **more})
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise SettingsError(
            f"{case.nodeid}: the template {template!r} cannot be filled: {error!r}",
            details=[f"parameters: {', '.join(sorted(case.parameters)) or 'none'}"],
            fix=["name only parameters of the test; write {{ and }} for braces"],
        ) from None


def _known(key: str, where: str) -> None:
    if key in MARKER_KEYS:
        return
    close = difflib.get_close_matches(key, MARKER_KEYS, n=1)
    raise SettingsError(
        f"{where}: the convergence marker has no key {key!r}",
        details=[f"known: {', '.join(MARKER_KEYS)}"],
        fix=[f"did you mean {close[0]!r}?"] if close else ["remove it"],
    )


def _labels(value: Any) -> bool:
    if isinstance(value, str):
        return True
    return isinstance(value, Collection) and all(isinstance(one, str) for one in value)


def _check(given: Mapping[str, Any], where: str) -> None:
    def demand(name: str, valid: bool, expected: str) -> None:
        if given.get(name) is not None and not valid:
            raise SettingsError(
                f"{where}: the marker's {name}={given[name]!r} is not usable",
                fix=[f"give {name} {expected}{percentage(given[name])}"],
            )

    def number(name: str, low: float, high: float) -> bool:
        value = given.get(name)
        return (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and low <= float(value) <= high
        )

    samples = given.get("samples")
    demand("capability", isinstance(given.get("capability"), str), "a string")
    demand("samples", isinstance(samples, int) and samples >= 1, "a whole number from 1")
    demand("threshold", number("threshold", -1, 1), "a number from -1 to 1")
    demand("confidence", number("confidence", 0.5, 0.9999), "a level such as 0.95")
    demand("max_missing", number("max_missing", 0, 1), "a share from 0 to 1")
    demand("smallest_effect", number("smallest_effect", 0, 1), "a number from 0 to 1")
    demand("margin", number("margin", 0, 1), "a number from 0 to 1")
    demand("at_least", number("at_least", 0, 1), "a share from 0 to 1")
    demand("at_most", number("at_most", 0, 1), "a share from 0 to 1")
    demand("at_most", given.get("at_least") is None, "or at_least, not both")
    demand("value", _labels(given.get("value")), "a label or several")
    demand(
        "direction",
        given.get("direction") in ("converges", "diverges"),
        '"converges" or "diverges"',
    )
    demand("prompts", isinstance(given.get("prompts"), Mapping), "a dict {id: prompt}")
    metric, label = given.get("metric"), given.get("label")
    demand("metric", isinstance(metric, str) or callable(metric), "a name or a callable")
    demand("label", isinstance(label, str) or callable(label), "a labeller or a registered name")
