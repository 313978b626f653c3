"""One call with all its attempts: a place, a request, a verdict, and perhaps another try."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tenacity import AsyncRetrying, RetryCallState, retry_if_result, wait_exponential_jitter

from pytest_convergence.errors import SamplingError
from pytest_convergence.models.wire import Model
from pytest_convergence.sampling.exchange import Clients, Exchange, not_retried_in_vain
from pytest_convergence.sampling.headers import quotas
from pytest_convergence.sampling.lanes import Lanes
from pytest_convergence.sampling.limits import Limiter
from pytest_convergence.sampling.money import Ledger
from pytest_convergence.sampling.plan import Unit
from pytest_convergence.sampling.settings import SamplingSettings
from pytest_convergence.sampling.tally import Tally, tokens_of

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST_BACKOFF = 60.0
_BACKOFF_HERE = 0.02


@dataclass
class _Call:
    unit: Unit
    sample: int
    order: int
    started: float | None = None


class Caller:
    """Asks for one sample at a time, within the limits and the budgets of time and money.

    Parameters
    ----------
    settings
        ``timeout``, ``max_retries`` and ``total_seconds`` of a call.
    clients, lanes, limiter, ledger, tally
        What a call goes through.
    """

    def __init__(
        self,
        settings: SamplingSettings,
        *,
        clients: Clients,
        lanes: Lanes,
        limiter: Limiter,
        ledger: Ledger,
        tally: Tally,
    ) -> None:
        self._settings = settings
        self._clients = clients
        self._lanes = lanes
        self._limiter = limiter
        self._ledger = ledger
        self._tally = tally

    async def ask(self, unit: Unit, sample: int, order: int) -> Exchange:
        """The last exchange of a call, with every retry that its budget allows.

        Raises
        ------
        BudgetSpent
            Where the money is spent.
        Closed
            Where sampling ended before an attempt began.
        SamplingError
            Where no call to this model can succeed.
        """
        call = _Call(unit, sample, order)
        retrying = AsyncRetrying(
            stop=self._stop(call),
            wait=_wait(unit.model, self._settings.backoff),
            retry=retry_if_result(lambda exchange: exchange.verdict == "retry"),
            retry_error_callback=_last,
            sleep=self._lanes.sleep,
        )
        exchange: Exchange = await retrying(self._attempt, call)
        if exchange.verdict == "stop":
            raise stopped(unit, sample, exchange)
        return exchange

    async def _attempt(self, call: _Call) -> Exchange:
        model = call.unit.model
        expected = self._tally.expected_tokens(call.unit)
        await self._lanes.enter(model, call.order, expected)
        try:
            exchange = await self._send(call)
        finally:
            self._lanes.leave(model)
        self._limiter.correct(model, tokens_of(exchange.answer) - expected)
        return exchange

    async def _send(self, call: _Call) -> Exchange:
        model = call.unit.model
        reserved = await self._ledger.reserve(call.unit, self._lanes.sleep)
        now = time.monotonic()
        again = call.started is not None
        call.started = call.started or now
        number = self._limiter.started(model)
        left = self._settings.total_seconds - (now - call.started)
        exchange = None
        try:
            self._tally.begin(model, again=again)
            timeout = max(0.001, min(self._settings.timeout, left))
            exchange = await self._clients.send(model, call.unit.request, timeout)
        finally:
            self._tally.end(model)
            self._ledger.settle(call.unit, reserved, exchange)
        exchange = not_retried_in_vain(exchange, call.unit.decoding)
        self._judge(model, exchange, number)
        if exchange.pause > self._settings.total_seconds:
            return _too_long(exchange)
        return exchange

    def _judge(self, model: Model, exchange: Exchange, number: int) -> None:
        if exchange.verdict == "answer":
            self._limiter.succeeded(model)
        elif exchange.pressure:
            self._limiter.refused(
                model, sent=exchange.sent, weight=exchange.pressure, pause=exchange.pause
            )
        if exchange.response is not None:
            for quota in quotas(exchange.response.headers):
                self._limiter.note(model, quota, number, self._tally.mean_tokens(model))

    def _stop(self, call: _Call) -> Callable[[RetryCallState], bool]:
        settings = self._settings

        def stop(state: RetryCallState) -> bool:
            if state.attempt_number > settings.max_retries:
                return True
            # Waiting for the first place is no attempt: the clock starts with the first request.
            spent = time.monotonic() - (call.started or time.monotonic())
            return spent + state.upcoming_sleep >= settings.total_seconds

        return stop


def _wait(model: Model, unit: float) -> Callable[[RetryCallState], float]:
    # What answers in this process has no crowd in front of it.
    unit = unit if model.transport is None else min(unit, _BACKOFF_HERE)
    backoff = wait_exponential_jitter(multiplier=unit, max=_LONGEST_BACKOFF, jitter=unit)

    def wait(state: RetryCallState) -> float:
        asked = state.outcome.result().pause if state.outcome is not None else 0.0
        return max(asked, backoff(state))

    return wait


def _last(state: RetryCallState) -> Exchange:
    assert state.outcome is not None
    exchange: Exchange = state.outcome.result()
    tried = f" ({state.attempt_number} attempts)" if state.attempt_number > 1 else ""
    return replace(exchange, verdict="fail", reason=exchange.reason + tried)


def _too_long(exchange: Exchange) -> Exchange:
    reason = f"{exchange.reason}; the provider asks to wait {exchange.pause:.0f} s"
    return replace(exchange, verdict="stop", reason=reason)


def stopped(unit: Unit, sample: int, exchange: Exchange) -> SamplingError:
    """Why no further call to a model is made in this run."""
    model = unit.model
    fix = ["then run the same command again: only what is missing is asked for"]
    if exchange.status == 401:
        name = model.key_variable or "the variable that holds its key"
        fix.insert(0, f"check the API key in {name}" if model.key else f"set {name}")
    elif exchange.status == 402:
        fix.insert(0, "add credit to the account, or leave the model out")
    return SamplingError(
        f"{model.name} cannot be asked: {exchange.reason}",
        details=[f"the call: {name_of(unit, sample)}"],
        fix=fix,
    )


def name_of(unit: Unit, sample: int) -> str:
    """A call's name in messages: what was asked, where, which sample."""
    return f"{unit.model.name}, sample {sample} of prompt {unit.prompt_id!r}, {unit.request.url}"
