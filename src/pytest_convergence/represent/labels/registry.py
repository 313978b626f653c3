"""Labellers by name, for ``label="refusal"`` in a marker."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping

from pytest_convergence.errors import RepresentationError
from pytest_convergence.represent.features import Labeller
from pytest_convergence.represent.labels.abstention import abstention
from pytest_convergence.represent.labels.choices import multiple_choice
from pytest_convergence.represent.labels.confidence import confidence
from pytest_convergence.represent.labels.formats import response_format
from pytest_convergence.represent.labels.instructions import instructions
from pytest_convergence.represent.labels.matching import matches
from pytest_convergence.represent.labels.numbers import number
from pytest_convergence.represent.labels.refusals import refusal
from pytest_convergence.represent.labels.yes_no import yes_no

# A judge is not among them: it needs a model and a rubric.
LABELLERS: Mapping[str, Callable[[], Labeller]] = {
    "abstention": abstention,
    "confidence": confidence,
    "instructions": instructions,
    "matches": matches,
    "multiple-choice": multiple_choice,
    "number": number,
    "refusal": refusal,
    "response-format": response_format,
    "yes-no": yes_no,
}


def labeller(name: str) -> Labeller:
    """The shipped labeller of that name with its defaults; ``_`` and ``-`` are the same.

    Raises
    ------
    RepresentationError
        For a name that is not shipped, with the closest one.
    """
    key = name.strip().lower().replace("_", "-")
    if key in LABELLERS:
        return LABELLERS[key]()
    close = difflib.get_close_matches(key, LABELLERS, n=1)
    raise RepresentationError(
        f"there is no labeller {name!r}",
        details=[f"shipped: {', '.join(LABELLERS)}"],
        fix=[f"did you mean {close[0]!r}?"] if close else ["name one of them, or give a callable"],
    )
