"""An embedder by its name: which engine, which weights, under which name its vectors are kept."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from pytest_convergence.errors import RepresentationError
from pytest_convergence.represent.features import Embedder

DEFAULT_EMBEDDER = "all-MiniLM-L6-v2"

_FOLDER = re.compile(r"(?:[/~\\]|\.{1,2}(?:[/\\]|$)|[A-Za-z]:[/\\])")


def stored_name(name: str) -> str:
    """The name under which an embedder's vectors are kept: without engine, folder or address.

    It depends on nothing but ``name``, so that a replay finds vectors on a machine that has none
    of these. Whether two sources of one name are the same weights, the recorded revision says.

    Raises
    ------
    RepresentationError
        For a name that is empty, or an endpoint without a model or an address.
    """
    kind, rest = _split(name)
    if kind == "endpoint":
        return f"endpoint:{_endpoint(name)[0]}"
    if kind == "openai":
        return f"openai:{rest}"
    if is_folder(rest):
        return Path(rest).expanduser().resolve().name
    return rest.removeprefix("sentence-transformers/")


def load_embedder(name: str, *, environ: Mapping[str, str] | None = None) -> Embedder:
    """Load an embedder; slow (seconds) and large (hundreds of MB) where it runs on this machine.

    Parameters
    ----------
    name
        ``all-MiniLM-L6-v2`` or any other sentence-transformers model by its name on the hub;
        a local folder (``./model``, ``/models/x``, ``~/x``); ``onnx:`` before either, for ONNX
        Runtime in place of torch; ``openai:text-embedding-3-small``; or
        ``endpoint:model@http://127.0.0.1:8000/v1`` for any server that speaks OpenAI's
        ``/v1/embeddings``.
    environ
        Where keys, ``HF_HUB_OFFLINE`` and the cache folder are looked up; ``os.environ`` if not
        given.

    Raises
    ------
    RepresentationError
        Where a package, the weights or a key is missing, saying what to install or set.
    """
    environ = os.environ if environ is None else environ
    kind, rest = _split(name)
    if kind in ("openai", "endpoint"):
        return _load_endpoint(name, environ)
    from pytest_convergence.represent.engines import onnx

    exported = onnx.exported_folder(rest, environ)
    # Same weights, so the same vectors: where torch is not there, an exported model serves.
    absent = find_spec("sentence_transformers") is None
    if kind == "onnx" or (absent and (exported / onnx.DESCRIPTION).is_file()):
        return onnx.load(stored_name(name), exported)
    from pytest_convergence.represent.engines import sentence_transformers

    return sentence_transformers.load(stored_name(name), rest, environ)


def is_folder(name: str) -> bool:
    """Whether a name is written as a folder: from the root, the home, or here."""
    return _FOLDER.match(name) is not None


def _split(name: str) -> tuple[str, str]:
    kind, separator, rest = name.strip().partition(":")
    if not separator or kind not in ("onnx", "openai", "endpoint"):
        kind, rest = "", name.strip()
    if not rest:
        raise RepresentationError(
            f"the embedder {name!r} has no name",
            fix=[f"name a model: --convergence-embedder={DEFAULT_EMBEDDER}"],
        )
    return kind, rest


def _endpoint(name: str) -> tuple[str, str]:
    model, _, address = _split(name)[1].partition("@")
    if not model or not re.match(r"https?://[^/]", address):
        raise RepresentationError(
            f"the embedder {name!r} needs a model and an address",
            fix=["write endpoint:model@http://127.0.0.1:8000/v1"],
        )
    return model, address.rstrip("/")


def _load_endpoint(name: str, environ: Mapping[str, str]) -> Embedder:
    from pytest_convergence.represent.engines.endpoint import EndpointEmbedder

    kind, rest = _split(name)
    if kind == "endpoint":
        model, address = _endpoint(name)
        # Never OPENAI_API_KEY: that one must not be sent to whatever address is given.
        return EndpointEmbedder(stored_name(name), model, address, environ.get("ENDPOINT_API_KEY"))
    key = environ.get("OPENAI_API_KEY")
    if not key:
        raise RepresentationError(
            f"the embedder {name} needs a key", fix=["set OPENAI_API_KEY, or use a local embedder"]
        )
    return EndpointEmbedder(stored_name(name), rest, "https://api.openai.com/v1", key)
