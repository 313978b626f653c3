"""Embeddings by ONNX Runtime: the same weights without torch, quicker to load and to run."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from pytest_convergence.errors import RepresentationError
from pytest_convergence.represent.embedders import is_folder, stored_name
from pytest_convergence.represent.engines.texts import readable

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

MODEL, TOKENIZER, DESCRIPTION = "model.onnx", "tokenizer.json", "embedder.json"

_BATCH = 16


@dataclass(frozen=True)
class OnnxEmbedder:
    """A sentence-transformers model exported by :func:`.onnx_export.export_onnx`."""

    name: str
    revision: str
    engine: str
    session: InferenceSession = field(repr=False)
    tokenizer: Tokenizer = field(repr=False)
    prompt: str = ""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, shape (len(texts), d); texts are cut where the model cuts them."""
        encodings = self.tokenizer.encode_batch([self.prompt + readable(text) for text in texts])
        order = sorted(range(len(texts)), key=lambda index: -len(encodings[index].ids))
        vectors: list[Any] = [None] * len(texts)
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            rows = self._run([encodings[index].ids for index in batch])
            for index, row in zip(batch, rows, strict=True):
                vectors[index] = row
        return np.array(vectors, dtype=np.float32)

    def _run(self, tokens: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        length = max(map(len, tokens))
        ids = np.zeros((len(tokens), length), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, sequence in enumerate(tokens):
            ids[row, : len(sequence)] = sequence
            mask[row, : len(sequence)] = 1
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        names = [item.name for item in self.session.get_inputs()]
        output = self.session.run(None, {name: given[name] for name in names})
        return np.asarray(output[0], dtype=np.float32)


def exported_folder(name: str, environ: Mapping[str, str]) -> Path:
    """Where the exported model of this name is, or is put: the folder named, else the cache."""
    if is_folder(name):
        return Path(name).expanduser()
    cache = environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "pytest-convergence" / "onnx" / quote(stored_name(name), safe="")


def load(name: str, folder: Path) -> OnnxEmbedder:
    """The model exported into a folder.

    Raises
    ------
    RepresentationError
        Where a package is missing, nothing was exported there, or the files are not what was.
    """
    try:
        import onnxruntime
        from tokenizers import Tokenizer
    except ImportError as error:
        raise RepresentationError(
            f"the embedder onnx:{name} needs onnxruntime and tokenizers",
            details=[f"{type(error).__name__}: {error}"],
            fix=["pip install 'pytest-convergence[onnx]'"],
        ) from error
    description = _description(folder, name)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads()
    options.log_severity_level = 3
    try:
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        tokenizer.enable_truncation(int(description["max_tokens"]))
        tokenizer.no_padding()
        session = onnxruntime.InferenceSession(
            str(folder / MODEL), options, providers=["CPUExecutionProvider"]
        )
    # Both libraries raise bare exceptions of their own from compiled code.
    except Exception as error:
        raise _broken(folder, name, f"{type(error).__name__}: {error}") from error
    engine = f"onnxruntime {onnxruntime.__version__}"
    prompt = str(description.get("prompt", ""))
    return OnnxEmbedder(name, str(description["revision"]), engine, session, tokenizer, prompt)


def _description(folder: Path, name: str) -> dict[str, Any]:
    """What was exported; the model's hash is checked, since it vouches for the revision."""
    try:
        description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        model = (folder / MODEL).read_bytes()
        if hashlib.sha256(model).hexdigest() != description["model_sha256"]:
            raise ValueError(f"{MODEL} is not the file that was exported")
        if not {"revision", "max_tokens"} <= set(description):
            raise ValueError(f"{DESCRIPTION} is not complete")
    except FileNotFoundError as error:
        raise RepresentationError(
            f"no exported model of {name} in {folder}",
            details=["ONNX Runtime runs a model that was exported once, where torch is installed"],
            fix=[
                "pip install 'pytest-convergence[sentence-transformers]' and run: "
                f"convergence export-onnx {name}",
                f"or copy the folder that it wrote elsewhere to {folder}",
            ],
        ) from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise _broken(folder, name, f"{type(error).__name__}: {error}") from error
    return dict(description)


def _broken(folder: Path, name: str, problem: str) -> RepresentationError:
    return RepresentationError(
        f"the exported model of {name} in {folder} cannot be used",
        details=[problem],
        fix=[f"delete the folder and export it again: convergence export-onnx {name}"],
    )


def _threads() -> int:
    """As many as this process may use; ``OMP_NUM_THREADS`` is obeyed as torch obeys it."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
