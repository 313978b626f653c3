"""What there is to do: the plan by cassette and by model, and how far ahead it may be done."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pytest_convergence.errors import ConvergenceError
from pytest_convergence.models.wire import Model, WireRequest
from pytest_convergence.sampling.plan import Unit

if TYPE_CHECKING:
    import asyncio

UNPLANNED = -1


@dataclass(eq=False)
class Work:
    """The samples of one request in one cassette.

    Attributes
    ----------
    index
        Its place in the plan; ``UNPLANNED`` where a test made it up as it ran.
    missing
        Samples without an answer yet; None before anybody looked.
    asked
        Samples that this process has asked for in this run.
    cut
        Why the rest will not be asked for, where the money ran out.
    """

    unit: Unit
    shelf: Shelf
    index: int
    context: Context
    missing: set[int] | None = None
    asked: set[int] = field(default_factory=set)
    failed_anew: set[int] = field(default_factory=set)
    cut: str = ""
    waiters: list[asyncio.Future[None]] = field(default_factory=list)
    _digest: tuple[int, str] | None = None

    @property
    def done(self) -> bool:
        """Whether nothing is left to ask for."""
        return self.missing is not None and not self.missing

    @property
    def digest(self) -> str:
        """Names it to other processes."""
        if self._digest is None or self._digest[0] != self.unit.samples:
            self._digest = (self.unit.samples, digest(self.unit))
        return self._digest[1]

    def settle(self, error: BaseException | None = None) -> None:
        """Wake the tests that wait for it."""
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            if not waiter.done():
                if error is None:
                    waiter.set_result(None)
                else:
                    waiter.set_exception(error)


@dataclass(eq=False)
class Shelf:
    """One cassette: the work it takes, and who does it.

    Attributes
    ----------
    active
        Calls under way.
    wanted_since
        When work of it first came into reach (monotonic), or None.
    not_before
        When it may be claimed (again).
    broken
        Why nothing of it can be looked up.
    yielding
        Another process needs it for what is not in this plan: it is given up when idle.
    writable
        Answers can be kept, as far as that can be seen before there are any.
    """

    path: PurePosixPath
    model: Model
    works: dict[WireRequest, Work] = field(default_factory=dict)
    active: int = 0
    held: bool = False
    busy: bool = False
    wanted_since: float | None = None
    not_before: float = 0.0
    broken: ConvergenceError | None = None
    yielding: bool = False
    writable: bool = False

    @property
    def done(self) -> bool:
        """Whether all its work is."""
        return all(work.done for work in self.works.values())


@dataclass
class _Line:
    """The planned work of one model.

    ``calls[i]`` is the number of calls before work i, ``ends[i]`` the first place behind it whose
    work lies in another cassette.
    """

    indexes: list[int] = field(default_factory=list)
    works: list[Work] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def measure(self) -> None:
        samples = [work.unit.samples for work in self.works]
        self.calls = list(accumulate(samples, initial=0))[:-1]
        self.ends = [len(self.works)] * len(self.works)
        for at in range(len(self.works) - 2, -1, -1):
            same = self.works[at].shelf is self.works[at + 1].shelf
            self.ends[at] = self.ends[at + 1] if same else at + 1


class Workload:
    """Everything that a process may be asked to sample.

    Parameters
    ----------
    plan
        Units in the order of the tests.
    context
        In which planned calls run.
    """

    def __init__(self, plan: Sequence[Unit], context: Context) -> None:
        self.shelves: dict[PurePosixPath, Shelf] = {}
        self._by_model: dict[str, _Line] = {}
        for index, unit in enumerate(plan):
            before = self.find(unit)
            if before is not None:
                self._enlarge(before, unit)
                continue
            work = self._add(unit, index, context)
            line = self._by_model.setdefault(unit.model.name, _Line())
            line.indexes.append(index)
            line.works.append(work)
        for line in self._by_model.values():
            line.measure()

    @property
    def models(self) -> list[str]:
        """The planned models, in the order in which the plan names them first."""
        return list(self._by_model)

    def find(self, unit: Unit) -> Work | None:
        """The work that a unit is, if it is known."""
        shelf = self.shelves.get(unit.cassette)
        return None if shelf is None else shelf.works.get(unit.request)

    def demand(self, unit: Unit, context: Context) -> Work:
        """The work that a test waits for; new where it is in no plan."""
        work = self.find(unit)
        if work is None:
            work = self._add(unit, UNPLANNED, context)
        self._enlarge(work, unit)
        return work

    def of_model(self, model: str) -> list[Work]:
        """The planned work of a model, in order."""
        return self._by_model[model].works

    def at(self, path: str) -> Shelf | None:
        """The cassette with this path, if any work is in it."""
        return self.shelves.get(PurePosixPath(path))

    def ahead(self, model: str, positions: Iterable[int], calls: int) -> Iterator[Work]:
        """Planned work of a model within ``calls`` calls of any position, each once, in order.

        Of a cassette that is not held, only the first that is not done: whoever holds it looks at
        the rest.
        """
        line = self._by_model[model]
        starts = sorted({bisect_left(line.indexes, position) for position in positions})
        done = 0
        for start in starts:
            at = max(start, done)
            while at < len(line.works) and line.calls[at] - line.calls[start] < calls:
                work = line.works[at]
                yield work
                at = at + 1 if work.shelf.held or work.done else line.ends[at]
            done = max(done, at)

    def _add(self, unit: Unit, index: int, context: Context) -> Work:
        shelf = self.shelves.setdefault(unit.cassette, Shelf(unit.cassette, unit.model))
        work = shelf.works[unit.request] = Work(unit, shelf, index, context)
        return work

    def _enlarge(self, work: Work, unit: Unit) -> None:
        if unit.samples > work.unit.samples:
            work.unit, work.missing = unit, None


def digest(unit: Unit) -> str:
    """A unit's request and number of samples in a few characters."""
    request = unit.request
    text = f"{request.method}\0{request.url}\0{request.body}\0{unit.samples}"
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
