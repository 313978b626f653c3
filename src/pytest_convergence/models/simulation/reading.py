"""Behaviour files: TOML, checked line by line, so that a slip in one is an error that names it."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from pytest_convergence.errors import SettingsError
from pytest_convergence.models.simulation.behaviour import (
    Answer,
    Behaviour,
    Capability,
    Conditions,
    Faults,
    Habits,
    Profile,
    Question,
    Rule,
)
from pytest_convergence.models.simulation.phrases import words

T = TypeVar("T")
_SHARES = ("error", "empty", "truncated", "busy")
_FINISHES = ("stop", "refusal", "content_filter", "length")


def behaviour_files(paths: Sequence[Path]) -> list[Path]:
    """The files themselves: a folder stands for the ``*.toml`` in it, by name.

    Raises
    ------
    SettingsError
        For a path that is not there, or a folder without behaviour files.
    """
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.glob("*.toml")) if path.is_dir() else [path]
        if not inside or not all(file.is_file() for file in inside):
            raise SettingsError(
                f"no simulated behaviour at {path}",
                fix=["name a TOML file, or a folder that holds some"],
            )
        found += inside
    return found


def read_behaviour(paths: Sequence[Path]) -> Behaviour:
    """The files read one over another: a later one replaces what it names again, key by key.

    Raises
    ------
    SettingsError
        For a file that cannot be read, a key that is not known or a value out of its range.
    """
    merged: dict[str, Any] = {"seed": 0, "models": {}, "capabilities": {}, "questions": {}}
    rules: list[Rule] = []
    for path in paths:
        raw = _Table(_loaded(path), str(path))
        raw.only("seed", "models", "capabilities", "questions", "rules")
        merged["seed"] = raw.get("seed", int, merged["seed"])
        for part in ("models", "capabilities", "questions"):
            for name, table in raw.table(part).items():
                held = merged[part].get(name, {})
                where = f"{part}.{name} in {path}"
                merged[part][name] = _over(held, _Table(table, where).raw)
        rules += [
            _rule(_Table(rule, f"rules[{index}] in {path}"))
            for index, rule in enumerate(raw.get("rules", list, []))
        ]
    return _checked(
        Behaviour(
            seed=merged["seed"],
            capabilities=_each(merged, "capabilities", _capability),
            questions=_each(merged, "questions", _question),
            models=_each(merged, "models", _profile),
            rules=tuple(rules),
        )
    )


def _each(merged: Mapping[str, Any], part: str, make: Callable[[str, _Table], T]) -> dict[str, T]:
    return {name: make(name, _Table(raw, f"{part}.{name}")) for name, raw in merged[part].items()}


def _loaded(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{path} cannot be read as simulated behaviour", details=[str(error)]
        ) from error


def _over(held: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(held)
    for key, value in new.items():
        inner = key == "weights" and isinstance(result.get(key), dict)
        result[key] = {**result[key], **value} if inner else value
    return result


class _Table:
    """A TOML table that knows where it stands."""

    def __init__(self, raw: Any, where: str) -> None:
        self.where = where
        if not isinstance(raw, dict):
            raise self.error(f"is not a table but {raw!r}")
        self.raw: dict[str, Any] = raw

    def error(self, what: str, fix: Sequence[str] = ()) -> SettingsError:
        return SettingsError(f"simulated behaviour: {self.where} {what}", fix=fix)

    def only(self, *known: str) -> None:
        unknown = sorted(set(self.raw) - set(known))
        if unknown:
            raise self.error(f"has an unknown key {unknown[0]!r}", [f"known: {', '.join(known)}"])

    def get(self, key: str, kind: type[T], otherwise: T) -> T:
        value = self.raw.get(key, otherwise)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.error(f"has {key}={value!r}, which is not a {kind.__name__}")
        return value

    def table(self, key: str) -> dict[str, Any]:
        return _Table(self.raw.get(key, {}), f"{self.where}: {key}").raw

    def texts(self, key: str) -> tuple[str, ...]:
        return _texts(self.raw.get(key, ()), f"{self.where}: {key}")

    def number(self, key: str, high: float = float("inf")) -> float | None:
        value = self.raw.get(key)
        return None if value is None else _number(value, f"{self.where}: {key}", high)

    def weights(self, key: str) -> dict[str, float]:
        where = f"{self.where}: {key}"
        return {name: _number(value, where) for name, value in self.table(key).items()}

    def nested(self, key: str) -> dict[str, dict[str, float]]:
        inner = _Table(self.table(key), f"{self.where}: {key}")
        return {name: inner.weights(name) for name in inner.raw}


def _number(value: Any, where: str, high: float = float("inf")) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value <= high:
        upper = "" if high == float("inf") else f" to {high:g}"
        raise SettingsError(
            f"simulated behaviour: {where} is {value!r}, not a number from 0{upper}"
        )
    return float(value)


def _texts(value: Any, where: str) -> tuple[str, ...]:
    texts = (
        (value,)
        if isinstance(value, str)
        else tuple(value)
        if isinstance(value, list | tuple)
        else ()
    )
    if (value and not texts) or not all(isinstance(text, str) for text in texts):
        raise SettingsError(
            f"simulated behaviour: {where} is {value!r}, not a text or a list of texts"
        )
    return texts


def _answers(table: _Table) -> dict[str, Answer]:
    answers = {}
    for kind, value in table.table("answers").items():
        where = f"{table.where}: answers.{kind}"
        if isinstance(value, dict):
            by_style = {style: _texts(texts, where) for style, texts in value.items()}
            answers[kind] = Answer(verbatim=by_style)
        else:
            answers[kind] = Answer(contents=_texts(value, where))
        if not any(answers[kind].verbatim.values()) and not answers[kind].contents:
            raise table.error(f"has no text for the answer {kind!r}")
    return answers


def _capability(name: str, table: _Table) -> Capability:
    table.only("about", "styles", "answers")
    styles = {
        style: _texts(value, f"{table.where}: styles")
        for style, value in table.table("styles").items()
    }
    return Capability(name, styles, _answers(table))


def _question(name: str, table: _Table) -> Question:
    table.only("asks", "capability", "answers", "options", "slots", "weights")
    asks = table.texts("asks")
    if not asks or not all(words(phrase) for phrase in asks):
        raise table.error("has no asks", ["give the phrase that stands in its prompt"])
    return Question(
        id=name,
        asks=asks,
        capability=table.get("capability", str, ""),
        answers=_answers(table),
        options={kind: str(phrase) for kind, phrase in table.table("options").items()},
        slots={slot: str(text) for slot, text in table.table("slots").items()},
        weights=table.nested("weights"),
    )


def _profile(name: str, table: _Table) -> Profile:
    table.only(
        "about",
        "lineage",
        "steadiness",
        "styles",
        "first_option",
        "weights",
        "faults",
        "finish",
        "rejects",
        "reasoning_tokens",
        "latency",
    )
    habits = Habits(
        lineage=table.get("lineage", str, name),
        styles=table.weights("styles"),
        steadiness=table.number("steadiness", 1) or 0.0,
        first_option=table.number("first_option", 1) or 0.0,
    )
    latency = [
        _number(value, f"{table.where}: latency") for value in table.get("latency", list, [])
    ]
    finish = {kind: str(value) for kind, value in table.table("finish").items()}
    if not set(finish.values()) <= set(_FINISHES):
        raise table.error(f"has an unknown finish in {finish}", [f"known: {', '.join(_FINISHES)}"])
    return Profile(
        name=name,
        about=table.get("about", str, ""),
        habits=habits,
        weights=table.nested("weights"),
        faults=_faults(table),
        finish=finish,
        rejects=table.texts("rejects"),
        reasoning_tokens=table.get("reasoning_tokens", int, 0),
        latency=(latency[0], latency[-1]) if latency else (0.0, 0.0),
    )


def _faults(table: _Table) -> Faults:
    raw = _Table(table.table("faults"), f"{table.where}: faults")
    raw.only(*_SHARES)
    faults = Faults(**{name: raw.number(name, 1) or 0.0 for name in _SHARES})
    if faults.error + faults.empty + faults.truncated > 1:
        raise raw.error("add up to more than 1")
    return faults


def _rule(table: _Table) -> Rule:
    names = [item.name for item in fields(Rule)]
    table.only(*names)
    has = table.raw.__contains__
    return Rule(
        models=table.texts("models"),
        capability=table.get("capability", str, "") or None,
        questions=table.texts("questions"),
        when=_conditions(_Table(table.table("when"), f"{table.where}: when")),
        weights=table.weights("weights") if has("weights") else None,
        styles=table.weights("styles") if has("styles") else None,
        lineage=table.get("lineage", str, "") or None,
        steadiness=table.number("steadiness", 1),
        first_option=table.number("first_option", 1),
    )


def _conditions(table: _Table) -> Conditions:
    table.only(*(item.name for item in fields(Conditions)))
    depth = None
    if "depth" in table.raw:
        raw = _Table(table.table("depth"), f"{table.where}: depth")
        raw.only("of", "from", "to")
        low, high = raw.number("from", 1), raw.number("to", 1)
        depth = (raw.get("of", str, ""), low or 0.0, 1.0 if high is None else high)
    return Conditions(
        system=table.texts("system"),
        prompt=table.texts("prompt"),
        without=table.texts("without"),
        temperature_from=table.number("temperature_from"),
        temperature_below=table.number("temperature_below"),
        turns_from=table.get("turns_from", int, 0),
        depth=depth,
    )


def _checked(behaviour: Behaviour) -> Behaviour:
    """Names that point nowhere are errors: a behaviour that silently does nothing misleads."""
    kinds = {name: set(item.answers) for name, item in behaviour.capabilities.items()}
    for question in behaviour.questions.values():
        if question.capability not in behaviour.capabilities:
            raise _dangling(f"questions.{question.id}: capability", question.capability, kinds)
        kinds[question.capability] |= set(question.answers)
    for profile in behaviour.models.values():
        for capability, weights in profile.weights.items():
            where = f"models.{profile.name}: weights.{capability}"
            if capability not in kinds:
                raise _dangling(where, capability, kinds)
            for kind in set(weights) - kinds[capability]:
                raise _dangling(where, kind, kinds[capability])
    for index, rule in enumerate(behaviour.rules):
        for name in set(rule.models) - set(behaviour.models):
            raise _dangling(f"rule {index}: models", name, behaviour.models)
        for name in set(rule.questions) - set(behaviour.questions):
            raise _dangling(f"rule {index}: questions", name, behaviour.questions)
        if rule.capability is not None and rule.capability not in kinds:
            raise _dangling(f"rule {index}: capability", rule.capability, kinds)
    return behaviour


def _dangling(where: str, name: str, known: Any) -> SettingsError:
    return SettingsError(
        f"simulated behaviour: {where} names {name!r}, which no file describes",
        details=[f"known: {', '.join(sorted(known))}"],
    )
