"""What has been paid for is on disk before anything else happens to it.

One append-only file of JSON lines for each cassette, written under the cassette's operating-system
lock. A line is on disk (in the kernel's care) when :meth:`Journal.append` returns: a process that
is killed loses nothing, at most the line that it was writing. Readers take no lock: they read
complete lines only, from where they stopped.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

from msgspec import Struct

from pytest_convergence.cassettes import FinalFailure, Recorded
from pytest_convergence.errors import CassetteError
from pytest_convergence.files import disk_error
from pytest_convergence.models.wire import WireRequest, WireResponse

Outcome: TypeAlias = Recorded | FinalFailure

_CHUNK = 1 << 16
_POLL_SECONDS = 0.005


class Entry(Struct, frozen=True):
    """One line. ``replaces`` marks what a rewriting run recorded: it takes the old one's place."""

    outcome: Outcome
    replaces: bool = False


class Position(Struct, frozen=True):
    """How far a reader has come: the journal's generation, the offset behind its last line."""

    generation: str = ""
    offset: int = 0
    stamp: tuple[int, int, int] = (0, 0, 0)


class Tail(Struct, frozen=True):
    """What a reader had not seen. ``restarted``: what it had read before has been merged."""

    entries: tuple[Entry, ...]
    position: Position
    restarted: bool


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file ``path``; waits for it. Dies with the process, so that none is stale."""
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path).acquire(poll_interval=_POLL_SECONDS):
        yield


class Journal:
    """The unmerged answers of one cassette.

    Parameters
    ----------
    path
        The journal; made when first written to.
    lock
        The cassette's lock file; whoever appends or merges holds it.
    """

    def __init__(self, path: Path, lock: Path) -> None:
        self.path = path
        self.lock = lock

    def append(self, entry: Entry) -> None:
        """Put one line on disk.

        Raises
        ------
        SamplingError
            Where the disk is full, the folder read-only or the like. The journal is then as it
            was before.
        """
        line = json.dumps(_as_record(entry), separators=(",", ":")).encode("ascii") + b"\n"
        try:
            with locked(self.lock), self._opened() as descriptor:
                size = _without_torn_tail(descriptor)
                _write_whole(descriptor, line if size else _header() + line, size)
        except OSError as error:
            raise disk_error(
                error,
                doing=f"keep an answer to {entry.outcome.prompt_id!r}",
                path=self.path,
                kept="every answer before this one is kept; this one is lost",
            ) from error

    def check_writable(self) -> None:
        """See that answers could be kept, before any is paid for; the journal may be empty then.

        Raises
        ------
        SamplingError
            Where the journal or its lock cannot be written.
        """
        path = self.lock
        try:
            with locked(self.lock):
                path = self.path
                with self._opened():
                    return
        except OSError as error:
            kept = "nothing was asked; what is recorded is kept"
            raise disk_error(error, doing="keep answers", path=path, kept=kept) from error

    @contextmanager
    def _opened(self) -> Iterator[int]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
        descriptor = os.open(self.path, flags, 0o666)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def read(self, since: Position | None = None) -> Tail:
        """The complete lines since ``since``; costs one ``stat`` where there are none.

        Raises
        ------
        CassetteError
            Where a complete line cannot be read: something else has written to the file.
        """
        before = since or Position()
        try:
            status = self.path.stat()
            stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
            if stamp == before.stamp:
                return Tail((), before, False)
            return self._read(before, stamp)
        except (FileNotFoundError, NotADirectoryError):
            return Tail((), Position(), before.generation != "")

    def _read(self, before: Position, stamp: tuple[int, int, int]) -> Tail:
        with self.path.open("rb") as stream:
            header = stream.readline()
            if not header.endswith(b"\n"):
                return Tail((), Position(stamp=stamp), before.generation != "")
            generation = str(self._decoded(header, 0).get("generation"))
            start = before.offset if generation == before.generation else len(header)
            stream.seek(start)
            data = stream.read()
        complete = data[: data.rfind(b"\n") + 1]
        entries = tuple(self._entry(line, start) for line in complete.split(b"\n") if line)
        position = Position(generation, start + len(complete), stamp)
        return Tail(entries, position, generation != before.generation != "")

    def _entry(self, line: bytes, start: int) -> Entry:
        try:
            return _from_record(self._decoded(line, start))
        except (KeyError, TypeError, ValueError) as error:
            raise self._damaged(line, start) from error

    def _decoded(self, line: bytes, start: int) -> dict[str, Any]:
        try:
            record = json.loads(line)
        except ValueError as error:
            raise self._damaged(line, start) from error
        if not isinstance(record, dict):
            raise self._damaged(line, start)
        return record

    def _damaged(self, line: bytes, start: int) -> CassetteError:
        return CassetteError(
            f"the journal {self.path} has a line that cannot be read",
            details=[
                f"after byte {start}: {line[:80].decode('ascii', 'replace')}",
                "nothing was deleted; the other lines are whole",
            ],
            fix=["delete that line; its answer is asked for again in a recording mode"],
        )


def _header() -> bytes:
    generation = os.urandom(8).hex()
    return json.dumps({"journal": 1, "generation": generation}).encode("ascii") + b"\n"


def _write_whole(descriptor: int, data: bytes, size: int) -> None:
    """Append all of ``data`` or nothing: what a full disk cut off is taken back."""
    view = memoryview(data)
    try:
        while view:
            written = os.write(descriptor, view)
            if not written:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            view = view[written:]
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, size)
        raise


def _without_torn_tail(descriptor: int) -> int:
    """Cut off the line that a killed process left unfinished; the size that remains."""
    size = os.lseek(descriptor, 0, os.SEEK_END)
    end = size
    while end:
        start = max(end - _CHUNK, 0)
        os.lseek(descriptor, start, os.SEEK_SET)
        newline = os.read(descriptor, end - start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end != size:
        os.ftruncate(descriptor, end)
    return end


def _as_record(entry: Entry) -> dict[str, Any]:
    outcome = entry.outcome
    request = outcome.request
    record: dict[str, Any] = {
        "request": [request.method, request.url, request.body],
        "sample": outcome.sample,
        "prompt_id": outcome.prompt_id,
        "recorded_at": outcome.recorded_at,
        "replaces": entry.replaces,
    }
    if isinstance(outcome, Recorded):
        response = outcome.response
        record["response"] = [response.status, dict(response.headers), response.body]
    else:
        record["failure"] = [outcome.status, outcome.reason, outcome.run]
    return record


def _from_record(record: dict[str, Any]) -> Entry:
    request = WireRequest(*record["request"])
    sample, prompt_id, date = record["sample"], record["prompt_id"], record["recorded_at"]
    outcome: Outcome
    if "response" in record:
        response = WireResponse(*record["response"])
        outcome = Recorded(request, sample, prompt_id, response, date)
    else:
        status, reason, *run = record["failure"]
        outcome = FinalFailure(request, sample, prompt_id, status, reason, date, *run)
    return Entry(outcome, record["replaces"])
