from __future__ import annotations

import base64
import gzip
import hashlib
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from pytest_convergence.errors import ConvergenceError
from pytest_convergence.report.html import build_page, write_page
from pytest_convergence.report.html.families import model_families
from pytest_convergence.report.html.view import case_texts, overview
from pytest_convergence.report.summary import failed, sentence, wrong_together

SOURCE = Path(__file__).parents[2] / "src/pytest_convergence/report/html"
ATTACK = "</script><script>alert(1)</script><!-- @@cases@@ \u202e\ud800"


def case(name: str, *texts: str, **fields: Any) -> dict[str, Any]:
    said = [{"text": text, "finish": "stop"} for text in texts]
    return {
        "id": f"e.py::test_x[{name}]",
        "nodeid": f"e.py::test_x[{name}]",
        "prompt_id": name,
        "prompt": f"what is {name}?",
        "family": name,
        "responses": {"a": said, "b": said},
        **fields,
    }


def judged(name: str, value: float, **fields: Any) -> dict[str, Any]:
    verdict = {"quantity": "similarity", "value": value, "interval": None, "threshold": 0.5}
    passed = value >= 0.5
    word = "converged" if passed else "diverged"
    told = {"direction": "converges", "verdict": word, "passed": passed, "settled": True}
    rest = {"reason": "", "metric": "label", "samples": 1, "within": None, "missing": []}
    return case(name, "yes", **{**verdict, **told, **rest, **fields})


def group(**fields: Any) -> dict[str, Any]:
    shared = {"id": "e.py::test_x[group]", "nodeid": "e.py::test_x[group]", "capability": "facts"}
    numbers = {"value": 0.5, "interval": None, "threshold": 0.4, "floor": 0.1, "ceiling": 0.9}
    verdict = {"quantity": "score", "verdict": "converged", "direction": "converges"}
    state = {"passed": True, "settled": True, "reason": "", "arm": "", "missing": [], "cases": []}
    return {**shared, **numbers, **verdict, **state, "metric": "label", "samples": 1, **fields}


def run(**parts: Any) -> dict[str, Any]:
    models: list[dict[str, Any]] = [
        {"name": name, "simulated": False, "responses": 1, "missing": {}, "served": {}, "usage": {}}
        for name in ("a", "b")
    ]
    return {
        "schema": "pytest-convergence/run",
        "version": 1,
        "created": "2026-11-21T10:00:00+00:00",
        "command": ["evals/"],
        "settings": {},
        "models": models,
        "cases": [],
        "groups": [],
        "problems": [],
        "extra": {},
        **parts,
    }


def unpacked(page: str, identity: str) -> Any:
    found = re.search(rf'id="{identity}">([A-Za-z0-9+/=]*)</script>', page)
    assert found, identity
    return json.loads(gzip.decompress(base64.b64decode(found[1])))


def test_the_policy_names_every_script_and_style_of_the_page_by_hash_and_nothing_else() -> None:
    page = build_page(run(cases=[case("x", "yes")]))
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in policy[1]
    for tag in ("script", "style"):
        for text in re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL):
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in rules[f"{tag}-src"]
    assert rules["script-src"].count("sha256-") == 2


def test_the_page_asks_for_nothing() -> None:
    page = build_page(run(cases=[case("x", "yes")]))
    markup = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"\b(src|href)=[\"'](?!#)", markup)
    assert not re.search(r"@import|url\(", markup)


def test_what_a_model_says_is_nowhere_in_the_markup_and_whole_in_its_chunk() -> None:
    found = run(cases=[case(ATTACK, ATTACK)], groups=[group(capability=ATTACK)], command=[ATTACK])
    page = build_page(found)
    assert "alert(1)" not in page.replace("&lt;script&gt;alert(1)", "")
    assert page.count("</script>") == page.count("<script") == 4
    assert unpacked(page, "case-0")["responses"][0]["said"][0]["text"] == ATTACK


def test_the_same_run_makes_the_same_page() -> None:
    found = run(cases=[case("x", "yes")], groups=[group()])
    assert build_page(found) == build_page(json.loads(json.dumps(found)))


def test_a_viewer_without_scripts_sees_the_verdicts() -> None:
    page = build_page(run(groups=[group(capability="<b>bold</b>", value=0.123)]))
    plain = page.split("<noscript>")[1].split("</noscript>")[0]
    assert "&lt;b&gt;bold&lt;/b&gt;" in plain
    assert "converged" in plain
    assert "0.12" in plain


def test_the_bundled_library_is_the_one_recorded_with_its_licences() -> None:
    about = json.loads((SOURCE / "vendor/vendor.json").read_text())
    script = (SOURCE / "vendor/vendor.min.js").read_bytes()
    assert hashlib.sha256(script).hexdigest() == about["sha256"]
    banner = script.decode().split("*/", 1)[0]
    for package in about["packages"]:
        assert package["license"] in ("ISC", "BSD-3-Clause", "MIT", "Apache-2.0")
        assert f"{package['name']} {package['version']} ({package['license']})" in banner
    lock = json.loads((SOURCE.parents[3] / "scripts/report_vendor/package-lock.json").read_text())
    for package in about["packages"]:
        locked = lock["packages"][f"node_modules/{package['name']}"]
        assert locked["version"] == package["version"]


def test_a_large_study_stays_under_the_size_that_browsers_like(tmp_path: Path) -> None:
    """A tenth of 15 models x 750 prompts x 5 samples, in a tenth of 25 MB.

    Two in five words of an answer are its own, drawn as words are, few of them often.
    """
    rng = random.Random(0)
    letters = "etaoinshrdlucmfwygpbvk"
    words = ["".join(rng.choices(letters, k=rng.randint(1, 11))) for _ in range(4000)]
    weights = [1 / (rank + 3) for rank in range(len(words))]
    cases = []
    for prompt in range(75):
        base = rng.choices(words, weights, k=120)
        drawn = iter(rng.choices(words, weights, k=75 * 120))
        said = {
            f"model-{model}": [
                {
                    "text": " ".join(next(drawn) if rng.random() < 0.4 else word for word in base),
                    "finish": "stop",
                }
                for _ in range(5)
            ]
            for model in range(15)
        }
        cases.append({**judged(f"p{prompt}", 0.4), "responses": said})
    path = tmp_path / "report.html"
    write_page(run(cases=cases), path)
    assert path.stat().st_size < 2_500_000


def test_a_page_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConvergenceError, match="cannot be written"):
        write_page(run(), tmp_path / "file" / "report.html")


def test_groups_and_cases_come_worst_first() -> None:
    worse = group(id="e.py::test_y[group]", nodeid="e.py::test_y[group]", value=0.1, passed=False)
    found = run(groups=[group(), worse], cases=[judged("good", 0.9), judged("bad", 0.1)])
    view = overview(found)
    assert [one["id"] for one in view["groups"]] == [worse["id"], group()["id"]]
    assert [(one["prompt_id"], one["rank"]) for one in view["cases"]] == [("good", 1), ("bad", 0)]


def test_each_case_knows_its_groups_and_each_group_its_prompts_by_name() -> None:
    cases = [judged("one", 0.9), judged("two", 0.2)]
    owner = group(
        cases=[one["id"] for one in cases],
        prompts=["two", "one"],
        by_prompt=[0.2, 0.9],
        leverage=[-0.1, 0.1],
    )
    view = overview(run(groups=[owner], cases=cases))
    assert view["groups"][0]["prompts"] == [
        {"case": 0, "similarity": 0.9, "leverage": 0.1},
        {"case": 1, "similarity": 0.2, "leverage": -0.1},
    ]
    assert [one["groups"] for one in view["cases"]] == [[0], [0]]


def test_missing_responses_are_counted_by_model_and_kind() -> None:
    lack = [
        {"model": "a", "prompt_id": "x", "sample": n, "kind": kind, "reason": f"{kind} {n}"}
        for n, kind in enumerate(["error", "error", "empty"])
    ]
    [shown] = overview(run(groups=[group(missing=lack)]))["groups"]
    assert [(one["kind"], one["count"]) for one in shown["missing"]] == [("error", 2), ("empty", 1)]


def test_the_overview_holds_no_response() -> None:
    found = run(cases=[case("x", "a secret answer")])
    assert "a secret answer" not in json.dumps(overview(found))
    assert "a secret answer" in json.dumps(case_texts(found["cases"][0]))


REGRESSED = {"status": "regressed", "failed": True}


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({}, "Nothing was judged."),
        ({"groups": [group()]}, "1 group is as asserted."),
        (
            {"groups": [group(), group(verdict=None)], "cases": [judged("x", 0.9)] * 2},
            "1 group and 2 cases are as asserted.",
        ),
        (
            {"cases": [judged("x", 0.1), judged("y", 0.2), judged("z", 0.9)]},
            "2 of 3 cases are not as asserted.",
        ),
        (
            {
                "groups": [group(passed=False, verdict="undefined")],
                "cases": [judged("x", 0.9)],
                "checks": [{"passed": False, "verdict": "missed"}] * 2,
            },
            "1 of 1 group and 2 of 2 checks are not as asserted.",
        ),
        ({"groups": [group(passed=False)]}, "1 of 1 group is not as asserted."),
        ({"groups": [group(verdict=None)]}, "1 group reported, nothing asserted."),
        (
            {"groups": [group(passed=False, gate=REGRESSED), group()]},
            "Against the baseline 1 regressed (of 1); 2 groups are as asserted.",
        ),
        (
            {
                "groups": [group(passed=False, verdict="diverged", gate=REGRESSED)],
                "checks": [
                    {"passed": False, "verdict": None, "direction": "at_least", "gate": REGRESSED}
                ],
            },
            "Against the baseline 2 regressed (of 2); 1 of 1 group is not as asserted.",
        ),
    ],
)
def test_a_run_in_one_sentence(parts: dict[str, Any], told: str) -> None:
    assert sentence(run(**parts)) == told


def test_the_sentence_names_simulated_models() -> None:
    found = run(groups=[group()])
    found["models"][0]["simulated"] = True
    assert sentence(found) == "1 group is as asserted (1 model simulated)."


def test_a_run_fails_by_its_gate_and_its_problems_too() -> None:
    assert not failed(run(groups=[group()]))
    assert failed(run(groups=[group(gate={"status": "regressed", "failed": True})]))
    assert not failed(run(groups=[group(gate={"status": "new"})]))
    assert failed(run(problems=["3 collected tests never reported"]))


@pytest.mark.parametrize(
    ("right", "verdict", "found"),
    [
        ([False, False, True], "converged", True),
        ([False, True], "converged", False),
        ([True, True], "converged", False),
        ([False, False], "diverged", False),
        ([], "converged", False),
    ],
)
def test_converged_and_wrong_is_found(right: list[bool], verdict: str, found: bool) -> None:
    said = [{"text": "x", "finish": "stop", "correct": one} for one in right]
    assert wrong_together({"verdict": verdict, "responses": {"a": said}}) is found


def pairs(*rows: list[float | None]) -> dict[str, Any]:
    return {"score": [list(row) for row in rows], "similarity": [[1.0] * len(rows)] * len(rows)}


def test_the_heat_map_is_ordered_by_who_goes_together_and_names_who_stands_apart() -> None:
    table = pairs([None, 0.1, 0.9], [0.1, None, 0.2], [0.9, 0.2, None])
    tree = model_families(group(present=["x", "y", "z"], pairs=table))
    assert tree is not None
    assert tree["measure"] == "score"
    assert tree["cutoff"] == 0.4
    position = tree["order"].index
    assert abs(position(0) - position(2)) == 1
    assert tree["outlier"]["model"] == 1
    assert tree["outlier"]["gap"] == pytest.approx(0.35)
    assert [merge[2] for merge in tree["merges"]] == pytest.approx([0.9, 0.15])


def test_scores_that_pass_one_by_chance_still_make_a_tree() -> None:
    table = pairs([None, 1.02, 0.9], [1.02, None, 0.9], [0.9, 0.9, None])
    tree = model_families(group(present=["x", "y", "z"], pairs=table))
    assert tree is not None
    assert tree["merges"][0][2] == 1.0


def test_without_scores_similarity_orders_the_models_at_a_mark_of_its_own() -> None:
    table = pairs([None, None], [None, None])
    tree = model_families(group(present=["x", "y"], pairs=table))
    assert tree is not None
    assert (tree["measure"], tree["cutoff"], tree["outlier"]) == ("similarity", 0.8, None)


def test_a_group_without_pairs_has_no_tree() -> None:
    assert model_families(group()) is None
