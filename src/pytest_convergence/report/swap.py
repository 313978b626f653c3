"""The verdict on replacing a model, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_convergence.text import printable

if TYPE_CHECKING:
    from pytest_convergence.swap import Swap


_RELATION = {"not equivalent": "outside", "undecided": "astride", "equivalent": "inside"}


def swap_headline(swap: Swap) -> str:
    """The verdict in one line that stands alone in a log."""
    return f"{swap.verdict}: {_told(swap.as_dict())}"


def _told(swap: Mapping[str, Any]) -> str:
    pair = f"{swap['candidate']} for {swap['incumbent']}"
    if swap["shortfall"] is None:
        return printable(f"{pair}: {swap['reason']}", limit=400)
    relation = _RELATION[swap["verdict"]]
    told = f" ({swap['reason']})" if swap["reason"] else ""
    apart = (
        f"by {_figure(swap['shortfall'])} [{_figure(swap['low'])}, {_figure(swap['high'])}], "
        f"{relation} the margin {swap['margin']:g}"
    )
    return printable(f"{pair}: less alike than each to itself {apart}{told}", limit=400)


def swap_message(swap: Swap) -> list[str]:
    """The headline and what to do next."""
    lines = [swap_headline(swap)]
    if swap.verdict == "undecided":
        lines.append("more prompts decide; more samples of the same prompts help little")
    return lines


def swap_lines(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line for each group's verdict, by capability."""
    return [
        f"  {group['swap']['verdict']:<14} "
        f"{printable(group['capability'] or group['id'].split('::', 1)[-1], limit=40)}: "
        f"{_told(group['swap'])}"
        for group in groups
        if "swap" in group
    ]


def swap_counts(groups: Sequence[Mapping[str, Any]]) -> str:
    """How many groups came to which verdict; empty where no swap was asked about."""
    counts = Counter(group["swap"]["verdict"] for group in groups if "swap" in group)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in _RELATION if counts[verdict])


def _figure(value: float) -> str:
    # Adding zero takes the sign off a rounded minus nothing.
    return f"{round(value, 2) + 0.0:.2f}"
