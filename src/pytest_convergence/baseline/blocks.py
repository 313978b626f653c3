"""One group as a baseline keeps it, made from what was just judged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_convergence.baseline.features import Cell, examples_of, short_hash
from pytest_convergence.judging import labeller_name
from pytest_convergence.metrics.estimates import GroupEstimate
from pytest_convergence.represent.representation import COUNT_METRICS

if TYPE_CHECKING:
    from pytest_convergence.declaration import Case, Group
    from pytest_convergence.evaluation import Evaluation
    from pytest_convergence.judging import Question
    from pytest_convergence.metrics.summaries import Floats
    from pytest_convergence.represent.representation import Represented, SampledCase
    from pytest_convergence.results import ConvergenceResult

# Raised when a built-in metric gives other features for the same texts.
METRIC_VERSION = 1

_MATCHING = ("exact", "normalized", *COUNT_METRICS)


@dataclass(frozen=True)
class ModelBlock:
    """A member of the panel: as what it was served, how it was asked, whether samples are copies.

    ``decoding`` holds what was set; ``{"varies": hash}`` where it differs from prompt to prompt.
    """

    served: tuple[str, ...]
    decoding: Mapping[str, Any]
    copies: bool

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> ModelBlock:
        """From JSON types."""
        served = tuple(str(name) for name in entry["served"])
        return cls(served, dict(entry["decoding"]), bool(entry["copies"]))


@dataclass(frozen=True)
class CaseBlock:
    """One prompt: a hash of the messages that were sent, and each model's answers."""

    prompt: str
    cells: Mapping[str, Cell]


@dataclass(frozen=True)
class GroupBlock:
    """A group: what makes a comparison legal, the numbers for people, and the cases."""

    capability: str
    arm: str
    metric: str
    metric_version: int
    embedder: str | None
    samples: int
    numbers: Mapping[str, float | None]
    models: Mapping[str, ModelBlock]
    cases: Mapping[str, CaseBlock]

    def as_dict(self) -> dict[str, Any]:
        """JSON types, with a checksum over the rest."""
        entry: dict[str, Any] = {
            "capability": self.capability,
            "arm": self.arm,
            "metric": self.metric,
            "metric_version": self.metric_version,
            "embedder": self.embedder,
            "samples": self.samples,
            "numbers": dict(self.numbers),
            "models": {
                name: {**asdict(model), "served": list(model.served)}
                for name, model in sorted(self.models.items())
            },
            "cases": {
                name: {
                    "prompt": case.prompt,
                    "responses": {
                        model: cell.as_dict() for model, cell in sorted(case.cells.items())
                    },
                }
                for name, case in sorted(self.cases.items())
            },
        }
        return {**entry, "checksum": checksum(entry)}

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> GroupBlock:
        """The block of :meth:`as_dict`; KeyError, TypeError or ValueError for anything else."""
        models = {name: ModelBlock.from_dict(given) for name, given in entry["models"].items()}
        cases = {
            name: CaseBlock(
                str(given["prompt"]),
                {model: Cell.from_dict(cell) for model, cell in given["responses"].items()},
            )
            for name, given in entry["cases"].items()
        }
        for name, case in cases.items():
            if set(case.cells) != set(models):
                raise ValueError(f"case {name!r} has not the models of its group")
        embedder = entry["embedder"]
        return cls(
            capability=str(entry["capability"]),
            arm=str(entry["arm"]),
            metric=str(entry["metric"]),
            metric_version=int(entry["metric_version"]),
            embedder=None if embedder is None else str(embedder),
            samples=int(entry["samples"]),
            numbers=dict(entry["numbers"]),
            models=models,
            cases=cases,
        )


def checksum(entry: Mapping[str, Any]) -> str:
    """Of a group's entry without its checksum: whatever a person or a merge changes shows."""
    kept = {name: value for name, value in entry.items() if name != "checksum"}
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:16]


def block_of(
    group: Group,
    question: Question,
    result: ConvergenceResult,
    represented: Represented,
    cases: Sequence[SampledCase],
    evaluation: Evaluation,
) -> GroupBlock:
    """The block of a group that was just judged."""
    return GroupBlock(
        capability=group.capability,
        arm=group.arm,
        metric=_kept_metric(question),
        metric_version=METRIC_VERSION,
        embedder=_embedder(question, cases, evaluation),
        samples=result.samples,
        numbers=_numbers(result),
        models=model_blocks(group, result.models, result.copies, cases, evaluation),
        cases={
            declared.prompt_id: CaseBlock(
                prompt_hash(declared),
                {
                    name: _cell(question, represented, sampled, row, position, name)
                    for row, name in enumerate(result.models)
                },
            )
            for position, (declared, sampled) in enumerate(zip(group.cases, cases, strict=True))
        },
    )


def model_blocks(
    group: Group,
    models: Sequence[str],
    copies: Sequence[str],
    cases: Sequence[SampledCase],
    evaluation: Evaluation,
) -> dict[str, ModelBlock]:
    """Each member of the panel; ``copies`` are those whose samples are all alike."""
    return {
        name: ModelBlock(
            served=_served(cases, name),
            decoding=_decoding(group, name, evaluation),
            copies=name in copies,
        )
        for name in models
    }


def _of_labels(question: Question) -> bool:
    """Whether a measure of two distributions is one of labels, not of texts."""
    return question.metric in COUNT_METRICS and question.labeller is not None


def _kept_metric(question: Question) -> str:
    """The metric's name with the labeller's, wherever labels are what is compared."""
    if not _of_labels(question):
        return question.metric_name
    return f"{question.metric_name} of label:{labeller_name(question.labeller)}"


def prompt_hash(case: Case) -> str:
    """Of the messages that a case sends, its template filled in."""
    from pytest_convergence.declaration import fill
    from pytest_convergence.models.messages import as_messages
    from pytest_convergence.models.wire import canonical_json

    prompt = case.prompt
    if case.declaration.template is not None and isinstance(prompt, str):
        prompt = fill(case.declaration.template, case, prompt=prompt)
    return short_hash(canonical_json(list(as_messages(prompt))))


def _numbers(result: ConvergenceResult) -> dict[str, float | None]:
    estimate = result.estimate
    if not isinstance(estimate, GroupEstimate):
        return {}
    interval = result.interval
    values = {
        "score": estimate.score,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "similarity": estimate.similarity,
        "within": estimate.within,
        "floor": estimate.floor,
        "ceiling": estimate.ceiling,
    }
    return {
        name: None if value is None or not np.isfinite(value) else round(float(value), 4)
        for name, value in values.items()
    }


def _served(cases: Sequence[SampledCase], model: str) -> tuple[str, ...]:
    names = {r.served_model for case in cases for r in case.responses[model]}
    return tuple(sorted(name for name in names if name))


def _decoding(group: Group, model: str, evaluation: Evaluation) -> Mapping[str, Any]:
    from pytest_convergence.declaration import resolve_decoding
    from pytest_convergence.models.wire import canonical_json

    if evaluation.recorded is not None:
        return {}
    own = evaluation.names.model(model).decoding
    each = []
    for case in group.cases:
        decoding = resolve_decoding(case)
        each.append((own.merged(decoding) if own is not None else decoding).as_dict())
    texts = [canonical_json(values) for values in each]
    return each[0] if len(set(texts)) == 1 else {"varies": short_hash(*texts)}


def _embedder(
    question: Question, cases: Sequence[SampledCase], evaluation: Evaluation
) -> str | None:
    """The embedder with what pins its weights, as recorded beside the cassettes."""
    if question.metric != "embedding":
        return None
    from pytest_convergence.represent.vectors import VectorStore, store_path

    name = str(evaluation.settings["embedder"])
    stores: set[Path] = {store for case in cases for store in case.stores.values()}
    found = (VectorStore.load(store_path(store, name), embedder=name) for store in stores)
    revisions = sorted({store.revision for store in found if store is not None})
    return f"{name}@{','.join(revisions)}" if revisions else name


def _cell(
    question: Question,
    represented: Represented,
    case: SampledCase,
    row: int,
    position: int,
    model: str,
) -> Cell:
    block = np.asarray(represented.blocks[row][position], dtype=np.float64)
    usable = [why is None for why in represented.missing[row][position]]
    texts = [r.text for r, use in zip(case.responses[model], usable, strict=True) if use]
    labels = _labels(question, represented, row, position, texts)
    mean: Floats | None = None
    square = 1.0
    if labels is None and len(block):
        mean, square = block.mean(axis=0), float((block**2).sum() / len(block))
    return Cell(
        count=len(block),
        texts=short_hash(*(r.text for r in case.responses[model])),
        labels=labels,
        mean=mean,
        square=square,
        examples=examples_of(texts),
    )


def _labels(
    question: Question, represented: Represented, row: int, position: int, texts: Sequence[str]
) -> dict[str, int] | None:
    """Counts of labels or matching keys; None where the metric has no such thing."""
    if question.metric == "label" or _of_labels(question):
        cell = represented.labels[row][position]
        values = [str(label.value) for label in cell if label.missing is None]
    elif question.metric in _MATCHING:
        from pytest_convergence.represent.ngrams import normalize_text

        key = str if question.metric == "exact" else normalize_text
        values = [short_hash(key(text)) for text in texts]
    else:
        return None
    return {value: values.count(value) for value in sorted(set(values))}
