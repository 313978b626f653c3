"""What a baseline must not be compared with: each says what was found and what to do."""

from __future__ import annotations

import json

import pytest

from tests.conftest import Prepared, run
from tests.gate_parts import BASELINE, LETTERS, RECORD, UPDATE, gated_project, outcome

SUITE = """
import pytest

@pytest.mark.convergence(metric="exact", capability="letters")
@pytest.mark.parametrize("prompt", [f"p{i}" for i in range(6)])
def test_letters(prompt, models): pass
"""
JSON = "--convergence-json=run.json"


def bless(pytester: pytest.Pytester) -> None:
    run(gated_project(pytester, SUITE), RECORD, *UPDATE).assert_outcomes(passed=7)


@pytest.fixture
def blessed(prepared: Prepared) -> pytest.Pytester:
    """One small group, recorded and blessed."""
    return prepared(bless)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_missing_baseline_fails_every_group_and_says_how_to_write_one(
    blessed: pytest.Pytester, workers: int
) -> None:
    (blessed.path / "base.json").unlink()
    result = run(blessed, BASELINE, workers=workers)
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
    # Read alike to compare and to bless; that both fail is shown by one.
    for options in ((BASELINE,), UPDATE) if "version" in old else (UPDATE,):
        result = run(blessed, *options)
        assert result.ret == 1
        result.stdout.fnmatch_lines([f"*{said}*", "*How to fix:*"])
        assert path.read_text() == broken


def group(name: str, declared: str = 'metric="exact"', prompts: str = "RANGE") -> str:
    return f"""
@pytest.mark.convergence({declared}, capability="{name}")
@pytest.mark.parametrize("prompt", {prompts})
def test_{name}(prompt, models): pass
"""


HEAD = """
import pytest
from pytest_convergence import kernel

RANGE = [f"p{i}" for i in range(6)]
REWORDED = [*RANGE[:5], pytest.param("p5, please", id="p5")]
KERNEL = kernel(lambda a, b: float(a == b), name="k")

def word(response, data):
    return response.text.split()[0]
"""
HYBRID = 'metric="hybrid"'
NEVER_KEPT = group("k", "metric=KERNEL") + group("hybrid", HYBRID)
EXACT = ("panel", "samples", "metric", "decoding", "reworded", "before", "same")
AS_BLESSED = (
    HEAD + "".join(map(group, EXACT)) + group("words", "label=word, threshold=None") + NEVER_KEPT
)
CHANGED = (
    HEAD.replace("split()[0]", "split()[-1]")
    + group("panel", 'metric="exact", models=["mine/a", "mine/b"]')
    + group("samples", 'metric="exact", samples=2')
    + group("metric", 'metric="normalized"')
    + group("decoding", 'metric="exact", temperature=0.2')
    + group("reworded", prompts="REWORDED")
    + group("before", HYBRID)
    + group("same")
    + group("words", "label=word, threshold=None")
    + NEVER_KEPT
)
STALE = {
    "panel": "models removed*mine/c",
    "samples": "5 samples a prompt, now 2",
    "metric": "the metric was exact, now it is normalized",
    "decoding": "mine/a was asked with *, now with *temperature*",
    "words": "the same responses of mine/a are now represented",
    "before": "metric hybrid compares texts with texts",
    "k": "metric k compares texts with texts",
    "hybrid": "metric hybrid compares texts with texts",
}
EMBEDDER = "--convergence-embedder=letters"


def bless_all(pytester: pytest.Pytester) -> None:
    project = gated_project(pytester, AS_BLESSED)
    project.makeconftest((project.path / "conftest.py").read_text() + LETTERS)
    result = run(project, RECORD, EMBEDDER, *UPDATE)
    assert result.ret == 0
    # A metric that a baseline cannot keep does not stand in the way of those that it can.
    for name in ("k", "hybrid"):
        result.stdout.fnmatch_lines([f"*stale*test_{name}[[]*metric {name} compares texts *"])
    result.stdout.fnmatch_lines(["*baseline base.json: 8 groups, 8 written*"])
    project.makepyfile(test_evals=CHANGED)


@pytest.fixture
def changed(prepared: Prepared) -> pytest.Pytester:
    """Groups that were blessed and of which each is declared otherwise by now, but for one."""
    return prepared(bless_all)


def test_another_panel_metric_or_way_of_asking_is_stale_and_fails_only_where_required(
    changed: pytest.Pytester,
) -> None:
    result = run(changed, BASELINE, RECORD, EMBEDDER, JSON)
    assert result.ret == 0
    statuses = outcome(changed.path / "run.json")
    assert statuses == {
        "same": "unchanged", "reworded": "partial", **dict.fromkeys(STALE, "stale")
    }  # fmt: skip
    for name, said in STALE.items():
        result.stdout.fnmatch_lines_random([f"*stale*test_{name}[[]*{said}*"])
    groups = json.loads((changed.path / "run.json").read_text())["groups"]
    gate = next(one["gate"] for one in groups if one["capability"] == "reworded")
    assert gate["notes"] == ["prompts reworded: p5"]
    assert (gate["compared"], gate["difference"]) == (5, 0.0)
    # A group that can no longer be kept leaves the baseline when it is written.
    selected = ("-k", "before or same", EMBEDDER)
    updated = run(changed, *UPDATE, *selected)
    assert updated.ret == 0
    updated.stdout.fnmatch_lines(["*baseline base.json: 7 groups, * 7 kept, 1 removed*"])


def test_that_a_metric_cannot_be_kept_fails_where_required_and_blessing_does_not_help(
    changed: pytest.Pytester,
) -> None:
    selected = ("-k", "test_k or test_hybrid or test_same", EMBEDDER)
    required = run(changed, BASELINE, "--convergence-require-baseline", *selected)
    required.assert_outcomes(passed=19, failed=2)
    for name in ("k", "hybrid"):
        required.stdout.fnmatch_lines(
            [f"stale: metric {name} compares *", "blessing does not help: *"]
        )
    required.stdout.no_fnmatch_line("bless it once it is what you want*")


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


def test_where_nothing_can_be_kept_nothing_is_written_and_the_run_fails(
    pytester: pytest.Pytester,
) -> None:
    project = gated_project(pytester, SUITE.replace('"exact"', '"hybrid"'))
    project.makeconftest((project.path / "conftest.py").read_text() + LETTERS)
    result = run(project, RECORD, "--convergence-embedder=letters", *UPDATE)
    assert result.ret == 1
    assert not (project.path / "base.json").exists()
    result.stdout.fnmatch_lines(["*not updated: no group was judged that a baseline can keep*"])
