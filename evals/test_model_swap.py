"""May the candidate replace the incumbent? A template for a team's own prompts.

Claim
    On what we send every day the candidate does what the incumbent does: it sorts our mail to the
    same desks, and its replies say the same.
Source
    The question of every change of model or version; Chen, Zaharia and Zou 2023, How Is ChatGPT's
    Behavior Changing over Time? (arXiv:2307.09009), for why the name of a model is no answer.
Refutation
    A score below .9 on desks or below .8 on replies: the two differ by more than each does by
    itself. For the decision to replace, an interval of the score that reaches below 1 - margin.
Control
    The ceiling: the incumbent does not agree with itself either, and the score forgives that.
    Accuracy on desks stands beside agreement: a candidate may differ by being better.
Decision rule
    Both groups reach their scores, and on desks the candidate is equivalent: with .95 confidence
    the two are no more than the margin less alike than each is to itself. Choose the margin before
    you look, and the number of prompts by the margin: thirty settle .15, and .05 takes sixty even
    where the two never differ. Put your prompts into MAIL and your models into the marker, the
    incumbent first, or name them with --convergence-candidate and --convergence-incumbent.
"""

import pytest

from pytest_convergence import assert_converges, assert_equivalent, labels

MARGIN = 0.15

pytestmark = pytest.mark.convergence(models=("sim/alpha", "sim/beta"), margin=MARGIN)

DESKS = ("billing", "delivery", "returns", "account", "technical")

MAIL = [
    pytest.param("I was charged twice for order 5512.", "billing", id="double-charge"),
    pytest.param(
        "The courier says my parcel was left with a neighbour, but nobody here has it.",
        "delivery",
        id="parcel-neighbour",
    ),
    pytest.param(
        "These boots are a size too small and I would like to send them back.",
        "returns",
        id="wrong-size",
    ),
    pytest.param(
        "Each time I reset my password the page asks me to reset it again.",
        "account",
        id="password-loop",
    ),
    pytest.param(
        "Your app closes itself as soon as I open the basket.", "technical", id="app-crash"
    ),
    pytest.param(
        "Please send me an invoice that shows the value added tax.", "billing", id="invoice-vat"
    ),
    pytest.param(
        "I have moved and need the address in my profile changed.", "account", id="change-address"
    ),
    pytest.param(
        "It has been nine days and the tracking has not moved.", "delivery", id="late-parcel"
    ),
    pytest.param(
        "The vase arrived in three pieces; I want my money back.", "returns", id="broken-vase"
    ),
    pytest.param(
        "The coupon from your letter is refused at checkout, though it is valid until June.",
        "billing",
        id="coupon-refused",
    ),
    pytest.param("Close my customer account and erase my data, please.", "account", id="delete-me"),
    pytest.param(
        "On my tablet the shop shows nothing but a white page.", "technical", id="blank-screen"
    ),
    pytest.param(
        "My aunt got the blue lamp as a gift and would rather have the green one.",
        "returns",
        id="gift-wrong",
    ),
    pytest.param("Can I pay for the sofa in six rates?", "billing", id="installments"),
    pytest.param(
        "How long does the pickup point keep a box before it goes back?",
        "delivery",
        id="pickup-point",
    ),
    pytest.param(
        "I have two customer numbers by mistake; can they be joined?", "account", id="two-accounts"
    ),
    pytest.param(
        "The doorbell camera will not pair with my router.", "technical", id="camera-pairing"
    ),
    pytest.param(
        "You took the jacket back three weeks ago and I still wait for the money.",
        "returns",
        id="refund-wait",
    ),
    pytest.param(
        "My card has expired and the subscription was not paid.", "billing", id="card-expired"
    ),
    pytest.param(
        "Do you ship pianos to the islands, and what does it cost?",
        "delivery",
        id="island-shipping",
    ),
    pytest.param("I get your newsletter four times a day.", "account", id="newsletter"),
    pytest.param("After the update the heater shows error E7.", "technical", id="firmware"),
    pytest.param("There was no return label in the carton.", "returns", id="label-missing"),
    pytest.param(
        "Why do I have to pay a reminder fee if I paid in time?", "billing", id="reminder-fee"
    ),
    pytest.param(
        "The driver rang at five in the morning; kindly come after nine.",
        "delivery",
        id="night-delivery",
    ),
    pytest.param("Since my wedding I have another surname.", "account", id="name-change"),
    pytest.param("When I search for rugs I only see radios.", "technical", id="search-broken"),
    pytest.param("The book I bought as new is full of pencil notes.", "returns", id="used-item"),
    pytest.param("You billed me in dollars although I live in Ghent.", "billing", id="currency"),
    pytest.param(
        "Only one of my four chairs has come; where are the rest?", "delivery", id="split-order"
    ),
    pytest.param(
        "My gift card balance is right, but your till rejects the card.",
        "billing",
        id="gift-card-lock",
    ),
]

WHICH_DESK = (
    "Which desk answers this message: billing, delivery, returns, account or technical? "
    "Answer in one word.\n\n{prompt}"
)


@pytest.mark.convergence(
    capability="routing", label=labels.matches(), template=WHICH_DESK, threshold=0.9
)
@pytest.mark.parametrize(("prompt", "answer"), MAIL)
def test_the_same_desk(prompt, answer, models):
    assert_converges(models, threshold=0.8)


@pytest.mark.convergence(
    capability="replies",
    metric="embedding",
    template="Write a short reply to this message of a customer.\n\n{prompt}",
    threshold=0.8,
)
@pytest.mark.parametrize(("prompt", "answer"), MAIL)
def test_the_same_reply(prompt, answer, models):
    assert_converges(models, threshold=0.6)


def desk(response, data):
    """The one desk that a reply names; a reply that names none or several has no label."""
    named = [name for name in DESKS if name in response.text.lower()]
    return named[0] if len(named) == 1 else None


@pytest.mark.convergence(
    capability="routing",
    label=desk,
    template=WHICH_DESK,
    prompts={mail.id: mail.values[0] for mail in MAIL},
    samples=3,
)
def test_the_candidate_may_replace_the_incumbent(models):
    incumbent, candidate = models
    assert_equivalent(models, candidate=candidate, incumbent=incumbent, margin=MARGIN)
