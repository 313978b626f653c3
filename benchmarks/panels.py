"""Simulated panels whose population values are known: what the validity benchmark draws from."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pytest_convergence.metrics.summaries import Floats, Ints, Summaries


@dataclass(frozen=True)
class Truth:
    """Population values for several samples a prompt (``score``) and for one (``score_one``)."""

    similarity: float
    score: float
    score_one: float
    pair: float


class Population(Protocol):
    """Prompts, models and responses without end."""

    @property
    def models(self) -> int:
        """How many models answer."""
        ...

    def prompts(self, count: int, rng: np.random.Generator) -> Floats:
        """What each model tends to on ``count`` new prompts, shape (M, P, d)."""
        ...

    def responses(self, tendencies: Floats, samples: int, rng: np.random.Generator) -> Floats:
        """Features of responses, shape (M, P, n, d)."""
        ...

    def truth(self) -> Truth:
        """The population's values, from so many prompts that their error does not matter."""
        ...


def unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


@dataclass(frozen=True)
class Embeddings:
    """Unit vectors around a direction set by prompt, house style and model, in this order."""

    models: int = 4
    width: int = 16
    house: float = 0.3
    own: float = 0.7
    noise: float = 0.7

    def prompts(self, count: int, rng: np.random.Generator) -> Floats:
        """Directions before noise."""
        style = self.house * np.random.default_rng(1).normal(size=(self.models, 1, self.width))
        topic = rng.normal(size=(1, count, self.width))
        spread = self.own * np.exp(0.5 * rng.normal(size=(1, count, 1)))
        return topic + style + spread * rng.normal(size=(self.models, count, self.width))

    def responses(self, tendencies: Floats, samples: int, rng: np.random.Generator) -> Floats:
        """Noisy directions."""
        shape = (*tendencies.shape[:2], samples, self.width)
        return unit(tendencies[:, :, None] + self.noise * rng.normal(size=shape))

    def truth(self) -> Truth:
        """By 200,000 prompts."""
        rng = np.random.default_rng(99)
        draws = self.responses(self.prompts(200_000, rng), 2, rng)
        within = (draws[:, :, 0] * draws[:, :, 1]).sum(axis=-1).mean(axis=1)
        return _truth(draws.mean(axis=2), within)


@dataclass(frozen=True)
class Labels:
    """One label of ``kinds`` a response; on a share ``easy`` of prompts all models agree.

    ``peaked`` is how decided prompts are, ``own`` how far each model's odds stray from them and
    ``slip`` how often a response to an easy prompt has another label all the same.
    """

    models: int = 4
    kinds: int = 4
    peaked: float = 3.0
    own: float = 1.0
    easy: float = 0.0
    slip: float = 0.0

    def prompts(self, count: int, rng: np.random.Generator) -> Floats:
        """Chances of the labels."""
        odds = self.peaked * rng.normal(size=(1, count, self.kinds))
        odds = odds + self.own * rng.normal(size=(self.models, count, self.kinds))
        chances = np.exp(odds - odds.max(axis=-1, keepdims=True))
        chances /= chances.sum(axis=-1, keepdims=True)
        easy = rng.random(count) < self.easy
        agreed = np.full((count, self.kinds), self.slip / (self.kinds - 1))
        agreed[np.arange(count), rng.integers(self.kinds, size=count)] = 1.0 - self.slip
        chances[:, easy] = agreed[easy]
        return np.asarray(chances)

    def responses(self, tendencies: Floats, samples: int, rng: np.random.Generator) -> Floats:
        """One-hot labels."""
        steps = tendencies.cumsum(axis=-1)[:, :, None, :-1]
        labels = (rng.random((*tendencies.shape[:2], samples, 1)) > steps).sum(axis=-1)
        return np.asarray(np.eye(self.kinds)[labels])

    def truth(self) -> Truth:
        """By the chances on 400,000 prompts."""
        chances = self.prompts(400_000, np.random.default_rng(99))
        return _truth(chances, (chances**2).sum(axis=-1).mean(axis=1))


def _truth(means: Floats, within: Floats) -> Truth:
    centres = means.mean(axis=1)
    pairs = []
    for a, b in combinations(range(len(means)), 2):
        similarity = float((means[a] * means[b]).sum(axis=-1).mean())
        floor = float(centres[a] @ centres[b])
        pairs.append((similarity, floor, float(np.sqrt(within[a] * within[b]))))
    similarity, floor, ceiling = np.mean(pairs, axis=0)
    first = pairs[0]
    return Truth(
        float(similarity),
        float((similarity - floor) / (ceiling - floor)),
        float((similarity - floor) / (1.0 - floor)),
        (first[0] - first[1]) / (first[2] - first[1]),
    )


def draw(
    population: Population,
    rng: np.random.Generator,
    *,
    families: int,
    samples: tuple[int, ...],
    variants: int = 1,
    missing: float = 0.0,
) -> Summaries:
    """One study: ``variants`` prompts a family, counts that cycle through ``samples``."""
    prompts = families * variants
    tendencies = np.repeat(population.prompts(families, rng), variants, axis=1)
    features = population.responses(tendencies, max(samples), rng)
    places = np.arange(population.models)[:, None] + np.arange(prompts)
    counts: Ints = np.asarray(samples, dtype=np.int64)[places % len(samples)]
    counts = np.where(rng.random(counts.shape) < missing, 0, counts)
    features = features * (np.arange(max(samples)) < counts[..., None])[..., None]
    return Summaries(
        tuple(f"m{m}" for m in range(population.models)),
        tuple(f"p{p:04}" for p in range(prompts)),
        tuple(f"f{p // variants:04}" for p in range(prompts)),
        counts,
        features.sum(axis=2),
        (features**2).sum(axis=(2, 3)),
    )


def null_blocks(
    rng: np.random.Generator, *, models: int, prompts: int, samples: int, kind: str
) -> tuple[list[list[NDArray[np.float64]]], list[str]]:
    """Blocks [m][p] of models whose answers do not depend on the prompt, and families.

    ``kind`` is ``plain``, ``labels``, ``families`` (a third of the prompts alone, the others
    three to a family, alike within it), ``duplicates`` (every prompt twice, with the same
    responses) or ``missing`` (8 %).
    """
    width = 8
    families = [f"f{p:03}" for p in range(prompts)]
    if kind == "families":
        third = prompts // 3
        families = [f"f{p if p < third else third + (p - third) // 3:03}" for p in range(prompts)]
    if kind == "duplicates":
        families = [f"f{p % (prompts // 2):03}" for p in range(prompts)]
    blocks: list[list[NDArray[np.float64]]] = []
    for _ in range(models):
        centre = unit(rng.normal(size=width) + 0.8)
        tendency = {name: centre + 0.6 * rng.normal(size=width) for name in families}
        row: list[NDArray[np.float64]] = []
        for p, name in enumerate(families):
            if kind == "duplicates" and p >= prompts // 2:
                row.append(row[p - prompts // 2])
                continue
            size = 0 if kind == "missing" and rng.random() < 0.08 else samples
            draws = tendency[name] + 0.6 * rng.normal(size=(size, width))
            row.append(np.eye(width)[draws.argmax(axis=1)] if kind == "labels" else unit(draws))
        blocks.append(row)
    return blocks, families


def same_blocks(
    rng: np.random.Generator, *, models: int, prompts: int, samples: int, kind: str
) -> tuple[list[list[NDArray[np.float64]]], list[str]]:
    """Blocks of models that are one and the same on every prompt, and families; kinds as above."""
    width = 6
    families = [f"f{p:03}" for p in range(prompts)]
    if kind == "families":
        families = [f"f{p // 3:03}" for p in range(prompts)]
    if kind == "duplicates":
        families = [f"f{p % (prompts // 2):03}" for p in range(prompts)]
    topics = {name: rng.normal(size=width) for name in families}
    blocks: list[list[NDArray[np.float64]]] = []
    for _ in range(models):
        row: list[NDArray[np.float64]] = []
        for p, name in enumerate(families):
            if kind == "duplicates" and p >= prompts // 2:
                row.append(row[p - prompts // 2])
                continue
            size = 0 if kind == "missing" and rng.random() < 0.08 else samples
            draws = topics[name] + rng.normal(size=(size, width))
            row.append(np.eye(width)[draws.argmax(axis=1)] if kind == "labels" else unit(draws))
        blocks.append(row)
    return blocks, families
