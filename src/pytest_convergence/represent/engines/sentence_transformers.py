"""Embeddings by sentence-transformers, which needs torch."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pytest_convergence.errors import RepresentationError
from pytest_convergence.represent.engines.texts import readable
from pytest_convergence.represent.weights import Weights, find_weights

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_BATCH = 16  # 8 to 16 texts are fastest on a processor; larger ones wait for memory


@dataclass(frozen=True)
class SentenceTransformersEmbedder:
    """A sentence-transformers model in this process."""

    name: str
    revision: str
    engine: str
    model: SentenceTransformer = field(repr=False)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, shape (len(texts), d); texts are cut where the model cuts them."""
        vectors = self.model.encode(
            [readable(text) for text in texts],
            batch_size=_BATCH,
            normalize_embeddings=True,
            show_progress_bar=False,
        )
        return np.asarray(vectors, dtype=np.float32)


def load(name: str, model: str, environ: Mapping[str, str]) -> SentenceTransformersEmbedder:
    """A model by hub name or folder; it runs where sentence-transformers puts it.

    Raises
    ------
    RepresentationError
        Where the package or the weights are not there, or do not load.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a test run may have made the libraries' own an error
        try:
            import sentence_transformers
        except ImportError as error:
            raise _not_installed(name, error) from error
        weights = find_weights(model, environ)
        with _no_progress_bar():
            loaded = _model(weights)
    engine = f"sentence-transformers {sentence_transformers.__version__}"
    return SentenceTransformersEmbedder(name, weights.revision, engine, loaded)


def _model(weights: Weights) -> SentenceTransformer:
    from sentence_transformers import SentenceTransformer

    try:
        return SentenceTransformer(str(weights.folder), local_files_only=True)
    # Each architecture raises what it likes on files that are not what it expects.
    except Exception as error:
        raise RepresentationError(
            f"{weights.folder} does not load as an embedder",
            details=[f"{type(error).__name__}: {error}"],
            fix=["give a folder in sentence-transformers' layout, or download it again"],
        ) from error


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _not_installed(name: str, error: ImportError) -> RepresentationError:
    return RepresentationError(
        f"recording vectors of {name} needs sentence-transformers",
        details=[f"{type(error).__name__}: {error}"],
        fix=[
            "pip install 'pytest-convergence[sentence-transformers]'",
            "or without torch: pip install 'pytest-convergence[onnx]' and an exported model",
            "or an endpoint: --convergence-embedder=openai:text-embedding-3-small",
        ],
    )
