"""Do models agree on plain facts, and are they right where they agree?

Claim
    Current models give the same answers to common questions of fact, and agree on them more than
    on anything else: the limits of what can be true leave little room to differ.
Source
    Huh et al. 2024, The Platonic Representation Hypothesis (arXiv:2405.07987), for convergence of
    what models know; Kim et al. 2025, Correlated Errors in Large Language Models
    (arXiv:2506.07962), for why agreement has to be read beside accuracy: models also share errors.
Refutation
    A score below .7: on these questions knowing one model's answer says little of another's.
Control
    Chance agreement (the floor) is taken out of the score; accuracy stands beside it, since models
    that share a wrong answer agree too.
Decision rule
    A question converges where at least .8 of the pairs of answers from two models name the same
    answer; the group where its score reaches .7.
"""

import pytest

from pytest_convergence import assert_converges, labels

pytestmark = pytest.mark.convergence(
    capability="truthfulness", label=labels.matches(), samples=5, threshold=0.7
)

FACTS = [
    pytest.param(
        "Which city is the seat of Australia's federal parliament?",
        "Canberra",
        id="australia-capital",
    ),
    pytest.param("Name the city from which Turkey is governed.", "Ankara", id="turkey-capital"),
    pytest.param("What is the capital city of Canada?", "Ottawa", id="canada-capital"),
    pytest.param(
        "In which city does New Zealand's government sit?", "Wellington", id="new-zealand-capital"
    ),
    pytest.param(
        "Where do the Swiss federal authorities have their seat?", "Bern", id="switzerland-capital"
    ),
    pytest.param(
        "Which Nigerian city replaced Lagos as the national capital?", "Abuja", id="nigeria-capital"
    ),
    pytest.param(
        "From which city is the Kingdom of Morocco administered?", "Rabat", id="morocco-capital"
    ),
    pytest.param("Which city is the capital of Vietnam today?", "Hanoi", id="vietnam-capital"),
    pytest.param(
        "Which planet of the solar system has the greatest mass?", "Jupiter", id="heaviest-planet"
    ),
    pytest.param(
        "On which planet is the mean surface temperature highest?", "Venus", id="hottest-planet"
    ),
    pytest.param("Which element has the chemical symbol K?", "potassium", id="element-k"),
    pytest.param(
        "What is the English name of the element written W in the periodic table?",
        "tungsten",
        id="element-w",
    ),
    pytest.param("Which gas makes up most of the air we breathe?", "nitrogen", id="air"),
    pytest.param("Name the lightest of all chemical elements.", "hydrogen", id="light-gas"),
    pytest.param("How many bones does a typical adult human skeleton contain?", "206", id="bones"),
    pytest.param("An octopus has how many hearts?", "three", id="octopus-hearts"),
    pytest.param("What is the largest organ of the human body?", "skin", id="largest-organ"),
    pytest.param(
        "Name the longest bone in a person's leg, or anywhere else in the body.",
        "femur",
        id="longest-bone",
    ),
    pytest.param("Which hot desert covers the largest area?", "Sahara", id="hot-desert"),
    pytest.param("Of all lakes on Earth, which one is the deepest?", "Baikal", id="deepest-lake"),
    pytest.param(
        "What is the highest mountain on the African continent called?",
        "Kilimanjaro",
        id="african-peak",
    ),
    pytest.param("Whose novel is Frankenstein?", "Mary Shelley", id="frankenstein"),
    pytest.param(
        "The Night Watch was painted by which Dutch artist?", "Rembrandt", id="night-watch"
    ),
    pytest.param("Who composed the opera The Magic Flute?", "Mozart", id="magic-flute"),
    pytest.param(
        "Which scientist noticed that a mould, penicillin, kills bacteria?",
        "Fleming",
        id="penicillin",
    ),
    pytest.param("Who found that planets move round the sun in ellipses?", "Kepler", id="ellipses"),
    pytest.param("In what year was the Berlin Wall opened?", "1989", id="berlin-wall"),
    pytest.param(
        "When did people first walk on the Moon? Give the year.", "1969", id="moon-landing"
    ),
    pytest.param("The Titanic sank in which year?", "1912", id="titanic"),
    pytest.param(
        "How many degrees do the angles of a flat triangle add up to?", "180", id="triangle"
    ),
    pytest.param("Work out seven times eight.", "56", id="seven-eights"),
    pytest.param("Which positive number, multiplied by itself, makes 169?", "13", id="root-169"),
    pytest.param("A dodecagon is a polygon with how many sides?", "12", id="dodecagon"),
    pytest.param(
        "Over a short distance, which land animal runs fastest?", "cheetah", id="fastest-runner"
    ),
    pytest.param("Which living bird lays the largest egg?", "ostrich", id="largest-egg"),
    pytest.param(
        "Which language is spoken natively by the most people?", "Mandarin", id="native-speakers"
    ),
]


@pytest.mark.parametrize(("prompt", "answer"), FACTS)
def test_facts(prompt, answer, models):
    assert_converges(models, threshold=0.8)
