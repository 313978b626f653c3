"""From the responses of a panel to blocks of features, whatever the kernel."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from pytest_convergence.errors import RepresentationError
from pytest_convergence.models.response import Missing, Response
from pytest_convergence.represent.features import Label, Labeller
from pytest_convergence.represent.kernels import TextKernel, kernel_features

Block: TypeAlias = NDArray[np.floating[Any]]
Vectors: TypeAlias = Callable[[Mapping[Path, Sequence[str]]], Mapping[Path, NDArray[np.float32]]]

TEXT_METRICS = ("embedding", "exact", "normalized", "char-ngrams", "word-ngrams")
# Measures of two models' answer distributions or pooled words: similarities without a score.
PAIR_METRICS = ("hybrid", "js", "total-variation")
# Those of them that are functions of label counts.
COUNT_METRICS = ("js", "total-variation")
METRICS = (*TEXT_METRICS, "label", *PAIR_METRICS)

# Above this many labels the ones seen once are left out of the one-hot columns: they match nothing.
_DENSE_LABELS = 512


class SampledCase(Struct, frozen=True):
    """The responses of a panel to one prompt, and where their vectors are kept, by model."""

    id: str
    nodeid: str
    prompt_id: str
    prompt: str
    family: str
    data: Mapping[str, Any]
    responses: Mapping[str, Sequence[Response]]
    stores: Mapping[str, Path]


class Represented(Struct, frozen=True):
    """Features of M models on P prompts.

    ``blocks[m][p]`` has shape (usable responses, d). ``missing[m][p]`` has for each response None
    or why it is not in the block. ``labels[m][p]`` is empty where no labeller was asked.
    ``identical`` says whether all usable responses of every prompt are represented alike.
    ``texts[m][p]`` are the usable responses themselves where the metric reads texts, else empty.
    """

    blocks: Sequence[Sequence[Block]]
    missing: Sequence[Sequence[Sequence[Missing | None]]]
    labels: Sequence[Sequence[Sequence[Label]]]
    identical: bool
    texts: Sequence[Sequence[Sequence[str]]] = ()

    @property
    def counts(self) -> NDArray[np.int64]:
        """Usable responses, shape (M, P)."""
        return np.array([[len(block) for block in row] for row in self.blocks], dtype=np.int64)


def represent(
    cases: Sequence[SampledCase],
    models: Sequence[str],
    *,
    metric: str | Callable[..., Any],
    labeller: Labeller | None,
    vectors: Vectors,
) -> Represented:
    """Every response of every case as features of the metric.

    Parameters
    ----------
    metric
        One of ``METRICS``, a :func:`~pytest_convergence.represent.kernels.kernel`, or a callable
        from texts to features, shape (n, d).
    labeller
        Asked for labels where given, whatever the metric; required by ``"label"``.
    vectors
        Texts by store to unit vectors, asked once for all cases.

    Raises
    ------
    RepresentationError
        For an unknown metric, a metric without what it needs, or features of the wrong shape.
    """
    check_metric(metric, labeller)
    labels = label_responses(cases, models, labeller)
    by_distribution = metric in COUNT_METRICS
    if labeller is not None and (metric == "label" or by_distribution):
        unlabelled = [[[label.missing for label in cell] for cell in row] for row in labels]
        values = [
            [[label.value for label in cell if label.missing is None] for cell in row]
            for row in labels
        ]
        return _one_hot(values, unlabelled, labels)
    unusable = _wordless if metric == "hybrid" else _missing
    cells = [[_cell(case.responses[model], unusable) for case in cases] for model in models]
    missing = [[gaps for gaps, _ in row] for row in cells]
    texts = [[usable for _, usable in row] for row in cells]
    del cells  # of a large study they take what its sums need
    if metric in ("exact", "normalized") or by_distribution:
        return _one_hot(_match_keys(texts, str(metric)), missing, labels)
    if metric in ("embedding", "hybrid"):
        blocks = _embedded(cases, models, texts, vectors)
    elif isinstance(metric, TextKernel):
        blocks = kernel_features(texts, metric)
    else:
        blocks = _text_features(texts, _feature_function(metric))
    return Represented(blocks, missing, labels, _all_identical(texts), texts)


def check_metric(metric: str | Callable[..., Any], labeller: Labeller | None) -> None:
    """Refuse a metric that nobody knows or that lacks what it needs.

    Raises
    ------
    RepresentationError
        For an unknown metric, or ``"label"`` without a labeller.
    """
    if metric == "label" and labeller is None:
        raise RepresentationError(
            'metric="label" needs a labeller', fix=["give the marker label=…"]
        )
    if not callable(metric) and metric not in METRICS:
        close = difflib.get_close_matches(str(metric), METRICS, n=1)
        raise RepresentationError(
            f"unknown metric {metric!r}",
            details=[f"known: {', '.join(METRICS)}"],
            fix=[
                *(f"did you mean {name!r}?" for name in close),
                "name one of them, or give kernel(function) for a similarity of two texts",
                "or a callable from texts to features of shape (n, d)",
            ],
        )


def _cell(
    responses: Sequence[Response], unusable: Callable[[Response], Missing | None]
) -> tuple[Sequence[Missing | None], list[str]]:
    """Why responses cannot be used, and the texts of those that can."""
    gaps = tuple(map(unusable, responses))
    if any(gaps):
        pairs = zip(responses, gaps, strict=True)
        return gaps, [response.text for response, gap in pairs if gap is None]
    # Nearly always nothing is missing: one tuple for all of them.
    return _no_gaps(len(gaps)), [response.text for response in responses]


@lru_cache(maxsize=64)
def _no_gaps(count: int) -> tuple[None, ...]:
    return (None,) * count


_missing = attrgetter("missing")


def _wordless(response: Response) -> Missing | None:
    """Why a response has no word distribution, or None."""
    from pytest_convergence.metrics.distributions import words

    if response.missing is None and not words([response.text]):
        return Missing("empty", "the response has no words to count")
    return response.missing


def label_responses(
    cases: Sequence[SampledCase], models: Sequence[str], labeller: Labeller | None
) -> list[list[list[Label]]]:
    """The label of every response, ``[m][p][i]``; empty cells where there is no labeller.

    A labeller with a method ``prepare`` is first told of all that it will be asked, as pairs of a
    response and its case's data: a judge then asks its models at the same time.
    """
    if labeller is None:
        return [[[] for _ in cases] for _ in models]
    prepare = getattr(labeller, "prepare", None)
    if prepare is not None:
        prepare([(one, c.data) for c in cases for model in models for one in c.responses[model]])
    return [
        [[as_label(labeller(one, c.data)) for one in c.responses[model]] for c in cases]
        for model in models
    ]


def as_label(answer: Label | str | None) -> Label:
    """What a labeller returned, as a label; None is missing, because unlabelled."""
    if isinstance(answer, Label):
        if answer.value is None and answer.missing is None:
            return Label(None, Missing("unlabelled", answer.why or "the labeller found no label"))
        return answer
    if answer is None:
        return Label(None, Missing("unlabelled", "the labeller found no label"))
    return Label(str(answer))


def _one_hot(
    values: Sequence[Sequence[Sequence[Any]]],
    missing: Sequence[Sequence[Sequence[Missing | None]]],
    labels: Sequence[Sequence[Sequence[Label]]],
) -> Represented:
    counts = Counter(value for row in values for cell in row for value in cell)
    kept = sorted(counts, key=str)
    if len(kept) > _DENSE_LABELS:
        kept = [value for value in kept if counts[value] > 1]
    column = {value: index for index, value in enumerate(kept)}
    width = max(len(column), 1)
    blocks = [
        [_indicator([column.get(value) for value in cell], width) for cell in row] for row in values
    ]
    return Represented(blocks, missing, labels, _all_identical(values))


def _indicator(columns: Sequence[int | None], width: int) -> Block:
    block = np.zeros((len(columns), width), dtype=np.float32)
    for position, index in enumerate(columns):
        if index is not None:
            block[position, index] = 1.0
    return block


def _all_identical(values: Sequence[Sequence[Sequence[Any]]]) -> bool:
    """Whether within each prompt all models' values are one and the same."""
    return all(
        len({value for cell in column for value in cell}) <= 1
        for column in zip(*values, strict=True)
    )


def _match_keys(texts: Sequence[Sequence[Sequence[str]]], metric: str) -> list[list[list[str]]]:
    from pytest_convergence.represent.ngrams import normalize_text

    key = str if metric == "exact" else normalize_text
    return [[[key(text) for text in cell] for cell in row] for row in texts]


def _feature_function(metric: str | Callable[..., Any]) -> Callable[[Sequence[str]], Block]:
    if callable(metric):
        return metric
    from pytest_convergence.represent import ngrams

    return ngrams.character_ngrams if metric == "char-ngrams" else ngrams.word_ngrams


def _text_features(
    texts: Sequence[Sequence[Sequence[str]]], function: Callable[[Sequence[str]], Block]
) -> list[list[Block]]:
    unique = sorted({text for row in texts for cell in row for text in cell})
    if not unique:
        return [[np.zeros((0, 1)) for _ in row] for row in texts]
    features = np.asarray(function(unique))
    if features.ndim != 2 or len(features) != len(unique) or not np.isfinite(features).all():
        raise RepresentationError(
            f"the metric's features have shape {features.shape} for {len(unique)} texts",
            details=["or hold a value that is not finite"],
            fix=["return one row of finite numbers for each text"],
        )
    position = {text: index for index, text in enumerate(unique)}
    return [[features[[position[text] for text in cell]] for cell in row] for row in texts]


def _embedded(
    cases: Sequence[SampledCase],
    models: Sequence[str],
    texts: Sequence[Sequence[Sequence[str]]],
    vectors: Vectors,
) -> list[list[Block]]:
    wanted: dict[Path, list[str]] = {}
    for row, model in zip(texts, models, strict=True):
        for cell, case in zip(row, cases, strict=True):
            wanted.setdefault(case.stores[model], []).extend(cell)
    found = vectors({store: asked for store, asked in wanted.items() if asked})
    width = next((block.shape[1] for block in found.values()), 1)
    nothing = np.zeros((0, width), dtype=np.float32)
    taken = dict.fromkeys(found, 0)
    blocks: list[list[Block]] = []
    for row, model in zip(texts, models, strict=True):
        own: list[Block] = []
        for cell, case in zip(row, cases, strict=True):
            if not cell:
                own.append(nothing)
                continue
            store = case.stores[model]
            start = taken[store]
            end = taken[store] = start + len(cell)
            own.append(found[store][start:end])
        blocks.append(own)
    return blocks
