"""Limits that hold for the whole run, and adapt to what the provider lets through.

A *gate* is one limit: of a domain (base URL and key) or of one model in it. Places in flight
are leased from the board: over all processes the leases of a gate never add up to more than it
allows, and each process gets its fair share of what all could use. Starts under a rate are
booked on the board one by one. What a gate allows grows while answers come, doubling with each
round until the first refusal and by one a round from then on, and shrinks once a round by the
share of answers that were refused, as DCTCP does (Alizadeh et al., SIGCOMM 2010), so that
failures that do not depend on the load do not bring the sampler to a standstill.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_convergence.sampling.board import Board
from pytest_convergence.sampling.headers import Quota
from pytest_convergence.sampling.settings import Limits, SamplingSettings

if TYPE_CHECKING:
    from pytest_convergence.models.wire import Model

LONGEST_PAUSE = 3600.0
_UNLIMITED = 1 << 20
_SYNC_SECONDS = 0.2
_SOONEST_SYNC = 0.02
_SMOOTHING = 1 / 16
_TOLERANCE = 1.0
_LONGEST_QUOTA = 60.0


@dataclass
class Gate:
    """One limit as this process sees it.

    Attributes
    ----------
    lease
        Places that this process may fill.
    in_flight, waiting
        Places filled, and calls that could fill more.
    answered
        Good answers since the last exchange with the board that arrived under pressure.
    refusals
        Refusals since then: (when the call was sent, weight from 0 to 1).
    """

    key: str
    limits: Limits
    adaptive: bool
    lease: int = 0
    in_flight: int = 0
    waiting: int = 0
    answered: int = 0
    refusals: list[tuple[float, float]] = field(default_factory=list)
    pause: float = 0.0
    paused_until: float = 0.0
    allowed: int = 0
    refused_share: float = 0.0
    starts: int = 0
    sharers: int = 1
    quota: float = math.inf
    quota_until: float = 0.0

    @property
    def ceiling(self) -> int:
        """The most that may ever be in flight."""
        return self.limits.in_flight or _UNLIMITED

    @property
    def rated(self) -> bool:
        """Whether starts have to be booked on the board."""
        return bool(self.limits.requests_per_minute or self.limits.tokens_per_minute)

    @property
    def free(self) -> int:
        """Places that could be filled at once."""
        now = time.monotonic()
        if now < self.paused_until or (self.quota < 1 and now < self.quota_until):
            return 0
        return self.lease - self.in_flight


def domain_key(model: Model) -> str:
    """Names a base URL and key in files, without either being readable there."""
    secret = hashlib.blake2b(
        f"{model.base_url}\0{model.key or ''}".encode(), digest_size=8, person=b"convergence"
    )
    return secret.hexdigest()


class Limiter:
    """The gates of one process.

    Parameters
    ----------
    board
        Shared with the other processes.
    settings
        The limits; equal in every process that shares the board.
    """

    def __init__(self, board: Board, settings: SamplingSettings) -> None:
        self._board = board
        self._settings = settings
        self.gates: dict[str, Gate] = {}
        self._of_model: dict[str, tuple[Gate, Gate]] = {}
        self._synced = 0.0

    def gates_of(self, model: Model) -> tuple[Gate, Gate]:
        """The gates of a model: its domain's and its own."""
        found = self._of_model.get(model.name)
        if found is None:
            key = domain_key(model)
            domain = self._gate(key, self._settings.domain_limits, adaptive=False)
            limits = self._settings.limits_of(model.name)
            own = self._gate(f"{key}/{model.name}", limits, adaptive=model.transport is None)
            found = self._of_model[model.name] = (domain, own)
        return found

    def _gate(self, key: str, limits: Limits, *, adaptive: bool) -> Gate:
        return self.gates.setdefault(key, Gate(key, limits, adaptive))

    def enter(self, model: Model) -> bool:
        """Fill one place in both gates of a model, if both have one free."""
        domain, own = self.gates_of(model)
        if domain.free < 1 or own.free < 1:
            return False
        domain.in_flight += 1
        own.in_flight += 1
        return True

    def book(self, model: Model, tokens: float) -> float:
        """Seconds until a call may start; it counts against every rate from then on."""
        gates = [gate for gate in self.gates_of(model) if gate.rated]
        if not gates:
            return 0.0
        now = time.monotonic()
        with self._board.transaction() as state:
            return max(_book(_shared(state, gate.key), gate, tokens, now) for gate in gates) - now

    def correct(self, model: Model, tokens: float) -> None:
        """Tokens used beyond those expected (fewer: negative), once an answer says so."""
        gates = [gate for gate in self.gates_of(model) if gate.limits.tokens_per_minute]
        if not gates or not tokens:
            return
        with self._board.transaction() as state:
            for gate in gates:
                shared = _shared(state, gate.key)
                shared["tokens_at"] = shared.get("tokens_at", 0.0) + tokens * _spacing(
                    gate.limits.tokens_per_minute
                )

    def leave(self, model: Model) -> None:
        """Free the places of one call."""
        for gate in self.gates_of(model):
            gate.in_flight -= 1

    def succeeded(self, model: Model) -> None:
        """An answer arrived: what is under pressure may grow."""
        for gate in self.gates_of(model):
            if gate.adaptive and (gate.waiting or gate.in_flight >= gate.lease):
                gate.answered += 1

    def refused(self, model: Model, *, sent: float, weight: float, pause: float) -> None:
        """A call that was sent at ``sent`` (monotonic) was refused.

        Parameters
        ----------
        weight
            From 0 to 1: how much it speaks for asking less.
        pause
            Seconds that the provider asks everybody to wait.
        """
        own = self.gates_of(model)[1]
        own.refusals.append((sent, weight))
        if pause:
            own.pause = max(own.pause, time.monotonic() + min(pause, LONGEST_PAUSE))
            own.paused_until = max(own.paused_until, own.pause)
        self._synced = 0.0

    def started(self, model: Model) -> int:
        """Count a start; its number is for :meth:`note`."""
        own = self.gates_of(model)[1]
        own.starts += 1
        own.quota -= 1
        return own.starts

    def note(self, model: Model, quota: Quota, number: int, tokens: float) -> None:
        """What the provider says is left, in the answer to the start of that ``number``.

        Calls started since may not be counted in it, and the other processes share it.
        """
        own = self.gates_of(model)[1]
        left = quota.remaining / max(tokens, 1.0) if quota.kind == "tokens" else quota.remaining
        left = left / own.sharers - (own.starts - number)
        now = time.monotonic()
        if now >= own.quota_until or left < own.quota:
            own.quota, own.quota_until = left, now + min(quota.reset, _LONGEST_QUOTA)

    def paused(self, model: Model) -> float:
        """Seconds until a model may be asked again."""
        now = time.monotonic()
        return max(0.0, *(gate.paused_until - now for gate in self.gates_of(model)))

    def sync_due(self) -> bool:
        """Whether it is time to exchange news with the board."""
        since = time.monotonic() - self._synced
        if since >= _SYNC_SECONDS:
            return True
        return since >= _SOONEST_SYNC and any(map(_short, self.gates.values()))

    def sync(self, state: Mapping[str, Any]) -> None:
        """Report to the board and take this process's fair share; inside its transaction."""
        now = self._synced = time.monotonic()
        for gate in self.gates.values():
            shared = _shared(state, gate.key)
            _adapt(shared, gate, self._start(gate), now)
            gate.paused_until = _pause(shared, gate, now)
            wanted = gate.in_flight + gate.waiting
            rows = _rows(state, gate.key, self._board.token)
            gate.sharers = 1 + sum(want > 0 for _, want in rows.values())
            others = sum(leased for leased, _ in rows.values())
            wants = {token: want for token, (_, want) in rows.items()}
            wants[self._board.token] = wanted
            fair = fair_share(gate.allowed, wants, int(now))[self._board.token]
            gate.lease = max(gate.in_flight, min(fair, gate.allowed - others))
            self._board.row.gates[gate.key] = (gate.lease, wanted)
            state["rows"][self._board.token]["gates"][gate.key] = (gate.lease, wanted)

    def _start(self, gate: Gate) -> int:
        return min(gate.ceiling, self._settings.start) if gate.adaptive else gate.ceiling


def fair_share(allowed: int, wants: Mapping[str, int], turn: int) -> dict[str, int]:
    """Places by process: nobody gets more than it wants, and what is left goes to the rest.

    Parameters
    ----------
    allowed
        Places to give away.
    wants
        Places that each could use.
    turn
        Rotates who gets the places that cannot be divided.
    """
    shares = dict.fromkeys(wants, 0)
    order = sorted(wants)
    offset = turn % len(order) if order else 0
    order = order[offset:] + order[:offset]
    while allowed > 0 and (hungry := [token for token in order if shares[token] < wants[token]]):
        portion = max(1, allowed // len(hungry))
        for token in hungry:
            given = min(portion, wants[token] - shares[token], allowed)
            shares[token] += given
            allowed -= given
    return shares


def _short(gate: Gate) -> bool:
    return gate.waiting > 0 and gate.free < 1 and (gate.answered > 0 or gate.lease == 0)


def _rows(state: Mapping[str, Any], key: str, own: str) -> dict[str, tuple[int, int]]:
    rows = {token: row["gates"].get(key) for token, row in state["rows"].items() if token != own}
    return {token: (entry[0], entry[1]) for token, entry in rows.items() if entry}


def _shared(state: Mapping[str, Any], key: str) -> dict[str, Any]:
    shared: dict[str, Any] = state["gates"].setdefault(key, {})
    return shared


def _adapt(shared: dict[str, Any], gate: Gate, start: int, now: float) -> None:
    allowed = float(shared.get("allowed") or start)
    doubling = bool(shared.get("doubling", True))
    share = float(shared.get("refused", 0.0))
    outcomes = gate.answered + len(gate.refusals)
    if gate.adaptive and outcomes:
        for sent, weight in gate.refusals:
            share += _SMOOTHING * (weight - share)
            if weight and sent >= shared.get("cut", 0.0):
                allowed *= 0.5 if doubling and weight == 1.0 else 1 - share / 2
                doubling, shared["cut"] = doubling and weight < 1.0, now
        share *= (1 - _SMOOTHING) ** gate.answered
        growth = gate.answered if doubling else gate.answered / max(allowed, 1.0)
        allowed += growth
    gate.answered, gate.refusals = 0, []
    allowed = min(max(allowed, 1.0), gate.ceiling)
    shared.update(allowed=allowed, doubling=doubling, refused=share)
    gate.allowed, gate.refused_share = int(allowed), share


def _pause(shared: dict[str, Any], gate: Gate, now: float) -> float:
    # Whatever lies further ahead comes from before a restart of the machine.
    known = float(shared.get("pause", 0.0))
    known = 0.0 if known > now + LONGEST_PAUSE else known
    shared["pause"] = max(known, gate.pause)
    return float(shared["pause"])


def _spacing(per_minute: float | None) -> float:
    # With one second of tolerance, 61 seconds' spacings never put more into any 60 of them.
    return 61.0 / per_minute if per_minute else 0.0


def _book(shared: dict[str, Any], gate: Gate, tokens: float, now: float) -> float:
    """When a call may start, by the generic cell rate algorithm (ITU-T I.371)."""
    start = now
    costs = {
        "requests_at": _spacing(gate.limits.requests_per_minute),
        "tokens_at": tokens * _spacing(gate.limits.tokens_per_minute),
    }
    for name, cost in costs.items():
        if cost:
            due = float(shared.get(name, 0.0))
            due = now if due > now + LONGEST_PAUSE else max(due, now - _TOLERANCE)
            start = max(start, due)
            shared[name] = due + cost
    return start
