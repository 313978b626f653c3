"""The estimand: similarity, within, floor, ceiling and score of a panel of models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from pytest_convergence.metrics.estimates import GroupEstimate, Interval, PromptEstimate
from pytest_convergence.metrics.groups import assemble, mean_of_known, reordered, usual_samples
from pytest_convergence.metrics.jackknife import jackknife_panel
from pytest_convergence.metrics.summaries import Floats, Summaries
from pytest_convergence.metrics.terms import family_starts, terms_from_summaries, within_models
from pytest_convergence.metrics.threads import one_thread
from pytest_convergence.stats.permutation import prompt_permutation
from pytest_convergence.stats.responses import (
    bootstrap_responses,
    panel_similarity,
    response_interval,
)

_AT_A_TIME = 100_000


@one_thread
def estimate_group(
    summaries: Summaries,
    *,
    confidence: float = 0.95,
    permutations: int = 999,
    seed: int,
    identical: bool | None = None,
) -> GroupEstimate:
    """Convergence of a panel over a group's prompts.

    Parameters
    ----------
    summaries
        Of at least two models. The order of models and prompts does not matter, not even to the
        last bit or to the permutations drawn.
    confidence
        Level of every interval, in (0, 1).
    permutations
        Of prompts within models; 0 leaves the p value out.
    seed
        Fixed by the case, so that results depend on neither order nor worker.
    identical
        Whether all responses of every prompt are the same, where that is known.

    Notes
    -----
    With mean feature vectors a, b of models A, B on a prompt, n samples each::

        between    = a . b                         within = (n |a|^2 - q/n) / (n - 1)
        similarity = mean_p between                floor  = mean_{i != j} a_i . b_j
        ceiling    = sqrt(mean_p within(A) mean_p within(B)), each mean clipped at 0
        score      = (similarity - floor) / (ceiling - floor)

    i and j run over prompts of different families. The panel's score is the ratio of the means
    over its pairs. The ceiling is 1 unless every model has two samples on most of its prompts.
    With one-hot labels and ceiling 1 the score is Conger's kappa but for the floor, which leaves
    out same-prompt pairs (Conger 1980).
    """
    ordered, model_order, prompt_order = _canonical(summaries)
    starts = family_starts(ordered.families)
    terms = terms_from_summaries(ordered)
    samples = usual_samples(ordered.counts)
    parts = jackknife_panel(terms, starts, replicated=samples > 1)
    result = assemble(
        ordered.models, ordered.prompts, terms, parts, samples=samples, confidence=confidence
    )
    identical = all_identical(ordered) if identical is None else identical
    result = replace(result, duplicates=ordered.duplicates, identical=identical)
    if permutations:
        test = prompt_permutation(ordered, permutations=permutations, seed=seed)
        if test is not None:
            result = replace(result, permutation_mean=test.null_mean, permutation_p=test.p)
    return reordered(result, model_order, prompt_order)


def _canonical(
    summaries: Summaries,
) -> tuple[Summaries, NDArray[np.intp], NDArray[np.intp]]:
    """Models sorted by name, prompts by family and name; and the orders that did it."""
    models = np.array(
        sorted(range(len(summaries.models)), key=summaries.models.__getitem__), dtype=np.intp
    )
    prompts = np.array(
        sorted(
            range(len(summaries.prompts)),
            key=lambda p: (summaries.families[p], summaries.prompts[p]),
        ),
        dtype=np.intp,
    )
    if (np.diff(models) > 0).all() and (np.diff(prompts) > 0).all():
        return summaries, models, prompts
    grid = np.ix_(models, prompts)
    ordered = replace(
        summaries,
        models=tuple(summaries.models[m] for m in models),
        prompts=tuple(summaries.prompts[p] for p in prompts),
        families=tuple(summaries.families[p] for p in prompts),
        counts=summaries.counts[grid],
        sums=summaries.sums[grid],
        squares=summaries.squares[grid],
    )
    return ordered, models, prompts


def all_identical(summaries: Summaries) -> bool:
    """Whether all responses of every prompt have the same features, up to rounding."""
    present = summaries.counts > 0
    columns = np.arange(len(summaries.prompts))
    first = np.argmax(present, axis=0)
    reference = (
        summaries.sums[first, columns] / np.maximum(summaries.counts, 1)[first, columns, None]
    )
    # Some models at a time: whole copies of the sums are what a large study has no memory for.
    step = max(_AT_A_TIME // reference.size, 1)
    for start in range(0, len(summaries.models), step):
        part = slice(start, start + step)
        counts = summaries.counts[part]
        size = np.maximum(counts, 1)
        means = summaries.sums[part] / size[:, :, None]
        spread = summaries.squares[part] / size - np.einsum("mpd,mpd->mp", means, means)
        away = np.abs(means - reference).max(axis=2)
        if ((counts > 0) & ((away >= 1e-9) | (spread >= 1e-9))).any():
            return False
    return True


def estimate_prompt(
    features: Mapping[str, NDArray[np.floating[Any]]],
    *,
    confidence: float = 0.95,
    seed: int = 0,
    resamples: int = 0,
    identical: bool | None = None,
) -> PromptEstimate:
    """Similarity of a panel on one prompt.

    Parameters
    ----------
    features
        For each of at least two models its responses' features, shape (n, d), n at least 1.
    confidence
        Level of the interval, in (0, 1).
    seed, resamples
        With ``resamples`` above 0 the interval is that many bootstrap samples of responses,
        drawn from ``seed``, rather than the jackknife, which holds its level down to two
        responses a model.
    identical
        Whether all responses are the same, where that is known.
    """
    blocks = list(features.values())
    counts = np.array([len(block) for block in blocks], dtype=np.int64)
    several = bool((counts > 1).any())
    if several or identical is None:
        summaries = Summaries.from_features(
            [[block] for block in blocks], models=tuple(features), prompts=("prompt",)
        )
        means = summaries.sums[:, 0] / counts[:, None]
        identical = all_identical(summaries) if identical is None else identical
    else:
        means = np.concatenate(blocks).astype(np.float64)
    pairs = means @ means.T
    own = np.full(len(blocks), np.nan)
    if several:
        within, replicated = within_models(summaries, np.diagonal(pairs)[:, None])
        own = np.where(replicated[:, 0] > 0, within[:, 0], np.nan)
    np.fill_diagonal(pairs, own)
    return PromptEstimate(
        models=tuple(features),
        counts=counts,
        similarity=float(panel_similarity(means)),
        within=mean_of_known(own) if several else None,
        pairs=pairs,
        interval=_prompt_interval(blocks, confidence, seed, resamples) if several else None,
        identical=identical,
    )


def _prompt_interval(
    features: Iterable[NDArray[np.floating[Any]]], confidence: float, seed: int, resamples: int
) -> Interval:
    blocks: list[Floats] = [np.asarray(block, dtype=np.float64) for block in features]
    if resamples:
        return bootstrap_responses(blocks, level=confidence, resamples=resamples, seed=seed)
    return response_interval(blocks, level=confidence)
