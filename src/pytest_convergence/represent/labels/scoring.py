"""How good is a labeller? Its labels beside those that people gave."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_convergence.errors import ResponsesError
from pytest_convergence.missing import logged_response
from pytest_convergence.models.response import Response
from pytest_convergence.represent.features import Label, Labeller

MISSING = "(missing)"


@dataclass(frozen=True)
class Example:
    """One response with the label a person gave it; None where it cannot be labelled.

    ``split`` is for the reader: ``development`` examples may shape a rule, ``held-out`` may not.
    """

    id: str
    response: Response
    label: str | None
    missing: str | None = None
    split: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Confusion:
    """Counts by (label a person gave, label the labeller gave); ``(missing)`` stands for none.

    ``wrong`` holds the id, the person's label and the labeller's of each disagreement.
    """

    counts: Mapping[tuple[str, str], int]
    wrong: tuple[tuple[str, str, str], ...] = ()

    @property
    def total(self) -> int:
        """How many examples."""
        return sum(self.counts.values())

    @property
    def accuracy(self) -> float:
        """The share labelled as people did, from 0 to 1; nan without examples."""
        right = sum(count for (given, found), count in self.counts.items() if given == found)
        return right / self.total if self.total else float("nan")

    @property
    def labels(self) -> tuple[str, ...]:
        """Every label that either gave, sorted, with missing last."""
        seen = {label for pair in self.counts for label in pair}
        return tuple(sorted(seen, key=lambda label: (label == MISSING, label)))

    def recall(self, label: str) -> float:
        """The share of a person's label that the labeller finds; nan where there is none."""
        given = sum(count for pair, count in self.counts.items() if pair[0] == label)
        return self.counts.get((label, label), 0) / given if given else float("nan")

    def precision(self, label: str) -> float:
        """The share of the labeller's label that people gave too; nan where there is none."""
        found = sum(count for pair, count in self.counts.items() if pair[1] == label)
        return self.counts.get((label, label), 0) / found if found else float("nan")

    def markdown(self) -> str:
        """A table: a row for each label people gave, a column for each the labeller gave."""
        lines = ["| given \\ found | " + " | ".join(self.labels) + " |"]
        lines.append("|---|" + "---:|" * len(self.labels))
        for given in self.labels:
            cells = [str(self.counts.get((given, found), 0)) for found in self.labels]
            lines.append(f"| {given} | " + " | ".join(cells) + " |")
        return "\n".join(lines)


def confusion(labeller: Labeller, examples: Iterable[Example]) -> Confusion:
    """The labeller's labels beside people's, missing ones included."""
    counts: Counter[tuple[str, str]] = Counter()
    wrong = []
    for example in examples:
        answer = labeller(example.response, example.data)
        value = answer.value if isinstance(answer, Label) else answer
        given, found = example.label or MISSING, value or MISSING
        counts[given, found] += 1
        if given != found:
            wrong.append((example.id, given, found))
    return Confusion(dict(sorted(counts.items())), tuple(wrong))


def read_examples(path: Path) -> tuple[Example, ...]:
    """The examples in a JSONL file: ``text`` and ``label``, and as wanted ``id``, ``split``,
    ``data`` (the case's parameters), ``finish`` (the provider's word) and ``missing``.

    Raises
    ------
    ResponsesError
        For a line that is no JSON object or lacks its text or its label.
    """
    examples = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            response = logged_response(row["text"], row.get("finish"))
            label = row["label"]
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            raise ResponsesError(
                f"line {number} of {path} is no labelled example",
                details=[f"{type(problem).__name__}: {problem}"],
                fix=['write one JSON object a line: {"text": "…", "label": "…"}'],
            ) from problem
        name = str(row.get("id", number))
        split, data = row.get("split", ""), row.get("data") or {}
        examples.append(Example(name, response, label, row.get("missing"), split, data))
    return tuple(examples)
