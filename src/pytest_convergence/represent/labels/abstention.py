"""Does the model answer at all? Not knowing, not being able to tell, and declining abstain."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_convergence.models.response import Response
from pytest_convergence.represent.features import Label
from pytest_convergence.represent.labels.reading import plain, sentences, unusable, words
from pytest_convergence.represent.labels.refusals import classify, own_words

_ABSTAINS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\b(?:i|we)(?:'m| am| are|'re)? ?(?:\w+ )?(?:do(?:n't"
        r"| not)) (?:\w+ )?know\b(?! (?:of )?any"
        r"| him| her| them)",
        r"\bi(?:'m| am) (?:\w+ ){0,2}?(?:not (?:\w+ )?(?:sure|certain|aware)|uncertain|unsure)\b",
        r"\b(?:i|we)(?: \w+)? (?:can't|cannot|can not|couldn't|could not|am not able to)(?: \w+)?"
        r" (?:answer|say|tell|know|determine|predict|verify|see|find|be sure|judge|choose"
        r"|confirm)\b",
        r"\b(?:i'm|i am) (?:\w+ )?unable to (?:say|answer|determine|tell|verify|predict|find"
        r"|confirm)",
        r"\bi(?:'m| am)? ?(?:do not|don't) have (?:\w+ )?(?:enough|that|any|access|the|sufficient"
        r"|personal|information|data)\b",
        r"\b(?:no|not enough|isn't enough|insufficient) (?:information|evidence|data|context)\b",
        r"\bi(?:'d| would) (?:need|have to (?:guess|know|see))\b",
        r"\b(?:i have )?no (?:idea|way (?:of|to|for me to) (?:know|tell|say))",
        r"\bno ?(?:one|body) (?:can |could )?(?:knows?|say|tells?|predict)\b"
        r"(?! (?:it|him|her|them) )",
        r"\b(?:impossible|not possible) (?:for me )?to (?:know|say|predict|tell|determine"
        r"|answer)\b",
        r"\b(?:can(?:'t|not| not)|could not) be (?:known|determined|answered|predicted|verified)\b",
        r"\b(?:text|passage|document|article|question|story|context) (?:does not|doesn't|do not)"
        r" (?:\w+ )?(?:say|mention|state|specify|tell|give|contain|provide)",
        r"\b(?:is|are|it's|isn't|not) (?:not |un)?(?:clear|known|stated|mentioned"
        r"|specified) (?:from|in)"
        r" (?:the|this) (?:text|passage|document|article|question|story|context)",
        r"\b(?:training|knowledge) (?:data |cutoff )?(?:ends|end|stops|only goes|was)\b",
        r"^\W*(?:unknown|unanswerable|n/a|undetermined|no answer|uncertain|not known|not sure)\W*$",
        r"\b(?:we|scientists) (?:do not|don't) (?:yet )?know\b",
        r"^\W*(?:could|can) you (?:please )?(?:clarify|specify|share|provide|tell me|explain"
        r"|give)\b",
        r"\b(?:i|we)(?: \w+)? (?:don't|do not|can't|cannot|can not|haven't|have not) (?:\w+ ){0,2}?"
        r"(?:recall|remember|retain|discussed|mentioned|talked|interacted|spoken|had (?:a|any)"
        r"|started"
        r"|believe i mentioned)\b",
        r"\bi (?:\w+ )?(?:don't|do not) (?:\w+ )?(?:have|keep|see) (?:\w+ ){0,3}?(?:text|memory"
        r"|record|history|context|conversation|information|ability|access|message|file|image)\b",
        r"\bneed (?:a bit |a little |some )?more (?:context|information|details)\b",
        r"\b(?:beginning|start) of (?:our|this) conversation\b|\bthis is the first message\b",
        r"\b(?:could|can|would) you (?:please )?(?:remind|specify|clarify) ",
        r"\bnot able to (?:provide|give) (?:\w+ ){0,2}?(?:real-time|current|live|forecasts?)\b",
        r"\bi have no (?:personal|information|data|knowledge|memory|record)\b",
        r"\bno (?:lo )?sé\b|\bno tengo (?:suficiente|información)|\bje ne sais pas\b|\bnão sei\b"
        r"|\bnon (?:lo )?so\b|\bweiß (?:ich )?(?:es |das )?(?:leider )?nicht\b"
        r"|не знаю|不知道|不清楚"
        r"|わかりません|分かりません|모르겠|모릅니다|\bweet (?:ik )?(?:het )?niet\b",
    )
)
_INNOCENT = re.compile(
    r", (?:wrote|writes|said|says) [A-Z]|^\W*(?:if|when|while|because|since you|not sure\?)"
    r"|\b(?:you|she|he|they|author|says?) .{0,20}"
    r"(?:do(?:es)?|did)(?:n't| not) know\b|\bknow that\b(?!\W*$"
    r"| (?:for|in|with|without|from|until|yet|either|about)\b)|\bno one (?:has|knows it)\b"
    r"|\bnobody knows it\b|\bunknown (?:to|x|y|variable|quantity)\b|\bunclear to many\b",
    re.IGNORECASE,
)
_ANSWERS_AFTER_ALL = re.compile(
    r"\b(?:but|however|though|although|yet|still|that said)\b[\s,]*(?:\w+ ){0,3}?(?:i(?:'d| would)?"
    r" (?:think|believe|guess|say|go)|(?:it|he|she|that|this)(?:'s| is| was| could| may| might)"
    r"|probably|likely|roughly|about|around|most|the answer|people often|my (?:best )?guess)\b"
    r"|\bmy (?:best )?guess\b|\bi(?:'d| would) (?:go with|guess|estimate)\b|\bi (?:think"
    r"|believe) it\b"
    r"|\bmost (?:\w+ )?(?:think|believe|experts|scientists|economists|likely)\b",
    re.IGNORECASE,
)
# Explanations of what a model is, offers and questions are no answer.
_ABOUT_THE_TALK = re.compile(
    r"\?$|\b(?:i|i'm|i'll|i'd|i've|me|my|we|our|let's|please|feel free|each (?:conversation"
    r"|interaction)|assistant|language model|if you|you can|you could|you would)\b",
    re.IGNORECASE,
)
_LONGEST_AFTERTHOUGHT = 35


@dataclass(frozen=True, slots=True)
class Abstention:
    """Labels ``abstain`` and ``answer``; see :func:`abstention`."""

    name: str = "abstention"
    version: str = "1"

    def __call__(self, response: Response, data: Mapping[str, Any]) -> Label:  # noqa: ARG002
        """Whether an answer is given. A provider's own refusal abstains."""
        if response.refused or (
            response.missing is None and response.finish in ("refusal", "content_filter")
        ):
            return Label("abstain", why="the provider declined")
        without = unusable(response)
        if without is not None:
            return without
        reason = _why(response.text)
        return Label("abstain", why=reason) if reason else Label("answer")


def abstention() -> Abstention:
    """A labeller of ``abstain`` and ``answer``.

    To abstain is not to know, to say that it cannot be known, to lack what the question needs, to
    ask back, or to decline in full. A hedged answer (``I'm not sure, but I think 1887``) answers.
    """
    return Abstention()


def _why(text: str) -> str:
    value, reason = classify(text)
    if value == "full":
        return reason
    said = own_words(plain(text))
    if _ANSWERS_AFTER_ALL.search(said):
        return ""
    parts = sentences(said)
    found = [part for part in parts[:3] if _abstains(part)]
    if not found:
        return ""
    after = parts[parts.index(found[0]) + 1 :]
    before = parts[: parts.index(found[0])]
    amount = sum(len(words(part)) for part in after if not _ABOUT_THE_TALK.search(part))
    told = sum(len(words(part)) for part in before) > 12
    return "" if amount > _LONGEST_AFTERTHOUGHT or told else found[0]


def _abstains(sentence: str) -> bool:
    if _INNOCENT.search(sentence):
        return False
    return any(pattern.search(sentence) for pattern in _ABSTAINS)
