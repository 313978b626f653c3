"""Models as judges: asked by the running test, recorded and replayed like the panel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_convergence.errors import SettingsError
from pytest_convergence.models.response import Response


class JudgeError(Exception):
    """A judge that gave no reply; its verdict is missing."""


@dataclass(frozen=True, slots=True)
class ModelAsk:
    """Puts prompts to the model that ``spec`` names, as any panel would name it.

    Equal prompts are one question with one recorded reply.
    """

    spec: str
    decoding: tuple[tuple[str, Any], ...] = ()

    def __call__(self, prompt: str) -> str:
        """The model's reply.

        Raises
        ------
        JudgeError
            Where it gave none: an error, an empty or truncated reply, a refusal.
        CassetteError
            Where nothing may be sampled and the reply is not recorded.
        """
        reply = ask_all([(self, prompt)])[0]
        if reply.missing is not None:
            raise JudgeError(f"{reply.missing.kind}: {reply.missing.reason}")
        return reply.text


def as_asks(judges: Any, decoding: Mapping[str, Any] | None) -> tuple[tuple[str, Any], ...]:
    """Judges by name: model specs become askers, callables stay what they are."""
    if isinstance(judges, str):
        judges = [judges]
    if isinstance(judges, Mapping):
        named = list(judges.items())
    elif callable(judges):
        named = [("judge", judges)]
    else:
        named = [(str(one), one) for one in judges]
    given = tuple(sorted((decoding or {}).items()))
    return tuple(
        (name, ModelAsk(one, given) if isinstance(one, str) else one) for name, one in named
    )


def ask_all(asked: Sequence[tuple[ModelAsk, str]]) -> list[Response]:
    """The replies to all these prompts, sampled at the same time where they are not recorded.

    Raises
    ------
    SettingsError
        Outside a test: who asks decides where the replies are recorded.
    """
    from pytest_convergence.running import current_test

    test = current_test()
    if test is None:
        raise SettingsError(
            f"the judge {asked[0][0].spec!r} is asked outside a test" if asked else "no question",
            details=["a model's replies are recorded with the test that asks"],
            fix=["use it in a test, or give judge() a callable from a prompt to a reply"],
        )
    return test.evaluation.replies(
        test, [(ask.spec, dict(ask.decoding), prompt) for ask, prompt in asked]
    )
