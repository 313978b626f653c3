"""What the tests hold: responses of a unit, replayed, waited for or sampled.

Replaying imports neither asyncio nor httpx.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextvars import copy_context
from typing import TYPE_CHECKING

from pytest_convergence.cassettes import FinalFailure
from pytest_convergence.missing import recognised
from pytest_convergence.models.response import Missing, Response
from pytest_convergence.sampling.plan import Unit
from pytest_convergence.sampling.settings import Limits, SamplingSettings
from pytest_convergence.sampling.tally import SamplingReport

if TYPE_CHECKING:
    from pytest_convergence.held_cassettes import Found
    from pytest_convergence.recordings import Recordings
    from pytest_convergence.sampling.engine import Engine
    from pytest_convergence.sampling.loop import BackgroundLoop
    from pytest_convergence.settings import Settings

__all__ = ["Sampler", "SamplingReport", "sampling_settings"]


class Sampler:
    """One process's way to responses.

    Parameters
    ----------
    recordings
        Where they are found and kept.
    settings
        How models are asked; equal in every process of the run.
    worker, workers
        This process's index and how many there are: models are divided among them, as a
        preference.
    """

    def __init__(
        self,
        recordings: Recordings,
        settings: SamplingSettings,
        worker: int = 0,
        workers: int = 1,
    ) -> None:
        self._recordings = recordings
        self._settings = settings
        self._worker = worker
        self._workers = max(workers, 1)
        self._running: tuple[BackgroundLoop, Engine] | None = None

    def start(self, plan: Sequence[Unit]) -> None:
        """In a recording mode, begin to sample the plan ahead of the tests, in its order.

        Raises
        ------
        SettingsError
            Where the budget cannot be held.
        SamplingError
            Where the state folder cannot be written.
        """
        if self._settings.recording and self._running is None:
            self._run(plan)

    def responses(self, unit: Unit) -> tuple[Response, ...]:
        """The responses of a unit, in the order of its samples; length ``unit.samples``.

        From the recording where they are there; otherwise waited for or sampled in a recording
        mode. Blocks until all are there, on whatever thread it is called.

        Raises
        ------
        CassetteError
            Where nothing may be sampled and a response is not recorded, or a recording is broken.
        SamplingError
            Where sampling cannot go on.
        """
        return self.all_responses([unit])[0]

    def all_responses(self, units: Sequence[Unit]) -> list[tuple[Response, ...]]:
        """:meth:`responses` of several units, sampled at the same time."""
        find = self._recordings.find
        if not self._settings.recording:
            return [self._read(unit, find(unit), "") for unit in units]
        # Another process may have recorded it since this one last looked.
        lacking = [
            unit
            for unit in units
            if self._is_open(find(unit)) and self._is_open(find(unit, fresh=True))
        ]
        cut = self._settle(lacking) if lacking else ""
        found = [find(unit) for unit in units]
        if self._running is not None and units:
            self._running[1].reach(units[-1])
        return [self._read(unit, entry, cut) for unit, entry in zip(units, found, strict=True)]

    def close(self) -> SamplingReport:
        """End sampling: calls under way are waited for and kept; the report of this process."""
        if self._running is None:
            return SamplingReport()
        (loop, engine), self._running = self._running, None
        try:
            return loop.submit(engine.close()).result()
        finally:
            loop.close()

    def _run(self, plan: Sequence[Unit]) -> tuple[BackgroundLoop, Engine]:
        from pytest_convergence.sampling.engine import Engine
        from pytest_convergence.sampling.loop import BackgroundLoop

        async def open_engine() -> Engine:
            engine = Engine(self._recordings, self._settings, self._worker, self._workers)
            await engine.open(plan, context)
            return engine

        context = copy_context()
        loop = BackgroundLoop()
        try:
            self._running = (loop, loop.submit(open_engine()).result())
        except BaseException:
            loop.close()
            raise
        return self._running

    def _settle(self, units: Sequence[Unit]) -> str:
        loop, engine = self._running or self._run(())
        return loop.submit(engine.settle(units, copy_context())).result()

    def _is_open(self, found: Sequence[Found]) -> bool:
        return any(is_open(outcome, self._settings.retry_missing) for outcome in found)

    def _read(self, unit: Unit, found: Sequence[Found], cut: str) -> tuple[Response, ...]:
        if not cut and any(outcome is None for outcome in found):
            raise self._recordings.explain(unit)
        return tuple(as_response(unit, outcome, cut) for outcome in found)


def is_open(outcome: Found, again: bool) -> bool:
    """Whether a sample is to be asked for; ``again`` counts those that finally failed."""
    return outcome is None or (again and isinstance(outcome, FinalFailure))


def as_response(unit: Unit, outcome: Found, cut: str = "") -> Response:
    """What was found of a sample, as tests see it; ``cut`` says why nothing is there."""
    if outcome is None:
        return Response("", "unknown", Missing("budget", cut))
    if isinstance(outcome, FinalFailure):
        return Response("", "unknown", Missing("error", outcome.reason))
    return recognised(unit.model.adapter.parse(outcome.response))


def sampling_settings(settings: Settings, *, run: str | None = None) -> SamplingSettings:
    """How models are asked, from the settings of a run.

    Parameters
    ----------
    settings
        The resolved options.
    run
        Names the run; the same in every worker of it. None for a run of one process.
    """
    return SamplingSettings(
        record=settings["record"],
        state=settings.state,
        run=run or uuid.uuid4().hex,
        model_limits=Limits(in_flight=settings["in_flight"]),
        domain_limits=Limits(
            requests_per_minute=settings["requests_per_minute"],
            tokens_per_minute=settings["tokens_per_minute"],
        ),
        timeout=settings["timeout"],
        max_retries=settings["max_retries"],
        retry_missing=settings["retry_missing"],
        max_cost=settings["max_cost"],
        prices=settings["prices"],
    )
