"""What of a responses file was not judged, or not as it stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_convergence.text import printable

if TYPE_CHECKING:
    from pytest_convergence.models.recorded import RecordedResponses

_WIDTH = 200


def recorded_lines(recorded: RecordedResponses, cases: Iterable[Mapping[str, Any]]) -> list[str]:
    """Rows that no test asked for, and rows that stand twice, for the terminal."""
    lines = []
    asked = [(case["prompt_id"], case["prompt"]) for case in cases if "prompt" in case]
    unmatched = [entry.prompt_id for entry in recorded.unmatched(asked)]
    if unmatched:
        count = f"{len(unmatched)} prompts of {recorded.path.name}"
        lines.append(f"{count} are asked by no selected test: {_some(unmatched)}")
    if recorded.duplicates:
        lines.append(
            f"{len(recorded.duplicates)} rows of {recorded.path.name} repeat another: "
            f"{_some(recorded.duplicates)}"
        )
    return lines


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return printable(", ".join(map(str, names[:8])), limit=_WIDTH) + more
