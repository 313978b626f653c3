"""One process at a time holds an embedder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from pytest_convergence.errors import RepresentationError
from pytest_convergence.represent.features import Embedder
from pytest_convergence.represent.vectors import Grid, to_grid

Load: TypeAlias = Callable[[str], Embedder]

# Texts handed over at once: a few of an engine's batches, so that progress is seen.
_PIECE = 64


@dataclass(frozen=True, eq=False, slots=True)
class Embedded:
    """Vectors of some texts, shape (n, d), and how many of how many are done with them."""

    texts: Sequence[str]
    grid: Grid
    revision: str
    engine: str
    done: int
    total: int


def embed(
    name: str, remaining: Callable[[], Sequence[str]], *, lock_dir: Path, load: Load
) -> Iterator[Embedded]:
    """Vectors of texts, piece by piece, longest texts first.

    Parameters
    ----------
    name
        Given to ``load`` where this process is the one that holds the embedder.
    remaining
        Asked for the texts, each once, when it is this process's turn: another may have done some.
    lock_dir
        The folder of the lock that says whose turn it is; created where it is not there.

    Raises
    ------
    RepresentationError
        As ``load`` and the embedder raise it, or where it returns no usable vectors.
    """
    from filelock import FileLock

    lock_dir.mkdir(parents=True, exist_ok=True)
    with FileLock(lock_dir / "embedder.lock"):
        texts = sorted(remaining(), key=lambda text: (-len(text), text))
        for start in range(0, len(texts), _PIECE):
            piece = texts[start : start + _PIECE]
            embedder = _held(name, load)
            grid = checked(embedder, piece)
            done = start + len(piece)
            yield Embedded(piece, grid, embedder.revision, embedder.engine, done, len(texts))


_holding: tuple[str, Load, Embedder] | None = None


def _held(name: str, load: Load) -> Embedder:
    """The embedder, loaded when it is first needed and kept for the life of the process."""
    global _holding
    if _holding is None or _holding[:2] != (name, load):
        _holding = None  # two are never held at once
        _holding = (name, load, load(name))
    return _holding[2]


def checked(embedder: Embedder, texts: Sequence[str]) -> Grid:
    """The embedder's vectors, checked and rounded.

    Raises
    ------
    RepresentationError
        For the wrong number or shape of vectors, or one that is zero or not finite.
    """
    vectors = np.asarray(embedder.embed(texts))
    problem = f"its vectors have shape {vectors.shape}"
    if vectors.ndim == 2 and len(vectors) == len(texts):
        try:
            return to_grid(vectors)
        except ValueError as error:
            problem = str(error)
    raise RepresentationError(
        f"the embedder {embedder.name} returned no usable vectors for {len(texts)} texts",
        details=[problem],
        fix=["it must return one vector of finite numbers for each text; try another embedder"],
    )
