"""The board: what the processes that sample on one tree tell each other.

One small JSON file under an operating-system lock. Each process has a row (what it leased of
each limit, how far its tests are, what they wait for, what it counted) and holds a lock of its
own for life; a row whose lock is free belongs to the dead and is folded into its run's totals.
A process writes a few times a second, not with every call.
"""

from __future__ import annotations

import errno
import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_convergence.errors import SamplingError
from pytest_convergence.files import disk_error

if TYPE_CHECKING:
    from filelock import BaseFileLock

_VERSION = 1
_LOCK_SECONDS = 30.0
_REAP_SECONDS = 1.0
_KEPT_RUNS = 8


@dataclass
class Row:
    """What one process says of itself.

    Attributes
    ----------
    run
        The run it belongs to.
    position
        The place in the plan of what its tests asked for last.
    wants
        Unit digests by cassette that its tests wait for and somebody else may hold.
    gates
        By limit: how many places it has leased and how many it could use.
    counts
        Sums since it started, such as ``done`` and ``cost``.
    """

    run: str
    position: int = 0
    wants: dict[str, list[str]] = field(default_factory=dict)
    gates: dict[str, tuple[int, int]] = field(default_factory=dict)
    counts: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """In JSON types."""
        return {
            "run": self.run,
            "position": self.position,
            "wants": self.wants,
            "gates": self.gates,
            "counts": self.counts,
        }


class Board:
    """One process's hand on the shared file.

    Parameters
    ----------
    folder
        Where the file and its locks live; the same for everybody who samples on this tree.
    run
        The run this process belongs to.
    """

    def __init__(self, folder: Path, run: str) -> None:
        self.folder = folder
        self.row = Row(run)
        self.token = uuid.uuid4().hex[:12]
        self._file: int | None = None
        self._lock: BaseFileLock | None = None
        self._presence: BaseFileLock | None = None
        self._reaped = 0.0

    def join(self) -> None:
        """Take a row. Whoever finds nobody else alive starts the adaptive limits anew.

        Raises
        ------
        SamplingError
            Where the folder cannot be written.
        """
        try:
            self._processes.mkdir(parents=True, exist_ok=True)
            ignore = self.folder.parent / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n", encoding="utf-8")
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
            self._file = os.open(self._path, flags, 0o644)
            self._lock = _lock(self.folder / "board.lock")
            self._presence = _lock(self._processes / self.token)
            self._presence.acquire(blocking=False)
        except OSError as problem:
            raise _unwritable(self._path, problem) from problem
        with self.transaction() as state:
            self._reap(state)
            if len(state["rows"]) == 1:
                for gate in state["gates"].values():
                    gate.pop("allowed", None)

    @contextmanager
    def transaction(self) -> Iterator[dict[str, Any]]:
        """The whole state, alone; this process's row and every change are written at the end."""
        from filelock import Timeout

        assert self._lock is not None
        try:
            with self._lock.acquire(timeout=_LOCK_SECONDS, poll_interval=0.002):
                state = self._read()
                state["rows"][self.token] = self.row.as_json()
                if time.monotonic() - self._reaped > _REAP_SECONDS:
                    self._reap(state)
                yield state
                self._write(state)
        except Timeout as problem:
            raise _held_up(self.folder / "board.lock") from problem
        except OSError as problem:
            raise _unwritable(self._path, problem) from problem

    def leave(self) -> None:
        """Fold this process's counts into its run's and give the row back."""
        if self._file is None or self._presence is None:
            return
        with suppress(SamplingError), self.transaction() as state:
            _fold(state, self.token)
        with suppress(OSError):  # on a disk that cannot be written the next to join tidies up
            self._presence.release()
            (self._processes / self.token).unlink(missing_ok=True)
        os.close(self._file)
        self._file = None

    @property
    def _path(self) -> Path:
        return self.folder / "board.json"

    @property
    def _processes(self) -> Path:
        return self.folder / "processes"

    def _reap(self, state: dict[str, Any]) -> None:
        self._reaped = time.monotonic()
        for token in [token for token in state["rows"] if token != self.token]:
            presence = _lock(self._processes / token)
            with suppress(OSError):
                presence.acquire(blocking=False)
            if presence.is_locked:
                _fold(state, token)
                (self._processes / token).unlink(missing_ok=True)
                presence.release()

    def _read(self) -> dict[str, Any]:
        assert self._file is not None
        os.lseek(self._file, 0, os.SEEK_SET)
        blocks = []
        while block := os.read(self._file, 1 << 16):
            blocks.append(block)
        line = b"".join(blocks).partition(b"\n")[0]
        # A file that cannot be read holds nothing that is not learnt again within seconds.
        with suppress(ValueError):
            state = json.loads(line)
            if isinstance(state, dict) and state.get("version") == _VERSION:
                return state
        return {"version": _VERSION, "rows": {}, "runs": {}, "started": {}, "gates": {}}

    def _write(self, state: Mapping[str, Any]) -> None:
        # What an earlier, longer state left behind the line's end is never read.
        assert self._file is not None
        line = json.dumps(state, separators=(",", ":")).encode() + b"\n"
        os.lseek(self._file, 0, os.SEEK_SET)
        if os.write(self._file, line) < len(line):  # a full disk takes what fits
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def rows_of_run(state: Mapping[str, Any], run: str) -> dict[str, dict[str, Any]]:
    """The rows of the living processes of one run, by token."""
    return {token: row for token, row in state["rows"].items() if row["run"] == run}


def run_counts(state: Mapping[str, Any], run: str) -> dict[str, float]:
    """The sums of one run over its processes, dead and finished ones included."""
    total = dict(state["runs"].get(run, {}))
    for row in rows_of_run(state, run).values():
        _add(total, row["counts"])
    return total


def _fold(state: dict[str, Any], token: str) -> None:
    row = state["rows"].pop(token, None)
    if row is None:
        return
    counts = row["counts"]
    # Calls that were under way when a process died may have been paid for.
    counts["cost"] = counts.get("cost", 0) + counts.pop("reserved", 0)
    for passing in ("in_flight", "allowance", "stopping"):
        counts.pop(passing, None)
    total = state["runs"].pop(row["run"], {})
    _add(total, counts)
    state["runs"][row["run"]] = total
    for old in list(state["runs"])[:-_KEPT_RUNS]:
        del state["runs"][old]
    alive = {row["run"] for row in state["rows"].values()}
    for dated in (state["started"], state.get("stopping", {})):
        for old in [run for run in dated if run not in {*alive, *state["runs"]}]:
            del dated[old]


def _add(total: dict[str, float], counts: Mapping[str, float]) -> None:
    for name, value in counts.items():
        total[name] = total.get(name, 0) + value


def _lock(path: Path) -> BaseFileLock:
    from filelock import FileLock

    return FileLock(path, thread_local=False)


def _unwritable(path: Path, problem: OSError) -> SamplingError:
    kept = (
        "limits and claims are shared there; every answer so far is kept, no further one is asked"
    )
    return disk_error(problem, doing="share limits", path=path, kept=kept)


def _held_up(path: Path) -> SamplingError:
    return SamplingError(
        f"another process holds {path} for more than {_LOCK_SECONDS:g} s",
        details=["limits and claims are shared under this lock; every answer so far is kept"],
        fix=[
            "see whether a run on these recordings is suspended, and end it or let it go on",
            "then run the same command again: only what is missing is asked for",
        ],
    )
