"""What a run tells GitHub Actions: annotations on the tests' lines, and the step's summary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_convergence.record import ATTRIBUTE
from pytest_convergence.report.gate import changed_models, entry_line, gated
from pytest_convergence.report.summary import wrong_lines
from pytest_convergence.report.tables import shown_verdict
from pytest_convergence.report.terminal import verdict_line, worst_first
from pytest_convergence.text import printable

_ANNOTATIONS = 10  # GitHub shows ten of each kind for a step
_ROWS = 50
_SUMMARY_LIMIT = 1_000_000  # bytes; GitHub takes 1 MiB for a step


@dataclass(frozen=True, slots=True)
class Failure:
    """A test that failed, where it stands (line from 1), and the first line of why."""

    nodeid: str
    path: str
    line: int
    headline: str


class Failures:
    """Listens to the reports of evals, on the process that reports."""

    def __init__(self) -> None:
        self.found: dict[str, Failure] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called for each phase of each test, here or relayed from a worker."""
        if report.failed and getattr(report, ATTRIBUTE, None) is not None:
            path, line, _ = report.location
            self.found[report.nodeid] = Failure(
                report.nodeid, path, (line or 0) + 1, _headline(report)
            )


def _headline(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    lines = (crash.message if crash is not None else report.longreprtext).strip().splitlines()
    return lines[0] if lines else "failed"


def tell_github(
    run: Mapping[str, Any],
    failures: Sequence[Failure],
    terminal: Any,
    *,
    environ: Mapping[str, str],
    rootpath: Path,
) -> None:
    """Print annotations and append to the step's summary, where the run is GitHub's."""
    if environ.get("GITHUB_ACTIONS") == "true":
        workspace = environ.get("GITHUB_WORKSPACE")
        for line in workflow_commands(run, failures, prefix=_prefix(rootpath, workspace)):
            terminal.write_line(line)
    target = environ.get("GITHUB_STEP_SUMMARY")
    if target:
        try:
            with Path(target).open("a", encoding="utf-8", errors="replace") as stream:
                stream.write(step_summary(run))
        except OSError as error:
            terminal.write_line(f"convergence: the step summary was not written: {error.strerror}")


def _prefix(rootpath: Path, workspace: str | None) -> str:
    """The rootdir from the root of the repository, with a slash at its end."""
    if workspace and rootpath.is_relative_to(workspace):
        inner = rootpath.relative_to(workspace).as_posix()
        return "" if inner == "." else f"{inner}/"
    return ""


def workflow_commands(
    run: Mapping[str, Any], failures: Sequence[Failure], *, prefix: str = ""
) -> list[str]:
    """Workflow commands: an error on the line of each failed test, a warning for the rest."""
    lines = [
        _command(
            "error",
            failure.headline,
            file=f"{prefix}{failure.path.replace(chr(92), '/')}",
            line=str(failure.line),
            title=failure.nodeid.split("::", 1)[-1],
        )
        for failure in failures[:_ANNOTATIONS]
    ]
    quiet = [
        f"{group['id'].split('::', 1)[-1]}: {gate['status']}: {entry_line(gate)}"
        for group in gated(run)
        for gate in (group["gate"],)
        if not gate.get("failed") and gate["status"] in ("new", "stale", "partial")
    ]
    quiet += [f"{name}: vanished" for name in (run.get("gate") or {}).get("vanished", ())]
    lines += [_command("warning", text, title="convergence") for text in quiet[:_ANNOTATIONS]]
    return lines


def _command(kind: str, message: str, **properties: str) -> str:
    told = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{kind} {told}::{_data(message)}"


def _data(text: str) -> str:
    text = printable(text, limit=1000, multiline=True)
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def step_summary(run: Mapping[str, Any]) -> str:
    """The run as GitHub's markdown: the verdict, what changed or failed, the rest folded."""
    groups = worst_first(run["groups"])
    cases = [case for case in run["cases"] if "verdict" in case]
    checks = worst_first(run.get("checks", ()))
    failed = [one for one in (*groups, *worst_first(cases), *checks) if not one["passed"]]
    changed = [one for one in worst_first(gated(run)) if _has_changed(one)]
    good = not failed and not run["problems"]
    text = "\n".join(
        [
            f"### {'✅' if good else '❌'} {escaped(verdict_line(run))}",
            "",
            *(f"- {escaped(line)}" for line in (*run["problems"], *wrong_lines(run))),
            "",
            *_gate_table(changed, (run.get("gate") or {}).get("vanished", ())),
            *_table("Not as asserted", failed[:_ROWS]),
            *_folded(f"All {len(groups)} groups", _table("", groups[: 10 * _ROWS])),
            "",
        ]
    )
    if len(text.encode()) > _SUMMARY_LIMIT:
        return f"### {escaped(verdict_line(run))}\n\nToo long for a summary: see the report.\n"
    return text


def _has_changed(group: Mapping[str, Any]) -> bool:
    gate: Mapping[str, Any] = group.get("gate") or {}
    return gate.get("status", "unchanged") != "unchanged" or bool(changed_models(gate))


def _gate_table(groups: Sequence[Mapping[str, Any]], vanished: Sequence[str]) -> Iterator[str]:
    if not groups and not vanished:
        return
    yield from ("#### Against the baseline", "", "| | group | |", "|---|---|---|")
    for group in groups[:_ROWS]:
        gate: Mapping[str, Any] = group["gate"]
        yield f"| {gate['status']} | {escaped(group['id'])} | {escaped(entry_line(gate))} |"
    for name in vanished[:_ROWS]:
        yield f"| vanished | {escaped(name)} | in the baseline, no longer collected or asked |"
    yield ""


def _table(title: str, entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not entries:
        return
    if title:
        yield from (f"#### {title}", "")
    yield from ("| verdict | | value | 95 % | asserted |", "|---|---|---|---|---|")
    for entry in entries:
        interval = entry["interval"]
        bounds = f"{_figure(interval['low'])} … {_figure(interval['high'])}" if interval else ""
        asserted = "" if entry["threshold"] is None else f"{entry['threshold']:g}"
        yield (
            f"| {shown_verdict(entry)} | {escaped(entry['id'])} "
            f"| {entry['quantity']} {_figure(entry['value'])} | {bounds} "
            f"| {entry['direction']} {asserted} |"
        )
    yield ""


def _folded(title: str, lines: Iterator[str]) -> Iterator[str]:
    inner = list(lines)
    if inner:
        yield from (f"<details><summary>{escaped(title)}</summary>", "", *inner, "</details>")


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def escaped(text: str) -> str:
    """Text that is nothing but text in GitHub's markdown: no markup, link, mention or table cell.

    Every ASCII punctuation mark becomes a numeric entity, which markdown shows and never parses.
    """
    return "".join(
        f"&#{ord(character)};"
        if character.isascii() and not character.isalnum() and character != " "
        else character
        for character in printable(text, limit=400)
    )
