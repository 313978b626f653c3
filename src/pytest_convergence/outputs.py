"""The merged run, and every file that is made of it, on the process that reports."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from pytest_convergence.errors import ConvergenceError

if TYPE_CHECKING:
    from pytest_convergence.session import ConvergenceSession


class Outputs:
    """Made when all tests have run; what it could not write fails the run.

    Attributes
    ----------
    run
        The run file's content.
    said
        Lines for the terminal: where things were written.
    problems
        What could not be written.
    """

    def __init__(self, session: ConvergenceSession) -> None:
        from pytest_convergence.runs import build_run

        self._session = session
        self.said: list[str] = []
        self.problems: list[str] = []
        self.run: dict[str, Any] = build_run(session.record, session.settings, command=sys.argv[1:])
        if session.keeper is not None:
            self.run["gate"] = session.keeper.entry()
        session.config.hook.pytest_convergence_run(config=session.config, run=self.run)
        for write in (self._write_run, self._keep, self._write_page):
            try:
                write()
            except ConvergenceError as error:
                self.problems.append("; ".join([error.headline, *error.fix]))

    def _write_run(self) -> None:
        from pytest_convergence.runs import write_run

        path = self._session.settings.path("json")
        if path is not None:
            write_run(self.run, path)
            self.said.append(f"run file: {path}")

    def _keep(self) -> None:
        from pytest_convergence.history import keep_run

        keep_run(self.run, self._session.settings.kept / "runs")

    def _write_page(self) -> None:
        path = self._session.settings.path("html")
        if path is None:
            return
        from pytest_convergence.history import read_history, with_run
        from pytest_convergence.report.html import write_page

        history = read_history(self._session.settings.kept / "runs")
        write_page(self.run, path, with_run(history, self.run))
        self.said.append(f"report: {path}")

    def show(self, terminal: Any) -> None:
        """The summary on the terminal, and what the CI service is told."""
        from pytest_convergence.report.recorded import recorded_lines
        from pytest_convergence.report.sampling import sampling_lines
        from pytest_convergence.report.terminal import header_line, write_summary

        session = self._session
        if session.count is not None and session.config.option.verbose >= 0:
            # A controller collects nothing, so this is the first it can say.
            terminal.write_line(header_line(session.settings, len(session.record.evals)))
        self.run["problems"] = list(session.record.problems)
        panel, verbose = session.settings["models"], session.config.option.verbose
        write_summary(terminal, self.run, verbose=verbose, panel=panel)
        lines = sampling_lines(self.run["sampling"])
        if session.settings["responses"] is not None and session.evaluation.recorded is not None:
            lines += recorded_lines(session.evaluation.recorded, self.run["cases"])
        lines += self.said
        lines += session.keeper.said if session.keeper else ()
        for line in lines:
            terminal.write_line(line)
        if session.failures is not None:
            from pytest_convergence.report.github import tell_github

            found = list(session.failures.found.values())
            root = session.config.rootpath
            tell_github(self.run, found, terminal, environ=os.environ, rootpath=root)
