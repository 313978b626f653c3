"""Which cassettes this process samples, since when, and when it hands them over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any

from pytest_convergence.cassettes import FinalFailure
from pytest_convergence.errors import ConvergenceError
from pytest_convergence.recordings import Recordings
from pytest_convergence.sampling.claims import Claims
from pytest_convergence.sampling.jobs import Jobs
from pytest_convergence.sampling.settings import SamplingSettings
from pytest_convergence.sampling.work import UNPLANNED, Shelf, Work, Workload

_GRACE = 0.5
_WAITED_GRACE = 0.25
_CLAIM_AGAIN = 0.5
_WAITED_AGAIN = 0.1
_YIELD_SECONDS = 1.0


class Custody:
    """The cassettes that this process holds, and what is known of their samples.

    Parameters
    ----------
    recordings, settings
        Where outcomes are found, and whether final failures are asked for again.
    jobs
        Where what goes wrong is told.
    worker, workers
        This process's index and how many there are: models are divided among them.
    spawn
        Runs a coroutine beside the rest.
    wake
        Called when there may be something new to do.

    Attributes
    ----------
    run_started
        When this run began, as recordings are dated.
    fellow_runs
        Other runs that have been seen to go on at the same time.
    """

    def __init__(
        self,
        recordings: Recordings,
        settings: SamplingSettings,
        jobs: Jobs,
        *,
        worker: int,
        workers: int,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        wake: Callable[[], None],
    ) -> None:
        self._recordings = recordings
        self._retry_missing = settings.retry_missing
        self._claims = Claims(settings.state / "claims")
        self._jobs = jobs
        self._worker = worker
        self._workers = workers
        self._spawn = spawn
        self._wake = wake
        self._wanted: dict[Shelf, None] = {}
        self._run = settings.run
        self.run_started = ""
        self.fellow_runs: set[str] = set()

    def missing(self, work: Work, *, fresh: bool = False) -> set[int]:
        """The samples of a work that are to be asked for.

        Raises
        ------
        CassetteError
            Where the recording cannot be read.
        """
        found = self._recordings.find(work.unit, fresh=fresh)
        return {
            sample
            for sample, outcome in enumerate(found)
            if outcome is None
            or (isinstance(outcome, FinalFailure) and self._asks_again(work, sample, outcome))
        }

    def _asks_again(self, work: Work, sample: int, failure: FinalFailure) -> bool:
        """Once a run, and not what another run that goes on beside this one just asked for."""
        if not self._retry_missing or sample in work.failed_anew or failure.run == self._run:
            return False
        return failure.run not in self.fellow_runs or failure.recorded_at < self.run_started

    def look(self, work: Work, *, fresh: bool = False) -> None:
        """See what a work lacks; where its cassette is broken, its tests will hear of that."""
        try:
            work.missing = self.missing(work, fresh=fresh)
        except ConvergenceError as error:
            work.shelf.broken = error
            if not work.shelf.active:
                self.give_up(work.shelf)

    def mine(self, number: int) -> bool:
        """Whether the model of this number in the plan is this worker's."""
        return number % self._workers == self._worker

    def want(self, shelf: Shelf) -> None:
        """There is something to do in a cassette: claim it when it is time to."""
        if shelf.wanted_since is None:
            shelf.wanted_since = time.monotonic()
            self._wanted[shelf] = None

    def take(self, models: Sequence[str], waited: Iterable[Work]) -> None:
        """Claim the cassettes that are wanted and that nobody holds.

        Parameters
        ----------
        models
            The plan's; this worker has the first claim on its part of them.
        waited
            What tests are waiting for.
        """
        now = time.monotonic()
        planned: dict[Shelf, bool] = {}
        for work in waited:
            planned[work.shelf] = planned.get(work.shelf, True) and work.index != UNPLANNED
        for shelf in list(self._wanted):
            if shelf.done or shelf.broken:  # somebody else was quicker
                self._no_longer_wanted(shelf)
                continue
            grace = self._grace(shelf, models, planned.get(shelf))
            if now >= max(shelf.not_before, (shelf.wanted_since or now) + grace):
                self._try(shelf, now, again=_WAITED_AGAIN if shelf in planned else _CLAIM_AGAIN)

    def _try(self, shelf: Shelf, now: float, *, again: float) -> None:
        if self._claims.take(shelf.path):
            shelf.held = shelf.busy = True
            self._no_longer_wanted(shelf)
            self._spawn(self._look_up(shelf))
        else:
            shelf.not_before = now + again

    def _no_longer_wanted(self, shelf: Shelf) -> None:
        shelf.wanted_since = None
        del self._wanted[shelf]

    def _grace(self, shelf: Shelf, models: Sequence[str], planned: bool | None) -> float:
        """Seconds for the worker whose model it is to claim a cassette first.

        ``planned`` says whether what tests wait for was planned; None where none waits.
        """
        if planned is False or shelf.model.name not in models:
            return 0.0
        if self.mine(models.index(shelf.model.name)):
            return 0.0
        return _GRACE if planned is None else _WAITED_GRACE

    async def _look_up(self, shelf: Shelf) -> None:
        """See what its former owners recorded, off the loop: a cassette may be large."""
        work = next(iter(shelf.works.values()))
        try:
            await asyncio.to_thread(self.missing, work, fresh=True)
        except ConvergenceError as error:
            shelf.broken = error
        _forget(shelf)
        shelf.busy = False
        self._wake()

    def prepare(self, shelf: Shelf) -> None:
        """Called before a cassette's first call.

        Raises
        ------
        SamplingError
            Where its answers could not be kept.
        """
        if not shelf.writable:
            self._recordings.check_writable(shelf.path)
            shelf.writable = True

    def heed(
        self,
        workload: Workload,
        wants: Mapping[str, Sequence[str]],
        advance: Callable[[Work], None],
    ) -> None:
        """Another process waits for cassettes that this one may hold.

        Parameters
        ----------
        wants
            Digests of units by cassette.
        advance
            Asks for what a planned work lacks.
        """
        for path, digests in wants.items():
            shelf = workload.at(path)
            if shelf is None or not shelf.held:
                continue
            works = {work.digest: work for work in shelf.works.values()}
            for digest in digests:
                if digest in works:
                    advance(works[digest])
                else:
                    shelf.yielding = True
            if shelf.yielding and not shelf.active:
                self.give_up(shelf)

    def give_up(self, shelf: Shelf) -> None:
        """Let others have a cassette, merged if it is done."""
        if shelf.held and not shelf.busy:
            shelf.busy = True
            self._spawn(self._let_go(shelf))

    async def _let_go(self, shelf: Shelf) -> None:
        if shelf.done:
            try:
                await asyncio.to_thread(self._recordings.merge, shelf.path)
            except ConvergenceError as error:
                self._jobs.fatal = self._jobs.fatal or error
        self._claims.release(shelf.path)
        shelf.held = shelf.busy = False
        shelf.not_before = time.monotonic() + (_YIELD_SECONDS if shelf.yielding else 0.0)
        shelf.yielding = False
        _forget(shelf)
        self._wake()

    def release_all(self) -> None:
        """Let others have everything, as it is."""
        self._claims.release_all()


def _forget(shelf: Shelf) -> None:
    """What others may have recorded meanwhile is looked up again."""
    for work in shelf.works.values():
        work.missing = work.missing if work.done else None
