"""What must hold of any vectors and any damage to their file."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from pytest_convergence.errors import RepresentationError
from pytest_convergence.represent.vectors import (
    STEPS,
    VectorStore,
    from_grid,
    text_hash,
    to_grid,
)

COMPONENTS = st.floats(-1e3, 1e3, allow_nan=False, width=32)
VECTORS = arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 40)), elements=COMPONENTS)
TEXTS = st.lists(st.text(st.characters(), max_size=20), min_size=1, max_size=8, unique=True)


def stored(texts: list[str], seed: int) -> VectorStore:
    grid = to_grid(np.random.default_rng(seed).normal(size=(len(texts), 24)))
    empty = VectorStore.empty("e", "r", 24)
    return empty.extended([text_hash(text) for text in texts], grid, ["x"] * len(texts))


@given(VECTORS)
def test_rounded_vectors_are_near_what_they_round_and_have_norm_one(
    vectors: NDArray[np.float64],
) -> None:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    assume((norms > 1e-3).all())
    rounded = from_grid(to_grid(vectors)).astype(np.float64)
    assert np.abs(rounded - vectors / norms).max() <= 10 / STEPS
    assert np.abs(np.linalg.norm(rounded, axis=1) - 1).max() < 2e-4


@given(VECTORS)
def test_rounding_does_not_depend_on_the_other_vectors(vectors: NDArray[np.float64]) -> None:
    assume((np.linalg.norm(vectors, axis=1) > 1e-3).all())
    together = to_grid(vectors)
    alone = [to_grid(vectors[row : row + 1])[0] for row in range(len(vectors))]
    assert np.array_equal(together, np.stack(alone))


@given(TEXTS, st.data())
def test_a_changed_byte_is_found_or_changes_nothing(texts: list[str], data: st.DataObject) -> None:
    store = stored(texts, len(texts))
    good = store.serialised()
    place = data.draw(st.integers(0, len(good) - 1))
    value = data.draw(st.integers(0, 255))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "m.npz"
        path.write_bytes(good[:place] + bytes([value]) + good[place + 1 :])
        try:
            read = VectorStore.load(path, embedder="e")
        except RepresentationError:
            return
    assert read is not None
    assert read.hashes == store.hashes
    assert np.array_equal(read.grid, store.grid)
    assert (read.revision, read.engines) == (store.revision, store.engines)


@given(TEXTS, st.data())
def test_a_file_cut_anywhere_is_an_error(texts: list[str], data: st.DataObject) -> None:
    good = stored(texts, 1).serialised()
    end = data.draw(st.integers(0, len(good) - 1))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "m.npz"
        path.write_bytes(good[:end])
        try:
            VectorStore.load(path, embedder="e")
        except RepresentationError:
            return
    raise AssertionError(f"the first {end} of {len(good)} bytes were read as a whole file")


@given(TEXTS, TEXTS)
def test_extending_twice_is_extending_once(first: list[str], second: list[str]) -> None:
    before = stored(first, 3)
    hashes = [text_hash(text) for text in second]
    grid = to_grid(np.random.default_rng(4).normal(size=(len(second), 24)))
    once = before.extended(hashes, grid, ["x"] * len(second))
    twice = once.extended(hashes, grid[::-1].copy(), ["y"] * len(second))
    assert np.array_equal(once.grid, twice.grid)
    assert list(once.hashes) == sorted({*map(text_hash, first), *hashes})
    kept = [text_hash(text) for text in first]
    assert np.array_equal(once.take(kept), before.take(kept))
