"""The rate of one group as a baseline keeps it: labels, and how many of them count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from pytest_convergence.baseline.blocks import (
    METRIC_VERSION,
    CaseBlock,
    GroupBlock,
    checksum,
    model_blocks,
    prompt_hash,
)
from pytest_convergence.baseline.features import Cell, examples_of, short_hash, whole_number
from pytest_convergence.evidence import copies

if TYPE_CHECKING:
    from pytest_convergence.declaration import Group
    from pytest_convergence.evaluation import Evaluation
    from pytest_convergence.rate_results import RateResult
    from pytest_convergence.represent.representation import SampledCase
    from pytest_convergence.results import CaseResponses

_PASSED, _USABLE = "passed", "usable"


@dataclass(frozen=True)
class RateBlock:
    """A group's labels and what its marker counts of them.

    ``values`` are the labels that count, None for right answers. ``hits[prompt][model]`` are the
    answers that count and those that could: a right one is known only where its case says what is
    right.
    """

    group: GroupBlock
    values: tuple[str, ...] | None
    hits: Mapping[str, Mapping[str, tuple[int, int]]]

    def as_dict(self) -> dict[str, Any]:
        """JSON types, with a checksum over the rest."""
        entry = {name: one for name, one in self.group.as_dict().items() if name != "checksum"}
        for prompt, case in entry["cases"].items():
            for model, response in case["responses"].items():
                passed, usable = self.hits[prompt][model]
                response.update({_PASSED: passed, _USABLE: usable})
        entry["rate"] = {"values": None if self.values is None else sorted(self.values)}
        return {**entry, "checksum": checksum(entry)}

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> RateBlock:
        """The block of :meth:`as_dict`; KeyError, TypeError or ValueError for anything else."""
        values = entry["rate"]["values"]
        group = GroupBlock.from_dict(entry)
        hits = {
            prompt: {model: _hits(cell) for model, cell in case["responses"].items()}
            for prompt, case in entry["cases"].items()
        }
        return cls(group, None if values is None else tuple(map(str, values)), hits)


Block: TypeAlias = GroupBlock | RateBlock


def block_from(entry: Mapping[str, Any]) -> Block:
    """The block of an entry of a baseline; KeyError, TypeError or ValueError for anything else."""
    return RateBlock.from_dict(entry) if "rate" in entry else GroupBlock.from_dict(entry)


def _hits(cell: Mapping[str, Any]) -> tuple[int, int]:
    passed, usable = whole_number(cell[_PASSED]), whole_number(cell[_USABLE])
    if not passed <= usable <= whole_number(cell["n"]):
        raise ValueError(f"{passed} of {usable} answers pass, of {cell['n']}")
    return passed, usable


def rate_block_of(
    group: Group, result: RateResult, cases: Sequence[SampledCase], evaluation: Evaluation
) -> RateBlock:
    """The block of a group whose rate was just judged."""
    block = GroupBlock(
        capability=group.capability,
        arm=group.arm,
        metric=result.metric,
        metric_version=METRIC_VERSION,
        embedder=None,
        samples=result.samples,
        numbers={name: round(rate.rate, 4) for name, rate in sorted(result.rates.items())},
        models=model_blocks(group, result.models, copies(cases, result.models), cases, evaluation),
        cases={
            declared.prompt_id: CaseBlock(
                prompt_hash(declared), {model: _cell(case, model) for model in result.models}
            )
            for declared, case in zip(group.cases, result.cases, strict=True)
        },
    )
    hits = {
        declared.prompt_id: {model: result.by_prompt[model][p] for model in result.models}
        for p, declared in enumerate(group.cases)
    }
    values = None if result.values is None else tuple(sorted(result.values))
    return RateBlock(block, values, hits)


def _cell(case: CaseResponses, model: str) -> Cell:
    said, labels = case.responses[model], case.labels.get(model, ())
    values = [str(label.value) for label in labels if label.missing is None]
    usable = [r.text for r, one in zip(said, labels, strict=True) if one.missing is None]
    return Cell(
        count=len(values),
        texts=short_hash(*(response.text for response in said)),
        labels={value: values.count(value) for value in sorted(set(values))},
        mean=None,
        square=1.0,
        examples=examples_of(usable),
    )
