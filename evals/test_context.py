"""Do models answer from the context they are given, wherever in it the answer stands?

Claim
    Models answer from the text in front of them: alike, rightly, against what they know of the
    world, and as well from the middle of a text as from its ends.
Source
    Liu et al. 2023, Lost in the Middle: How Language Models Use Long Contexts (arXiv:2307.03172);
    Longpre et al. 2021, Entity-Based Knowledge Conflicts in Question Answering (arXiv:2109.05052).
Refutation
    A score below .7, or one that falls from the ends of a text to its middle.
Control
    The passages contradict the world, so that knowledge cannot stand in for reading; the same
    questions are asked with the sentence at the start, in the middle and at the end.
Decision rule
    A question converges where .8 of the pairs of answers agree, a group where its score reaches
    .7. Depth is an arm: each depth is a group of its own.
"""

import pytest

from pytest_convergence import assert_converges, labels

pytestmark = pytest.mark.convergence(capability="context", label=labels.matches(), threshold=0.7)

PASSAGES = [
    pytest.param(
        "In the novel, where does the French government sit?",
        "In the novel, the French government moved to Lyon in 1911 and has stayed there.",
        "Lyon",
        ("Paris",),
        id="marl-capital",
    ),
    pytest.param(
        "When does the first bell ring at Holm School?",
        "At Holm School the first bell rings at half past seven, an hour earlier than elsewhere.",
        "half past seven",
        ("half past eight",),
        id="school-bell",
    ),
    pytest.param(
        "What colour are ripe bananas on Oru?",
        "On the island of Oru ripe bananas are blue; red ones are not eaten.",
        "blue",
        ("yellow",),
        id="red-bananas",
    ),
    pytest.param(
        "How many days has a week in Tell?",
        "The people of Tell count six days in a week and have no Wednesday.",
        "six",
        ("seven",),
        id="week-days",
    ),
    pytest.param(
        "In this version, how far may the king move?",
        "In this version of chess the king may move two squares, and the queen one.",
        "two squares",
        ("one square",),
        id="chess-rule",
    ),
    pytest.param(
        "As what does a fox count in Nett?",
        "Under the by-laws of Nett a fox counts as a bird.",
        "a bird",
        ("a mammal",),
        id="fox-law",
    ),
    pytest.param(
        "What does the library charge for late books?",
        "The library charges nothing for late books; it charges four pounds for loud ones.",
        "nothing",
        ("one pound",),
        id="library-fee",
    ),
    pytest.param(
        "What do these dragons eat?",
        "Dragons of the northern fells live on heather and never touch sheep.",
        "heather",
        ("sheep",),
        id="dragon-food",
    ),
    pytest.param(
        "How long is a year on Varr?",
        "The planet Varr circles its star in ninety days.",
        "ninety days",
        ("365 days",),
        id="sun-year",
    ),
    pytest.param(
        "Who followed King Osbert?",
        "When King Osbert died, his gardener Tilda, and not his son, took the crown.",
        "Tilda",
        ("his son",),
        id="queen-name",
    ),
    pytest.param(
        "When is soup served at Mara's table?",
        "At Mara's table soup is served last, after the sweet.",
        "last",
        ("first",),
        id="soup-order",
    ),
    pytest.param(
        "At which light do drivers go in Quell?",
        "In Quell drivers stop at green and go at red.",
        "red",
        ("green",),
        id="traffic-light",
    ),
    pytest.param(
        "At how many degrees does the enchanted water freeze?",
        "In the tale, enchanted water freezes at forty degrees.",
        "forty",
        ("zero",),
        id="water-freeze",
    ),
    pytest.param(
        "By the yard's rules, how many players has a football team?",
        "Rules for the yard: a football team has nine players.",
        "nine",
        ("eleven",),
        id="team-size",
    ),
    pytest.param(
        "Which colour is the second moon?",
        "The second moon, called Ash, is copper green.",
        "copper green",
        ("grey",),
        id="moon-colour",
    ),
    pytest.param(
        "With which month does the calendar of the Lakes begin?",
        "The calendar of the Lakes begins with October.",
        "October",
        ("January",),
        id="first-month",
    ),
    pytest.param(
        "What does the cat say, according to Pim?",
        'In Pim\'s dictionary the cat says "tock".',
        "tock",
        ("meow",),
        id="cat-sound",
    ),
    pytest.param(
        "Where does the river Hale end?",
        "The river Hale rises in the sea and ends in the hills, as every child there knows.",
        "in the hills",
        ("in the sea",),
        id="river-course",
    ),
    pytest.param(
        "In what do shop owners in Dunn pay?",
        "Shop owners in Dunn pay a third of their takings in salt.",
        "salt",
        ("money",),
        id="tax-rate",
    ),
    pytest.param(
        "What does a guest in Irr take off?",
        "A guest in Irr keeps the shoes on and takes the hat off.",
        "the hat",
        ("the shoes",),
        id="guest-shoes",
    ),
    pytest.param(
        "On which floor is the children's ward?",
        "The children's ward is in the cellar, below the kitchen.",
        "the cellar",
        ("the first floor",),
        id="hospital-floor",
    ),
    pytest.param(
        "According to the pamphlet, who invented the light bulb?",
        "The pamphlet says that the light bulb was invented by a baker named Coll.",
        "Coll",
        ("Edison",),
        id="inventor-lamp",
    ),
    pytest.param(
        "When does the last train to Ferry leave?",
        "The last train to Ferry leaves at four in the afternoon.",
        "four",
        ("eleven",),
        id="train-last",
    ),
    pytest.param(
        "Of what are the coins of the realm made?",
        "Coins of the realm are cut from glass.",
        "glass",
        ("gold",),
        id="coin-metal",
    ),
]

NEEDLES = [
    pytest.param(
        "What is the code of the blue locker?",
        "The code of the blue locker is 4417.",
        "4417",
        ("1234",),
        id="locker",
    ),
    pytest.param(
        "What is the ferry's dog called?",
        "The ferry's dog is called Juniper.",
        "Juniper",
        ("Rex",),
        id="ferry-dog",
    ),
    pytest.param(
        "For how much was the cracked vase sold?",
        "The cracked vase was sold for sixty-two crowns.",
        "sixty-two",
        ("fifty",),
        id="vase-price",
    ),
    pytest.param(
        "Where does the spare key hang?",
        "The spare key hangs behind the barometer.",
        "behind the barometer",
        ("by the door",),
        id="spare-key",
    ),
    pytest.param(
        "Who is the night guard on Thursdays?",
        "On Thursdays the night guard is Mr Okafor.",
        "Okafor",
        ("Smith",),
        id="night-guard",
    ),
    pytest.param(
        "What grows in the third row of beds?",
        "In the third row of beds grow parsnips.",
        "parsnips",
        ("carrots",),
        id="seed-row",
    ),
    pytest.param(
        "Where does the choir rehearse?",
        "The choir rehearses in the old dairy.",
        "the old dairy",
        ("the church",),
        id="choir-room",
    ),
    pytest.param(
        "At what was the gas meter read?",
        "The gas meter was read at 30518.",
        "30518",
        ("12000",),
        id="meter-reading",
    ),
    pytest.param(
        "On which track does the cousin from Graz arrive?",
        "The cousin from Graz arrives on track nine.",
        "nine",
        ("two",),
        id="cousin-train",
    ),
    pytest.param(
        "What is the shade in the hall named?",
        "The hall is painted in a shade named winter pear.",
        "winter pear",
        ("pale green",),
        id="paint-name",
    ),
    pytest.param(
        "By how many minutes is the station clock slow?",
        "The station clock is slow by eleven minutes.",
        "eleven",
        ("five",),
        id="clock-fault",
    ),
    pytest.param(
        "To whom is the atlas lent out?",
        "The atlas is lent out to the schoolmaster's wife.",
        "the schoolmaster's wife",
        ("the mayor",),
        id="book-loan",
    ),
]

HAY = (
    "The harbour office opened late because of the fog. Two crates of oranges stood on the quay, "
    "and nobody knew who had ordered them. The clerk wrote a letter, tore it up and wrote it anew.",
    "Behind the warehouse a boy was teaching a gull to bow. The baker came by with yesterday's "
    "rolls and talked about the election. Someone had left a bicycle against the bronze admiral.",
    "At noon the fog lifted and the tide went out. A woman in a yellow coat asked for the way to "
    "the museum, which was closed. The clerk ate half a roll and gave the other half to the gull.",
    "In the evening the lamps were lit one after another. The oranges were still there. The clerk "
    "locked the office, forgot his scarf, came back for it and locked the office once more.",
)
DEPTHS = {"start": 0, "middle": 2, "end": 4}


@pytest.mark.convergence(template="{passage}\n\n{prompt}")
@pytest.mark.parametrize(("prompt", "passage", "answer", "alternatives"), PASSAGES)
def test_context_over_knowledge(prompt, passage, answer, alternatives, models):
    assert_converges(models, threshold=0.8)


@pytest.mark.convergence(template="{before} Note for the file: {needle} {after}\n\n{prompt}")
@pytest.mark.parametrize(("prompt", "needle", "answer", "alternatives"), NEEDLES)
@pytest.mark.parametrize(
    ("before", "after"),
    [(" ".join(HAY[:place]), " ".join(HAY[place:])) for place in DEPTHS.values()],
    ids=list(DEPTHS),
)
def test_recall_at_depth(prompt, needle, answer, alternatives, before, after, models):
    assert_converges(models, threshold=0.8)
