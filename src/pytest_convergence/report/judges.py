"""How far several judges agree, in a few lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_convergence.text import printable

if TYPE_CHECKING:
    from pytest_convergence.represent.labels.judges import JudgeAgreement

_WIDTH = 78
_FEW = 6


def judge_lines(judges: JudgeAgreement) -> list[str]:
    """The mean agreement of the judges, the pairs that agree least, and who failed."""
    mean = "-" if judges.mean is None else f"{judges.mean:.2f}"
    lines = [f"judges: agreement {mean} over {len(judges.failed)} judges"]
    known = [(share, pair) for pair, share in judges.pairs.items() if share is not None]
    for share, pair in sorted(known)[:_FEW]:
        common = judges.common[pair]
        lines.append(f"  {share:.2f}  {pair[0]} - {pair[1]}, on {common} answers that both judged")
    for judge, shares in judges.shares.items():
        said = ", ".join(f"{label} {share:.0%}" for label, share in shares.items()) or "nothing"
        failed = f"; failed {judges.failed[judge]} times" if judges.failed[judge] else ""
        lines.append(f"  {judge} says {said}{failed}")
    return [printable(line, limit=_WIDTH) for line in lines]
