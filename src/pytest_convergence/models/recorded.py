"""Responses that somebody has already: rows of a file, joined to the cases of a test."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

from pytest_convergence.errors import ConvergenceError, ResponsesError
from pytest_convergence.missing import logged_response
from pytest_convergence.models.messages import Prompt, as_messages, prompt_text
from pytest_convergence.models.reading import failed
from pytest_convergence.models.response import Response
from pytest_convergence.models.responses_file import Row, read_rows

_ALIASES: dict[str, tuple[str, ...]] = {
    "model": ("model", "model_name", "model_id", "engine", "llm"),
    "prompt_id": ("prompt_id", "question_id", "item_id", "case_id", "example_id", "doc_id"),
    "prompt": ("prompt", "prompt_text", "question", "input", "query", "instruction"),
    "text": (
        *("text", "response", "response_text", "output", "completion", "generation"),
        *("model_output", "model_response", "prediction", "answer", "content"),
    ),
    "capability": ("capability", "category"),
    "sample": ("sample", "sample_index", "sample_id", "sample_number", "replicate", "epoch"),
    "finish": ("finish", "finish_reason", "stop_reason"),
    "family": ("family", "prompt_family"),
    "error": ("error", "error_message", "exception"),
}
"""What a column may be called, the likeliest first; case, spaces and hyphens do not count."""

_LIMIT = 200


@dataclass(frozen=True, slots=True)
class RecordedPrompt:
    """One prompt of the file; ``data`` holds the other columns that are equal in all its rows."""

    prompt_id: str
    prompt: Prompt | None
    capability: str | None
    family: str | None
    data: Mapping[str, Any]


@dataclass(frozen=True)
class RecordedResponses:
    """A file of responses, by prompt and model.

    Parameters
    ----------
    models
        In the order of the file.
    prompts
        Those with a text, in the order of the file: what an eval without prompts of its own asks.
    data_columns
        The other columns whose value depends on the prompt alone (an expected answer, options).
    varying_columns
        The other columns that differ between the rows of one prompt (latency, a timestamp).
    duplicates
        Where rows stand that repeat another: those with the same sample number and text were
        left out; without a sample column, rows equal in everything were counted as samples.
    """

    path: Path
    models: tuple[str, ...]
    prompts: tuple[RecordedPrompt, ...]
    data_columns: tuple[str, ...]
    varying_columns: tuple[str, ...]
    duplicates: tuple[str, ...]
    _responses: Mapping[str, Mapping[str, tuple[Response, ...]]] = field(repr=False)
    _entries: Mapping[str, RecordedPrompt] = field(repr=False)

    def match(self, prompt_id: str, text: str) -> Mapping[str, tuple[Response, ...]]:
        """The responses to a case by model, in sample order; empty where the file has none.

        Parameters
        ----------
        prompt_id
            Looked for first.
        text
            The prompt as one text (:func:`prompt_text`), looked for where the id is not there.

        Raises
        ------
        ResponsesError
            Where the file has another prompt under that id, or the same prompt under two ids.
        """
        entry = self._entries.get(prompt_id)
        if entry is not None:
            self._check_wording(entry, text)
            return self._responses[prompt_id]
        found = self._ids_by_text.get(text, ())
        if len(found) > 1:
            raise ResponsesError(
                f"the prompt of {prompt_id!r} stands under {len(found)} ids in {self.path}",
                details=[f"ids: {', '.join(found[:10])}"],
                fix=["give the case one of these ids, or remove the others from the file"],
            )
        return self._responses[found[0]] if found else {}

    def unmatched(self, cases: Iterable[tuple[str, str]]) -> tuple[RecordedPrompt, ...]:
        """The prompts of the file that none of the cases, as ``(prompt_id, text)``, asks."""
        asked: set[str] = set()
        for prompt_id, text in cases:
            if prompt_id in self._entries:
                asked.add(prompt_id)
            else:
                asked.update(self._ids_by_text.get(text, ()))
        return tuple(entry for name, entry in self._entries.items() if name not in asked)

    def missing(self) -> dict[str, Counter[str]]:
        """How many responses of each model are missing, by kind."""
        counts: dict[str, Counter[str]] = {model: Counter() for model in self.models}
        for by_model in self._responses.values():
            for model, responses in by_model.items():
                counts[model].update(r.missing.kind for r in responses if r.missing is not None)
        return counts

    @cached_property
    def _ids_by_text(self) -> Mapping[str, tuple[str, ...]]:
        ids: dict[str, tuple[str, ...]] = {}
        for entry in self._entries.values():
            if entry.prompt is not None:
                text = prompt_text(entry.prompt)
                ids[text] = (*ids.get(text, ()), entry.prompt_id)
        return ids

    def _check_wording(self, entry: RecordedPrompt, text: str) -> None:
        if entry.prompt is None or prompt_text(entry.prompt).split() == text.split():
            return
        raise ResponsesError(
            f"the responses to {entry.prompt_id!r} in {self.path} answer another prompt",
            details=[
                f"in the file: {prompt_text(entry.prompt)[:_LIMIT]}",
                f"in the test: {text[:_LIMIT]}",
            ],
            fix=[
                "use the file's wording, or another id",
                "where only the ids are meant to join: --convergence-columns=prompt=",
            ],
        )


def read_responses(path: Path, columns: Mapping[str, str]) -> RecordedResponses:
    """The responses in a JSON Lines, JSON, CSV or Parquet file.

    Parameters
    ----------
    path
        One row per response: ``model``, ``text``, ``prompt_id`` or ``prompt`` or both, and where
        there are such ``capability``, ``sample`` (from 0; without that column the rows of one
        model and prompt are its samples, in order), ``finish``, ``family``, ``error``.
    columns
        The column of a field, by field, where it has no usual name; an empty name leaves the
        column out. What is mapped to no field is data of the prompt.

    Raises
    ------
    ResponsesError
        For a file that cannot be read, a missing column (with the closest), one prompt id with
        two prompts, capabilities or families, and two texts for one sample.
    """
    rows = read_rows(path)
    names = list(dict.fromkeys(name for row in rows for name in row.values))
    mapped = _columns(path, names, columns)
    return _Reading(path, mapped, [name for name in names if name not in mapped.values()]).of(rows)


def _columns(path: Path, names: Sequence[str], asked: Mapping[str, str]) -> dict[str, str]:
    """The column of each field that has one."""
    unknown = sorted(set(asked) - set(_ALIASES))
    if unknown:
        raise ResponsesError(
            f"a responses file has no field {unknown[0]!r}",
            details=[f"fields: {', '.join(_ALIASES)}"],
            fix=["write --convergence-columns=text=COLUMN,model=COLUMN"],
        )
    for name, column in asked.items():
        if column and column not in names:
            _no_column(path, f"{column!r}, asked for as {name},", column, names)
    mapped = {name: column for name, column in asked.items() if column}
    plain = {_plain_name(name): name for name in reversed(names)}
    for name, aliases in _ALIASES.items():
        if name not in asked:
            taken = set(mapped.values())
            usual = (plain[alias] for alias in map(_plain_name, aliases) if alias in plain)
            found = next((column for column in usual if column not in taken), None)
            mapped |= {} if found is None else {name: found}
    for name in ("model", "text"):
        if name not in mapped:
            _no_column(path, f"for the {name}", name, names)
    if "prompt_id" not in mapped and "prompt" not in mapped:
        _no_column(path, "for the prompt_id or the prompt", "prompt_id", names)
    return mapped


def _plain_name(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())


def _no_column(path: Path, what: str, wanted: str, names: Sequence[str]) -> None:
    close = get_close_matches(wanted.lower(), [name.lower() for name in names], n=1, cutoff=0.4)
    closest = next((name for name in names if close and name.lower() == close[0]), "COLUMN")
    field_name = wanted if wanted in _ALIASES else "text"
    raise ResponsesError(
        f"the responses file {path} has no column {what.rstrip(',')}",
        details=[f"its columns: {', '.join(names)}"],
        fix=[f"name it: --convergence-columns={field_name}={closest}"],
    )


@dataclass
class _Reading:
    """The rows of one file put in order; lives as long as the reading takes."""

    path: Path
    columns: Mapping[str, str]
    others: Sequence[str]
    entries: dict[str, RecordedPrompt] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)
    responses: dict[str, dict[str, dict[int, tuple[Row, Response]]]] = field(default_factory=dict)
    varying: set[str] = field(default_factory=set)
    duplicates: list[str] = field(default_factory=list)
    _seen: set[bytes] = field(default_factory=set)

    def of(self, rows: Sequence[Row]) -> RecordedResponses:
        models: dict[str, None] = {}
        for row in rows:
            entry = self._entry(row)
            model = self._word(row, "model")
            if model is None:
                raise self._problem(row, "has no model", "give every row the name of its model")
            models[model] = None
            self._take(row, model, entry)
        constant = tuple(name for name in self.others if name not in self.varying)
        entries = {
            name: RecordedPrompt(
                name,
                entry.prompt,
                entry.capability,
                entry.family,
                {column: entry.data[column] for column in constant},
            )
            for name, entry in self.entries.items()
        }
        return RecordedResponses(
            path=self.path,
            models=tuple(models),
            prompts=tuple(entry for entry in entries.values() if entry.prompt is not None),
            data_columns=constant,
            varying_columns=tuple(name for name in self.others if name in self.varying),
            duplicates=tuple(self.duplicates),
            _responses={
                prompt_id: {
                    model: tuple(samples[index][1] for index in sorted(samples))
                    for model, samples in by_model.items()
                }
                for prompt_id, by_model in self.responses.items()
            },
            _entries=entries,
        )

    def _entry(self, row: Row) -> RecordedPrompt:
        prompt = self._prompt(row)
        prompt_id = self._word(row, "prompt_id")
        if prompt_id is None and prompt is None:
            raise self._problem(
                row, "has neither a prompt id nor a prompt", "give every row one of the two"
            )
        if prompt_id is None:
            assert prompt is not None
            digest = hashlib.sha256(prompt_text(prompt).encode("utf-8", "surrogatepass"))
            prompt_id = f"prompt-{digest.hexdigest()[:10]}"
        entry = RecordedPrompt(
            prompt_id=prompt_id,
            prompt=prompt,
            capability=self._word(row, "capability"),
            family=self._word(row, "family"),
            data={name: row.values.get(name) for name in self.others},
        )
        before = self.entries.setdefault(prompt_id, entry)
        self.first.setdefault(prompt_id, row.where)
        told = {}
        for name in ("prompt", "capability", "family"):
            old, new = getattr(before, name), getattr(entry, name)
            if old is not None and new is not None and old != new:
                raise self._two_values(row, name, old, new, prompt_id)
            told[name] = new if old is None else old
        self.varying.update(n for n in self.others if before.data[n] != entry.data[n])
        self.entries[prompt_id] = replace(before, **told)
        return self.entries[prompt_id]

    def _two_values(
        self, row: Row, name: str, old: Prompt, new: Prompt, prompt_id: str
    ) -> ResponsesError:
        return ResponsesError(
            f"the prompt id {prompt_id!r} in {self.path} has two values of {name}",
            details=[
                f"{self.first[prompt_id]}: {prompt_text(old)[:_LIMIT]}",
                f"{row.where}: {prompt_text(new)[:_LIMIT]}",
            ],
            fix=[
                "give each prompt an id of its own",
                "or join by the prompt's text: --convergence-columns=prompt_id=",
            ],
        )

    def _take(self, row: Row, model: str, entry: RecordedPrompt) -> None:
        samples = self.responses.setdefault(entry.prompt_id, {}).setdefault(model, {})
        response = self._response(row, entry)
        index = self._sample(row)
        if index is None:
            whole = hashlib.sha256(json.dumps(row.values, sort_keys=True).encode()).digest()
            if whole in self._seen:
                self.duplicates.append(row.where)
            self._seen.add(whole)
            samples[len(samples)] = (row, response)
        elif index not in samples:
            samples[index] = (row, response)
        elif samples[index][1].text == response.text:
            self.duplicates.append(row.where)
        else:
            before = samples[index][0].where
            raise ResponsesError(
                f"{self.path} has two texts for {model}, prompt {entry.prompt_id!r}, "
                f"sample {index}: {before} and {row.where}",
                details=[f"{samples[index][1].text[:_LIMIT]}", f"{response.text[:_LIMIT]}"],
                fix=["keep one of the two, or give them different sample numbers"],
            )

    def _response(self, row: Row, entry: RecordedPrompt) -> Response:
        value = self._value(row, "text")
        text = value if isinstance(value, str) else "" if value is None else json.dumps(value)
        problem = self._value(row, "error")
        if problem and not text.strip():
            said = problem if isinstance(problem, str) else json.dumps(problem)
            return failed(" ".join(said.split()) or "error")
        asked = None if entry.prompt is None else prompt_text(entry.prompt)
        return logged_response(text, self._word(row, "finish"), prompt=asked)

    def _sample(self, row: Row) -> int | None:
        if "sample" not in self.columns:
            return None
        value = self._word(row, "sample")
        if value is None or not re.fullmatch(r"[0-9]+(?:\.0+)?", value):
            raise self._problem(
                row, "has no sample number", "number the samples of a model and prompt from 0"
            )
        return int(value.partition(".")[0])

    def _prompt(self, row: Row) -> Prompt | None:
        value = self._value(row, "prompt")
        if value is None or isinstance(value, str):
            return value or None
        try:
            return as_messages(value)
        except (ConvergenceError, AttributeError, TypeError):
            raise self._problem(
                row, "has a prompt that is no text", "write a text, or a list of messages"
            ) from None

    def _value(self, row: Row, name: str) -> Any:
        return row.values.get(self.columns[name]) if name in self.columns else None

    def _word(self, row: Row, name: str) -> str | None:
        """The field as a short text; whole numbers count, since ids often are."""
        value = self._value(row, name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, str | int):
            return None
        return str(value).strip() or None

    def _problem(self, row: Row, what: str, fix: str) -> ResponsesError:
        return ResponsesError(f"{row.where} of the responses file {self.path} {what}", fix=[fix])
