"""A sentence-transformers model written for ONNX Runtime; needs torch, once."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_convergence.errors import RepresentationError
from pytest_convergence.files import write_atomically
from pytest_convergence.represent.embedders import stored_name
from pytest_convergence.represent.engines import onnx, sentence_transformers
from pytest_convergence.represent.engines.sentence_transformers import SentenceTransformersEmbedder

if TYPE_CHECKING:
    import torch

_OPSET = 17
_TOLERANCE = 1e-5
_TRIED = (
    "A short text.",
    "A LONGER text, with CAPITALS, numbers (12.5 %) and accents: café, naïve, Zürich.",
    " ".join(f"sentence {number} of a text that is cut." for number in range(400)),
)


def export_onnx(
    name: str, folder: Path | None = None, *, environ: Mapping[str, str] | None = None
) -> Path:
    """Export a model, its pooling included, so that ``onnx:`` before its name works without torch.

    Parameters
    ----------
    name
        A model's name on the hub, or a local folder.
    folder
        Where the model, its tokenizer and ``embedder.json`` (name, weights' hash, longest input)
        are put; by default the user's cache, where ``onnx:name`` looks.
    environ
        Where the cache folder and ``HF_HUB_OFFLINE`` are looked up; ``os.environ`` if not given.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    RepresentationError
        Where a package or the weights are not there, the model cannot be exported, or what was
        exported does not give the model's own vectors.
    """
    environ = os.environ if environ is None else environ
    embedder = sentence_transformers.load(stored_name(name), name, environ)
    _require_onnx()
    expected = embedder.embed(_TRIED)
    target = folder or onnx.exported_folder(stored_name(name), environ)
    try:
        target.mkdir(parents=True, exist_ok=True)
        _write(embedder, target)
    except OSError as error:
        raise _not_exported(name, f"{type(error).__name__}: {error}") from error
    found = onnx.load(embedder.name, target).embed(_TRIED)
    # Half the squared distance of unit vectors is 1 - their cosine, without its cancellation.
    worst = float(np.max(np.sum((expected - found) ** 2, axis=1))) / 2
    if not worst < _TOLERANCE:
        (target / onnx.DESCRIPTION).unlink()
        raise _not_exported(name, f"its vectors differ from the model's own by {worst:.1g}")
    return target


def _require_onnx() -> None:
    if find_spec("onnx") is None or find_spec("onnxruntime") is None:
        raise RepresentationError(
            "exporting a model for ONNX Runtime needs onnx and onnxruntime",
            fix=["pip install 'pytest-convergence[onnx-export]'"],
        )


def _not_exported(name: str, problem: str) -> RepresentationError:
    return RepresentationError(
        f"the embedder {name} could not be exported for ONNX Runtime",
        details=[problem],
        fix=[f"record with sentence-transformers: --convergence-embedder={name}"],
    )


def _write(embedder: SentenceTransformersEmbedder, target: Path) -> None:
    """The model, its tokenizer, and last the description that vouches for both."""
    model = embedder.model
    unfinished = target / f".{onnx.MODEL}.tmp"
    try:
        _export(model, unfinished)
        digest = hashlib.sha256(unfinished.read_bytes()).hexdigest()
        unfinished.replace(target / onnx.MODEL)
    # The exporter raises errors of its own, of torch and of the model's code.
    except Exception as error:
        raise _not_exported(embedder.name, f"{type(error).__name__}: {error}") from error
    finally:
        unfinished.unlink(missing_ok=True)
    write_atomically(target / onnx.TOKENIZER, model.tokenizer.backend_tokenizer.to_str().encode())
    description = {
        "name": embedder.name,
        "revision": embedder.revision,
        "max_tokens": model.max_seq_length,
        "prompt": model.prompts.get(model.default_prompt_name or "", ""),
        "model_sha256": digest,
        "exported_by": embedder.engine,
    }
    text = json.dumps(description, indent=1) + "\n"
    write_atomically(target / onnx.DESCRIPTION, text.encode())


def _export(model: Any, path: Path) -> None:
    import torch

    class WholeModel(torch.nn.Module):
        """From token ids to unit vectors."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *values: torch.Tensor) -> torch.Tensor:
            output = self.model(dict(zip(names, values, strict=True)))["sentence_embedding"]
            return torch.nn.functional.normalize(output, p=2, dim=1)

    example = model.tokenizer(
        ["one text", "another, longer text"], padding=True, return_tensors="pt"
    )
    names = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in example]
    model[0].auto_model.set_attn_implementation("eager")  # the fused kernels have no ONNX operator
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            WholeModel().eval().cpu(),
            tuple(example[name] for name in names),
            str(path),
            input_names=names,
            output_names=["sentence_embedding"],
            dynamic_axes={name: {0: "batch", 1: "tokens"} for name in names}
            | {"sentence_embedding": {0: "batch"}},
            opset_version=_OPSET,
            dynamo=False,
        )
