"""What no test asks for leaves the recordings: only `convergence check --prune` does this."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote

from pytest_convergence.cassettes import Cassette, write
from pytest_convergence.errors import CassetteError, RepresentationError
from pytest_convergence.failures import missing_path, read_failures, write_failures
from pytest_convergence.files import disk_error
from pytest_convergence.housekeeping import PRUNE, Finding, beside_no_cassette
from pytest_convergence.represent.embedding import VECTORS_LOCK
from pytest_convergence.represent.vectors import VectorStore, text_hash
from pytest_convergence.sampling.journal import locked
from pytest_convergence.scrubbing import Scrubber

if TYPE_CHECKING:
    from pytest_convergence.models.wire import Model, WireRequest


@dataclass(frozen=True)
class Asked:
    """What the collected tests ask for.

    ``requests`` and ``models`` are by cassette. In ``unknowable`` folders lie the recordings of
    tests that make prompts up as they run: no request of theirs is stale.
    """

    requests: Mapping[PurePosixPath, Collection[WireRequest]]
    models: Mapping[PurePosixPath, Model]
    unknowable: Collection[PurePosixPath]


@dataclass(frozen=True)
class Unrecorded:
    """The vectors of one file, and which of their texts are still recorded."""

    path: Path
    store: VectorStore
    kept: frozenset[bytes]

    @property
    def count(self) -> int:
        """How many are of texts that are not."""
        return len(self.store) - len(self.kept)


def vector_findings(root: Path, asked: Asked) -> list[Finding]:
    """Files of vectors that cannot be read, or that hold some of texts which no cassette does.

    Only those beside cassettes of collected tests and models are looked at: how a response is read
    depends on the model. What is still in the journal has to be merged before.
    """
    findings = []
    for relative, model in sorted(asked.models.items()):
        for path in _stores(root / relative):
            try:
                found = _unrecorded(path, root / relative, model)
            except CassetteError:
                continue  # a finding of the cassette's own
            except RepresentationError as error:
                findings.append(Finding(path, "unreadable", error.headline, error.fix[0]))
                continue
            if found.count:
                told = f"{found.count} of {len(found.store)} vectors are of texts not recorded"
                findings.append(Finding(path, "stale", f"{told} any more", PRUNE))
    return findings


def _stores(cassette: Path) -> list[Path]:
    """The files of vectors beside a cassette that is there."""
    stem = f"{cassette.name.removesuffix('.json')}."
    beside = sorted(cassette.parent.glob("*.npz")) if cassette.exists() else []
    return [path for path in beside if path.name.startswith(stem)]


def _unrecorded(path: Path, cassette: Path, model: Model) -> Unrecorded:
    name = path.name.removeprefix(f"{cassette.name.removesuffix('.json')}.")
    store = VectorStore.load(path, embedder=unquote(name.removesuffix(".npz")))
    recordeds = Cassette.load(cassette).recordeds
    texts = {text_hash(model.adapter.parse(kept.response).text) for kept in recordeds}
    if store is None:
        raise RepresentationError(f"{path} is not there any more", fix=["check again"])
    return Unrecorded(path, store, frozenset(texts.intersection(store.hashes)))


def prune(
    root: Path, asked: Asked, *, locks: Path, scrubber: Scrubber
) -> Iterator[tuple[Path, str]]:
    """Remove what no test asks for, as far as it can be told; nothing else is touched.

    Stale requests leave the cassettes and the lists of final failures of collected tests; then
    vectors of texts that no cassette holds leave their files; unfinished files and vectors beside
    no cassette are deleted. A cassette that no test asks for stays: its test may only have been
    renamed.

    Parameters
    ----------
    locks
        The folder of the recordings' locks.
    scrubber
        As of a run, which finds requests as they are recorded.

    Yields
    ------
    (path, what was removed from it), as soon as it is done

    Raises
    ------
    CassetteError, RepresentationError
        Where a file is broken: it is as it was, and what was pruned before stays pruned.
    SamplingError
        Where a file cannot be written; it is then as it was.
    """
    for relative, requests in sorted(asked.requests.items()):
        if relative.parent not in asked.unknowable:
            made = {scrubber.request(request) for request in requests}
            yield from _without_stale(root / relative, made, locks / relative.with_suffix(".lock"))
    for relative, model in sorted(asked.models.items()):
        for path in _stores(root / relative):
            with locked(locks / VECTORS_LOCK):
                found = _unrecorded(path, root / relative, model)
                if found.count:
                    found.store.only(found.kept).write(path)
            if found.count:
                yield path, f"{found.count} vectors of texts that are not recorded"
    for path in sorted(root.rglob("*")):
        if _left_over(path, root):
            with locked(locks / _lock_of(path.relative_to(root))):
                # Whoever was writing it may have come to its end.
                left = path.exists() and _left_over(path, root)
                if left:
                    _delete(path)
            if left:
                yield path, "deleted: nothing belongs to it"


def _left_over(path: Path, root: Path) -> bool:
    """A file that a killed run did not finish, or vectors beside no cassette."""
    return path.suffix == ".tmp" or (path.suffix == ".npz" and beside_no_cassette(path, root))


def _lock_of(path: Path) -> Path:
    """The lock that is held while a file, or the unfinished one before it, is written."""
    name = path.name.removeprefix(".").removesuffix(".tmp")
    if name.endswith(".npz"):
        return Path(VECTORS_LOCK)
    cassette = name.removesuffix(".json").removesuffix(".missing")
    return path.with_name(f"{cassette}.lock")


def _without_stale(
    path: Path, asked: Collection[WireRequest], lock: Path
) -> Iterator[tuple[Path, str]]:
    """Take the requests that nobody makes out of a cassette and its list of final failures."""
    missing = missing_path(path)
    if not (path.exists() or missing.exists()):
        return
    with locked(lock):
        read_failures(missing)  # where it is broken, the cassette stays as it is too
        recordeds = Cassette.load(path).recordeds if path.exists() else ()
        kept = [one for one in recordeds if one.request in asked]
        if len(kept) < len(recordeds):
            with _pruning(path):
                if kept:
                    write(path, kept)
                else:
                    path.unlink()
    if len(kept) < len(recordeds):
        yield path, f"{len(recordeds) - len(kept)} interactions of requests that no test makes"
    with locked(lock):
        failures = read_failures(missing)
        failed = [one for one in failures if one.request in asked]
        if len(failed) < len(failures):
            with _pruning(missing):
                write_failures(missing, failed)
    if len(failed) < len(failures):
        told = f"{len(failures) - len(failed)} final failures of requests that no test makes"
        yield missing, told


def _delete(path: Path) -> None:
    with _pruning(path):
        path.unlink()


@contextmanager
def _pruning(path: Path) -> Iterator[None]:
    """Name the file that cannot be written."""
    try:
        yield
    except OSError as error:
        raise disk_error(error, doing="prune", path=path, kept="it is as it was") from error
