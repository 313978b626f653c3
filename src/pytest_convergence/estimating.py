"""From represented responses to an estimate, by the kind of metric.

Features go through sums. A user's kernel of two texts is asked for its Gram blocks. A measure of
two models' distributions has a table of pairs, and no score.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from msgspec.structs import replace

from pytest_convergence.judging import DEFAULT_LEVEL, Question
from pytest_convergence.metrics.convergence import estimate_group, estimate_prompt
from pytest_convergence.metrics.distributions import (
    hybrid_pairs,
    measure_of,
)
from pytest_convergence.metrics.kernels import estimate_kernel
from pytest_convergence.metrics.pair_tables import (
    group_from_pairs,
    pair_table,
    prompt_from_pairs,
)
from pytest_convergence.metrics.summaries import Floats, Summaries
from pytest_convergence.represent.kernels import TextKernel
from pytest_convergence.represent.representation import COUNT_METRICS, PAIR_METRICS
from pytest_convergence.stats.permutation import same_model_test

if TYPE_CHECKING:
    from pytest_convergence.metrics.estimates import GroupEstimate, PromptEstimate
    from pytest_convergence.represent.representation import Represented, SampledCase

_PERMUTATIONS = 999
# Multiplications that a test beside an undefined score may take: a few seconds.
_MOST_WORK = 2e10


def prompt_estimate(
    question: Question, represented: Represented, models: Sequence[str]
) -> PromptEstimate:
    """The similarity on one prompt, of the models that have a usable response."""
    present = [m for m, row in enumerate(represented.blocks) if len(row[0])]
    chosen = [models[m] for m in present]
    if question.metric in PAIR_METRICS:
        return prompt_from_pairs(
            _table(question, represented, present, 0),
            models=chosen,
            counts=represented.counts[present, 0],
            identical=represented.identical,
        )
    features = {models[m]: represented.blocks[m][0] for m in present}
    return estimate_prompt(
        features,
        confidence=question.confidence or DEFAULT_LEVEL,
        seed=question.seed,
        identical=represented.identical,
    )


def group_estimate(
    question: Question,
    represented: Represented,
    cases: Sequence[SampledCase],
    models: Sequence[str],
    present: Sequence[int],
) -> GroupEstimate:
    """The estimate over a group, of the models at the positions ``present``."""
    level = question.confidence or DEFAULT_LEVEL
    chosen = [models[m] for m in present]
    prompts = [case.prompt_id for case in cases]
    families = [case.family for case in cases]
    if question.metric in PAIR_METRICS:
        return group_from_pairs(
            [_table(question, represented, present, p) for p in range(len(cases))],
            models=chosen,
            prompts=prompts,
            families=families,
            counts=represented.counts[list(present)],
            why=f'metric "{question.metric}" has neither floor nor ceiling, hence no score: read '
            "its similarity",
            confidence=level,
            identical=represented.identical,
        )
    if isinstance(question.metric, TextKernel):
        estimate = estimate_kernel(
            question.metric.gram,
            [represented.texts[m] for m in present],
            models=chosen,
            prompts=prompts,
            families=families,
            confidence=level,
            partners=question.metric.partners,
        )
        estimate = replace(estimate, identical=represented.identical)
    else:
        summaries = Summaries.from_features(
            [represented.blocks[m] for m in present],
            models=chosen,
            prompts=prompts,
            families=families,
        )
        estimate = estimate_group(
            summaries, confidence=level, seed=question.seed, identical=represented.identical
        )
    return _tested(question, estimate, represented, families, present)


def _tested(
    question: Question,
    estimate: GroupEstimate,
    represented: Represented,
    families: Sequence[str],
    present: Sequence[int],
) -> GroupEstimate:
    """Where there is no score: are they the same model? Otherwise that is asked on demand."""
    counts = represented.counts[list(present)].sum(axis=0)
    work = _PERMUTATIONS * len(present) * float((counts**2).sum())
    if estimate.undefined is None or estimate.samples < 2 or work > _MOST_WORK:
        return estimate
    test = same_model_test(
        [represented.blocks[m] for m in present],
        families=families,
        permutations=_PERMUTATIONS,
        seed=question.seed,
    )
    return estimate if test is None else replace(estimate, mmd_p=test.p)


def _table(
    question: Question, represented: Represented, present: Sequence[int], prompt: int
) -> Floats:
    blocks = [np.asarray(represented.blocks[m][prompt], dtype=np.float64) for m in present]
    if question.metric in COUNT_METRICS:
        return pair_table(measure_of(str(question.metric)), blocks)
    texts = [represented.texts[m][prompt] for m in present]
    usable = [i for i, block in enumerate(blocks) if len(block)]
    means = np.array([blocks[i].mean(axis=0) for i in usable]).reshape(len(usable), -1)
    table = np.full((len(blocks), len(blocks)), np.nan)
    table[np.ix_(usable, usable)] = hybrid_pairs(means @ means.T, [texts[i] for i in usable])
    return table
