"""The gate in one process: each group's item asks it, wherever it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_convergence.baseline.blocks import GroupBlock, block_of
from pytest_convergence.baseline.comparison import Rule, compare
from pytest_convergence.baseline.decision import Decision
from pytest_convergence.baseline.file import read_baseline
from pytest_convergence.errors import BaselineError
from pytest_convergence.represent.kernels import TextKernel
from pytest_convergence.represent.representation import PAIR_METRICS, represent
from pytest_convergence.results import ConvergenceResult

if TYPE_CHECKING:
    from pytest_convergence.evaluation import Evaluation
    from pytest_convergence.groups import GroupItem
    from pytest_convergence.judging import Question
    from pytest_convergence.represent.representation import SampledCase
    from pytest_convergence.results import Result
    from pytest_convergence.settings import Settings


block_key: pytest.StashKey[dict[str, Any]] = pytest.StashKey()


class Gate:
    """Compares judged groups with the baseline, or prepares their blocks for a new one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.updating = bool(settings["update_baseline"])

    @cached_property
    def _baseline(self) -> Mapping[str, GroupBlock] | BaselineError:
        path = self._settings.path("baseline")
        assert path is not None
        if self.updating and not path.exists():
            return {}
        try:
            return read_baseline(path)
        except BaselineError as error:
            return error

    @property
    def baseline(self) -> Mapping[str, GroupBlock]:
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
        """The result with the gate's decision; a rate is left as it is.

        A regression makes the result fail, unless the baseline is being updated: then what
        changed is told, and the group's new block is kept with its item.
        """
        baseline = self.baseline
        if not isinstance(result, ConvergenceResult):
            return result
        if result.verdict == "incomplete":
            return replace(result, gate=Decision("incomplete", result.reason))
        if question.metric in PAIR_METRICS or isinstance(question.metric, TextKernel):
            reason = (
                f"metric {question.metric_name} is a number for two texts or two sets of them, and "
                "a baseline keeps sums of features: its groups are not compared"
            )
            return replace(result, gate=Decision("stale", reason))
        represented = represent(
            cases,
            result.models,
            metric=question.metric,
            labeller=question.labeller,
            vectors=evaluation.vectors,
        )
        after = block_of(item.group, question, result, represented, cases, evaluation)
        decision = compare(
            baseline.get(item.group.id),
            after,
            features={
                (model, case.prompt_id): np.asarray(represented.blocks[row][position])
                for row, model in enumerate(result.models)
                for position, case in enumerate(cases)
            },
            families={case.prompt_id: case.family for case in cases},
            rule=Rule(
                direction=item.group.declaration.direction,
                smallest_effect=item.group.declaration.smallest_effect,
                groups=max(len(baseline), 1),
                seed=question.seed,
            ),
        )
        if self.updating:
            item.stash[block_key] = after.as_dict()
            return replace(result, gate=decision)
        decision = decision.failing(required=bool(self._settings["require_baseline"]))
        return replace(result, gate=decision, passed=result.passed and not decision.failed)


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
        if getattr(result, "gate", None) is not None and block_key in item.stash:
            found["baseline"] = item.stash[block_key]
        extended.append(found)
    return extended
