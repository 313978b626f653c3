"""What makes a comparison legal: unlike things are never compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_convergence.baseline.decision import Decision
from pytest_convergence.models.wire import canonical_json

if TYPE_CHECKING:
    from pytest_convergence.baseline.blocks import GroupBlock

_NAMED = 3


@dataclass(frozen=True)
class Shared:
    """Prompts that are the same on both sides, as (id before, id now).

    ``whole`` says whether there are no others; ``notes`` name those that there are.
    """

    pairs: tuple[tuple[str, str], ...]
    whole: bool
    notes: tuple[str, ...]


def compared(
    before: GroupBlock | None,
    after: GroupBlock,
    decide: Callable[[GroupBlock, Shared], Decision | str],
) -> Decision:
    """What is decided of a group, where it may be compared at all.

    Parameters
    ----------
    before
        None where the baseline does not have the group.
    decide
        From the block before and the prompts that both have to a decision on these, or why their
        features cannot be compared.
    """
    prompts = len(after.cases)
    if before is None:
        return Decision("new", "the baseline does not have this group", prompts=prompts)
    reason = why_stale(before, after)
    shared = shared_prompts(before, after)
    if reason is None and not shared.pairs:
        reason = "no prompt is the same: all were reworded or replaced"
    decision = decide(before, shared) if reason is None else reason
    if isinstance(decision, str):
        return Decision("stale", decision, prompts=prompts, notes=shared.notes)
    served = served_otherwise(before, after)
    if served is not None:
        # Another model under the same name: what it would mean is told, and a person decides.
        reason = f"{served}; taken for the same model it would be {decision.status}"
        decision = replace(decision, status="stale", reason=reason)
    elif decision.status == "unchanged" and not shared.whole:
        kept = f"{len(shared.pairs)} of {prompts} prompts are comparable, and those are unchanged"
        decision = replace(decision, status="partial", reason=kept)
    notes = (*shared.notes, *decision.notes)
    return replace(decision, prompts=prompts, compared=len(shared.pairs), notes=notes)


def why_stale(before: GroupBlock, after: GroupBlock) -> str | None:
    """Why the two cannot be compared, or None; what it was and what it is."""
    return "; ".join(_differences(before, after)) or None


def _differences(before: GroupBlock, after: GroupBlock) -> Iterator[str]:
    gone = sorted(set(before.models) - set(after.models))
    added = sorted(set(after.models) - set(before.models))
    if gone:
        yield f"models removed from the panel: {_some(gone)}"
    if added:
        yield f"models added to the panel: {_some(added)}"
    metric = (before.metric, before.metric_version), (after.metric, after.metric_version)
    if metric[0] != metric[1]:
        old, new = (_versioned(*pair) for pair in metric)
        yield f"the metric was {old}, now it is {new}"
    if before.embedder != after.embedder:
        yield f"the embedder was {before.embedder}, now it is {after.embedder}"
    if before.samples != after.samples:
        yield f"{before.samples} samples a prompt, now {after.samples}"
    for name in sorted(set(before.models) & set(after.models)):
        old, new = (canonical_json(side.models[name].decoding) for side in (before, after))
        if old != new:
            yield f"{name} was asked with {old}, now with {new}"


def served_otherwise(before: GroupBlock, after: GroupBlock) -> str | None:
    """Which models the provider now serves under another name than it did, or None."""
    return "; ".join(_renamed(before, after)) or None


def _renamed(before: GroupBlock, after: GroupBlock) -> Iterator[str]:
    for name in sorted(set(before.models) & set(after.models)):
        if before.models[name].served != after.models[name].served:
            old, new = (_some(side.models[name].served) for side in (before, after))
            yield f"{name} was served as {old or 'no name'}, now as {new or 'no name'}"


def _versioned(metric: str, version: int) -> str:
    return metric if version == 1 else f"{metric} (version {version})"


def shared_prompts(before: GroupBlock, after: GroupBlock) -> Shared:
    """Match prompts by id and text; a prompt under another id is found by its text."""
    pairs = {
        name: name
        for name, case in after.cases.items()
        if name in before.cases and before.cases[name].prompt == case.prompt
    }
    free = {case.prompt: name for name, case in sorted(before.cases.items()) if name not in pairs}
    for name, case in sorted(after.cases.items()):
        if name not in pairs and case.prompt in free:
            pairs[name] = free.pop(case.prompt)
    taken = set(pairs.values())
    reworded = [n for n in after.cases if n not in pairs and n in before.cases and n not in taken]
    added = [name for name in after.cases if name not in pairs and name not in reworded]
    gone = [name for name in before.cases if name not in taken and name not in reworded]
    notes = [
        f"{what}: {_some(sorted(names))}"
        for what, names in (
            ("prompts reworded", reworded),
            ("prompts not in the baseline", added),
            ("prompts that vanished", gone),
        )
        if names
    ]
    return Shared(tuple((old, new) for new, old in pairs.items()), not notes, tuple(notes))


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED} more"
