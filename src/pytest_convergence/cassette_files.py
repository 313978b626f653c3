"""A cassette's file becomes interactions, or an error that says where it is broken."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from msgspec import UNSET, Struct, UnsetType, ValidationError, convert, field
from msgspec.json import Decoder

from pytest_convergence.errors import CassetteError

FORMAT_VERSION = 1
SAMPLE_HEADER = "x-convergence-sample"
PROMPT_HEADER = "x-convergence-prompt"
DATE_HEADER = "x-convergence-recorded"

UNTOUCHED = "the file was left as it is; nothing was overwritten"
_CONFLICT = re.compile(r"^(<{7} |={7}$|>{7} )", re.MULTILINE)


class Status(Struct, gc=False):
    """As far as it is read."""

    code: int


class Body(Struct, gc=False):
    """A text: bodies are kept decoded."""

    string: str


class RequestHeaders(Struct, gc=False):
    """Those that we write; without a sample's number, stock vcrpy recorded the interaction."""

    sample: list[str] | UnsetType = field(default=UNSET, name=SAMPLE_HEADER)
    prompt: list[str] | UnsetType = field(default=UNSET, name=PROMPT_HEADER)
    recorded: list[str] | UnsetType = field(default=UNSET, name=DATE_HEADER)


class RecordedRequest(Struct, gc=False):
    """What was asked; vcrpy writes no body as null."""

    method: str
    uri: str
    body: str | None
    headers: RequestHeaders


class RecordedResponse(Struct, gc=False):
    """What came back."""

    status: Status
    headers: dict[str, list[str]]
    body: Body


class Interaction(Struct, gc=False):
    """One request and its response."""

    request: RecordedRequest
    response: RecordedResponse


class _File(Struct, gc=False):
    """A cassette file as far as it is read: what else is in it, vcrpy may have put there."""

    version: int
    interactions: list[Interaction]


_DECODER = Decoder(_File)


def read_interactions(path: Path) -> list[Interaction]:
    """The interactions of a file of vcrpy's format; CassetteError where it is no such file."""
    data = _bytes(path)
    try:
        # Of bytes it does not look into what it skips; our own files are ASCII.
        file = _DECODER.decode(data if data.isascii() else _text(path, data))
    except (ValueError, RecursionError):
        # Lone surrogates are right and read here, and what is wrong is told with its place.
        file = _file(path, _text(path, data))
    if file.version != FORMAT_VERSION:
        raise _wrong_version(path, file.version)
    return file.interactions


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CassetteError(
            f"cannot read the cassette {path}",
            details=[f"{type(error).__name__}: {error.strerror or error}", UNTOUCHED],
            fix=["check that it is a file that this user may read"],
        ) from error


def _text(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _broken(path, f"byte {error.start} (line {line}) is not UTF-8") from error


def _file(path: Path, text: str) -> _File:
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise _broken(path, _json_problem(text, error)) from error
    except (ValueError, RecursionError) as error:
        raise _broken(path, f"it is not usable JSON: {error}") from error
    if not isinstance(data, dict) or not isinstance(data.get("interactions"), list):
        raise _broken(path, "it is JSON, but not a cassette: there is no list of interactions")
    version = data.get("version")
    if type(version) is not int or version != FORMAT_VERSION:
        raise _wrong_version(path, version)
    interactions = []
    for number, interaction in enumerate(data["interactions"]):
        try:
            interactions.append(convert(interaction, Interaction))
        except ValidationError as error:
            raise incomplete(path, number, len(data["interactions"]), error) from error
    return _File(version, interactions)


def _wrong_version(path: Path, version: Any) -> CassetteError:
    return _broken(path, f"its format version is {version!r}; this reads {FORMAT_VERSION}")


def incomplete(path: Path, number: int, count: int, error: Exception) -> CassetteError:
    """The error for an interaction that lacks something, counted from 0."""
    why = f"({type(error).__name__}: {error})"
    return _broken(path, f"interaction {number + 1} of {count} is not complete {why}")


def _json_problem(text: str, error: json.JSONDecodeError) -> str:
    conflict = _CONFLICT.search(text)
    if conflict:
        line = text.count("\n", 0, conflict.start()) + 1
        return f"a merge conflict is not resolved (line {line})"
    if not text.strip():
        return "it is empty"
    byte = len(text[: error.pos].encode("utf-8", "surrogatepass"))
    where = f"line {error.lineno}, column {error.colno}, byte {byte}"
    if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"):
        return f"it is cut off ({where}): {error.msg}"
    if re.match(r"\s*(interactions:|version:|- request:)", text):
        return f"it is YAML; cassettes here are JSON ({where})"
    return f"it is not JSON ({where}): {error.msg}"


def _broken(path: Path, problem: str) -> CassetteError:
    return CassetteError(
        f"the cassette {path} cannot be used: {problem}",
        details=[UNTOUCHED],
        fix=[
            f"restore it: git checkout -- {path}",
            "or delete it and record again with --convergence-record=new_episodes",
        ],
    )
