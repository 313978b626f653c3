"""A dry run: what recording the selected tests would take, and what of it cannot be known.

What judges are asked depends on the answers. Where these are recorded it is known, elsewhere it is
estimated: one question for each answer and judge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_convergence.detect import is_eval
from pytest_convergence.errors import SettingsError
from pytest_convergence.unplanned import samples_as_it_runs

if TYPE_CHECKING:
    from pathlib import PurePosixPath
    from types import CodeType

    import pytest

    from pytest_convergence.declaration import Case
    from pytest_convergence.evaluation import Evaluation
    from pytest_convergence.models.wire import WireRequest
    from pytest_convergence.represent.labels.asking import ModelAsk
    from pytest_convergence.represent.labels.judges import Judge
    from pytest_convergence.sampling.forecast import ModelForecast
    from pytest_convergence.sampling.plan import Unit

_CHARACTERS_PER_TOKEN = 4
_ANSWER_TOKENS = 256.0


def forecast_lines(
    evaluation: Evaluation, items: Sequence[pytest.Item], cases: Sequence[Case]
) -> list[str]:
    """The plan of these tests as a table, and notes on what it rests on and what is not in it.

    Raises
    ------
    SettingsError
        For a case that cannot be judged.
    CassetteError
        Where a recording cannot be read.
    """
    from pytest_convergence.sampling.forecast import forecast, forecast_table
    from pytest_convergence.sampling.sampler import sampling_settings

    for case in cases:
        evaluation.names.check(case.declaration, case.nodeid)
    settings = sampling_settings(evaluation.settings)
    units = evaluation.units(cases)
    panel = forecast(units, evaluation.recordings, settings)
    questions = list(_questions(evaluation, cases, _answer_tokens(panel)))
    judges = [
        replace(entry, model=f"{entry.model} as judge (estimate)")
        for entry in forecast(questions, evaluation.recordings, settings)
    ]
    lines = forecast_table([*panel, *judges])
    lines.append("where nothing is recorded yet, an answer counts as 256 tokens")
    if judges:
        lines.append(
            "judges: one question for each answer and judge; equal answers are asked about once"
        )
    return lines + _asked_twice(evaluation, units) + _not_counted(evaluation, items)


def _asked_twice(evaluation: Evaluation, units: Sequence[Unit]) -> list[str]:
    """Whether several tests would put the same question to a model, each for itself."""
    from pytest_convergence.sampling.sampler import is_open

    again = evaluation.settings["retry_missing"]
    calls: dict[WireRequest, dict[PurePosixPath, int]] = {}
    for unit in units:
        found = evaluation.recordings.find(unit)
        wanted = sum(is_open(outcome, again) for outcome in found)
        of_test = calls.setdefault(unit.request, {})
        of_test[unit.cassette] = max(of_test.get(unit.cassette, 0), wanted)
    repeated = sum(sum(tests.values()) - max(tests.values()) for tests in calls.values())
    if not repeated:
        return []
    return [f"{repeated} of these calls repeat, for another test, a question that one test asks"]


def _answer_tokens(panel: Sequence[ModelForecast]) -> dict[str, float]:
    """Expected tokens of an answer by model, of those that would be asked."""
    return {entry.model: entry.output_tokens / entry.calls for entry in panel if entry.calls}


def _questions(
    evaluation: Evaluation, cases: Sequence[Case], tokens: Mapping[str, float]
) -> Iterator[Unit]:
    """What models that judge would be asked; about an answer that nobody knows, a stand-in."""
    from pytest_convergence.represent.labels.reading import unusable
    from pytest_convergence.sampling.judge_units import judge_unit

    for case in cases:
        judge = _judge(evaluation.names.labeller(case.declaration.label))
        asks = _models_asked(judge)
        if judge is None or not asks:
            continue
        where = (case.nodeid, case.test_file, case.test_name)
        for name, answers in evaluation.known_responses(case).items():
            for number, answer in enumerate(answers):
                if answer is not None and unusable(answer) is not None:
                    continue
                length = int(_CHARACTERS_PER_TOKEN * tokens.get(name, _ANSWER_TOKENS))
                stand_in = f"{case.id} {name} {number} ".ljust(length, "x")
                prompt = judge.prompt(answer.text if answer else stand_in, case.parameters)
                for ask in asks:
                    model = evaluation.names.model(ask.spec)
                    try:
                        yield judge_unit(*where, model, dict(ask.decoding), prompt)
                    except SettingsError:  # half a character: the test itself will tell it
                        continue


def _judge(labeller: Any) -> Judge | None:
    from pytest_convergence.represent.labels.judges import Judge

    return labeller if isinstance(labeller, Judge) else None


def _models_asked(judge: Judge | None) -> list[ModelAsk]:
    from pytest_convergence.represent.labels.asking import ModelAsk

    return [ask for _, ask in judge.asks if isinstance(ask, ModelAsk)] if judge else []


def _not_counted(evaluation: Evaluation, items: Sequence[pytest.Item]) -> list[str]:
    """What only running the tests would show."""
    made_up = sum(map(samples_as_it_runs, items))
    judging = sum(1 for item in items if is_eval(item) and _judges_as_it_runs(item))
    lines = []
    if made_up:
        lines.append(f"{made_up} tests sample as they run: their calls are not counted")
    if judging:
        lines.append(f"{judging} tests ask judges as they run: these calls are not counted")
    embedder = str(evaluation.settings["embedder"])
    if embedder.startswith(("openai:", "endpoint:")):
        lines.append(f"what {embedder.partition('@')[0]} embeds is not counted")
    return lines


def _judges_as_it_runs(item: pytest.Item) -> bool:
    """Whether a test's body makes a judge, or uses one that its marker does not declare."""
    function = getattr(item, "function", None)
    code = getattr(function, "__code__", None)
    if function is None or code is None:
        return False
    declared = [mark.kwargs.get("label") for mark in item.iter_markers("convergence")]
    used = _names_used(code)
    values = (function.__globals__.get(name) for name in used)
    others = (value for value in values if not any(value is one for one in declared))
    return "judge" in used or any(_models_asked(_judge(value)) for value in others)


def _names_used(code: CodeType) -> set[str]:
    inner = [part for part in code.co_consts if isinstance(part, type(code))]
    return {*code.co_names, *(name for part in inner for name in _names_used(part))}
