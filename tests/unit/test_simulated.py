"""The simulated panel: what it says follows from its files, and from nothing else."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from pytest_convergence.errors import SettingsError
from pytest_convergence.models.context import sample_index
from pytest_convergence.models.decoding import Decoding
from pytest_convergence.models.response import Response
from pytest_convergence.models.simulated import SimulatedPanel, simulated_model
from pytest_convergence.models.wire import Model, WireResponse

BEHAVIOUR = Path(__file__).parents[1] / "data" / "simulated_panel.toml"
CAPITAL = "What is the capital of Australia?"
PLANET = "Which is the largest planet?"


@pytest.fixture
def panel(tmp_path: Path) -> SimulatedPanel:
    return SimulatedPanel.read([shutil.copy(BEHAVIOUR, tmp_path / "behaviour.toml")])


def ask(
    model: Model, prompt: str, index: int = 0, decoding: Decoding | None = None
) -> tuple[Response, httpx.Response]:
    request = model.adapter.request(
        model=model.model, base_url=model.base_url, prompt=prompt, decoding=decoding or Decoding()
    )

    async def send() -> httpx.Response:
        sample_index.set(index)
        assert model.transport is not None
        async with httpx.AsyncClient(transport=model.transport()) as client:
            return await client.request(request.method, request.url, content=request.body)

    reply = asyncio.run(send())
    wire = WireResponse(reply.status_code, dict(reply.headers), reply.text)
    return model.adapter.parse(wire), reply


def test_the_distribution_is_weights_times_styles_times_phrasings(panel: SimulatedPanel) -> None:
    found = dict(panel.distribution("one", CAPITAL))
    assert found == pytest.approx(
        {
            "Canberra": 3 / 16,
            "It is Canberra.": 9 / 32,
            "The answer: Canberra.": 9 / 32,
            "Sydney": 1 / 16,
            "It is Sydney.": 3 / 32,
            "The answer: Sydney.": 3 / 32,
        }
    )


def test_replies_occur_as_often_as_the_distribution_says(panel: SimulatedPanel) -> None:
    model = simulated_model("sim/one", panel=panel)

    async def many() -> Counter[str]:
        request = model.adapter.request(
            model="one", base_url=model.base_url, prompt=CAPITAL, decoding=Decoding()
        )
        said: Counter[str] = Counter()
        assert model.transport is not None
        async with httpx.AsyncClient(transport=model.transport()) as client:
            for index in range(3000):
                sample_index.set(index)
                reply = await client.post(request.url, content=request.body)
                said[reply.json()["choices"][0]["message"]["content"]] += 1
        return said

    said = asyncio.run(many())
    for text, probability in panel.distribution("one", CAPITAL):
        error = (probability * (1 - probability) / 3000) ** 0.5
        assert said[text] / 3000 == pytest.approx(probability, abs=4 * error)
    assert set(said) == {text for text, _ in panel.distribution("one", CAPITAL)}


def test_a_reply_depends_on_the_sample_index_and_not_on_the_order_of_calls(
    panel: SimulatedPanel,
) -> None:
    forward = [
        ask(simulated_model("one", panel=panel), CAPITAL, index)[0].text for index in range(12)
    ]
    model = simulated_model("one", panel=panel)
    backward = [ask(model, CAPITAL, index)[0].text for index in reversed(range(12))]
    assert forward == backward[::-1]
    assert len(set(forward)) > 2


def test_the_adapter_reads_a_reply_that_says_it_is_simulated(panel: SimulatedPanel) -> None:
    response, _ = ask(simulated_model("sim/one", panel=panel), CAPITAL)
    assert response.finish == "stop"
    assert response.missing is None
    assert "simulated" in (response.served_model or "")
    assert "simulated" in (response.system_fingerprint or "")
    assert response.usage.input_tokens == 6


@pytest.mark.parametrize(
    "prompt",
    [
        "Could you tell me, please: WHAT IS THE  CAPITAL\nOF AUSTRALIA",
        "what is Australia\u2019s capital",
        "What is the captial of Austrlaia?",
    ],
    ids=["politeness-case-space", "another-phrase", "typos"],
)
def test_variants_of_a_prompt_are_the_same_question(panel: SimulatedPanel, prompt: str) -> None:
    assert panel.distribution("one", prompt) == panel.distribution("one", CAPITAL)


def test_a_word_two_slips_away_is_another_word(panel: SimulatedPanel) -> None:
    assert panel.question("What is the capital of Austria?") is None


def test_models_of_one_lineage_share_their_favourites(panel: SimulatedPanel) -> None:
    for prompt in (CAPITAL, PLANET):
        kinds = {o.kind for m in ("steady", "twin") for o in panel.outcomes(m, prompt)}
        assert len(kinds) == 1


def test_a_follow_up_belongs_to_the_question_before_it(panel: SimulatedPanel) -> None:
    talk = [
        {"role": "user", "content": CAPITAL},
        {"role": "assistant", "content": "Canberra"},
        {"role": "user", "content": "Are you sure?"},
    ]
    assert {o.kind for o in panel.outcomes("two", talk)} == {"wrong"}


def test_rules_look_at_the_system_message_the_temperature_and_the_depth(
    panel: SimulatedPanel,
) -> None:
    def kinds(prompt: str, **decoding: object) -> set[str]:
        settings = Decoding.from_mapping(decoding, where="test")
        return {o.kind for o in panel.outcomes("two", prompt, settings)}

    assert kinds(CAPITAL) == {"right", "wrong"}
    assert kinds(CAPITAL, system="You always lie.") == {"wrong"}
    assert kinds(CAPITAL, temperature=1.5) == {"refuse"}
    hay = "straw " * 20
    assert kinds(f"{hay} needle {hay} {CAPITAL}") == {"wrong"}
    assert kinds(f"needle {hay} {hay} {CAPITAL}") == {"right", "wrong"}


def test_the_letter_follows_the_order_of_the_options(panel: SimulatedPanel) -> None:
    one = "Should one stop the engine?\nA) Let it run\nB) Halt"
    other = "Should one stop the engine?\nA) Halt\nB) Let it run"
    assert {o.kind: o.text for o in panel.outcomes("lazy", one)} == {"keep": "A", "stop": "B"}
    assert {o.kind: o.text for o in panel.outcomes("lazy", other)} == {"keep": "B", "stop": "A"}
    shares = {o.kind: o.probability for o in panel.outcomes("lazy", other)}
    assert shares == pytest.approx({"keep": 0.25, "stop": 0.75})


def test_options_that_are_not_there_are_an_error_and_a_missing_reply(
    panel: SimulatedPanel,
) -> None:
    with pytest.raises(SettingsError, match="not listed"):
        panel.outcomes("lazy", "Should one stop the engine?")
    response, _ = ask(simulated_model("lazy", panel=panel), "Should one stop the engine?")
    assert response.missing is not None
    assert response.missing.kind == "error"


def test_temperature_top_p_and_min_p_sharpen_as_their_formulas_say(panel: SimulatedPanel) -> None:
    base = dict(panel.distribution("one", CAPITAL))
    cold = dict(panel.distribution("one", CAPITAL, Decoding(temperature=0.5)))
    total = sum(p**2 for p in base.values())
    assert cold == pytest.approx({text: p**2 / total for text, p in base.items()})
    assert len(panel.distribution("one", CAPITAL, Decoding(temperature=0.0))) == 1
    top = panel.distribution("one", CAPITAL, Decoding(top_p=0.5))
    assert [p for _, p in top] == pytest.approx([0.5, 0.5])
    kept = dict(panel.distribution("one", CAPITAL, Decoding(extra=(("min_p", 0.5),))))
    assert set(kept) == {text for text, p in base.items() if p >= 0.5 * max(base.values())}


def test_refusals_of_the_provider_are_read_as_refused(panel: SimulatedPanel) -> None:
    model = simulated_model("censor", panel=panel)
    read = [ask(model, CAPITAL, index)[0] for index in range(12)]
    refused = [response for response in read if response.refused]
    assert 0 < len(refused) < 12
    assert {response.text for response in refused} == {"I would rather not say."}
    assert all("Canberra" in text for text, _ in panel.distribution("censor", CAPITAL))
    assert ask(simulated_model("filtered", panel=panel), CAPITAL)[0].finish == "content_filter"
    assert panel.distribution("filtered", CAPITAL) == []


def test_a_reasoning_model_rejects_a_temperature_and_spends_hidden_tokens(
    panel: SimulatedPanel,
) -> None:
    model = simulated_model("thinker", panel=panel)
    response, reply = ask(model, CAPITAL, decoding=Decoding(temperature=0.7))
    assert reply.status_code == 400
    assert response.missing is not None
    assert "temperature" in response.missing.reason
    assert ask(model, CAPITAL)[0].usage.reasoning_tokens == 50
    cut, _ = ask(model, CAPITAL, decoding=Decoding(max_tokens=50))
    assert cut.missing is not None


def test_faults_occur_at_their_rates(panel: SimulatedPanel) -> None:
    model = simulated_model("shaky", panel=panel)
    kinds: Counter[str] = Counter()
    for index in range(300):
        missing = ask(model, CAPITAL, index)[0].missing
        kinds[missing.kind if missing else "none"] += 1
    for kind in ("error", "empty", "truncated"):
        assert kinds[kind] / 300 == pytest.approx(0.2, abs=0.08)


def test_a_busy_provider_answers_the_second_attempt_like_a_free_one(
    panel: SimulatedPanel,
) -> None:
    model = simulated_model("crowded", panel=panel)
    assert ask(model, CAPITAL)[1].status_code == 429
    response, reply = ask(model, CAPITAL)
    assert reply.status_code == 200
    assert "Canberra" in response.text


def test_log_probabilities_are_the_true_ones(panel: SimulatedPanel) -> None:
    response, _ = ask(
        simulated_model("one", panel=panel), CAPITAL, decoding=Decoding(top_logprobs=3)
    )
    truth = dict(panel.distribution("one", CAPITAL))
    (token,) = response.logprobs
    assert np.exp(token.logprob) == pytest.approx(truth[response.text])
    assert len(token.top) == 3


def test_label_population_is_what_the_definition_gives(panel: SimulatedPanel) -> None:
    def label(response: Response) -> str:
        return "right" if "Canberra" in response.text or "Jupiter" in response.text else "wrong"

    found = panel.label_population(["one", "two"], [CAPITAL, PLANET], [label, label])
    assert found.similarity == pytest.approx(0.75 * 0.5 + 0.25 * 0.5)
    assert found.pairs_similarity[0, 0] == pytest.approx(0.75**2 + 0.25**2)
    assert found.floor == pytest.approx(found.similarity)
    assert found.ceiling == pytest.approx((0.625 * 0.5) ** 0.5)
    assert found.score == pytest.approx(0, abs=1e-12)


def test_identical_models_score_one(
    panel: SimulatedPanel,
) -> None:
    def one_hot(texts: Sequence[str]) -> NDArray[np.float64]:
        return np.eye(len(texts))

    same = panel.text_population(["steady", "twin"], [CAPITAL, PLANET], one_hot)
    assert same.score == pytest.approx(1)
    assert same.floor == 0


def test_text_similarity_of_the_truth_is_the_mean_over_pairs_of_texts(
    panel: SimulatedPanel,
) -> None:
    rng = np.random.default_rng(0)
    vectors: dict[str, NDArray[np.float64]] = {}

    def features(texts: Sequence[str]) -> NDArray[np.float64]:
        for text in texts:
            vectors[text] = rng.normal(size=4)
        return np.array([vectors[text] for text in texts])

    found = panel.text_population(["one", "two"], [CAPITAL, PLANET], features)
    direct = np.mean(
        [
            sum(
                p * q * float(vectors[x] @ vectors[y])
                for x, p in panel.distribution("one", prompt)
                for y, q in panel.distribution("two", prompt)
            )
            for prompt in (CAPITAL, PLANET)
        ]
    )
    assert found.similarity == pytest.approx(direct)


def test_families_leave_variants_out_of_the_floor(panel: SimulatedPanel) -> None:
    variant = "Tell me: what is the capital of Australia?"
    label = {"Canberra": "c", "Sydney": "s", "Jupiter": "j", "Saturn": "t"}

    def fact(response: Response) -> str:
        return next(value for word, value in label.items() if word in response.text)

    prompts = [CAPITAL, variant, PLANET]
    models = ["one", "two"]
    apart = panel.label_population(models, prompts, [fact] * 3)
    together = panel.label_population(models, prompts, [fact] * 3, families=["x", "x", "y"])
    assert apart.floor > 0.1
    assert together.floor == 0


def test_an_unknown_prompt_is_answered_by_every_shipped_model() -> None:
    panel = SimulatedPanel.read()
    for model in panel.models:
        answers = panel.distribution(model, "How should a village keep its bakery open?")
        assert sum(p for _, p in answers) == pytest.approx(1)
        assert all("simulated" in text for text, _ in answers)


def test_an_unknown_prompt_with_options_gets_one_of_them() -> None:
    panel = SimulatedPanel.read()
    texts = dict(panel.distribution("epsilon", "Pick a tool.\nA) hammer\nB) saw\nC) file"))
    assert texts == pytest.approx({"A) hammer": 1 / 3, "B) saw": 1 / 3, "C) file": 1 / 3})


def test_on_unknown_prompts_siblings_agree_more_than_strangers() -> None:
    panel = SimulatedPanel.read()
    prompts = [f"What would you do about problem number {n} of the harbour?" for n in range(40)]

    def kind(response: Response) -> str:
        marks = ("simpler", "depend", "xperts", "beg", "measure")
        return next(mark for mark in marks if mark in response.text)

    found = panel.label_population(
        ["alpha", "beta", "delta"], prompts, [kind] * len(prompts)
    ).pairs_score
    assert found[0, 1] > 0.9
    assert found[0, 2] < 0.4


def test_a_later_file_replaces_what_it_names_and_keeps_the_rest(
    panel: SimulatedPanel, tmp_path: Path
) -> None:
    second = tmp_path / "mutation.toml"
    second.write_text("[models.one]\nweights.facts = { wrong = 1 }\n")
    mutated = SimulatedPanel.read([tmp_path / "behaviour.toml", second])
    assert {o.kind for o in mutated.outcomes("one", CAPITAL)} == {"wrong"}
    assert mutated.profile("one").habits == panel.profile("one").habits


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[models.x]\nsteadyness = 1", "steadyness"),
        ("[models.x]\nsteadiness = 1.5", "0 to 1"),
        ("[models.x]\nfaults = { error = 0.7, empty = 0.7 }", "more than 1"),
        ("[models.x]\nweights.facts = { right = -1 }", "from 0"),
        ("[models.x]\nweights.nowhere = { right = 1 }", "nowhere"),
        ("[models.x]\nfinish = { refuse = 'shrug' }", "finish"),
        ("[questions.q]\ncapability = 'c'\nasks = 'what'", "which no file describes"),
        ("[questions.q]\ncapability = 'c'", "has no asks"),
        ("[[rules]]\nmodels = ['nobody']", "nobody"),
        ("[[rules]]\nwhen.sytem = 'x'", "sytem"),
        ("models = 3", "not a table"),
        ("seed = ", "cannot be read"),
    ],
)
def test_a_slip_in_a_file_is_an_error_that_names_it(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "slip.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=said):
        SimulatedPanel.read([file])


def test_paths_and_models_that_are_not_there_are_errors(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no simulated behaviour"):
        SimulatedPanel.read([tmp_path])
    with pytest.raises(SettingsError, match="sim/alpha"):
        simulated_model("sim/alpaca")


def test_a_request_that_makes_no_sense_is_an_error_of_the_provider(panel: SimulatedPanel) -> None:
    model = simulated_model("one", panel=panel)

    async def send(body: str) -> httpx.Response:
        assert model.transport is not None
        async with httpx.AsyncClient(transport=model.transport()) as client:
            return await client.post("http://simulated.invalid/v1/chat/completions", content=body)

    for body in ("{", "[]", json.dumps({"model": "one"}), json.dumps({"model": "nobody"})):
        assert asyncio.run(send(body)).status_code == 400
