"""The estimand: similarity, within, floor, ceiling and score of a panel of models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_convergence.metrics.estimates import (
    GroupEstimate,
    Interval,
    PairMatrices,
    PromptEstimate,
)
from pytest_convergence.metrics.jackknife import (
    Jackknifed,
    PanelJackknife,
    interval,
    jackknife_panel,
)
from pytest_convergence.metrics.summaries import Floats, Summaries
from pytest_convergence.metrics.terms import PairTerms, family_starts, terms_from_summaries
from pytest_convergence.stats.permutation import prompt_permutation
from pytest_convergence.stats.responses import (
    bootstrap_responses,
    panel_similarity,
    response_interval,
)

LEAST_FAMILIES = 4
LEAST_ROOM = 0.05
LEAST_ERRORS = 3.0


def estimate_group(
    summaries: Summaries, *, confidence: float = 0.95, permutations: int = 999, seed: int
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
    samples = _samples(ordered)
    parts = jackknife_panel(terms, starts, replicated=samples > 1)
    result = _group(ordered, terms, parts, samples, confidence)
    if permutations:
        test = prompt_permutation(ordered, permutations=permutations, seed=seed)
        if test is not None:
            result = replace(result, permutation_mean=test.null_mean, permutation_p=test.p)
    return _reordered(result, summaries, model_order, prompt_order)


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


def _samples(summaries: Summaries) -> int:
    """The median count of usable responses of the model that has fewest."""
    medians = [np.median(row[row > 0]) for row in summaries.counts if (row > 0).any()]
    return int(min(medians, default=0))


def _group(
    summaries: Summaries, terms: PairTerms, parts: PanelJackknife, samples: int, confidence: float
) -> GroupEstimate:
    panel = parts.panel
    undefined = _why_undefined(panel)
    own = _own(terms, samples)
    mmd2 = _mmd2(terms, samples)
    return GroupEstimate(
        models=summaries.models,
        prompts=summaries.prompts,
        families=int(panel.families),
        samples=samples,
        similarity=float(panel.values.similarity),
        similarity_interval=interval(panel.similarity_bounds(confidence), confidence),
        within=_mean(own) if samples > 1 else None,
        floor=float(panel.values.floor),
        same_model_floor=_mean(np.diagonal(parts.everywhere.floor)),
        ceiling=float(panel.values.ceiling),
        standard_error=float(panel.room_error),
        score=None if undefined else float(panel.values.score),
        interval=None if undefined else interval(panel.score_bounds(confidence), confidence),
        undefined=undefined,
        pairs=_matrices(parts, own, mmd2, confidence),
        own=own,
        to_others=_to_others(parts.everywhere.similarity),
        by_prompt=_by_prompt(terms, parts),
        leverage=parts.without_prompt.score - panel.values.score,
        permutation_mean=None,
        permutation_p=None,
        mmd2=_mean(mmd2[parts.rows, parts.columns]) if samples > 1 else None,
        mmd_p=None,
        duplicates=summaries.duplicates,
        identical=all_identical(summaries),
    )


def _mean(values: Floats) -> float:
    """The mean of what is not nan; nan where nothing is left."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")


def _why_undefined(panel: Jackknifed) -> str | None:
    if panel.families < LEAST_FAMILIES:
        count = int(panel.families)
        return f"{count} families of prompts: a score needs at least {LEAST_FAMILIES}"
    room, error = float(panel.values.room), float(panel.room_error)
    if not np.isfinite(room + error):
        return "no two models share enough prompts"
    if room < LEAST_ROOM:
        return f"ceiling - floor is {room:.3f}, under {LEAST_ROOM}: agreement by chance is all"
    if room < LEAST_ERRORS * error:
        return (
            f"ceiling - floor is {room:.3f}, under three standard errors of {error:.3f}: "
            "too few prompts or samples to tell agreement from chance"
        )
    return None


def _own(terms: PairTerms, samples: int) -> Floats:
    """Each model's mean similarity to itself, shape (M,); nan where one sample a prompt."""
    sums = np.diagonal(terms.within).sum(axis=0)
    counts = np.diagonal(terms.replicated).sum(axis=0)
    own: Floats = np.full(len(counts), np.nan)
    if samples > 1:
        np.divide(sums, counts, out=own, where=counts > 0)
    return own


def _to_others(similarity: Floats) -> Floats:
    others = similarity.copy()
    np.fill_diagonal(others, np.nan)
    return np.array([_mean(row) for row in others])


def _mmd2(terms: PairTerms, samples: int) -> Floats:
    """Squared maximum mean discrepancy by pair (Gretton et al. 2012, eq. 3), shape (M, M)."""
    both = terms.replicated * terms.replicated.transpose(1, 0, 2)
    sums = ((terms.within + terms.within.transpose(1, 0, 2) - 2.0 * terms.between) * both).sum(2)
    counts = both.sum(axis=2)
    result: Floats = np.full(counts.shape, np.nan)
    if samples > 1:
        np.divide(sums, counts, out=result, where=counts > 0)
        np.fill_diagonal(result, 0.0)
    return result


def _matrices(parts: PanelJackknife, own: Floats, mmd2: Floats, confidence: float) -> PairMatrices:
    """Matrices of the pairs; a pair whose own score means nothing has nan for it."""
    values, error = parts.pairs.values, parts.pairs.room_error
    defined = (
        (parts.pairs.families >= LEAST_FAMILIES)
        & (values.room >= LEAST_ROOM)
        & (values.room >= LEAST_ERRORS * error)
    )
    low, high = parts.pairs.score_bounds(confidence)

    def matrix(by_pair: Floats, diagonal: Floats) -> Floats:
        full: Floats = np.full((len(own), len(own)), np.nan)
        full[parts.rows, parts.columns] = np.where(defined, by_pair, np.nan)
        full[parts.columns, parts.rows] = full[parts.rows, parts.columns]
        np.fill_diagonal(full, diagonal)
        return full

    nothing = np.full_like(own, np.nan)
    similarity, ceiling = parts.everywhere.similarity.copy(), parts.everywhere.ceiling.copy()
    np.fill_diagonal(similarity, own)
    np.fill_diagonal(ceiling, own)
    return PairMatrices(
        similarity=similarity,
        floor=parts.everywhere.floor,
        ceiling=ceiling,
        score=matrix(values.score, np.where(np.isfinite(own), 1.0, np.nan)),
        low=matrix(low, nothing),
        high=matrix(high, nothing),
        mmd2=mmd2,
    )


def _by_prompt(terms: PairTerms, parts: PanelJackknife) -> Floats:
    """Each prompt's mean similarity over the pairs that share it, shape (P,)."""
    sums = terms.between[parts.rows, parts.columns].sum(axis=0)
    counts = terms.shared[parts.rows, parts.columns].sum(axis=0)
    result: Floats = np.full(len(counts), np.nan)
    np.divide(sums, counts, out=result, where=counts > 0)
    return result


def all_identical(summaries: Summaries) -> bool:
    """Whether all responses of every prompt have the same features, up to rounding."""
    present = summaries.counts > 0
    means = summaries.sums / np.maximum(summaries.counts, 1)[:, :, None]
    spread = summaries.squares / np.maximum(summaries.counts, 1) - (means**2).sum(axis=2)
    first = np.argmax(present, axis=0)
    reference = means[first, np.arange(means.shape[1])]
    away = np.abs(means - reference).max(axis=2)
    return bool((~present | ((away < 1e-9) & (spread < 1e-9))).all())


def _reordered(
    result: GroupEstimate,
    summaries: Summaries,
    models: NDArray[np.intp],
    prompts: NDArray[np.intp],
) -> GroupEstimate:
    """The result in the caller's order of models and prompts."""
    model, prompt = np.argsort(models), np.argsort(prompts)
    grid = np.ix_(model, model)
    pairs = result.pairs
    return replace(
        result,
        models=summaries.models,
        prompts=summaries.prompts,
        own=result.own[model],
        to_others=result.to_others[model],
        by_prompt=result.by_prompt[prompt],
        leverage=result.leverage[prompt],
        pairs=PairMatrices(
            similarity=pairs.similarity[grid],
            floor=pairs.floor[grid],
            ceiling=pairs.ceiling[grid],
            score=pairs.score[grid],
            low=pairs.low[grid],
            high=pairs.high[grid],
            mmd2=pairs.mmd2[grid],
        ),
    )


def estimate_prompt(
    features: Mapping[str, NDArray[np.floating[Any]]],
    *,
    confidence: float = 0.95,
    seed: int = 0,
    resamples: int = 0,
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
    """
    blocks = {name: np.asarray(block, dtype=np.float64) for name, block in features.items()}
    summaries = Summaries.from_features(
        [[block] for block in blocks.values()], models=tuple(blocks), prompts=("prompt",)
    )
    counts = summaries.counts[:, 0]
    means = summaries.sums[:, 0] / np.maximum(counts, 1)[:, None]
    pairs = means @ means.T
    own = np.diagonal(terms_from_summaries(summaries).within[:, :, 0]).copy()
    own[counts < 2] = np.nan
    np.fill_diagonal(pairs, own)
    several = bool((counts > 1).any())
    return PromptEstimate(
        models=tuple(blocks),
        counts=counts,
        similarity=float(panel_similarity(means)),
        within=_mean(own) if several else None,
        pairs=pairs,
        interval=_prompt_interval(list(blocks.values()), confidence, seed, resamples)
        if several
        else None,
        identical=all_identical(summaries),
    )


def _prompt_interval(
    blocks: list[Floats], confidence: float, seed: int, resamples: int
) -> Interval:
    if resamples:
        return bootstrap_responses(blocks, level=confidence, resamples=resamples, seed=seed)
    return response_interval(blocks, level=confidence)
