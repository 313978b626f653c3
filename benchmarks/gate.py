"""How often the gate cries wolf, and how often it misses one, next to the rules people use.

A suite has 10 groups of 30 prompts; 5 models answer each 5 times. Groups differ in how steady
their models are, in how many answers a prompt has, and in their kernel: labels (one-hot) or unit
vectors (as of an embedder).

- *False alarms*: the suite is recorded, and an unchanged panel records it again. Any group called
  regressed fails the suite.
- *Power*: between the two recordings one model gets other favourite answers on a share of the
  prompts of one group, which is looked for at the same, suite-wide corrected level.

The package's own estimand and decision are timed and counted; only the pytest item around them is
left out. The rival rules, as evaluation tools apply them to the mean over prompts of a group:

- *below the baseline's mean*: fail where the new mean is lower at all;
- *threshold on the mean*: fail where it is more than .05 lower;
- *two standard errors*: fail where it lies below the old mean by two standard errors of the new.

Usage: ``python benchmarks/gate.py [--quick]``. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass

import numpy as np
from common import rules_figures, rules_table
from numpy.typing import NDArray

from pytest_convergence.metrics.summaries import Summaries
from pytest_convergence.stats.gating import Recording, look

Floats = NDArray[np.float64]

GROUPS, PROMPTS, SAMPLES, MODELS = 10, 30, 5, 5
SMALLEST_EFFECT = 0.05
SHARES = tuple(round(0.1 * step, 1) for step in range(1, 10))
NAMES = tuple(f"model-{index}" for index in range(MODELS))
IDS = tuple(f"prompt-{index:02}" for index in range(PROMPTS))
RULES = ("gate", "below_mean", "threshold_on_mean", "two_standard_errors")


@dataclass(frozen=True)
class Group:
    """The true distribution of each model's answers, (M, P, A), and each answer's features."""

    probabilities: Floats
    features: Floats


def make_group(kind: int, rng: np.random.Generator) -> Group:
    """Models that mostly share favourite answers, of a steadiness that differs by group."""
    answers = (3, 4, 6, 10)[kind % 4]
    favourites = rng.integers(answers, size=PROMPTS)
    own = rng.integers(answers, size=(MODELS, PROMPTS))
    follows = rng.random((MODELS, PROMPTS)) < (0.95, 0.85, 0.75)[kind % 3]
    chosen = np.where(follows, favourites, own)
    steadiness = rng.uniform(*((0.3, 0.8), (0.5, 0.95), (0.8, 1.0))[kind % 3], (MODELS, PROMPTS, 1))
    rest = rng.dirichlet(np.full(answers, 0.6), size=(MODELS, PROMPTS))
    probabilities = steadiness * np.eye(answers)[chosen] + (1 - steadiness) * rest
    return Group(probabilities, _features(kind, answers, rng))


def _features(kind: int, answers: int, rng: np.random.Generator) -> Floats:
    """By prompt and answer, (P, A, d): labels, or unit vectors with a topic in common."""
    if kind % 5 < 3:
        return np.broadcast_to(np.eye(answers), (PROMPTS, answers, answers))
    vectors = rng.normal(size=(PROMPTS, 1, 48)) + rng.normal(size=(PROMPTS, answers, 48))
    vectors += 0.5 * rng.normal(size=48)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=2, keepdims=True))


def changed(group: Group, share: float, rng: np.random.Generator) -> Group:
    """The same panel after one model's answers have moved on to others on some prompts."""
    probabilities = group.probabilities.copy()
    model = int(rng.integers(MODELS))
    prompts = rng.choice(PROMPTS, size=round(share * PROMPTS), replace=False)
    probabilities[model, prompts] = np.roll(probabilities[model, prompts], 1, axis=1)
    return Group(probabilities, group.features)


def record(group: Group, rng: np.random.Generator) -> Recording:
    """Draw every response of a group anew, and estimate."""
    edges = group.probabilities.cumsum(axis=2)[:, :, None, :]
    answers = (rng.random((MODELS, PROMPTS, SAMPLES, 1)) > edges).sum(axis=3)
    answers = answers.clip(0, group.probabilities.shape[2] - 1)
    drawn = group.features[np.arange(PROMPTS)[None, :, None], answers]
    squares = np.einsum("mpnd,mpnd->mp", drawn, drawn)
    counts = np.full((MODELS, PROMPTS), SAMPLES, dtype=np.int64)
    summaries = Summaries(NAMES, IDS, IDS, counts, drawn.sum(axis=2), squares)
    return Recording.of(summaries, drawn, samples=SAMPLES)


def by_prompt(recording: Recording) -> Floats:
    """Each prompt's mean similarity: what the rival rules average."""
    means = recording.summaries.sums / SAMPLES
    total = (means.sum(axis=0) ** 2).sum(axis=1) - (means**2).sum(axis=(0, 2))
    return np.asarray(total / (MODELS * (MODELS - 1)))


def fails(before: Recording, after: Recording) -> dict[str, bool]:
    """Which rules call the group regressed."""
    found = look(
        before,
        after,
        redrawn=[True] * MODELS,
        quantity="score",
        direction="converges",
        smallest_effect=SMALLEST_EFFECT,
        groups=GROUPS,
        alpha=0.05,
        seed=1,
    )
    old, new = by_prompt(before), by_prompt(after)
    fall = float(old.mean() - new.mean())
    return {
        "gate": found.movement == "regressed",
        "below_mean": fall > 0,
        "threshold_on_mean": fall > 0.05,
        "two_standard_errors": fall > 2 * new.std(ddof=1) / np.sqrt(PROMPTS),
    }


def false_alarms(suites: int, rng: np.random.Generator) -> dict[str, float]:
    """Share of re-recordings of an unchanged suite that fail, by rule."""
    failed = dict.fromkeys(RULES, 0)
    for trial in range(suites):
        if trial % 10 == 0:
            groups = [make_group(kind, rng) for kind in range(GROUPS)]
        found = [fails(record(group, rng), record(group, rng)) for group in groups]
        for rule in RULES:
            failed[rule] += any(one[rule] for one in found)
    return {rule: count / suites for rule, count in failed.items()}


def power(share: float, trials: int, rng: np.random.Generator) -> dict[str, float]:
    """Share of changes that are caught in the group where they happened, by rule."""
    caught = dict.fromkeys(RULES, 0)
    for trial in range(trials):
        group = make_group(trial % GROUPS, rng)
        found = fails(record(group, rng), record(changed(group, share, rng), rng))
        for rule in RULES:
            caught[rule] += found[rule]
    return {rule: count / trials for rule, count in caught.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer trials, under 45 s")
    quick = parser.parse_args().quick
    suites, trials = (300, 150) if quick else (1000, 1000)
    rng = np.random.default_rng(20261121)
    begun = time.perf_counter()
    alarms = false_alarms(suites, rng)
    curve = {share: power(share, trials, rng) for share in SHARES}
    print(f"{GROUPS} groups x {PROMPTS} prompts x {SAMPLES} samples x {MODELS} models")
    print(
        f"{suites} re-recordings, {trials} changes a share, {time.perf_counter() - begun:.0f} s\n"
    )
    by_share = {str(share): row for share, row in curve.items()}
    rules_table(RULES, {"none (false alarms)": alarms, **by_share})
    result = {**rules_figures(RULES, alarms, curve), "suites": suites, "trials": trials}
    print(f"\n{json.dumps(result)}")


if __name__ == "__main__":
    main()
