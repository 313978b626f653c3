"""Embeddings kept beside their cassette: read with numpy alone, the same bits everywhere.

A vector is kept as whole multiples of ``2**-14`` in 16 bits, moved by a step or two in a few
places so that its norm is exactly 1. Sums and inner products of such vectors are exact in float64,
whatever the order in which a machine adds them up.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from pytest_convergence.errors import RepresentationError
from pytest_convergence.files import disk_error, write_atomically

Grid: TypeAlias = NDArray[np.int16]

FORMAT_VERSION = 1
STEPS = 2**14  # to the unit: similarities move by 3e-5, and 16 bits hold every unit vector

# Random bits hardly compress (650 bytes a vector instead of 768) and take 10 times as long to read;
# version control compresses what it keeps in any case.
_SCALES = 4
_COMPRESSION = zipfile.ZIP_STORED
_EPOCH = (1980, 1, 1, 0, 0, 0)
_TEXT_HASH = hashlib.sha256().digest_size


@lru_cache(maxsize=2**14)  # a case's texts are asked for again by its group
def text_hash(text: str) -> bytes:
    """SHA-256 of the text in UTF-8; lone surrogates are encoded as they are."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


@lru_cache(maxsize=4096)  # asked for every case, and equal paths then share one hash
def store_path(cassette: Path, embedder: str) -> Path:
    """``openai%2Fgpt-4o.all-MiniLM-L6-v2.npz`` beside ``openai%2Fgpt-4o.json``."""
    stem = cassette.name.removesuffix(".json")
    return cassette.with_name(f"{stem}.{quote(embedder, safe='')}.npz")


def to_grid(vectors: NDArray[np.floating[Any]]) -> Grid:
    """Vectors of shape (n, d), scaled to norm 1 and rounded to multiples of ``1 / STEPS``.

    The norm of a rounded vector is exactly 1 in the hundreds of dimensions that embedders have; in
    fewer there may be no such vector near, and it then differs from 1 by less than 1e-4.

    Raises
    ------
    ValueError
        Where a vector is zero or not finite.
    """
    exact = np.asarray(vectors, dtype=np.float64)
    norms = np.sqrt(np.einsum("nd,nd->n", exact, exact))[:, None]
    if not np.isfinite(norms).all() or not (norms > 0).all():
        raise ValueError("a vector is zero or not finite")
    rounded, short = _rounded(exact / norms)
    for whole, missing in zip(rounded, short.tolist(), strict=True):
        _close(whole, missing)
    return rounded.astype(np.int16)


def from_grid(grid: Grid) -> NDArray[np.float32]:
    """The vectors that a grid stands for; exact in float32."""
    return np.multiply(grid, np.float32(1 / STEPS), dtype=np.float32)


def _rounded(vectors: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Vectors in whole steps, and by how much the sum of squares falls short of ``STEPS**2``.

    Of a few scales that bring the norm nearer, each vector's best: rescaling a little flips those
    components that were rounded by nearly half a step.
    """
    scale = np.full((len(vectors), 1), float(STEPS))
    nearest = np.zeros(vectors.shape, dtype=np.int64)
    least = np.full(len(vectors), STEPS**2)
    for _ in range(_SCALES):
        whole = np.rint(vectors * scale).astype(np.int64)
        short = STEPS**2 - np.einsum("nd,nd->n", whole, whole)
        better = np.abs(short) < np.abs(least)
        nearest[better], least[better] = whole[better], short[better]
        scale *= 1 + short[:, None] / (2 * STEPS**2)
    return nearest, least


def _close(whole: NDArray[np.int64], short: int) -> None:
    """Move components in place, by one step each, so that the sum of squares grows by ``short``.

    A pair of steps that does it is there where components are many; otherwise single steps come
    as near as they can.
    """
    width = len(whole)
    component = np.tile(np.arange(width), 2)
    step = np.repeat(np.array([1, -1]), width)
    for _ in range(8):
        gain = 2 * whole[component] * step + 1  # of (w + s)^2 over w^2: odd
        if short % 2 == 0:
            pair = _pair(gain, component, short)
            if short and pair is not None:
                whole[component[pair]] += step[pair]
                short = 0
        if not short:
            break
        best = int(np.argmin(np.abs(gain - short)))
        whole[component[best]] += step[best]
        short -= int(gain[best])


def _pair(
    gain: NDArray[np.int64], component: NDArray[np.int64], total: int
) -> NDArray[np.int64] | None:
    """Two steps of different components whose gains add up to ``total``."""
    order = np.argsort(gain, kind="stable")
    place = np.searchsorted(gain[order], total - gain)
    partner = order[np.minimum(place, len(gain) - 1)]
    fits = (gain + gain[partner] == total) & (component != component[partner])
    if not fits.any():
        return None
    first = int(np.argmax(fits))
    return np.array([first, partner[first]])


class VectorStore(Struct, frozen=True, eq=False):
    """The vectors of one file, by the hash of their text; immutable.

    Attributes
    ----------
    embedder, revision
        Whose vectors they are, and what pins its weights: one of each in a file.
    engines
        What computed them, in the order in which they came.
    hashes
        SHA-256 of the texts, sorted.
    grid
        The vectors in steps, shape (n, d), in the order of ``hashes``.
    engine
        For each vector the index of its engine, shape (n,).
    """

    embedder: str
    revision: str
    engines: tuple[str, ...]
    hashes: tuple[bytes, ...]
    grid: Grid
    engine: NDArray[np.uint8]
    rows: Mapping[bytes, int]

    @classmethod
    def of(
        cls,
        embedder: str,
        revision: str,
        engines: Sequence[str],
        hashes: Sequence[bytes],
        grid: Grid,
        engine: NDArray[np.uint8],
    ) -> VectorStore:
        """A store of vectors whose hashes are sorted and differ."""
        rows = {text: row for row, text in enumerate(hashes)}
        return cls(embedder, revision, tuple(engines), tuple(hashes), grid, engine, rows)

    @classmethod
    def empty(cls, embedder: str, revision: str, width: int) -> VectorStore:
        """A store of no vectors, to be extended."""
        nothing = np.zeros((0, width), dtype=np.int16)
        return cls.of(embedder, revision, (), (), nothing, np.zeros(0, dtype=np.uint8))

    @classmethod
    def load(cls, path: Path, *, embedder: str) -> VectorStore | None:
        """The vectors in ``path``, or None where there is no such file.

        Raises
        ------
        RepresentationError
            Where the file is damaged, is no such store, or holds another embedder's vectors. A
            broken file never counts as empty, and is never overwritten.
        """
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _broken(path, f"{type(error).__name__}: {error.strerror or error}") from error
        try:
            store = _parsed(data)
        # zipfile and numpy raise a dozen kinds of exception on damaged or hostile files.
        except Exception as error:
            raise _broken(path, f"{type(error).__name__}: {error}") from error
        if store.embedder != embedder:
            raise RepresentationError(
                f"{path} holds vectors of {store.embedder}, not of {embedder}",
                details=["vectors of different embedders cannot be compared"],
                fix=["give the file its own embedder's name, or delete it and record again"],
            )
        return store

    def __len__(self) -> int:
        return len(self.hashes)

    @property
    def width(self) -> int:
        """The dimension d of the vectors."""
        return int(self.grid.shape[1])

    def take(self, hashes: Sequence[bytes]) -> Grid:
        """The vectors of these texts, shape (len(hashes), d), with repeats; KeyError if missing."""
        if len(hashes) == 1:  # a slice is taken in a third of the time
            row = self.rows[hashes[0]]
            return self.grid[row : row + 1]
        return self.grid[[self.rows[text] for text in hashes]]

    def extended(self, hashes: Sequence[bytes], grid: Grid, engines: Sequence[str]) -> VectorStore:
        """This store and further vectors with their engines; what was there stays bit for bit."""
        names = tuple(dict.fromkeys([*self.engines, *engines]))
        fresh = {text: row for row, text in enumerate(hashes) if text not in self.rows}
        added = np.array([names.index(engines[row]) for row in fresh.values()], dtype=np.uint8)
        every = [*self.hashes, *fresh]
        order = sorted(range(len(every)), key=every.__getitem__)
        return VectorStore.of(
            self.embedder,
            self.revision,
            names,
            [every[row] for row in order],
            np.concatenate([self.grid, grid[list(fresh.values())]])[order],
            np.concatenate([self.engine, added])[order],
        )

    def only(self, hashes: Collection[bytes]) -> VectorStore:
        """The vectors of these texts alone, bit for bit as they are."""
        rows = [row for row, text in enumerate(self.hashes) if text in hashes]
        return VectorStore.of(
            self.embedder,
            self.revision,
            self.engines,
            [self.hashes[row] for row in rows],
            self.grid[rows],
            self.engine[rows],
        )

    def write(self, path: Path) -> None:
        """Replace ``path`` atomically; equal content gives equal bytes.

        Raises
        ------
        SamplingError
            Where the file cannot be written; it is then as it was.
        """
        try:
            write_atomically(path, self.serialised())
        except OSError as error:
            kept = "vectors written before are kept; these will be computed again"
            raise disk_error(error, doing="keep vectors", path=path, kept=kept) from error

    def serialised(self) -> bytes:
        """The bytes of the file: a ``.npz`` that ``numpy.load`` opens without pickle."""
        arrays = {
            "format": np.array(FORMAT_VERSION, "<i4"),
            "embedder": np.array(self.embedder, "<U"),
            "revision": np.array(self.revision, "<U"),
            "steps": np.array(STEPS, "<i4"),
            "engines": np.array(self.engines, "<U"),
            "engine": self.engine,
            "hashes": np.frombuffer(b"".join(self.hashes), np.uint8).reshape(-1, _TEXT_HASH),
            "vectors": self.grid.astype("<i2"),
        }
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", _COMPRESSION) as archive:
            for name, array in arrays.items():
                member = io.BytesIO()
                np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)
                info = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
                info.create_system = 3  # else the file would tell where it was written
                info.compress_type = _COMPRESSION
                archive.writestr(info, member.getvalue())
        return stream.getvalue()


def _parsed(data: bytes) -> VectorStore:
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        version, steps = int(arrays["format"]), int(arrays["steps"])
        if (version, steps) != (FORMAT_VERSION, STEPS):
            raise ValueError(f"its format is {version} with {steps} steps to the unit")
        hashes, grid, engine = arrays["hashes"], arrays["vectors"], arrays["engine"]
        engines = tuple(str(name) for name in np.atleast_1d(arrays["engines"]))
        embedder, revision = str(arrays["embedder"]), str(arrays["revision"])
    _expect(hashes, np.dtype(np.uint8), (len(grid), _TEXT_HASH), "hashes")
    _expect(grid, np.dtype(np.int16), (len(hashes), grid.shape[-1]), "vectors")
    _expect(engine, np.dtype(np.uint8), (len(grid),), "engine")
    keys: list[bytes] = np.ascontiguousarray(hashes).view(f"V{_TEXT_HASH}").ravel().tolist()
    if any(first >= second for first, second in pairwise(keys)):
        raise ValueError("its hashes are not sorted, or one is there twice")
    if len(engine) and int(engine.max()) >= len(engines):
        raise ValueError("a vector has an engine that is not named")
    return VectorStore.of(
        embedder, revision, engines, keys, grid.astype(np.int16, copy=False), engine
    )


def _expect(array: NDArray[Any], kind: np.dtype[Any], shape: tuple[int, ...], name: str) -> None:
    if array.dtype.newbyteorder("=") != kind or array.shape != shape:
        raise ValueError(
            f"{name} is {array.dtype} of shape {array.shape}, where {kind} of {shape} belongs"
        )


def _broken(path: Path, problem: str) -> RepresentationError:
    return RepresentationError(
        f"the vectors in {path} cannot be used: {problem}",
        details=["the file was left as it is; nothing was overwritten"],
        fix=[
            f"restore it: git checkout -- {path}",
            "or delete it and record it again with --convergence-record=new_episodes",
        ],
    )
