"""Where recordings lie and how one is found: cassette, journal, and what finally failed.

Three places hold what a model said. The *cassette* ``<model>.json`` is committed. The *journal*
holds what was recorded and not yet merged. ``<model>.missing.json`` beside the cassette holds the
samples that finally failed, so that a replay shows what the live run showed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from msgspec import Struct, field

from pytest_convergence.cassettes import Cassette, FinalFailure, Recorded, write
from pytest_convergence.errors import CassetteError, SamplingError
from pytest_convergence.failures import missing_path, read_failures, write_failures
from pytest_convergence.files import disk_error, temporary_name
from pytest_convergence.misses import Command, explain_miss, find_elsewhere
from pytest_convergence.models.wire import WireRequest, WireResponse
from pytest_convergence.sampling.journal import Entry, Journal, Outcome, Position, locked
from pytest_convergence.sampling.plan import Unit
from pytest_convergence.scrubbing import Scrubber

Found: TypeAlias = Recorded | FinalFailure | None
_Key: TypeAlias = tuple[WireRequest, int]
_Stamp: TypeAlias = tuple[int, int, int] | None


class Recordings:
    """The recordings of a run, as one process sees them. Safe to use from several threads.

    Each cassette is read once, when a unit of it is first asked for.

    Parameters
    ----------
    root
        The folder of cassettes.
    journal_root
        The folder of journals; locks lie beside it in ``locks``.
    rewrite
        Recordings of earlier runs do not count: only what this run (or the killed one that it
        goes on with) has recorded anew is found, and takes their place when the run ends.
    secrets
        Keys to keep out of every file, besides those of the units' models.
    command
        What to tell a user to run for a unit that is not recorded.
    """

    def __init__(
        self,
        root: Path,
        journal_root: Path,
        *,
        rewrite: bool = False,
        secrets: Iterable[str | None] = (),
        command: Command | None = None,
    ) -> None:
        self.root = root
        self.journal_root = journal_root
        self.rewrite = rewrite
        self._locks = journal_root.parent / "locks"
        self._command = command
        self._keys = set(secrets)
        self._scrubber = Scrubber.of(self._keys)
        self._held: dict[PurePosixPath, _Held] = {}
        self._elsewhere: dict[PurePosixPath, Path | None] = {}
        self._guard = threading.RLock()
        self._open = ExitStack()

    def start(self) -> None:
        """Begin a run; called once, by the main process, before anything is found.

        Merges what an earlier run left in the journal. A rewriting run takes the tree for itself
        instead, and goes on where a killed rewrite stopped.

        Raises
        ------
        SamplingError
            Where another run is rewriting the tree, or it cannot be written.
        CassetteError
            Where a cassette that something has to be merged into is broken.
        """
        if self.rewrite:
            self._claim_rewrite()
        else:
            self.merge_all()

    def finish(self) -> None:
        """End a run: everything recorded is merged. Called once, by the main process.

        Raises
        ------
        SamplingError
            Where a file cannot be written; the answers stay in the journal.
        CassetteError
            Where a cassette that something has to be merged into is broken.
        """
        try:
            for cassette in self.journalled():
                self._merge(cassette)
            self.rewrite = False  # what this run recorded is now what there is
        finally:
            self._open.close()

    def find(self, unit: Unit, *, fresh: bool = False) -> list[Found]:
        """What is known of each sample of a unit: an answer, a final failure, or None.

        Parameters
        ----------
        unit
            Of which the first ``unit.samples`` samples are looked up.
        fresh
            Look whether another process has recorded something since; costs three ``stat``.

        Raises
        ------
        CassetteError
            Where the recording is there and cannot be read.
        """
        request = unit.request
        with self._guard:
            held = self._hold(unit.cassette, fresh=fresh)
            kept = held.kept(request, unit.samples)
            if not any(kept):
                # Only what has no secrets is ever kept, so what is found had none.
                request = self.scrubber(unit).request(request)
            elif held.settled and not self.rewrite:
                return kept
            return held.find(request, unit.samples, self.rewrite)

    def check_writable(self, cassette: PurePosixPath) -> None:
        """See that answers could be kept; SamplingError where they could not."""
        self._journal(cassette).check_writable()

    def keep(self, unit: Unit, sample: int, response: WireResponse) -> Recorded:
        """Put an answer on disk; what it returns is what was kept, scrubbed: use that.

        Raises
        ------
        SamplingError
            Where the disk is full, the folder read-only, or the like.
        """
        scrubber = self.scrubber(unit)
        recorded = Recorded(
            scrubber.request(unit.request),
            sample,
            scrubber.text(unit.prompt_id),
            scrubber.response(response),
            _now(),
        )
        self._append(unit.cassette, recorded)
        return recorded

    def fail(
        self, unit: Unit, sample: int, *, status: int | None, reason: str, run: str = ""
    ) -> FinalFailure:
        """Put a final failure of a run on disk, scrubbed; raises like :meth:`keep`."""
        scrubber = self.scrubber(unit)
        failure = FinalFailure(
            scrubber.request(unit.request),
            sample,
            scrubber.text(unit.prompt_id),
            status,
            scrubber.text(reason),
            _now(),
            run,
        )
        self._append(unit.cassette, failure)
        return failure

    def merge(self, cassette: PurePosixPath) -> bool:
        """Merge a cassette's journal into it; called when its units are done.

        Idempotent, and safe to be killed at any instruction: the journal goes last. A rewriting
        run merges at its end only, and nobody merges what another run is rewriting.

        Returns
        -------
        bool
            Whether the journal is merged now.

        Raises
        ------
        SamplingError
            Where a file cannot be written; the answers stay in the journal.
        CassetteError
            Where the cassette is broken; it is left as it is, and so is the journal.
        """
        return not self.rewrite and self._merge(cassette)

    def merge_all(self) -> None:
        """:meth:`merge` for every journal there is."""
        for cassette in self.journalled():
            self.merge(cassette)

    def journalled(self) -> list[PurePosixPath]:
        """The cassettes that have a journal, sorted."""
        return sorted(
            PurePosixPath(path.relative_to(self.journal_root).with_suffix(".json").as_posix())
            for path in self.journal_root.rglob("*.jsonl")
        )

    def explain(self, unit: Unit) -> CassetteError:
        """The error for a unit that is not recorded in full: what is closest, and what to do."""
        request = self.scrubber(unit).request(unit.request)
        with self._guard:
            cassette = self._hold(unit.cassette).cassette
            recorded = [sample for sample, found in enumerate(self.find(unit)) if found]
            if cassette is None and unit.cassette not in self._elsewhere:
                path = self.root / unit.cassette
                self._elsewhere[unit.cassette] = find_elsewhere(path, request, self.root)
        return explain_miss(
            cassette,
            unit,
            root=self.root,
            request=request,
            recorded=recorded,
            elsewhere=self._elsewhere.get(unit.cassette),
            command=self._command,
        )

    def scrubber(self, unit: Unit) -> Scrubber:
        """The scrubber of this run, which knows the unit's key from now on."""
        with self._guard:
            if unit.model.key not in self._keys:
                self._keys.add(unit.model.key)
                self._scrubber = Scrubber.of(self._keys)
            return self._scrubber

    def _hold(self, cassette: PurePosixPath, *, fresh: bool = False) -> _Held:
        held = self._held.get(cassette)
        if held is None:
            held = _Held(self.root / cassette, self._journal(cassette))
            held.refresh(self._scrubber)
            self._held[cassette] = held
        elif fresh or held.stale:
            held.refresh(self._scrubber)
        return held

    def _append(self, cassette: PurePosixPath, outcome: Outcome) -> None:
        self._journal(cassette).append(Entry(outcome, replaces=self.rewrite))
        with self._guard:
            if cassette in self._held:
                self._held[cassette].stale = True

    def _journal(self, cassette: PurePosixPath) -> Journal:
        return Journal(
            self.journal_root / cassette.with_suffix(".jsonl"),
            self._locks / cassette.with_suffix(".lock"),
        )

    def _merge(self, cassette: PurePosixPath) -> bool:
        journal = self._journal(cassette)
        try:
            with locked(journal.lock):
                pending = _Pending(journal.read().entries)
                if pending.replaced and not self.rewrite and self._being_rewritten():
                    return False
                _merge_into(self.root / cassette, pending, self._scrubber)
                journal.path.unlink(missing_ok=True)
        except OSError as error:
            raise disk_error(
                error,
                doing="write a cassette",
                path=self.root / cassette,
                kept=f"every answer is kept in {journal.path}",
            ) from error
        with self._guard:
            if cassette in self._held:
                self._held[cassette].stale = True
        return True

    @property
    def _rewrite_lock(self) -> Path:
        return self._locks / "rewrite.lock"

    def _claim_rewrite(self) -> None:
        from filelock import FileLock, Timeout

        try:
            self._locks.mkdir(parents=True, exist_ok=True)
            self._open.enter_context(FileLock(self._rewrite_lock).acquire(timeout=1))
        except Timeout:
            raise SamplingError(
                f"another run is rewriting the recordings in {self.root}",
                fix=["wait until it has ended", "or record with --convergence-record=new_episodes"],
            ) from None
        except OSError as error:
            raise disk_error(
                error,
                doing="take the recordings for a rewrite",
                path=self._rewrite_lock,
                kept="nothing was asked; what is recorded is kept",
            ) from error

    def _being_rewritten(self) -> bool:
        from filelock import FileLock, Timeout

        try:
            with FileLock(self._rewrite_lock).acquire(timeout=0):
                return False
        except Timeout:
            return True


class _Pending:
    """The lines of a journal, the first answer to a sample counting."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.added: dict[_Key, Outcome] = {}
        self.replaced: dict[_Key, Outcome] = {}
        self.extend(entries)

    def extend(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            place = self.replaced if entry.replaces else self.added
            key = (entry.outcome.request, entry.outcome.sample)
            if not isinstance(place.get(key), Recorded):
                place[key] = entry.outcome


class _Held(Struct):
    """One cassette with its journal and its failures, as last looked at."""

    path: Path
    journal: Journal
    stale: bool = False
    cassette: Cassette | None = None
    missing: dict[_Key, FinalFailure] = field(default_factory=dict)
    pending: _Pending = field(default_factory=_Pending)
    _position: Position = field(default_factory=Position)
    _stamps: tuple[_Stamp, _Stamp] = (None, None)

    def refresh(self, scrubber: Scrubber) -> None:
        """See what is new. The journal first: a merge removes it last."""
        self.stale = False
        tail = self.journal.read(self._position)
        self._position = tail.position
        if tail.restarted:
            self.pending = _Pending()
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


def _merge_into(path: Path, pending: _Pending, scrubber: Scrubber) -> None:
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


def _new(answers: dict[_Key, Recorded], pending: _Pending) -> Iterator[tuple[_Key, Outcome]]:
    yield from ((key, outcome) for key, outcome in pending.added.items() if key not in answers)
    yield from pending.replaced.items()


def _by_key(failures: Iterable[FinalFailure]) -> dict[_Key, FinalFailure]:
    return {(failure.request, failure.sample): failure for failure in failures}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
