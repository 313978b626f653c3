"""What is collected: evals, their cases, their groups, and what is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

import pytest

from tests.conftest import Project, run

EVAL = """
import pytest
from pytest_convergence import assert_converges

@pytest.mark.convergence(metric="exact")
@pytest.mark.parametrize(("prompt", "answer"), [
    pytest.param("capital of France?", "Paris", id="france"),
    pytest.param("capital of Japan?", "Tokyo", id="japan"),
])
def test_facts(prompt, answer, models):
    assert_converges(models, threshold=0.5)
"""


def collected(project: pytest.Pytester, *arguments: str) -> list[str]:
    result = run(project, "--collect-only", "-q", *arguments)
    return [line for line in result.outlines if "::" in line]


def test_a_group_item_is_appended_last(project: Project) -> None:
    assert collected(project(EVAL)) == [
        "test_evals.py::test_facts[france]",
        "test_evals.py::test_facts[japan]",
        "test_evals.py::test_facts[group]",
    ]


def test_plain_tests_get_no_group_and_no_output(project: Project) -> None:
    tests = project(
        """
        import pytest
        @pytest.mark.parametrize("prompt", ["a", "b"])
        def test_plain(prompt): pass
        """
    )
    result = run(tests)
    result.assert_outcomes(passed=2)
    assert "convergence:" not in result.stdout.str()
    assert "= convergence =" not in result.stdout.str()


def test_a_suite_that_defines_its_own_models_keeps_it(project: Project) -> None:
    tests = project(
        """
        import pytest
        @pytest.fixture
        def models(): return ["an ORM model"]
        @pytest.mark.parametrize("prompt", ["a"])
        def test_plain(prompt, models):
            assert models == ["an ORM model"]
        @pytest.mark.parametrize("prompt", ["a"])
        def test_both(prompt, models, convergence_models):
            assert models == ["an ORM model"]
            assert convergence_models.names == ("mine/a", "mine/b", "mine/c")
        """
    )
    assert collected(tests) == [
        "test_evals.py::test_plain[a]",
        "test_evals.py::test_both[a]",
        "test_evals.py::test_both[group]",
    ]


def test_every_other_parametrize_is_an_arm_with_a_group_of_its_own(project: Project) -> None:
    tests = project(
        """
        import pytest
        @pytest.mark.parametrize("persona", ["a pirate", "a judge"])
        @pytest.mark.parametrize("prompt", ["one", "two"])
        @pytest.mark.convergence(metric="exact", system="You are {persona}.", capability="voices")
        def test_voices(prompt, persona, models): pass
        """
    )
    groups = [line for line in collected(tests) if "group" in line]
    assert groups == [
        "test_evals.py::test_voices[group-voices-a pirate]",
        "test_evals.py::test_voices[group-voices-a judge]",
    ]


def test_a_parametrized_fixture_is_an_arm_too(project: Project) -> None:
    tests = project(
        """
        import pytest
        @pytest.fixture(params=["short", "long"])
        def style(request): return request.param
        @pytest.mark.convergence(metric="exact", system="Answer in {style} form.")
        @pytest.mark.parametrize("prompt", ["one", "two"])
        def test_voices(prompt, style, models): pass
        """
    )
    groups = [line for line in collected(tests) if "group" in line]
    assert groups == [
        "test_evals.py::test_voices[group-short]",
        "test_evals.py::test_voices[group-long]",
    ]


def test_capabilities_are_never_pooled(project: Project) -> None:
    tests = project(
        """
        import pytest
        facts = pytest.mark.convergence(capability="facts")
        taste = pytest.mark.convergence(capability="taste")
        @pytest.mark.convergence(metric="exact")
        @pytest.mark.parametrize("prompt", [
            pytest.param("one", marks=facts), pytest.param("two", marks=facts),
            pytest.param("red", marks=taste), pytest.param("blue", marks=taste)])
        def test_mixed(prompt, models): pass
        """
    )
    groups = [line for line in collected(tests) if "group" in line]
    assert groups == [
        "test_evals.py::test_mixed[group-facts]",
        "test_evals.py::test_mixed[group-taste]",
    ]


def test_prompts_in_the_marker_make_one_test_and_a_group(project: Project) -> None:
    tests = project(
        """
        import pytest
        @pytest.mark.convergence(metric="exact", prompts={"one": "1", "two": "2"}, threshold=0.5)
        def test_all(models): pass
        class TestIn:
            @pytest.mark.convergence(metric="exact", prompts={"one": "1"})
            def test_class(self, models): pass
        """
    )
    assert collected(tests) == [
        "test_evals.py::test_all",
        "test_evals.py::test_all[group]",
        "test_evals.py::TestIn::test_class",
        "test_evals.py::TestIn::test_class[group]",
    ]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_group_can_be_selected_alone_and_judges_all_its_cases(
    project: Project, workers: int
) -> None:
    tests = project(
        """
        import pytest
        @pytest.mark.convergence(metric="exact", threshold=0.5)
        @pytest.mark.parametrize("prompt", list("abcdefgh"))
        def test_letters(prompt, models): pass
        """
    )
    result = run(
        tests,
        "test_evals.py::test_letters[group]",
        "--convergence-record=new_episodes",
        workers=workers,
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["test_letters *1.00*converged"])


def test_selection_by_keyword_and_marker_expression_works_for_capabilities(
    project: Project,
) -> None:
    tests = project(
        """
        import pytest
        @pytest.mark.convergence(metric="exact", capability="truth")
        @pytest.mark.parametrize("prompt", ["one"])
        def test_one(prompt, models): pass
        @pytest.mark.convergence(metric="exact", capability="safety")
        @pytest.mark.parametrize("prompt", ["two"])
        def test_two(prompt, models): pass
        """
    )
    chosen = ["test_evals.py::test_one[one]", "test_evals.py::test_one[group]"]
    assert collected(tests, "-k", "truth") == chosen
    assert collected(tests, "-m", "convergence(capability='truth')") == chosen


def errors_by_module(project: Project, source: str, given: Iterable[str]) -> list[str]:
    """What is said of each of several modules that cannot be collected, in their order."""
    modules = {f"test_{place}": source.format(given=one) for place, one in enumerate(given)}
    result = run(project("", **modules))
    result.assert_outcomes(errors=len(modules))
    sections = re.split(r"_+ ERROR collecting test_\d\.py _+", result.stdout.str())[1:]
    assert len(sections) == len(modules)
    for module, section in zip(modules, sections, strict=True):
        assert f"{module}.py::test_one" in section
        assert "How to fix:" in section
        assert "Traceback" not in section
    return sections


def test_a_marker_that_cannot_be_used_says_what_where_and_how(project: Project) -> None:
    expected = {
        "treshold=0.5": "has no key 'treshold'",
        "samples=0": "samples=0 is not usable",
        "threshold=7": "threshold=7 is not usable",
        "direction='sideways'": "direction='sideways' is not usable",
        "prompts=['a']": "give prompts a dict",
        "'facts'": "takes keywords only",
    }
    source = """
        import pytest
        @pytest.mark.convergence({given})
        @pytest.mark.parametrize("prompt", ["one"])
        def test_one(prompt, models): pass
        """
    sections = errors_by_module(project, source, expected)
    for part, section in zip(expected.values(), sections, strict=True):
        assert part in section


def test_prompts_need_ids_that_last(project: Project) -> None:
    expected = {
        '"prompt", ["x" * 101]': "prompt 0 has no id and is too long",
        '"prompt", [[{"role": "user", "content": "hi"}]]': "prompt 0 has no id",
        '("prompt", "answer"), [("x" * 101, "y")]': "prompt 0 has no id",
        '"prompt", ["a", "b"], ids=["same", "same"]': "two prompts have the id 'same'",
        '"prompt", [pytest.param("a", id="same"), pytest.param("b", id="same")]': (
            "two prompts have the id 'same'"
        ),
        '"prompt", ["group"]': "makes the node id of the group",
        # By other ways of writing them.
        '"prompt", [1, 2], ids="ab"': "a prompt is int, not a text",
        '"prompt", argvalues=["a", "b"], ids=["z", "z"]': "two prompts have the id 'z'",
        '"prompt", argvalues=["x" * 150]': "has no id and is too long",
    }
    source = """
        import pytest
        @pytest.fixture
        def answer(): pass
        @pytest.mark.convergence(metric="exact")
        @pytest.mark.parametrize({given})
        def test_one(prompt, answer, models): pass
        """
    sections = errors_by_module(project, source, expected)
    for part, section in zip(expected.values(), sections, strict=True):
        assert part in section


def test_long_prompts_with_ids_are_fine(project: Project) -> None:
    tests = project(
        """
        import pytest
        @pytest.mark.parametrize("prompt", [pytest.param("x" * 500, id="x"), "short"])
        def test_one(prompt, models): pass
        @pytest.mark.parametrize("prompt", ["y" * 500], ids=["y"])
        def test_two(prompt, models): pass
        @pytest.mark.parametrize("prompt", ["z" * 500], ids=lambda prompt: prompt[:3])
        def test_three(prompt, models): pass
        """
    )
    assert collected(tests)[:2] == ["test_evals.py::test_one[x]", "test_evals.py::test_one[short]"]


def test_duplicate_prompts_collapse_into_one_family(project: Project) -> None:
    tests = project(
        """
        import pytest
        from pytest_convergence import assert_converges
        @pytest.mark.convergence(metric="exact", threshold=-1)
        @pytest.mark.parametrize("prompt", [
            pytest.param(text, id=f"{text}-{copy}") for text in "abcdef" for copy in (1, 2)])
        def test_twice(prompt, models): pass
        @pytest.mark.convergence(metric="exact", template="{prompt} {word}", threshold=-1)
        @pytest.mark.parametrize(("prompt", "word"), [("say", word) for word in "abcdef"])
        def test_filled(prompt, word, models): pass
        """
    )
    run(
        tests, "-k", "group", "--convergence-record=new_episodes", "--convergence-json=run.json"
    ).assert_outcomes(passed=2)
    filled, twice = json.loads((tests.path / "run.json").read_text())["groups"]
    assert (len(twice["prompts"]), twice["families"]) == (12, 6)
    assert (len(filled["prompts"]), filled["families"]) == (6, 6)


def test_duplicates_count_once_whether_or_not_the_test_with_the_prompts_runs(
    project: Project,
) -> None:
    tests = project(
        """
        import pytest
        @pytest.mark.convergence(
            metric="exact", threshold=-1, prompts={f"p{n}": f"ask {n // 2}" for n in range(12)})
        def test_pairs(models):
            assert len(models.samples.cases) == 12
        """
    )
    run(tests, "--convergence-record=new_episodes", "--convergence-json=both.json").assert_outcomes(
        passed=2
    )
    run(tests, "-k", "group", "--convergence-json=alone.json").assert_outcomes(passed=1)
    both, alone = (
        json.loads((tests.path / name).read_text())["groups"]
        for name in ("both.json", "alone.json")
    )
    assert [group["families"] for group in both] == [6]
    assert both == alone
