"""A sentence-transformers model written for ONNX Runtime; needs torch, once."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_convergence.files import write_atomically
from pytest_convergence.represent.embedders import stored_name
from pytest_convergence.represent.engines import onnx, sentence_transformers

if TYPE_CHECKING:
    import torch

_OPSET = 17


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
        Where sentence-transformers or the weights are not there.
    """
    environ = os.environ if environ is None else environ
    target = folder or onnx.exported_folder(stored_name(name), environ)
    embedder = sentence_transformers.load(stored_name(name), name, environ)
    target.mkdir(parents=True, exist_ok=True)
    unfinished = target / f".{onnx.MODEL}.tmp"
    _export(embedder.model, unfinished)
    tokenizer = embedder.model.tokenizer.backend_tokenizer.to_str()
    write_atomically(target / onnx.TOKENIZER, tokenizer.encode())
    description = {
        "name": embedder.name,
        "revision": embedder.revision,
        "max_tokens": embedder.model.max_seq_length,
        "model_sha256": hashlib.sha256(unfinished.read_bytes()).hexdigest(),
        "exported_by": embedder.engine,
    }
    unfinished.replace(target / onnx.MODEL)
    text = json.dumps(description, indent=1) + "\n"
    write_atomically(target / onnx.DESCRIPTION, text.encode())
    return target


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
