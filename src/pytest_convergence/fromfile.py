"""An eval that declares no prompts takes them from the responses file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_convergence.collect import argument_names
from pytest_convergence.detect import MARKER
from pytest_convergence.errors import ResponsesError

if TYPE_CHECKING:
    from pytest_convergence.evaluation import Evaluation


def parametrize_from_file(metafunc: pytest.Metafunc, evaluation: Evaluation) -> None:
    """Parametrize ``prompt``, and what else the test requests of the file's columns.

    The capability of a row becomes the marker's; ids are the file's prompt ids.

    Raises
    ------
    ResponsesError
        Where the file has no prompts to offer.
    """
    definition = metafunc.definition
    marks = list(definition.iter_markers("parametrize"))
    if any("prompt" in argument_names(mark) for mark in marks):
        return
    if definition.get_closest_marker(MARKER) is None and "models" not in metafunc.fixturenames:
        return
    recorded = evaluation.recorded
    if recorded is None or not recorded.prompts:
        raise ResponsesError(
            f"{definition.nodeid}: the responses file declares no prompts",
            fix=["give it a prompt column, or parametrize the test over `prompt`"],
        )
    requested = [name for name in recorded.data_columns if name in metafunc.fixturenames]
    declared = next((m for m in definition.iter_markers(MARKER) if "capability" in m.kwargs), None)
    values = []
    for row in recorded.prompts:
        given: list[Any] = [row.prompt, *(row.data.get(name) for name in requested)]
        capability = row.capability if declared is None else None
        mark = [pytest.mark.convergence(capability=capability)] if capability else []
        values.append(pytest.param(*given, id=row.prompt_id, marks=mark))
    metafunc.parametrize(["prompt", *requested], values)
