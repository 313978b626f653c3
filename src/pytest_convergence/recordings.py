"""Where recordings lie and how one is found: cassette, journal, and what finally failed.

Three places hold what a model said. The *cassette* ``<model>.json`` is committed. The *journal*
holds what was recorded and not yet merged. ``<model>.missing.json`` beside the cassette holds the
samples that finally failed, so that a replay shows what the live run showed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from pytest_convergence.cassettes import FinalFailure, Recorded
from pytest_convergence.errors import CassetteError, SamplingError
from pytest_convergence.files import disk_error
from pytest_convergence.held_cassettes import Found, HeldCassette, Pending, merge_into
from pytest_convergence.misses import Command, explain_miss, find_elsewhere
from pytest_convergence.models.wire import WireResponse
from pytest_convergence.sampling.journal import Entry, Journal, Outcome, locked
from pytest_convergence.sampling.plan import Unit
from pytest_convergence.scrubbing import Scrubber


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
        self._held: dict[PurePosixPath, HeldCassette] = {}
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

    def _hold(self, cassette: PurePosixPath, *, fresh: bool = False) -> HeldCassette:
        held = self._held.get(cassette)
        if held is None:
            held = HeldCassette(self.root / cassette, self._journal(cassette))
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
                pending = Pending(journal.read().entries)
                if pending.replaced and not self.rewrite and self._being_rewritten():
                    return False
                merge_into(self.root / cassette, pending, self._scrubber)
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


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
