"""What stands beside a similarity, so that it is read for what it is.

Accuracy and agreement in error beside agreement, length and format beside a similarity of texts,
and beside a verdict that the interval does not settle what would.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pytest_convergence.metrics.threads import one_thread

if TYPE_CHECKING:
    from pytest_convergence.evidence import Labels
    from pytest_convergence.judging import Question
    from pytest_convergence.metrics.confounds import Confounds
    from pytest_convergence.metrics.estimates import GroupEstimate, Interval, PromptEstimate
    from pytest_convergence.metrics.panel_agreement import PanelAgreement
    from pytest_convergence.represent.representation import Represented, SampledCase
    from pytest_convergence.stats.power import Settlement, Spread

# Pairs of responses that the confounds are estimated from, at about this many.
_PAIRS = 10_000
_NOT_OF_TEXTS = ("label", "exact", "normalized", "hybrid", "js", "total-variation")


def label_agreement(labels: Labels, models: Sequence[str]) -> PanelAgreement | None:
    """Raw and chance-corrected agreement, prevalence, and agreement in error; None unlabelled."""
    if not any(cell for row in labels for cell in row):
        return None
    from pytest_convergence.metrics.panel_agreement import panel_agreement

    answers = [
        [[(str(one.value), one.correct) for one in cell if one.missing is None] for cell in row]
        for row in labels
    ]
    return panel_agreement(answers, models)


@one_thread
def text_confounds(
    question: Question,
    represented: Represented,
    cases: Sequence[SampledCase],
) -> Confounds | None:
    """How much of the similarity between different models length and format explain.

    Over pairs of responses to one prompt by two models; of large studies the first samples, and
    of larger ones some of the prompts, evenly. None for metrics that do not compare texts, and
    where there are too few pairs.
    """
    from pytest_convergence.metrics.confounds import confounds, length_difference
    from pytest_convergence.represent.layout import detect

    if question.metric in _NOT_OF_TEXTS or not represented.texts:
        return None
    models = len(represented.blocks)
    of_models = models * (models - 1) // 2
    kept = max(int((_PAIRS / max(of_models * len(cases), 1)) ** 0.5), 1)
    step = max(of_models * len(cases) // _PAIRS, 1)
    similarity, lengths, same, prompts = [], [], [], []
    for p in range(0, len(cases), step):
        pooled = [text for row in represented.texts for text in row[p][:kept]]
        owner = np.repeat(np.arange(models), [len(row[p][:kept]) for row in represented.texts])
        first, second = np.nonzero(np.triu(owner[:, None] != owner[None, :]))
        if not len(first):
            continue
        features = np.concatenate([row[p][:kept] for row in represented.blocks if len(row[p])])
        sizes = np.array([len(text) for text in pooled])
        formats = np.array([detect(text) for text in pooled])
        similarity.append((features @ features.T)[first, second])
        lengths.append(length_difference(sizes[first], sizes[second]))
        same.append(formats[first] == formats[second])
        prompts += [cases[p].prompt_id] * len(first)
    if len(prompts) <= len(similarity) + 2:
        return None
    return confounds(
        np.concatenate(similarity),
        np.concatenate(lengths),
        prompts,
        same_format=np.concatenate(same),
    )


def settlement(
    question: Question,
    estimate: PromptEstimate | GroupEstimate | None,
    represented: Represented,
    cases: Sequence[SampledCase],
) -> Settlement | None:
    """What would settle a verdict that the interval leaves open; None where nothing is open."""
    from pytest_convergence.metrics.estimates import GroupEstimate

    if estimate is None or estimate.interval is None or question.threshold is None:
        return None
    interval, threshold = estimate.interval, question.threshold
    if not interval.low < threshold <= interval.high:
        return None
    if not isinstance(estimate, GroupEstimate):
        return by_samples(estimate.similarity, interval, threshold, int(estimate.counts.min()))
    from pytest_convergence.stats.power import to_settle

    assert estimate.score is not None
    return to_settle(
        estimate.score,
        interval,
        threshold=threshold,
        families=estimate.families,
        samples=max(estimate.samples, 1),
        spread=_spread(represented, cases),
    )


def by_samples(value: float, interval: Interval, threshold: float, samples: int) -> Settlement:
    """The same for one prompt, where the width shrinks with the root of the samples alone."""
    from pytest_convergence.stats.power import Settlement, to_settle

    found = to_settle(value, interval, threshold=threshold, families=samples)
    more = found.more_families
    return Settlement(found.smallest_difference, None, None if more is None else samples + more)


def _spread(represented: Represented, cases: Sequence[SampledCase]) -> Spread | None:
    """How much of the width is due to samples; None where a pilot cannot tell."""
    from pytest_convergence.stats.power import spread_from_pilot

    widths = {block.shape[1] for row in represented.blocks for block in row if len(block)}
    if len(widths) != 1:
        return None
    try:
        return spread_from_pilot(represented.blocks, families=[case.family for case in cases])
    except ValueError:
        return None
