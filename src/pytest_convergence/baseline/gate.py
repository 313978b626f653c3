"""The gate in one process: each group's item asks it, wherever it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from msgspec.structs import replace

from pytest_convergence.baseline.blocks import GroupBlock, block_of
from pytest_convergence.baseline.comparison import compare
from pytest_convergence.baseline.decision import Decision, Rule
from pytest_convergence.baseline.file import read_baseline
from pytest_convergence.baseline.pair_metrics import compare_pairs
from pytest_convergence.baseline.rate_blocks import Block, RateBlock, rate_block_of
from pytest_convergence.baseline.rates import RateRule, compare_rates
from pytest_convergence.declaration import gated_names
from pytest_convergence.errors import BaselineError
from pytest_convergence.judging import representation_of
from pytest_convergence.rate_results import RateResult
from pytest_convergence.represent.kernels import TextKernel
from pytest_convergence.represent.representation import COUNT_METRICS
from pytest_convergence.results import ConvergenceResult

if TYPE_CHECKING:
    from pytest_convergence.declaration import Group
    from pytest_convergence.evaluation import Evaluation
    from pytest_convergence.groups import GroupItem
    from pytest_convergence.judging import Question
    from pytest_convergence.represent.representation import SampledCase
    from pytest_convergence.results import Result
    from pytest_convergence.settings import Settings


# The new blocks of a group's item, by the id of the result that each keeps.
block_key: pytest.StashKey[dict[str, dict[str, Any]]] = pytest.StashKey()


class Gate:
    """Compares judged groups with the baseline, or prepares their blocks for a new one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.updating = bool(settings["update_baseline"])

    @cached_property
    def _baseline(self) -> Mapping[str, Block] | BaselineError:
        path = self._settings.path("baseline")
        assert path is not None
        if self.updating and not path.exists():
            return {}
        try:
            return read_baseline(path)
        except BaselineError as error:
            return error

    @property
    def baseline(self) -> Mapping[str, Block]:
        """The baseline's groups; raises BaselineError, to each group that asks."""
        if isinstance(self._baseline, BaselineError):
            raise self._baseline.with_traceback(None)
        return self._baseline

    def judged(
        self,
        item: GroupItem,
        question: Question,
        result: Result,
        cases: Sequence[SampledCase],
        evaluation: Evaluation,
    ) -> Result:
        """The result with the gate's decision, where it is a score or a rate that was asked for.

        A regression makes the result fail, unless the baseline is being updated: then what
        changed is told, and the group's new block is kept with its item.
        """
        known = self.baseline.get(result.id)
        block: Block | None = None
        if result.id not in gated_names(item.group):
            if isinstance(result, ConvergenceResult) or item.group.id not in self.baseline:
                return result
            decision = Decision("stale", "a score needs two models, the panel has one")
        elif result.verdict == "incomplete":
            quantity = "rate" if isinstance(result, RateResult) else "score"
            decision = Decision("incomplete", result.reason, quantity=quantity)
        elif isinstance(result, RateResult):
            block, decision = self._rate(item.group, question, result, known, cases, evaluation)
        elif isinstance(result, ConvergenceResult):
            block, decision = self._score(item.group, question, result, known, cases, evaluation)
        else:
            return result
        if self.updating:
            if block is not None:
                item.stash.setdefault(block_key, {})[result.id] = block.as_dict()
            return replace(result, gate=decision)
        decision = decision.failing(required=bool(self._settings["require_baseline"]))
        return replace(result, gate=decision, passed=result.passed and not decision.failed)

    def _rate(
        self,
        group: Group,
        question: Question,
        result: RateResult,
        known: Block | None,
        cases: Sequence[SampledCase],
        evaluation: Evaluation,
    ) -> tuple[Block, Decision]:
        block = rate_block_of(group, result, cases, evaluation)
        rule = RateRule(
            bound=result.direction,
            counted=result.outcome.name,
            smallest_effect=group.declaration.smallest_effect,
            groups=max(len(self.baseline), 1),
            seed=question.seed,
        )
        families = {case.prompt_id: case.family for case in cases}
        before = known if isinstance(known, RateBlock) else None
        return block, compare_rates(before, block, families=families, rule=rule)

    def _score(
        self,
        group: Group,
        question: Question,
        result: ConvergenceResult,
        known: Block | None,
        cases: Sequence[SampledCase],
        evaluation: Evaluation,
    ) -> tuple[Block | None, Decision]:
        if question.metric == "hybrid" or isinstance(question.metric, TextKernel):
            return None, _not_kept(question.metric_name)
        represented = representation_of(question, cases, result.models, evaluation.vectors)
        block = block_of(group, question, result, represented, cases, evaluation)
        before = known if isinstance(known, GroupBlock) else None
        families = {case.prompt_id: case.family for case in cases}
        rule = Rule(
            direction=group.declaration.direction,
            smallest_effect=group.declaration.smallest_effect,
            groups=max(len(self.baseline), 1),
            seed=question.seed,
        )
        if question.metric in COUNT_METRICS:
            metric = str(question.metric)
            return block, compare_pairs(before, block, metric=metric, families=families, rule=rule)
        decision = compare(
            before,
            block,
            features={
                (model, case.prompt_id): np.asarray(represented.blocks[row][position])
                for row, model in enumerate(result.models)
                for position, case in enumerate(cases)
            },
            families=families,
            rule=rule,
        )
        return block, decision


def _not_kept(metric: str) -> Decision:
    """Of a metric that is a function of more than sums of features."""
    return Decision(
        "stale",
        f"metric {metric} compares texts with texts, and a baseline keeps counts of labels and "
        "sums of features: its groups are never compared",
        fix="blessing does not help: assert a threshold in the test itself, or use a metric that "
        "is gated (label, js, total-variation, exact, normalized, embedding, char-ngrams, "
        "word-ngrams)",
    )


def with_gate(
    entries: Sequence[Mapping[str, Any]], item: pytest.Item, results: Sequence[Result]
) -> list[Mapping[str, Any]]:
    """A test's entries as they ride on its report, with what was decided and the new block."""
    extended: list[Mapping[str, Any]] = []
    for entry, result in zip(entries, results, strict=True):
        found = dict(entry)
        for name in ("gate", "swap"):
            decided = getattr(result, name, None)
            if decided is not None:
                found["result"] = {**found["result"], name: decided.as_dict()}
        block = item.stash.get(block_key, {}).get(result.id)
        if block is not None:
            found["baseline"] = block
        extended.append(found)
    return extended
