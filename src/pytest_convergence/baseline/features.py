"""A model's answers to one prompt as a baseline keeps them: counts of labels, or a mean vector."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pytest_convergence.metrics.summaries import Floats

_STEPS = 127
_EXAMPLE = 160


@dataclass(frozen=True, eq=False)
class Cell:
    """One model's usable answers to one prompt.

    ``labels`` counts each label (or matching key) where the metric has such, ``mean`` is the mean
    feature vector, shape (d,), where it has none; one of the two is None. ``square`` is the mean
    squared norm of the features. ``texts`` is a hash of all texts in the order of the samples.
    """

    count: int
    texts: str
    labels: Mapping[str, int] | None
    mean: Floats | None
    square: float
    examples: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON types; the mean vector is rounded to 1/127 of its largest component."""
        entry: dict[str, Any] = {"n": self.count, "texts": self.texts}
        if self.labels is not None:
            entry["labels"] = dict(sorted(self.labels.items()))
        elif self.mean is not None and self.count:
            entry["mean"] = encode(self.mean)
            entry["square"] = float(f"{self.square:.6g}")
        entry["examples"] = list(self.examples)
        return entry

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Cell:
        """The cell of :meth:`as_dict`; KeyError, TypeError or ValueError for anything else."""
        labels = entry.get("labels")
        mean = decode(entry["mean"]) if "mean" in entry else None
        count = whole_number(entry["n"])
        if labels is not None:
            labels = {str(name): whole_number(number) for name, number in labels.items()}
            if sum(labels.values()) != count:
                raise ValueError(f"{count} answers but {sum(labels.values())} labels")
        elif count and mean is None:
            raise ValueError("answers without labels or features")
        examples = tuple(str(text) for text in entry["examples"])
        return cls(
            count, str(entry["texts"]), labels, mean, float(entry.get("square", 1.0)), examples
        )


def whole_number(value: Any) -> int:
    """The value, which is a count; ValueError for anything else."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is not a count")
    return value


def encode(vector: Floats) -> str:
    """A vector as text: its width, its scale and one signed byte a component.

    ``s`` marks a sparse one: the positions (two bytes each, little-endian) before the bytes.
    """
    scale = float(np.abs(vector).max(initial=0.0)) / _STEPS
    # Six digits first, so that reading the text back gives the bytes' own scale.
    scale = float(f"{scale:.6g}")
    steps = np.clip(np.rint(vector / (scale or 1.0)), -_STEPS, _STEPS).astype(np.int8)
    places = np.flatnonzero(steps)
    if len(vector) <= 65536 and 3 * len(places) < len(vector):
        data = places.astype("<u2").tobytes() + steps[places].tobytes()
        kind = "s"
    else:
        data, kind = steps.tobytes(), "d"
    return f"{kind}:{len(vector)}:{scale:.6g}:{base64.b64encode(data).decode('ascii')}"


def decode(text: str) -> Floats:
    """The vector of :func:`encode`; ValueError for anything else."""
    kind, width, scale, data = text.split(":", 3)
    raw = base64.b64decode(data, validate=True)
    size = int(width)
    if not 0 < size < 1 << 20:
        raise ValueError(f"features of width {size}")
    vector = np.zeros(size)
    if kind == "d":
        vector[:] = np.frombuffer(raw, dtype=np.int8)
    elif kind == "s" and len(raw) % 3 == 0:
        count = len(raw) // 3
        places = np.frombuffer(raw[: 2 * count], dtype="<u2")
        if (places >= size).any():
            raise ValueError("a component beyond the width")
        vector[places] = np.frombuffer(raw[2 * count :], dtype=np.int8)
    else:
        raise ValueError(f"features of kind {kind!r}")
    return vector * float(scale)


def short_hash(*parts: str) -> str:
    """Sixteen hexadecimal digits; lone surrogates are allowed."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:16]


def examples_of(texts: Sequence[str]) -> tuple[str, ...]:
    """The first text and the first that differs from it, on one line each and cut."""
    chosen = list(dict.fromkeys(texts))[:2]
    return tuple(_shortened(" ".join(text.split())) for text in chosen)


def _shortened(text: str) -> str:
    return text if len(text) <= _EXAMPLE else f"{text[: _EXAMPLE - 1]}…"
