"""The budget of a run, over all its processes: reserved before a call, settled after it.

What a process may commit until the next exchange with the board is granted to it there, so that
all together never commit more than there is.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_convergence.errors import SettingsError
from pytest_convergence.models.wire import Model
from pytest_convergence.sampling.board import rows_of_run, run_counts
from pytest_convergence.sampling.plan import Unit
from pytest_convergence.sampling.prices import Price, price_of
from pytest_convergence.sampling.settings import SamplingSettings
from pytest_convergence.sampling.tally import Tally

if TYPE_CHECKING:
    from pytest_convergence.sampling.board import Board
    from pytest_convergence.sampling.exchange import Exchange

_POLL_SECONDS = 0.05
# Sums of dollars that were added and taken away again leave crumbs.
_NOTHING = 1e-9


class BudgetSpent(Exception):
    """The money is spent; nothing more is asked."""


class Ledger:
    """What this process spent and may still spend.

    Parameters
    ----------
    settings
        ``max_cost`` and ``prices``.
    board
        Shared with the other processes of the run.
    tally
        Where costs are counted, and from where the expected ones come.
    """

    def __init__(self, settings: SamplingSettings, board: Board, tally: Tally) -> None:
        self._settings = settings
        self._board = board
        self._tally = tally
        self._prices: dict[str, Price] = {}
        self._allowance = 0.0
        self._left = 0.0
        self._settled = False
        self._wanting = 0.0
        self._asked = False
        self.cost = 0.0
        self.reserved = 0.0
        self.spent = False
        self.total = 0.0

    @property
    def reason(self) -> str:
        """Why nothing more is asked."""
        return f"the budget of ${self._settings.max_cost:g} is spent (${self.total:.4f})"

    def check(self, models: Sequence[Model]) -> None:
        """Refuse a budget that cannot be held.

        Raises
        ------
        SettingsError
            Where there is a limit and nobody knows what a model costs.
        """
        if self._settings.max_cost is None:
            return
        unknown = [model.name for model in models if not self.price(model).known]
        if unknown:
            raise SettingsError(
                f"max_cost cannot be held: nobody knows what {unknown[0]} costs",
                details=[f"not in the price list: {', '.join(unknown)}"],
                fix=["give its prices for a million tokens", "or record without max_cost"],
            )

    def price(self, model: Model) -> Price:
        """The price of a model; looked up once."""
        if model.name not in self._prices:
            self._prices[model.name] = price_of(model, self._settings.prices)
        return self._prices[model.name]

    async def reserve(self, unit: Unit, sleep: Callable[[float], Awaitable[None]]) -> float:
        """Set aside what a call will probably cost; waits while others' calls are not settled.

        Raises
        ------
        BudgetSpent
            Where there is not enough left. From then on no process of the run asks anything.
        """
        if self._settings.max_cost is None:
            return 0.0
        expected = self._expected(unit)
        self._asked = True
        while not self.spent and expected > self._allowance:
            if self._settled and self._left < expected and self.reserved < _NOTHING:
                self.spent = True
                break
            self._asked = True
            self._wanting = min(expected, self._wanting or expected)
            await sleep(_POLL_SECONDS)
        if self.spent:
            raise BudgetSpent(self.reason)
        self._allowance -= expected
        self.reserved += expected
        return expected

    def settle(self, unit: Unit, reserved: float, exchange: Exchange | None) -> None:
        """Count what a call cost in the place of what was set aside."""
        self.reserved -= reserved
        answer = None if exchange is None else exchange.answer
        if answer is None:
            self._allowance += reserved
            return
        cost = self.price(unit.model).of(answer.usage)
        count = self._tally.of(unit.model)
        count.unpriced += cost is None
        count.cost += cost or 0.0
        self.cost += cost or 0.0
        self._allowance += reserved - (cost or 0.0)

    def sync(self, state: Mapping[str, Any]) -> None:
        """Take this process's part of what is left; inside the board's transaction."""
        run, own = self._board.row.run, self._board.token
        self.total = run_counts(state, run).get("cost", 0.0)
        if self._settings.max_cost is None:
            return
        others = [row["counts"] for token, row in rows_of_run(state, run).items() if token != own]
        self.spent = self.spent or any(counts.get("spent") for counts in others)
        held = sum(counts.get("reserved", 0.0) for counts in others)
        granted = sum(counts.get("allowance", 0.0) for counts in others)
        self._left = self._settings.max_cost - self.total - held - granted - self.reserved
        self._settled = held + granted < _NOTHING
        self._allowance = self._part(others, granted, sorted(rows_of_run(state, run)))
        self._wanting, self._asked = 0.0, False
        for counts in (self._board.row.counts, state["rows"][own]["counts"]):
            counts["allowance"] = self._allowance

    def _part(
        self, others: Sequence[Mapping[str, float]], granted: float, tokens: Sequence[str]
    ) -> float:
        """What may be committed until the next exchange; nothing where nothing is asked."""
        if not self._asked:
            return 0.0
        asking = 1 + sum(counts.get("allowance", 0.0) > 0 for counts in others)
        part = min(self._left, (self._left + granted) / asking)
        if part >= self._wanting:
            return part
        # Too little to divide: one after the other.
        turn = tokens[int(time.monotonic()) % len(tokens)] == self._board.token
        return self._left if turn and self._left >= self._wanting else 0.0

    def _mean(self, name: str) -> float:
        count = self._tally.by_model[name]
        return count.cost / count.answers if count.answers else 0.0

    def _expected(self, unit: Unit) -> float:
        mean = self._mean(unit.model.name) if unit.model.name in self._tally.by_model else 0.0
        if mean:
            return mean
        from pytest_convergence.sampling.tally import prompt_tokens

        inputs = prompt_tokens(unit)
        outputs = self._tally.expected_tokens(unit) - inputs
        return self.price(unit.model).of_tokens(inputs, outputs) or 0.0
