"""How often the gate on rates cries wolf, and how often it misses one, next to others' rules.

A suite has 10 groups of 30 prompts; 5 models answer each 5 times, and an answer passes or does not.
Groups differ in how their models fare: erratic, steady, nearly perfect, or passing rarely; in some,
half of the prompts always or never pass.

- *False alarms*: the suite is recorded, and an unchanged panel records it again. Any group whose
  rate is called regressed fails the suite.
- *Power*: between the two recordings one model comes to pass a third as often on a share of the
  prompts of one group, which is looked for at the same, suite-wide corrected level.

The rival rules, as evaluation tools apply them to the pass rate of a group: fail where it is lower
at all, more than .05 lower, or lower by two binomial standard errors of the new one.

Usage: ``python benchmarks/gate_rates.py [--quick]``. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
from common import rules_figures, rules_table
from numpy.typing import NDArray

from pytest_convergence.stats.rate_gating import RateCounts, RatePair, look_at_rates

Floats = NDArray[np.float64]

GROUPS, PROMPTS, SAMPLES, MODELS = 10, 30, 5, 5
SMALLEST_EFFECT = 0.05
SHARES = tuple(round(0.1 * step, 1) for step in range(1, 10))
IDS = tuple(f"prompt-{index:02}" for index in range(PROMPTS))
KINDS = ((0.3, 0.9), (0.8, 1.0), (0.97, 1.0), (0.0, 0.2))
RULES = ("gate", "below_rate", "threshold_on_rate", "two_standard_errors")


def make_group(kind: int, rng: np.random.Generator) -> Floats:
    """How often each model passes each prompt, shape (M, P)."""
    rates = rng.uniform(*KINDS[kind % len(KINDS)], (MODELS, PROMPTS))
    if kind % 3 == 0:
        rates = np.where(rng.random(rates.shape) < 0.5, np.round(rates), rates)
    return rates


def changed(rates: Floats, share: float, rng: np.random.Generator) -> Floats:
    """The same panel after one model has come to pass a third as often on some prompts."""
    after = rates.copy()
    prompts = rng.choice(PROMPTS, size=round(share * PROMPTS), replace=False)
    after[int(rng.integers(MODELS)), prompts] /= 3.0
    return after


def record(rates: Floats, samples: int, rng: np.random.Generator) -> RateCounts:
    """Draw every answer of a group anew."""
    return RateCounts(rng.binomial(samples, rates), np.full(rates.shape, samples))


def fails(before: RateCounts, after: RateCounts, samples: int) -> dict[str, bool]:
    """Which rules call the group regressed."""
    pair = RatePair(before, after, IDS, [True] * MODELS, [samples == 1] * MODELS)
    found = look_at_rates(
        pair,
        direction="at_least",
        smallest_effect=SMALLEST_EFFECT,
        groups=GROUPS,
        alpha=0.05,
        seed=1,
    )
    old, new = (side.passed.sum() / side.usable.sum() for side in (before, after))
    error = np.sqrt(new * (1.0 - new) / after.usable.sum())
    return {
        "gate": found.movement == "regressed",
        "below_rate": bool(new < old),
        "threshold_on_rate": bool(new < old - 0.05),
        "two_standard_errors": bool(new < old - 2.0 * error),
    }


def false_alarms(suites: int, samples: int, rng: np.random.Generator) -> dict[str, float]:
    """Share of re-recordings of an unchanged suite that fail, by rule."""
    failed = dict.fromkeys(RULES, 0)
    for _ in range(suites):
        groups = [make_group(kind, rng) for kind in range(GROUPS)]
        found = [fails(*(record(g, samples, rng) for _ in range(2)), samples) for g in groups]
        for rule in RULES:
            failed[rule] += any(one[rule] for one in found)
    return {rule: count / suites for rule, count in failed.items()}


def power(share: float, trials: int, rng: np.random.Generator) -> dict[str, float]:
    """Share of changes that are caught in the group where they happened, by rule."""
    caught = dict.fromkeys(RULES, 0)
    for trial in range(trials):
        rates = make_group(trial % 3, rng)  # where models pass rarely, a third of it is no fall
        after = record(changed(rates, share, rng), SAMPLES, rng)
        found = fails(record(rates, SAMPLES, rng), after, SAMPLES)
        for rule in RULES:
            caught[rule] += found[rule]
    return {rule: count / trials for rule, count in caught.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer trials, under 45 s")
    quick = parser.parse_args().quick
    suites, trials = (100, 100) if quick else (1000, 1000)
    rng = np.random.default_rng(20261121)
    begun = time.perf_counter()
    alarms = false_alarms(suites, SAMPLES, rng)
    single = false_alarms(suites, 1, rng)
    curve = {share: power(share, trials, rng) for share in SHARES}
    print(f"{GROUPS} groups x {PROMPTS} prompts x {SAMPLES} samples x {MODELS} models")
    print(
        f"{suites} re-recordings, {trials} changes a share, {time.perf_counter() - begun:.0f} s\n"
    )
    unchanged = {"none (false alarms)": alarms, "none, one sample a prompt": single}
    rules_table(RULES, {**unchanged, **{str(share): row for share, row in curve.items()}})
    result = {
        **rules_figures(RULES, alarms, curve),
        "false_alarm_one_sample": single["gate"],
        "suites": suites,
        "trials": trials,
    }
    print(f"\n{json.dumps(result)}")


if __name__ == "__main__":
    main()
