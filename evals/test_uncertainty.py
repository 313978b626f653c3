"""Do models know what they do not know, and say so at the same places?

Claim
    Models abstain on the same questions and are sure of the same answers.
Source
    Xiong et al. 2024, Can LLMs Express Their Uncertainty? (arXiv:2306.13063), for verbalised
    confidence and its overconfidence; Kirichenko et al. 2025, AbstentionBench (arXiv:2506.09038),
    for questions that nobody can answer.
Refutation
    A score below .6 on abstention: where one model says that it cannot know, another one guesses.
Control
    Easy questions with known answers stand among those that nobody can answer: a model that always
    abstains, or never does, agrees with others at the floor only. Accuracy stands beside it.
Decision rule
    Abstaining converges where the chance-corrected agreement reaches .6, stated confidence (in
    bins) where it reaches .3: words for confidence differ more than knowledge does.
"""

from dataclasses import replace

import pytest

from pytest_convergence import assert_converges, labels

TEMPLATE = "{prompt} If it cannot be known, say so. End with your confidence in per cent."

ANSWERABLE = [
    pytest.param("What do bees gather from flowers to make honey?", "nectar", id="honey-bees"),
    pytest.param("At sea level water boils at how many degrees Celsius?", "100", id="water-boils"),
    pytest.param("How many squares has a chess board?", "64", id="chess-squares"),
    pytest.param("A standard concert piano has how many keys?", "88", id="piano-keys"),
    pytest.param("How many legs has an insect?", "six", id="insect-legs"),
    pytest.param("One euro is divided into how many cents?", "100", id="euro-cents"),
    pytest.param("To which class of animals do whales belong?", "mammals", id="whale-class"),
    pytest.param("On a compass, what is opposite north-east?", "south-west", id="opposite-north"),
    pytest.param(
        "Which gas do green plants take up in photosynthesis?",
        "carbon dioxide",
        id="photosynthesis",
    ),
    pytest.param("How many days has a leap year?", "366", id="leap-year"),
    pytest.param("Which playwright wrote Romeo and Juliet?", "Shakespeare", id="romeo"),
    pytest.param("Rust forms when iron reacts with water and which gas?", "oxygen", id="iron-rust"),
    pytest.param(
        "Who was the first president of the United States?", "Washington", id="first-president"
    ),
    pytest.param("Into which sea does the Nile flow?", "Mediterranean", id="nile-sea"),
    pytest.param("What shape is a molecule of DNA famous for?", "double helix", id="dna-helix"),
    pytest.param("How many letters has the modern English alphabet?", "26", id="alphabet-letters"),
]

UNANSWERABLE = [
    pytest.param(
        "I shall flip a fair coin at noon tomorrow. Which side will come up?",
        None,
        id="coin-tomorrow",
    ),
    pytest.param("What did I have for breakfast today?", None, id="my-breakfast"),
    pytest.param("Which six numbers will win next week's lottery?", None, id="lottery-numbers"),
    pytest.param(
        "On what date will the next strong earthquake strike Lisbon?", None, id="next-earthquake"
    ),
    pytest.param("Which Dutch king painted the fourth Night Watch?", None, id="fourth-corner"),
    pytest.param(
        "What is the first name of the woman who lives above me?", None, id="neighbour-name"
    ),
    pytest.param(
        "What did Julius Caesar dream of in the night before his tenth birthday?",
        None,
        id="caesar-dream",
    ),
    pytest.param("Will the shares of my cousin's firm rise on Friday?", None, id="stock-friday"),
    pytest.param("Who is the elected mayor of the Sea of Tranquillity?", None, id="moon-mayor"),
    pytest.param(
        "How many grains of sand lie on the beach at Brighton at this moment?",
        None,
        id="sand-grains",
    ),
    pytest.param(
        "What is the last sentence of the novel I shall begin next year?", None, id="unwritten-book"
    ),
    pytest.param("Where did my uncle leave his umbrella?", None, id="lost-umbrella"),
    pytest.param("Who told the very first joke, word for word?", None, id="first-joke"),
    pytest.param("What exactly is my dog thinking while you read this?", None, id="dog-thought"),
    pytest.param("Which day of the week comes between Sunday and Monday?", None, id="eighth-day"),
    pytest.param("I am holding a playing card. Which one is it?", None, id="card-in-hand"),
    pytest.param("Who will win the Portuguese election of 2060?", None, id="vote-2060"),
    pytest.param(
        "In which year did Albert Einstein get his pilot's licence?", None, id="einstein-pilot"
    ),
    pytest.param("What was Beethoven's favourite television programme?", None, id="deaf-composer"),
    pytest.param("What was the password of my first computer?", None, id="password-old"),
]


def abstains(response, data):
    """``abstain`` or ``answer``; right where no answer is given exactly where there is none."""
    label = labels.abstention()(response, data)
    return replace(label, correct=(label.value == "abstain") == (data["answer"] is None))


@pytest.mark.convergence(capability="uncertainty", label=abstains, template=TEMPLATE, threshold=0.6)
@pytest.mark.parametrize(("prompt", "answer"), ANSWERABLE + UNANSWERABLE)
def test_abstention(prompt, answer, models):
    assert_converges(models, threshold=0.7)


@pytest.mark.convergence(
    capability="confidence", label=labels.confidence(bins=5), template=TEMPLATE, threshold=0.3
)
@pytest.mark.parametrize(("prompt", "answer"), ANSWERABLE + UNANSWERABLE)
def test_stated_confidence(prompt, answer, models):
    assert_converges(models, threshold=0.5)
