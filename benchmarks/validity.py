"""Do the intervals cover and do the tests keep their level? Simulation with fixed seeds.

    python benchmarks/validity.py [--quick]

Each line is one kind of study, drawn again and again from a population whose values are known:
the share of its 95 % intervals that hold the true value (coverage), their mean width, and the
share of studies whose score is undefined, which coverage leaves out. Then the share of tests that
reject at a nominal 5 % where there is nothing to find.

``coverage_min`` and ``coverage_max`` are over the lines of the first table: 20 and 100 families of
prompts, 2 to 50 samples. ``coverage_min_hard`` is over the second: five prompts, labels near
unanimity, one prompt. ``level_min`` is over tests from 20 prompts on, ``level_max`` over all.
``--quick`` draws fewer studies: its figures are within three Monte Carlo errors, which are printed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace
from panels import (
    Embeddings,
    Labels,
    Population,
    Truth,
    draw,
    null_blocks,
    same_blocks,
)

from pytest_convergence.metrics.convergence import estimate_prompt
from pytest_convergence.metrics.groups import usual_samples, why_undefined
from pytest_convergence.metrics.jackknife import Jackknifed, jackknife_panel
from pytest_convergence.metrics.summaries import Floats, Summaries
from pytest_convergence.metrics.terms import PairValues, family_starts, terms_from_summaries
from pytest_convergence.stats.permutation import (
    prompt_permutation,
    prompt_permutation_pairs,
    same_model_test,
)

LEVEL = 0.95


@dataclass(frozen=True)
class Study:
    """What is drawn again and again."""

    name: str
    population: Population
    families: int
    samples: tuple[int, ...]
    variants: int = 1
    missing: float = 0.0


@dataclass(frozen=True)
class Coverage:
    """How often one quantity's interval held the true value."""

    study: Study
    quantity: str
    share: float
    width: float
    undefined: float
    count: int

    @property
    def error(self) -> float:
        """Monte Carlo standard error at the nominal level."""
        return float(np.sqrt(0.05 * 0.95 / max(self.count, 1)))


EMBEDDINGS, PAIR = Embeddings(), Embeddings(models=2)
LABELS = Labels()
SURE = Labels(easy=0.95)
SLIPS = Labels(models=5, kinds=3, easy=0.9, slip=0.002)
TWO_SURE = Labels(models=2, easy=0.97, slip=0.001)

ORDINARY: list[tuple[str, Population]] = [
    ("embeddings", EMBEDDINGS),
    ("embeddings, 2 models", PAIR),
    ("labels", LABELS),
]
UNANIMOUS: list[tuple[str, Population]] = [
    ("near unanimity", SURE),
    ("near unanimity, slips", SLIPS),
    ("near unanimity, 2 models", TWO_SURE),
]
REGULAR = [
    Study(name, population, families, samples)
    for families in (20, 100)
    for name, population in ORDINARY
    for samples in ((2,), (2, 5, 3), (10,), (50,))
] + [
    Study("embeddings, families of 3", EMBEDDINGS, 20, (3,), variants=3),
    Study("labels, families of 3", LABELS, 20, (3,), variants=3),
    Study("embeddings, 8 % missing", EMBEDDINGS, 30, (3,), missing=0.08),
]
HARD = [
    Study(name, population, families, samples)
    for families, kinds in ((5, ORDINARY), (5, UNANIMOUS), (20, UNANIMOUS), (100, UNANIMOUS))
    for name, population in kinds
    for samples in ((2,), (10,))
]
QUICK_REGULAR = [
    study
    for study in REGULAR
    if study.samples in ((2,), (2, 5, 3), (50,), (3,)) and "2 models" not in study.name
]
QUICK_HARD = [study for study in HARD if study.samples == (2,)]
KINDS = ("plain", "labels", "families", "duplicates", "missing")


def coverages(study: Study, truth: Truth, count: int, seed: int) -> Iterator[Coverage]:
    """Coverage of the panel's score and similarity and of the first pair's score."""
    rng = np.random.default_rng(seed)
    panels, pairs, defined = [], [], []
    for _ in range(count):
        summaries = draw(
            study.population,
            rng,
            families=study.families,
            samples=study.samples,
            variants=study.variants,
            missing=study.missing,
        )
        terms = terms_from_summaries(summaries)
        replicated = usual_samples(summaries.counts) > 1
        parts = jackknife_panel(terms, family_starts(summaries.families), replicated=replicated)
        first = _first(parts.pairs)
        panels.append(parts.panel)
        pairs.append(first)
        defined.append((why_undefined(parts.panel) is None, why_undefined(first) is None))
    whole, pair = stacked(panels), stacked(pairs)
    known = np.array(defined).T
    everywhere = np.ones(count, dtype=bool)
    for quantity, value, bounds, kept in (
        ("score", truth.score, whole.score_bounds(LEVEL), known[0]),
        ("pair", truth.pair, pair.score_bounds(LEVEL), known[1]),
        ("similarity", truth.similarity, whole.similarity_bounds(LEVEL), everywhere),
    ):
        low, high = bounds[0][kept], bounds[1][kept]
        assert (high - low > 0).all()
        held = (low - 1e-9 <= value) & (value <= high + 1e-9)
        size = int(kept.sum())
        yield Coverage(
            study,
            quantity,
            float(held.mean()) if size else float("nan"),
            float((high - low).mean()) if size else float("nan"),
            1.0 - size / count,
            size,
        )


def stacked(parts: Sequence[Jackknifed]) -> Jackknifed:
    """Many studies' panels as if they were pairs: their bounds then take one call."""

    def stack(values: Iterable[PairValues]) -> PairValues:
        rows = list(values)
        return PairValues(
            np.stack([row.similarity for row in rows]),
            np.stack([row.floor for row in rows]),
            np.stack([row.ceiling for row in rows]),
        )

    return Jackknifed(
        stack(part.values for part in parts),
        stack(part.without for part in parts),
        np.stack([part.counted for part in parts]),
        np.stack([part.agreement for part in parts]),
        parts[0].top,
        parts[0].least,
    )


def _first(pairs: Jackknifed) -> Jackknifed:
    def row(values: PairValues) -> PairValues:
        return PairValues(values.similarity[0], values.floor[0], values.ceiling[0])

    return replace(
        pairs,
        values=row(pairs.values),
        without=row(pairs.without),
        counted=pairs.counted[0],
        agreement=pairs.agreement[0],
    )


def prompt_coverages(count: int) -> Iterator[Coverage]:
    """Coverage of one prompt's similarity over new responses to it."""
    kinds: list[tuple[str, Population]] = [("labels", LABELS), *UNANIMOUS[:2]]
    for name, population in kinds:
        for samples in ((2,), (5,), (3, 5, 2, 4, 6), (20,)):
            rng = np.random.default_rng(7)
            held, width = 0, 0.0
            for _ in range(count):
                chances = population.prompts(1, rng)
                draws = population.responses(chances, max(samples), rng)[:, 0]
                sizes = np.resize(samples, population.models)
                features = {str(m): draws[m, : sizes[m]] for m in range(population.models)}
                found = estimate_prompt(features, confidence=LEVEL).interval
                assert found is not None
                assert found.high > found.low
                tables: Floats = chances[:, 0] @ chances[:, 0].T
                value = tables[np.triu_indices(population.models, 1)].mean()
                held += bool(found.low - 1e-9 <= value <= found.high + 1e-9)
                width += found.high - found.low
            study = Study(f"one prompt, {name}", population, 1, samples)
            yield Coverage(study, "similarity", held / count, width / count, 0.0, count)


def levels(count: int, sizes: Sequence[int]) -> Iterator[tuple[str, int, float]]:
    """Name, families and share of rejections at 5 % of each test where nothing is to be found."""
    for prompts in sizes:
        for kind in KINDS:
            rng, hits, any_pair = np.random.default_rng(11), 0, 0
            times = count if prompts < 100 else count // 2
            for seed in range(times):
                blocks, families = null_blocks(rng, models=3, prompts=prompts, samples=2, kind=kind)
                summaries = summarised(blocks, families)
                test = prompt_permutation(summaries, permutations=99, seed=seed)
                assert test is not None
                hits += test.p <= 0.05
                pairs = prompt_permutation_pairs(summaries, permutations=99, seed=seed)
                any_pair += bool(np.nanmin(pairs.adjusted) <= 0.05)
            units = len(set(families))
            yield f"prompts within models, {kind}", units, hits / times
            yield f"any pair, max-T, {kind}", units, any_pair / times
    for prompts in (6, 20):
        for kind in KINDS:
            rng, hits = np.random.default_rng(12), 0
            for seed in range(count):
                blocks, families = same_blocks(rng, models=2, prompts=prompts, samples=4, kind=kind)
                test = same_model_test(blocks, families=families, permutations=99, seed=seed)
                assert test is not None
                hits += test.p <= 0.05
            yield f"same model (MMD), {kind}", len(set(families)), hits / count


def summarised(blocks: list[list[Floats]], families: Sequence[str]) -> Summaries:
    """Summaries with prompts sorted by family, as the permutation tests want them."""
    order = sorted(range(len(families)), key=lambda p: families[p])
    return Summaries.from_features(
        [[row[p] for p in order] for row in blocks],
        models=[f"m{m}" for m in range(len(blocks))],
        prompts=[f"p{p:03}" for p in order],
        families=[families[p] for p in order],
    )


def table(title: str, studies: Sequence[Study], count: int) -> list[Coverage]:
    print(f"\n{title}")
    print(
        f"{'':28}{'prompts':>8}{'samples':>9}  {'quantity':12}{'cover':>7}{'width':>7}{'undef':>7}"
    )
    truths: dict[Population, Truth] = {}
    found: list[Coverage] = []
    for seed, study in enumerate(studies):
        if study.population not in truths:
            truths[study.population] = study.population.truth()
        for row in coverages(study, truths[study.population], count, seed):
            found.append(row)
            show(row)
    return found


def show(row: Coverage) -> None:
    samples = ",".join(map(str, row.study.samples))
    print(
        f"{row.study.name:28}{row.study.families:8}{samples:>10}  {row.quantity:12}"
        f"{row.share:7.3f}{row.width:7.3f}{row.undefined:7.2f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer studies, in under 45 s")
    quick = parser.parse_args().quick
    start = time.perf_counter()
    count = 400 if quick else 2000
    regular = table("20 prompts and more", QUICK_REGULAR if quick else REGULAR, count)
    hard = table("Few prompts, near unanimity", QUICK_HARD if quick else HARD, count)
    print("\nOne prompt, over new responses")
    for row in prompt_coverages(100 if quick else 1000):
        hard.append(row)
        show(row)
    print("\nTests at 5 % under the null")
    rates = []
    for name, units, share in levels(400 if quick else 2000, (12, 30) if quick else (12, 30, 120)):
        rates.append((units, share))
        print(f"{name:40}{units:8}{share:9.3f}", flush=True)
    # A share known from fewer than 100 defined studies is printed and not judged.
    judged = [row.share for row in regular if row.count >= 100]
    figures = {
        "coverage_min": round(min(judged), 4),
        "coverage_max": round(max(judged), 4),
        "coverage_min_hard": round(min(row.share for row in hard if row.count >= 100), 4),
        "level_min": round(min(share for units, share in rates if units >= 20), 4),
        "level_max": round(max(share for _, share in rates), 4),
        "monte_carlo_error": round(Coverage(REGULAR[0], "", 0, 0, 0, count).error, 4),
        "seconds": round(time.perf_counter() - start, 1),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
