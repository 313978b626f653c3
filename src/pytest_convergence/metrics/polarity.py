"""Does a text measure tell a statement from its negation?

Most do not: a negation changes one word and a paraphrase nearly all. Run the suite on any kernel
before trusting it where yes and no matter.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class PolarityTriple:
    """A statement, its negation, and the statement in other words.

    ``kind`` is how it is negated: not, no, never, antonym, prefix, quantifier or implicit.
    ``question`` is one that the statement answers with yes and the negation with no.
    """

    id: str
    kind: str
    question: str
    statement: str
    negation: str
    paraphrase: str

    def replies(self) -> tuple[str, str, str]:
        """The three as answers to the question that open with their verdict."""
        return f"Yes. {self.statement}", f"No. {self.negation}", f"That's right. {self.paraphrase}"


@dataclass(frozen=True, eq=False)
class PolarityResult:
    """What a kernel makes of the triples.

    Attributes
    ----------
    to_paraphrase, to_negation
        Similarity of each statement to its paraphrase and to its negation, shape (T,).
    ids
        The triples' names.
    """

    ids: tuple[str, ...]
    to_paraphrase: NDArray[np.float64]
    to_negation: NDArray[np.float64]

    @property
    def told_apart(self) -> float:
        """Share of triples whose paraphrase is closer than the negation; ties count as misses."""
        return float(np.mean(self.to_paraphrase > self.to_negation + 1e-9))

    @property
    def gap(self) -> float:
        """Mean similarity to the paraphrase minus that to the negation; below 0 is upside down."""
        return float(np.mean(self.to_paraphrase - self.to_negation))


def polarity_triples() -> tuple[PolarityTriple, ...]:
    """The project's own triples, fifty short English ones."""
    text = files("pytest_convergence").joinpath("data", "polarity.jsonl").read_text("utf-8")
    return tuple(PolarityTriple(**json.loads(line)) for line in text.splitlines())


def polarity(
    features: Callable[[Sequence[str]], NDArray[Any]],
    triples: Sequence[PolarityTriple] | None = None,
    *,
    replies: bool = False,
) -> PolarityResult:
    """Run a feature function over the triples.

    Parameters
    ----------
    features
        From n texts to features of shape (n, d): an embedder's ``embed``,
        `represent.ngrams.word_ngrams`, or the one-hot labels of a labeller.
    triples
        The project's own by default.
    replies
        Put the verdict before each text, as models answering the question do.
    """
    chosen = polarity_triples() if triples is None else tuple(triples)
    texts = [
        text
        for triple in chosen
        for text in (
            triple.replies() if replies else (triple.statement, triple.negation, triple.paraphrase)
        )
    ]
    vectors = np.asarray(features(texts), dtype=np.float64)
    if vectors.ndim != 2 or len(vectors) != len(texts):
        raise ValueError(f"features have shape {vectors.shape} for {len(texts)} texts")
    statement, negation, paraphrase = vectors[0::3], vectors[1::3], vectors[2::3]
    return PolarityResult(
        tuple(triple.id for triple in chosen),
        np.einsum("td,td->t", statement, paraphrase),
        np.einsum("td,td->t", statement, negation),
    )
