"""The baseline file: committed, sorted, one line a model within each case, stable in diffs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_convergence.baseline.blocks import checksum
from pytest_convergence.baseline.rate_blocks import Block, block_from
from pytest_convergence.errors import BaselineError

SCHEMA = "pytest-convergence/baseline"
VERSION = 1

_CONFLICTS = ("<<<<<<< ", "=======", ">>>>>>> ")
_BLESS = "write it anew: pytest --convergence-baseline={path} --convergence-update-baseline"


def read_baseline(path: Path) -> dict[str, Block]:
    """The groups of a baseline file by id; errors as :func:`read_entries`."""
    return {name: block_from(entry) for name, entry in read_entries(path).items()}


def read_entries(path: Path) -> dict[str, dict[str, Any]]:
    """The groups of a baseline file by id, checked, as they stand in the file.

    Raises
    ------
    BaselineError
        Where the file is not there, is no baseline, is of another schema, has merge conflicts or
        was changed by hand. A broken file never counts as empty.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BaselineError(
            f"there is no baseline {_shown(path)}",
            details=["nothing can be compared, and a gate that compares nothing must not pass"],
            fix=["mend the path given by --convergence-baseline", f"or {_fix(path)}"],
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise BaselineError(
            f"the baseline {_shown(path)} cannot be read",
            details=[str(error)],
            fix=[_restore(path)],
        ) from None
    groups: dict[str, Any] = _document(text, path)["groups"]
    for name, entry in groups.items():
        _group(name, entry, path)
    return groups


def _document(text: str, path: Path) -> dict[str, Any]:
    conflict = next(
        (i for i, line in enumerate(text.splitlines(), 1) if line.startswith(_CONFLICTS)), None
    )
    if conflict is not None:
        raise BaselineError(
            f"the baseline {_shown(path)} has a merge conflict in line {conflict}",
            details=["both sides were blessed; which of them holds is for the recordings to say"],
            fix=[f"git checkout --theirs -- {_shown(path)}, then bless again:", _fix(path)],
        )
    try:
        entry = json.loads(text, object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise BaselineError(
            f"the baseline {_shown(path)} is not valid JSON: {error}",
            fix=[_restore(path), _fix(path)],
        ) from None
    if not isinstance(entry, dict) or entry.get("schema") != SCHEMA:
        found = entry.get("schema") if isinstance(entry, dict) else type(entry).__name__
        raise BaselineError(
            f"{_shown(path)} is not a baseline",
            details=[f"its schema is {found!r}, not {SCHEMA!r}"],
            fix=["give --convergence-baseline a file that --convergence-update-baseline wrote"],
        )
    if entry.get("version") != VERSION:
        raise BaselineError(
            f"the baseline {_shown(path)} has schema version {entry.get('version')!r}, "
            f"this release reads {VERSION}",
            fix=["use the release that wrote it, or bless again with this one:", _fix(path)],
        )
    if not isinstance(entry.get("groups"), dict):
        raise BaselineError(f"the baseline {_shown(path)} has no groups", fix=[_restore(path)])
    return entry


def _group(name: str, entry: Any, path: Path) -> None:
    problem = None
    try:
        block_from(entry)
        if entry["checksum"] != checksum(entry):
            problem = "its checksum does not fit: it was edited by hand, or merged line by line"
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        problem = f"{type(error).__name__}: {error}"
    if problem is not None:
        raise BaselineError(
            f"the baseline {_shown(path)} is damaged in the block of {name}",
            details=[problem],
            fix=[_restore(path), _fix(path)],
        )


def _no_duplicates(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} stands twice in one object")
    return result


def _fix(path: Path) -> str:
    return _BLESS.format(path=_shown(path))


def _restore(path: Path) -> str:
    return f"restore it: git checkout -- {_shown(path)}"


def _shown(path: Path) -> str:
    """The path as a person here would type it."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def write_baseline(path: Path, groups: Mapping[str, Mapping[str, Any]]) -> bool:
    """Replace the file atomically by these groups' entries; False where it holds them already.

    Raises
    ------
    BaselineError
        Where it cannot be written; it is then as it was.
    """
    from pytest_convergence.files import write_atomically

    data = "\n".join(_lines(groups)).encode("ascii") + b"\n"
    try:
        if path.exists() and path.read_bytes().replace(b"\r\n", b"\n") == data:
            return False
        write_atomically(path, data)
    except OSError as error:
        raise BaselineError(
            f"the baseline {_shown(path)} cannot be written: {error.strerror or error}",
            details=["it is as it was"],
            fix=["give --convergence-baseline a path in a folder you may write to"],
        ) from None
    return True


def _lines(groups: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "{"
    yield f' "schema": {_json(SCHEMA)},'
    yield f' "version": {VERSION},'
    yield ' "groups": {'
    yield from _object(groups, 2, _group_lines)
    yield " }"
    yield "}"


def _object(entries: Mapping[str, Any], depth: int, inner: Any) -> Iterator[str]:
    """One entry after the other, sorted, with a comma after all but the last."""
    for position, name in enumerate(sorted(entries)):
        *head, last = inner(name, entries[name], depth)
        yield from head
        yield last if position == len(entries) - 1 else f"{last},"


def _group_lines(name: str, entry: Mapping[str, Any], depth: int) -> Iterator[str]:
    pad = " " * depth
    yield f"{pad}{_json(name)}: {{"
    for key in sorted(set(entry) - {"models", "cases"}):
        yield f"{pad} {_json(key)}: {_json(entry[key])},"
    yield f'{pad} "models": {{'
    yield from _object(entry["models"], depth + 2, _one_line)
    yield f"{pad} }},"
    yield f'{pad} "cases": {{'
    yield from _object(entry["cases"], depth + 2, _case_lines)
    yield f"{pad} }}"
    yield f"{pad}}}"


def _case_lines(name: str, entry: Mapping[str, Any], depth: int) -> Iterator[str]:
    pad = " " * depth
    yield f"{pad}{_json(name)}: {{"
    yield f'{pad} "prompt": {_json(entry["prompt"])},'
    yield f'{pad} "responses": {{'
    yield from _object(entry["responses"], depth + 2, _one_line)
    yield f"{pad} }}"
    yield f"{pad}}}"


def _one_line(name: str, entry: Any, depth: int) -> Iterator[str]:
    yield f"{' ' * depth}{_json(name)}: {_json(entry)}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, sort_keys=True)
