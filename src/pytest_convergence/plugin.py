"""Hooks, options and fixtures; no logic."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_convergence.reporting import end_traceback_at_user
from pytest_convergence.session import forget_session, start_session
from pytest_convergence.session import session_of as _session
from pytest_convergence.settings import add_options
from pytest_convergence.xdist import run_without_workers

if TYPE_CHECKING:
    from pytest_convergence.panel import Convergence, Panel


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare what users may register."""
    from pytest_convergence import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """A dry run plans in this process: there is nothing to distribute."""
    if config.getoption("--convergence-dry-run"):
        run_without_workers(config)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Read the settings; the session object owns all that follows."""
    start_session(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize an eval that declares no prompts from the responses file."""
    _session(metafunc.config).parametrize(metafunc)


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class,
) -> Generator[None, Any, Any]:
    """Append a group item to the functions of an eval."""
    collected = yield
    return _session(collector.config).with_groups(collected)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """The plan is known: begin sampling ahead where this run records."""
    _session(session.config).plan(session.items)


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """One header line, where evals were collected."""
    return _session(config).header()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """A run with missing responses, lost tests or no verdict is not a success."""
    with _session(session.config).running(session):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Assertions over plain texts need to know whose they are."""
    from pytest_convergence.running import running

    with running(lambda: _session(item.config).test_of(item)):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Results ride on the report, so that they survive a worker's crash."""
    end_traceback_at_user(call)
    report = yield
    _session(item.config).reports.tell(item, call, report)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """All tests have run: end sampling, and merge what was recorded."""
    _session(session.config).finish(session)


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """All has been said: free what the run held, before pytest looks through all that is alive."""
    forget_session(config)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Verdicts, worst first."""
    _session(config).summarise(terminalreporter)


@pytest.fixture
def convergence_models(request: pytest.FixtureRequest) -> Panel:
    """The panel: the models this test is about."""
    return _session(request.config).panel(request.node)


@pytest.fixture
def models(convergence_models: Panel) -> Panel:
    """The panel; a suite that defines its own ``models`` uses ``convergence_models``."""
    return convergence_models


@pytest.fixture
def convergence(request: pytest.FixtureRequest) -> Convergence:
    """The panel, what the test declares, and the results of its assertions so far."""
    return _session(request.config).facade(request.node)
