"""What is collected: evals, their cases, their groups, and what is refused."""

from __future__ import annotations

import json
import re

import pytest

from tests.conftest import Prepared, Project, lay_out, run

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


def collect(pytester: pytest.Pytester) -> None:
    """What is collected of every suite below, in one run."""
    tests = lay_out(
        pytester,
        EVAL,
        test_own=OWN_MODELS,
        test_arms=ARMS,
        test_styles=FIXTURE_ARMS,
        test_capabilities=CAPABILITIES,
        test_marker=IN_MARKER,
        test_long=LONG,
    )
    (tests.path / "collected.txt").write_text("\n".join(collected(tests)))


def kept(prepared: Prepared, name: str) -> list[str]:
    """What is collected of one suite."""
    lines = (prepared(collect).path / "collected.txt").read_text().splitlines()
    return [line for line in lines if line.startswith(f"{name}.py::")]


def test_a_group_item_is_appended_last(prepared: Prepared) -> None:
    assert kept(prepared, "test_evals") == [
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


OWN_MODELS = """
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


def test_a_suite_that_defines_its_own_models_keeps_it(prepared: Prepared) -> None:
    assert kept(prepared, "test_own") == [
        "test_own.py::test_plain[a]",
        "test_own.py::test_both[a]",
        "test_own.py::test_both[group]",
    ]


ARMS = """
import pytest
@pytest.mark.parametrize("persona", ["a pirate", "a judge"])
@pytest.mark.parametrize("prompt", ["one", "two"])
@pytest.mark.convergence(metric="exact", system="You are {persona}.", capability="voices")
def test_voices(prompt, persona, models): pass
"""


def test_every_other_parametrize_is_an_arm_with_a_group_of_its_own(prepared: Prepared) -> None:
    groups = [line for line in kept(prepared, "test_arms") if "group" in line]
    assert groups == [
        "test_arms.py::test_voices[group-voices-a pirate]",
        "test_arms.py::test_voices[group-voices-a judge]",
    ]


FIXTURE_ARMS = """
import pytest
@pytest.fixture(params=["short", "long"])
def style(request): return request.param
@pytest.mark.convergence(metric="exact", system="Answer in {style} form.")
@pytest.mark.parametrize("prompt", ["one", "two"])
def test_voices(prompt, style, models): pass
"""


def test_a_parametrized_fixture_is_an_arm_too(prepared: Prepared) -> None:
    groups = [line for line in kept(prepared, "test_styles") if "group" in line]
    assert groups == [
        "test_styles.py::test_voices[group-short]",
        "test_styles.py::test_voices[group-long]",
    ]


CAPABILITIES = """
import pytest
facts = pytest.mark.convergence(capability="facts")
taste = pytest.mark.convergence(capability="taste")
@pytest.mark.convergence(metric="exact")
@pytest.mark.parametrize("prompt", [
    pytest.param("one", marks=facts), pytest.param("two", marks=facts),
    pytest.param("red", marks=taste), pytest.param("blue", marks=taste)])
def test_mixed(prompt, models): pass
"""


def test_capabilities_are_never_pooled(prepared: Prepared) -> None:
    groups = [line for line in kept(prepared, "test_capabilities") if "group" in line]
    assert groups == [
        "test_capabilities.py::test_mixed[group-facts]",
        "test_capabilities.py::test_mixed[group-taste]",
    ]


IN_MARKER = """
import pytest
@pytest.mark.convergence(metric="exact", prompts={"one": "1", "two": "2"}, threshold=0.5)
def test_all(models): pass
class TestIn:
    @pytest.mark.convergence(metric="exact", prompts={"one": "1"})
    def test_class(self, models): pass
"""


def test_prompts_in_the_marker_make_one_test_and_a_group(prepared: Prepared) -> None:
    assert kept(prepared, "test_marker") == [
        "test_marker.py::test_all",
        "test_marker.py::test_all[group]",
        "test_marker.py::TestIn::test_class",
        "test_marker.py::TestIn::test_class[group]",
    ]


def test_a_group_can_be_selected_alone_and_judges_all_its_cases(project: Project) -> None:
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
        workers=2,
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
        @pytest.mark.convergence(metric="exact", capability="taste")
        @pytest.mark.parametrize("prompt", ["three"])
        def test_three(prompt, models): pass
        """
    )
    # The keywords leave out the second, the marker expression the third.
    markers = "convergence(capability='truth') or convergence(capability='safety')"
    assert collected(tests, "-k", "truth or taste", "-m", markers) == [
        "test_evals.py::test_one[one]",
        "test_evals.py::test_one[group]",
    ]


REFUSED_MARKERS = {
    "treshold=0.5": "has no key 'treshold'",
    "samples=0": "samples=0 is not usable",
    "threshold=7": "threshold=7 is not usable",
    "direction='sideways'": "direction='sideways' is not usable",
    "prompts=['a']": "give prompts a dict",
    "'facts'": "takes keywords only",
}
REFUSED_PROMPTS = {
    '"prompt", ["x" * 101]': "prompt 0 has no id and is too long",
    '"prompt", [[{"role": "user", "content": "hi"}]]': "prompt 0 has no id",
    '("prompt", "answer"), [("x" * 101, "y")]': "prompt 0 has no id",
    '"prompt", ["a", "b"], ids=["same", "same"]': "two prompts have the id 'same'",
    '"prompt", [pytest.param("a", id="same"), pytest.param("b", id="same")]': (
        "two prompts have the id 'same'"
    ),
    '"prompt", ["group"]': "makes the node id of the group",
}


def test_what_cannot_be_used_says_what_where_and_how(project: Project) -> None:
    written = [(marker, '"prompt", ["one"]') for marker in REFUSED_MARKERS]
    written += [('metric="exact"', parametrize) for parametrize in REFUSED_PROMPTS]
    expected = [*REFUSED_MARKERS.values(), *REFUSED_PROMPTS.values()]
    files = {
        f"test_{number:02}": f"""
        import pytest
        @pytest.fixture
        def answer(): pass
        @pytest.mark.convergence({marker})
        @pytest.mark.parametrize({parametrize})
        def test_one(prompt, answer, models): pass
        """
        for number, (marker, parametrize) in enumerate(written)
    }
    result = run(project("", **files))
    result.assert_outcomes(errors=len(files))
    text = result.stdout.str()
    assert "Traceback" not in text
    sections = re.split(r"_ ERROR collecting (test_\d\d)\.py _", text)
    told = dict(zip(sections[1::2], sections[2::2], strict=True))
    for file, one in zip(files, expected, strict=True):
        assert one in told[file]
        assert f"{file}.py::test_one" in told[file]
        assert "How to fix:" in told[file]


LONG = """
import pytest
@pytest.mark.parametrize("prompt", [pytest.param("x" * 500, id="x"), "short"])
def test_one(prompt, models): pass
@pytest.mark.parametrize("prompt", ["y" * 500], ids=["y"])
def test_two(prompt, models): pass
@pytest.mark.parametrize("prompt", ["z" * 500], ids=lambda prompt: prompt[:3])
def test_three(prompt, models): pass
"""


def test_long_prompts_with_ids_are_fine(prepared: Prepared) -> None:
    assert kept(prepared, "test_long")[:2] == [
        "test_long.py::test_one[x]",
        "test_long.py::test_one[short]",
    ]


def test_duplicates_are_one_family_whether_or_not_the_test_with_the_prompts_runs(
    project: Project,
) -> None:
    tests = project(
        """
        import pytest
        @pytest.mark.convergence(metric="exact", threshold=-1)
        @pytest.mark.parametrize("prompt", [
            pytest.param(text, id=f"{text}-{copy}") for text in "abcdef" for copy in (1, 2)])
        def test_twice(prompt, models): pass
        @pytest.mark.convergence(metric="exact", template="{prompt} {word}", threshold=-1)
        @pytest.mark.parametrize(("prompt", "word"), [("say", word) for word in "abcdef"])
        def test_filled(prompt, word, models): pass
        @pytest.mark.convergence(
            metric="exact", threshold=-1, prompts={f"p{n}": f"ask {n // 2}" for n in range(12)})
        def test_pairs(models):
            assert len(models.samples.cases) == 12
        """
    )
    every = [f"test_evals.py::test_{name}[group]" for name in ("twice", "filled", "pairs")]
    record = ("--convergence-record=new_episodes", "--convergence-json=all.json")
    run(tests, *record).assert_outcomes(passed=12 + 6 + 1 + 3)
    run(tests, *every, "--convergence-json=alone.json").assert_outcomes(passed=3)
    together, alone = (
        json.loads((tests.path / name).read_text())["groups"] for name in ("all.json", "alone.json")
    )
    filled, pairs, twice = together
    assert (len(twice["prompts"]), twice["families"]) == (12, 6)
    assert (len(filled["prompts"]), filled["families"]) == (6, 6)
    assert pairs["families"] == 6
    assert together == alone
