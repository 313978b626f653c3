"""What the gate found for one group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

Status: TypeAlias = Literal[
    "unchanged", "regressed", "improved", "new", "vanished", "stale", "partial", "incomplete"
]
ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class ModelMove:
    """One model before and after: its score (or similarity) with the others.

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
    """One prompt's mean similarity before and after; shown, never gated on."""

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
        ``"score"``, or ``"similarity"`` where a score is undefined on either side.
    difference, low, high, pvalue
        After minus before, its 95 % interval, and the one-sided p value of a change for the worse.
    groups, looks
        How many groups the significance is corrected for, and in how many ways each is looked at:
        its score, and each model's with the others.
    compared, prompts
        Prompts that both sides have, of how many now.
    notes
        What else a reader should know: prompts reworded, new, vanished.
    """

    status: Status
    reason: str = ""
    failed: bool = False
    quantity: str = "score"
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

    def failing(self, *, required: bool) -> Decision:
        """The same with ``failed`` set; ``required`` is ``--convergence-require-baseline``."""
        uncovered = self.status in ("new", "vanished", "stale", "partial")
        return replace(self, failed=self.status == "regressed" or (required and uncovered))

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
