"""The cases of the shipped evals read from their modules, without running them."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_convergence.models.messages import Prompt
from pytest_convergence.models.response import Response
from pytest_convergence.models.simulated import SimulatedPanel
from pytest_convergence.represent.features import Label

EVALS = Path(__file__).parents[1] / "evals"
ParameterSet = type(pytest.param(None))


@dataclass(frozen=True)
class EvalCase:
    """One prompt of one eval function in one arm: what tells it apart, and as it would be sent."""

    test: str
    arm: str
    prompt_id: str
    prompt: str
    sent: Prompt
    data: Mapping[str, Any]
    marker: Mapping[str, Any]

    @property
    def capability(self) -> str:
        return str(self.marker.get("capability", ""))

    def label(self) -> Any:
        """The marker's labeller as a function of the response alone."""
        return partial(_value, self.marker["label"], self.data)


def _value(labeller: Any, data: Mapping[str, Any], response: Response) -> str | None:
    label = labeller(response, data)
    return label.value if isinstance(label, Label) else label


@cache
def panel() -> SimulatedPanel:
    return SimulatedPanel.read([EVALS / "simulated"])


@cache
def eval_modules() -> tuple[ModuleType, ...]:
    return tuple(_load(path) for path in sorted(EVALS.glob("test_*.py")))


@cache
def eval_cases() -> tuple[EvalCase, ...]:
    """The cases of every module: a function's own prompts, with every arm."""
    return tuple(
        case
        for module in eval_modules()
        for name, function in vars(module).items()
        if name.startswith("test_") and callable(function)
        for case in _cases(module, name, function)
    )


def cases_of(test: str, arm: str = "") -> list[EvalCase]:
    found = [case for case in eval_cases() if case.test == test and case.arm == arm]
    assert found, f"no eval has {test}[{arm}]"
    return found


def _load(path: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location(f"shipped_{path.stem}", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def _cases(module: ModuleType, name: str, function: Any) -> Iterator[EvalCase]:
    own = getattr(module, "pytestmark", [])
    marks = [*(own if isinstance(own, list) else [own])]
    marks = [getattr(mark, "mark", mark) for mark in marks] + list(
        getattr(function, "pytestmark", [])
    )
    marker: dict[str, Any] = {}
    for mark in marks:
        if mark.name == "convergence":
            marker.update(mark.kwargs)
    calls = [_rows(mark) for mark in marks if mark.name == "parametrize"]
    if not any("prompt" in values for rows in calls for _, values in rows):
        return
    for chosen in itertools.product(*calls):
        parameters = {key: value for _, values in chosen for key, value in values.items()}
        prompt_id = next(identity for identity, values in chosen if "prompt" in values)
        arm = "-".join(identity for identity, values in chosen if "prompt" not in values)
        prompt = sent = parameters["prompt"]
        if isinstance(prompt, str):
            sent = marker.get("template", "{prompt}").format_map(parameters)
        else:
            prompt = next(m["content"] for m in prompt if m["role"] == "user")
        yield EvalCase(name, arm, prompt_id, prompt, sent, parameters, marker)


def _rows(mark: pytest.Mark) -> list[tuple[str, dict[str, Any]]]:
    names = mark.args[0]
    names = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    ids = mark.kwargs.get("ids") or [None] * len(mark.args[1])
    rows = []
    for value, identity in zip(mark.args[1], ids, strict=True):
        if isinstance(value, ParameterSet):
            given, identity = value.values, value.id or identity
        else:
            given = (value,) if len(names) == 1 else tuple(value)
        rows.append((str(identity), dict(zip(names, given, strict=True))))
    return rows
