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


def regress(blessed: pytest.Pytester) -> None:
    before = (blessed.path / "base.json").read_bytes()
    behave(blessed, off=["b"], on="p", says="\x1b[2Jsomething else")
    result = run(blessed, BASELINE, JSON, REWRITE, "-rA", "--junit-xml=out.xml", workers=2)
    assert result.ret == 1
    result.assert_outcomes(passed=17, failed=1)
    (blessed.path / "said.txt").write_text(result.stdout.str())
    # Without being asked nothing is written.
    assert (blessed.path / "base.json").read_bytes() == before


@pytest.fixture
def regressed(blessed: pytest.Pytester, prepared: Prepared) -> pytest.Pytester:
    """Blessed, and then recorded again by two workers with one group that regressed."""
    return prepared(regress)


def test_several_processes_write_the_same_baseline_and_the_same_recordings_pass(
    blessed: pytest.Pytester,
) -> None:
    first = (blessed.path / "base.json").read_bytes()
    (blessed.path / "base.json").unlink()
    run(blessed, *UPDATE, workers=2)
    assert (blessed.path / "base.json").read_bytes() == first
    assert run(blessed, BASELINE, JSON).ret == 0
    assert outcome(blessed.path / "run.json") == {"letters": "unchanged", "numbers": "unchanged"}


def test_a_changed_model_fails_its_group_alone(regressed: pytest.Pytester) -> None:
    assert outcome(regressed.path / "run.json") == {"letters": "regressed", "numbers": "unchanged"}
    text = (regressed.path / "said.txt").read_text()
    assert re.search(r"regressed: score \d\.\d\d -> -?\d\.\d\d, difference -\d\.\d\d \[", text)
    for said in (
        "mine/b",
        "something else",
        "answer p",
        "8 of 8 prompts compared",
        "gate: 1 regressed, 1 unchanged",
    ):
        assert said in text
    assert "\x1b[2J" not in text
    junit = (regressed.path / "out.xml").read_text()
    assert 'failures="1"' in junit
    assert 'name="convergence.gate" value="regressed"' in junit


def test_a_group_alone_is_judged_from_its_recordings_as_it_was_among_the_others(
    regressed: pytest.Pytester,
) -> None:
    whole = json.loads((regressed.path / "run.json").read_text())["groups"][0]["gate"]
    group = "test_evals.py::test_letters[group]"
    result = run(regressed, BASELINE, JSON, "--convergence-require-baseline", group)
    result.assert_outcomes(failed=1)
    # Groups that were not selected have not vanished.
    result.stdout.no_fnmatch_line("*vanished*")
    alone = json.loads((regressed.path / "run.json").read_text())["groups"][0]["gate"]
    assert alone == whole


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


def test_all_decisions_are_the_same_with_no_few_and_more_workers_than_groups(
    pytester: pytest.Pytester,
) -> None:
    project = gated_project(pytester, FOUR)
    behave(project, off=["b"], on="q")
    run(project, RECORD, *UPDATE).assert_outcomes(passed=43)
    project.makepyfile(test_evals=FOUR.replace("gone", "came"))
    behave(project, off=["b"], on="p")
    decided, exits, failing = [], [], []
    for workers, recorded in ((0, [REWRITE]), (2, []), (5, [])):
        result = run(project, BASELINE, JSON, *recorded, workers=workers)
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


def test_a_regressed_group_ends_a_run_that_stops_at_the_first_and_is_run_again_by_last_failed(
    regressed: pytest.Pytester,
) -> None:
    stopped = regressed.runpytest_subprocess(BASELINE, "-x")
    stopped.assert_outcomes(passed=8, failed=1)
    again = regressed.runpytest_subprocess(BASELINE, "--lf")
    again.assert_outcomes(failed=1)


def test_blessing_writes_what_was_selected_keeps_the_rest_and_tells_what_regressed(
    regressed: pytest.Pytester,
) -> None:
    def groups() -> tuple[object, object]:
        kept = json.loads((regressed.path / "base.json").read_text())["groups"]
        letters, numbers = sorted(kept)
        return kept[letters], kept[numbers]

    before = groups()
    other = run(regressed, *UPDATE, "-k", "numbers", workers=2)
    assert other.ret == 0
    other.stdout.fnmatch_lines(["*2 groups, 0 written, 2 kept, 0 removed*"])
    assert groups() == before
    result = run(regressed, *UPDATE, "-k", "letters")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*regressed*test_letters*"])
    result.stdout.fnmatch_lines(["*gate: 1 regressed*"])
    result.stdout.fnmatch_lines(["*2 groups, 1 written, 1 kept, 0 removed*"])
    after = groups()
    assert after[0] != before[0]
    assert after[1] == before[1]
    assert run(regressed, BASELINE).ret == 0


def test_new_vanished_and_stale_fail_where_a_baseline_is_required(
    blessed: pytest.Pytester,
) -> None:
    suite = SUITE.replace("test_numbers", "test_figures")
    blessed.makepyfile(test_evals=suite)
    result = run(blessed, BASELINE, RECORD, JSON)
    assert result.ret == 0
    assert outcome(blessed.path / "run.json") == {"letters": "unchanged", "numbers": "new"}
    result.stdout.fnmatch_lines(["*vanished*test_numbers*"])
    required = run(blessed, BASELINE, "--convergence-require-baseline", workers=2)
    assert required.ret == 1
    required.assert_outcomes(passed=17, failed=1)
    required.stdout.fnmatch_lines(
        ["*new: the baseline does not have this group*", "*1 groups of the baseline vanished*"]
    )
    result = run(blessed, *UPDATE)
    result.stdout.fnmatch_lines(["*2 groups, 1 written, 1 kept, 1 removed*"])
    fewer = ("--convergence-models=mine/a,mine/b", "--convergence-require-baseline")
    stale = run(blessed, BASELINE, *fewer, workers=2)
    stale.assert_outcomes(passed=16, failed=2)
    stale.stdout.fnmatch_lines(["*stale: models removed from the panel: mine/c*"])


def test_groups_that_were_not_selected_have_not_vanished(blessed: pytest.Pytester) -> None:
    blessed.makepyfile(test_other="def test_plain(): pass")
    for selected in (["-k", "letters"], ["test_other.py"]):
        result = run(blessed, BASELINE, "--convergence-require-baseline", *selected)
        assert result.ret == 0, selected


def test_a_file_that_is_gone_takes_its_groups_along(blessed: pytest.Pytester) -> None:
    (blessed.path / "test_evals.py").unlink()
    # A smaller file beside it: for a run without evals nothing vanishes.
    blessed.makepyfile(test_kept=SUITE.replace("range(8)", "range(2)"))
    result = run(blessed, BASELINE, "--convergence-require-baseline", RECORD)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*2 groups of the baseline vanished: test_evals.py*"])


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


def test_nothing_is_blessed_after_a_worker_crashed(regressed: pytest.Pytester) -> None:
    before = (regressed.path / "base.json").read_bytes()
    crash = SUITE + "\ndef test_crash():\n    import os\n    os._exit(3)\n"
    regressed.makepyfile(test_evals=crash)
    result = run(regressed, *UPDATE, workers=2)
    assert result.ret != 0
    assert (regressed.path / "base.json").read_bytes() == before
    result.stdout.fnmatch_lines(["*base.json was not updated: *"])


def test_nothing_is_blessed_where_responses_are_missing(blessed: pytest.Pytester) -> None:
    before = (blessed.path / "base.json").read_bytes()
    behave(blessed, off=["b"], says="")
    result = run(blessed, REWRITE, *UPDATE)
    assert result.ret != 0
    assert (blessed.path / "base.json").read_bytes() == before
    result.stdout.fnmatch_lines(["*base.json was not updated: *incomplete*"])


NUMBERS, LETTERS = SUITE.split("\n\n")[2], SUITE.split("\n\n")[1]
DIVERSE = """
@pytest.mark.convergence(metric="exact", direction="diverges", capability="diverse")
@pytest.mark.parametrize("prompt", [f"r{i}" for i in range(14)])
def test_diverse(prompt, models): pass
"""
DISTANCES = (("js", "js"), ("tv", "total-variation"))
METRICS = {
    "ngrams": 'metric="char-ngrams"',
    "js": 'metric="js"',
    "tv": 'metric="total-variation"',
    "js_of_labels": 'label=lambda r, d: r.text.split()[0], metric="js"',
    "tv_of_labels": 'label=lambda r, d: r.text.split()[0], metric="total-variation"',
}


def suite_of_metrics() -> str:
    """For every metric a group that will change and a few prompts that will not."""
    groups = [
        part.replace('metric="exact"', declared)
        .replace("range(8)", f"range({prompts})")
        .replace(kind, f"{kind}_{name}")
        for name, declared in METRICS.items()
        for part, kind, prompts in ((LETTERS, "letters", 3), (NUMBERS, "numbers", 12))
    ]
    return "import pytest\n\n" + "\n\n".join(groups) + "\n" + DIVERSE


def metrics_kept(project: pytest.Pytester) -> dict[str, str]:
    kept = json.loads((project.path / "base.json").read_text())["groups"]
    return {
        name.split("::test_")[1].removesuffix("[group]"): entry["metric"].split(".")[0]
        for name, entry in kept.items()
    }


def test_every_metric_is_gated_by_what_its_baseline_keeps_of_it(
    pytester: pytest.Pytester,
) -> None:
    # Sums for what is embedded, counts for distributions of labels or texts.
    project = gated_project(pytester, suite_of_metrics())
    behave(project, off=["b"], on="r")
    everything = 5 * (4 + 13) + 15
    run(project, RECORD, *UPDATE).assert_outcomes(passed=everything)
    of_labels = {f"{name}_of_labels": f"{metric} of label:test_evals" for name, metric in DISTANCES}
    named = {"ngrams": "char-ngrams", **dict(DISTANCES), **of_labels}
    assert {name: metric.split("@")[0] for name, metric in metrics_kept(project).items()} == {
        "diverse": "exact",
        **{f"{kind}_{name}": named[name] for kind in ("letters", "numbers") for name in METRICS},
    }
    # Drawn anew, nothing has changed.
    behave(project, salt=1, off=["b"], on="r")
    run(project, REWRITE, BASELINE).assert_outcomes(passed=everything)
    # On r models grow alike; on p they say again what was blessed.
    behave(project, off=["b"], on="q")
    result = run(project, REWRITE, BASELINE, JSON, "--convergence-require-baseline")
    result.assert_outcomes(passed=everything - 6, failed=6)
    assert outcome(project.path / "run.json") == {
        "diverse": "regressed",
        **{f"letters_{name}": "unchanged" for name in METRICS},
        **{f"numbers_{name}": "regressed" for name in METRICS},
    }
    result.stdout.fnmatch_lines(["*the test guards diversity*"])
    told = [line for line in result.outlines if "regressed: similarity " in line]
    assert sum("mine/b with the others" in line for line in told) >= 4


def test_a_score_that_a_panel_of_one_cannot_have_is_stale(blessed: pytest.Pytester) -> None:
    alone = "--convergence-models=mine/a"
    required = run(blessed, BASELINE, alone, "--convergence-require-baseline")
    required.assert_outcomes(passed=16, failed=2)
    required.stdout.fnmatch_lines(["*stale*test_letters*a score needs two models*"])
