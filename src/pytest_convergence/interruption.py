"""A run that is interrupted (Ctrl-C): calls under way may have been paid for, so they are kept.

Nothing further is asked for, in no process of the run; what is under way is waited for, unless the
user interrupts again. pytest-xdist ends workers within seconds, so the waiting is done before.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_convergence.errors import SamplingError
from pytest_convergence.sampling.board import Board, rows_of_run
from pytest_convergence.sampling.progress import read_progress

if TYPE_CHECKING:
    from pytest_convergence.evaluation import Evaluation
    from pytest_convergence.sampling.tally import SamplingReport

_POLL_SECONDS = 0.1
_LONGER = 5.0


class Interruption:
    """How sampling ends, on the process that reports.

    Parameters
    ----------
    state
        The folder for claims and shared limits (``.convergence``).
    run
        The run's name.
    timeout
        Seconds that one call may take.
    say
        Prints a line for the user.
    """

    def __init__(self, state: Path, run: str, timeout: float, say: Callable[[str], None]) -> None:
        self._state = state
        self._run = run
        self._timeout = timeout
        self._say = say

    def close(self, evaluation: Evaluation, *, workers: bool) -> SamplingReport | None:
        """Wait for the calls under way, here or in the workers; the report of this process."""
        progress = read_progress(self._state, self._run)
        if progress is not None and progress.in_flight:
            self._say(
                f"waiting for {progress.in_flight} calls under way, which may have been paid for; "
                "Ctrl-C again leaves them"
            )
        try:
            if workers and progress is not None:
                self._wait_for_workers()
            return evaluation.close()
        except KeyboardInterrupt:
            return None
        except SamplingError as error:
            self._say(error.headline)
            return None

    def last_words(self) -> list[str]:
        """What is kept, and how to go on; nothing where nothing was sampled."""
        progress = read_progress(self._state, self._run)
        if progress is None:
            return []
        kept = "1 answer of this run is" if progress.answers == 1 else None
        kept = kept or f"{progress.answers} answers of this run are"
        return [f"interrupted: {kept} kept; the same command asks for the rest"]

    def _wait_for_workers(self) -> None:
        board = Board(self._state / "sampling", self._run)
        board.join()
        try:
            self._tell(board)
            until = time.monotonic() + self._timeout + _LONGER
            while time.monotonic() < until and self._in_flight(board):
                time.sleep(_POLL_SECONDS)
        finally:
            board.leave()

    def _tell(self, board: Board) -> None:
        with board.transaction() as state:
            state.setdefault("stopping", {})[self._run] = True

    def _in_flight(self, board: Board) -> bool:
        """Whether a living worker has calls under way, or has not heard yet that it is to end."""
        with board.transaction() as state:
            rows = rows_of_run(state, self._run)
            others = [row["counts"] for token, row in rows.items() if token != board.token]
        return any(counts.get("in_flight") or not counts.get("stopping") for counts in others)
