"""Names of embedders, and where weights are found."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_convergence.errors import RepresentationError
from pytest_convergence.represent.embedders import is_folder, load_embedder, stored_name
from pytest_convergence.represent.engines import onnx
from pytest_convergence.represent.weights import find_weights, weights_hash

OFFLINE = {"HF_HUB_OFFLINE": "1"}


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("all-MiniLM-L6-v2", "all-MiniLM-L6-v2"),
        ("sentence-transformers/all-MiniLM-L6-v2", "all-MiniLM-L6-v2"),
        ("onnx:all-MiniLM-L6-v2", "all-MiniLM-L6-v2"),
        ("onnx:/opt/models/all-MiniLM-L6-v2", "all-MiniLM-L6-v2"),
        ("/opt/models/all-MiniLM-L6-v2/", "all-MiniLM-L6-v2"),
        ("~/all-MiniLM-L6-v2", "all-MiniLM-L6-v2"),
        ("BAAI/bge-small-en-v1.5", "BAAI/bge-small-en-v1.5"),
        ("openai:text-embedding-3-small", "openai:text-embedding-3-small"),
        ("endpoint:nomic@http://127.0.0.1:8000/v1", "endpoint:nomic"),
        ("endpoint:org/nomic@https://host/v1", "endpoint:org/nomic"),
    ],
)
def test_vectors_are_kept_under_a_name_without_engine_folder_or_address(
    name: str, stored: str
) -> None:
    assert stored_name(name) == stored


@pytest.mark.parametrize("name", ["", "  ", "onnx:", "openai:"])
def test_an_embedder_without_a_name_is_an_error(name: str) -> None:
    with pytest.raises(RepresentationError, match="has no name"):
        stored_name(name)


@pytest.mark.parametrize(
    "name", ["endpoint:m", "endpoint:@http://host", "endpoint:m@ftp://x", "endpoint:m@http:///v1"]
)
def test_an_endpoint_without_model_or_address_is_an_error(name: str) -> None:
    with pytest.raises(RepresentationError, match="model and an address"):
        stored_name(name)


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("/a", True),
        ("./a", True),
        ("..", True),
        ("~/a", True),
        ("C:\\models\\a", True),
        ("a/b", False),
        ("a", False),
        (".hidden", False),
    ],
)
def test_a_folder_is_told_by_how_it_is_written(name: str, folder: bool) -> None:
    assert is_folder(name) is folder


def test_weights_in_one_file_have_that_files_hash(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "pytorch_model.bin").write_bytes(b"the same in another format")
    assert weights_hash(tmp_path) == f"sha256:{hashlib.sha256(b'weights').hexdigest()}"


def test_weights_in_several_files_have_a_hash_of_all_of_them(tmp_path: Path) -> None:
    (tmp_path / "2_Dense").mkdir()
    (tmp_path / "model.safetensors").write_bytes(b"one")
    (tmp_path / "2_Dense" / "model.safetensors").write_bytes(b"two")
    before = weights_hash(tmp_path)
    (tmp_path / "2_Dense" / "model.safetensors").write_bytes(b"three")
    assert weights_hash(tmp_path) != before


def test_a_local_folder_serves(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"weights")
    found = find_weights(str(tmp_path), {})
    assert found.folder == tmp_path
    assert found.revision == f"sha256:{hashlib.sha256(b'weights').hexdigest()}"


def test_a_folder_without_weights_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(RepresentationError, match="no weights") as caught:
        find_weights(str(tmp_path / "nothing"), {})
    assert "nothing" in str(caught.value)


def test_a_model_that_is_nowhere_is_an_error_with_the_command_to_fetch_it() -> None:
    with pytest.raises(RepresentationError, match="not on this machine") as caught:
        find_weights("no-such-model-anywhere", OFFLINE)
    assert "hf download sentence-transformers/no-such-model-anywhere" in str(caught.value)
    assert "HF_HUB_OFFLINE" in str(caught.value)


def test_without_sentence_transformers_the_error_says_what_to_install() -> None:
    script = """
import sys
sys.modules["sentence_transformers"] = None
from pytest_convergence.errors import RepresentationError
from pytest_convergence.represent.engines import sentence_transformers
try:
    sentence_transformers.load("all-MiniLM-L6-v2", "all-MiniLM-L6-v2", {})
except RepresentationError as error:
    print(error)
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "pip install 'pytest-convergence[sentence-transformers]'" in told.stdout


def test_without_onnxruntime_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(RepresentationError) as caught:
        load_embedder(f"onnx:{tmp_path}", environ={})
    assert "pip install 'pytest-convergence[onnx]'" in str(caught.value)


def test_an_onnx_model_that_was_not_exported_is_an_error_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(RepresentationError, match="no exported model") as caught:
        load_embedder("onnx:all-MiniLM-L6-v2", environ={"XDG_CACHE_HOME": str(tmp_path)})
    assert "convergence export-onnx all-MiniLM-L6-v2" in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_an_exported_model_that_was_changed_is_refused(tmp_path: Path) -> None:
    (tmp_path / onnx.MODEL).write_bytes(b"changed")
    (tmp_path / onnx.DESCRIPTION).write_text(
        '{"revision": "sha256:1", "max_tokens": 256, "model_sha256": "00"}'
    )
    with pytest.raises(RepresentationError, match="cannot be used") as caught:
        load_embedder(f"onnx:{tmp_path}", environ={})
    assert "not the file that was exported" in str(caught.value)


def test_reading_vectors_imports_neither_torch_nor_the_engines(tmp_path: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from pytest_convergence.represent.embedding import vectors_for
from pytest_convergence.represent.vectors import VectorStore, store_path, text_hash, to_grid
import numpy as np
cassette = Path({str(tmp_path)!r}) / "m.json"
store = VectorStore.empty("all-MiniLM-L6-v2", "1", 64)
grid = to_grid(np.ones((1, 64)))
store.extended([text_hash("a")], grid, ["e"]).write(store_path(cassette, "all-MiniLM-L6-v2"))
vectors_for({{cassette: ["a"]}}, "all-MiniLM-L6-v2", record=False, lock_dir=cassette.parent)
heavy = ["torch", "sentence_transformers", "onnxruntime", "tokenizers", "httpx", "tenacity",
         "huggingface_hub", "multiprocessing.connection", "filelock", "scipy"]
print([name for name in heavy if name in sys.modules])
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert told.stdout.strip() == "[]", told.stderr
