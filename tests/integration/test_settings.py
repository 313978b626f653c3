"""Which source wins: command line, marker, environment, ini, default."""

from __future__ import annotations

import json
import re

import pytest

from tests.conftest import Project, run

SHOW = """
import pytest
from pytest_convergence import assert_converges

@pytest.mark.convergence(metric="exact"{marker})
@pytest.mark.parametrize("prompt", ["p"])
def test_shown(prompt, models, convergence):
    declared = convergence.declaration
    print("SAMPLES", declared.samples, "DECODING", dict(declared.decoding), "PANEL", *models)
    assert_converges(models, threshold=0)
"""


MARKED = SHOW.format(marker=", samples=4").replace("test_shown", "test_marked")


def shown(tests: pytest.Pytester, *arguments: str) -> list[str]:
    """The samples of an eval without a marker of its own, and of one that asks for four."""
    result = run(tests, "-s", "--convergence-record=new_episodes", *arguments)
    lines = [line for line in result.outlines if "SAMPLES" in line]
    return [line.split("SAMPLES", 1)[1].split("DECODING")[0].strip() for line in lines]


def test_the_command_line_beats_the_marker_beats_the_environment_beats_ini(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    tests = project(SHOW.format(marker=""), test_marked=MARKED)
    assert shown(tests) == ["2", "4"]
    monkeypatch.setenv("CONVERGENCE_SAMPLES", "3")
    assert shown(tests) == ["3", "4"]
    assert shown(tests, "--convergence-samples=1") == ["1", "1"]


def test_decoding_is_merged_key_by_key(project: Project) -> None:
    tests = project(
        SHOW.format(marker=", temperature=0.5, extra={'min_p': 0.1}"),
        ini="convergence_decoding = temperature=1,top_p=0.9,extra={}",
    )
    result = run(
        tests, "-s", "--convergence-record=new_episodes", "--convergence-decoding=max_tokens=7"
    )
    line = next(line for line in result.outlines if "SAMPLES" in line)
    decoding = eval(line.split("DECODING")[1].split("PANEL")[0])
    assert decoding == {
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 7,
        "extra": {"min_p": 0.1},
    }


def test_the_closest_marker_wins_key_by_key(project: Project) -> None:
    tests = project(
        """
        import pytest
        pytestmark = pytest.mark.convergence(samples=3, capability="far", metric="exact")
        @pytest.mark.convergence(samples=1)
        @pytest.mark.parametrize("prompt", ["p"])
        def test_shown(prompt, convergence):
            assert convergence.declaration.samples == 1
            assert convergence.declaration.capability == "far"
        """
    )
    run(tests, "-k", "not group").assert_outcomes(passed=1)


def test_in_ci_only_the_command_line_can_ask_for_recording(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    tests = project(SHOW.format(marker=""))
    ini = ("-o", "convergence_record=new_episodes")
    run(tests, *ini).assert_outcomes(failed=2)
    monkeypatch.setenv("CONVERGENCE_RECORD", "new_episodes")
    run(tests).assert_outcomes(failed=2)
    assert not (tests.path / "cassettes").exists()
    run(tests, *ini, "--convergence-record=new_episodes").assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("--convergence-samples=none", "--convergence-samples: 'none' is not usable"),
        ("--convergence-record=all", "write one of none, new_episodes, rewrite"),
        ("--convergence-confidence=95", "a number between 0 and 1"),
        ("--convergence-decoding=temperature", "write name=value"),
        ("--convergence-in-flight=0", "a whole number from 1"),
        ("--convergence-max-cost=0", "a number above 0"),
        ("--convergence-requests-per-minute=0", "a number above 0"),
        ("--convergence-tokens-per-minute=0", "a number above 0"),
        ("--convergence-timeout=0", "a number above 0"),
    ],
)
def test_an_option_that_cannot_be_used_is_a_usage_error(
    project: Project, option: str, expected: str
) -> None:
    result = run(project(SHOW.format(marker="")), option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert expected in result.stderr.str()
    assert "Traceback" not in result.stderr.str()


UNUSABLE = {
    "test_prefix": (["opnai/gpt-4o"], "openai"),
    "test_bare": (["gpt-4o"], "gpt-4o"),
    "test_one": (["mine/a"], "two models"),
}


def test_a_panel_that_cannot_be_used_says_why(project: Project) -> None:
    evals = {
        name: SHOW.format(marker=f", models={models}").replace("test_shown", name)
        for name, (models, _) in UNUSABLE.items()
    }
    tests = project(SHOW.format(marker=""), **evals)
    result = run(tests, "-o", "convergence_models=mine/a,mine/a", "-k", "not group", "-vv")
    assert result.ret != 0
    sections = re.split(r"_{3,} (?:ERROR at setup of )?(test_\w+)\[p\] _{3,}", result.stdout.str())
    told = dict(zip(sections[1::2], sections[2::2], strict=True))
    expected = {name: said for name, (_, said) in UNUSABLE.items()}
    for name, said in {**expected, "test_shown": "twice"}.items():
        errors = "\n".join(line for line in told[name].splitlines() if line.startswith("E "))
        assert said in errors, name
        assert "How to fix:" in errors, name


def test_parameters_named_like_decoding_are_sent_and_templates_are_filled(
    project: Project,
) -> None:
    tests = project(
        """
        import pytest
        from pytest_convergence import assert_converges
        @pytest.mark.convergence(
            metric="exact", system="You are {persona}.", template="{prompt} Answer as {persona}.")
        @pytest.mark.parametrize("temperature", [0.2, 0.9])
        @pytest.mark.parametrize(("prompt", "persona"), [("Who?", "a pirate")])
        def test_arms(prompt, persona, temperature, models):
            assert_converges(models, threshold=0.9)
        """
    )
    run(tests, "--convergence-record=new_episodes").assert_outcomes(passed=4)
    cassette = (tests.path / "cassettes/test_evals/test_arms/mine%2Fa.json").read_text()
    bodies = [json.loads(i["request"]["body"]) for i in json.loads(cassette)["interactions"]]
    assert {body["decoding"]["temperature"] for body in bodies} == {0.2, 0.9}
    assert {body["decoding"]["system"] for body in bodies} == {"You are a pirate."}
    assert {body["messages"][-1]["content"] for body in bodies} == {"Who? Answer as a pirate."}
