from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from pytest_convergence import recordings as kept
from pytest_convergence.errors import CassetteError, SamplingError
from pytest_convergence.models.decoding import Decoding
from pytest_convergence.sampling.sampler import Sampler
from pytest_convergence.sampling.settings import SamplingSettings
from tests.sampling_parts import model, plan, recording, recordings, replaying, texts, unit
from tests.servers import Asked, ChatServer, Reply, error


def test_what_is_sampled_once_is_replayed_for_ever(tmp_path: Path) -> None:
    with ChatServer().running() as server:
        units = plan(server.url, models=3, prompts=8, samples=3)
        with recording(tmp_path) as sampler:
            sampler.start(units)
            live = texts(sampler, units)
            report = sampler.close()
        assert len(server.asked) == 3 * 8 * 3
        assert texts(replaying(tmp_path), units) == live
        assert len({text for unit in live for text in unit}) == 72
        assert (report.total.calls, report.total.answers) == (72, 72)
        assert (report.total.input_tokens, report.total.output_tokens) == (720, 360)


def test_a_test_that_makes_up_its_prompts_samples_them_too(tmp_path: Path) -> None:
    with ChatServer().running() as server, recording(tmp_path) as sampler:
        asked = unit(model(server.url), "made up", samples=4)
        assert len(sampler.responses(asked)) == 4
        assert len(server.asked) == 4


def test_made_up_prompts_in_a_planned_cassette_are_sampled(tmp_path: Path) -> None:
    with ChatServer().running() as server, recording(tmp_path) as sampler:
        units = plan(server.url, models=1)
        sampler.start(units)
        made_up = unit(units[0].model, "made up", samples=2)
        assert len(texts(sampler, [units[0], made_up, *units])) == 7


def test_raising_n_samples_the_difference_and_lowering_it_none(tmp_path: Path) -> None:
    with ChatServer().running() as server:
        few, more = (plan(server.url, samples=samples) for samples in (2, 5))
        with recording(tmp_path) as sampler:
            before = texts(sampler, few)
        with recording(tmp_path) as sampler:
            sampler.start(more)
            after = texts(sampler, more)
        assert [answers[:2] for answers in after] == before
        assert len(server.asked) == len(more) * 5
        with recording(tmp_path) as sampler:
            sampler.start(few)
            assert texts(sampler, few) == before
        assert len(server.asked) == len(more) * 5


def test_adding_a_model_samples_that_model_only(tmp_path: Path) -> None:
    with ChatServer().running() as server:
        for models in (2, 3):
            with recording(tmp_path) as sampler:
                units = plan(server.url, models=models)
                sampler.start(units)
                texts(sampler, units)
        assert [asked.model for asked in server.asked[20:]] == ["m2"] * 10


def test_replaying_a_unit_that_is_not_recorded_is_an_error(tmp_path: Path) -> None:
    asked = unit(model("http://127.0.0.1:1/v1"))
    with pytest.raises(CassetteError, match="q0"):
        replaying(tmp_path).responses(asked)


def test_replaying_imports_neither_asyncio_nor_httpx(tmp_path: Path) -> None:
    with ChatServer().running() as server:
        units = plan(server.url, models=1, prompts=1)
        with recording(tmp_path) as sampler:
            texts(sampler, units)
    code = f"""
import sys
from pathlib import Path
from tests.sampling_parts import plan, replaying, texts
sampler = replaying(Path({str(tmp_path)!r}))
units = plan({units[0].model.base_url!r}, models=1, prompts=1)
sampler.start(units)
assert len(texts(sampler, units)[0]) == 2
sampler.close()
print([name for name in ("asyncio", "httpx", "vcr", "tenacity", "filelock") if name in sys.modules])
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_a_sampler_works_within_a_running_event_loop(tmp_path: Path) -> None:
    async def main(sampler: Sampler) -> int:
        return len(sampler.responses(asked))

    with ChatServer().running() as server, recording(tmp_path) as sampler:
        asked = unit(model(server.url), samples=3)
        assert asyncio.run(main(sampler)) == 3


def test_rewriting_asks_again_and_replaces(tmp_path: Path) -> None:
    with ChatServer().running() as server:
        units = plan(server.url)
        with recording(tmp_path) as sampler:
            before = texts(sampler, units)
        with recording(tmp_path, rewrite=True, record="rewrite") as sampler:
            sampler.start(units)
            after = texts(sampler, units)
        assert len(server.asked) == 40
        assert all(one != other for one, other in zip(before, after, strict=True))
        assert texts(replaying(tmp_path), units) == after


def test_how_far_sampling_runs_ahead_of_the_tests_is_bounded(tmp_path: Path) -> None:
    with ChatServer(lambda asked: Reply(after=0.01)).running() as server:
        units = plan(server.url, models=1, prompts=100, samples=1)
        with recording(tmp_path, ahead=10) as sampler:
            sampler.start(units)
            sampler.responses(units[0])
            sampler.responses(units[20])
            for _ in range(20):
                sampler.responses(units[20])
            asyncio.run(asyncio.sleep(0.5))
            assert 11 <= len(server.asked) <= 21


def test_a_final_failure_is_missing_live_and_replayed_and_asked_again_on_demand(
    tmp_path: Path,
) -> None:
    with ChatServer(lambda asked: error(400, "no such thing")).running() as server:
        units = plan(server.url, models=1, prompts=2, samples=1)
        with recording(tmp_path) as sampler:
            sampler.start(units)
            live = [sampler.responses(unit) for unit in units]
        assert len(server.asked) == 2
        missing = live[0][0].missing
        assert missing is not None
        assert missing.kind == "error"
        assert "no such thing" in missing.reason
        assert "test/m0" in missing.reason
        assert "q0" in missing.reason
        assert [replaying(tmp_path).responses(unit) for unit in units] == live
        with recording(tmp_path) as sampler:
            assert [sampler.responses(unit) for unit in units] == live
        assert len(server.asked) == 2
        server.behave = lambda asked: Reply()
        with recording(tmp_path, retry_missing=True) as sampler:
            sampler.start(units)
            assert all(sampler.responses(unit)[0].missing is None for unit in units)
        assert len(server.asked) == 4


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "topped up"])
def test_a_seed_that_is_ignored_shows_in_several_samples(tmp_path: Path, at_once: bool) -> None:
    seeded = Decoding(seed=1)
    with ChatServer().running() as server:  # which answers no two calls alike
        if not at_once:
            with recording(tmp_path) as sampler:
                sampler.responses(unit(model(server.url), decoding=seeded))
                assert sampler.close().total.ignored == []
        with recording(tmp_path) as sampler:
            sampler.responses(unit(model(server.url), samples=2, decoding=seeded))
            sampler.responses(unit(model(server.url), "another", samples=2, decoding=seeded))
            assert sampler.close().total.ignored == ["seed"]


def test_a_seed_that_holds_is_not_reported(tmp_path: Path) -> None:
    with (
        ChatServer(lambda asked: Reply(text="same")).running() as server,
        recording(tmp_path) as sampler,
    ):
        sampler.responses(unit(model(server.url), samples=3, decoding=Decoding(seed=1)))
        assert sampler.close().total.ignored == []


@pytest.mark.parametrize("moment", ["within the same second", "by a clock that ran ahead"])
def test_what_is_still_missing_is_asked_for_once_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    if moment == "by a clock that ran ahead":
        monkeypatch.setattr(kept, "_now", lambda: "2099-01-01T00:00:00+00:00")
    with ChatServer(lambda asked: error(400)).running() as server:
        asked = unit(model(server.url), samples=2)
        for number in range(1, 4):
            # Two processes of one run, of which the second finds what failed in the first.
            with recording(tmp_path, retry_missing=True, run=f"r{number}") as sampler:
                sampler.responses(asked)
            with recording(tmp_path, retry_missing=True, run=f"r{number}") as sampler:
                sampler.responses(asked)
                sampler.responses(asked)
            assert len(server.asked) == 2 * number


def test_what_a_run_beside_this_one_asked_for_again_is_not_asked_once_more(tmp_path: Path) -> None:
    with ChatServer(lambda asked: error(400)).running() as server:
        asked = unit(model(server.url))
        with recording(tmp_path) as sampler:
            sampler.responses(asked)
        with (
            recording(tmp_path, retry_missing=True, run="one") as one,
            recording(tmp_path, retry_missing=True, run="two") as two,
        ):
            for sampler in (one, two):
                sampler.start([])
            one.responses(asked)
            two.responses(asked)
        assert len(server.asked) == 2


def test_without_recording_nothing_is_asked(tmp_path: Path) -> None:
    with ChatServer().running() as server:
        units = plan(server.url)
        sampler = Sampler(recordings(tmp_path), SamplingSettings(state=tmp_path))
        sampler.start(units)
        with pytest.raises(CassetteError):
            sampler.responses(units[0])
        assert not server.asked


def test_a_broken_cassette_fails_its_own_test_and_no_other(tmp_path: Path) -> None:
    with ChatServer().running() as server:
        units = plan(server.url, models=2, prompts=3)
        broken = tmp_path / "cassettes" / units[0].cassette
        broken.parent.mkdir(parents=True)
        broken.write_text('{"version": 1, "interactions": [{')
        with recording(tmp_path) as sampler:
            sampler.start(units)
            assert len(sampler.responses(units[-1])) == 2
            with pytest.raises(CassetteError, match="cut off"):
                sampler.responses(units[0])
        assert {asked.model for asked in server.asked} == {"m1"}
        assert broken.read_text() == '{"version": 1, "interactions": [{'


def test_a_fault_of_ours_is_told_to_the_tests_that_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_convergence.sampling.engine import Engine

    def broken(engine: Engine, model: str) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(Engine, "_refill", broken)
    with ChatServer().running() as server, recording(tmp_path) as sampler:
        units = plan(server.url)
        sampler.start(units)
        with pytest.raises(SamplingError, match="ZeroDivisionError: oh"):
            sampler.responses(units[0])


def test_no_header_of_an_answer_reaches_a_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    cookie = {"set-cookie": "session=s3cr3t", "openai-organization": "org-s3cr3t"}
    with ChatServer(lambda asked: Reply(headers=cookie)).running() as server:
        with recording(tmp_path) as sampler:
            sampler.responses(unit(model(server.url)))
        with httpx.Client() as client:
            client.get(server.url)
    assert "s3cr3t" in caplog.text  # a user's own client logs as it always did
    ours = [entry for entry in caplog.records if entry.threadName == "convergence-sampling"]
    assert not [entry for entry in ours if entry.name.startswith("http")]


def test_a_cassette_that_another_process_fills_is_not_claimed_afterwards(tmp_path: Path) -> None:
    with ChatServer().running() as server:
        asked = unit(model(server.url), "made up", samples=2)
        with recording(tmp_path, run="one") as sampler, recording(tmp_path, run="two") as other:
            assert sampler.responses(asked) == other.responses(asked)
            more = unit(model(server.url), "another", samples=2)
            assert other.responses(more) == sampler.responses(more)
        assert len(server.asked) == 4


def test_an_answer_that_cannot_be_unpacked_is_asked_for_again(tmp_path: Path) -> None:
    def behave(asked: Asked) -> Reply:
        torn = Reply(body=b"not gzip", headers={"content-encoding": "gzip"})
        return torn if asked.number == 0 else Reply()

    with ChatServer(behave).running() as server, recording(tmp_path, backoff=0.01) as sampler:
        assert sampler.responses(unit(model(server.url)))[0].missing is None
        assert len(server.asked) == 2
