"""One process at a time holds an embedder, and embeds for the others.

The first process of a run that needs vectors takes an operating-system lock, loads the embedder
and listens; the rest hand it their texts. The lock dies with its process, and whoever then needs a
vector is next. Messages are JSON and arrays, never pickle.
"""

from __future__ import annotations

import atexit
import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
from filelock import FileLock, Timeout

from pytest_convergence.errors import RepresentationError
from pytest_convergence.represent.features import Embedder
from pytest_convergence.represent.vectors import Grid, text_hash, to_grid

Load: TypeAlias = Callable[[str], Embedder]

# Texts handed over at once: a few of an engine's batches, so that progress is seen.
_PIECE = 64
_LOCK, _ADDRESS = "embedder.lock", "embedder.address"
_LOOK_AGAIN = 0.05  # seconds between a holder's end, or its taking the lock, and noticing it


@dataclass(frozen=True, eq=False, slots=True)
class Vectors:
    """Rounded vectors, shape (n, d), and what made them."""

    grid: Grid
    revision: str
    engine: str


@dataclass(frozen=True, eq=False, slots=True)
class Part:
    """The vectors of some texts, and how many of how many are done with them."""

    texts: Sequence[str]
    vectors: Vectors
    done: int
    total: int


@dataclass(frozen=True, eq=False, slots=True)
class Source:
    """Where a process gets an embedder from, should it be the one to hold it."""

    custom: Mapping[str, Embedder]
    load: Load

    def embedder(self, name: str) -> Embedder:
        """A user's embedder of that name, or one loaded."""
        return self.custom[name] if name in self.custom else self.load(name)


def embed(
    name: str, remaining: Callable[[], Sequence[str]], *, lock_dir: Path, source: Source
) -> Iterator[Part]:
    """Vectors of texts, piece by piece, longest texts first.

    Parameters
    ----------
    name
        The embedder's name.
    remaining
        Asked for the texts, each once, when there is an embedder to ask: another process may have
        done some by then.
    lock_dir
        The folder where processes find each other; created where it is not there.
    source
        Used where this process is the one that holds the embedder.

    Raises
    ------
    RepresentationError
        As the source and the embedder raise it, or where it returns no usable vectors.
    """
    lock_dir.mkdir(parents=True, exist_ok=True)
    holder = _find(lock_dir, source)
    try:
        texts = sorted(remaining(), key=lambda text: (-len(text), text))
        done = 0
        while done < len(texts):
            piece = texts[done : done + _PIECE]
            try:
                vectors = holder.vectors(name, piece)
            except (EOFError, OSError):  # its process has ended
                holder.close()
                holder = _find(lock_dir, source)
                continue
            done += len(piece)
            yield Part(piece, vectors, done, len(texts))
    finally:
        holder.close()


class _Holder(Protocol):
    def vectors(self, name: str, texts: Sequence[str]) -> Vectors:
        """The vectors of some texts."""
        ...

    def close(self) -> None:
        """Called when a series of texts is done."""
        ...


def _find(lock_dir: Path, source: Source) -> _Holder:
    """The process that holds the embedder, be it this one; waits for one that is starting."""
    while True:
        ours = _Here.of(lock_dir, source) or _There.of(lock_dir)
        if ours is not None:
            return ours
        time.sleep(_LOOK_AGAIN)


class _Model:
    """The embedder of this process: one at a time, with what it said in this run."""

    def __init__(self) -> None:
        self.busy = threading.Lock()
        self._key: tuple[object, ...] = ()
        self._embedder: Embedder | None = None
        self._said: dict[bytes, Grid] = {}

    def vectors(self, name: str, texts: Sequence[str], source: Source) -> Vectors:
        with self.busy:
            embedder = self._loaded(name, source)
            hashes = [text_hash(text) for text in texts]
            new = {
                key: text for key, text in zip(hashes, texts, strict=True) if key not in self._said
            }
            if new:
                self._said.update(zip(new, _grid(embedder, list(new.values())), strict=True))
            grid = np.stack([self._said[key] for key in hashes])
            return Vectors(grid, embedder.revision, embedder.engine)

    def _loaded(self, name: str, source: Source) -> Embedder:
        key = (name, source.custom.get(name), source.load)
        same = len(self._key) == len(key) and all(
            mine is theirs or mine == theirs for mine, theirs in zip(self._key, key, strict=True)
        )
        if self._embedder is None or not same:
            self._embedder, self._key, self._said = None, (), {}  # two are never held at once
            self._embedder = source.embedder(name)
            self._key = key
        return self._embedder


_model = _Model()


class _Here:
    """This process holds the embedder: the lock is ours, and others are served."""

    def __init__(self, lock_dir: Path, lock: FileLock, source: Source) -> None:
        self._lock_dir = lock_dir
        self._lock = lock
        self._source = source
        self._key = secrets.token_bytes(32)
        self._listener = self._listening()

    @classmethod
    def of(cls, lock_dir: Path, source: Source) -> _Here | None:
        """The holder, where this process is it or can become it."""
        place = lock_dir.resolve()
        here = _holders.get(place)
        if here is None:
            lock = FileLock(place / _LOCK, thread_local=False)
            try:
                lock.acquire(blocking=False)
            except Timeout:
                return None
            here = _holders[place] = cls(place, lock, source)
        here._source = source
        return here

    def vectors(self, name: str, texts: Sequence[str]) -> Vectors:
        return _model.vectors(name, texts, self._source)

    def close(self) -> None:
        """Keep serving; where that is not possible, let the next process have the embedder."""
        if self._listener is None:
            self.end()

    def end(self) -> None:
        """Let go, after what is under way."""
        _holders.pop(self._lock_dir, None)
        with _model.busy, suppress(OSError):
            if self._listener is not None:
                self._listener.close()
        self._lock.release()

    def _listening(self) -> Listener | None:
        try:
            listener = Listener(backlog=64, authkey=self._key)
        except (OSError, RuntimeError):  # sockets may be forbidden, as pytest-socket does
            return None
        path = self._lock_dir / _ADDRESS
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as stream:
            json.dump({"address": listener.address, "key": self._key.hex()}, stream)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _accept(self, listener: Listener) -> None:
        while True:
            try:
                connection = listener.accept()
            except (AuthenticationError, EOFError, ConnectionError):
                continue
            except OSError:  # closed
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: Connection) -> None:
        with closing(connection), suppress(EOFError, OSError):
            while _holders.get(self._lock_dir) is self:
                asked = json.loads(connection.recv_bytes())
                try:
                    found = self.vectors(asked["name"], asked["texts"])
                except Exception as error:  # whatever it is, the one who asked must hear of it
                    connection.send_bytes(_ascii({"error": _told(error)}))
                    continue
                head = {"revision": found.revision, "engine": found.engine}
                connection.send_bytes(_ascii(head | {"shape": found.grid.shape}))
                connection.send_bytes(found.grid.tobytes())


_holders: dict[Path, _Here] = {}


def let_go() -> None:
    """End this process's part as a holder; the next process that needs vectors takes over."""
    for holder in list(_holders.values()):
        holder.end()


atexit.register(let_go)


class _There:
    """Another process holds the embedder."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @classmethod
    def of(cls, lock_dir: Path) -> _There | None:
        """A connection to the holder, or None where there is none that listens."""
        try:
            where = json.loads((lock_dir / _ADDRESS).read_bytes())
            return cls(Client(where["address"], authkey=bytes.fromhex(where["key"])))
        except (OSError, ValueError, EOFError, AuthenticationError, RuntimeError):
            return None

    def vectors(self, name: str, texts: Sequence[str]) -> Vectors:
        self._connection.send_bytes(_ascii({"name": name, "texts": list(texts)}))
        head = json.loads(self._connection.recv_bytes())
        if "error" in head:
            headline, details, fix = head["error"]
            raise RepresentationError(headline, details=details, fix=fix)
        data = self._connection.recv_bytes()
        grid = np.frombuffer(data, dtype=np.int16).reshape(head["shape"])
        return Vectors(grid, head["revision"], head["engine"])

    def close(self) -> None:
        self._connection.close()


def _ascii(message: Mapping[str, object]) -> bytes:
    return json.dumps(message).encode("ascii")


def _told(error: Exception) -> tuple[str, Sequence[str], Sequence[str]]:
    if isinstance(error, RepresentationError):
        return error.headline, error.details, error.fix
    return f"the embedder failed in process {os.getpid()}", [f"{type(error).__name__}: {error}"], []


def _grid(embedder: Embedder, texts: Sequence[str]) -> Grid:
    """The embedder's vectors, checked and rounded."""
    vectors = np.asarray(embedder.embed(texts))
    problem = f"its vectors have shape {vectors.shape}"
    if vectors.ndim == 2 and len(vectors) == len(texts):
        try:
            return to_grid(vectors)
        except ValueError as error:
            problem = str(error)
    raise RepresentationError(
        f"the embedder {embedder.name} returned no usable vectors for {len(texts)} texts",
        details=[problem],
        fix=["it must return one vector of finite numbers for each text; try another embedder"],
    )
