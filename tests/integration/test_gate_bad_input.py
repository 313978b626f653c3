"""What a baseline must not be compared with: each says what was found and what to do."""

from __future__ import annotations

import json

import pytest

from tests.conftest import Prepared, run
from tests.gate_parts import BASELINE, RECORD, UPDATE, gated_project, outcome

SUITE = """
import pytest

@pytest.mark.convergence(metric="exact", capability="letters")
@pytest.mark.parametrize("prompt", [f"p{i}" for i in range(6)])
def test_letters(prompt, models): pass
"""
JSON = "--convergence-json=run.json"
LETTERS = """

class Letters:
    name, revision, engine = "letters", "1", "numpy"

    def embed(self, texts):
        from pytest_convergence.represent.ngrams import character_ngrams
        return character_ngrams(texts).astype("float32")


def pytest_convergence_embedders(config):
    return {"letters": Letters()}
"""


def bless(pytester: pytest.Pytester) -> None:
    run(gated_project(pytester, SUITE), RECORD, *UPDATE).assert_outcomes(passed=7)


@pytest.fixture
def blessed(prepared: Prepared) -> pytest.Pytester:
    """One small group, recorded and blessed."""
    return prepared(bless)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_missing_baseline_fails_every_group_and_says_how_to_write_one(
    pytester: pytest.Pytester, workers: int
) -> None:
    project = gated_project(pytester, SUITE)
    result = run(project, RECORD, BASELINE, workers=workers)
    result.assert_outcomes(passed=6, failed=1)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "*there is no baseline base.json*",
            "*pytest --convergence-baseline=base.json --convergence-update-baseline*",
        ]
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"version": 1', '"version": 2', "schema version 2, this release reads 1"),
        ('"samples": 5', '"samples": 4', "edited by hand"),
        (' "groups": {', "<<<<<<< ours", "has a merge conflict in line 4"),
    ],
)
def test_a_broken_baseline_fails_each_group_and_is_never_overwritten(
    blessed: pytest.Pytester, old: str, new: str, said: str
) -> None:
    path = blessed.path / "base.json"
    broken = path.read_text().replace(old, new, 1)
    path.write_text(broken)
    for options in ((BASELINE,), UPDATE):
        result = run(blessed, *options)
        assert result.ret == 1
        result.stdout.fnmatch_lines([f"*{said}*", "*How to fix:*"])
        assert path.read_text() == broken


@pytest.mark.parametrize(
    ("options", "marker", "said"),
    [
        (["--convergence-models=mine/a,mine/b"], 'metric="exact"', "models removed*mine/c"),
        (["--convergence-samples=2"], 'metric="exact"', "5 samples a prompt, now 2"),
        ([], 'metric="normalized"', "the metric was exact, now it is normalized"),
        ([], 'metric="exact", temperature=0.2', "mine/a was asked with {}, now with *temperature*"),
    ],
)
def test_another_panel_metric_or_way_of_asking_is_stale(
    blessed: pytest.Pytester, options: list[str], marker: str, said: str
) -> None:
    blessed.makepyfile(test_evals=SUITE.replace('metric="exact"', marker))
    result = run(blessed, BASELINE, RECORD, JSON, *options)
    assert result.ret == 0
    assert outcome(blessed.path / "run.json") == {"letters": "stale"}
    result.stdout.fnmatch_lines([f"*stale*{said.replace('{}', '*')}*"])


def test_a_reworded_prompt_is_left_out_and_named(blessed: pytest.Pytester) -> None:
    prompts = ", ".join(f'pytest.param("p{i}", id="p{i}")' for i in range(5))
    reworded = f'[{prompts}, pytest.param("p5, please", id="p5")]'
    suite = SUITE.replace('[f"p{i}" for i in range(6)]', reworded)
    blessed.makepyfile(test_evals=suite)
    result = run(blessed, BASELINE, RECORD, JSON, "-o", "xfail_strict=true")
    assert result.ret == 0
    gate = json.loads((blessed.path / "run.json").read_text())["groups"][0]["gate"]
    assert gate["status"] == "partial"
    assert gate["notes"] == ["prompts reworded: p5"]
    assert (gate["compared"], gate["difference"]) == (5, 0.0)


def test_a_labeller_that_judges_the_same_answers_otherwise_is_found_out(
    pytester: pytest.Pytester,
) -> None:
    source = """
import pytest

def first_word(response, data):
    return response.text.split()[0]

@pytest.mark.convergence(label=first_word, capability="words")
@pytest.mark.parametrize("prompt", [f"p{i}" for i in range(6)])
def test_words(prompt, models): pass
"""
    project = gated_project(pytester, source)
    run(project, RECORD, *UPDATE).assert_outcomes(passed=7)
    project.makepyfile(test_evals=source.replace("split()[0]", "split()[-1]"))
    result = run(project, BASELINE)
    result.stdout.fnmatch_lines(["*stale*the same responses of mine/a are now represented*"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--convergence-update-baseline"], "--convergence-update-baseline needs a baseline"),
        (["--convergence-require-baseline"], "--convergence-require-baseline needs a baseline"),
        (["--convergence-candidate=mine/a"], "--convergence-candidate needs an incumbent"),
        (
            ["--convergence-candidate=mine/a", "--convergence-incumbent=mine/a"],
            "candidate and incumbent are both mine/a",
        ),
    ],
)
def test_options_that_make_no_sense_alone_are_usage_errors(
    pytester: pytest.Pytester, options: list[str], said: str
) -> None:
    result = run(gated_project(pytester, SUITE), *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{said}*"])


NEVER_COMPARED = {
    "k": 'kernel(lambda a, b: float(a == b), name="k")',
    "hybrid": '"hybrid"',
}


@pytest.mark.parametrize("name", NEVER_COMPARED)
def test_a_metric_that_a_baseline_cannot_keep_is_stale_and_fails_only_where_required(
    pytester: pytest.Pytester, name: str
) -> None:
    source = SUITE.replace("import pytest", "import pytest\nfrom pytest_convergence import kernel")
    judged = source.replace('"exact"', NEVER_COMPARED[name])
    # Beside it a group that can be kept: one does not stand in the other's way.
    kept = SUITE.replace("letters", "numbers").split("import pytest", 1)[1]
    project = gated_project(pytester, judged + kept)
    project.makeconftest((project.path / "conftest.py").read_text() + LETTERS)
    embedder = "--convergence-embedder=letters"
    result = run(project, RECORD, embedder, *UPDATE)
    assert result.ret == 0
    reason = f"*stale*test_letters*metric {name} compares texts with texts*"
    result.stdout.fnmatch_lines([reason, "*baseline base.json: 1 groups, 1 written*"])
    result = run(project, BASELINE, embedder, JSON)
    assert result.ret == 0
    assert outcome(project.path / "run.json") == {"letters": "stale", "numbers": "unchanged"}
    result.stdout.fnmatch_lines([reason])
    required = run(project, BASELINE, embedder, "--convergence-require-baseline")
    required.assert_outcomes(passed=13, failed=1)
    required.stdout.fnmatch_lines([f"stale: metric {name} compares *", "blessing does not help: *"])
    required.stdout.no_fnmatch_line("bless it once it is what you want*")


def test_a_group_that_can_no_longer_be_kept_leaves_the_baseline_when_it_is_written(
    blessed: pytest.Pytester,
) -> None:
    blessed.makepyfile(
        test_evals=SUITE.replace('"exact"', '"hybrid"'),
        test_more=SUITE.replace("letters", "others"),
    )
    blessed.makeconftest((blessed.path / "conftest.py").read_text() + LETTERS)
    result = run(blessed, RECORD, "--convergence-embedder=letters", *UPDATE)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*baseline base.json: 1 groups, 1 written, 0 kept, 1 removed*"])


def test_where_nothing_can_be_kept_nothing_is_written_and_the_run_fails(
    pytester: pytest.Pytester,
) -> None:
    project = gated_project(pytester, SUITE.replace('"exact"', '"hybrid"'))
    project.makeconftest((project.path / "conftest.py").read_text() + LETTERS)
    result = run(project, RECORD, "--convergence-embedder=letters", *UPDATE)
    assert result.ret == 1
    assert not (project.path / "base.json").exists()
    result.stdout.fnmatch_lines(["*not updated: no group was judged that a baseline can keep*"])
