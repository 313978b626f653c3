"""`convergence check`: what no test asks for is found, and removed only when asked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from filelock import FileLock

from tests.conftest import QUICK, Prepared, Project, lay_out, run

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


@pytest.fixture(autouse=True)
def _no_other_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command takes PYTEST_ADDOPTS away, and loading all plugins is half of its time."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", "xdist.plugin,pytest_convergence.plugin")


def command(tests: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return tests.run(sys.executable, "-c", _COMMAND, *arguments)


def files(tests: pytest.Pytester) -> Mapping[Path, bytes]:
    return {path: path.read_bytes() for path in (tests.path / "cassettes").rglob("*.*")}


def record(pytester: pytest.Pytester) -> None:
    names, ini = ("a", "b", "c", "d"), "convergence_embedder = letters\n"
    tests = lay_out(pytester, SOURCE, names=names, ini=ini)
    conftest = tests.path / "conftest.py"
    conftest.write_text(conftest.read_text() + LETTERS)
    run(tests, RECORD).assert_outcomes(passed=4)
    command(tests, "check").stdout.fnmatch_lines(["convergence check: 0 findings in 4 files*"])
    source = tests.path / "test_evals.py"
    source.write_text(source.read_text().replace('"old"', '"new"'))


@pytest.fixture
def study(prepared: Prepared) -> pytest.Pytester:
    """A recorded test of three prompts, one of which was reworded since."""
    return prepared(record)


def answer_otherwise(study: pytest.Pytester) -> None:
    conftest = study.path / "conftest.py"
    conftest.write_text(conftest.read_text().replace('"echo "', '"other "'))


def test_checking_finds_what_is_stale_and_changes_nothing(study: pytest.Pytester) -> None:
    before = files(study)
    found = command(study, "check")
    assert found.ret == 1
    found.stdout.fnmatch_lines(
        [
            "*mine%2Fa.json: stale: no test makes these requests any more: 'old'",
            "    fix: convergence check --prune",
            "convergence check: 4 findings in 4 files*",
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
            "convergence check: 0 findings in 4 files*",
        ]
    )
    after = files(study)
    assert not any(b"echo old" in data for data in after.values())
    again = command(study, "check", "--prune")
    assert "pruned" not in again.stdout.str()
    assert files(study) == after
    # Nothing but the reworded prompt has to be asked again.
    answer_otherwise(study)
    run(study, RECORD).assert_outcomes(passed=4)
    cassette = (study.path / "cassettes/test_evals/test_said/mine%2Fa.json").read_text()
    said = {prompt: f"other {prompt}" in cassette for prompt in ("new", "kept", "and kept")}
    assert said == {"new": True, "kept": False, "and kept": False}
    run(study).assert_outcomes(passed=4)


def test_vectors_of_answers_that_were_replaced_are_found_and_pruned(
    study: pytest.Pytester,
) -> None:
    answer_otherwise(study)
    run(study, "--convergence-record=rewrite").assert_outcomes(passed=4)
    found = command(study, "check")
    found.stdout.fnmatch_lines(
        ["*mine%2Fa.letters.npz: stale: 2 of 6 vectors are of texts not recorded any more"]
    )
    pruned = command(study, "check", "--prune")
    assert pruned.ret == 0
    pruned.stdout.fnmatch_lines(["convergence check: 0 findings in 4 files*"])
    run(study).assert_outcomes(passed=4)


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
        f"mine%2F{name}.{kind}" for name in "abcd" for kind in ("json", "letters.npz")
    ]
    pruned.stdout.fnmatch_lines(["*orphan: no collected test and model ask for it"])


def test_a_broken_file_of_vectors_is_left_alone(study: pytest.Pytester) -> None:
    path = study.path / "cassettes/test_evals/test_said/mine%2Fa.letters.npz"
    path.write_bytes(b"half")
    assert command(study, "check", "--prune").ret == 2
    assert path.read_bytes() == b"half"


def test_what_every_run_is_given_decides_what_is_asked(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With all plugins, as users have them.
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    monkeypatch.delenv("PYTEST_PLUGINS")
    decoding, panel = "--convergence-decoding temperature=0.7", "--convergence-models=mine/b,mine/a"
    ini = f"addopts = -n 2 -k kept {panel}\n"
    tests = project(SOURCE.replace("embedding", "exact"), names=("a", "b", "c"), ini=ini)
    without_b = tests.path / "tox.ini"
    without_b.write_text(without_b.read_text().replace("mine/a,mine/b,mine/c", "mine/a,mine/c"))
    with monkeypatch.context() as patched:
        patched.setenv("PYTEST_ADDOPTS", f"{QUICK} {decoding}")
        run(tests, RECORD, "-k", "", workers=0).assert_outcomes(passed=4)
    before = files(tests)
    assert {path.name for path in before} == {"mine%2Fa.json", "mine%2Fb.json"}
    monkeypatch.setenv("PYTEST_ADDOPTS", f"-k kept {decoding}")
    pruned = command(tests, "check", "--prune")
    assert pruned.ret == 0
    assert "pruned" not in pruned.stdout.str()
    assert files(tests) == before


MADE_UP = """
import pytest
import pytest_convergence as pc

def follow_up(models):
    return models.sample("made up", prompt_id="follow")

@pytest.fixture
def asked(models):
    return models.sample("made up", prompt_id="follow")

def test_body(models):
    pc.assert_converges(models.sample("what?"), threshold=0, metric="exact")

declared = pytest.mark.convergence(metric="exact")
one_prompt = pytest.mark.parametrize("prompt", ["one"])

@declared
@one_prompt
def test_helper(prompt, models):
    follow_up(models)
    pc.assert_converges(models, threshold=-1)

@declared
@one_prompt
def test_fixture(prompt, models, asked):
    pc.assert_converges(models, threshold=-1)

@declared
@one_prompt
def test_helper_by_another_name(prompt, models):
    [f(models) for f in [follow_up]]
    pc.assert_converges(models, threshold=-1)
"""


def test_prompts_made_up_in_a_body_a_helper_or_a_fixture_are_not_taken_for_stale(
    project: Project,
) -> None:
    tests = project(MADE_UP, names=("a", "b"))
    run(tests, RECORD).assert_outcomes(passed=7)
    before = files(tests)
    folders = {path.parent.name for path, data in before.items() if b"made up" in data}
    assert folders == {"test_helper", "test_fixture", "test_helper_by_another_name"}
    pruned = command(tests, "check", "--prune")
    assert pruned.ret == 0
    assert files(tests) == before
    run(tests).assert_outcomes(passed=7)


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
            process.wait(timeout=4)
        assert unfinished.exists()
        unfinished.rename(folder / "mine%2Fa.other.npz")
    process.wait(timeout=60)
    assert (folder / "mine%2Fa.other.npz").read_bytes() == b"half"


def test_a_file_that_is_not_as_it_should_be_hides_no_other(study: pytest.Pytester) -> None:
    folder = study.path / "cassettes/test_evals/test_said"
    damages: dict[str, Callable[[bytes], bytes]] = {
        "a": lambda data: data.replace(b'"message": "OK"', b'"message": "OK\xe9"'),
        "b": lambda data: data.replace(b'"version": 1', b'"version": true'),
        "c": lambda data: b"\xef\xbb\xbf" + data,
    }
    for name, damage in damages.items():
        path = folder / f"mine%2F{name}.json"
        data = path.read_bytes()
        assert damage(data) != data
        path.write_bytes(damage(data))
    vectors = folder / "mine%2Fd.letters.npz"
    vectors.write_bytes(b"half")
    found = command(study, "check").stdout
    for line in (
        "*mine%2Fa.json: unreadable: *",
        "*mine%2Fb.json: unreadable: *",
        "*mine%2Fc.json: format: *",
        "*mine%2Fd.json: stale: *",
        f"{vectors}: unreadable: *",
    ):
        found.fnmatch_lines([line])
