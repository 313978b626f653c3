"""Which language is a text in? By script and by its most frequent words."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

# The function words by which a text of a sentence or more gives its language away.
_WORDS = {
    "en": "the of and to in is that it for was with as on are be this by have from at not but i"
    " you had what will which an or there she he they we his her has would my if me no so do",
    "de": "der die das und ist nicht ein eine ich zu den von mit auf für im dem des es sich auch"
    " aber wie wir sie er bei nach aus wenn oder kann nur noch heute keine habe unter wird sind",
    "fr": "le la les des est et un une du que qui dans pour pas je il elle ne sur au ce avec plus"
    " mais nous vous sont par se son sa très aux cette être ai n'ai c'est d'une j'ai",
    "es": "el la los las de que y en un una es por con no para se lo del al su más pero como está"
    " hay muy yo tengo debajo este esta son también fue mañana hoy sus le mi",
    "pt": "o a os as de que e em um uma é por com não para se do da dos das no na mais mas como"
    " muito eu tenho este esta são também foi amanhã hoje ao seu sua você vou",
    "it": "il lo la i gli le di che e in un una è per con non si del della dei nel più ma come"
    " molto ho questo questa sono anche oggi domani al suo alla da verrò",
    "nl": "de het een en van is dat niet in op te zijn voor met die ik je aan er maar om ook als"
    " bij nog naar heb wordt dit geen we ze hij onder vandaag",
}  # fmt: skip
_FREQUENT = {code: frozenset(words.split()) for code, words in _WORDS.items()}
_SCRIPTS = {
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
    "CYRILLIC": "ru",
    "ARABIC": "ar",
    "HEBREW": "he",
    "GREEK": "el",
    "THAI": "th",
    "DEVANAGARI": "hi",
    "CJK": "zh",
}
LANGUAGES = tuple(sorted({*_WORDS, *_SCRIPTS.values()}))


def language(text: str) -> str | None:
    """The code of the language that most of the text is in; None where it cannot be told.

    A script stands for the language most often written in it: Cyrillic for Russian, and so on.
    """
    scripts = Counter(_script(character) for character in text[:20_000] if character.isalpha())
    total = sum(scripts.values())
    if not total:
        return None
    if scripts["ja"] and scripts["ja"] + scripts["zh"] > total / 2:
        return "ja"
    common, count = scripts.most_common(1)[0]
    if common != "latin":
        return common if count > total / 2 else None
    said = re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)*", text[:20_000].lower())
    scores = {code: sum(word in words for word in said) for code, words in _FREQUENT.items()}
    ranked = sorted(scores.values(), reverse=True)
    best = max(scores, key=lambda code: scores[code])
    return best if ranked[0] > ranked[1] else None


def _script(character: str) -> str:
    if character < "\u0250":
        return "latin"
    name = unicodedata.name(character, "").split()
    return _SCRIPTS.get(name[0] if name else "", "other")
