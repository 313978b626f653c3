"""What happens on the private loop: claim, look up, ask, and tell the tests.

Only recording imports this module.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from contextvars import Context, copy_context
from datetime import UTC, datetime
from typing import Any

from pytest_convergence.errors import ConvergenceError, SamplingError
from pytest_convergence.recordings import Recordings
from pytest_convergence.sampling.board import Board, rows_of_run
from pytest_convergence.sampling.caller import Caller
from pytest_convergence.sampling.custody import Custody
from pytest_convergence.sampling.exchange import Clients
from pytest_convergence.sampling.jobs import Jobs, unexpected
from pytest_convergence.sampling.lanes import Lanes
from pytest_convergence.sampling.limits import Limiter
from pytest_convergence.sampling.money import Ledger
from pytest_convergence.sampling.plan import Unit
from pytest_convergence.sampling.settings import SamplingSettings
from pytest_convergence.sampling.tally import SamplingReport, Tally
from pytest_convergence.sampling.work import UNPLANNED, Work, Workload

_TICK = 0.05
_IDLE_SYNC = 1.0
_SHOWN_WANTS = 64
_DRAIN_SECONDS = 5.0


class Engine:
    """Samples units on one event loop; made there, and used there alone.

    Parameters
    ----------
    recordings
        Where answers are found and kept.
    settings
        How models are asked.
    worker, workers
        This process's index and how many there are: models are divided among them.

    Attributes
    ----------
    position
        The place in the plan of what the tests asked for last; any thread may set it.
    """

    def __init__(
        self, recordings: Recordings, settings: SamplingSettings, worker: int, workers: int
    ) -> None:
        self._settings = settings
        self._tally = Tally()
        self.board = Board(settings.state / "sampling", settings.run)
        self._limiter = Limiter(self.board, settings)
        self._ledger = Ledger(settings, self.board, self._tally)
        self._lanes = Lanes(self._limiter)
        self._clients = Clients()
        caller = Caller(
            settings,
            clients=self._clients,
            lanes=self._lanes,
            limiter=self._limiter,
            ledger=self._ledger,
            tally=self._tally,
        )
        self._jobs = Jobs(recordings, caller, self._tally, run=settings.run, idle=self._job_over)
        self._wake = asyncio.Event()
        self._custody = Custody(
            recordings,
            settings,
            self._jobs,
            worker=worker,
            workers=workers,
            spawn=self._spawn,
            wake=self._wake.set,
        )
        self._workload = Workload((), copy_context())
        self._waited: dict[Work, None] = {}
        self._positions: tuple[int, ...] = (0,)
        self.position = 0
        self._planned = 0
        self._started = time.monotonic()
        self._synced = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, plan: Sequence[Unit], context: Context) -> None:
        """Take the plan and begin to work ahead of the tests.

        Raises
        ------
        SettingsError
            Where the budget cannot be held.
        SamplingError
            Where the state folder cannot be written.
        """
        self._workload = Workload(plan, context)
        self._ledger.check(list({unit.model.name: unit.model for unit in plan}.values()))
        self.board.join()
        self._sync()
        self._spawn(self._tend())
        self._spawn(self._count_planned())

    async def settle(self, units: Sequence[Unit], context: Context) -> str:
        """Return when there is nothing left to wait for in any of these units.

        Returns
        -------
        str
            Empty, or why some samples are not asked for: the money is spent.
        """
        works = [self._workload.demand(unit, context) for unit in units]
        waiters = []
        for work in works:
            if not work.done:
                self._planned += work.unit.samples if work.index == UNPLANNED else 0
                waiters.append(asyncio.get_running_loop().create_future())
                work.waiters.append(waiters[-1])
                self._waited[work] = None
        self.position = min(
            (work.index for work in works if work.waiters and work.index != UNPLANNED),
            default=self.position,
        )
        self._wake.set()
        for outcome in await asyncio.gather(*waiters, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
        return next((work.cut for work in works if work.cut), "")

    def reach(self, unit: Unit) -> None:
        """A test has what it needs of a unit; any thread may say so."""
        work = self._workload.find(unit)
        if work is not None and work.index != UNPLANNED:
            self.position = work.index

    async def close(self) -> SamplingReport:
        """Start no further call, wait for those under way, and let go of everything."""
        self._lanes.close()
        await self._jobs.drain(self._settings.timeout + _DRAIN_SECONDS)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._custody.release_all()
        self._write_row()
        self.board.leave()
        await self._clients.close()
        return SamplingReport(dict(self._tally.by_model), time.monotonic() - self._started)

    # -- the clockwork ------------------------------------------------------------------------

    async def _tend(self) -> None:
        while True:
            try:
                self._tick()
            except ConvergenceError as error:
                self._jobs.fatal = self._jobs.fatal or error
            except Exception as bug:
                # Whatever it is: tests must hear of it rather than wait for ever.
                self._jobs.fatal = self._jobs.fatal or unexpected(bug, "its clockwork")
            self._refuse_hopeless()
            self._wake.clear()
            try:
                async with asyncio.timeout(_TICK):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _tick(self) -> None:
        busy = self._tally.in_flight or self._waited or self._lanes.waiting
        idle = time.monotonic() - self._synced < _IDLE_SYNC
        if self._limiter.sync_due() and (busy or not idle):
            self._sync()
        for work in list(self._waited):
            self._look_elsewhere(work)
            self._advance(work)
        for model in self._workload.models:
            self._refill(model)
        self._custody.take(self._workload.models, self._waited)
        self._lanes.pump()

    def _sync(self) -> None:
        self._synced = time.monotonic()
        self._write_row()
        with self.board.transaction() as state:
            self._limiter.sync(state)
            self._ledger.sync(state)
            started = datetime.now(UTC).isoformat(timespec="seconds")
            self._custody.run_started = state["started"].setdefault(self._settings.run, started)
            rows = rows_of_run(state, self._settings.run).values()
            self._positions = tuple({row["position"] for row in rows})
            others = [row for token, row in state["rows"].items() if token != self.board.token]
            stopping = self._settings.run in state.get("stopping", {})
        if stopping and not self._lanes.closed:
            self._stop()
        runs = {row["run"] for row in others}
        self._custody.fellow_runs |= runs - {self._settings.run}
        for row in others:
            self._custody.heed(self._workload, row["wants"], self._advance)

    def _stop(self) -> None:
        """The run was interrupted: nothing more is asked; what is under way is still kept."""
        self._lanes.close()
        self._jobs.fatal = self._jobs.fatal or SamplingError(
            "the run was interrupted",
            fix=["run the same command again: only what is missing is asked for"],
        )

    def _write_row(self) -> None:
        row, total = self.board.row, SamplingReport(self._tally.by_model).total
        row.position = self.position
        row.wants = {}
        for work in list(self._waited)[:_SHOWN_WANTS]:
            if not work.shelf.held:
                row.wants.setdefault(str(work.shelf.path), []).append(work.digest)
        row.counts = {
            "planned": self._planned,
            "done": total.answers + total.failures + total.unasked,
            "answers": total.answers,
            "failed": total.failures,
            "in_flight": self._tally.in_flight,
            "retries": total.retries,
            "calls": total.calls,
            "cost": self._ledger.cost,
            "reserved": self._ledger.reserved,
            "spent": float(self._ledger.spent),
            "stopping": float(self._lanes.closed),
        }

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._spawned_over)

    def _spawned_over(self, task: asyncio.Task[None]) -> None:
        """What dies beside the clockwork must end in an error, never in a test that waits."""
        self._tasks.discard(task)
        bug = None if task.cancelled() else task.exception()
        if isinstance(bug, Exception):
            self._jobs.fatal = self._jobs.fatal or unexpected(bug, "its upkeep")
            self._wake.set()

    async def _count_planned(self) -> None:
        """How many of this worker's share of the calls are to be made, for the progress."""
        for number, model in enumerate(self._workload.models):
            if self._custody.mine(number):
                self._planned += await asyncio.to_thread(self._lacking, model)

    def _lacking(self, model: str) -> int:
        try:
            works = self._workload.of_model(model)
            return sum(len(self._custody.missing(work)) for work in works)
        except ConvergenceError:
            return 0  # a broken cassette is reported to the test that needs it

    # -- work ---------------------------------------------------------------------------------

    def _refill(self, model: str) -> None:
        limit = self._settings.limits_of(model).in_flight or 16
        if model in self._jobs.stopped or self._lanes.queued(model) >= limit:
            return
        ahead = self._settings.look_ahead(model)
        for work in self._workload.ahead(model, {*self._positions, self.position}, ahead):
            self._advance(work)

    def _advance(self, work: Work) -> None:
        """Ask for what a work lacks, or see that its cassette is claimed."""
        shelf = work.shelf
        hopeless = self._jobs.fatal or self._ledger.spent or shelf.model.name in self._jobs.stopped
        if work.done or hopeless or shelf.broken:
            return
        if not shelf.held:
            self._custody.want(shelf)
            return
        if shelf.busy or shelf.yielding:
            return
        if work.missing is None:
            self._custody.look(work)
            if work.done:
                self._finished(work)
                if shelf.done and not shelf.active:
                    self._custody.give_up(shelf)
        order = UNPLANNED if work.waiters else work.index
        lacking = sorted((work.missing or set()) - work.asked)
        if not lacking or self._lanes.closed:  # a call begun now would end at once, and wake us
            return
        self._custody.prepare(shelf)
        for sample in lacking:
            self._jobs.begin(work, sample, order)

    def _look_elsewhere(self, work: Work) -> None:
        """Whether another process has recorded what a test waits for."""
        if not work.shelf.held and not work.shelf.broken:
            self._custody.look(work, fresh=True)
            if work.done:
                self._finished(work)

    def _finished(self, work: Work) -> None:
        self._waited.pop(work, None)
        work.settle()

    def _job_over(self, work: Work) -> None:
        shelf = work.shelf
        if work.done:
            self._finished(work)
        if work.cut and not work.asked:
            self._cut(work)
        if shelf.active == 0 and (shelf.yielding or shelf.done):
            self._custody.give_up(shelf)
        if self._lanes.queued(shelf.model.name) == 0:
            self._wake.set()

    def _cut(self, work: Work) -> None:
        work.cut = work.cut or self._ledger.reason
        self._tally.of(work.unit.model).unasked += len(work.missing or ())
        self._finished(work)

    def _refuse_hopeless(self) -> None:
        """Tell tests what will not come."""
        for work in list(self._waited):
            stopped = self._jobs.stopped.get(work.unit.model.name)
            error = self._jobs.fatal or work.shelf.broken or stopped
            if error is not None and not (work.asked and self._jobs.fatal is None):
                self._waited.pop(work)
                work.settle(error)
            elif self._ledger.spent and not work.asked:
                self._cut(work)
        for name in self._jobs.stopped:
            self._lanes.refuse(name)
        for shelf in self._workload.shelves.values() if self._jobs.stopped else ():
            if shelf.held and shelf.model.name in self._jobs.stopped and not shelf.active:
                self._custody.give_up(shelf)
