"""Were the instructions followed? A pattern of passes and failures that a program verifies."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_convergence.errors import RepresentationError
from pytest_convergence.models.response import Response
from pytest_convergence.represent.features import Label
from pytest_convergence.represent.labels.checks import KINDS, limits_of
from pytest_convergence.represent.labels.languages import LANGUAGES
from pytest_convergence.represent.labels.reading import answer_of, unusable


@dataclass(frozen=True, slots=True)
class Check:
    """One verifiable instruction: what is checked, and its parameters as sorted pairs."""

    kind: str
    parameters: tuple[tuple[str, Any], ...] = ()

    def __call__(self, text: str) -> str | None:
        """Why the text does not follow the instruction; None where it does."""
        return KINDS[self.kind].run(text, **dict(self.parameters))


@dataclass(frozen=True, slots=True)
class Instructions:
    """Labels are ``pass`` or ``fail: <what failed>``; see :func:`instructions`."""

    checks: tuple[Check, ...] = ()
    name: str = "instructions"
    version: str = "1"

    def __call__(self, response: Response, data: Mapping[str, Any]) -> Label:
        """Which of the instructions fail, by name in their order."""
        without = unusable(response)
        if without is not None:
            return without
        checks = self.checks + tuple(_as_check(given) for given in data.get("instructions", ()))
        if not checks:
            raise RepresentationError(
                "instructions() has nothing to check",
                fix=['write instructions(check("words", at_most=50))', _IN_DATA],
            )
        text = answer_of(response.text)
        said = {one.kind: why for one in checks if (why := one(text)) is not None}
        value = f"fail: {', '.join(said)}" if said else "pass"
        return Label(value, correct=not said, why="; ".join(said.values()))


_IN_DATA = 'or parametrize instructions beside prompt: [{"check": "words", "at_most": 50}]'


def instructions(*checks: Check | Mapping[str, Any]) -> Instructions:
    """A labeller of verifiable instructions.

    Parameters
    ----------
    checks
        Made by :func:`check` or written as mappings; the case's ``instructions`` are added.

    Raises
    ------
    RepresentationError
        For a check that is not known, or parameters it does not take or lacks.
    """
    return Instructions(tuple(_as_check(given) for given in checks))


def check(kind: str, /, **parameters: Any) -> Check:
    """One instruction.

    ``words``, ``sentences``, ``characters``, ``paragraphs``, ``bullets`` and ``numbered`` take
    ``exactly=``, ``at_least=``, ``at_most=``; ``includes`` takes ``words=`` and ``times=``,
    ``excludes`` ``words=``; ``starts_with`` and ``ends_with`` ``text=``; ``json`` ``keys=``;
    ``language`` ``code=``; ``table`` ``rows=``; ``pattern`` ``regex=``; ``code_block``,
    ``lowercase``, ``uppercase``, ``title_case``, ``no_commas`` and ``quoted`` take nothing.
    Counts and words are of the text without markdown marks; letter case of words does not count.

    Raises
    ------
    RepresentationError
        For a check that is not known, or parameters it does not take or lacks.
    """
    if kind not in KINDS:
        raise RepresentationError(
            f"there is no check {kind!r}", fix=[f"name one of {', '.join(KINDS)}"]
        )
    known = KINDS[kind]
    strange = [name for name in parameters if name not in known.takes]
    lacking = [name for name in known.needs if name not in parameters]
    unlimited = "at_most" in known.takes and not limits_of(parameters)
    if strange or lacking or unlimited:
        raise RepresentationError(
            f"the check {kind!r} cannot be run with {parameters!r}",
            fix=[f"give it {', '.join(known.takes) or 'no parameters'}"],
        )
    _check_values(kind, parameters)
    return Check(kind, tuple(sorted((name, _frozen(value)) for name, value in parameters.items())))


def _check_values(kind: str, parameters: Mapping[str, Any]) -> None:
    if kind == "language" and parameters["code"] not in LANGUAGES:
        raise RepresentationError(
            f"the language {parameters['code']!r} cannot be told",
            fix=[f"name one of {', '.join(LANGUAGES)}"],
        )
    if kind == "pattern":
        try:
            re.compile(parameters["regex"])
        except re.error as problem:
            raise RepresentationError(
                f"the pattern {parameters['regex']!r} is no regular expression: {problem}",
                fix=["mend it, or write a labeller of your own"],
            ) from problem


def _as_check(given: Check | Mapping[str, Any]) -> Check:
    if isinstance(given, Check):
        return given
    if "check" not in given:
        raise RepresentationError(
            f"{given!r} is no instruction", fix=[_IN_DATA.removeprefix("or ")]
        )
    return check(
        given["check"], **{name: value for name, value in given.items() if name != "check"}
    )


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
