"""One cassette with its journal and its failures, as one process last saw them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from msgspec import Struct, field

from pytest_convergence.cassettes import Cassette, FinalFailure, Recorded, write
from pytest_convergence.failures import missing_path, read_failures, write_failures
from pytest_convergence.files import temporary_name
from pytest_convergence.models.wire import WireRequest
from pytest_convergence.sampling.journal import Entry, Journal, Outcome, Position
from pytest_convergence.scrubbing import Scrubber

Found: TypeAlias = Recorded | FinalFailure | None
_Key: TypeAlias = tuple[WireRequest, int]
_Stamp: TypeAlias = tuple[int, int, int] | None


class Pending:
    """The lines of a journal, the first answer to a sample counting."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.added: dict[_Key, Outcome] = {}
        self.replaced: dict[_Key, Outcome] = {}
        self.extend(entries)

    def extend(self, entries: Iterable[Entry]) -> None:
        """Further lines, as they were written."""
        for entry in entries:
            place = self.replaced if entry.replaces else self.added
            key = (entry.outcome.request, entry.outcome.sample)
            if not isinstance(place.get(key), Recorded):
                place[key] = entry.outcome


class HeldCassette(Struct):
    """One cassette with its journal and its failures, as last looked at."""

    path: Path
    journal: Journal
    stale: bool = False
    cassette: Cassette | None = None
    missing: dict[_Key, FinalFailure] = field(default_factory=dict)
    pending: Pending = field(default_factory=Pending)
    _position: Position = field(default_factory=Position)
    _stamps: tuple[_Stamp, _Stamp] = (None, None)

    def refresh(self, scrubber: Scrubber) -> None:
        """See what is new. The journal first: a merge removes it last."""
        self.stale = False
        tail = self.journal.read(self._position)
        self._position = tail.position
        if tail.restarted:
            self.pending = Pending()
        self.pending.extend(tail.entries)
        stamps = _stamp(self.path), _stamp(missing_path(self.path))
        if stamps[0] != self._stamps[0]:
            self.cassette = Cassette.load(self.path, scrubber=scrubber) if stamps[0] else None
        if stamps[1] != self._stamps[1]:
            self.missing = _by_key(read_failures(missing_path(self.path)))
        self._stamps = stamps

    @property
    def settled(self) -> bool:
        """Whether the cassette holds all there is."""
        return not (self.pending.replaced or self.pending.added or self.missing)

    def find(self, request: WireRequest, samples: int, rewrite: bool) -> list[Found]:
        """The answers that count; a rewriting run sees only what has been recorded anew."""
        replaced, added = self.pending.replaced, self.pending.added
        if rewrite:
            return [replaced.get((request, sample)) for sample in range(samples)]
        return [
            replaced.get((request, sample))
            or kept
            or added.get((request, sample))
            or self.missing.get((request, sample))
            for sample, kept in enumerate(self.kept(request, samples))
        ]

    def kept(self, request: WireRequest, samples: int) -> list[Found]:
        """What the cassette holds of the first samples of a request."""
        if self.cassette is None:
            return [None] * samples
        return [self.cassette.find(request, sample) for sample in range(samples)]


def _stamp(path: Path) -> _Stamp:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:  # whoever reads it says why it cannot be read
        return (0, 0, 0)
    return (status.st_ino, status.st_mtime_ns, status.st_size)


def merge_into(path: Path, pending: Pending, scrubber: Scrubber) -> None:
    """Write a cassette and its failures anew where the journal's lines change them.

    Raises
    ------
    OSError
        Where a file cannot be written.
    CassetteError
        Where one of them is broken; both are left as they are.
    """
    before = Cassette.load(path, scrubber=scrubber).recordeds if path.exists() else ()
    failed_before = read_failures(missing_path(path))
    answers = {(kept.request, kept.sample): kept for kept in before}
    failed = _by_key(failed_before)
    for key, outcome in _new(answers, pending):
        if isinstance(outcome, Recorded):
            answers[key] = outcome
        else:
            answers.pop(key, None)
            failed[key] = outcome
    failed = {key: failure for key, failure in failed.items() if key not in answers}
    temporary_name(path).unlink(missing_ok=True)
    if tuple(answers.values()) != before:
        write(path, answers.values())
    if tuple(failed.values()) != tuple(failed_before):
        write_failures(missing_path(path), failed.values())


def _new(answers: dict[_Key, Recorded], pending: Pending) -> Iterator[tuple[_Key, Outcome]]:
    yield from ((key, outcome) for key, outcome in pending.added.items() if key not in answers)
    yield from pending.replaced.items()


def _by_key(failures: Iterable[FinalFailure]) -> dict[_Key, FinalFailure]:
    return {(failure.request, failure.sample): failure for failure in failures}
