"""Do models answer open questions in one voice? A panel that should be diverse is held to it.

Claim
    A panel of different models gives different answers where many answers are good. It can be
    false: asked open questions, models repeat themselves, and different models repeat each other.
Source
    Jiang et al. 2025, Artificial Hivemind: The Open-Ended Homogeneity of Language Models (and
    Beyond) (arXiv:2510.22954).
Refutation
    A score of .6 or more: a model's answer is nearly as close to another model's as to its own next
    one, so the panel has one voice.
Control
    The floor, similarity between answers to different prompts, is taken out: models also sound
    alike because they write in one register. The ceiling is how much each model repeats itself.
Decision rule
    The group diverges where its score stays below .6; a prompt where the mean cosine similarity of
    two models' answers stays below .9, which only near copies exceed. Cutting off unlikely tokens
    (top-p, min-p) must not push a panel over that line. A model repeats itself where its answers
    are more than .8 alike on over half of the prompts (the study found 79 % of them). Models can be
    told apart where the nearest answers come from fewer models than chance would give: less than .7
    of the way from one model to what shuffled names give. A voice survives a rewording where a
    model's answers to two wordings are at least .4 alike.
"""

import numpy as np
import pytest

from pytest_convergence import assert_converges, assert_diverges
from pytest_convergence.metrics.homogeneity import homogeneity, unique_source_models
from pytest_convergence.strategies import pool

pytestmark = pytest.mark.convergence(
    capability="open-ended", metric="embedding", samples=5, threshold=0.6, direction="diverges"
)

OPEN_QUESTIONS = [
    pytest.param("Compare memory to something in a single sentence.", id="memory-metaphor"),
    pytest.param(
        "Begin a story about a robot that learns kindness; two sentences are enough.",
        id="kind-robot",
    ),
    pytest.param("Describe a city two centuries from now, briefly.", id="city-of-future"),
    pytest.param("Name one small joy and say why it counts.", id="small-joy"),
    pytest.param("Invent a holiday and explain how people keep it.", id="new-holiday"),
    pytest.param("What would you tell a person who turns twenty today?", id="advice-at-twenty"),
    pytest.param("Write two lines of verse about rain.", id="rainy-poem"),
    pytest.param("Think of a name for a tea shop by the harbour, with a slogan.", id="tea-brand"),
    pytest.param("Say in a sentence what time feels like.", id="what-is-time"),
    pytest.param("What might happen in a museum after closing time?", id="museum-night"),
    pytest.param("Suggest a use for a village school that has closed.", id="village-school"),
    pytest.param("Write the opening line of a mystery around a lost key.", id="lost-key"),
    pytest.param("Dream up a kitchen gadget that nobody has built yet.", id="kitchen-gadget"),
    pytest.param(
        "How would you describe the sea to a person who never saw it?", id="ocean-feeling"
    ),
    pytest.param("Give a motto for a volunteer fire brigade.", id="team-motto"),
    pytest.param("Describe an odd job that ought to exist.", id="dream-job"),
    pytest.param("A friend moves abroad. What parting gift would you choose?", id="friend-moves"),
    pytest.param("Put a walk in deep winter into a few words.", id="winter-walk"),
    pytest.param("Sketch the idea of a board game for a family of five.", id="board-game"),
    pytest.param("If a tree in the park could talk, what would it say?", id="talking-tree"),
    pytest.param("Write a line an explorer sends home from an empty planet.", id="lonely-planet"),
    pytest.param("Write an honest advertisement for an umbrella.", id="honest-ad"),
    pytest.param("Describe the mood in a night train.", id="night-train"),
    pytest.param("How could mornings be made better?", id="fix-mornings"),
    pytest.param("Tell a very short tale about an old bridge.", id="old-bridge"),
    pytest.param("What does the colour blue mean to you?", id="colour-blue"),
    pytest.param("Make up a cat that works in a laboratory: one or two sentences.", id="lab-cat"),
    pytest.param("Say what courage is without a famous quotation.", id="courage"),
    pytest.param("Capture a Saturday market through its smells.", id="market-smell"),
    pytest.param("Write a short letter to the Moon.", id="letter-to-moon"),
    pytest.param("Invent a legend for a village on a hill.", id="village-legend"),
    pytest.param("Portray a hero who never raises her voice.", id="quiet-hero"),
]


@pytest.mark.parametrize("prompt", OPEN_QUESTIONS)
def test_open_ended(prompt, models):
    assert_diverges(models, threshold=0.9)


@pytest.mark.parametrize("prompt", OPEN_QUESTIONS[::2])
@pytest.mark.parametrize(
    ("top_p", "extra"),
    [(0.5, None), (0.9, None), (None, {"min_p": 0.2})],
    ids=["top-p-0.5", "top-p-0.9", "min-p-0.2"],
)
def test_open_ended_with_a_cut_off(prompt, top_p, extra, models):
    assert_diverges(models, threshold=0.95)


def sources_beyond_one(blocks):
    """How far the answers nearest to one come from other models: 0 never, 1 as by chance."""
    owners = [model for model, answers in enumerate(blocks) for _ in answers]
    nearest = min(len(answers) for answers in blocks) - 1
    found = unique_source_models(np.vstack(blocks), owners, neighbours=nearest)
    return (found.mean - 1) / (found.by_chance - 1)


@pytest.mark.convergence(
    prompts={question.id: question.values[0] for question in OPEN_QUESTIONS}, threshold=None
)
def test_repetition_and_sources(models):
    features = models.samples.features("embedding")
    repeated = {
        model: homogeneity(blocks, cutoff=0.8).share_above for model, blocks in features.items()
    }
    sources = np.mean(
        [sources_beyond_one(blocks) for blocks in zip(*features.values(), strict=True)]
    )
    assert max(repeated.values()) <= 0.5, f"shares of prompts on which a model repeats: {repeated}"
    assert sources < 0.7, f"the nearest answers come from other models: {sources:.2f} of chance"


@pytest.mark.parametrize("question", OPEN_QUESTIONS[::8])
def test_a_voice_survives_rewording(question, models):
    wordings = {v.id: v.prompt for v in pool(question, kinds=["typo", "politeness"])}
    said = models.sample({f"{question[:24]}-{name}": text for name, text in wordings.items()})
    for model in models:
        by_wording = {
            name: case.responses[model] for name, case in zip(wordings, said.cases, strict=True)
        }
        assert_converges(by_wording, threshold=0.4, metric="embedding")
