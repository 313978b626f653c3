"""The terminal summary: verdicts, worst first, in 80 columns, and one line that says it all."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_convergence.report.columns import Signs, signs_for
from pytest_convergence.report.gate import blind_lines, gate_counts, gate_lines
from pytest_convergence.report.missing import missing_rows
from pytest_convergence.report.summary import wrong_lines
from pytest_convergence.report.swap import swap_counts, swap_lines
from pytest_convergence.report.tables import asserted_to_diverge, matrix_rows, table_rows, unsettled
from pytest_convergence.text import printable

if TYPE_CHECKING:
    from pytest_convergence.settings import Settings

_AGAINST, _MEANT = "converged (asserted to diverge)", "diverged (as asserted)"
_ORDER = (
    *(_AGAINST, "diverged", "missed", "inconclusive", "undefined", "incomplete"),
    *(_MEANT, "converged", "met", "reported"),
)
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


def write_summary(
    terminal: Any, run: Mapping[str, Any], *, verbose: int, panel: Sequence[str] = ()
) -> None:
    """Write the summary of a run.

    Parameters
    ----------
    terminal
        pytest's terminal reporter.
    verbose
        pytest's verbosity: below 0 only the last line, above 1 every case, name and matrix.
    panel
        The models' specs where the settings name them, for a command that names fewer.
    """
    groups, cases = run["groups"], [case for case in run["cases"] if "verdict" in case]
    checks = run.get("checks", [])
    if verbose >= 0:
        _write_whole(terminal, run, cases, panel, everything=verbose > 1)
    else:
        for line in blind_lines(run):
            terminal.write_line(line)
    for problem in run["problems"]:
        terminal.write_line(f"convergence: {printable(problem)}", red=True)
    failed = any(not entry["passed"] for entry in (*groups, *cases, *checks)) or bool(
        run["problems"]
    )
    terminal.write_line(verdict_line(run), red=failed, green=not failed, bold=True)


def _write_whole(
    terminal: Any,
    run: Mapping[str, Any],
    cases: Sequence[Mapping[str, Any]],
    panel: Sequence[str],
    *,
    everything: bool,
) -> None:
    groups, checks = run["groups"], run.get("checks", [])
    signs = signs_for(getattr(terminal._tw._file, "encoding", None))
    if not everything:
        cases = [case for case in cases if not case["passed"]]
        checks = [check for check in checks if not check["passed"] or _of_group(check)]
    few = None if everything else _FEW
    terminal.write_sep("=", "convergence")
    _write_table(terminal, "group", groups, signs, limit=None, whole=everything)
    _write_table(terminal, "case", cases, signs, limit=few, whole=everything)
    _write_table(terminal, "check", checks, signs, limit=few, whole=everything)
    if groups:
        terminal.write_line(
            f"bar, 0 to 1: {signs.band} floor to ceiling, {signs.value} similarity, "
            f"{signs.threshold} threshold"
        )
    if any(unsettled(entry) for entry in (*groups, *cases[:few], *checks[:few])):
        terminal.write_line("* unsettled: the interval straddles the threshold")
    if any(map(asserted_to_diverge, (*groups, *cases[:few]))):
        terminal.write_line("asserted to diverge: (ok) it does, (!) it does not")
    _write_missing(terminal, run, panel, signs, everything=everything)
    _write_matrices(terminal, groups, signs, everything=everything)
    for line in (*wrong_lines(run), *gate_lines(run), *swap_lines(groups)):
        terminal.write_line(line)


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
    if swap_counts(run["groups"]):
        parts.append(f"swap: {swap_counts(run['groups'])}")
    if run.get("gate"):
        parts.append(f"gate: {gate_counts(run) or 'no group'}")
    simulated = [model["name"] for model in run["models"] if model["simulated"]]
    if simulated:
        everyone = len(simulated) == len(run["models"])
        parts.append("simulated models" if everyone else f"{len(simulated)} models simulated")
    return "convergence: " + "; ".join(parts or ["no verdict"])


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _verdicts(entries: Sequence[Mapping[str, Any]]) -> str:
    counts = Counter(map(_told, entries))
    return ", ".join(f"{counts[name]} {name}" for name in _ORDER if counts[name])


def _told(entry: Mapping[str, Any]) -> str:
    """The verdict, with what was asserted where the word alone would mislead."""
    if asserted_to_diverge(entry):
        return _MEANT if entry["verdict"] == "diverged" else _AGAINST
    return str(entry["verdict"] or "reported")


def worst_first(entries: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Failures, passes, what is only reported; then by how far on the wrong side the value lies."""

    def key(entry: Mapping[str, Any]) -> tuple[bool, bool, float, str]:
        value, threshold = entry["value"], entry["threshold"]
        reported = entry["verdict"] is None
        if value is None:
            return entry["passed"], reported, float("-inf"), entry["id"]
        distance = value - (threshold or 0.0)
        return (
            entry["passed"],
            reported,
            distance if entry["direction"] in ("converges", "at_least") else -distance,
            entry["id"],
        )

    return sorted(entries, key=key)


def _write_table(
    terminal: Any,
    noun: str,
    entries: Sequence[Mapping[str, Any]],
    signs: Signs,
    *,
    limit: int | None,
    whole: bool,
) -> None:
    if not entries:
        return
    ordered = worst_first(entries)
    rows = table_rows(noun, ordered[:limit], terminal._tw.fullwidth, signs, whole=whole)
    for number, row in enumerate(rows):
        terminal.write(row.text, bold=number == 0)
        terminal.line(row.verdict, **({row.colour: True} if row.colour else {}))
    if limit is not None and len(ordered) > limit:
        terminal.write_line(
            f"{signs.cut} and {_counted(len(ordered) - limit, noun)} more (-vv shows all)"
        )


def _of_group(entry: Mapping[str, Any]) -> bool:
    """Whether a check is the verdict over a group."""
    return "[group" in str(entry["id"])


def _write_missing(
    terminal: Any,
    run: Mapping[str, Any],
    panel: Sequence[str],
    signs: Signs,
    *,
    everything: bool,
) -> None:
    rows = missing_rows(run, terminal._tw.fullwidth, signs, everything=everything)
    for number, row in enumerate(rows):
        terminal.write_line(row, bold=number == 0)
    hopeless = [
        model["name"]
        for model in run["models"]
        if model["missing"] and sum(model["missing"].values()) == model["responses"]
    ]
    rest = [model["name"] for model in run["models"] if model["name"] not in hopeless]
    # The run names models without their base URLs; a command needs them.
    specs = {spec.partition("@http")[0]: spec for spec in panel}
    option = shlex.quote(f"--convergence-models={','.join(specs.get(one, one) for one in rest)}")
    if hopeless and len(rest) > 1 and len(option) < 600:
        terminal.write_line(
            f"  {_counted(len(hopeless), 'model')} never answered; judge the others with\n"
            f"  {printable(option)}"
        )


def _write_matrices(
    terminal: Any, groups: Sequence[Mapping[str, Any]], signs: Signs, *, everything: bool
) -> None:
    """The pair matrix of the worst group, or of every group, where it fits."""
    shown = [g for g in worst_first(groups) if g.get("pairs") and len(g["present"]) > 2]
    for group in shown if everything else shown[:1]:
        if len(group["present"]) > _MATRIX and not everything:
            return
        for number, line in enumerate(matrix_rows(group, terminal._tw.fullwidth, signs)):
            terminal.write_line(line, bold=number == 0)
