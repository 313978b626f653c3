from __future__ import annotations

import base64
import json
import time
from urllib.parse import quote

import pytest

from pytest_convergence.models.wire import WireRequest, WireResponse, canonical_json
from pytest_convergence.scrubbing import SCRUBBED, Scrubber
from tests.recording_parts import request

KEY = "my/odd key+with=signs"
KNOWING = Scrubber.of([KEY])


def body_of(value: object, scrubber: Scrubber = Scrubber()) -> object:  # noqa: B008
    return json.loads(scrubber.response(WireResponse(200, {}, json.dumps(value))).body)


@pytest.mark.parametrize(
    "spelling",
    [
        KEY,
        KEY.upper(),
        quote(KEY),
        quote(KEY, safe=""),
        quote(KEY, safe="").lower(),
        base64.b64encode(KEY.encode()).decode(),
    ],
)
def test_a_known_key_goes_however_it_is_spelled(spelling: str) -> None:
    assert KNOWING.text(f"<{spelling}>").startswith(f"<{SCRUBBED}")
    assert "odd" not in KNOWING.text(spelling)


def test_a_known_key_goes_from_json_that_escapes_it() -> None:
    scrubber = Scrubber.of(['quote"back\\slash'])
    nested = json.dumps({"detail": json.dumps({"key": 'quote"back\\slash'})})
    assert "slash" not in scrubber.text(nested)
    assert json.loads(json.loads(scrubber.text(nested))["detail"]) == {"key": SCRUBBED}


def test_a_placeholder_that_is_no_key_changes_no_answer() -> None:
    assert Scrubber.of(["EMPTY", "none", None, ""]).text("EMPTY is none") == "EMPTY is none"


@pytest.mark.parametrize(
    "key",
    [
        "sk-proj-abcDEF1234567890abcdef",
        "sk-ant-api03-abcDEF1234567890_-abcdef",
        "sk-or-v1-0123456789abcdef0123456789abcdef",
        "sk-abcd********************wxyz",
        "AIzaSyA1234567890abcdefghijklmnopqrstuv",
        "gsk_abcdef1234567890ABCDEF",
        "hf_abcdef1234567890ABCDEF",
        "xai-abcdef1234567890ABCDEF",
        "org-abcdef1234567890ABCDEFgh",
        "proj_abcdef1234567890ABCDEFgh",
        "user-abcdef1234567890ABCDEFgh",
        "ghp_abcdef1234567890ABCDEFghijklmn",
        "AKIAABCDEFGHIJKLMNOP",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijk-_",
    ],
)
@pytest.mark.parametrize(
    "around", ["{}", "Incorrect API key provided: {}.", '"{}"', "a\n{}", "({})"]
)
def test_what_has_the_shape_of_a_key_goes(key: str, around: str) -> None:
    written = json.dumps(around.format(key))
    scrubbed = Scrubber().text(written)
    assert key not in scrubbed
    assert json.loads(scrubbed) == around.format(SCRUBBED)


def test_a_bearer_token_of_any_shape_goes() -> None:
    assert Scrubber().text("Bearer abcdefgh12345678abcdefgh==") == f"Bearer {SCRUBBED}"


@pytest.mark.parametrize(
    "prose",
    [
        "sk-learn is a library; the user-friendly key-value store-of-things",
        "sk-learn-compatible-estimators-are-good",
        "user-generated-content-is-important",
        "org-mode-configuration-for-beginners",
        "The bearer of this letter, Bearer of bad news and internationalisation",
        "key-management-considerations",
        "asterisks **** and sk- alone",
        "fw-1 and hf_x and tgp-2",
    ],
)
def test_prose_that_resembles_a_key_stays(prose: str) -> None:
    assert Scrubber().text(prose) == prose


def test_headers_that_are_not_listed_are_dropped() -> None:
    headers = {
        "Content-Type": "application/json",
        "Date": "Fri, 20 Nov 2026 12:00:00 GMT",
        "Set-Cookie": "session=1",
        "OpenAI-Organization": "acme",
        "Authorization": "Bearer x",
        "X-Invented-Tomorrow": "acme",
    }
    assert Scrubber().headers(headers) == {
        "content-type": "application/json",
        "date": "Fri, 20 Nov 2026 12:00:00 GMT",
    }


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://h/v1?key=abc", "https://h/v1?key=scrubbed"),
        ("https://h/v1?api-version=2024-10-21", "https://h/v1?api-version=2024-10-21"),
        ("https://me:pass@h:8/v1", "https://h:8/v1"),
        ("https://h/v1#abc", "https://h/v1"),
        ("https://h/v1?alt=sse&token=&x=1", "https://h/v1?alt=sse&token=scrubbed&x=scrubbed"),
        ("callable://agent@2/v?x=1", "callable://agent@2/v?x=1"),
        (f"https://h/{quote(KEY, safe='')}/v1", "https://h/scrubbed/v1"),
        ("https://[no address/v1?key=abc", "https://[no address/v1"),
        (f"https://h/v1?model={quote(KEY)}", "https://h/v1?model=scrubbed"),
    ],
)
def test_a_url_keeps_the_parameters_that_are_listed_and_no_password(url: str, kept: str) -> None:
    assert KNOWING.request(WireRequest("POST", url, "{}")).url == kept


def test_fields_that_name_a_person_or_an_account_go() -> None:
    body = {
        "user": "ann",
        "metadata": {"user_id": "ann"},
        "safety_identifier": "ann",
        "messages": [{"role": "user", "content": 'say "user": please'}],
        "extra": {"organization": "acme", "api_key": "x", "account_id": 1234},
    }
    scrubbed = Scrubber().request(WireRequest("POST", "https://h", canonical_json(body)))
    assert scrubbed.body == canonical_json(
        {
            "messages": body["messages"],
            "extra": {"organization": SCRUBBED, "api_key": SCRUBBED, "account_id": SCRUBBED},
        }
    )


def test_a_body_without_secrets_stays_as_it_was_to_the_letter() -> None:
    body = '{ "b": 1.0, "a": [1e5, 1.10],  "b": 2 }'
    assert Scrubber().response(WireResponse(200, {}, body)).body == body
    same = request("Why?")
    assert Scrubber().request(same) is same


def test_a_tools_schema_may_have_fields_of_any_name() -> None:
    tools = [{"parameters": {"properties": {"password": {"type": "string"}, "user": {}}}}]
    assert body_of({"tools": tools}) == {"tools": tools}


def test_what_a_model_said_about_fields_stays() -> None:
    said = 'Send {"user_id": "ann", "organization": "acme"} as JSON.'
    assert body_of({"content": said}) == {"content": said}


def test_a_reason_that_a_router_gives_in_metadata_stays() -> None:
    body = {"error": {"message": "bad", "metadata": {"raw": "overloaded"}}, "user_id": "org_1"}
    assert body_of(body) == body | {"user_id": SCRUBBED}


def test_lone_surrogates_are_written_as_escapes_that_json_reads_the_same() -> None:
    body = '{"content": "half \ud83d, whole \U0001f600"}'
    kept = Scrubber().response(WireResponse(200, {}, body)).body
    assert json.loads(kept.encode("utf-8")) == json.loads(body)


@pytest.mark.parametrize(
    "body", ['{"user": ' + "[" * 5000, '{"user": 1, "a": ' + "[" * 5000 + "]" * 5000 + "}"]
)
def test_a_body_that_cannot_be_parsed_is_kept(body: str) -> None:
    assert Scrubber().response(WireResponse(200, {}, body)).body == body


@pytest.mark.parametrize(
    "piece", ["sk-", "eyJ-", '"user_id":"', "Bearer ", "org-1", '"user":', "key-*", "eyJa.a."]
)
def test_no_text_takes_more_than_linear_time(piece: str) -> None:
    def seconds(length: int) -> float:
        text = piece * (length // len(piece))
        took = []
        for _ in range(3):
            start = time.process_time()
            Scrubber.of([KEY]).response(WireResponse(200, {}, text))
            took.append(time.process_time() - start)
        return min(took)

    seconds(1000)
    assert seconds(200_000) < 20 * max(seconds(40_000), 0.005)


@pytest.mark.parametrize(
    "url", ["https://{}.h/v1?alt=sse", "https://h/{}?alt=sse", "https://{}@h/v1?key={}"]
)
def test_scrubbing_twice_changes_nothing_more(url: str) -> None:
    once = KNOWING.request(
        request(f"tell me {KEY}", url=url.replace("{}", quote(KEY, safe="")), user="ann")
    )
    assert KNOWING.request(once) == once
    assert "odd" not in f"{once}"


def test_known_keys_are_not_shown() -> None:
    assert KEY not in repr(KNOWING)
