"""`convergence check`: what no test asks for is found, and removed only when asked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from filelock import FileLock

from tests.conftest import Project, run

_COMMAND = "import sys; from pytest_convergence.cli import main; sys.exit(main(sys.argv[1:]))"
RECORD = "--convergence-record=new_episodes"
LETTERS = '''

class Letters:
    """Counts of letters, as unit vectors."""

    name, revision, engine = "letters", "1", "python"

    def embed(self, texts):
        import numpy as np

        rows = np.array([[1 + text.count(c) for c in "abcdefghi"] for text in texts], float)
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def pytest_convergence_embedders(config):
    return {"letters": Letters()}
'''
SOURCE = """
import pytest
from pytest_convergence import assert_converges

@pytest.mark.convergence(metric="embedding")
@pytest.mark.parametrize("prompt", ["old", "kept", "and kept"])
def test_said(prompt, models):
    assert_converges(models, threshold=-1)
"""


def command(tests: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return tests.run(sys.executable, "-c", _COMMAND, *arguments)


def files(tests: pytest.Pytester) -> Mapping[Path, bytes]:
    return {path: path.read_bytes() for path in (tests.path / "cassettes").rglob("*.*")}


@pytest.fixture
def study(project: Project) -> pytest.Pytester:
    """A recorded test of three prompts, one of which was reworded since."""
    tests = project(SOURCE, names=("a", "b"), ini="convergence_embedder = letters\n")
    conftest = tests.path / "conftest.py"
    conftest.write_text(conftest.read_text() + LETTERS)
    run(tests, RECORD).assert_outcomes(passed=4)
    command(tests, "check").stdout.fnmatch_lines(["convergence check: 0 findings in 2 files*"])
    source = tests.path / "test_evals.py"
    source.write_text(source.read_text().replace('"old"', '"new"'))
    return tests


def test_checking_finds_what_is_stale_and_changes_nothing(study: pytest.Pytester) -> None:
    before = files(study)
    found = command(study, "check")
    assert found.ret == 1
    found.stdout.fnmatch_lines(
        [
            "*mine%2Fa.json: stale: no test makes these requests any more: 'old'",
            "    fix: convergence check --prune",
            "convergence check: 2 findings in 2 files*",
        ]
    )
    assert files(study) == before


def test_pruning_takes_out_what_is_stale_with_its_vectors_and_nothing_else(
    study: pytest.Pytester,
) -> None:
    pruned = command(study, "check", "--prune")
    assert pruned.ret == 0
    pruned.stdout.fnmatch_lines(
        [
            "pruned *mine%2Fa.json: 2 interactions of requests that no test makes",
            "pruned *mine%2Fa.letters.npz: 1 vectors of texts that are not recorded",
            "convergence check: 0 findings in 2 files*",
        ]
    )
    run(study, "-k", "kept").assert_outcomes(passed=2)
    after = files(study)
    assert not any(b"echo old" in data for data in after.values())
    again = command(study, "check", "--prune")
    assert "pruned" not in again.stdout.str()
    assert files(study) == after
    # What is recorded anew makes the files that a fresh recording makes.
    run(study, RECORD).assert_outcomes(passed=4)
    run(study).assert_outcomes(passed=4)


def test_vectors_of_answers_that_were_replaced_are_found_and_pruned(
    study: pytest.Pytester,
) -> None:
    conftest = study.path / "conftest.py"
    conftest.write_text(conftest.read_text().replace('"echo "', '"other "'))
    run(study, "--convergence-record=rewrite").assert_outcomes(passed=4)
    found = command(study, "check")
    found.stdout.fnmatch_lines(
        ["*mine%2Fa.letters.npz: stale: 2 of 6 vectors are of texts not recorded any more"]
    )
    command(study, "check", "--prune")
    assert command(study, "check").ret == 0
    run(study).assert_outcomes(passed=4)


def test_prompts_made_up_as_a_test_runs_are_never_taken_for_stale(project: Project) -> None:
    tests = project(
        """
        from pytest_convergence import assert_converges

        def test_made_up(models):
            assert_converges(models.sample("what?"), threshold=0, metric="exact")
        """
    )
    run(tests, RECORD).assert_outcomes(passed=1)
    before = files(tests)
    assert command(tests, "check", "--prune").ret == 0
    assert files(tests) == before


@pytest.mark.parametrize("part", [["-k", "kept"], ["test_evals.py::test_said[kept]"]])
def test_a_part_of_the_tests_cannot_be_pruned_by(study: pytest.Pytester, part: list[str]) -> None:
    before = files(study)
    refused = command(study, "check", "--prune", *part)
    assert refused.ret == 2
    refused.stderr.fnmatch_lines(["convergence: --prune takes whole modules and folders*"])
    assert files(study) == before


def test_leftovers_are_pruned_and_a_renamed_tests_recordings_are_not(
    study: pytest.Pytester,
) -> None:
    folder = study.path / "cassettes" / "test_evals" / "test_said"
    (folder / "gone.letters.npz").write_bytes(b"of a cassette that was deleted")
    (folder / "half.json.tmp").write_bytes(b"{")
    source = study.path / "test_evals.py"
    source.write_text(source.read_text().replace("test_said", "test_renamed"))
    pruned = command(study, "check", "--prune")
    assert pruned.ret == 1  # the renamed test's recordings are orphans still
    assert sorted(path.name for path in folder.iterdir()) == [
        *("mine%2Fa.json", "mine%2Fa.letters.npz", "mine%2Fb.json", "mine%2Fb.letters.npz"),
    ]
    pruned.stdout.fnmatch_lines(["*orphan: no collected test and model ask for it"])


def test_a_broken_file_of_vectors_is_found_and_left_alone(study: pytest.Pytester) -> None:
    path = study.path / "cassettes/test_evals/test_said/mine%2Fa.letters.npz"
    path.write_bytes(b"half")
    command(study, "check").stdout.fnmatch_lines([f"{path}: unreadable: *"])
    assert command(study, "check", "--prune").ret == 2
    assert path.read_bytes() == b"half"


@pytest.mark.parametrize("given", ["addopts", "environment"])
def test_what_every_run_is_given_decides_what_is_asked(
    project: Project, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    options = "--convergence-decoding temperature=0.7 --convergence-models=mine/a,mine/b"
    ini = f"addopts = -n 2 -k kept {options}\n" if given == "addopts" else ""
    tests = project(SOURCE.replace("embedding", "exact"), names=("a", "b", "c"), ini=ini)
    with monkeypatch.context() as patched:
        if given == "environment":
            patched.setenv("PYTEST_ADDOPTS", options)
        run(tests, RECORD, "-k", "", workers=0).assert_outcomes(passed=4)
    before = files(tests)
    assert len(before) == 2
    monkeypatch.setenv("PYTEST_ADDOPTS", f"-k kept {options if given == 'environment' else ''}")
    pruned = command(tests, "check", "--prune")
    assert pruned.ret == 0
    assert "pruned" not in pruned.stdout.str()
    assert files(tests) == before


HELPED = """
import pytest
import pytest_convergence as pc

def follow_up(models):
    return models.sample("made up", prompt_id="follow")

@pytest.fixture
def asked(models):
    return models.sample("made up", prompt_id="follow")

@pytest.mark.convergence(metric="exact")
@pytest.mark.parametrize("prompt", ["one", "two"])
def test_said(prompt, models{fixture}):
    {body}
    pc.assert_converges(models, threshold=-1)
"""


@pytest.mark.parametrize(
    ("fixture", "body"),
    [("", "follow_up(models)"), (", asked", "pass"), ("", "[f(models) for f in [follow_up]]")],
)
def test_prompts_made_up_in_a_helper_or_a_fixture_are_not_taken_for_stale(
    project: Project, fixture: str, body: str
) -> None:
    tests = project(HELPED.format(fixture=fixture, body=body), names=("a", "b"))
    run(tests, RECORD).assert_outcomes(passed=3)
    before = files(tests)
    pruned = command(tests, "check", "--prune")
    assert pruned.ret == 0
    assert files(tests) == before
    run(tests).assert_outcomes(passed=3)


def test_tests_that_are_deselected_keep_what_is_theirs(study: pytest.Pytester) -> None:
    conftest = study.path / "conftest.py"
    conftest.write_text(
        conftest.read_text()
        + """

def pytest_collection_modifyitems(config, items):
    config.hook.pytest_deselected(items=items[1:])
    items[:] = items[:1]
"""
    )
    before = files(study)
    refused = command(study, "check", "--prune")
    assert refused.ret == 2
    refused.stderr.fnmatch_lines(["convergence: --prune needs all tests, and 3 were deselected*"])
    assert files(study) == before


def test_a_file_that_is_being_written_is_left_to_whoever_writes_it(
    study: pytest.Pytester,
) -> None:
    folder = study.path / "cassettes" / "test_evals" / "test_said"
    unfinished = folder / ".mine%2Fa.letters.npz.tmp"
    unfinished.write_bytes(b"half")
    lock = study.path / ".convergence" / "locks" / "vectors.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        command_line = [sys.executable, "-c", _COMMAND, "check", "--prune"]
        process = subprocess.Popen(command_line, cwd=study.path, stdout=subprocess.DEVNULL)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=6)
        assert unfinished.exists()
        unfinished.rename(folder / "mine%2Fa.other.npz")
    process.wait(timeout=60)
    assert (folder / "mine%2Fa.other.npz").read_bytes() == b"half"


@pytest.mark.parametrize("broken", ["byte", "version", "mark"])
def test_a_file_that_is_not_as_it_should_be_hides_no_other(
    study: pytest.Pytester, broken: str
) -> None:
    path = study.path / "cassettes/test_evals/test_said/mine%2Fa.json"
    data = path.read_bytes()
    changed = {
        "byte": data.replace(b'"message": "OK"', b'"message": "OK\xe9"'),
        "version": data.replace(b'"version": 1', b'"version": true'),
        "mark": b"\xef\xbb\xbf" + data,
    }[broken]
    assert changed != data
    path.write_bytes(changed)
    found = command(study, "check").stdout
    found.fnmatch_lines([f"*a.json: {'format' if broken == 'mark' else 'unreadable'}: *"])
    found.fnmatch_lines(["*mine%2Fb.json: stale: *"])
