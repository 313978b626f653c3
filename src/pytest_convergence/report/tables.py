"""The summary's tables as lines of text, each no wider than the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from pytest_convergence.report.columns import Signs, bar, padded, seen_width, shortened
from pytest_convergence.text import printable

_SETTLING = ("converged", "diverged", "met", "missed")
_WANTED = {"converges": "converged", "diverges": "diverged"}
_BAR = 12
_WIDEST_NAME = 44
_WIDEST_BAR = 30


class Row(Struct, frozen=True):
    """A line of a table and, set apart for its colour, the verdict that ends it."""

    text: str
    verdict: str = ""
    colour: str = ""


class _Layout(Struct, frozen=True):
    name: int
    bar: int


def _layout(noun: str, width: int) -> _Layout:
    """What is left by the columns that are always as wide goes to the name, then to the bar."""
    fixed = 19 + (10 if noun == "group" else 8) + 1 + 5 + 2 + len("not equivalent")
    room = max(width, 60) - fixed
    name = min(max(room - _BAR, 12), _WIDEST_NAME)
    return _Layout(name, min(max(room - name, 4), _WIDEST_BAR))


def table_rows(
    noun: str, entries: Sequence[Mapping[str, Any]], width: int, signs: Signs, *, whole: bool
) -> Iterator[Row]:
    """A heading and a line for each group, case or check, in the order given.

    Parameters
    ----------
    whole
        Whether a name that is too long gets a line of its own rather than being cut.
    """
    layout = _layout(noun, width)
    quantity = {"group": "score [interval]", "case": "similarity", "check": "value [interval]"}[
        noun
    ]
    bounds = {
        "group": f"{'floor':>5}{'ceil':>5}",
        "case": f"{'within':>8}",
        "check": f"{'bound':>8}",
    }
    axis = f"0{' ' * (layout.bar - 2)}1"
    yield Row(f"{noun:<{layout.name}}{quantity:>19}{bounds[noun]} {axis}{'miss':>5}  verdict")
    fitted = [_fitting(entry, layout.name - 1, signs) for entry in entries]
    short, long = Counter(fitted), Counter(map(entry_name, entries))
    for entry, cut in zip(entries, fitted, strict=True):
        name = entry_name(entry)
        if short[cut] > 1 or (whole and cut != name):
            # Two rows of one name would read as one row told twice.
            name = name if long[name] == 1 else printable(str(entry["id"]).split("::", 1)[-1])
            yield Row(name if whole else shortened(name, width, signs))
            cut = ""
        yield Row(
            f"{padded(cut, layout.name, signs)}{_value(entry):>19}{_bounds(entry, noun)} "
            f"{bar(entry, layout.bar, signs)}{len(entry['missing']):>5}  ",
            shown_verdict(entry),
            _colour(entry),
        )


def entry_name(entry: Mapping[str, Any]) -> str:
    """A case by its prompt, a group by what tells it from the others of its test; and the test."""
    name, test = _name_and_test(entry)
    return f"{name} ({test})" if name and test else name or test


def _name_and_test(entry: Mapping[str, Any]) -> tuple[str, str]:
    whole = printable(str(entry["id"]).split("::", 1)[-1])
    test = whole.split("[", 1)[0].split("#", 1)[0]
    if "prompts" in entry or "[group" in whole:
        parts = (printable(str(entry[part])) for part in ("capability", "arm") if entry[part])
        return " ".join(parts), test
    if entry.get("prompt_id"):
        return printable(str(entry["prompt_id"])), test
    return whole, ""


def _fitting(entry: Mapping[str, Any], width: int, signs: Signs) -> str:
    """The name with its test where there is room for both, else without, else cut."""
    whole = entry_name(entry)
    return (
        whole
        if seen_width(whole) <= width
        else shortened(_name_and_test(entry)[0] or whole, width, signs)
    )


def unsettled(entry: Mapping[str, Any]) -> bool:
    """Whether the estimate decided although the interval straddles the threshold."""
    return entry["verdict"] in _SETTLING and not entry["settled"]


def figure(value: float | None) -> str:
    """A number to two places, ``-`` where there is none."""
    return "-" if value is None else f"{value:.2f}"


def _value(entry: Mapping[str, Any]) -> str:
    interval, value = entry["interval"], figure(entry["value"])
    if interval is None or entry["value"] is None:
        return value
    return f"{value} [{figure(interval['low'])}, {figure(interval['high'])}]"


def _bounds(entry: Mapping[str, Any], noun: str) -> str:
    if noun == "group":
        return f"{figure(entry.get('floor')):>5}{figure(entry.get('ceiling')):>5}"
    if noun == "case":
        return f"{figure(entry.get('within')):>8}"
    if entry["threshold"] is None:
        return f"{'-':>8}"
    sign = ">=" if entry["direction"] == "at_least" else "<="
    return f"{sign + ' ' + figure(entry['threshold']):>8}"


def asserted_to_diverge(entry: Mapping[str, Any]) -> bool:
    """Whether "diverged" is what a test asked for, and "converged" what it asked not to see."""
    return entry["direction"] == "diverges" and entry["verdict"] in ("converged", "diverged")


def failed_beside(entry: Mapping[str, Any]) -> str | None:
    """What alone makes an entry fail where what was asserted holds: the gate's word, or the swap's.

    None where it passes, or fails by itself.
    """
    kept = entry["verdict"] in (None, "met", _WANTED.get(entry["direction"]))
    if kept and not entry["passed"]:
        for name, status in (("gate", "status"), ("swap", "verdict")):
            if entry.get(name):
                return str(entry[name][status])
    return None


def shown_verdict(entry: Mapping[str, Any]) -> str:
    """Why an entry passed or failed in a word or two.

    Where what was asserted holds and the comparison with the baseline or the swap does not, the
    word is that one's.
    """
    beside = failed_beside(entry)
    if beside is not None:
        return beside
    asked = ""
    if asserted_to_diverge(entry):
        asked = " (ok)" if entry["verdict"] == "diverged" else " (!)"
    return f"{entry['verdict'] or 'reported'}{'*' if unsettled(entry) else ''}{asked}"


def _colour(entry: Mapping[str, Any]) -> str:
    if failed_beside(entry) is not None:
        return "red"
    if entry["verdict"] in (None, "incomplete", "inconclusive") or not entry["settled"]:
        return "yellow"
    return "green" if entry["passed"] else "red"


def matrix_rows(group: Mapping[str, Any], width: int, signs: Signs) -> list[str]:
    """The pair matrix of a group; nothing where it does not fit."""
    names = [printable(name) for name in group["present"]]
    longest, room = max(map(seen_width, names)), width - 4 - 7 * len(names)
    if room < min(longest, 8):
        return []
    label = min(longest, room)
    kind = "score" if group["score"] is not None else "similarity"
    title = shortened(f"{kind} of pairs in {entry_name(group)}", width, signs)
    rows = [title, " " * (label + 4) + "".join(f"{i + 1:>7}" for i in range(len(names)))]
    for row, name in enumerate(names):
        cells = "".join(
            f"{signs.itself if row == column else figure(value):>7}"
            for column, value in enumerate(group["pairs"][kind][row])
        )
        rows.append(f"{row + 1:>2}  {padded(name, label, signs)}{cells}")
    return rows
