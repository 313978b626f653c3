"""Which models go together?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_convergence.checks import Subject
from pytest_convergence.errors import SettingsError
from pytest_convergence.results import CheckResult

if TYPE_CHECKING:
    from pytest_convergence.assertions import Responses
    from pytest_convergence.represent.features import Labeller
    from pytest_convergence.represent.representation import Represented
    from pytest_convergence.stats.clusters import ConvergentGroups


class ModelGroupsResult(CheckResult, frozen=True, kw_only=True):
    """Groups of models, each with its cohesion and stability; ``value`` is how many there are.

    Attributes
    ----------
    found
        The groups, the order of the models for a heat map, and the linkage.
    """

    found: ConvergentGroups

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The members of each group, the largest first."""
        return tuple(group.members for group in self.found.groups)

    @property
    def stability(self) -> Mapping[tuple[str, ...], float | None]:
        """By members: under .6 do not believe the group, above .85 it is stable (Hennig 2007)."""
        return {group.members: group.stability for group in self.found.groups}


def convergent_groups(
    models: Responses,
    *,
    cutoff: float,
    metric: str | Callable[..., Any] | None = None,
    label: str | Labeller | None = None,
    n_resamples: int = 200,
) -> ModelGroupsResult:
    """Groups of models whose mean similarity with each other is at least ``cutoff``.

    Average linkage on similarity; with several families of prompts each group has a stability over
    resampled families. It asserts nothing: assert on what it returns.

    Parameters
    ----------
    models
        As for `assert_converges`.
    cutoff
        In [-1, 1], on the scale of the metric's similarity.
    n_resamples
        How often families of prompts are drawn again; 0 leaves stability out.

    Raises
    ------
    SettingsError
        For fewer than two models, or one that shares no prompt with another.
    """
    from pytest_convergence.assertions import as_samples, vectors_of
    from pytest_convergence.represent.representation import represent
    from pytest_convergence.same_model import metric_of

    samples = as_samples(models)
    subject = Subject.of_samples(samples, "groups", label=label, confidence=None)
    question = subject.question(metric_of(samples, metric, label))
    represented = represent(
        samples.cases,
        samples.models,
        metric=question.metric,
        labeller=subject.labeller,
        vectors=vectors_of(samples.test),
    )
    families = [case.family for case in samples.cases]
    found = _cluster(
        represented, samples.models, families, cutoff, n_resamples, question.seed, subject.nodeid
    )
    result = ModelGroupsResult(
        **subject.fields(
            "groups",
            question.metric_name,
            cases=samples.cases,
            models=samples.models,
            labels=represented.labels,
        ),
        value=float(len(found.groups)),
        interval=None,
        threshold=None,
        direction="at_least",
        verdict=None,
        settled=True,
        passed=True,
        reason=f"{len(found.groups)} groups at a mean similarity of {cutoff:g}",
        found=found,
    )
    if samples.test is not None:
        samples.test.results.append(result)
    return result


def _cluster(
    represented: Represented,
    models: tuple[str, ...],
    families: list[str],
    cutoff: float,
    n_resamples: int,
    seed: int,
    where: str,
) -> ConvergentGroups:
    from pytest_convergence.stats import clusters

    tables = np.stack(
        [_similarities([row[p] for row in represented.blocks]) for p in range(len(families))]
    )
    known = np.isfinite(tables)
    agreement = np.where(known, tables, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    apart = ~np.eye(len(models), dtype=np.bool_)
    if len(models) < 2 or not known.any(axis=0)[apart].all():
        raise SettingsError(
            f"{where}: convergent_groups needs two models that share prompts",
            fix=["leave out models without usable responses: models.only(…)"],
        )
    resamples = None
    if n_resamples and len(set(families)) > 1:
        resamples = clusters.resampled_agreement(
            tables, n_resamples=n_resamples, seed=seed % 2**32, families=families
        )
    return clusters.convergent_groups(agreement, models, cutoff=cutoff, resamples=resamples)


def _similarities(blocks: list[Any]) -> Any:
    """Mean similarity of every pair of models on one prompt, (M, M); nan where one is missing."""
    width = max((block.shape[1] for block in blocks), default=1)
    means = np.full((len(blocks), width), np.nan)
    for m, block in enumerate(blocks):
        if len(block):
            means[m] = np.asarray(block, dtype=np.float64).mean(axis=0)
    return means @ means.T
