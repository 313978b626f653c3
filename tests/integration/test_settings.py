"""Which source wins: command line, marker, environment, ini, default."""

from __future__ import annotations

import json
import re

import pytest

from tests.conftest import Project, run

SHOW = """
import pytest
from pytest_convergence import assert_converges

@pytest.mark.convergence(metric="exact")
@pytest.mark.parametrize("prompt", ["p"])
def test_shown(prompt, models):
    assert_converges(models, threshold=0)
"""
SHOWN = """
import pytest

@pytest.mark.parametrize("prompt", ["p"])
def test_plain(prompt, convergence):
    print("PLAIN", convergence.declaration.samples)

@pytest.mark.convergence(samples=4)
@pytest.mark.parametrize("prompt", ["p"])
def test_marked(prompt, convergence):
    print("MARKED", convergence.declaration.samples)
"""


def shown(tests: pytest.Pytester, *arguments: str) -> list[str]:
    result = run(tests, "-s", "-k", "not group", *arguments)
    result.assert_outcomes(passed=2)
    return [re.findall(rf"{word} (\d+)", result.stdout.str())[0] for word in ("PLAIN", "MARKED")]


def test_the_command_line_beats_the_marker_beats_the_environment_beats_ini(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    tests = project(SHOWN)
    assert shown(tests) == ["2", "4"]
    monkeypatch.setenv("CONVERGENCE_SAMPLES", "3")
    assert shown(tests) == ["3", "4"]
    assert shown(tests, "--convergence-samples=1") == ["1", "1"]


def test_decoding_is_merged_key_by_key(project: Project) -> None:
    tests = project(
        """
        import pytest

        @pytest.mark.convergence(temperature=0.5, extra={'min_p': 0.1})
        @pytest.mark.parametrize("prompt", ["p"])
        def test_shown(prompt, convergence):
            assert dict(convergence.declaration.decoding) == {
                "temperature": 0.5, "top_p": 0.9, "max_tokens": 7, "extra": {"min_p": 0.1}
            }
        """,
        ini="convergence_decoding = temperature=1,top_p=0.9,extra={}",
    )
    arguments = ("-k", "not group", "--convergence-decoding=max_tokens=7")
    run(tests, *arguments).assert_outcomes(passed=1)


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
    # Were any of the two heard, nothing would fail.
    monkeypatch.setenv("CONVERGENCE_RECORD", "new_episodes")
    tests = project(SHOW, ini="convergence_record = new_episodes")
    run(tests).assert_outcomes(failed=2)
    assert not (tests.path / "cassettes").exists()
    run(tests, "--convergence-record=new_episodes").assert_outcomes(passed=2)


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
    result = run(project(SHOW), option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert expected in result.stderr.str()
    assert "Traceback" not in result.stderr.str()


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        ("opnai/gpt-4o", "openai"),
        ("gpt-4o", "gpt-4o"),
        ("mine/a", "two models"),
        ("mine/a,mine/a", "twice"),
    ],
)
def test_a_panel_that_cannot_be_used_says_why(project: Project, models: str, expected: str) -> None:
    result = run(project(SHOW), f"--convergence-models={models}", "-k", "not group")
    assert result.ret != 0
    assert expected in result.stdout.str() + result.stderr.str()
    assert "How to fix:" in result.stdout.str() + result.stderr.str()


def test_an_empty_panel_says_how_to_fill_it(project: Project) -> None:
    tests = project(SHOW, names=())
    result = run(tests)
    result.assert_outcomes(failed=2)
    assert "the panel is empty" in result.stdout.str()
    assert "--convergence-models=" in result.stdout.str()


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
