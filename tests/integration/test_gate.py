"""The gate as a person meets it: bless, compare, regress, in one process and in several."""

from __future__ import annotations

import json
import re

import pytest

from tests.conftest import Prepared, run
from tests.gate_parts import (
    BASELINE,
    RECORD,
    REWRITE,
    SUITE,
    UPDATE,
    behave,
    gated_project,
    outcome,
)

JSON = "--convergence-json=run.json"


def bless(pytester: pytest.Pytester) -> None:
    run(gated_project(pytester), RECORD, *UPDATE).assert_outcomes(passed=18)


@pytest.fixture
def blessed(prepared: Prepared) -> pytest.Pytester:
    """Recorded and blessed."""
    return prepared(bless)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_same_recordings_pass_and_a_changed_model_fails_its_group_alone(
    blessed: pytest.Pytester, workers: int
) -> None:
    path = blessed.path / "run.json"
    result = run(blessed, BASELINE, JSON, workers=workers)
    assert result.ret == 0
    assert outcome(path) == {"letters": "unchanged", "numbers": "unchanged"}
    behave(blessed, off=["b"], on="p", says="\x1b[2Jsomething else")
    result = run(blessed, BASELINE, JSON, REWRITE, "-rA", "--junit-xml=out.xml", workers=workers)
    assert result.ret == 1
    result.assert_outcomes(passed=17, failed=1)
    assert outcome(path) == {"letters": "regressed", "numbers": "unchanged"}
    text = result.stdout.str()
    assert re.search(r"regressed: score \d\.\d\d -> -?\d\.\d\d, difference -\d\.\d\d \[", text)
    for said in ("mine/b", "something else", "answer p", "8 of 8 prompts compared"):
        assert said in text
    assert "\x1b[2J" not in text
    junit = (blessed.path / "out.xml").read_text()
    assert 'failures="1"' in junit
    assert 'name="convergence.gate" value="regressed"' in junit
    # What was recorded stays: replayed without recording, the regression is still one.
    assert run(blessed, BASELINE, JSON, workers=2 - workers).ret == 1


FOUR = """
import pytest

@pytest.mark.convergence(metric="exact", capability="falls")
@pytest.mark.parametrize("prompt", [f"p{i}" for i in range(12)])
def test_falls(prompt, models): pass

@pytest.mark.convergence(metric="exact", capability="rises")
@pytest.mark.parametrize("prompt", [f"q{i}" for i in range(12)])
def test_rises(prompt, models): pass

@pytest.mark.convergence(metric="exact", label=lambda r, d: r.text.split()[0], value="answer",
                         at_least=0.0, capability="rate")
@pytest.mark.parametrize("prompt", [f"p{i} {i}" for i in range(12)])
def test_rate(prompt, models): pass

@pytest.mark.convergence(metric="exact", capability="gone")
@pytest.mark.parametrize("prompt", [f"r{i}" for i in range(3)])
def test_gone(prompt, models): pass
"""


def test_all_decisions_are_the_same_with_no_two_and_eight_workers(
    pytester: pytest.Pytester,
) -> None:
    project = gated_project(pytester, FOUR)
    behave(project, off=["b"], on="q")
    run(project, RECORD, *UPDATE).assert_outcomes(passed=43)
    project.makepyfile(test_evals=FOUR.replace("gone", "came"))
    behave(project, off=["b"], on="p")
    run(project, REWRITE)
    decided, exits, failing = [], [], []
    for workers in (0, 2, 8):
        result = run(project, BASELINE, JSON, workers=workers)
        told = json.loads((project.path / "run.json").read_text())
        entries = [*told["groups"], *told["checks"]]
        decided.append(({e["id"]: e.get("gate") for e in entries}, told["gate"]))
        exits.append(result.ret)
        failing.append(sorted(line for line in result.outlines if line.startswith("FAILED ")))
    statuses = {name.split("::")[1]: gate["status"] for name, gate in decided[0][0].items() if gate}
    assert statuses == {
        "test_falls[group]": "regressed",
        "test_rises[group]": "improved",
        "test_rate[group]#rate": "regressed",
        "test_came[group]": "new",
    }
    assert decided[0][1]["vanished"] == ["test_evals.py::test_gone[group]"]
    assert decided[1] == decided[0]
    assert decided[2] == decided[0]
    assert exits == [1, 1, 1]
    assert failing[0] == failing[1] == failing[2]
    assert len(failing[0]) == 2


def test_a_regressed_group_is_run_again_by_last_failed_and_ends_a_run_that_stops_at_the_first(
    blessed: pytest.Pytester,
) -> None:
    behave(blessed, off=["b"], on="p")
    result = blessed.runpytest_subprocess(BASELINE, REWRITE)
    result.assert_outcomes(passed=17, failed=1)
    again = blessed.runpytest_subprocess(BASELINE, "--lf")
    again.assert_outcomes(failed=1)
    stopped = blessed.runpytest_subprocess(BASELINE, "-x", "-p", "no:cacheprovider")
    stopped.assert_outcomes(passed=8, failed=1)


def test_a_group_alone_is_judged_as_it_is_among_the_others(blessed: pytest.Pytester) -> None:
    behave(blessed, off=["b"], on="p")
    run(blessed, BASELINE, REWRITE, JSON)
    whole = json.loads((blessed.path / "run.json").read_text())["groups"][0]["gate"]
    run(blessed, BASELINE, JSON, "test_evals.py::test_letters[group]").assert_outcomes(failed=1)
    alone = json.loads((blessed.path / "run.json").read_text())["groups"][0]["gate"]
    assert alone == whole


@pytest.mark.parametrize("workers", [0, 2])
def test_blessing_writes_what_was_selected_and_keeps_the_rest(
    blessed: pytest.Pytester, workers: int
) -> None:
    before = json.loads((blessed.path / "base.json").read_text())["groups"]
    behave(blessed, off=["b"])
    run(blessed, REWRITE)
    result = run(blessed, *UPDATE, "-k", "letters", workers=workers)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*2 groups, 1 written, 1 kept, 0 removed*"])
    after = json.loads((blessed.path / "base.json").read_text())["groups"]
    letters, numbers = sorted(before)
    assert after[letters] != before[letters]
    assert after[numbers] == before[numbers]


def test_blessing_tells_the_regression_that_it_blesses_and_the_next_run_passes(
    blessed: pytest.Pytester,
) -> None:
    behave(blessed, off=["b"], on="p")
    result = run(blessed, REWRITE, *UPDATE)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*regressed*test_letters*", "*gate: 1 regressed, 1 unchanged*"])
    assert run(blessed, BASELINE).ret == 0


def test_the_baseline_is_written_the_same_by_one_process_and_by_several(
    blessed: pytest.Pytester,
) -> None:
    first = (blessed.path / "base.json").read_bytes()
    (blessed.path / "base.json").unlink()
    run(blessed, *UPDATE, workers=2)
    assert (blessed.path / "base.json").read_bytes() == first


def test_without_being_asked_nothing_is_written(blessed: pytest.Pytester) -> None:
    before = (blessed.path / "base.json").read_bytes()
    behave(blessed, off=["b"])
    run(blessed, BASELINE, REWRITE)
    assert (blessed.path / "base.json").read_bytes() == before


@pytest.mark.parametrize("workers", [0, 2])
def test_new_vanished_and_stale_fail_where_a_baseline_is_required(
    blessed: pytest.Pytester, workers: int
) -> None:
    suite = SUITE.replace("test_numbers", "test_figures")
    blessed.makepyfile(test_evals=suite)
    result = run(blessed, BASELINE, RECORD, JSON, workers=workers)
    assert result.ret == 0
    assert outcome(blessed.path / "run.json") == {"letters": "unchanged", "numbers": "new"}
    result.stdout.fnmatch_lines(["*vanished*test_numbers*"])
    required = run(blessed, BASELINE, "--convergence-require-baseline", workers=workers)
    assert required.ret == 1
    required.assert_outcomes(passed=17, failed=1)
    required.stdout.fnmatch_lines(
        ["*new: the baseline does not have this group*", "*1 groups of the baseline vanished*"]
    )
    result = run(blessed, *UPDATE, workers=workers)
    result.stdout.fnmatch_lines(["*2 groups, 1 written, 1 kept, 1 removed*"])
    fewer = ("--convergence-models=mine/a,mine/b", "--convergence-require-baseline")
    stale = run(blessed, BASELINE, *fewer, workers=workers)
    stale.assert_outcomes(passed=16, failed=2)
    stale.stdout.fnmatch_lines(["*stale: models removed from the panel: mine/c*"])


def test_groups_that_were_not_selected_have_not_vanished(blessed: pytest.Pytester) -> None:
    blessed.makepyfile(test_other="def test_plain(): pass")
    for selected in (["-k", "letters"], ["test_evals.py::test_letters"], ["test_other.py"]):
        result = run(blessed, BASELINE, "--convergence-require-baseline", *selected)
        assert result.ret == 0, selected


def test_a_file_that_is_gone_takes_its_groups_along(blessed: pytest.Pytester) -> None:
    blessed.makepyfile(test_evals="def test_plain(): pass", test_more=SUITE)
    required = ("--convergence-require-baseline", RECORD)
    run(blessed, *UPDATE, RECORD)
    (blessed.path / "test_more.py").unlink()
    blessed.makepyfile(test_kept=SUITE)
    result = run(blessed, BASELINE, *required)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*2 groups of the baseline vanished: test_more.py*"])


def test_a_run_without_evals_is_left_alone(blessed: pytest.Pytester) -> None:
    blessed.makepyfile(test_evals="def test_plain(): pass")
    result = run(blessed, BASELINE, "--convergence-require-baseline")
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*vanished*")
    result.stdout.no_fnmatch_line("*gate*")


@pytest.mark.parametrize("workers", [0, 2])
def test_nothing_is_blessed_from_a_run_that_is_not_whole(
    pytester: pytest.Pytester, workers: int
) -> None:
    project = gated_project(pytester, SUITE.replace(": pass", ": assert prompt != 'p0'"))
    result = run(project, RECORD, *UPDATE, "-x", workers=workers)
    assert result.ret != 0
    assert not (project.path / "base.json").exists()
    result.stdout.fnmatch_lines(["*base.json was not updated: the run was interrupted*"])


def test_nothing_is_blessed_after_a_worker_crashed(blessed: pytest.Pytester) -> None:
    before = (blessed.path / "base.json").read_bytes()
    behave(blessed, off=["b"])
    run(blessed, REWRITE)
    crash = SUITE + "\ndef test_crash():\n    import os\n    os._exit(3)\n"
    blessed.makepyfile(test_evals=crash)
    result = run(blessed, *UPDATE, workers=2)
    assert result.ret != 0
    assert (blessed.path / "base.json").read_bytes() == before
    result.stdout.fnmatch_lines(["*base.json was not updated: *"])


def test_nothing_is_blessed_where_responses_are_missing(blessed: pytest.Pytester) -> None:
    before = (blessed.path / "base.json").read_bytes()
    behave(blessed, off=["b"], says="")
    result = run(blessed, REWRITE, *UPDATE)
    assert result.ret != 0
    assert (blessed.path / "base.json").read_bytes() == before
    result.stdout.fnmatch_lines(["*base.json was not updated: *incomplete*"])


def test_a_suite_that_guards_diversity_fails_when_models_grow_alike(
    pytester: pytest.Pytester,
) -> None:
    suite = SUITE.replace('metric="exact"', 'metric="exact", direction="diverges"')
    project = gated_project(pytester, suite)
    behave(project, off=["b"])
    run(project, RECORD, *UPDATE)
    behave(project)
    result = run(project, REWRITE, BASELINE)
    result.assert_outcomes(passed=16, failed=2)
    result.stdout.fnmatch_lines(["*the test guards diversity*"])
    behave(project, off=["b", "c"], says="yet another")
    assert run(project, REWRITE, BASELINE, "-q").ret in (0, 1)


def test_embedding_like_metrics_are_gated_by_their_sums(pytester: pytest.Pytester) -> None:
    project = gated_project(pytester, SUITE.replace('"exact"', '"char-ngrams"'))
    run(project, RECORD, *UPDATE).assert_outcomes(passed=18)
    assert run(project, BASELINE).ret == 0
    behave(project, salt=1)
    run(project, REWRITE, BASELINE).assert_outcomes(passed=18)
    behave(project, off=["b"], on="q")
    run(project, REWRITE, BASELINE).assert_outcomes(passed=17, failed=1)


DISTRIBUTIONS = {
    "js": 'metric="js"',
    "tv": 'metric="total-variation"',
    "js_of_labels": 'label=lambda r, d: r.text.split()[0], metric="js"',
    "tv_of_labels": 'label=lambda r, d: r.text.split()[0], metric="total-variation"',
}


def test_distributions_of_labels_or_texts_are_gated_by_their_counts(
    pytester: pytest.Pytester,
) -> None:
    suite = "".join(
        SUITE.replace('metric="exact"', declared)
        .replace("(8)", "(12)")
        .replace("letters", f"letters_{name}")
        .replace("numbers", f"numbers_{name}")
        for name, declared in DISTRIBUTIONS.items()
    )
    project = gated_project(pytester, suite)
    run(project, RECORD, *UPDATE).assert_outcomes(passed=8 * 13)
    kept = json.loads((project.path / "base.json").read_text())["groups"]
    named = {
        name.split("::test_")[1]: entry["metric"].split(".")[0] for name, entry in kept.items()
    }
    metrics = {"js": "js", "tv": "total-variation"}
    expected = {
        **metrics,
        **{f"{m}_of_labels": f"{metrics[m]} of label:test_evals" for m in metrics},
    }
    assert named == {
        f"{kind}_{name}[group]": metric
        for kind in ("letters", "numbers")
        for name, metric in expected.items()
    }
    again = run(project, BASELINE, "--convergence-require-baseline")
    assert again.ret == 0
    behave(project, salt=1)
    run(project, REWRITE, BASELINE).assert_outcomes(passed=8 * 13)
    behave(project, off=["b"], on="q")
    result = run(project, REWRITE, BASELINE, JSON)
    result.assert_outcomes(passed=8 * 13 - 4, failed=4)
    assert outcome(project.path / "run.json") == {
        f"{kind}_{name}": "unchanged" if kind == "letters" else "regressed"
        for kind in ("letters", "numbers")
        for name in DISTRIBUTIONS
    }
    told = [line for line in result.outlines if "regressed: similarity " in line]
    assert sum("mine/b with the others" in line for line in told) >= 4


def test_a_score_that_a_panel_of_one_cannot_have_is_stale(blessed: pytest.Pytester) -> None:
    alone = "--convergence-models=mine/a"
    result = run(blessed, BASELINE, alone)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*stale*test_letters*a score needs two models*"])
    required = run(blessed, BASELINE, alone, "--convergence-require-baseline")
    required.assert_outcomes(passed=16, failed=2)
