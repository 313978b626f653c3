"""Why a unit cannot be replayed: the closest recording, the difference, and the command."""

from __future__ import annotations

import difflib
import json
import os
import re
import shlex
import textwrap
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import TypeAlias

from pytest_convergence.cassettes import Cassette, Recorded
from pytest_convergence.errors import CassetteError
from pytest_convergence.models.secrets import without_keys
from pytest_convergence.models.wire import WireRequest
from pytest_convergence.sampling.plan import Unit

Command: TypeAlias = Callable[[Unit], str]

_DIFF_LINES = 24
_LINE_WIDTH = 88
_SIBLINGS = 20


def explain_miss(
    cassette: Cassette | None,
    unit: Unit,
    *,
    root: Path,
    request: WireRequest | None = None,
    recorded: Collection[int] | None = None,
    elsewhere: Path | None = None,
    command: Command | None = None,
) -> CassetteError:
    """The error for a unit that is not recorded in full.

    Parameters
    ----------
    cassette
        The unit's, None where there is no file.
    unit
        What was asked for.
    root
        The folder of cassettes.
    request
        The unit's request, scrubbed as recordings are; the unit's own where it is not given.
    recorded
        The indices of the samples that are known, in the cassette or elsewhere; those in the
        cassette where it is not given.
    elsewhere
        Another test's cassette that holds the request; see :func:`find_elsewhere`.
    command
        What records a unit; :func:`record_command` where it is not given.
    """
    command = command or record_command
    request = request or unit.request
    path = root / unit.cassette
    if recorded is None:
        recorded = cassette.samples(request) if cassette else ()
    known = [index for index in range(unit.samples) if index in recorded]
    if known:
        return _too_few(path, unit, known, command(unit))
    if cassette is None or not len(cassette):
        return _no_recording(path, unit, root, elsewhere, command)
    return _changed(path, unit, request, closest(cassette, unit, request), command(unit))


def record_command(unit: Unit, repeated: Sequence[str] = (), folder: Path = Path()) -> str:
    """The command that records what a unit lacks and keeps the rest, quoted for a shell.

    Parameters
    ----------
    repeated
        The arguments of this run without which it would ask others, or otherwise.
    folder
        Where commands are given, seen from the rootdir: node ids begin at the rootdir.
    """
    file, separator, name = unit.test.partition("::")
    test = Path(os.path.relpath(file, folder)).as_posix() + separator + name
    arguments = [test, *repeated, "--convergence-record=new_episodes"]
    return without_keys(f"pytest {shlex.join(arguments)}")


def find_elsewhere(path: Path, request: WireRequest, root: Path) -> Path | None:
    """Another test's cassette of the same model that holds the request: the test was renamed.

    Reads up to twenty cassettes, so callers ask once for each cassette that is not there.
    """
    siblings = (other for other in root.rglob("*.json") if other.name == path.name)
    for sibling in islice(siblings, _SIBLINGS):
        try:
            if sibling != path and Cassette.load(sibling).samples(request):
                return sibling
        except CassetteError:
            continue
    return None


def closest(cassette: Cassette, unit: Unit, request: WireRequest) -> Recorded:
    """The recording most like a request: of the same prompt id, else with most words in common."""
    by_request: dict[WireRequest, Recorded] = {}
    for one in cassette.recordeds:
        first = by_request.setdefault(one.request, one)
        by_request[one.request] = min(first, one, key=attrgetter("sample"))
    firsts = list(by_request.values())
    likely = [recorded for recorded in firsts if recorded.prompt_id == unit.prompt_id] or firsts
    words = _words(request)
    return max(likely, key=lambda recorded: _overlap(words, _words(recorded.request)))


def request_diff(recorded: WireRequest, asked: WireRequest) -> list[str]:
    """What changed from the recorded request to the one asked for, as a short unified diff."""
    lines = difflib.unified_diff(
        list(_pretty(recorded)), list(_pretty(asked)), "recorded", "asked for", n=1, lineterm=""
    )
    shown = list(islice(lines, _DIFF_LINES + 1))
    return shown if len(shown) <= _DIFF_LINES else [*shown[:_DIFF_LINES], "…"]


def _no_recording(
    path: Path, unit: Unit, root: Path, elsewhere: Path | None, command: Command
) -> CassetteError:
    fix = [f"record it: {command(unit)}"]
    if "[" in unit.test:
        whole = unit._replace(test=unit.test.partition("[")[0])
        fix.append(f"or all prompts of the test: {command(whole)}")
    if elsewhere is not None:
        old = _test_of(elsewhere.relative_to(root).as_posix())
        new = _test_of(unit.cassette.as_posix())
        fix.insert(0, f"if the test was renamed: convergence move {old} {new}")
    return CassetteError(
        f"nothing is recorded of {unit.model.name} for {unit.test}",
        details=[f"there is no {path}", f"prompt {unit.prompt_id!r}, {unit.samples} samples"]
        + ([f"the same request is recorded in {elsewhere}"] if elsewhere else []),
        fix=fix,
    )


def _too_few(path: Path, unit: Unit, found: list[int], command: str) -> CassetteError:
    return CassetteError(
        f"too few samples of {unit.model.name} are recorded for prompt {unit.prompt_id!r} "
        f"of {unit.test}: recorded {len(found)}, asked for {unit.samples}",
        details=[f"in {path}"],
        fix=[
            f"record the other {unit.samples - len(found)}: {command}",
            f"or ask for {len(found)}: --convergence-samples={len(found)}",
        ],
    )


def _changed(
    path: Path, unit: Unit, request: WireRequest, like: Recorded, command: str
) -> CassetteError:
    same = like.prompt_id == unit.prompt_id
    named = f"prompt {like.prompt_id!r}" if like.prompt_id else "a prompt without id"
    return CassetteError(
        f"the request to {unit.model.name} for prompt {unit.prompt_id!r} of {unit.test} "
        + ("is not the one that was recorded" if same else "is not recorded"),
        details=[
            f"in {path}",
            f"the closest recording is of {named}, sample {like.sample}:",
            *request_diff(like.request, request),
        ],
        fix=[
            f"if the change is meant: {command}",
            "else undo it: in the prompt, the decoding parameters, or the model",
        ],
    )


def _test_of(cassette: str) -> str:
    folder, test = cassette.rsplit("/", 2)[:2]
    return shlex.quote(f"{folder}.py::{test.replace('.', '::')}")


def _words(request: WireRequest) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", f"{request.url} {request.body}"))


def _overlap(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / max(len(one | other), 1)


def _pretty(request: WireRequest) -> Iterator[str]:
    yield f"{request.method} {request.url}"
    try:
        text = json.dumps(json.loads(request.body), indent=2, sort_keys=True, ensure_ascii=False)
    except ValueError:
        text = request.body
    for line in text.splitlines():
        yield from _pieces(line)


def _pieces(line: str) -> Iterator[str]:
    """A long line in parts, so that a diff shows the sentence that changed and little else."""
    if len(line) <= _LINE_WIDTH:
        yield line
        return
    for sentence in re.split(r"(?<=[.!?;:,]) |(?<=\\n)", line):
        yield from textwrap.wrap(sentence, _LINE_WIDTH, drop_whitespace=False) or [sentence]
