"""Calls that wait for a place in flight, those of the earliest tests first."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count

from pytest_convergence.models.wire import Model
from pytest_convergence.sampling.limits import Limiter

_Waiting = tuple[int, int, "asyncio.Future[None]"]


class Closed(Exception):
    """Sampling has ended: no further call starts."""


class Lanes:
    """One queue for each model, in front of the limits.

    Parameters
    ----------
    limiter
        Whose places are handed out.
    """

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self._queues: dict[str, tuple[Model, list[_Waiting]]] = {}
        self._number = count()
        self._closed: asyncio.Event = asyncio.Event()

    async def enter(self, model: Model, order: int, tokens: float) -> None:
        """Wait for a place, and for the rates to allow a start; then fill it.

        Raises
        ------
        Closed
            Where sampling ended meanwhile.
        """
        await self._queued(model, order)
        try:
            delay = self._limiter.book(model, tokens)
            while delay > 0:
                await self.sleep(delay)
                delay = self._limiter.paused(model)
        except BaseException:
            self.leave(model)
            raise

    def leave(self, model: Model) -> None:
        """Give a place back."""
        self._limiter.leave(model)
        self.pump()

    async def sleep(self, seconds: float) -> None:
        """Sleep, unless sampling ends: then raise ``Closed``."""
        if not self._closed.is_set() and seconds > 0:
            try:
                async with asyncio.timeout(seconds):
                    await self._closed.wait()
            except TimeoutError:
                return
        if self._closed.is_set():
            raise Closed

    def pump(self) -> None:
        """Let in as many as there are places for."""
        queues = [entry for entry in self._queues.values() if entry[1]]
        for model, queue in sorted(queues, key=lambda entry: entry[1][0][:2]):
            while queue and (queue[0][2].done() or self._limiter.enter(model)):
                future = heapq.heappop(queue)[2]
                if not future.done():
                    self._count(model, -1)
                    future.set_result(None)

    @property
    def closed(self) -> bool:
        """Whether sampling has ended."""
        return self._closed.is_set()

    @property
    def waiting(self) -> bool:
        """Whether any call waits for a place."""
        return any(queue for _, queue in self._queues.values())

    def queued(self, model: str) -> int:
        """How many calls to a model wait for a place."""
        return len(self._queues[model][1]) if model in self._queues else 0

    def refuse(self, model: str) -> None:
        """Turn away whoever waits for a place with one model."""
        if model in self._queues:
            self._turn_away(*self._queues[model])

    def close(self) -> None:
        """Nobody else gets in; whoever sleeps or waits is told."""
        self._closed.set()
        for model, queue in self._queues.values():
            self._turn_away(model, queue)

    def _turn_away(self, model: Model, queue: list[_Waiting]) -> None:
        for _, _, future in queue:
            if not future.done():
                self._count(model, -1)
                future.set_exception(Closed())
        queue.clear()

    async def _queued(self, model: Model, order: int) -> None:
        if self._closed.is_set():
            raise Closed
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue = self._queues.setdefault(model.name, (model, []))[1]
        heapq.heappush(queue, (order, next(self._number), future))
        self._count(model, 1)
        self.pump()
        try:
            await future
        except asyncio.CancelledError:
            if future.cancelled():
                self._count(model, -1)
            else:
                self.leave(model)
            raise

    def _count(self, model: Model, change: int) -> None:
        for gate in self._limiter.gates_of(model):
            gate.waiting += change
