from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import vcr
from vcr.serialize import deserialize
from vcr.serializers import jsonserializer

from pytest_convergence.cassettes import Cassette, Recorded, order, write
from pytest_convergence.errors import CassetteError
from pytest_convergence.models.wire import WireRequest, WireResponse
from pytest_convergence.scrubbing import Scrubber
from tests.recording_parts import NOON, counting_server, recorded, request

STUDY = [
    recorded(prompt, sample, f"{prompt} {sample}")
    for prompt in ("b", "a", "c")
    for sample in (2, 0, 1)
]


def test_what_was_written_is_read_sorted_by_prompt_and_sample(tmp_path: Path) -> None:
    write(tmp_path / "m.json", STUDY)
    read = Cassette.load(tmp_path / "m.json")
    assert list(read.recordeds) == sorted(STUDY, key=order)
    assert [(one.prompt_id, one.sample) for one in read.recordeds[:4]] == [
        ("a", 0),
        ("a", 1),
        ("a", 2),
        ("b", 0),
    ]


def test_the_file_does_not_depend_on_the_order_of_recording(tmp_path: Path) -> None:
    write(tmp_path / "one.json", STUDY)
    write(tmp_path / "other.json", reversed(STUDY))
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "other.json").read_bytes()


def test_the_file_is_vcrpys_format_and_ends_in_a_line_feed(tmp_path: Path) -> None:
    write(tmp_path / "m.json", STUDY)
    text = (tmp_path / "m.json").read_text("ascii")
    requests, responses = deserialize(text, jsonserializer)
    assert text.endswith("}\n")
    assert json.loads(text)["version"] == 1
    assert [one.headers["x-convergence-sample"] for one in requests] == ["0", "1", "2"] * 3
    assert [one["status"] for one in responses] == [{"code": 200, "message": "OK"}] * 9


def test_a_recording_is_found_by_request_and_sample_whatever_its_prompt_id(tmp_path: Path) -> None:
    cassette = Cassette.of(tmp_path / "m.json", STUDY)
    found = cassette.find(request("a"), 2)
    assert found is not None
    assert json.loads(found.response.body)["choices"][0]["message"]["content"] == "a 2"
    assert cassette.find(request("a"), 3) is None
    assert cassette.find(request("a", temperature=0.5), 2) is None
    assert sorted(cassette.samples(request("b"))) == [0, 1, 2]
    assert list(dict.fromkeys(one.request for one in cassette.recordeds)) == [
        request("b"),
        request("a"),
        request("c"),
    ]


def test_lone_surrogates_and_everything_else_a_model_can_say_survive(tmp_path: Path) -> None:
    body = 'half an emoji: \ud83d, \x00, \x1b[2J, "quotes", \u2028, \U0001f600'
    odd = Recorded(request(), 0, "why \udc80", WireResponse(299, {"date": "\xe9"}, body), NOON)
    write(tmp_path / "m.json", [odd])
    assert Cassette.load(tmp_path / "m.json").recordeds == (odd,)


def test_stock_vcrpy_replays_a_file_in_its_order_at_default_matching(tmp_path: Path) -> None:
    url = "http://127.0.0.1:9/v1/chat/completions"  # nothing listens there
    kept = [
        Recorded(request(one.prompt_id, url=url), one.sample, one.prompt_id, one.response, NOON)
        for one in STUDY
    ]
    write(tmp_path / "m.json", kept)
    stock = vcr.VCR(serializer="json", record_mode="none")
    with stock.use_cassette(str(tmp_path / "m.json")) as cassette, httpx.Client() as client:
        replayed = [client.post(url, content=request("a").body).json() for _ in kept]
        assert cassette.all_played
    said = [one["choices"][0]["message"]["content"] for one in replayed]
    assert said == [f"{prompt} {sample}" for prompt in "abc" for sample in range(3)]


def test_stock_vcrpy_replays_the_right_prompt_when_it_matches_the_body(tmp_path: Path) -> None:
    url = "http://127.0.0.1:9/v1/chat/completions"
    kept = [
        Recorded(request(one.prompt_id, url=url), one.sample, one.prompt_id, one.response, NOON)
        for one in STUDY
    ]
    write(tmp_path / "m.json", kept)
    stock = vcr.VCR(serializer="json", record_mode="none", match_on=["method", "uri", "body"])
    with stock.use_cassette(str(tmp_path / "m.json")), httpx.Client() as client:
        body = json.loads(request("c").body)
        said = [client.post(url, json=body).json() for _ in range(3)]
    assert [one["choices"][0]["message"]["content"] for one in said] == ["c 0", "c 1", "c 2"]


def record_with_stock_vcrpy(path: Path, prompts: list[str]) -> str:
    stock = vcr.VCR(serializer="json", record_mode="new_episodes", match_on=["body", "nothing"])
    stock.register_matcher("nothing", lambda one, other: False)
    with (
        counting_server() as url,
        stock.use_cassette(str(path)),
        httpx.Client(headers={"authorization": "Bearer sk-planted0planted0planted0"}) as client,
    ):
        for prompt in prompts:
            message = {"role": "user", "content": prompt}
            client.post(f"{url}?key=planted", json={"messages": [message]})
    return url


def test_a_file_of_stock_vcrpy_loads_with_samples_numbered_by_order(tmp_path: Path) -> None:
    url = record_with_stock_vcrpy(tmp_path / "m.json", ["a", "b", "a"])
    cassette = Cassette.load(tmp_path / "m.json", scrubber=Scrubber())
    asked = request("a", url=f"{url}?key=scrubbed")
    said = [json.loads(one.response.body) for one in cassette.samples(asked).values()]
    assert [one["choices"][0]["message"]["content"] for one in said] == ["a 1", "a 3"]
    assert [one.sample for one in cassette.recordeds] == [0, 0, 1]


def test_a_file_of_stock_vcrpy_loses_its_secrets_when_it_is_written_anew(tmp_path: Path) -> None:
    record_with_stock_vcrpy(tmp_path / "m.json", ["a"])
    assert "planted" in (tmp_path / "m.json").read_text()
    cassette = Cassette.load(tmp_path / "m.json", scrubber=Scrubber())
    write(tmp_path / "m.json", cassette.recordeds)
    assert "planted" not in (tmp_path / "m.json").read_text()


def test_what_stock_vcrpy_added_to_our_file_follows_our_samples(tmp_path: Path) -> None:
    write(tmp_path / "m.json", [recorded("a", 0, "ours"), recorded("a", 1, "ours")])
    data = json.loads((tmp_path / "m.json").read_text())
    added = json.loads(json.dumps(data["interactions"][0]))
    added["request"]["headers"] = {"content-type": ["application/json"]}
    added["request"]["body"] = json.dumps(json.loads(added["request"]["body"]), indent=2)
    data["interactions"].append(added)
    (tmp_path / "m.json").write_text(json.dumps(data))
    assert sorted(Cassette.load(tmp_path / "m.json").samples(request("a"))) == [0, 1, 2]
    ours = json.loads(json.dumps(data["interactions"][0]))
    ours["request"]["headers"]["x-convergence-sample"] = ["7"]
    data["interactions"] += [ours, added]
    (tmp_path / "m.json").write_text(json.dumps(data))
    assert sorted(Cassette.load(tmp_path / "m.json").samples(request("a"))) == [0, 1, 2, 7, 8]


@pytest.mark.parametrize("name", ["x-convergence-prompt", "x-convergence-recorded"])
def test_a_header_that_our_files_need_is_named(tmp_path: Path, name: str) -> None:
    write(tmp_path / "m.json", [recorded("a", 0, "ours")])
    data = json.loads((tmp_path / "m.json").read_text())
    del data["interactions"][0]["request"]["headers"][name]
    (tmp_path / "m.json").write_text(json.dumps(data))
    with pytest.raises(CassetteError, match=f"interaction 1 of 1 is not complete.*{name}"):
        Cassette.load(tmp_path / "m.json")


def test_a_sample_without_a_number_is_no_file_of_stock_vcrpy(tmp_path: Path) -> None:
    write(tmp_path / "m.json", [recorded("a", 0, "ours")])
    data = json.loads((tmp_path / "m.json").read_text())
    data["interactions"][0]["request"]["headers"]["x-convergence-sample"] = None
    (tmp_path / "m.json").write_text(json.dumps(data))
    with pytest.raises(CassetteError, match="interaction 1 of 1 is not complete"):
        Cassette.load(tmp_path / "m.json")


def test_reading_imports_neither_vcrpy_nor_httpx_nor_asyncio(tmp_path: Path) -> None:
    write(tmp_path / "m.json", STUDY)
    code = (
        "import sys; from pathlib import Path\n"
        "from pytest_convergence.recordings import Recordings\n"
        "from pytest_convergence.cassettes import Cassette\n"
        "assert len(Cassette.load(Path(sys.argv[1]))) == 9\n"
        "heavy = {'vcr', 'httpx', 'asyncio', 'yaml', 'filelock', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "m.json")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_equal_requests_of_a_file_share_their_memory(tmp_path: Path) -> None:
    write(tmp_path / "m.json", STUDY)
    read = Cassette.load(tmp_path / "m.json").recordeds
    assert read[0].request is read[1].request is read[2].request


def test_a_request_without_a_body_is_found_again(tmp_path: Path) -> None:
    empty = Recorded(WireRequest("GET", "https://h/", ""), 0, "", WireResponse(200, {}, ""), "")
    write(tmp_path / "m.json", [empty])
    assert Cassette.load(tmp_path / "m.json").samples(empty.request)[0] == empty
