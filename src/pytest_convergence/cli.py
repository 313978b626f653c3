"""The ``convergence`` command: look after recordings and runs, without running a test."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from io import StringIO
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest

from pytest_convergence.detect import is_eval
from pytest_convergence.errors import ConvergenceError
from pytest_convergence.session import session_of
from pytest_convergence.text import printable

if TYPE_CHECKING:
    from pytest_convergence.evaluation import Evaluation
    from pytest_convergence.housekeeping import Finding
    from pytest_convergence.models.wire import Model, WireRequest
    from pytest_convergence.pruning import Asked


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the exit code: 0 well, 1 something found, 2 cannot."""
    parser = _parser()
    parsed, further = parser.parse_known_args(arguments)
    if further and parsed.run is not _check:
        parser.error(f"unrecognized arguments: {' '.join(further)}")
    parsed.further = further
    try:
        return int(parsed.run(parsed))
    except ConvergenceError as error:
        print(f"convergence: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="convergence", description="look after recordings and runs of pytest-convergence"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check = commands.add_parser(
        "check",
        help="no secrets, no orphans, no stale requests in the recordings",
        description="Check the recordings. Collects the tests (runs none) to know what they ask.",
    )
    check.add_argument("paths", nargs="*", help="tests to collect; further options go to pytest")
    check.add_argument("--cassettes", default=None, metavar="DIR", help="folder of recordings")
    check.add_argument(
        "--prune",
        action="store_true",
        help="remove stale requests, and vectors of texts that are not recorded any more",
    )
    check.set_defaults(run=_check)
    move = commands.add_parser(
        "move",
        help="move the recordings of a test that was renamed",
        description="convergence move evals/test_a.py::test_old evals/test_b.py::test_new",
    )
    move.add_argument("old", help="the test's node id before, without parameters")
    move.add_argument("new", help="its node id now")
    move.add_argument("--cassettes", default="cassettes", metavar="DIR")
    move.set_defaults(run=_move)
    demo = commands.add_parser(
        "demo",
        help="see the gate at work: run, bless, change, gate; offline",
        description="Copies a small suite into an empty folder and walks through it.",
    )
    demo.add_argument("folder", nargs="?", default="convergence-demo", type=Path)
    demo.set_defaults(run=_demo)
    report = commands.add_parser(
        "report",
        help="rebuild the page of a saved run",
        description="Write the report of a run file that --convergence-json saved.",
    )
    report.add_argument("run_file", metavar="RUN.json", help="written by --convergence-json")
    report.add_argument("-o", "--output", default="report.html", metavar="PATH")
    report.add_argument(
        "--history",
        default=".convergence/runs",
        metavar="DIR",
        help="folder of kept runs for the trend (default .convergence/runs)",
    )
    report.set_defaults(run=_report)
    labels = commands.add_parser(
        "labels",
        help="how good is a labeller, beside people's labels?",
        description="Compare a labeller with the labels of people in a JSONL, CSV or Parquet file.",
    )
    labels.add_argument("file", type=Path, help="one row a response, with its text and its label")
    labels.add_argument("--labeller", required=True, metavar="NAME", help="refusal, yes-no, …")
    labels.add_argument(
        "--columns", default="", metavar="LABEL=COLUMN,…", help="label=gold,text=answer"
    )
    labels.set_defaults(run=_labels)
    export = commands.add_parser(
        "export-onnx",
        help="make an embedder usable without torch",
        description="Export a sentence-transformers model for ONNX Runtime; checks its vectors.",
    )
    export.add_argument("name", nargs="?", default="all-MiniLM-L6-v2", help="the embedder")
    export.add_argument("--folder", default=None, type=Path, help="where to (default: the cache)")
    export.set_defaults(run=_export_onnx)
    return parser


_OURS = "--convergence-"
# This package is imported before pytest can rewrite its assertions, which it has none of.
_QUIETLY = (
    *("--collect-only", "-qq", "-p", "no:xdist", "-o", "addopts="),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
)


class _Collected:
    """Collects in this process and keeps what the tests would ask."""

    def __init__(self) -> None:
        self.known: dict[PurePosixPath, set[WireRequest]] = {}
        self.models: dict[PurePosixPath, Model] = {}
        self.rootdir = Path.cwd()
        self.cassettes = Path("cassettes")
        self.state = Path(".convergence")
        self.unknowable: set[PurePosixPath] = set()
        self.problem: ConvergenceError | None = None
        self.left_out: list[str] = []

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Called for tests that something leaves out."""
        self.left_out += [item.nodeid for item in items if is_eval(item)]

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Called when collection is done."""
        own = session_of(session.config)
        self.rootdir = session.config.rootpath
        self.cassettes = own.settings.cassettes
        self.state = own.settings.state
        try:
            self._add(own.evaluation, own.selected)
        except ConvergenceError as error:
            self.problem = error

    def _add(self, evaluation: Evaluation, items: Sequence[pytest.Item]) -> None:
        from pytest_convergence.collect import cases_of
        from pytest_convergence.unplanned import may_sample

        for item in items:
            cases = cases_of(item)
            for unit in evaluation.units(cases):
                self.known.setdefault(unit.cassette, set()).add(unit.request)
                self.models[unit.cassette] = unit.model
            if may_sample(item):
                self.unknowable.add(_folder(item))

    def asked(self, root: Path) -> Asked:
        """What was collected, without the models of cassettes with answers still to be merged."""
        from pytest_convergence.pruning import Asked
        from pytest_convergence.recordings import Recordings

        open_ones = set(Recordings(root, self.state / "journal").journalled())
        models = {path: model for path, model in self.models.items() if path not in open_ones}
        return Asked(self.known, models, self.unknowable)


def _folder(item: pytest.Item) -> PurePosixPath:
    """Where a test's recordings lie, below the folder of recordings."""
    from pytest_convergence.collect import test_names
    from pytest_convergence.sampling.plan import cassette_path

    return cassette_path(*test_names(item), "any").parent


class _Given:
    """Reads the options that the project gives to every run, and ends the run there."""

    words: Sequence[str] = ()

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Called before anything is collected, or written."""
        self.words = config.getini("addopts")
        pytest.exit("read", returncode=0)


def _own_options(parsed: argparse.Namespace, environment: str) -> list[str]:
    """Our options among those that the project, or the environment, gives to every run.

    They decide what is asked of models; of the others, which are left out here, some would leave
    tests out, write files or start workers.
    """
    given = _Given()
    # What other plugins make of a run that was never configured is not of interest.
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()), suppress(Exception):
        pytest.main(["--collect-only", *parsed.paths], plugins=[given])
    ours: list[str] = []
    for before, word in pairwise(["", *given.words, *shlex.split(environment)]):
        value_of_ours = before.startswith(_OURS) and "=" not in before
        if word.startswith(_OURS) or (value_of_ours and not word.startswith("-")):
            ours.append(word)
    return ours


def _collect(parsed: argparse.Namespace) -> _Collected:
    environment = os.environ.pop("PYTEST_ADDOPTS", "")
    try:
        return _collect_with(parsed, _own_options(parsed, environment))
    finally:
        if environment:
            os.environ["PYTEST_ADDOPTS"] = environment


def _collect_with(parsed: argparse.Namespace, options: Sequence[str]) -> _Collected:
    collected = _Collected()
    arguments = [*_QUIETLY, *options, *parsed.paths, *parsed.further]
    if parsed.cassettes:
        arguments.append(f"--convergence-cassettes={Path(parsed.cassettes).resolve()}")
    with redirect_stdout(StringIO()) as said:
        code = pytest.main(arguments, plugins=[collected])
    if collected.problem is not None:
        raise collected.problem
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise ConvergenceError(
            "the tests cannot be collected",
            details=said.getvalue().splitlines()[-12:],
            fix=[
                "mend what pytest says above",
                "or name the folder of your evals: convergence check evals",
            ],
        )
    return collected


def _check(parsed: argparse.Namespace) -> int:
    if parsed.prune:
        _refuse_a_part(parsed)
    collected = _collect(parsed)
    root = Path(parsed.cassettes) if parsed.cassettes else collected.cassettes
    keys = [value for name, value in os.environ.items() if name.endswith("_API_KEY")]
    if parsed.prune:
        _refuse_left_out(collected)
        _prune(collected, root, keys)
    findings = _findings(collected, root, keys)
    for finding in findings:
        print(f"{finding.path}: {finding.kind}: {printable(finding.message, limit=500)}")
        print(f"    fix: {printable(finding.fix, limit=500)}")
    count = sum(1 for _ in root.rglob("*.json")) if root.exists() else 0
    print(f"convergence check: {len(findings)} findings in {count} files below {root}")
    return 1 if findings else 0


def _findings(collected: _Collected, root: Path, keys: Sequence[str]) -> list[Finding]:
    from pytest_convergence.housekeeping import check
    from pytest_convergence.pruning import vector_findings

    found = check(root, rootdir=collected.rootdir, known=collected.known, keys=keys)
    known = [
        finding
        for finding in found
        if finding.kind not in ("orphan", "stale")
        or PurePosixPath(finding.path.relative_to(root).parent) not in collected.unknowable
    ]
    return sorted([*known, *vector_findings(root, collected.asked(root))], key=lambda one: one.path)


def _refuse_a_part(parsed: argparse.Namespace) -> None:
    """A test that was not collected would lose its recordings."""
    parts = [path for path in parsed.paths if "::" in path]
    parts += [one for one in parsed.further if not one.startswith("--convergence-")]
    if parts:
        raise ConvergenceError(
            f"--prune takes whole modules and folders, not {parts[0]}",
            details=["what the tests that are left out ask for would be taken for stale"],
            fix=["name files or folders; of further options only --convergence-…"],
        )


def _refuse_left_out(collected: _Collected) -> None:
    if collected.left_out:
        raise ConvergenceError(
            f"--prune needs all tests, and {len(collected.left_out)} were deselected, "
            f"such as {collected.left_out[0]}",
            details=["what the tests that are left out ask for would be taken for stale"],
            fix=["see what in a conftest.py or a plugin deselects them, and leave it out"],
        )


def _prune(collected: _Collected, root: Path, keys: Sequence[str]) -> None:
    from pytest_convergence.pruning import prune
    from pytest_convergence.recordings import Recordings
    from pytest_convergence.scrubbing import Scrubber

    Recordings(root, collected.state / "journal").merge_all()
    locks = collected.state / "locks"
    for path, removed in prune(
        root, collected.asked(root), locks=locks, scrubber=Scrubber.of(keys)
    ):
        print(f"pruned {path}: {removed}")


def _labels(parsed: argparse.Namespace) -> int:
    from pytest_convergence.human_labels import labeller_report, read_human_labels

    pairs = [pair.partition("=") for pair in parsed.columns.split(",") if pair]
    humans = read_human_labels(parsed.file, {name: column for name, _, column in pairs})
    print(printable(str(labeller_report(parsed.labeller, humans)), multiline=True))
    return 0


def _move(parsed: argparse.Namespace) -> int:
    from pytest_convergence.housekeeping import move
    from pytest_convergence.recordings import Recordings

    recordings = Recordings(Path(parsed.cassettes), Path(".convergence") / "journal")
    moved = move(recordings, parsed.old, parsed.new)
    for old, new in moved:
        print(f"{old} -> {new}")
    print(f"convergence move: {len(moved)} files")
    return 0


def _demo(parsed: argparse.Namespace) -> int:
    from pytest_convergence.demo.walk import walk

    return walk(parsed.folder)


def _export_onnx(parsed: argparse.Namespace) -> int:
    from pytest_convergence.represent.engines.onnx_export import export_onnx

    print(export_onnx(parsed.name, parsed.folder))
    return 0


def _report(parsed: argparse.Namespace) -> int:
    from pytest_convergence.history import read_history, with_run
    from pytest_convergence.report.html import write_page
    from pytest_convergence.runs import read_run

    run = read_run(Path(parsed.run_file))
    write_page(run, Path(parsed.output), with_run(read_history(Path(parsed.history)), run))
    print(f"report: {parsed.output}")
    return 0
