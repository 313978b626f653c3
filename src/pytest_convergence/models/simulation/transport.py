"""The simulated provider: chat-completions requests in, replies drawn from the panel out.

A reply is fixed by the panel's seed, the whole request and the sample index, so that it depends
neither on the order of the calls nor on the process that makes them.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import httpx

from pytest_convergence.errors import SettingsError
from pytest_convergence.models.context import sample_index
from pytest_convergence.models.simulation.answering import Outcome, uniform
from pytest_convergence.models.simulation.behaviour import Faults, Profile
from pytest_convergence.models.wire import canonical_json

if TYPE_CHECKING:
    from pytest_convergence.models.simulated import SimulatedPanel

_REMEMBERED = 1000


class SimulatedTransport(httpx.AsyncBaseTransport):
    """Answers chat-completions requests to every model of a panel; opens no connection."""

    def __init__(self, panel: SimulatedPanel) -> None:
        self._panel = panel
        self._listed: dict[str, list[Outcome]] = {}
        self._turned_away: set[tuple[str, int]] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One reply, for the sample that the context names."""
        body = (await request.aread()).decode("utf-8")
        status, reply, seconds = self._reply(body, sample_index.get())
        if seconds:
            await asyncio.sleep(seconds)
        headers = {"content-type": "application/json"}
        if status == 429:
            headers["retry-after"] = "0"
        content = canonical_json(reply).encode()
        return httpx.Response(status, headers=headers, content=content, request=request)

    def _reply(self, body: str, index: int) -> tuple[int, dict[str, Any], float]:
        try:
            asked = json.loads(body)
            profile = self._panel.profile(asked["model"])
            rejected = next((name for name in profile.rejects if name in asked), None)
            if rejected is not None:
                return 400, _error(f"Unsupported parameter: {rejected!r} (simulated).", rejected), 0
            listed = self._outcomes(body, asked)
        except (ValueError, KeyError, TypeError, AttributeError, SettingsError) as error:
            return 400, _error(f"not a request the simulation can answer: {error}"), 0
        fault, choice, wait, busy = (
            uniform(self._panel.behaviour.seed, purpose, asked, index)
            for purpose in ("fault", "choice", "wait", "busy")
        )
        low, high = profile.latency
        seconds = low + wait * (high - low)
        if busy < profile.faults.busy and self._first_time(body, index):
            return 429, _error("Rate limit reached (simulated)."), seconds
        if fault < profile.faults.error:
            return 500, _error("The server had an error (simulated)."), seconds
        outcome = spoilt(drawn(listed, choice), fault, profile.faults)
        return 200, _completion(asked, outcome, listed, profile, index), seconds

    def _outcomes(self, body: str, asked: Mapping[str, Any]) -> list[Outcome]:
        if body not in self._listed:
            if len(self._listed) >= _REMEMBERED:
                self._listed.clear()
            self._listed[body] = self._panel.outcomes_of(asked)
        return self._listed[body]

    def _first_time(self, body: str, index: int) -> bool:
        seen = (body, index) in self._turned_away
        self._turned_away.add((body, index))
        return not seen


def drawn(listed: Sequence[Outcome], u: float) -> Outcome:
    """The outcome at which the running probability first exceeds ``u``."""
    running = 0.0
    for outcome in listed:
        running += outcome.probability
        if u < running:
            return outcome
    return listed[-1]


def spoilt(outcome: Outcome, fault: float, faults: Faults) -> Outcome:
    """The outcome without its text, or with half of it, where ``fault`` falls into such a share."""
    past = fault - faults.error
    if 0 <= past < faults.empty:
        return Outcome("", outcome.kind, outcome.finish, outcome.probability)
    if 0 <= past - faults.empty < faults.truncated:
        half = outcome.text[: max(len(outcome.text) // 2, 1)]
        return Outcome(half, outcome.kind, "length", outcome.probability)
    return outcome


def _completion(
    asked: Mapping[str, Any],
    outcome: Outcome,
    listed: Sequence[Outcome],
    profile: Profile,
    index: int,
) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": outcome.text, "refusal": None}
    finish = outcome.finish
    if finish == "refusal":
        message, finish = message | {"content": None, "refusal": outcome.text}, "stop"
    elif finish == "content_filter":
        message["content"] = ""
    choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
    if asked.get("logprobs"):
        choice["logprobs"] = _logprobs(outcome, listed, int(asked.get("top_logprobs") or 0))
    return {
        "id": f"simulated-{int(uniform('id', asked, index) * 1e12):012d}",
        "object": "chat.completion",
        "created": 0,
        "model": f"{profile.name} (simulated)",
        "system_fingerprint": "simulated",
        "choices": [choice],
        "usage": _usage(asked, outcome.text, profile.reasoning_tokens),
    }


def _logprobs(outcome: Outcome, listed: Sequence[Outcome], top: int) -> dict[str, Any]:
    """The whole reply counts as one token, so that its probability is the true one."""
    ranked = sorted(listed, key=lambda other: -other.probability)[:top]
    token = _token(outcome) | {"top_logprobs": [_token(other) for other in ranked]}
    return {"content": [token], "refusal": None}


def _token(outcome: Outcome) -> dict[str, Any]:
    return {"token": outcome.text, "logprob": math.log(outcome.probability), "bytes": None}


def _usage(asked: Mapping[str, Any], text: str, reasoning: int) -> dict[str, Any]:
    sent = sum(len(message["content"].split()) for message in asked["messages"])
    written = len(text.split()) + reasoning
    return {
        "prompt_tokens": sent,
        "completion_tokens": written,
        "total_tokens": sent + written,
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


def _error(message: str, parameter: str | None = None) -> dict[str, Any]:
    code = "unsupported_parameter" if parameter else None
    kind = "invalid_request_error" if parameter else "simulated_error"
    return {"error": {"message": message, "type": kind, "param": parameter, "code": code}}
