"""What the gate found for one group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from pytest_convergence.declaration import Direction
    from pytest_convergence.metrics.summaries import Floats
    from pytest_convergence.stats.gating import Look

Status: TypeAlias = Literal[
    "unchanged", "regressed", "improved", "new", "vanished", "stale", "partial", "incomplete"
]
ALPHA = 0.05
LEAST_SHIFT = 0.01
_SHOWN = 5
_LEAST_MOVE = 0.1


@dataclass(frozen=True)
class Rule:
    """By what the gate decides: stated before the data are seen.

    ``groups`` is the number of blocks in the baseline, so that a group's verdict does not depend
    on which others were selected.
    """

    direction: Direction
    smallest_effect: float
    groups: int
    seed: int


@dataclass(frozen=True, slots=True)
class ModelMove:
    """One model before and after: its score (or similarity) with the others, or its rate.

    ``redrawn`` is False where its recordings are the same. ``difference``, with its 95 % interval
    and the p value of a change for the worse, is None in a panel of two, whose one pair is the
    group. ``movement`` is unchanged, regressed or improved. ``mmd2`` says how far its answers
    moved, and ``changed`` that it is more than chance, corrected for models and groups.
    """

    name: str
    before: float | None
    after: float | None
    redrawn: bool
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    pvalue: float | None = None
    movement: str = "unchanged"
    mmd2: float | None = None
    mmd_pvalue: float | None = None
    changed: bool = False


@dataclass(frozen=True, slots=True)
class PromptMove:
    """One prompt's mean similarity or rate before and after; shown, never gated on."""

    prompt_id: str
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class OldAndNew:
    """What one model said to one prompt, before and after: up to two responses of each."""

    prompt_id: str
    model: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    labels_before: str = ""
    labels_after: str = ""


@dataclass(frozen=True)
class Decision:
    """Unchanged, regressed, improved, new, vanished, stale, partial or incomplete; and why.

    Attributes
    ----------
    reason
        One line: what is new, why it cannot be compared, what is missing.
    failed
        Whether the run must fail for it.
    quantity
        ``"score"``, or ``"similarity"`` where a score is undefined on either side; or ``"rate"``.
    counted
        Of a rate, which answers count: ``right answers``.
    difference, low, high, pvalue
        After minus before, its 95 % interval, and the one-sided p value of a change for the worse.
    groups, looks
        How many scores and rates of the baseline the significance is corrected for, and in how
        many ways each is looked at: all models together, and each by itself.
    compared, prompts
        Prompts that both sides have, of how many now.
    notes
        What else a reader should know: prompts reworded, new, vanished.
    fix
        What to do where blessing the group would not help.
    """

    status: Status
    reason: str = ""
    failed: bool = False
    quantity: str = "score"
    counted: str = ""
    before: float | None = None
    after: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    pvalue: float | None = None
    method: str = ""
    direction: str = "converges"
    smallest_effect: float | None = None
    groups: int = 0
    looks: int = 1
    compared: int = 0
    prompts: int = 0
    models: Sequence[ModelMove] = ()
    moved: Sequence[PromptMove] = ()
    examples: Sequence[OldAndNew] = ()
    notes: Sequence[str] = field(default=())
    fix: str = ""

    def failing(self, *, required: bool) -> Decision:
        """The same with ``failed`` set; ``required`` is ``--convergence-require-baseline``."""
        uncovered = self.status in ("new", "vanished", "stale", "partial")
        return replace(self, failed=self.status == "regressed" or (required and uncovered))

    def of_the_same_recordings(self) -> Decision:
        """Where no model was recorded anew nothing has changed, whatever rounding says."""
        return replace(
            self, after=self.before, difference=0.0, low=0.0, high=0.0, pvalue=1.0,
            method="the recordings are the same",
        )  # fmt: skip

    def of_look(self, found: Look, *, pvalue: float, families: int | None) -> Decision:
        """What a look at the two recordings showed.

        Parameters
        ----------
        pvalue
            Of a change for the worse.
        families
            How many families of prompts were taken as pairs; None where the samples within
            prompts tell what is significant.
        """
        change = found.change
        return replace(
            self,
            status=found.movement,
            notes=self.unreachable(families),
            difference=change.difference,
            low=change.interval.low,
            high=change.interval.high,
            pvalue=pvalue,
            method=change.interval.method,
        )

    def unreachable(self, families: int | None) -> tuple[str, ...]:
        """A note where so many families, taken as pairs, cannot make any change significant.

        ``families`` is None where the samples within prompts tell what is significant.
        """
        from pytest_convergence.stats.change import least_pvalue

        wanted = ALPHA / (self.groups * self.looks)
        if families is None or least_pvalue(families) <= wanted:
            return ()
        return (
            f"one answer a prompt, or copies of one, and {families} families of prompts: no change "
            f"can be significant at p under {wanted:.1g}, so the gate cannot fail here; take more "
            "prompts, or samples that differ",
        )

    def as_dict(self) -> dict[str, Any]:
        """JSON types, without what is None or empty."""
        from dataclasses import asdict

        entry = asdict(self)
        kept = {name: value for name, value in entry.items() if value not in (None, (), [], "")}
        return _plain(kept)  # type: ignore[no-any-return]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def most_moved(prompts: Sequence[str], before: Floats, after: Floats) -> tuple[PromptMove, ...]:
    """The prompts that moved most, of values by prompt; a single one is never significant."""
    import numpy as np

    moves = np.abs(np.nan_to_num(after - before))
    return tuple(
        PromptMove(prompts[p], float(before[p]), float(after[p]))
        for p in np.argsort(-moves, kind="stable")[:_SHOWN]
        if moves[p] >= _LEAST_MOVE
    )
