"""Texts become recorded vectors, each text once."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from numpy.typing import NDArray

from pytest_convergence.errors import RepresentationError
from pytest_convergence.represent import embedding_service
from pytest_convergence.represent.embedding import vectors_for
from pytest_convergence.represent.features import Embedder
from pytest_convergence.represent.vectors import VectorStore, store_path, text_hash


@pytest.fixture(autouse=True)
def _let_go() -> Iterator[None]:
    yield
    embedding_service.let_go()


class HashEmbedder:
    """A real embedder of the simplest kind: a direction drawn from the text's hash."""

    def __init__(self, name: str = "hash", revision: str = "1", width: int = 64) -> None:
        self.name = name
        self.revision = revision
        self.engine = "sha256"
        self.width = width
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked += texts
        return np.array([self.direction(text) for text in texts], dtype=np.float32)

    def direction(self, text: str) -> NDArray[np.float64]:
        seed = int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8])
        vector = np.random.default_rng(seed).normal(size=self.width)
        unit: NDArray[np.float64] = vector / np.linalg.norm(vector)
        return unit


def ask(
    folder: Path,
    texts: Mapping[str, Sequence[str]],
    embedder: Embedder,
    *,
    record: bool = True,
    progress: list[tuple[int, int]] | None = None,
) -> dict[str, NDArray[np.float32]]:
    found = vectors_for(
        {folder / f"{name}.json": list(asked) for name, asked in texts.items()},
        embedder.name,
        record=record,
        lock_dir=folder / "locks",
        custom={embedder.name: embedder},
        progress=None if progress is None else lambda done, total: progress.append((done, total)),
    )
    return {path.stem: vectors for path, vectors in found.items()}


def test_vectors_come_in_the_order_of_the_texts_with_repeats(tmp_path: Path) -> None:
    embedder = HashEmbedder()
    vectors = ask(tmp_path, {"m": ["b", "a", "b"]}, embedder)["m"]
    assert vectors.shape == (3, 64)
    assert vectors.dtype == np.float32
    assert np.array_equal(vectors[0], vectors[2])
    for vector, text in zip(vectors, "bab", strict=True):
        assert vector @ embedder.direction(text) > 0.99999


def test_a_replay_gives_the_bits_of_the_recording_and_asks_nothing(tmp_path: Path) -> None:
    live = ask(tmp_path, {"m": ["a", "b"]}, HashEmbedder())["m"]
    fresh = HashEmbedder()
    replayed = ask(tmp_path, {"m": ["a", "b"]}, fresh, record=False)["m"]
    assert live.tobytes() == replayed.tobytes()
    assert fresh.asked == []


def test_a_text_is_embedded_once_whatever_the_number_of_cassettes_it_is_in(tmp_path: Path) -> None:
    embedder = HashEmbedder()
    ask(tmp_path, {"m": ["a", "a", "b"], "n": ["b", "c"]}, embedder)
    assert sorted(embedder.asked) == ["a", "b", "c"]
    ask(tmp_path, {"m": ["a", "c"], "n": ["a", "d"]}, embedder)
    assert sorted(embedder.asked) == ["a", "b", "c", "d"]


def test_new_texts_leave_recorded_vectors_as_they_are(tmp_path: Path) -> None:
    before = ask(tmp_path, {"m": ["a"]}, HashEmbedder())["m"]

    class Changed(HashEmbedder):
        def direction(self, text: str) -> NDArray[np.float64]:
            return -super().direction(text)

    after = ask(tmp_path, {"m": ["a", "b"]}, Changed())["m"]
    assert before[0].tobytes() == after[0].tobytes()
    assert after[1] @ HashEmbedder().direction("b") < -0.99999


def test_nothing_new_writes_nothing(tmp_path: Path) -> None:
    ask(tmp_path, {"m": ["a"]}, HashEmbedder())
    file = store_path(tmp_path / "m.json", "hash")
    before = file.stat().st_mtime_ns, file.stat().st_ino
    ask(tmp_path, {"m": ["a"]}, HashEmbedder())
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == before


def test_a_missing_vector_in_a_replay_is_an_error_that_says_file_text_and_command(
    tmp_path: Path,
) -> None:
    ask(tmp_path, {"m": ["known"]}, HashEmbedder())
    with pytest.raises(RepresentationError) as caught:
        ask(tmp_path, {"m": ["known", "new\x1b[2J"]}, HashEmbedder(), record=False)
    message = str(caught.value)
    assert caught.value.headline.startswith("1 response has no recorded hash vector")
    assert "m.hash.npz" in caught.value.headline
    assert "new\\x1b[2J" in message
    assert "pytest … --convergence-record=new_episodes" in message


def test_a_replay_never_loads_an_embedder(tmp_path: Path) -> None:
    def load(name: str) -> Embedder:
        raise AssertionError(f"{name} was loaded")

    with pytest.raises(RepresentationError, match="no recorded all-MiniLM-L6-v2 vector"):
        vectors_for(
            {tmp_path / "m.json": ["a"]},
            "all-MiniLM-L6-v2",
            record=False,
            lock_dir=tmp_path,
            load=load,
        )
    assert list(tmp_path.iterdir()) == []


def test_another_revision_is_refused_and_overwrites_nothing(tmp_path: Path) -> None:
    ask(tmp_path, {"m": ["a"]}, HashEmbedder(revision="1"))
    file = store_path(tmp_path / "m.json", "hash")
    before = file.read_bytes()
    with pytest.raises(RepresentationError, match="another revision of hash") as caught:
        ask(tmp_path, {"m": ["a", "b"]}, HashEmbedder(revision="2"))
    assert "revision 1" in str(caught.value)
    assert "revision 2" in str(caught.value)
    assert file.read_bytes() == before


def test_files_of_two_revisions_are_never_compared(tmp_path: Path) -> None:
    ask(tmp_path, {"m": ["a"]}, HashEmbedder(revision="1"))
    ask(tmp_path, {"n": ["a"]}, HashEmbedder(revision="2"))
    for record in (True, False):
        with pytest.raises(RepresentationError, match="two revisions of hash") as caught:
            ask(tmp_path, {"m": ["a"], "n": ["a"]}, HashEmbedder(), record=record)
        assert "m.hash.npz: revision 1" in str(caught.value)


def test_files_of_two_dimensions_are_never_compared(tmp_path: Path) -> None:
    ask(tmp_path, {"m": ["a"]}, HashEmbedder(width=64))
    ask(tmp_path, {"n": ["a"]}, HashEmbedder(width=32))
    with pytest.raises(RepresentationError, match="32 dimensions"):
        ask(tmp_path, {"m": ["a"], "n": ["a"]}, HashEmbedder(), record=False)


def test_another_engine_of_the_same_weights_adds_to_the_file(tmp_path: Path) -> None:
    ask(tmp_path, {"m": ["a"]}, HashEmbedder())
    other = HashEmbedder()
    other.engine = "sha256, elsewhere"
    ask(tmp_path, {"m": ["a", "b"]}, other)
    store = VectorStore.load(store_path(tmp_path / "m.json", "hash"), embedder="hash")
    assert store is not None
    assert store.engines == ("sha256", "sha256, elsewhere")
    assert store.engine[store.rows[text_hash("b")]] == 1


def test_hostile_texts_are_embedded_and_replayed(tmp_path: Path) -> None:
    texts = ["\ud800 alone", "\x00", "\x1b]0;title\x07", "x" * 2_000_000, "\u202e"]
    live = ask(tmp_path, {"m": texts}, HashEmbedder())["m"]
    replayed = ask(tmp_path, {"m": texts}, HashEmbedder(), record=False)["m"]
    assert live.tobytes() == replayed.tobytes()
    assert len({vector.tobytes() for vector in live}) == len(texts)


def test_long_texts_go_first_so_that_batches_are_of_one_length(tmp_path: Path) -> None:
    embedder = HashEmbedder()
    ask(tmp_path, {"m": ["a", "ccc", "bb", "dd"]}, embedder)
    assert embedder.asked == ["ccc", "bb", "dd", "a"]


def test_progress_counts_to_the_number_of_texts(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    ask(tmp_path, {"m": [str(number) for number in range(150)]}, HashEmbedder(), progress=seen)
    assert seen == [(64, 150), (128, 150), (150, 150)]


def test_what_was_embedded_before_a_failure_is_kept(tmp_path: Path) -> None:
    class Failing(HashEmbedder):
        def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
            if len(self.asked) >= 576:
                raise RepresentationError("the server went away")
            return super().embed(texts)

    texts = [f"{number:04}" for number in range(700)]
    with pytest.raises(RepresentationError, match="went away"):
        ask(tmp_path, {"m": texts}, Failing())
    second = HashEmbedder()
    ask(tmp_path, {"m": texts}, second)
    assert len(second.asked) == 700 - 576


@pytest.mark.parametrize(
    "vectors",
    [np.zeros((1, 4)), np.full((1, 4), np.nan), np.ones((2, 4)), np.ones(4), np.ones((1, 2, 2))],
)
def test_unusable_vectors_are_an_error_and_never_recorded(
    tmp_path: Path, vectors: NDArray[np.float64]
) -> None:
    class Broken(HashEmbedder):
        def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
            return vectors.astype(np.float32)

    with pytest.raises(RepresentationError, match="returned no usable vectors"):
        ask(tmp_path, {"m": ["a"]}, Broken())
    assert not store_path(tmp_path / "m.json", "hash").exists()


def test_a_file_changed_by_another_process_is_read_again(tmp_path: Path) -> None:
    ask(tmp_path, {"m": ["a"]}, HashEmbedder())
    file = store_path(tmp_path / "m.json", "hash")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(RepresentationError, match="cannot be used"):
        ask(tmp_path, {"m": ["a"]}, HashEmbedder(), record=False)
    file.unlink()
    with pytest.raises(RepresentationError, match="no recorded"):
        ask(tmp_path, {"m": ["a"]}, HashEmbedder(), record=False)


def test_no_texts_have_no_vectors_of_the_common_width(tmp_path: Path) -> None:
    vectors = ask(tmp_path, {"m": ["a"], "n": []}, HashEmbedder())
    assert vectors["n"].shape == (0, 64)


def test_without_sockets_texts_are_embedded_and_the_lock_is_free_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*args: object, **kwargs: object) -> None:
        raise RuntimeError("sockets are blocked")

    monkeypatch.setattr(embedding_service, "Listener", forbidden)
    assert ask(tmp_path, {"m": ["a"]}, HashEmbedder())["m"].shape == (1, 64)
    with FileLock(tmp_path / "locks" / "embedder.lock", timeout=0):
        assert not (tmp_path / "locks" / "embedder.address").exists()


def test_the_holder_tells_another_process_what_went_wrong(tmp_path: Path) -> None:
    class Refusing(HashEmbedder):
        def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
            if "bad" in texts:
                raise RepresentationError("no vector for bad", fix=["say something else"])
            if "worse" in texts:
                raise KeyError("worse")
            return super().embed(texts)

    ask(tmp_path, {"m": ["a"]}, Refusing())
    script = f"""
from pathlib import Path
from pytest_convergence.represent.embedding import vectors_for
for text in ("bad", "worse", "good"):
    try:
        found = vectors_for({{Path({str(tmp_path)!r}) / "n.json": [text]}}, "hash", record=True,
                            lock_dir=Path({str(tmp_path)!r}) / "locks", load=None)
        print([vectors.shape for vectors in found.values()])
    except Exception as error:
        print(type(error).__name__, str(error).replace(chr(10), " "))
"""
    command = [sys.executable, "-c", script]
    lines = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    assert lines[0].startswith("RepresentationError no vector for bad")
    assert "say something else" in lines[0]
    assert lines[1].startswith("RepresentationError the embedder failed in process")
    assert "KeyError: 'worse'" in lines[1]
    assert lines[2] == "[(1, 64)]"


def test_a_stranger_without_the_key_is_turned_away(tmp_path: Path) -> None:
    ask(tmp_path, {"m": ["a"]}, HashEmbedder())
    where = json.loads((tmp_path / "locks" / "embedder.address").read_text())
    with pytest.raises((AuthenticationError, EOFError, ConnectionError)):
        Client(where["address"], authkey=b"guessed").send_bytes(b"{}")
    assert ask(tmp_path, {"n": ["b"]}, HashEmbedder())["n"].shape == (1, 64)
