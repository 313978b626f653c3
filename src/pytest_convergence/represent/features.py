"""The one shape in which every representation hands over its features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pytest_convergence.models.response import Missing, Response


@dataclass(frozen=True, slots=True)
class Label:
    """What a labeller says of one response: a label, or missing, because.

    ``correct`` is whether the answer is right where the case knows the answer, else None.
    ``why`` is a short reason for people. ``votes`` are the labels that several judges gave, by
    name, None where one failed.
    """

    value: str | None
    missing: Missing | None = None
    correct: bool | None = None
    why: str = ""
    votes: tuple[tuple[str, str | None], ...] = ()


class Labeller(Protocol):
    """Response to label. ``data`` holds the case's parameters (an expected answer, the options)."""

    def __call__(self, response: Response, data: Mapping[str, Any]) -> Label | str | None:
        """A label; a plain string stands for one, None for a response that cannot be labelled."""
        ...


class Embedder(Protocol):
    """Texts to unit vectors. An embedder is a model: what it says is recorded like the rest."""

    @property
    def name(self) -> str:
        """For example ``all-MiniLM-L6-v2``; names the file beside the cassette."""
        ...

    @property
    def revision(self) -> str:
        """What pins the weights: a commit, a version, or a hash."""
        ...

    @property
    def engine(self) -> str:
        """What computed it, with its version: ``sentence-transformers 6.2.0``."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, shape (len(texts), d)."""
        ...
