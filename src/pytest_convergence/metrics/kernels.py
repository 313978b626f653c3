"""Kernels that are only a function of two responses: no features, hence no sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

import numpy as np
from msgspec.structs import replace
from numpy.typing import ArrayLike, NDArray

from pytest_convergence.metrics.estimates import GroupEstimate
from pytest_convergence.metrics.groups import assemble, reordered, usual_samples
from pytest_convergence.metrics.jackknife import jackknife_panel
from pytest_convergence.metrics.summaries import Floats, Ints
from pytest_convergence.metrics.terms import PairTerms, family_starts

Item = TypeVar("Item")
Kernel: TypeAlias = Callable[[Sequence[Item], Sequence[Item]], ArrayLike]


def estimate_kernel(
    kernel: Kernel[Item],
    responses: Sequence[Sequence[Sequence[Item]]],
    *,
    models: Sequence[str],
    prompts: Sequence[str],
    families: Sequence[str] | None = None,
    confidence: float = 0.95,
    partners: int = 16,
) -> GroupEstimate:
    """Convergence of a panel under any symmetric kernel, one prompt at a time.

    The same estimand and the same jackknife as ``estimate_group``. Only the floor is from a
    subset: each prompt meets about ``partners`` others, at even steps around the sorted circle of
    prompts, with each model's first response. There is no permutation test.

    Parameters
    ----------
    kernel
        Two sequences of n and m responses to an array of similarities, shape (n, m). Symmetric
        and positive semi-definite, or scores above 1 may come out.
    responses
        ``responses[m][p]``: the usable responses of model m to prompt p.
    families
        For each prompt the name of its family; a prompt without variants is its own.
    partners
        At least 1; ``len(prompts)`` or more takes every pair of prompts.

    Raises
    ------
    ValueError
        Where the kernel's array has the wrong shape or is not finite.
    """
    family = tuple(families or prompts)
    model_order = np.array(sorted(range(len(models)), key=models.__getitem__), dtype=np.intp)
    prompt_order = np.array(
        sorted(range(len(prompts)), key=lambda p: (family[p], prompts[p])), dtype=np.intp
    )
    ordered = [[responses[m][p] for p in prompt_order] for m in model_order]
    sorted_families = tuple(family[p] for p in prompt_order)
    counts = np.array([[len(cell) for cell in row] for row in ordered], dtype=np.int64)
    terms, identical = _terms(kernel, ordered, counts, sorted_families, partners)
    samples = usual_samples(counts)
    parts = jackknife_panel(terms, family_starts(sorted_families), replicated=samples > 1)
    result = assemble(
        tuple(models[m] for m in model_order),
        tuple(prompts[p] for p in prompt_order),
        terms,
        parts,
        samples=samples,
        confidence=confidence,
    )
    return reordered(replace(result, identical=identical), model_order, prompt_order)


def _terms(
    kernel: Kernel[Item],
    responses: Sequence[Sequence[Sequence[Item]]],
    counts: Ints,
    families: tuple[str, ...],
    partners: int,
) -> tuple[PairTerms, bool]:
    present = (counts > 0).astype(np.float64)
    models, prompts = counts.shape
    between = np.zeros((models, models, prompts))
    within = np.zeros((models, prompts))
    top, least, identical = 0.0, np.inf, True
    for p in range(prompts):
        pooled = [item for row in responses for item in row[p]]
        gram = _gram(kernel, pooled, pooled)
        owner = np.repeat(np.arange(models), counts[:, p])
        weights = (owner == np.arange(models)[:, None]) / np.maximum(counts[:, p], 1)[:, None]
        between[:, :, p] = weights @ gram @ weights.T
        self_pairs = weights @ np.diagonal(gram)
        size = np.maximum(counts[:, p], 2)
        within[:, p] = (size * np.diagonal(between[:, :, p]) - self_pairs) / (size - 1)
        top = max(top, float(np.diagonal(gram).max(initial=0.0)))
        least = min(least, float(gram.min(initial=np.inf)))
        identical &= bool((gram >= np.diagonal(gram)[:, None] - 1e-9).all())
    shared = present[:, None, :] * present[None, :, :]
    cross, met = _cross(kernel, responses, shared, families, partners)
    replicated = (counts > 1).astype(np.float64)
    known = replicated[:, None, :] * shared
    terms = PairTerms(
        shared,
        between * shared,
        cross,
        met,
        within[:, None, :] * known,
        known,
        top=top or 1.0,
        least=0.0 if least >= 0 else -(top or 1.0),
    )
    return terms, identical


def _cross(
    kernel: Kernel[Item],
    responses: Sequence[Sequence[Sequence[Item]]],
    shared: Floats,
    families: tuple[str, ...],
    partners: int,
) -> tuple[Floats, Floats]:
    """Each prompt's sum of similarities to its partners, and their number, (M, M, P)."""
    cross, met = np.zeros_like(shared), np.zeros_like(shared)
    for i, j in _partners(families, partners):
        rows = [m for m, row in enumerate(responses) if len(row[i])]
        columns = [m for m, row in enumerate(responses) if len(row[j])]
        block = np.zeros(shared.shape[:2])
        block[np.ix_(rows, columns)] = _gram(
            kernel, [responses[m][i][0] for m in rows], [responses[m][j][0] for m in columns]
        )
        both = shared[:, :, i] * shared[:, :, j]
        cross[:, :, i] += block * both
        cross[:, :, j] += block.T * both
        met[:, :, i] += both
        met[:, :, j] += both
    return cross, met


def _partners(families: tuple[str, ...], partners: int) -> list[tuple[int, int]]:
    """Unordered pairs of prompts of different families, at even steps around the circle."""
    count = len(families)
    steps = np.unique(np.linspace(1, max(count // 2, 1), max(partners // 2, 1)).round())
    pairs = {
        (min(i, j), max(i, j))
        for step in steps.astype(int)
        for i in range(count)
        for j in ((i + int(step)) % count,)
    }
    return sorted((i, j) for i, j in pairs if families[i] != families[j])


def _gram(kernel: Kernel[Item], one: Sequence[Item], other: Sequence[Item]) -> NDArray[np.float64]:
    if not one or not other:
        return np.zeros((len(one), len(other)))
    gram = np.asarray(kernel(one, other), dtype=np.float64)
    if gram.shape != (len(one), len(other)) or not np.isfinite(gram).all():
        raise ValueError(
            f"the kernel gave an array of shape {gram.shape} for {len(one)} by {len(other)} "
            "responses, or values that are not finite"
        )
    return gram
