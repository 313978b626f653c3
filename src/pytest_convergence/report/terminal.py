"""The terminal summary: verdicts, worst first, in 80 columns, and one line that says it all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_convergence.report.gate import gate_counts, gate_lines
from pytest_convergence.text import printable

if TYPE_CHECKING:
    from pytest_convergence.settings import Settings

_FAILING = ("diverged", "missed", "inconclusive", "undefined", "incomplete")
_FEW = 8
_MATRIX = 8


def header_line(settings: Settings, evals: int) -> str:
    """One line before the tests: how many evals, where their responses come from."""
    mode = settings["record"]
    if settings["responses"]:
        source = f"responses from {settings['responses']}"
    elif mode == "none":
        source = f"replaying {settings['cassettes']}/ (nothing is sampled)"
    else:
        source = f"recording {mode} into {settings['cassettes']}/"
    return f"convergence: {evals} evals, {source}"


def write_summary(terminal: Any, run: Mapping[str, Any], *, verbose: int) -> None:
    """Write the summary of a run.

    Parameters
    ----------
    terminal
        pytest's terminal reporter.
    verbose
        pytest's verbosity: below 0 only the last line, above 1 every case.
    """
    groups, cases = run["groups"], [case for case in run["cases"] if "verdict" in case]
    checks = run.get("checks", [])
    if verbose >= 0:
        terminal.write_sep("=", "convergence")
        width = terminal._tw.fullwidth
        _write_table(terminal, "group", groups, width, limit=None)
        notable = cases if verbose > 1 else [case for case in cases if not case["passed"]]
        _write_table(terminal, "case", notable, width, limit=None if verbose > 1 else _FEW)
        shown = checks if verbose > 1 else [c for c in checks if not c["passed"] or _of_group(c)]
        _write_table(terminal, "check", shown, width, limit=None if verbose > 1 else _FEW)
        _write_missing(terminal, run["models"], everything=verbose > 1)
        _write_matrix(terminal, groups, width)
    for line in gate_lines(run) if run.get("gate") and verbose >= 0 else ():
        terminal.write_line(line)
    for problem in run["problems"]:
        terminal.write_line(f"convergence: {printable(problem)}", red=True)
    failed = any(not entry["passed"] for entry in (*groups, *cases, *checks)) or bool(
        run["problems"]
    )
    terminal.write_line(verdict_line(run), red=failed, green=not failed, bold=True)


def verdict_line(run: Mapping[str, Any]) -> str:
    """The verdict of a run in one sentence."""
    cases = [case for case in run["cases"] if "verdict" in case]
    parts = [
        f"{_counted(len(entries), noun)}: {_verdicts(entries)}"
        for entries, noun in (
            (run["groups"], "group"),
            (cases, "case"),
            (run.get("checks", []), "check"),
        )
        if entries
    ]
    if run.get("gate"):
        parts.append(f"gate: {gate_counts(run['groups'], run['gate']['vanished']) or 'no group'}")
    simulated = [model["name"] for model in run["models"] if model["simulated"]]
    if simulated:
        everyone = len(simulated) == len(run["models"])
        parts.append("simulated models" if everyone else f"{len(simulated)} models simulated")
    return "convergence: " + "; ".join(parts or ["no verdict"])


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _verdicts(entries: Sequence[Mapping[str, Any]]) -> str:
    counts = Counter(entry["verdict"] or "reported" for entry in entries)
    order = (*_FAILING, "converged", "met", "reported")
    return ", ".join(f"{counts[name]} {name}" for name in order if counts[name])


def worst_first(entries: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Failures before passes, then by how far the value lies on the wrong side."""

    def key(entry: Mapping[str, Any]) -> tuple[bool, float, str]:
        value, threshold = entry["value"], entry["threshold"]
        if value is None:
            return entry["passed"], float("-inf"), entry["id"]
        distance = value - (threshold or 0.0)
        return (
            entry["passed"],
            distance if entry["direction"] in ("converges", "at_least") else -distance,
            entry["id"],
        )

    return sorted(entries, key=key)


def _write_table(
    terminal: Any, noun: str, entries: Sequence[Mapping[str, Any]], width: int, limit: int | None
) -> None:
    if not entries:
        return
    quantity = {"group": "score", "case": "similarity", "check": "value"}[noun]
    name_width = max(width - 53, 16)
    own = "within" if noun == "case" else "bound"
    chance = f"{'floor':>6}{'ceil':>6}" if noun == "group" else f"{own:>12}"
    terminal.write_line(
        f"{noun:<{name_width}}{quantity + ' [interval]':>20}{chance}{'miss':>5}  verdict", bold=True
    )
    ordered = worst_first(entries)
    for entry in ordered[:limit]:
        colour = {"green": True} if entry["passed"] else {"red": True}
        if entry["verdict"] in (None, "incomplete", "inconclusive") or not entry["settled"]:
            colour = {"yellow": True}
        terminal.write(_row(entry, noun, name_width))
        terminal.line("  " + _verdict(entry), **colour)
    if limit is not None and len(ordered) > limit:
        terminal.write_line(f"… and {_counted(len(ordered) - limit, noun)} more (-vv shows all)")


def _row(entry: Mapping[str, Any], noun: str, name_width: int) -> str:
    name = _shortened(_name(entry), name_width - 1)
    if noun == "group":
        chance = f"{_figure(entry.get('floor')):>6}{_figure(entry.get('ceiling')):>6}"
    elif noun == "check":
        sign = ">=" if entry["direction"] == "at_least" else "<="
        bound = "-" if entry["threshold"] is None else f"{sign} {entry['threshold']:.2f}"
        chance = f"{bound:>12}"
    else:
        chance = f"{_figure(entry['within']):>12}"
    return f"{name:<{name_width}}{_value(entry):>20}{chance}{len(entry['missing']):>5}"


def _name(entry: Mapping[str, Any]) -> str:
    """A case by its test and prompt, a group by what tells it from the others of its test."""
    name = printable(str(entry["id"]).split("::", 1)[-1])
    if "prompts" not in entry and "[group" not in name:
        return name
    test = name.split("[group", 1)[0]
    parts = [printable(entry[part]) for part in ("capability", "arm") if entry[part]]
    return f"{' '.join(parts)} ({test})" if parts else test


def _of_group(entry: Mapping[str, Any]) -> bool:
    """Whether a check is the verdict over a group."""
    return "[group" in str(entry["id"])


def _shortened(text: str, width: int) -> str:
    if len(text) <= width:
        return text
    return f"{text[: width - 1]}…"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _value(entry: Mapping[str, Any]) -> str:
    interval = entry["interval"]
    value = _figure(entry["value"])
    if interval is None or entry["value"] is None:
        return value
    return f"{value} [{_figure(interval['low'])}, {_figure(interval['high'])}]"


def _verdict(entry: Mapping[str, Any]) -> str:
    if entry["verdict"] is None:
        return "reported"
    unsettled = (
        entry["verdict"] in ("converged", "diverged", "met", "missed") and not entry["settled"]
    )
    return f"{entry['verdict']}{' (unsettled)' if unsettled else ''}"


def _write_missing(terminal: Any, models: Sequence[Mapping[str, Any]], *, everything: bool) -> None:
    lacking = sorted(
        (model for model in models if model["missing"]),
        key=lambda model: -sum(model["missing"].values()),
    )
    if not lacking:
        return
    terminal.write_line("missing, neither agreement nor disagreement", bold=True)
    limit = len(lacking) if everything else _FEW
    for model in lacking[:limit]:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(model["missing"].items()))
        terminal.write_line(
            f"  {printable(model['name'], limit=40)}: {kinds} of {model['responses']}"
        )
    if len(lacking) > limit:
        terminal.write_line(f"  … and {len(lacking) - limit} more models (-vv shows all)")
    hopeless = [m["name"] for m in lacking if sum(m["missing"].values()) == m["responses"]]
    rest = [model["name"] for model in models if model["name"] not in hopeless]
    if hopeless and rest and len(",".join(rest)) < 600:
        terminal.write_line(
            f"  {_counted(len(hopeless), 'model')} never answered; judge the others with\n"
            f"  --convergence-models={printable(','.join(rest))}"
        )


def _write_matrix(terminal: Any, groups: Sequence[Mapping[str, Any]], width: int) -> None:
    """The pair matrix of the worst group, where it fits."""
    shown = next((g for g in worst_first(groups) if g.get("pairs") and len(g["present"]) > 2), None)
    if shown is None or len(shown["present"]) > _MATRIX:
        return
    names = [printable(name) for name in shown["present"]]
    label = min(max(len(name) for name in names), width - 4 - 7 * len(names))
    if label < 8:
        return
    kind = "score" if shown["score"] is not None else "similarity"
    terminal.write_line(f"{kind} of pairs in {_shortened(_name(shown), width - 24)}", bold=True)
    terminal.write_line(" " * (label + 4) + "".join(f"{i + 1:>7}" for i in range(len(names))))
    for row, name in enumerate(names):
        cells = "".join(
            f"{'·' if row == column else _figure(value):>7}"
            for column, value in enumerate(shown["pairs"][kind][row])
        )
        terminal.write_line(f"{row + 1:>2}  {_shortened(name, label):<{label}}{cells}")
