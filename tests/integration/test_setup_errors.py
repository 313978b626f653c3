"""What a suite names and nobody knows: said at each test concerned, before anything is paid for."""

from __future__ import annotations

import shlex
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.conftest import Project, run
from tests.servers import Asked, ChatServer, Reply

RECORD = "--convergence-record=new_episodes"


def fine(asked: Asked) -> Reply:
    return Reply(text="fine")


def panel(server: ChatServer) -> str:
    return f"--convergence-models=local/a@{server.url},local/b@{server.url}"


def suite(marker: str, assertion: str = "assert_converges(models, 0.5)", name: str = "bad") -> str:
    return f"""
import pytest
from pytest_convergence import assert_converges

@pytest.mark.convergence(samples=2, threshold=0, {marker})
@pytest.mark.parametrize("prompt", ["p0", "p3"])
def test_{name}(prompt, models):
    {assertion}
"""


FINE = """
import pytest
from pytest_convergence import assert_converges

@pytest.mark.convergence(metric="exact", samples=2)
@pytest.mark.parametrize("prompt", ["p5"])
def test_fine(prompt, models):
    assert_converges(models, 0.5)
"""


UNUSABLE = {
    "metric": ('metric="exakt"', "unknown metric 'exakt'", "name one of them*"),
    "label": ('label="refusl"', "there is no labeller 'refusl'", "did you mean 'refusal'*"),
    "none": ('metric="label"', 'metric="label" needs a labeller', "give the marker label=*"),
    "rate": ("at_least=0.9", "at_least and at_most need a labeller", "give the marker label=*"),
}


@pytest.mark.parametrize("workers", [0, 2])
def test_what_cannot_be_judged_is_never_sampled(pytester: pytest.Pytester, workers: int) -> None:
    bad = "".join(suite(marker, name=name) for name, (marker, _, _) in UNUSABLE.items())
    pytester.makepyfile(test_bad=bad, test_fine=FINE)
    with ChatServer(fine).running() as server:
        result = run(pytester, panel(server), RECORD, workers=workers)
        assert len(server.asked) == 4  # of the one prompt that can be judged, by two models
    result.assert_outcomes(passed=2, failed=3 * len(UNUSABLE))
    output = result.stdout.str()
    for name, (_, said, fix) in UNUSABLE.items():
        told = [f"test_bad.py::test_{name}{where}: {said}" for where in ("[p0]", "[p3]", "[group]")]
        assert [one for one in told if one not in output] == []
        in_full = [
            one.split("\ntest_bad.py:")[0] for one in output.split(f"test_{name}[p0]: {said}")
        ]
        fixes = "".join(one.partition("How to fix:")[2] for one in in_full[1:])
        assert fnmatch(fixes, f"*{fix}"), fixes


def test_a_dry_run_tells_what_cannot_be_judged(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_bad=suite('metric="exakt"'))
    result = run(
        pytester, "--convergence-models=local/a@http://127.0.0.1:9/v1", "--convergence-dry-run"
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: test_bad.py::test_bad*: unknown metric 'exakt'"])


def test_an_assertion_that_cannot_judge_names_its_test(pytester: pytest.Pytester) -> None:
    asked = {"metric": 'metric="exakt"', "label": 'label="no"'}
    pytester.makepyfile(
        test_bad="".join(
            suite('metric="exact"', f"assert_converges(models, 0.5, {one})", name)
            for name, one in asked.items()
        )
    )
    with ChatServer(fine).running() as server:
        result = run(pytester, panel(server), RECORD, "-k", "not group")
    result.assert_outcomes(failed=4)
    for name in asked:
        assert f"test_bad.py::test_{name}[p3]: " in result.stdout.str()


def test_the_command_that_is_printed_records_what_was_asked_for(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = FINE.replace('"p5"', '"p5", "it\'s 5 & 6; $HOME"')
    tests = project(source, names=("a", "b", "c", "d"))
    asked = (
        "--convergence-models=mine/c,mine/a",
        *("-o", "convergence_samples=3"),
        "--convergence-decoding=stop=x y,temperature=0.5",
    )
    test = str(tests.path / "test_evals.py")
    (tests.path / "deeper").mkdir()
    commands = {}
    for folder in (".", "deeper"):
        monkeypatch.chdir(tests.path / folder)
        result = run(tests, test, "-vv", "-k", "not group", *asked)
        result.assert_outcomes(failed=2)
        lines = [line for line in result.outlines if "record it: " in line]
        commands[folder] = sorted({line.split("record it: ")[1] for line in lines})
        assert len(commands[folder]) == 2
    # One prompt is recorded from the root, the other from the folder below it.
    for folder, command in zip(commands, (commands["."][0], commands["deeper"][1]), strict=True):
        monkeypatch.chdir(tests.path / folder)
        program, *arguments = shlex.split(command)
        assert program == "pytest"
        run(tests, *arguments).assert_outcomes(passed=1)
    run(tests, test, "-k", "not group", *asked).assert_outcomes(passed=2)
    kept = sorted(path.name for path in Path(tests.path / "cassettes").rglob("*.json"))
    assert kept == ["mine%2Fa.json", "mine%2Fc.json"]


NO_PANEL = """
import pytest
from pytest_convergence import assert_converges

@pytest.mark.convergence(metric="exact")
@pytest.mark.parametrize("prompt", [f"q{i}" for i in range(20)])
def test_a(prompt, models):
    assert_converges(models, 0.5)

@pytest.mark.convergence(metric="exact")
@pytest.mark.parametrize("prompt", ["one", "two"])
def test_b(prompt, models):
    assert_converges(models, 0.5)
"""


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_that_hits_every_test_is_told_in_full_once(
    pytester: pytest.Pytester, workers: int
) -> None:
    pytester.makepyfile(test_evals=NO_PANEL)
    result = run(pytester, "--junit-xml=out.xml", workers=workers)
    result.assert_outcomes(failed=24)
    output = result.stdout.str()
    in_full = output.count("How to fix:")
    assert 1 <= in_full <= max(workers, 1)
    assert output.count("told in full at test_evals.py::test_") == 24 - in_full
    # Each still says what is wrong, in its own name: on the terminal, in the summary, in JUnit.
    for name in ("test_a[q7]", "test_b[two]", "test_a[group]"):
        said = f"test_evals.py::{name}: the panel is empty"
        assert said in output
        assert f'message="{said}' in (pytester.path / "out.xml").read_text()
    if not workers:
        whole = run(pytester, "-vv").stdout.str()
        assert whole.count("How to fix:") == 24
        assert "told in full at" not in whole


def test_what_is_not_recorded_is_told_in_full_once_for_each_test_function(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(test_evals=NO_PANEL)
    result = run(pytester, "--convergence-models=ollama/a,ollama/b")
    result.assert_outcomes(failed=24)
    output = result.stdout.str()
    assert output.count("How to fix:") == 2
    command = "pytest test_evals.py::test_a --convergence-models=ollama/a,ollama/b"
    assert f"or all prompts of the test: {command}" in output


def test_two_errors_are_two(project: Project) -> None:
    tests = project(FINE.replace('"p5"', '"p5", "p6"'))
    run(tests, RECORD).assert_outcomes(passed=3)
    source = tests.path / "test_evals.py"
    source.write_text(source.read_text().replace('"p5"', '"p7"').replace("p6", "p8 and more"))
    output = run(tests).stdout.str()
    assert output.count("How to fix:") == 2
