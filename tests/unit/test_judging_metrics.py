"""Every kind of metric through the assertions, and what stands beside a group's figure."""

from __future__ import annotations

import difflib

import numpy as np
import pytest

from pytest_convergence import (
    ConvergenceError,
    ConvergenceFailure,
    ConvergenceResult,
    Response,
    assert_converges,
    assert_diverges,
    assert_rate,
    assert_same_model,
    convergent_groups,
    from_responses,
    kernel,
    labels,
)
from pytest_convergence.metrics.distributions import js_similarity
from pytest_convergence.panel import Samples
from pytest_convergence.same_model import smallest_p

WORDS = ("red", "blue", "green", "stone", "river", "cloud", "paper", "glass")


def study(
    prompts: int = 12, samples: int = 3, noise: float = 0.2, seed: int = 1
) -> dict[str, dict[str, list[str]]]:
    """Two models that mostly say a prompt's own words, and one that says its own."""
    rng = np.random.default_rng(seed)

    def text(model: str, prompt: int) -> str:
        own = rng.choice(WORDS) if rng.random() < noise else WORDS[prompt % len(WORDS)]
        if model == "odd":
            own = WORDS[(prompt + 3) % len(WORDS)]
        return " ".join(["answer", str(own), str(prompt)] + ["really"] * int(rng.integers(4)))

    return {
        f"q{p}": {m: [text(m, p) for _ in range(samples)] for m in ("a", "b", "odd")}
        for p in range(prompts)
    }


def only(given: dict[str, dict[str, list[str]]], *models: str) -> Samples:
    return from_responses({q: {m: row[m] for m in models} for q, row in given.items()})


def overlap(first: str, second: str) -> float:
    one, two = set(first.split()), set(second.split())
    return float(len(one & two) / np.sqrt(len(one) * len(two)))


def test_a_kernel_of_two_texts_gives_what_its_features_would() -> None:
    def features(texts: list[str]) -> object:
        names = sorted({word for text in texts for word in text.split()})
        rows = np.array([[float(name in text.split()) for name in names] for text in texts])
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    given = only(study(), "a", "b")
    by_features = assert_converges(given, 0.1, metric=features)
    by_pairs = assert_converges(given, 0.1, metric=kernel(overlap, partners=12))
    assert by_pairs.similarity == pytest.approx(by_features.similarity)
    assert by_pairs.within == pytest.approx(by_features.within)
    assert by_pairs.score == pytest.approx(by_features.score, abs=0.05)
    prompt = {m: study()["q0"][m] for m in ("a", "b")}
    one = assert_diverges(prompt, 1, metric=kernel(overlap)).similarity
    assert one == pytest.approx(assert_diverges(prompt, 1, metric=features).similarity)


def test_a_kernel_that_is_no_inner_product_is_taken_as_it_is() -> None:
    def ratio(first: str, second: str) -> float:
        return difflib.SequenceMatcher(None, first, second).ratio()

    responses = {"a": ["the red stone", "a red one"], "b": ["one stone", "stone, the red one"]}
    result = assert_diverges(responses, 1, metric=kernel(ratio, name="difflib"))
    pairs = [ratio(*sorted((x, y))) for x in responses["a"] for y in responses["b"]]
    assert result.similarity == pytest.approx(float(np.mean(pairs)))
    assert result.within == pytest.approx(
        (ratio(*sorted(responses["a"])) + ratio(*sorted(responses["b"]))) / 2
    )
    assert result.metric == "difflib"


def test_a_kernel_is_asked_once_for_each_pair_of_texts() -> None:
    asked = []

    def same(first: str, second: str) -> float:
        asked.append((first, second))
        return float(first == second)

    assert_converges({"a": ["x", "x", "y"], "b": ["x", "y"]}, 0.1, metric=kernel(same))
    assert sorted(asked) == [("x", "x"), ("x", "y"), ("y", "y")]


def test_a_kernel_that_gives_no_number_is_named() -> None:
    with pytest.raises(ConvergenceError, match="the kernel bad gave nan"):
        assert_converges(
            {"a": ["x"], "b": ["y"]}, 0.1, metric=kernel(lambda a, b: float("nan"), name="bad")
        )


def test_the_similarity_of_answer_distributions_is_that_of_their_counts() -> None:
    responses = {"a": ["Yes.", "yes", "No"], "b": ["No.", "no!", "yes"]}
    expected = js_similarity([2, 1], [1, 2])
    by_label = assert_diverges(responses, 0.99, metric="js", label="yes-no")
    assert by_label.similarity == pytest.approx(expected)
    assert assert_diverges(responses, 0.99, metric="js").similarity == pytest.approx(expected)
    total = assert_diverges(responses, 0.99, metric="total-variation", label="yes-no")
    assert total.similarity == pytest.approx(2 / 3)
    assert total.interval is None


@pytest.mark.parametrize("metric", ["js", "total-variation"])
def test_a_distribution_over_a_group_has_a_similarity_and_says_why_it_has_no_score(
    metric: str,
) -> None:
    with pytest.raises(ConvergenceFailure, match="neither floor nor ceiling") as caught:
        assert_converges(only(study(), "a", "b"), 0.5, metric=metric)
    result = caught.value.result
    assert isinstance(result, ConvergenceResult)
    assert result.verdict == "undefined"
    assert result.score is None
    assert result.similarity is not None
    assert 0 < result.similarity < 1
    assert result.estimate is not None
    assert "outlier" not in str(caught.value)


def test_where_there_is_no_score_the_message_tests_what_can_be_tested() -> None:
    rng = np.random.default_rng(3)
    same = {
        f"q{q}": {m: [str(rng.choice(WORDS)) for _ in range(4)] for m in ("a", "b")}
        for q in range(8)
    }
    with pytest.raises(ConvergenceFailure, match="undefined: ceiling - floor") as caught:
        assert_converges(from_responses(same), 0.5, metric="exact")
    text = str(caught.value)
    assert "that all are one model: p " in text
    assert "that the prompt does not matter: p " in text
    result = caught.value.result
    assert isinstance(result, ConvergenceResult)
    assert result.estimate is not None
    assert getattr(result.estimate, "mmd_p", None) is not None


def test_an_unknown_metric_lists_every_metric_there_is() -> None:
    with pytest.raises(ConvergenceError) as caught:
        assert_converges({"a": ["x"], "b": ["x"]}, 0.5, metric="cosign")
    for name in ("embedding", "exact", "label", "hybrid", "js", "total-variation", "kernel("):
        assert name in str(caught.value)


def test_texts_of_a_group_have_length_and_format_beside_them() -> None:
    def features(texts: list[str]) -> object:
        return np.array([[float(len(text) > 40), float(len(text) <= 40)] for text in texts])

    lengths = {"a": ["short one", "x" * 60], "b": ["short two", "y" * 70]}
    with pytest.raises(ConvergenceFailure) as caught:
        assert_converges(from_responses({f"q{i}": lengths for i in range(6)}), 1, metric=features)
    found = caught.value.result
    assert isinstance(found, ConvergenceResult)
    assert found.confounds is not None
    assert found.confounds.length > 0.95
    assert "length explains" in str(caught.value)


def test_labels_of_a_group_have_prevalence_chance_and_shared_errors_beside_them() -> None:
    answers = {f"q{i}": "Lima" if i % 2 else "Quito" for i in range(12)}
    said = {
        name: {"a": [right if i < 9 else "Oslo"] * 2, "b": [right if i < 8 else "Oslo"] * 2}
        for i, (name, right) in enumerate(answers.items())
    }
    result = assert_converges(
        from_responses(said, data={name: {"answer": right} for name, right in answers.items()}),
        0.5,
        label=labels.matches(other="text"),
    )
    assert result.accuracy == {"a": 0.75, "b": pytest.approx(2 / 3)}
    found = result.agreement
    assert found is not None
    assert found.raw == pytest.approx(11 / 12)
    assert found.both_wrong == pytest.approx(0.25)
    assert found.same_wrong == pytest.approx(0.25)
    assert found.when_both_wrong == 1
    assert found.conger.corrected is not None
    assert 0 < found.conger.corrected < found.raw
    assert result.confounds is None


def test_an_open_verdict_says_how_many_more_prompts_or_samples_would_settle_it() -> None:
    given = only(study(noise=0.6), "a", "b")
    score = assert_converges(given, -1, metric="word-ngrams").score
    assert score is not None
    with pytest.raises(ConvergenceFailure, match="inconclusive: score") as caught:
        assert_converges(given, min(score, 1) - 0.03, metric="word-ngrams", confidence=0.95)
    found = caught.value.result.settlement
    assert found is not None
    assert found.smallest_difference > 0
    assert found.more_families is not None
    assert found.more_families > 0
    assert "smallest detectable difference" in str(caught.value).replace("\n", " ")


def test_an_open_rate_says_so_too_by_prompts_or_by_samples() -> None:
    few = {"m": ["Yes."] * 4 + ["No."]}
    with pytest.raises(ConvergenceFailure, match="smallest detectable difference") as caught:
        assert_rate(few, "yes-no", value="yes", at_least=0.7, confidence=0.95)
    found = caught.value.result.settlement
    assert found is not None
    assert found.more_families is None
    assert found.samples is not None
    assert found.samples > 5
    many = from_responses({f"q{i}": {"m": ["Yes." if i else "No."]} for i in range(6)})
    with pytest.raises(ConvergenceFailure) as caught:
        assert_rate(many, "yes-no", value="yes", at_least=0.7, confidence=0.95)
    assert caught.value.result.settlement is not None
    assert caught.value.result.settlement.more_families is not None


def test_the_same_model_passes_and_another_is_told_apart() -> None:
    given = study(prompts=8, samples=4)
    same = assert_same_model(only(given, "a", "b"), "a", "b", metric="word-ngrams")
    assert same.verdict == "met"
    assert same.test is not None
    assert same.value == same.test.p > 0.05
    with pytest.raises(ConvergenceFailure, match=r"p that a and odd are the same model 0\.001"):
        assert_same_model(only(given, "a", "odd"), "a", "odd", metric="word-ngrams")


def test_a_model_compared_with_itself_fails_as_often_as_the_level_says() -> None:
    rejected = sum(
        _p(only(study(prompts=3, samples=4, noise=0.8, seed=seed), "a", "b")) <= 0.1
        for seed in range(150)
    )
    assert 5 <= rejected <= 25


def _p(given: Samples) -> float:
    result = assert_same_model(given, "a", "b", metric="exact", level=0.001, permutations=1000)
    assert result.value is not None
    return result.value


def test_too_few_samples_to_ever_tell_two_models_apart_are_no_pass() -> None:
    with pytest.raises(ConvergenceFailure, match=r"undefined: so few samples give no p under 0\.3"):
        assert_same_model({"a": ["x", "y"], "b": ["p", "q"]}, "a", "b", metric="exact")
    with pytest.raises(ConvergenceFailure, match="needs two responses"):
        assert_same_model({"a": ["x"], "b": ["p"]}, "a", "b", metric="exact")
    assert smallest_p([(2, 2)], ["f"], 999) == pytest.approx(1 / 3)
    assert smallest_p([(5, 5)], ["f"], 999) == pytest.approx(2 / 252)
    assert smallest_p([(5, 5)] * 9, ["f"] * 9, 999) == pytest.approx(2 / 252)
    assert smallest_p([(5, 5), (5, 4)], ["f", "g"], 10**6) == pytest.approx(1 / (252 * 126))


def test_models_go_together_with_a_stability_over_prompts() -> None:
    result = convergent_groups(from_responses(study()), cutoff=0.6, metric="word-ngrams")
    assert result.groups == (("a", "b"), ("odd",))
    assert result.stability["a", "b"] is not None
    assert result.stability["a", "b"] > 0.8
    assert result.value == 2
    assert result.verdict is None


def test_groups_need_models_that_share_a_prompt() -> None:
    nobody = from_responses({"p": {"a": ["x"], "b": []}, "q": {"a": [], "b": ["x"]}})
    with pytest.raises(ConvergenceError, match="models that share prompts"):
        convergent_groups(nobody, cutoff=0.5, metric="exact")


@pytest.mark.parametrize("metric", ["hybrid", "js"])
def test_what_compares_responses_takes_no_distribution(metric: str) -> None:
    with pytest.raises(ConvergenceError, match="compares whole distributions"):
        assert_same_model({"a": ["x", "y"], "b": ["x", "y"]}, "a", "b", metric=metric)


def test_responses_of_your_own_need_the_same_models_at_every_prompt() -> None:
    with pytest.raises(ConvergenceError, match="'q' has responses of a"):
        from_responses({"p": {"a": ["x"], "b": ["x"]}, "q": {"a": ["x"]}})
    with pytest.raises(ConvergenceError, match="no responses"):
        from_responses({})
    read = from_responses({"p": {"a": [Response("x")], "b": ["Error: 429 Too Many Requests"]}})
    assert read.responses("b")[0].missing is not None
