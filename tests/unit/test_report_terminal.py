from __future__ import annotations

import io
from typing import Any

import pytest
from _pytest._io import TerminalWriter

from pytest_convergence.report.columns import ASCII, UNICODE, bar, padded, seen_width, signs_for
from pytest_convergence.report.tables import entry_name, table_rows
from pytest_convergence.report.terminal import verdict_line, worst_first, write_summary


def entry(**fields: Any) -> dict[str, Any]:
    shared = {"threshold": 0.7, "direction": "converges", "verdict": "diverged", "missing": []}
    return {**shared, "settled": True, "passed": False, "within": 0.9, "arm": "", **fields}


def group(name: str, **fields: Any) -> dict[str, Any]:
    own = {"id": f"evals/test_x.py::test_x[group-{name}]", "quantity": "score", "value": 0.5}
    figures = {"floor": 0.2, "ceiling": 1.0, "similarity": 0.6, "score": 0.5}
    interval = {"low": 0.4, "high": 0.6}
    pairs = {"score": [[None, 0.5, 0.4], [0.5, None, 0.6], [0.4, 0.6, None]]}
    panel = {"present": ["a", "b", "c"], "pairs": pairs, "prompts": ["p"], "capability": name}
    return entry(**{**own, **figures, "interval": interval, **panel, **fields})


def case(number: int, **fields: Any) -> dict[str, Any]:
    own = {"id": f"evals/test_x.py::test_x[prompt-{number}]", "prompt_id": f"prompt-{number}"}
    found = {"quantity": "similarity", "value": number / 100, "interval": None, "capability": ""}
    return entry(**{**own, **found, **fields})


def run(**parts: Any) -> dict[str, Any]:
    models: list[dict[str, Any]] = [
        {"name": name, "simulated": False, "responses": 9, "missing": {}}
        for name in ("a", "b", "c")
    ]
    return {"groups": [], "cases": [], "models": models, "problems": [], **parts}


class Reporter:
    """What of pytest's terminal reporter the summary uses, on pytest's own writer."""

    def __init__(self, width: int, encoding: str = "utf-8") -> None:
        self.bytes = io.BytesIO()
        self._tw = TerminalWriter(io.TextIOWrapper(self.bytes, encoding, write_through=True))
        self._tw.fullwidth = width
        self.write, self.line = self._tw.write, self._tw.line
        self.write_line, self.write_sep = self._tw.line, self._tw.sep

    def lines(self) -> list[str]:
        self._tw.flush()
        return self.bytes.getvalue().decode("utf-8").splitlines()


def written(found: dict[str, Any], *, verbose: int = 0, **reporter: Any) -> list[str]:
    terminal = Reporter(**{"width": 80, **reporter})
    write_summary(terminal, found, verbose=verbose)
    return terminal.lines()


LONG = "a capability with a very long name that goes on and on " * 3


@pytest.mark.parametrize("width", [80, 100, 200])
@pytest.mark.parametrize("verbose", [0, 1])
def test_no_line_of_a_table_is_wider_than_the_terminal(width: int, verbose: int) -> None:
    found = run(
        groups=[
            group(LONG, verdict="inconclusive", value=-0.5, interval={"low": -0.75, "high": -0.2}),
            group("宽" * 60, present=["模型" * 30, "b" * 90, "c"], settled=False),
        ],
        cases=[case(number, prompt_id=LONG) for number in range(20)],
        models=[
            {"name": "m" * 70, "simulated": False, "responses": 9, "missing": {"error " * 20: 3}}
        ],
    )
    *lines, _sentence = written(found, width=width, verbose=verbose)
    assert len(lines) > 12
    assert max(seen_width(line) for line in lines) <= width


def test_quietly_there_is_one_line() -> None:
    lines = written(run(groups=[group("x")], cases=[case(1)]), verbose=-1)
    assert lines == ["convergence: 1 group: 1 diverged; 1 case: 1 diverged"]


def test_failing_cases_are_cut_after_eight_and_whole_when_asked() -> None:
    found = run(cases=[case(number) for number in range(12)] + [case(99, passed=True)])
    lines = written(found)
    assert sum(" diverged" in line for line in lines[:-1]) == 8
    assert "… and 4 cases more (-vv shows all)" in lines
    whole = written(found, verbose=2)
    assert sum(" diverged" in line for line in whole[:-1]) == 13
    assert not any("-vv" in line for line in whole)


def test_asked_for_the_whole_a_long_name_is_not_cut() -> None:
    found = run(groups=[group(LONG)])
    assert not any(LONG.strip() in line for line in written(found))
    assert any(LONG.strip() in line for line in written(found, verbose=2))


def test_asked_for_the_whole_every_group_shows_its_matrix() -> None:
    found = run(groups=[group("one"), group("two")])
    assert sum("of pairs in" in line for line in written(found)) == 1
    assert sum("of pairs in" in line for line in written(found, verbose=2)) == 2


def test_an_output_that_cannot_carry_the_signs_gets_ascii() -> None:
    found = run(groups=[group(LONG)], cases=[case(number) for number in range(12)])
    plain = written(found, encoding="ascii")
    assert all(line.isascii() for line in plain)
    assert any("-o-" in line or "-o." in line or "o|" in line for line in plain)
    assert any("●" in line for line in written(found))


@pytest.mark.parametrize(
    ("encoding", "signs"),
    [("utf-8", UNICODE), ("ascii", ASCII), ("latin-1", ASCII), (None, ASCII), ("nonsense", ASCII)],
)
def test_the_signs_follow_the_encoding(encoding: str | None, signs: object) -> None:
    assert signs_for(encoding) is signs


def test_a_bar_runs_from_floor_to_ceiling_with_the_threshold_between() -> None:
    drawn = bar(group("x", floor=0.0, ceiling=1.0, similarity=1.0, threshold=0.5), 11, UNICODE)
    assert drawn == "─────┃────●"
    drawn = bar(group("x", floor=0.2, ceiling=0.8, similarity=0.2, threshold=0.5), 11, UNICODE)
    assert drawn == "··●──┃───··"


def test_a_bar_without_a_score_shows_no_threshold_of_it() -> None:
    drawn = bar(group("x", value=None, floor=0.5, ceiling=0.5, similarity=0.5), 11, UNICODE)
    assert drawn == "·····●·····"


def test_figures_off_the_axis_stay_at_its_ends() -> None:
    assert bar(case(0, value=-0.4, threshold=1.2, within=None), 5, UNICODE) == "●···┃"


def test_a_verdict_that_the_interval_does_not_settle_is_marked_and_explained() -> None:
    lines = written(run(groups=[group("x", settled=False)]))
    assert any(line.endswith("diverged*") for line in lines)
    assert "* unsettled: the interval straddles the threshold" in lines


def test_the_worst_comes_first_failures_before_passes() -> None:
    entries = [
        case(90, passed=True, verdict="converged"),
        case(10),
        case(60),
        case(0, value=None, verdict="undefined"),
        case(95, direction="diverges", verdict="converged"),
    ]
    order = [entry["prompt_id"] for entry in worst_first(entries)]
    assert order == ["prompt-0", "prompt-10", "prompt-95", "prompt-60", "prompt-90"]


def test_a_case_is_named_by_its_prompt_and_a_group_by_its_capability() -> None:
    assert entry_name(case(7)) == "prompt-7 (test_x)"
    assert entry_name(group("safety", arm="calm")) == "safety calm (test_x)"
    assert entry_name(group("", id="e.py::test_x[group]")) == "test_x"


def test_wide_characters_keep_the_columns_straight() -> None:
    assert seen_width("模型a") == 5
    assert padded("模型模型", 6, UNICODE) == "模型… "
    rows = list(table_rows("case", [case(1, prompt_id="模型")], 80, UNICODE, whole=False))
    assert seen_width(rows[0].text) - len("verdict") == seen_width(rows[1].text)


def test_the_sentence_says_that_models_are_simulated() -> None:
    found = run(groups=[group("x")])
    found["models"][0]["simulated"] = True
    assert verdict_line(found).endswith("; 1 models simulated")
    for model in found["models"]:
        model["simulated"] = True
    assert verdict_line(found).endswith("; simulated models")


def test_a_name_cannot_move_the_cursor() -> None:
    lines = written(run(groups=[group("\x1b[2Jx\nforged")], cases=[case(1, prompt_id="\r\x07")]))
    assert "\x1b" not in "".join(lines)
    assert "\\x1b[2Jx\\x0a" in "".join(lines)


def test_rows_that_would_read_alike_say_their_test() -> None:
    names = ("test_one", "test_two")
    found = run(groups=[group("open-ended", id=f"e.py::{name}[group]") for name in names])
    lines = written(found)
    for name in names:
        row = lines.index(f"open-ended ({name})")
        assert lines[row + 1].startswith(" " * 12)
    assert not any(line.startswith("open-ended  ") for line in lines)
    alone = written(run(groups=found["groups"][:1]))
    assert any(line.startswith("open-ended  ") for line in alone)


def test_one_name_in_two_arms_is_told_by_its_id() -> None:
    ids = ("e.py::test_x[p-calm]", "e.py::test_x[p-angry]")
    lines = written(run(cases=[case(1, id=name, prompt_id="p") for name in ids]))
    assert {"test_x[p-calm]", "test_x[p-angry]"} <= set(lines)


def test_what_was_asserted_to_diverge_and_does_is_not_told_as_a_failure() -> None:
    meant = group("meant", direction="diverges", passed=True)
    against = group("against", direction="diverges", verdict="converged", settled=False)
    lines = written(run(groups=[meant, against, group("plain")]))
    assert any(line.startswith("meant") and line.endswith("  diverged (ok)") for line in lines)
    assert any(line.startswith("against") and line.endswith("converged* (!)") for line in lines)
    assert any(line.startswith("plain") and line.endswith("  diverged") for line in lines)
    assert "asserted to diverge: (ok) it does, (!) it does not" in lines
    assert lines[-1] == (
        "convergence: 3 groups: 1 converged (asserted to diverge), 1 diverged, "
        "1 diverged (as asserted)"
    )


def test_what_is_only_reported_stands_after_what_was_judged() -> None:
    entries = [
        case(1, value=None, verdict=None, passed=True),
        case(2, passed=True, verdict="converged"),
        case(3),
    ]
    order = [entry["prompt_id"] for entry in worst_first(entries)]
    assert order == ["prompt-3", "prompt-2", "prompt-1"]


def lacking(*reasons: str, kind: str = "error", model: str = "a") -> list[dict[str, Any]]:
    return [
        {"model": model, "prompt_id": "p", "sample": i, "kind": kind, "reason": reason}
        for i, reason in enumerate(reasons)
    ]


def test_the_reasons_why_responses_are_missing_stand_below_the_model() -> None:
    missing = [*lacking(*["HTTP 401 bad key"] * 5, *["timed out"] * 3)]
    found = run(
        groups=[group("x", cases=["one", "two"], missing=missing)],
        # The case's own test tells of the same responses once more.
        cases=[case(1, id="one", missing=missing[:4]), case(2, id="two~2", missing=missing[4:])],
    )
    found["models"][0]["missing"] = {"error": 8}
    lines = written(found)
    row = lines.index("  a: 8 error of 9")
    assert lines[row + 1] == "      5 x HTTP 401 bad key; 3 x timed out"


def test_reasons_that_differ_in_an_id_are_one_and_the_rest_is_counted() -> None:
    reasons = [f"HTTP 500 broken (request req-{i}f00ba41c)" for i in range(4)]
    reasons += ["one", "two", "three", "four"] * 2
    found = run(groups=[group("x", cases=["one"], missing=lacking(*reasons))])
    found["models"][0]["missing"] = {"error": 12}
    shown = next(line for line in written(found, width=120) if "4 x HTTP 500" in line)
    assert shown.endswith("; 2 more")
    assert "HTTP 500 broken (request req-0" in shown
    whole = [line.lstrip() for line in written(found, verbose=2)]
    assert sum(line.startswith(("2 x ", "4 x ")) for line in whole) == 5


def test_what_no_labeller_could_read_is_missing_with_its_reason() -> None:
    missing = lacking("the labeller found no label", kind="unlabelled", model="b")
    lines = written(run(groups=[group("x", cases=["one"], missing=missing)]))
    assert (
        lines[lines.index("  b: 1 unlabelled of 9") + 1] == "      1 x the labeller found no label"
    )


def test_a_reason_is_hostile_text() -> None:
    reason = "HTTP 500 \x1b[2J\nforged line" + "宽" * 200
    found = run(groups=[group("x", cases=["one"], missing=lacking(reason))])
    found["models"][0]["missing"] = {"error": 1}
    for verbose in (0, 2):
        lines = written(found, verbose=verbose)
        assert "\x1b" not in "".join(lines)
        assert any("1 x HTTP 500 \\x1b[2J\\x0aforged" in line for line in lines)
    assert max(map(seen_width, written(found)[:-1])) <= 80


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"verdict": "converged", "gate": {"status": "regressed"}}, "regressed"),
        ({"verdict": None, "gate": {"status": "stale"}}, "stale"),
        ({"verdict": None, "gate": {"status": "new"}}, "new"),
        (
            {"verdict": "diverged", "direction": "diverges", "gate": {"status": "regressed"}},
            "regressed",
        ),
        ({"verdict": "diverged", "gate": {"status": "regressed"}}, "diverged"),
        ({"verdict": "inconclusive", "gate": {"status": "regressed"}}, "inconclusive"),
        ({"verdict": "converged", "passed": True, "gate": {"status": "improved"}}, "converged"),
        ({"verdict": None, "swap": {"verdict": "not equivalent"}}, "not equivalent"),
    ],
)
def test_a_table_tells_what_alone_made_a_group_fail(fields: dict[str, Any], shown: str) -> None:
    good = group("good", verdict="converged", passed=True)
    rows = list(table_rows("group", [group("bad", **fields), good], 80, UNICODE, whole=False))
    assert rows[1].verdict == shown
    assert rows[1].colour == ("green" if fields.get("passed") else rows[1].colour)
    if not fields.get("passed") and shown != "inconclusive":
        assert rows[1].colour == "red"
    assert len(rows[1].text) + len(shown) <= 80
    assert [one["id"] for one in worst_first([good, group("bad", **fields)])][-1] == good["id"] or (
        fields.get("passed")
    )


def test_the_command_for_the_models_that_answered_names_them_as_the_panel_did() -> None:
    found = run(groups=[group("x")])
    found["models"][0]["missing"] = {"error": 9}
    terminal = Reporter(80)
    panel = ["a", "b@http://localhost:8000/v1?x=1&y=2", "c"]
    write_summary(terminal, found, verbose=0, panel=panel)
    wanted = "  '--convergence-models=b@http://localhost:8000/v1?x=1&y=2,c'"
    assert wanted in terminal.lines()
    assert "  --convergence-models=b,c" in written(found)
    found["models"][1]["missing"] = {"error": 9}
    assert not any("--convergence-models" in line for line in written(found))
