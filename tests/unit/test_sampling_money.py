from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_convergence.errors import SettingsError
from pytest_convergence.models.decoding import Decoding
from pytest_convergence.models.response import Usage
from pytest_convergence.sampling.forecast import forecast, forecast_table
from pytest_convergence.sampling.prices import price_of
from pytest_convergence.sampling.tally import SamplingReport
from tests.sampling_parts import (
    model,
    plan,
    recording,
    recordings,
    replaying,
    settings,
    texts,
    unit,
)
from tests.sampling_worker import launch_run
from tests.servers import Asked, ChatServer, Reply, error

OPENAI = "https://api.openai.com/v1"
PRICES = {f"test/m{number}": (0.0, 20.0) for number in range(3)}
USAGE = (10, 250)  # half a cent an answer


def test_a_listed_model_costs_what_the_price_library_says() -> None:
    price = price_of(replace(model(OPENAI), model="gpt-4o"), {})
    assert price.source == "library"
    assert price.of(Usage(1000, 100)) == pytest.approx(0.0035)


def test_what_the_provider_reports_comes_before_the_price_list() -> None:
    price = price_of(replace(model(OPENAI), model="gpt-4o"), {})
    assert price.of(Usage(1000, 100, cost=0.25)) == 0.25


def test_prices_given_by_the_user_come_before_the_library() -> None:
    price = price_of(replace(model(OPENAI), model="gpt-4o"), {"test/m0": (1.0, 2.0)})
    assert price.of(Usage(1_000_000, 1_000_000)) == 3.0


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/v1", "http://localhost/v1", "http://gpu/v1"])
def test_what_answers_on_this_machine_or_network_is_free(url: str) -> None:
    price = price_of(model(url), {})
    assert (price.source, price.of(Usage(10, 10))) == ("free", 0.0)


def test_a_price_that_nobody_knows_is_unknown_not_zero() -> None:
    price = price_of(replace(model(OPENAI), model="no-such-model"), {})
    assert (price.source, price.known, price.of(Usage(10, 10))) == ("unknown", False, None)


def test_without_the_price_library_prices_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    assert not price_of(replace(model(OPENAI), model="gpt-4o"), {}).known


def test_tokens_and_cost_are_counted_by_model(tmp_path: Path) -> None:
    with ChatServer(lambda asked: Reply(usage=USAGE)).running() as server:
        units = plan(server.url, models=2, prompts=4, samples=2)
        with recording(tmp_path, prices=PRICES) as sampler:
            sampler.start(units)
            texts(sampler, units)
            report = sampler.close()
    count = report.by_model["test/m1"]
    assert (count.calls, count.input_tokens, count.output_tokens) == (8, 80, 2000)
    assert count.cost == pytest.approx(8 * 0.005)
    assert report.total.cost == pytest.approx(16 * 0.005)
    assert SamplingReport.from_dict(json.loads(json.dumps(report.as_dict()))) == report
    assert SamplingReport.merged([report, report]).total.calls == 32


def test_a_spent_budget_stops_sampling_and_what_is_left_is_missing(tmp_path: Path) -> None:
    with ChatServer(lambda asked: Reply(after=0.01, usage=USAGE)).running() as server:
        units = plan(server.url, models=2, prompts=20, samples=2)
        with recording(tmp_path, prices=PRICES, max_cost=0.15) as sampler:
            sampler.start(units)
            said = [answer for asked in units for answer in sampler.responses(asked)]
            report = sampler.close()
        assert report.total.cost <= 0.15
        assert len(server.asked) >= 20
        kinds = [answer.missing.kind if answer.missing else "" for answer in said]
        assert kinds.count("") == len(server.asked)
        assert kinds.count("budget") == 80 - len(server.asked)
        reasons = {answer.missing.reason for answer in said if answer.missing}
        assert all("budget of $0.15 is spent" in reason for reason in reasons)
        with recording(tmp_path, prices=PRICES) as sampler:
            sampler.start(units)
            texts(sampler, units)
        assert len(server.asked) == 80


def test_a_budget_too_small_for_one_call_makes_none(tmp_path: Path) -> None:
    with ChatServer().running() as server:
        units = plan(server.url, models=1, prompts=3)
        with recording(tmp_path, prices=PRICES, max_cost=0.0001) as sampler:
            sampler.start(units)
            missing = sampler.responses(units[0])[0].missing
        assert missing is not None
        assert missing.kind == "budget"
        assert not server.asked


def test_the_workers_of_a_run_share_one_budget(tmp_path: Path) -> None:
    with ChatServer(lambda asked: Reply(after=0.02, usage=USAGE)).running() as server:
        shape = {"models": 3, "prompts": 20, "samples": 2}
        results = launch_run(
            tmp_path, server.url, 3, run="r", shape=shape, prices=PRICES, max_cost=0.3
        )
        assert [result["problem"] for result in results] == [""] * 3
        assert 0.28 <= len(server.asked) * 0.005 <= 0.3


def test_a_budget_that_cannot_be_held_is_refused(tmp_path: Path) -> None:
    unknown = unit(replace(model(OPENAI), model="no-such-model"))
    with (
        recording(tmp_path, max_cost=1.0) as sampler,
        pytest.raises(SettingsError, match="nobody knows what test/m0 costs"),
    ):
        sampler.start([unknown])


def test_a_forecast_counts_what_is_not_recorded_without_a_call(tmp_path: Path) -> None:
    with ChatServer(lambda asked: Reply(usage=USAGE)).running() as server:
        units = plan(server.url, models=2, prompts=4, samples=2)
        with recording(tmp_path) as sampler:
            texts(sampler, units[:4])
        before = len(server.asked)
        told = forecast(units, recordings(tmp_path), settings(tmp_path, prices=PRICES))
        assert len(server.asked) == before == 8
    assert [(entry.model, entry.samples, entry.calls) for entry in told] == [
        ("test/m0", 8, 4),
        ("test/m1", 8, 4),
    ]
    assert [entry.output_tokens for entry in told] == [1000, 1000]
    assert told[0].cost == pytest.approx(0.02)
    table = forecast_table(told)
    assert table[0].split() == [
        "model",
        "samples",
        "calls",
        "tokens",
        "in",
        "tokens",
        "out",
        "cost",
    ]
    assert table[-1].split()[:3] == ["total", "16", "8"]


def test_a_forecast_names_unknown_prices_and_expects_no_more_than_max_tokens(
    tmp_path: Path,
) -> None:
    asked = unit(
        replace(model(OPENAI), model="no-such-model"), samples=3, decoding=Decoding(max_tokens=7)
    )
    told = forecast([asked], recordings(tmp_path), settings(tmp_path))
    assert (told[0].output_tokens, told[0].cost) == (21, None)
    assert forecast_table(told)[-1] == "no price is known for test/m0"


def test_ignored_and_rejected_parameters_and_another_model_are_reported(tmp_path: Path) -> None:
    def behave(asked: Asked) -> Reply:
        if asked.prompt == "q1":
            return error(400, "Unsupported parameter: 'temperature'")
        body = {
            "model": "gpt-cheap",
            "choices": [{"message": {"content": "long"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 99},
        }
        return Reply(body=json.dumps(body).encode())

    decoding = Decoding(temperature=0.5, max_tokens=10, top_logprobs=2)
    with ChatServer(behave).running() as server, recording(tmp_path) as sampler:
        asked = [unit(model(server.url), prompt, decoding=decoding) for prompt in ("q0", "q1")]
        sampler.start(asked)
        texts(sampler, asked)
        count = sampler.close().by_model["test/m0"]
    assert count.ignored == ["max_tokens", "top_logprobs"]
    assert count.rejected == ["temperature"]
    assert count.served == {"gpt-cheap": 1}
    assert count.another


def test_replaying_reports_nothing(tmp_path: Path) -> None:
    assert replaying(tmp_path).close().by_model == {}
