"""Recordings in order: what ``convergence check`` finds and ``convergence move`` moves."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, TypeAlias
from urllib.parse import quote

from pytest_convergence.cassette_files import DATE_HEADER, PROMPT_HEADER, SAMPLE_HEADER
from pytest_convergence.cassettes import Cassette, Recorded, order, serialise
from pytest_convergence.errors import CassetteError
from pytest_convergence.failures import read_failures
from pytest_convergence.files import disk_error
from pytest_convergence.models.wire import WireRequest
from pytest_convergence.recordings import Recordings
from pytest_convergence.sampling.journal import Outcome
from pytest_convergence.sampling.judge_units import JUDGE
from pytest_convergence.scrubbing import Scrubber

Kind: TypeAlias = Literal["unreadable", "secret", "orphan", "stale", "format"]
Known: TypeAlias = Mapping[PurePosixPath, Collection[WireRequest]]

_RECORD = "record it again with --convergence-record=rewrite"
_DELETE = "delete it"
PRUNE = "convergence check --prune"
_SHOWN = 5
_HARMLESS_HEADERS = frozenset(
    {"accept", "accept-encoding", "connection", "content-length", "content-type", "host"}
    | {"user-agent", DATE_HEADER, PROMPT_HEADER, SAMPLE_HEADER}
)
# Vectors of texts that no model of a panel said, and of responses that came from a file.
_NO_MODEL = "texts"
_FROM_FILES = "responses"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a file of recordings.

    ``kind`` is ``unreadable``, ``secret``, ``orphan`` (no test asks for the file), ``stale`` (no
    test makes this request any more) or ``format`` (not as this package writes it).
    """

    path: Path
    kind: Kind
    message: str
    fix: str


def check(
    root: Path, *, rootdir: Path, known: Known | None = None, keys: Iterable[str | None] = ()
) -> list[Finding]:
    """What is wrong with the recordings below ``root``, sorted by path; changes nothing.

    Parameters
    ----------
    root
        The folder of cassettes. Where it does not exist there is nothing to find.
    rootdir
        pytest's: a cassette whose test module is not there is an orphan.
    known
        The requests of all collected tests by cassette. With it, a cassette that is not among
        them is an orphan and a request that is not among its cassette's is stale.
    keys
        Known keys, which may be in no file; keys are also known by their shape.
    """
    checker = _Checker(root, rootdir, known, Scrubber.of(keys))
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return [finding for path in files for finding in checker.file(path)]


@dataclass(frozen=True)
class _Checker:
    root: Path
    rootdir: Path
    known: Known | None
    scrubber: Scrubber

    def file(self, path: Path) -> Iterator[Finding]:
        if path.name.endswith(".missing.json"):
            yield from self._failures(path)
        elif path.suffix == ".json":
            yield from self._cassette(path)
        elif path.suffix == ".npz":
            yield from self._vectors(path)
        elif path.suffix == ".tmp":
            yield Finding(path, "orphan", "a killed run left this unfinished file", PRUNE)

    def _cassette(self, path: Path) -> Iterator[Finding]:
        try:
            cassette = Cassette.load(path)
        except CassetteError as error:
            yield Finding(path, "unreadable", error.headline, error.fix[0])
            return
        relative = PurePosixPath(path.relative_to(self.root).as_posix())
        yield from self._orphan(path, relative)
        yield from self._secrets(path, cassette.recordeds)
        yield from self._stale(path, cassette.recordeds, relative)
        yield from _format(path, cassette)

    def _failures(self, path: Path) -> Iterator[Finding]:
        try:
            failures = read_failures(path)
        except CassetteError as error:
            yield Finding(path, "unreadable", error.headline, error.fix[0])
            return
        cassette = path.with_name(path.name.removesuffix(".missing.json") + ".json")
        relative = PurePosixPath(cassette.relative_to(self.root).as_posix())
        yield from self._orphan(path, relative)
        yield from self._stale(path, failures, relative)
        found = self.scrubber.secrets_in(path.read_text("utf-8-sig"))
        changed = [kept for kept in failures if self.scrubber.request(kept.request) != kept.request]
        if found or changed:
            yield Finding(path, "secret", _secret_message(found), _RECORD)

    def _vectors(self, path: Path) -> Iterator[Finding]:
        if beside_no_cassette(path, self.root):
            yield Finding(path, "orphan", "these vectors lie beside no cassette", PRUNE)

    def _orphan(self, path: Path, cassette: PurePosixPath) -> Iterator[Finding]:
        module = self.rootdir / cassette.parent.parent.with_suffix(".py")
        if not module.exists():
            fix = f"convergence move, where {module.name} was renamed; else {_DELETE}"
            yield Finding(path, "orphan", f"its test module is not there: {module}", fix)
        elif self.known is not None and not self._asked(cassette):
            fix = f"convergence move, where the test was renamed; else {_DELETE}"
            yield Finding(path, "orphan", "no collected test and model ask for it", fix)

    def _asked(self, cassette: PurePosixPath) -> bool:
        """Whether a collected test asks for it; what a judge is asked depends on the answers."""
        assert self.known is not None
        if cassette.name.startswith(quote(JUDGE, safe="")):
            return any(other.parent == cassette.parent for other in self.known)
        return cassette in self.known

    def _secrets(self, path: Path, recordeds: Iterable[Recorded]) -> Iterator[Finding]:
        found = self.scrubber.secrets_in(path.read_text("utf-8-sig"))
        where = [
            f"{kept.prompt_id!r} sample {kept.sample}" for kept in recordeds if self._differs(kept)
        ]
        where += _unlisted_headers(path)
        if found or where:
            yield Finding(path, "secret", _secret_message(found, where), _RECORD)

    def _differs(self, kept: Recorded) -> bool:
        same = self.scrubber.request(kept.request) == kept.request
        return not (same and self.scrubber.response(kept.response) == kept.response)

    def _stale(
        self, path: Path, outcomes: Iterable[Outcome], relative: PurePosixPath
    ) -> Iterator[Finding]:
        if self.known is None or relative not in self.known:
            return
        asked = {self.scrubber.request(request) for request in self.known[relative]}
        stale = {
            kept.prompt_id or "(no id)": None for kept in outcomes if kept.request not in asked
        }
        if stale:
            named = _some([repr(prompt_id) for prompt_id in stale])
            message = f"no test makes these requests any more: {named}"
            yield Finding(path, "stale", message, PRUNE)


def beside_no_cassette(path: Path, root: Path) -> bool:
    """Whether a file of vectors has lost the cassette whose answers they are of."""
    if path.relative_to(root).parts[0] == _FROM_FILES or path.name.startswith(f"{_NO_MODEL}."):
        return False
    owners = (other.name.removesuffix(".json") for other in path.parent.glob("*.json"))
    return not any(path.name.startswith(f"{owner}.") for owner in owners)


def move(recordings: Recordings, old_test: str, new_test: str) -> list[tuple[Path, Path]]:
    """Move what is recorded of a test that was renamed: answers, vectors, final failures.

    What lies in the journal is merged first. Nothing is overwritten; where a file is in the way,
    nothing is moved. A move that was interrupted is finished by the same command.

    Parameters
    ----------
    recordings
        Of the rootdir.
    old_test, new_test
        Node ids without parameters (``evals/test_facts.py::TestFacts::test_capitals``), or two
        modules (``evals/test_facts.py``), which moves the recordings of all their tests.

    Returns
    -------
    list of (old path, new path)

    Raises
    ------
    CassetteError
        Where nothing is recorded for the old test, or something is for the new one.
    SamplingError
        Where the folder cannot be written.
    """
    old, new = _folder(old_test), _folder(new_test)
    if ("::" in old_test) != ("::" in new_test):
        raise CassetteError(
            f"cannot move recordings from {old_test} to {new_test}",
            details=["one is a module and the other a test"],
            fix=["name two modules or two tests"],
        )
    recordings.merge_all()
    pairs = [
        (path, recordings.root / new / path.relative_to(recordings.root / old))
        for path in _recorded_files(recordings.root / old, whole_module="::" not in old_test)
    ]
    _refuse_unmovable(recordings.root, old_test, new_test, pairs)
    for source, target in pairs:
        _rename(source, target)
        _remove_empty(source.parent, recordings.root)
    return pairs


def _format(path: Path, cassette: Cassette) -> Iterator[Finding]:
    recordeds = cassette.recordeds
    if serialise(recordeds) == path.read_text("utf-8"):
        return
    if any(not kept.recorded_at for kept in recordeds):
        message = "it was recorded by stock vcrpy: without sample indices and prompt ids"
    elif sorted(recordeds, key=order) != list(recordeds):
        message = "its interactions are not sorted by prompt id and sample"
    else:
        message = "it was edited by hand"
    yield Finding(path, "format", message, "the next recording into it writes it anew")


def _unlisted_headers(path: Path) -> list[str]:
    """Headers of recorded requests that may not be kept; ours never have any, others may."""
    interactions = json.loads(path.read_text("utf-8-sig"))["interactions"]
    names = {name.lower() for one in interactions for name in one["request"]["headers"]}
    return sorted(f"header {name}" for name in names - _HARMLESS_HEADERS)


def _secret_message(found: list[str], where: Iterable[str] = ()) -> str:
    parts = [f"looks like a key: {_some(found)}"] if found else []
    named = list(where)
    if named or not found:
        parts.append("keeps more than the allow-list" + (f": {_some(named)}" if named else ""))
    return "; ".join(parts)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _folder(test: str) -> PurePosixPath:
    module, *names = test.partition("[")[0].replace("\\", "/").split("::")
    folder = PurePosixPath(module).with_suffix("")
    return folder / ".".join(names) if names else folder


def _recorded_files(folder: Path, *, whole_module: bool) -> list[Path]:
    # A package may share its name with a module: only the tests' own files are the module's.
    pattern = "*/*" if whole_module else "*"
    return sorted(path for path in folder.glob(pattern) if path.is_file())


def _refuse_unmovable(
    root: Path, old_test: str, new_test: str, pairs: list[tuple[Path, Path]]
) -> None:
    if not pairs:
        folders = {path.parent.relative_to(root).as_posix() for path in root.rglob("*.json")}
        like = difflib.get_close_matches(_folder(old_test).as_posix(), sorted(folders))
        raise CassetteError(
            f"nothing is recorded for {old_test} in {root}",
            details=[f"recorded is {name}" for name in like],
            fix=["name the test as it was called when it was recorded"],
        )
    taken = [target for _, target in pairs if target.exists()]
    if taken:
        raise CassetteError(
            f"cannot move recordings to {new_test}: something is recorded there",
            details=[*map(str, taken[:_SHOWN]), "nothing was moved"],
            fix=["delete the ones that are not wanted, then move again"],
        )


def _rename(source: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)
    except OSError as error:
        raise disk_error(
            error, doing="move recordings", path=target, kept=f"{source} is where it was"
        ) from error


def _remove_empty(folder: Path, root: Path) -> None:
    while folder != root and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
