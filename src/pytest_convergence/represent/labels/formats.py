"""What shape does the answer have? Of a declared set of classes, with an explicit ``unparsed``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_convergence.errors import RepresentationError
from pytest_convergence.models.response import Response
from pytest_convergence.represent.features import Label
from pytest_convergence.represent.labels.reading import answer_of, unusable
from pytest_convergence.represent.layout import detect

CLASSES = ("json", "code", "table", "list", "sections", "prose")
FINER = {"numbered": "list", "bullets": "list", "markup": "unparsed"}
UNPARSED = "unparsed"


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """Labels are format classes or ``unparsed``; see :func:`response_format`."""

    classes: tuple[str, ...] = CLASSES
    name: str = "response-format"
    version: str = "1"

    def __call__(self, response: Response, data: Mapping[str, Any]) -> Label:  # noqa: ARG002
        """The one class that most of the answer has."""
        without = unusable(response)
        if without is not None:
            return without
        found = detect(answer_of(response.text))
        if found not in self.classes:
            found = FINER.get(found, found)
        return Label(found if found in self.classes else UNPARSED)


def response_format(classes: Sequence[str] = CLASSES) -> ResponseFormat:
    """A labeller of format.

    *json*: the answer, or its one fenced block, is a JSON object or array. *list* and *code*: at
    least half of its characters are, or a block of code with a line or two around it. *table*: it
    holds one. *sections*: two or more headings, each with text.
    *prose*: the rest, poems and single words included. What is of none of the declared classes
    (a document in HTML or XML, or a class left out) is ``unparsed``.

    Parameters
    ----------
    classes
        Of ``json``, ``code``, ``table``, ``list``, ``sections``, ``prose``, and the finer
        ``numbered``, ``bullets`` (both are lists where not declared) and ``markup``.

    Raises
    ------
    RepresentationError
        For a class that is not known, or none.
    """
    unknown = [name for name in classes if name not in (*CLASSES, *FINER)]
    if unknown or not classes:
        raise RepresentationError(
            f"response_format has no class {unknown[0]!r}" if unknown else "no class is declared",
            fix=[f"declare some of {', '.join((*CLASSES, *FINER))}"],
        )
    return ResponseFormat(tuple(dict.fromkeys(classes)))
