"""Before and after, prompt by prompt: did a labelled rate change, and which model's?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pytest_convergence.baseline.decision import (
    ALPHA,
    LEAST_SHIFT,
    Decision,
    ModelMove,
    OldAndNew,
    most_moved,
)
from pytest_convergence.baseline.legality import Shared, compared
from pytest_convergence.baseline.sides import JUDGED_OTHERWISE, Sides, counted, sides_of
from pytest_convergence.stats.change import distribution_shift
from pytest_convergence.stats.rate_gating import RateCounts, RatePair, look_at_rates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_convergence.baseline.rate_blocks import RateBlock
    from pytest_convergence.metrics.summaries import Floats
    from pytest_convergence.results import Bound
    from pytest_convergence.stats.change import Change
    from pytest_convergence.stats.gating import Look


@dataclass(frozen=True)
class RateRule:
    """By what the gate decides on a rate; see `decision.Rule`.

    ``bound`` is what the marker asks: where it is ``at_least``, a fall is the regression.
    ``smallest_effect`` is a difference of rates: .05 are five percentage points.
    """

    bound: Bound
    counted: str
    smallest_effect: float
    groups: int
    seed: int

    def for_the_worse(self, change: Change) -> float:
        """The p value of a change for the worse."""
        return change.falling if self.bound == "at_least" else change.rising


def compare_rates(
    before: RateBlock | None, after: RateBlock, *, families: Mapping[str, str], rule: RateRule
) -> Decision:
    """Compare one group's rates with their block in the baseline.

    Parameters
    ----------
    before
        None where the baseline does not have it.
    families
        By prompt id of ``after``.
    """
    if before is None:
        reason = "the baseline does not have this group's rate"
        return Decision("new", reason, quantity="rate", prompts=len(after.group.cases))
    old = before

    def decide(_: object, shared: Shared) -> Decision | str:
        if old.values != after.values:
            return f"the rate was of {_named(old)}, now it is of {_named(after)}"
        sides = sides_of(old.group, after.group, shared, None, families)
        if isinstance(sides, str):
            return sides
        hits = _hits(old, after, shared, sides)
        same = (hits[0].passed == hits[1].passed) & (hits[0].usable == hits[1].usable)
        for model, anew, alike in zip(sides.before.models, sides.redrawn, same, strict=True):
            if not anew and not alike.all():
                return JUDGED_OTHERWISE.format(model=model)
        return _decide(sides, _pair(old, after, sides, hits), rule)

    decision = compared(old.group, after.group, decide)
    return replace(decision, quantity="rate", counted=rule.counted)


def _named(block: RateBlock) -> str:
    return "right answers" if block.values is None else " or ".join(block.values)


def _hits(
    before: RateBlock, after: RateBlock, shared: Shared, sides: Sides
) -> tuple[RateCounts, RateCounts]:
    """Passing and usable answers on each side, in the order of ``sides``."""
    formerly = {new: old for old, new in shared.pairs}

    def counts(block: RateBlock, prompts: Sequence[str]) -> RateCounts:
        hits = np.array([[block.hits[p][model] for p in prompts] for model in sides.after.models])
        return RateCounts(hits[:, :, 0], hits[:, :, 1])

    now = sides.after.prompts
    return counts(before, [formerly[prompt] for prompt in now]), counts(after, now)


def _pair(
    before: RateBlock, after: RateBlock, sides: Sides, hits: tuple[RateCounts, RateCounts]
) -> RatePair:
    single = min(before.group.samples, after.group.samples) < 2
    by_families = [
        single or before.group.models[name].copies or after.group.models[name].copies
        for name in sides.after.models
    ]
    return RatePair(*hits, sides.after.families, sides.redrawn, by_families)


def _decide(sides: Sides, pair: RatePair, rule: RateRule) -> Decision | str:
    rates, models = pair.rates(), len(sides.redrawn)
    known = np.isfinite(rates[0])
    if not known.any():
        return "no model has a usable answer to the same prompt before and after"
    same = Decision(
        "unchanged",
        before=float(rates[0][known].mean()),
        after=float(rates[1][known].mean()),
        direction=rule.bound,
        smallest_effect=rule.smallest_effect,
        groups=rule.groups,
        looks=1 + models if models > 1 else 1,
    )
    if not any(sides.redrawn):
        return same.of_the_same_recordings()
    found = look_at_rates(
        pair,
        direction=rule.bound,
        smallest_effect=rule.smallest_effect,
        groups=rule.groups,
        alpha=ALPHA,
        seed=rule.seed,
    )
    by_prompt = [_by_prompt(side, pair.shared()) for side in (pair.before, pair.after)]
    pairs = any(np.asarray(pair.by_families) & np.asarray(pair.redrawn))
    families = len(set(pair.families)) if pairs else None
    return replace(
        same.of_look(found, pvalue=rule.for_the_worse(found.change), families=families),
        models=tuple(_model(m, sides, rates, found, rule) for m in range(models)),
        moved=most_moved(sides.after.prompts, *by_prompt),
        examples=_examples(sides, pair, rule),
    )


def _by_prompt(side: RateCounts, shared: NDArray[np.bool_]) -> Floats:
    """The rate of all models together on each prompt, shape (P,); nan where none has one."""
    passed, usable = (
        np.where(shared, counts, 0).sum(axis=0, dtype=np.float64)
        for counts in (side.passed, side.usable)
    )
    return np.asarray(np.divide(passed, usable, out=np.full_like(passed, np.nan), where=usable > 0))


def _model(
    position: int, sides: Sides, rates: tuple[Floats, Floats], found: Look, rule: RateRule
) -> ModelMove:
    change = found.members[position] if found.members else found.change
    anew = bool(sides.redrawn[position])
    shift = distribution_shift(sides.before, sides.after, position) if anew else None
    first, second = (float(side[position]) for side in rates)
    known = np.isfinite(first)
    return ModelMove(
        sides.after.models[position],
        first if known else None,
        second if known else None,
        anew,
        difference=None if change is None else change.difference,
        low=None if change is None else change.interval.low,
        high=None if change is None else change.interval.high,
        pvalue=None if change is None else rule.for_the_worse(change),
        movement=found.moves[position] if found.moves else found.own,
        mmd2=None if shift is None else shift.mmd2,
        mmd_pvalue=None if shift is None else shift.pvalue,
        changed=shift is not None
        and shift.mmd2 >= LEAST_SHIFT
        and shift.pvalue <= ALPHA / (rule.groups * len(sides.redrawn)),
    )


def _examples(sides: Sides, pair: RatePair, rule: RateRule) -> tuple[OldAndNew, ...]:
    """The model whose rate moved most for the worse, on the prompt where it did."""
    sign = 1.0 if rule.bound == "at_least" else -1.0
    first, second = (
        np.divide(s.passed, s.usable, out=np.zeros(s.passed.shape), where=s.usable > 0)
        for s in (pair.before, pair.after)
    )
    moves = np.where(pair.shared(), sign * (second - first), 0.0)
    moves[~np.asarray(sides.redrawn)] = np.inf
    model = int(np.argmin(moves.mean(axis=1)))
    prompt = int(np.argmin(moves[model]))
    old, new = (side[model][prompt] for side in sides.cells)
    return (
        OldAndNew(
            sides.after.prompts[prompt],
            sides.after.models[model],
            old.examples,
            new.examples,
            counted(old),
            counted(new),
        ),
    )
