"""A user's own similarity of two texts as a metric."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_convergence.errors import RepresentationError

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TextKernel:
    """Similarity of two texts, asked once for each pair; see :func:`kernel`."""

    function: Callable[[str, str], float]
    name: str
    partners: int = 16
    _known: dict[tuple[str, str], float] = field(
        default_factory=dict, repr=False, compare=False, hash=False
    )

    def __call__(self, first: str, second: str) -> float:
        """The similarity of two texts."""
        return self._similarity(first, second)

    def gram(self, one: Sequence[str], other: Sequence[str]) -> _Floats:
        """The similarity of every text of one list to every text of the other, (n, m)."""
        return np.array([[self._similarity(a, b) for b in other] for a in one]).reshape(
            len(one), len(other)
        )

    def _similarity(self, first: str, second: str) -> float:
        pair = (first, second) if first <= second else (second, first)
        if pair not in self._known:
            value = self.function(*pair)
            if not np.isreal(value) or not np.isfinite(value):
                raise RepresentationError(
                    f"the kernel {self.name} gave {value!r} for two texts",
                    fix=["return a finite number, 1 for the same text"],
                )
            self._known[pair] = float(value)
        return self._known[pair]


def kernel(
    function: Callable[[str, str], float], *, name: str | None = None, partners: int = 16
) -> TextKernel:
    """Use a similarity of two texts as a metric: ``metric=kernel(my_similarity)``.

    Parameters
    ----------
    function
        From two texts to a number, 1 where they are the same. It is asked once for each unordered
        pair, so it is taken to be symmetric.
    name
        Into messages and baselines; the function's own by default.
    partners
        For a group's floor each prompt meets about this many others, each model with its first
        response. As many as there are prompts take them all.

    Notes
    -----
    A function whose matrices are not positive semi-definite (an edit distance) is taken as it is;
    scores above 1 may then come out. A metric that can give features, one row a text, is quicker:
    give it as it is.
    """
    if partners < 1:
        raise RepresentationError(
            f"a kernel cannot have {partners} partners", fix=["give a whole number from 1"]
        )
    own = getattr(function, "__qualname__", type(function).__qualname__)
    return TextKernel(function, name or f"{getattr(function, '__module__', '?')}.{own}", partners)


def kernel_features(
    texts: Sequence[Sequence[Sequence[str]]], metric: TextKernel
) -> list[list[NDArray[Any]]]:
    """Features of one prompt's responses whose inner products are the kernel, ``[m][p]``.

    Features of different prompts have nothing to do with each other. Where the kernel is not
    positive semi-definite, its diagonal is raised until it is: between different responses nothing
    changes, and no estimate reads a response's similarity to itself.
    """
    blocks: list[list[NDArray[Any]]] = [[] for _ in texts]
    for p in range(len(texts[0]) if texts else 0):
        pooled = [text for row in texts for text in row[p]]
        values, vectors = np.linalg.eigh(metric.gram(pooled, pooled)) if pooled else _NOTHING
        lowest = float(values.min(initial=0.0))
        raised = values - lowest if lowest < -1e-9 else values.clip(0.0)
        features = vectors * np.sqrt(raised)
        start = 0
        for m, row in enumerate(texts):
            blocks[m].append(features[start : start + len(row[p])])
            start += len(row[p])
    return blocks


_NOTHING = (np.zeros(0), np.zeros((0, 0)))
