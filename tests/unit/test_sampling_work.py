from __future__ import annotations

from collections.abc import Iterable
from contextvars import copy_context

from pytest_convergence.sampling.work import UNPLANNED, Workload
from tests.sampling_parts import model, plan, unit

URL = "http://127.0.0.1:1/v1"


def workload(*, held: bool = True, prompts: int = 10, tests: Iterable[str] = ("t",)) -> Workload:
    made = Workload(
        plan(URL, models=2, prompts=prompts, samples=2, tests=list(tests)), copy_context()
    )
    for shelf in made.shelves.values():
        shelf.held = held
    return made


def prompts_ahead(made: Workload, positions: Iterable[int], calls: int) -> list[str]:
    return [work.unit.prompt_id for work in made.ahead("test/m0", positions, calls)]


def test_work_ahead_is_bounded_in_calls_and_follows_the_position() -> None:
    made = workload()
    assert prompts_ahead(made, [0], 6) == ["q0", "q1", "q2"]
    assert prompts_ahead(made, [8], 4) == ["q4", "q5"]
    assert prompts_ahead(made, [18], 100) == ["q9"]
    assert prompts_ahead(made, [20], 100) == []


def test_work_that_several_positions_reach_comes_once() -> None:
    made = workload()
    assert prompts_ahead(made, [0, 2, 12], 4) == ["q0", "q1", "q2", "q6", "q7"]


def test_of_a_cassette_that_is_not_held_only_the_first_open_work_comes() -> None:
    made = workload(held=False, prompts=4, tests=("a", "b"))
    first = [work.unit.test for work in made.ahead("test/m0", [0], 100)]
    assert first == ["evals/test_x.py::test_a[q0]", "evals/test_x.py::test_b[q0]"]
    made.of_model("test/m0")[0].missing = set()
    second = [work.unit.test for work in made.ahead("test/m0", [0], 100)]
    assert "evals/test_x.py::test_a[q1]" in second


def test_equal_questions_of_one_cassette_are_one_work_with_the_most_samples() -> None:
    few, many = unit(model(URL), samples=2), unit(model(URL), samples=5)
    made = Workload([few, many, few], copy_context())
    (work,) = made.of_model("test/m0")
    assert work.unit.samples == 5


def test_asking_for_more_samples_opens_a_work_again_and_renames_it() -> None:
    made = Workload([unit(model(URL), samples=2)], copy_context())
    (work,) = made.of_model("test/m0")
    work.missing = set()
    before = work.digest
    assert made.demand(unit(model(URL), samples=2), copy_context()).done
    assert not made.demand(unit(model(URL), samples=3), copy_context()).done
    assert work.digest != before


def test_what_no_plan_knew_is_work_without_a_place() -> None:
    made = workload()
    work = made.demand(unit(model(URL), "made up"), copy_context())
    assert work.index == UNPLANNED
    assert work not in made.of_model("test/m0")
    assert made.at(str(work.shelf.path)) is work.shelf
