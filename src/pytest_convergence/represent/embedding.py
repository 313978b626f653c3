"""Texts become recorded vectors, each text once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from time import monotonic
from typing import NamedTuple, TypeAlias

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from pytest_convergence.errors import RepresentationError
from pytest_convergence.represent.embedders import load_embedder, stored_name
from pytest_convergence.represent.features import Embedder
from pytest_convergence.represent.vectors import (
    Grid,
    VectorStore,
    from_grid,
    store_path,
    text_hash,
)
from pytest_convergence.text import printable

Progress: TypeAlias = Callable[[int, int], None]
Load: TypeAlias = Callable[[str], Embedder]
Stores: TypeAlias = Mapping[Path, VectorStore | None]

# A killed run loses at most this much work; writing more often would cost more than it saves.
_WRITTEN_AFTER_TEXTS = 512
_WRITTEN_AFTER_SECONDS = 20.0
_FEW = 1000
VECTORS_LOCK = "vectors.lock"


def vectors_for(
    texts_by_store: Mapping[Path, Sequence[str]],
    embedder_name: str,
    *,
    record: bool,
    lock_dir: Path,
    custom: Mapping[str, Embedder] | None = None,
    load: Load = load_embedder,
    progress: Progress | None = None,
) -> dict[Path, NDArray[np.float32]]:
    """Unit vectors of texts, from the files beside their cassettes.

    Parameters
    ----------
    texts_by_store
        For each cassette its texts; they may repeat, within it and across cassettes.
    embedder_name
        As :func:`~pytest_convergence.represent.embedders.load_embedder` reads it, or a name in
        ``custom``.
    record
        Embed what is missing and write it before anything is returned; otherwise nothing is
        loaded but the files.
    lock_dir
        Where processes agree on who embeds; the same for all that record into these files.
    custom
        Embedders by name, which go before the built-in ones.
    load
        Called only where something is missing, and once in a process.
    progress
        Told how many of how many texts are embedded.

    Returns
    -------
    dict
        For each cassette float32 vectors of shape (texts, d), in the order of the texts.

    Raises
    ------
    RepresentationError
        Where a vector is missing and may not be recorded, a file is damaged, files hold vectors of
        different revisions, or the embedder is not there.
    """
    custom = custom or {}
    name = embedder_name if embedder_name in custom else stored_name(embedder_name)
    if not record and (found := _replayed(texts_by_store, name)) is not None:
        return found
    wanted = {
        cassette: _Wanted(store_path(cassette, name), texts, [*map(text_hash, texts)])
        for cassette, texts in texts_by_store.items()
    }
    asked = list(wanted.values())
    stores = _loaded(asked, name, again=record)
    width = _common_width(stores)
    if any(one.lacks(stores[one.path]) for one in asked):
        if not record:
            raise _not_recorded(asked, stores, name)
        _record(asked, _Recorder(embedder_name, name, lock_dir, custom, load, progress))
        stores = _loaded(asked, name)
        width = _common_width(stores)
    found = _taken(wanted, stores, width)
    _open.clear()
    for one in asked:
        store = stores[one.path]
        if store is not None and len(one.hashes) >= len(store):
            _read.pop(one.path, None)  # all of it has been asked for: nothing is left to come
    held = [_read[one.path][1] for one in asked if one.path in _read]
    if not record and len(held) == len(asked) > 0:
        _open.append((list(wanted), name, held))
    return found


class _Wanted(NamedTuple):
    """The texts asked of one file, and their hashes."""

    path: Path
    texts: Sequence[str]
    hashes: Sequence[bytes]

    def lacks(self, store: VectorStore | None) -> bool:
        """Whether the file lacks a vector."""
        known: Mapping[bytes, int] = store.rows if store else {}
        return not all(map(known.__contains__, self.hashes))

    def missing(self, store: VectorStore | None) -> dict[bytes, str]:
        """The texts that the file has no vector of, by hash."""
        known: Mapping[bytes, int] = store.rows if store else {}
        pairs = zip(self.hashes, self.texts, strict=True)
        return {key: text for key, text in pairs if key not in known}


# The files that the last case was replayed from, and what they were asked under.
_open: list[tuple[list[Path], str, list[VectorStore]]] = []


def _replayed(
    texts_by_store: Mapping[Path, Sequence[str]], name: str
) -> dict[Path, NDArray[np.float32]] | None:
    """Few vectors from files that the case before was read from; None where there is more to do.

    A test of many cases asks the same files for one text each, hundreds of times.
    """
    places = list(texts_by_store)
    if not _open or _open[0][:2] != (places, name):
        return None
    if sum(map(len, texts_by_store.values())) > _FEW:
        return None
    try:
        grids = [
            store.take([*map(text_hash, texts)])
            for store, texts in zip(_open[0][2], texts_by_store.values(), strict=True)
        ]
    except KeyError:
        return None
    return _scaled(places, grids)


class _Recorder(Struct, frozen=True):
    """How what is missing is embedded: by what, under which name, and who is told."""

    embedder: str
    name: str
    lock_dir: Path
    custom: Mapping[str, Embedder]
    load: Load
    progress: Progress | None


# Stores as they were last read, with what told their file apart.
_read: dict[Path, tuple[tuple[int, int, int], VectorStore]] = {}


def forget() -> None:
    """Let go of what was read; called when a run has ended."""
    _read.clear()
    _open.clear()
    text_hash.cache_clear()


def _load(path: Path, name: str, *, again: bool = True) -> VectorStore | None:
    before = _read.get(path)
    if before and not again:
        return before[1]
    try:
        status = path.stat()
    except OSError:  # not there; what else is wrong with it, reading it says
        return VectorStore.load(path, embedder=name)
    version = (status.st_mtime_ns, status.st_size, status.st_ino)
    if before and before[0] == version:
        return before[1]
    store = VectorStore.load(path, embedder=name)
    if store is not None:
        _read[path] = (version, store)
    return store


def _loaded(
    asked: Iterable[_Wanted], name: str, *, again: bool = True
) -> dict[Path, VectorStore | None]:
    """The files, looked at ``again`` where another process may be writing them."""
    return {one.path: _load(one.path, name, again=again) for one in asked}


def _missing(asked: Iterable[_Wanted], stores: Stores) -> dict[bytes, str]:
    """The texts that a file has no vector of, by hash, each once."""
    missing: dict[bytes, str] = {}
    for one in asked:
        missing |= one.missing(stores[one.path])
    return missing


def _common_width(stores: Stores) -> int:
    """The dimension of all vectors; an error where two files are not of one revision."""
    first: tuple[Path, VectorStore] | None = None
    for path, store in stores.items():
        if store is None:
            continue
        first = first or (path, store)
        if (store.revision, store.width) != (first[1].revision, first[1].width):
            raise RepresentationError(
                f"vectors of two revisions of {store.embedder} cannot be compared",
                details=[
                    f"{where}: revision {held.revision}, {held.width} dimensions"
                    for where, held in (first, (path, store))
                ],
                fix=[
                    "delete the file of the revision that you do not want, and run again with "
                    "--convergence-record=new_episodes"
                ],
            )
    return first[1].width if first else 1


def _taken(
    wanted: Mapping[Path, _Wanted], stores: Stores, width: int
) -> dict[Path, NDArray[np.float32]]:
    """The vectors asked for; few are scaled in one go, for they are mostly one of each file."""
    if not wanted:
        return {}
    nothing = np.zeros((0, width), dtype=np.int16)
    grids = (
        nothing if (store := stores[one.path]) is None else store.take(one.hashes)
        for one in wanted.values()
    )
    sizes = [len(one.hashes) for one in wanted.values()]
    if sum(sizes) > _FEW:  # one file's at a time: all at once would be held twice
        return dict(zip(wanted, map(from_grid, grids), strict=True))
    return _scaled(wanted, list(grids))


def _scaled(places: Iterable[Path], grids: Sequence[Grid]) -> dict[Path, NDArray[np.float32]]:
    """The vectors of grids, scaled in one go."""
    vectors = from_grid(np.concatenate(grids))
    ends = accumulate(map(len, grids), initial=0)
    return {place: vectors[a:b] for place, (a, b) in zip(places, pairwise(ends), strict=True)}


def _record(asked: Sequence[_Wanted], recorder: _Recorder) -> None:
    """Embed what is missing, and write it to every file that lacks it."""
    from pytest_convergence.represent.embedding_service import Source, embed

    def remaining() -> list[str]:
        stores = _loaded(asked, recorder.name)
        missing = _missing(asked, stores)
        shared = _Found.within(stores, missing)
        if shared.vectors:
            _write(asked, shared, recorder)
        return [text for key, text in missing.items() if key not in shared.vectors]

    fresh, written = _Found(), monotonic()
    source = Source(recorder.custom, recorder.load)
    parts = embed(recorder.embedder, remaining, lock_dir=recorder.lock_dir, source=source)
    try:
        for part in parts:
            made = part.vectors
            fresh.add(map(text_hash, part.texts), made.grid, made.engine, made.revision)
            late = monotonic() - written > _WRITTEN_AFTER_SECONDS
            if late or len(fresh.vectors) >= _WRITTEN_AFTER_TEXTS:
                _write(asked, fresh, recorder)
                fresh, written = _Found(), monotonic()
            if recorder.progress:
                recorder.progress(part.done, part.total)
    finally:
        if fresh.vectors:
            _write(asked, fresh, recorder)


class _Found:
    """Vectors of one revision on their way into files, each with its engine, by text hash."""

    def __init__(self) -> None:
        self.vectors: dict[bytes, tuple[Grid, str]] = {}
        self.revision = ""

    def add(self, hashes: Iterable[bytes], grid: Grid, engine: str, revision: str) -> None:
        self.revision = revision
        for key, vector in zip(hashes, grid, strict=True):
            self.vectors[key] = (vector, engine)

    @classmethod
    def within(cls, stores: Stores, hashes: Iterable[bytes]) -> _Found:
        """Those that one of the files has already."""
        found = cls()
        for store in filter(None, stores.values()):
            for key in hashes:
                row = store.rows.get(key)
                if row is not None and key not in found.vectors:
                    engine = store.engines[int(store.engine[row])]
                    found.add([key], store.grid[row : row + 1], engine, store.revision)
        return found


def _write(asked: Iterable[_Wanted], found: _Found, recorder: _Recorder) -> None:
    """Add what was found to each file that lacks it; one process writes at a time."""
    from filelock import FileLock

    recorder.lock_dir.mkdir(parents=True, exist_ok=True)
    with FileLock(recorder.lock_dir / VECTORS_LOCK):
        for one in asked:
            store = _load(one.path, recorder.name)
            lacking = [key for key in one.missing(store) if key in found.vectors]
            if not lacking:
                continue
            grid = np.stack([found.vectors[key][0] for key in lacking])
            engines = [found.vectors[key][1] for key in lacking]
            if store is None:
                store = VectorStore.empty(recorder.name, found.revision, grid.shape[1])
            _check_same(store, one.path, found.revision, grid.shape[1])
            store.extended(lacking, grid, engines).write(one.path)


def _check_same(store: VectorStore, path: Path, revision: str, width: int) -> None:
    if (store.revision, store.width) != (revision, width):
        raise RepresentationError(
            f"{path} holds vectors of another revision of {store.embedder}",
            details=[
                f"recorded: revision {store.revision}, {store.width} dimensions",
                f"available now: revision {revision}, {width} dimensions",
                "vectors of different weights cannot be compared; nothing was overwritten",
            ],
            fix=[
                "install the recorded revision, or delete the vectors of this embedder and run "
                "again with --convergence-record=new_episodes"
            ],
        )


def _not_recorded(asked: Iterable[_Wanted], stores: Stores, name: str) -> RepresentationError:
    lacking = {one.path: one.missing(stores[one.path]) for one in asked}
    lacking = {path: texts for path, texts in lacking.items() if texts}
    count = sum(map(len, lacking.values()))
    path, texts = next(iter(lacking.items()))
    text = printable(next(iter(texts.values())), limit=80)
    return RepresentationError(
        f"{count} response{'s have' if count > 1 else ' has'} no recorded {name} vector: {path}",
        details=[
            *(f"{where}: {len(texts)} missing" for where, texts in list(lacking.items())[:5]),
            f"for example of the text: {text}",
        ],
        fix=[
            "record them: pytest … --convergence-record=new_episodes",
            "which needs an embedder: pip install 'pytest-convergence[sentence-transformers]', "
            "or [onnx]",
        ],
    )
