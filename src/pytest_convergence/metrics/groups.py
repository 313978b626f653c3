"""From the jackknifed terms of a panel to the group's estimate."""

from __future__ import annotations

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from pytest_convergence.metrics.estimates import GroupEstimate, PairMatrices
from pytest_convergence.metrics.jackknife import Jackknifed, PanelJackknife, interval
from pytest_convergence.metrics.summaries import Floats, Ints
from pytest_convergence.metrics.terms import PairTerms

LEAST_FAMILIES = 4
LEAST_ROOM = 0.05
LEAST_ERRORS = 3.0


def usual_samples(counts: Ints) -> int:
    """The median count of usable responses of the model that has fewest; counts (M, P)."""
    medians = [np.median(row[row > 0]) for row in counts if (row > 0).any()]
    return int(min(medians, default=0))


def assemble(
    models: tuple[str, ...],
    prompts: tuple[str, ...],
    terms: PairTerms,
    parts: PanelJackknife,
    *,
    samples: int,
    confidence: float,
) -> GroupEstimate:
    """The estimate of a group from its terms and their jackknife; no permutations."""
    panel = parts.panel
    undefined = why_undefined(panel)
    own = _own(terms, samples)
    mmd2 = _mmd2(terms, samples)
    return GroupEstimate(
        models=models,
        prompts=prompts,
        families=int(panel.families),
        samples=samples,
        similarity=float(panel.values.similarity),
        similarity_interval=interval(panel.similarity_bounds(confidence), confidence),
        within=mean_of_known(own) if samples > 1 else None,
        floor=float(panel.values.floor),
        same_model_floor=mean_of_known(np.diagonal(parts.everywhere.floor)),
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
        mmd2=mean_of_known(mmd2[parts.rows, parts.columns]) if samples > 1 else None,
        mmd_p=None,
        duplicates=0,
        identical=False,
    )


def mean_of_known(values: Floats) -> float:
    """The mean of what is not nan; nan where nothing is left."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")


def why_undefined(panel: Jackknifed) -> str | None:
    """Why a score on this scale means nothing, or None: of the panel, or of one pair."""
    if panel.families < LEAST_FAMILIES:
        count = int(panel.families)
        return f"{count} families of prompts: a score needs at least {LEAST_FAMILIES}"
    room, error = float(panel.values.room), float(panel.room_error)
    if not np.isfinite(room + error):
        return "some models share too few prompts, or too few with two responses each"
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
    return np.array([mean_of_known(row) for row in others])


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


def reordered(
    result: GroupEstimate, models: NDArray[np.intp], prompts: NDArray[np.intp]
) -> GroupEstimate:
    """The result in the caller's order, which ``models`` and ``prompts`` had sorted."""
    model, prompt = np.argsort(models), np.argsort(prompts)
    grid = np.ix_(model, model)
    pairs = result.pairs
    return replace(
        result,
        models=tuple(result.models[m] for m in model),
        prompts=tuple(result.prompts[p] for p in prompt),
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
