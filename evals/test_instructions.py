"""Do models follow the same instructions, and break the same ones?

Claim
    Where an instruction can be verified, models follow and break the same ones: what is hard for
    one model is hard for the others.
Source
    Zhou et al. 2023, Instruction-Following Evaluation for Large Language Models (arXiv:2311.07911),
    for instructions that a program verifies; Sclar et al. 2024, Quantifying Language Models'
    Sensitivity to Spurious Features in Prompt Design (arXiv:2310.11324), for rewording.
Refutation
    A score below .5: which instructions one model breaks says little of which another breaks.
Control
    Chance agreement is taken out: two models that follow nine of ten instructions agree on four of
    five by chance. The share followed (accuracy) stands beside the agreement.
Decision rule
    The group converges where the chance-corrected agreement on "followed" and on what was broken
    reaches .5. Following survives a rewording where .6 of the pairs agree under every variant.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_convergence import assert_converges, labels
from pytest_convergence.represent.labels import check
from pytest_convergence.strategies import replayable, variants

pytestmark = pytest.mark.convergence(
    capability="instruction following", label=labels.instructions(), threshold=0.5
)

INSTRUCTIONS = [
    pytest.param(
        "Explain why bread rises. Use at most ten words.",
        [check("words", at_most=10)],
        id="ten-words-bread",
    ),
    pytest.param(
        "What causes tides? Answer in exactly two sentences.",
        [check("sentences", exactly=2)],
        id="two-sentences-tide",
    ),
    pytest.param(
        "List what to take on a camping trip as three bullet points, each beginning with a dash.",
        [check("bullets", exactly=3)],
        id="three-bullets-camping",
    ),
    pytest.param(
        "Describe an owl in one sentence without any capital letter.",
        [check("lowercase")],
        id="lower-case-owl",
    ),
    pytest.param(
        "Write a warning about a wet floor in capital letters only.",
        [check("uppercase")],
        id="upper-case-warning",
    ),
    pytest.param(
        "Give a made-up book as a JSON object with the keys title and pages, and nothing else.",
        [check("json", keys=["title", "pages"])],
        id="json-book",
    ),
    pytest.param(
        "Describe a busy station in a sentence that has no comma.",
        [check("no_commas")],
        id="no-letter-comma",
    ),
    pytest.param(
        "Write a line about a harbour that contains the word lantern.",
        [check("includes", words=["lantern"])],
        id="include-lantern",
    ),
    pytest.param(
        "Praise a good dinner without the word very.",
        [check("excludes", words=["very"])],
        id="exclude-very",
    ),
    pytest.param(
        "Tell something about a walk; the first word must be Yesterday.",
        [check("starts_with", text="Yesterday")],
        id="start-yesterday",
    ),
    pytest.param(
        "Comment on the weather in one sentence that ends with a question mark.",
        [check("ends_with", text="?")],
        id="end-question",
    ),
    pytest.param(
        "Describe the Moon in exactly five words.",
        [check("words", exactly=5)],
        id="five-words-moon",
    ),
    pytest.param(
        "Explain how to make tea in four numbered steps.",
        [check("numbered", exactly=4)],
        id="numbered-tea",
    ),
    pytest.param(
        "Do penguins lay eggs? Reply with one word, yes or no.",
        [check("words", at_most=1)],
        id="yes-no-only-penguin",
    ),
    pytest.param(
        "Compare town and country in two paragraphs separated by an empty line.",
        [check("paragraphs", exactly=2)],
        id="two-paragraphs-city",
    ),
    pytest.param(
        "Give a proverb about patience in double quotation marks, and only that.",
        [check("pattern", regex=r'^"[^"]+"$')],
        id="quotes-proverb",
    ),
    pytest.param(
        "Name four fruits in one line, separated by semicolons.",
        [check("pattern", regex=r"^[^;\n]+(;[^;\n]+){3}$")],
        id="csv-fruits",
    ),
    pytest.param(
        "Write the third of April 2031 in the form year-month-day with hyphens, nothing else.",
        [check("pattern", regex=r"^2031-04-03$")],
        id="iso-date",
    ),
    pytest.param(
        "Say something about snow without using the letter e.",
        [check("pattern", regex=r"^[^eE]+$")],
        id="no-e-snow",
    ),
    pytest.param(
        "Repeat this request word for word before you answer: why is the sky blue?",
        [check("includes", words=["why is the sky blue?"])],
        id="repeat-first",
    ),
    pytest.param(
        "Write a headline about a lost parrot in which every word begins with a capital letter.",
        [check("title_case")],
        id="title-case-headline",
    ),
    pytest.param(
        "Write a one-line note to a landlord and add a postscript that begins with P.S.",
        [check("includes", words=["P.S."])],
        id="postscript",
    ),
    pytest.param(
        "Describe an orchard in at least thirty words.",
        [check("words", at_least=30)],
        id="at-least-thirty",
    ),
    pytest.param(
        "Greet a guest in French, in French only.",
        [check("language", code="fr")],
        id="french-greeting",
    ),
    pytest.param(
        "Thank a colleague in German for help with a move; write only German.",
        [check("language", code="de")],
        id="german-thanks",
    ),
    pytest.param(
        "Suggest exactly three hashtags for a bicycle repair shop.",
        [check("pattern", regex=r"^#\w+ #\w+ #\w+$")],
        id="three-hashtags",
    ),
    pytest.param(
        "Draft an invitation that holds the placeholders [name] and [date].",
        [check("includes", words=["[name]", "[date]"])],
        id="placeholder-form",
    ),
    pytest.param(
        "Explain how to boil an egg without any digit.",
        [check("pattern", regex=r"^\D+$")],
        id="no-digits-recipe",
    ),
    pytest.param(
        "Put a haiku about moss on a single line, its parts divided by slashes.",
        [check("pattern", regex=r"^[^/\n]+/[^/\n]+/[^/\n]+$")],
        id="single-line-haiku",
    ),
    pytest.param(
        "Enclose the name of a gemstone in the tag <gem> and write nothing outside it.",
        [check("pattern", regex=r"^<gem>[^<]+</gem>$")],
        id="xml-tag",
    ),
    pytest.param(
        "Name five animals in alphabetical order, one a line.",
        [check("pattern", regex=r"^[^\n]+(\n[^\n]+){4}$")],
        id="alphabetical",
    ),
    pytest.param(
        "Return the vowels of the English alphabet as a JSON list of strings, nothing else.",
        [check("json"), check("pattern", regex=r"^\[.*\]$")],
        id="json-list",
    ),
]


@pytest.mark.parametrize(("prompt", "instructions"), INSTRUCTIONS)
def test_instructions(prompt, instructions, models):
    assert_converges(models, threshold=0.6)


@replayable
@given(data=st.data())
@pytest.mark.parametrize(("request_text", "instructions"), INSTRUCTIONS[:8:2])
def test_following_survives_rewording(request_text, instructions, models, data):
    variant = data.draw(variants(request_text, kinds=["politeness", "persona", "whitespace"]))
    answers = models.sample(
        variant.prompt, prompt_id=f"{request_text[:20]}-{variant.id}", samples=3
    )
    assert_converges(answers, threshold=0.6)
