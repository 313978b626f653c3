"""The store of vectors beside a cassette."""

from __future__ import annotations

import hashlib
import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pytest_convergence.errors import RepresentationError, SamplingError
from pytest_convergence.represent.vectors import (
    STEPS,
    VectorStore,
    from_grid,
    store_path,
    text_hash,
    to_grid,
)


def random_vectors(count: int, width: int = 384, seed: int = 0) -> NDArray[np.float64]:
    vectors = np.random.default_rng(seed).normal(size=(count, width))
    unit: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def store_of(texts: list[str], seed: int = 0, width: int = 384) -> VectorStore:
    grid = to_grid(random_vectors(len(texts), width, seed))
    hashes = [text_hash(text) for text in texts]
    empty = VectorStore.empty("all-MiniLM-L6-v2", "sha256:abc", width)
    return empty.extended(hashes, grid, ["engine 1"] * len(texts))


def test_a_store_lies_beside_its_cassette_under_model_and_embedder() -> None:
    cassette = Path("cassettes/test_facts/test_it/openai%2Fgpt-4o.2024.json")
    assert store_path(cassette, "BAAI/bge-small") == Path(
        "cassettes/test_facts/test_it/openai%2Fgpt-4o.2024.BAAI%2Fbge-small.npz"
    )


def test_what_is_written_is_read_bit_for_bit(tmp_path: Path) -> None:
    store = store_of(["b", "a", "c"])
    path = tmp_path / "deep" / "m.e.npz"
    store.write(path)
    read = VectorStore.load(path, embedder="all-MiniLM-L6-v2")
    assert read is not None
    assert read.hashes == store.hashes == tuple(sorted(map(text_hash, "abc")))
    assert read.grid.tobytes() == store.grid.tobytes()
    assert (read.revision, read.engines) == ("sha256:abc", ("engine 1",))
    assert read.take([text_hash("a")] * 2).shape == (2, 384)


def test_a_file_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert VectorStore.load(tmp_path / "m.npz", embedder="e") is None


def test_equal_content_gives_equal_bytes_whatever_the_order_of_recording() -> None:
    vectors = to_grid(random_vectors(4))
    hashes = [text_hash(text) for text in "abcd"]
    engines = ["x"] * 4
    empty = VectorStore.empty("e", "r", 384)
    at_once = empty.extended(hashes, vectors, engines)
    in_turn = empty.extended(hashes[2:], vectors[2:], engines[2:])
    in_turn = in_turn.extended(hashes[:2], vectors[:2], engines[:2])
    assert at_once.serialised() == in_turn.serialised()


def test_the_bytes_tell_neither_when_nor_where_they_were_written(tmp_path: Path) -> None:
    store_of(["a", "b"]).write(tmp_path / "m.npz")
    with zipfile.ZipFile(tmp_path / "m.npz") as archive:
        members = archive.infolist()
    assert len(members) == 8
    assert {member.date_time for member in members} == {(1980, 1, 1, 0, 0, 0)}
    assert {member.create_system for member in members} == {3}


def test_appending_keeps_the_first_vector_of_a_text() -> None:
    store = store_of(["a", "b"])
    other = to_grid(random_vectors(2, seed=9))
    longer = store.extended([text_hash("a"), text_hash("z")], other, ["engine 2"] * 2)
    assert np.array_equal(longer.take([text_hash("a")]), store.take([text_hash("a")]))
    assert np.array_equal(longer.take([text_hash("z")]), other[1:])
    assert len(longer) == 3


def test_each_vector_names_its_engine(tmp_path: Path) -> None:
    store = store_of(["a", "b"]).extended(
        [text_hash("z")], to_grid(random_vectors(1, seed=5)), ["engine 2"]
    )
    store.write(tmp_path / "m.npz")
    read = VectorStore.load(tmp_path / "m.npz", embedder="all-MiniLM-L6-v2")
    assert read is not None
    by_text = {text: read.engines[read.engine[read.rows[text_hash(text)]]] for text in "abz"}
    assert by_text == {"a": "engine 1", "b": "engine 1", "z": "engine 2"}


def test_numpy_alone_opens_the_file_without_pickle(tmp_path: Path) -> None:
    store_of(["a"]).write(tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz", allow_pickle=False) as arrays:
        vectors = arrays["vectors"] / arrays["steps"]
        assert np.linalg.norm(vectors[0]) == 1.0
        assert str(arrays["embedder"]) == "all-MiniLM-L6-v2"
        assert bytes(arrays["hashes"][0]) == hashlib.sha256(b"a").digest()


def test_vectors_of_hundreds_of_dimensions_have_norm_exactly_one() -> None:
    for width in (384, 768, 3072):
        grid = to_grid(random_vectors(100, width)).astype(np.int64)
        assert (np.sum(grid * grid, axis=1) == STEPS**2).all()


def test_rounding_moves_similarities_by_less_than_two_ten_thousandths() -> None:
    exact = random_vectors(200)
    rounded = from_grid(to_grid(exact)).astype(np.float64)
    error = np.abs(rounded @ rounded.T - exact @ exact.T)
    assert 1e-6 < error.max() < 2e-4


def test_sums_are_the_same_in_any_order() -> None:
    vectors = from_grid(to_grid(random_vectors(500))).astype(np.float64)
    shuffled = np.random.default_rng(3).permutation(vectors)
    assert np.array_equal(vectors.sum(axis=0), shuffled.sum(axis=0))
    assert np.array_equal(vectors[::-1].sum(axis=0), np.add.reduce(shuffled, axis=0))


def test_vectors_need_not_come_with_norm_one() -> None:
    exact = random_vectors(5)
    assert np.array_equal(to_grid(exact), to_grid(exact * 4.0))


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_a_vector_that_has_no_direction_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="zero or not finite"):
        to_grid(np.full((1, 8), value))


def test_lone_surrogates_and_nul_bytes_have_hashes_of_their_own() -> None:
    texts = ["\ud800", "\udfff", "?", "", "\x00", "\x00\x00", "\ufffd"]
    assert len({text_hash(text) for text in texts}) == len(texts)
    assert text_hash("a") == hashlib.sha256(b"a").digest()


def test_another_embedders_file_is_an_error_that_names_both(tmp_path: Path) -> None:
    store_of(["a"]).write(tmp_path / "m.npz")
    with pytest.raises(RepresentationError, match="all-MiniLM-L6-v2, not of bge") as caught:
        VectorStore.load(tmp_path / "m.npz", embedder="bge")
    assert "m.npz" in caught.value.headline


@pytest.mark.parametrize("damage", ["empty", "half", "text", "pickle", "npy", "flipped", "foreign"])
def test_a_damaged_file_is_an_error_and_is_left_as_it_is(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "m.npz"
    good = store_of(["a", "b"]).serialised()
    middle = good.index(b"NUMPY", len(good) // 2 - 900) + 400
    data = {
        "empty": b"",
        "half": good[: len(good) // 2],
        "text": b"<<<<<<< HEAD\n",
        "pickle": pickle.dumps({"vectors": [1]}),
        "npy": _npy(np.zeros(3)),
        "flipped": good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :],
        "foreign": _npz({"x": np.zeros(3)}),
    }[damage]
    path.write_bytes(data)
    with pytest.raises(RepresentationError, match=r"m\.npz cannot be used") as caught:
        VectorStore.load(path, embedder="all-MiniLM-L6-v2")
    assert "git checkout" in str(caught.value)
    assert path.read_bytes() == data


def test_a_file_with_objects_in_it_runs_no_code(tmp_path: Path) -> None:
    class Malicious:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (str(tmp_path / "executed"),))

    path = tmp_path / "m.npz"
    np.savez(path, vectors=np.array([Malicious()], dtype=object))
    with pytest.raises(RepresentationError):
        VectorStore.load(path, embedder="e")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("vectors", np.zeros((2, 384), dtype=np.float32)),
        ("vectors", np.zeros((3, 384), dtype=np.int16)),
        ("hashes", np.zeros((2, 32), dtype=np.uint8)),
        ("hashes", np.zeros((2, 20), dtype=np.uint8)),
        ("engine", np.full(2, 7, dtype=np.uint8)),
        ("engine", np.zeros(1, dtype=np.uint8)),
        ("format", np.array(2, dtype=np.int32)),
        ("steps", np.array(100, dtype=np.int32)),
    ],
)
def test_arrays_that_do_not_fit_together_are_an_error(
    tmp_path: Path, name: str, array: NDArray[np.generic]
) -> None:
    path = tmp_path / "m.npz"
    store_of(["a", "b"]).write(path)
    with np.load(path, allow_pickle=False) as arrays:
        content = dict(arrays)
    path.write_bytes(_npz(content | {name: array}))
    with pytest.raises(RepresentationError, match="cannot be used"):
        VectorStore.load(path, embedder="all-MiniLM-L6-v2")


def test_a_member_that_nobody_asks_for_is_left_alone(tmp_path: Path) -> None:
    store_of(["a", "b"]).write(tmp_path / "m.npz")
    with zipfile.ZipFile(tmp_path / "m.npz", "a") as archive:
        archive.writestr("README.txt", "vectors of a and b")
        archive.writestr("note.npy", b"broken")
    store = VectorStore.load(tmp_path / "m.npz", embedder="all-MiniLM-L6-v2")
    assert store is not None
    assert len(store) == 2


def test_a_negative_dimension_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    store_of(["a", "b"], width=8).write(path)
    path.write_bytes(path.read_bytes().replace(b"(2, 8)", b"(-1,8)"))
    with pytest.raises(RepresentationError, match="cannot be used"):
        VectorStore.load(path, embedder="all-MiniLM-L6-v2")


def test_a_folder_in_the_files_place_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RepresentationError, match="cannot be used"):
        VectorStore.load(tmp_path, embedder="e")


def test_a_file_that_cannot_be_written_is_an_error_and_stays(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("in the way")
    with pytest.raises(SamplingError, match="keep vectors"):
        store_of(["a"]).write(tmp_path / "folder" / "m.npz")
    assert (tmp_path / "folder").read_text() == "in the way"


def test_a_vector_takes_about_eight_hundred_bytes() -> None:
    store = store_of([str(number) for number in range(750)])
    assert len(store.serialised()) / 750 < 805


def _npz(arrays: dict[str, NDArray[np.generic]]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, array in arrays.items():
            archive.writestr(f"{name}.npy", _npy(array))
    return stream.getvalue()


def _npy(array: NDArray[np.generic]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()
