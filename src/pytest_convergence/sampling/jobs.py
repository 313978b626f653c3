"""Calls as they are made: each a task of its own, its outcome on disk before anything uses it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pytest_convergence.cassettes import Recorded
from pytest_convergence.errors import ConvergenceError, SamplingError
from pytest_convergence.models.context import sample_index
from pytest_convergence.models.fidelity import (
    ignored_parameters,
    may_be_seen_ignored,
    rejected_parameters,
    served_another,
)
from pytest_convergence.models.specs import require_key
from pytest_convergence.recordings import Recordings
from pytest_convergence.sampling.caller import Caller, name_of
from pytest_convergence.sampling.exchange import Exchange
from pytest_convergence.sampling.lanes import Closed
from pytest_convergence.sampling.money import BudgetSpent
from pytest_convergence.sampling.tally import Tally
from pytest_convergence.sampling.work import Work

# Calls in a row that come to nothing before a model is given up, at first and later on.
_DEAD_AT_FIRST = 3
_DEAD_LATER = 32


class Jobs:
    """The calls under way in this process.

    Parameters
    ----------
    recordings
        Where outcomes are kept.
    caller
        Makes a call with its retries.
    tally
        Where outcomes are counted.
    run
        Names the run in what finally fails.
    idle
        Called with a work whenever one of its calls is over.

    Attributes
    ----------
    stopped
        Why no further call to a model is made, by model.
    fatal
        Why no further call is made at all: what was answered can no longer be kept.
    """

    def __init__(
        self,
        recordings: Recordings,
        caller: Caller,
        tally: Tally,
        *,
        run: str,
        idle: Callable[[Work], None],
    ) -> None:
        self._recordings = recordings
        self._run_name = run
        self._caller = caller
        self._tally = tally
        self._idle = idle
        self._tasks: set[asyncio.Task[None]] = set()
        self._unreached: dict[str, int] = {}
        self.stopped: dict[str, ConvergenceError] = {}
        self.fatal: ConvergenceError | None = None

    def begin(self, work: Work, sample: int, order: int) -> None:
        """Ask for one sample, in the context of whoever needs it."""
        work.asked.add(sample)
        work.shelf.active += 1
        task = asyncio.create_task(self._run(work, sample, order), context=work.context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self, seconds: float) -> None:
        """Wait for the calls under way, which may have been paid for; then cancel the rest."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, work: Work, sample: int, order: int) -> None:
        sample_index.set(sample)
        model = work.unit.model
        try:
            require_key(model)
            exchange = await self._caller.ask(work.unit, sample, order)
            self._keep(work, sample, exchange)
        except BudgetSpent as spent:
            work.cut = str(spent)
        except Closed:
            pass
        except ConvergenceError as error:
            self.stopped.setdefault(model.name, error)
        except Exception as bug:
            self.fatal = self.fatal or unexpected(bug, name_of(work.unit, sample))
        finally:
            work.asked.discard(sample)
            work.shelf.active -= 1
            self._idle(work)

    def _keep(self, work: Work, sample: int, exchange: Exchange) -> None:
        try:
            if exchange.verdict == "answer" and exchange.response is not None:
                self._recordings.keep(work.unit, sample, exchange.response)
                self._count_answer(work, exchange)
            else:
                reason = f"{exchange.reason} [{name_of(work.unit, sample)}]"
                self._recordings.fail(
                    work.unit, sample, status=exchange.status, reason=reason, run=self._run_name
                )
                self._count_failure(work, sample, exchange)
        except ConvergenceError as error:
            # What cannot be kept must not be paid for: nothing more is asked.
            self.fatal = self.fatal or error
            return
        if work.missing is not None:
            work.missing.discard(sample)
        if work.done:
            self._compare(work)

    def _count_answer(self, work: Work, exchange: Exchange) -> None:
        assert exchange.answer is not None
        model, answer = work.unit.model, exchange.answer
        self._unreached[model.name] = 0
        another = served_another(model.model, answer.served_model)
        self._tally.answered(work.unit, answer, another=another)

    def _compare(self, work: Work) -> None:
        """See in all the answers of a unit, whoever asked for them, what had no effect.

        That a seed is ignored shows in no single one.
        """
        unit = work.unit
        if unit.decoding is None or not may_be_seen_ignored(unit.decoding):
            return
        answers = [
            unit.model.adapter.parse(found.response)
            for found in self._recordings.find(unit)
            if isinstance(found, Recorded)
        ]
        self._tally.ignored(unit.model, ignored_parameters(unit.decoding, answers))

    def _count_failure(self, work: Work, sample: int, exchange: Exchange) -> None:
        model, decoding = work.unit.model, work.unit.decoding
        work.failed_anew.add(sample)
        self._tally.of(model).failures += 1
        if exchange.response is not None:
            self._unreached[model.name] = 0
            if decoding is not None:
                self._tally.rejected(model, rejected_parameters(decoding, exchange.response))
            return
        number = self._unreached[model.name] = self._unreached.get(model.name, 0) + 1
        if number >= (_DEAD_LATER if self._tally.of(model).answers else _DEAD_AT_FIRST):
            self.stopped.setdefault(model.name, _unreachable(work, sample, exchange, number))


def _unreachable(work: Work, sample: int, exchange: Exchange, number: int) -> SamplingError:
    model = work.unit.model
    return SamplingError(
        f"{model.name} cannot be reached: {exchange.reason}",
        details=[
            f"the last call: {name_of(work.unit, sample)}",
            f"{number} calls in a row came to nothing; no further one is made in this run",
        ],
        fix=[
            f"check that {model.base_url} answers",
            "then record again with --convergence-retry-missing",
        ],
    )


def unexpected(bug: Exception, where: str) -> SamplingError:
    """A fault of ours, as an error that says so."""
    error = SamplingError(
        f"sampling broke at {where}: {type(bug).__name__}: {bug}",
        fix=["this is a fault of pytest-convergence: please report it with the traceback"],
    )
    error.__cause__ = bug
    return error
