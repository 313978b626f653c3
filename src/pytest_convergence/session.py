"""The plugin's side of a run: from collected items to a concluded record."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from pytest_convergence.detect import is_eval, let_go, results_key, test_key
from pytest_convergence.errors import ConvergenceError, SettingsError
from pytest_convergence.record import RunRecord, unfinished
from pytest_convergence.reporting import ReportReader, ReportWriter
from pytest_convergence.settings import Settings, read_settings
from pytest_convergence.xdist import ReportCount, hand_over, is_controller, name_run, this_worker

if TYPE_CHECKING:
    from pytest_convergence.baseline.keeper import Keeper
    from pytest_convergence.declaration import Case
    from pytest_convergence.evaluation import Evaluation
    from pytest_convergence.outputs import Outputs
    from pytest_convergence.panel import Convergence, EvalTest, Panel
    from pytest_convergence.report.github import Failures
    from pytest_convergence.sampling.tally import SamplingReport

session_key = pytest.StashKey["ConvergenceSession"]()
_SAMPLING = "convergence_sampling"
_PROBLEM = "convergence_problem"
_MADE = "convergence_groups"


def start_session(config: pytest.Config) -> None:
    """Make the session of this process and register what listens to reports.

    Raises
    ------
    pytest.UsageError
        For a setting that cannot be used.
    """
    config.addinivalue_line(
        "markers",
        "convergence(capability, metric, label, samples, threshold, direction, confidence, "
        "family, max_missing, models, prompts, template, temperature, …): "
        "an eval: what its responses are judged by",
    )
    try:
        settings = read_settings(config)
        if settings["update_baseline"] or settings["require_baseline"]:
            from pytest_convergence.baseline.keeper import check_settings

            check_settings(settings)
        if settings["candidate"] is not None:
            from pytest_convergence.swap import check_swap

            check_swap(settings)
    except SettingsError as error:
        raise pytest.UsageError(str(error)) from None
    session = ConvergenceSession(config, settings)
    config.stash[session_key] = session
    if session.worker.alone:
        config.pluginmanager.register(ReportReader(session.record), "convergence-reports")
        # Registered last, they read first: the record takes what a report carries off it.
        session.listen()
        session.open()
    if session.count is not None:
        config.pluginmanager.register(session.count, "convergence-count")


def session_of(config: pytest.Config) -> ConvergenceSession:
    """The session of this process."""
    return config.stash[session_key]


def forget_session(config: pytest.Config) -> None:
    """Called at the very end: let go of the run."""
    session = config.stash.get(session_key, None)
    if session is not None:
        session.forget()


class ConvergenceSession:
    """What hooks forward to. A run without evals never gets past its first attributes."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self.config = config
        self.settings = settings
        self.worker = this_worker(config)
        self.run = self.worker.run or name_run(config)
        self.count = ReportCount() if is_controller(config) else None
        self.record = RunRecord()
        self.reports = ReportWriter(config, settings, crossing=not self.worker.alone)
        self.selected: list[pytest.Item] = []
        self._evaluation: Evaluation | None = None
        self._outputs: Outputs | None = None
        self._forecast: list[str] = []
        self._interrupted = False
        self._last_words: list[str] = []
        self.made: set[str] = set()
        self.keeper: Keeper | None = None
        self.failures: Failures | None = None

    @property
    def evaluation(self) -> Evaluation:
        """The engine of the run, made on first use."""
        if self._evaluation is None:
            from pytest_convergence.evaluation import Evaluation

            self._evaluation = Evaluation(
                self.config,
                self.settings,
                worker=self.worker.index,
                workers=self.worker.count,
                run=self.run,
            )
        return self._evaluation

    def open(self) -> None:
        """Called on the process that reports, before any worker begins."""
        idle = self.config.option.collectonly or self.settings["dry_run"]
        if self.settings["record"] != "none" and not idle:
            try:
                self.evaluation.open()
            except ConvergenceError as error:
                raise pytest.UsageError(str(error)) from None

    def listen(self) -> None:
        """Called on the process that reports: what reads reports beside the record."""
        if self.settings["baseline"] is not None and self.settings["candidate"] is None:
            from pytest_convergence.baseline.keeper import Keeper

            self.keeper = Keeper(self.settings, self.config.args)
            self.config.pluginmanager.register(self.keeper, "convergence-keeper")
        if "GITHUB_ACTIONS" in os.environ or "GITHUB_STEP_SUMMARY" in os.environ:
            from pytest_convergence.report.github import Failures

            self.failures = Failures()
            self.config.pluginmanager.register(self.failures, "convergence-failures")

    def parametrize(self, metafunc: pytest.Metafunc) -> None:
        """Give an eval that requests ``prompt`` and has none the prompts of the responses file."""
        if self.settings["responses"] is None or "prompt" not in metafunc.fixturenames:
            return
        from pytest_convergence.collect import as_collect_error
        from pytest_convergence.fromfile import parametrize_from_file

        try:
            parametrize_from_file(metafunc, self.evaluation)
        except ConvergenceError as error:
            raise as_collect_error(error) from None

    def with_groups(self, collected: Any) -> Any:
        """The collected functions, with the group items of those that are evals."""
        functions = collected if isinstance(collected, list) else [collected]
        if not any(isinstance(item, pytest.Function) and is_eval(item) for item in functions):
            return collected
        from pytest_convergence.collect import as_collect_error, attach_cases
        from pytest_convergence.declaration import gated_names
        from pytest_convergence.groups import group_items

        try:
            groups = attach_cases(functions, self.settings)
        except ConvergenceError as error:
            raise as_collect_error(error) from None
        self.made.update(name for group in groups for name in gated_names(group))
        return [*functions, *group_items(functions, groups)] if groups else collected

    def plan(self, items: Sequence[pytest.Item]) -> None:
        """Called when collection is done: the cases of all selected tests, in test order."""
        self.selected = [item for item in items if is_eval(item)]
        if not self.selected or self.config.option.collectonly:
            return
        from pytest_convergence.collect import cases_of
        from pytest_convergence.groups import GroupItem

        cases: dict[str, Case] = {}
        for item in self.selected:
            own = item.group.cases if isinstance(item, GroupItem) else cases_of(item)
            cases.update((case.id, case) for case in own)
        try:
            if self.settings["dry_run"]:
                from pytest_convergence.forecasting import forecast_lines

                self._forecast = forecast_lines(
                    self.evaluation, self.selected, list(cases.values())
                )
                return
            self.evaluation.start(list(cases.values()))
        except ConvergenceError as error:
            # In a worker a usage error would end in an internal one; there each test tells it.
            if self.worker.alone:
                raise pytest.UsageError(str(error)) from None

    def header(self) -> list[str]:
        """One line that says what is about to happen; none without evals or with ``-q``."""
        if not self.selected or self.config.option.verbose < 0:
            return []
        from pytest_convergence.report.terminal import header_line

        return [header_line(self.settings, len(self.selected))]

    def test_of(self, item: pytest.Item) -> EvalTest:
        """The running test, made on first use."""
        if test_key not in item.stash:
            from pytest_convergence.collect import cases_of, marks_of, test_names
            from pytest_convergence.declaration import declare
            from pytest_convergence.panel import EvalTest

            cases = cases_of(item)
            named = (cases[0].test_file, cases[0].test_name) if cases else test_names(item)
            callspec = getattr(item, "callspec", None)
            item.stash[test_key] = EvalTest(
                evaluation=self.evaluation,
                nodeid=item.nodeid,
                test_file=named[0],
                test_name=named[1],
                declaration=cases[0].declaration
                if cases
                else declare(marks_of(item), self.settings, where=item.nodeid),
                cases=cases,
                data=dict(callspec.params) if callspec else {},
                results=item.stash.setdefault(results_key, []),
            )
        return item.stash[test_key]

    def panel(self, item: pytest.Item) -> Panel:
        """The ``models`` fixture of a test."""
        from pytest_convergence.panel import Panel

        return Panel(self.test_of(item))

    def facade(self, item: pytest.Item) -> Convergence:
        """The ``convergence`` fixture of a test."""
        from pytest_convergence.panel import Convergence, Panel

        test = self.test_of(item)
        return Convergence(Panel(test), test.declaration, test.results)

    @contextmanager
    def running(self, session: pytest.Session) -> Iterator[None]:
        """While all tests run: show how sampling comes on; then count what is no success."""
        if self.settings["dry_run"]:
            self._show_forecast()
            session.items.clear()
        with self._progress():
            yield
        if not self.worker.alone or self.config.option.collectonly:
            return
        stopped = bool(session.shouldstop or session.shouldfail)
        failed = bool(session.testsfailed) or stopped
        unreported = self.count.unreported() if self.count and not stopped else []
        session.testsfailed += len(self.record.conclude(unreported=unreported, failed=failed))
        if self.keeper is not None:
            handed = self.count.handed_over if self.count else []
            problems = self.keeper.conclude(
                made=self.made.union(*(json.loads(given.get(_MADE, "[]")) for given in handed)),
                unfinished=unfinished(self.record, handed, stopped=stopped, unreported=unreported),
            )
            self.record.problems += problems
            session.testsfailed += len(problems)

    def _show_forecast(self) -> None:
        terminal = self.config.pluginmanager.get_plugin("terminalreporter")
        if terminal is None or not self.selected:
            return
        for line in ("", *self._forecast):
            terminal.write_line(line)

    @contextmanager
    def _progress(self) -> Iterator[None]:
        terminal = self.config.pluginmanager.get_plugin("terminalreporter")
        silent = self.settings["record"] == "none" or self.settings["dry_run"]
        if silent or not self.worker.alone or terminal is None:
            yield
            return
        from pytest_convergence.sampling.progress import ProgressLine, rewritable, watching

        # The reporter's own stream: pytest captures what else is written while a test runs.
        stream = terminal._tw._file
        line = ProgressLine(stream, terminal=rewritable(stream, os.environ))
        with watching(self.settings.state, self.run, line):
            yield

    def summarise(self, terminal: Any) -> None:
        """The terminal summary, where evals ran."""
        if self._outputs is not None:
            self._outputs.show(terminal)
        elif self.worker.alone:
            for line in self.keeper.said if self.keeper else ():
                terminal.write_line(line)
        for line in self._last_words:
            terminal.write_line(line)

    def finish(self, session: pytest.Session) -> None:
        """Called when all tests of this process have run, also after a failure."""
        if self.made and not self.worker.alone:
            hand_over(self.config, _MADE, json.dumps(sorted(self.made)))
        self._interrupted = session.exitstatus == pytest.ExitCode.INTERRUPTED
        if self._evaluation is not None:
            self._end(self._evaluation, session)
        failures = self.failures.found if self.failures else ()
        if self.worker.alone and (self.record.entries or self.record.problems or failures):
            from pytest_convergence.garbage import collector_paused
            from pytest_convergence.outputs import Outputs

            with collector_paused():
                self._outputs = Outputs(self)
            for problem in self._outputs.problems:
                self._fail(session, problem)

    def _end(self, evaluation: Evaluation, session: pytest.Session) -> None:
        try:
            self._end_sampling(evaluation)
        except ConvergenceError as error:
            problem = "; ".join([error.headline, *error.details, *error.fix])
            if self.worker.alone:
                self._fail(session, problem)
            else:
                hand_over(self.config, _PROBLEM, json.dumps(problem))
        for given in self.count.handed_over if self.count else ():
            if _PROBLEM in given:
                self._fail(session, json.loads(given[_PROBLEM]))

    def _close(self, evaluation: Evaluation) -> SamplingReport | None:
        if not (self._interrupted and self.worker.alone and self.settings["record"] != "none"):
            return evaluation.close()
        from pytest_convergence.interruption import Interruption

        terminal = self.config.pluginmanager.get_plugin("terminalreporter")

        def say(line: str) -> None:
            if terminal is not None:
                terminal.write_line(f"\n{line}")

        ending = Interruption(self.settings.state, self.run, self.settings["timeout"], say)
        report = ending.close(evaluation, workers=self.count is not None)
        self._last_words = ending.last_words()
        return report

    def forget(self) -> None:
        """Responses and results of this run are not needed any more."""
        for item in self.selected:
            let_go(item)
        self.record.entries.clear()
        if self._evaluation is not None:
            self._evaluation.forget()
            self._evaluation = None
        self.reports.forget()
        self._outputs = None

    def _fail(self, session: pytest.Session, problem: str) -> None:
        self.record.problems.append(problem)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _end_sampling(self, evaluation: Evaluation) -> None:
        report = self._close(evaluation)
        if not self.worker.alone:
            if report is not None:
                hand_over(self.config, _SAMPLING, json.dumps(report.as_dict()))
            return
        if report is not None:
            self.record.sampling.append(report.as_dict())
        for given in self.count.handed_over if self.count else ():
            if _SAMPLING in given:
                self.record.sampling.append(json.loads(given[_SAMPLING]))
        evaluation.finish()
