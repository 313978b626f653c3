"""The rows of a file of recorded responses: JSON Lines, JSON, CSV, TSV or Parquet."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_convergence.errors import ResponsesError

_BOMS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_SUFFIXES = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One row: where it stands (``line 17``, ``row 17``) and its values by column."""

    where: str
    values: Mapping[str, Any]


def read_rows(path: Path) -> list[Row]:
    """All rows of a file, in its order; values are JSON values, a null and a NaN are None.

    The kind is told by the suffix, else by the first bytes. A JSON file may be an array.

    Raises
    ------
    ResponsesError
        Where the file cannot be read or decoded, a line is not what the format says (with its
        number), or there are no rows.
    """
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise ResponsesError(
            f"the responses file {path} cannot be read",
            details=[problem.strerror or type(problem).__name__],
            fix=["check --convergence-responses"],
        ) from None
    kind = _SUFFIXES.get(path.suffix.lower()) or _kind(content)
    if kind == "parquet":
        rows = _parquet(path, content)
    else:
        text = _decoded(path, content)
        if kind == "csv":
            rows = list(_csv(path, text))
        elif kind == "json" or text.lstrip()[:1] == "[":
            rows = _json_array(path, text)
        else:
            rows = list(_json_lines(path, text))
    if not rows:
        raise ResponsesError(
            f"the responses file {path} has no rows", fix=["give it one row per response"]
        )
    return rows


def _kind(content: bytes) -> str:
    if content[:4] == b"PAR1":
        return "parquet"
    start = content[:100].lstrip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n")
    return "jsonl" if start[:1] in (b"{", b"[") else "csv"


def _decoded(path: Path, content: bytes) -> str:
    encoding = next((name for bom, name in _BOMS if content.startswith(bom)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as problem:
        line = content[: problem.start].count(b"\n") + 1
        raise ResponsesError(
            f"the responses file {path} is not {encoding.upper()}: line {line}",
            details=[f"byte 0x{content[problem.start]:02x} at position {problem.start}"],
            fix=["save it as UTF-8, for example: iconv -f WINDOWS-1252 -t UTF-8 FILE"],
        ) from None
    if content[1:2] == b"\0" or content[:1] == b"\0":
        raise ResponsesError(
            f"the responses file {path} is not UTF-8",
            details=["it starts with a NUL byte, as UTF-16 without a byte order mark does"],
            fix=["save it as UTF-8, for example: iconv -f UTF-16LE -t UTF-8 FILE"],
        )
    return text


def _json_lines(path: Path, text: str) -> Iterator[Row]:
    # Not splitlines(): a text may hold U+2028 and its kind.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield Row(f"line {number}", _object(path, f"line {number}", _json(path, number, line)))


def _json_array(path: Path, text: str) -> list[Row]:
    values = _json(path, 1, text)
    if isinstance(values, dict):
        values = [values]
    if not isinstance(values, list):
        raise ResponsesError(
            f"the responses file {path} is JSON but no list of rows",
            fix=["write one JSON object per line, or an array of objects"],
        )
    return [
        Row(f"row {number}", _object(path, f"row {number}", value))
        for number, value in enumerate(values, 1)
    ]


def _json(path: Path, number: int, text: str) -> Any:
    try:
        # A text may hold raw control characters; they do no harm here.
        return json.loads(text, strict=False)
    except json.JSONDecodeError as problem:
        line = number + problem.lineno - 1
        near = problem.doc[max(problem.pos - 30, 0) : problem.pos + 30]
        raise ResponsesError(
            f"line {line} of the responses file {path} is not JSON",
            details=[f"{problem.msg} at column {problem.colno}", f"near: {near}"],
            fix=["each line must be one JSON object; was the file cut off there?"],
        ) from None
    except (ValueError, RecursionError) as problem:
        raise ResponsesError(
            f"line {number} of the responses file {path} cannot be read",
            details=[str(problem)],
        ) from None


def _object(path: Path, where: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ResponsesError(
            f"{where} of the responses file {path} is {type(value).__name__}, not an object",
            fix=['write {"model": …, "prompt_id": …, "text": …}'],
        )
    return {name: _plain(inner) for name, inner in value.items()}


def _csv(path: Path, text: str) -> Iterator[Row]:
    first = text.partition("\n")[0]
    delimiter = max((",", ";", "\t"), key=first.count)
    # The limit is the process's: a field may be megabytes, and others keep theirs.
    limit = csv.field_size_limit(max(len(text), 1))
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        yield from _csv_rows(path, reader)
    finally:
        csv.field_size_limit(limit)


def _csv_rows(path: Path, reader: Any) -> Iterator[Row]:
    header: list[str] | None = None
    start = 1
    try:
        for fields in reader:
            where, start = f"line {start}", reader.line_num + 1
            if not fields:
                continue
            if header is None:
                header = _header(path, fields)
            elif len(fields) != len(header):
                raise ResponsesError(
                    f"{where} of the responses file {path} has {len(fields)} fields, "
                    f"the header {len(header)}",
                    details=["a delimiter or a line break inside a text that is not quoted?"],
                    fix=['put texts into double quotes, and write " inside them as ""'],
                )
            else:
                yield Row(where, dict(zip(header, fields, strict=True)))
    except csv.Error as problem:
        raise ResponsesError(
            f"line {start} of the responses file {path} is not CSV",
            details=[str(problem)],
            fix=['check the double quotes from that line on; write " inside a text as ""'],
        ) from None


def _header(path: Path, fields: list[str]) -> list[str]:
    names = [name.strip() for name in fields]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ResponsesError(
            f"the responses file {path} has two columns named {twice[0]!r}",
            fix=["give every column a name of its own in the first line"],
        )
    return names


def _parquet(path: Path, content: bytes) -> list[Row]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ResponsesError(
            f"reading {path} needs pyarrow, which is not installed",
            fix=["pip install 'pytest-convergence[parquet]'", "or save the file as JSON Lines"],
        ) from None
    try:
        table = pyarrow.parquet.read_table(pyarrow.BufferReader(content))
        values = table.to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError) as problem:
        raise ResponsesError(
            f"the responses file {path} is not Parquet that can be read", details=[str(problem)]
        ) from None
    return [
        Row(f"row {number}", {name: _plain(value) for name, value in row.items()})
        for number, row in enumerate(values, 1)
    ]


def _plain(value: Any) -> Any:
    """The value in JSON types; what is none becomes its text, and NaN a null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
