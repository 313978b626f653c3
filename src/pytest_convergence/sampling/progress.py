"""How far sampling has come, in one line: every process counts, whoever prints adds up.

Nothing here samples or imports what does: the process that prints may be one that only reports.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from pytest_convergence.sampling.board import run_counts

_WINDOW_SECONDS = 30.0
_LOG_SECONDS = 30.0
_TERMINAL_SECONDS = 0.2

# Erase from the cursor to the end of the screen; make sure that there is a line below, save the
# cursor and go there; restore the cursor (ECMA-48, DEC VT100).
_CLEAR = "\x1b[J"
_BELOW = "\x1bD\x1b[A\x1b7\x1b[E"
_BACK = "\x1b8"


@dataclass(frozen=True, slots=True)
class Progress:
    """The counts of one run over all its processes.

    Attributes
    ----------
    planned, done, failed, answers
        Samples to ask for; those over, answered or not; those that finally failed; those answered.
    seconds_left
        By the pace of the last half minute; None before there is one.
    """

    planned: int
    done: int
    failed: int
    in_flight: int
    retries: int
    cost: float
    seconds_left: float | None = None
    answers: int = 0


def read_progress(state: Path, run: str) -> Progress | None:
    """What the processes of a run have counted, or None where nobody samples.

    Takes no lock, so that whoever prints never holds up who samples.

    Parameters
    ----------
    state
        The folder for claims and shared limits (``.convergence``).
    run
        The run's name.
    """
    try:
        line = (state / "sampling" / "board.json").read_bytes().partition(b"\n")[0]
        counts = run_counts(json.loads(line), run)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    planned, done = int(counts.get("planned", 0)), int(counts.get("done", 0))
    if not planned and not done:
        return None
    return Progress(
        planned=max(planned, done),
        done=done,
        failed=int(counts.get("failed", 0)),
        in_flight=int(counts.get("in_flight", 0)),
        retries=int(counts.get("retries", 0)),
        cost=counts.get("cost", 0.0),
        answers=int(counts.get("answers", 0)),
    )


def line_of(progress: Progress) -> str:
    """``sampling 312/11250, 240 in flight, 3 retries, $0.42, 1 min 30 s left``."""
    parts = [f"sampling {progress.done}/{progress.planned}", f"{progress.in_flight} in flight"]
    if progress.retries:
        parts.append(f"{progress.retries} {'retry' if progress.retries == 1 else 'retries'}")
    if progress.failed:
        parts.append(f"{progress.failed} failed")
    if progress.cost:
        parts.append(f"${progress.cost:.2f}" if progress.cost >= 0.01 else "under $0.01")
    if progress.seconds_left is not None and progress.done < progress.planned:
        parts.append(f"{_duration(progress.seconds_left)} left")
    return ", ".join(parts)


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class Pace:
    """Adds to a progress how long it will still take."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def timed(self, progress: Progress) -> Progress:
        """The progress with ``seconds_left``."""
        now = time.monotonic()
        self._seen.append((now, progress.done))
        while len(self._seen) > 2 and now - self._seen[1][0] > _WINDOW_SECONDS:
            self._seen.popleft()
        since, before = self._seen[0]
        if progress.done <= before or now - since < 1.0:
            return progress
        pace = (progress.done - before) / (now - since)
        return replace(progress, seconds_left=(progress.planned - progress.done) / pace)


class ProgressLine:
    """Shows a progress below whatever else is being written, or as a line now and then.

    On a terminal it stands on the line below the cursor, which stays where it is: dots that are
    printed meanwhile are not disturbed.

    Parameters
    ----------
    stream
        Where to write.
    terminal
        Whether the cursor may be moved. Where it may not (a log, ``NO_COLOR``, a dumb terminal),
        nothing but plain lines is written, one every half minute.
    """

    def __init__(self, stream: TextIO, *, terminal: bool) -> None:
        self._stream = stream
        self._terminal = terminal
        self._shown = False
        self._last = time.monotonic() if not terminal else 0.0
        self._pace = Pace()

    def update(self, progress: Progress | None) -> None:
        """Show it, if it is time to and there is something to show."""
        if progress is None:
            return
        timed = self._pace.timed(progress)
        now = time.monotonic()
        if now - self._last < (_TERMINAL_SECONDS if self._terminal else _LOG_SECONDS):
            return
        self._last = now
        text = line_of(timed)
        if self._terminal:
            columns = shutil.get_terminal_size().columns
            self._stream.write(f"{_CLEAR}{_BELOW}{text[: columns - 1]}{_BACK}")
            self._shown = True
        else:
            self._stream.write(f"\n{text}\n")
        self._stream.flush()

    def clear(self) -> None:
        """Take the line away, for whatever is printed next."""
        if self._shown:
            self._stream.write(_CLEAR)
            self._stream.flush()
            self._shown = False


@contextmanager
def watching(state: Path, run: str, line: ProgressLine) -> Iterator[None]:
    """While the block runs, show the progress of a run from a thread of its own."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_TERMINAL_SECONDS):
            line.update(read_progress(state, run))
        line.clear()

    thread = threading.Thread(target=watch, name="convergence-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def rewritable(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether a stream is a terminal on which the cursor may be moved."""
    plain = environ.get("NO_COLOR") or environ.get("TERM") == "dumb" or environ.get("CI")
    return stream.isatty() and not plain
