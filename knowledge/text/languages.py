"""Guesses the language of a text by its script, its function words and its letters. Does no I/O.

Serves the choice of a stemmer. A language is named by its ISO 639-1 code. English is the default of the search terms,
so texts in English, and texts that tell nothing, have no language here.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache

STEMMERS = {
    "ar": "arabic",
    "ca": "catalan",
    "cs": "czech",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "es": "spanish",
    "fa": "persian",
    "fi": "finnish",
    "fr": "french",
    "hi": "hindi",
    "hu": "hungarian",
    "hy": "armenian",
    "it": "italian",
    "nl": "dutch",
    "no": "norwegian",
    "pl": "polish",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
}
"""The Snowball stemmer of each language that is told apart."""

ENGLISH = "en"
MIN_FUNCTION_WORDS = 2.0
MIN_SHARE = 0.04
"""A document in a language has at least this many of its function words, and this share of all its words.

Each function word counts once. Source code has a few of them, again and again. A word with a letter that only few
languages have counts as half a function word.
"""
MAX_WORDS = 400
"""Number of words of a text that are looked at."""

_FUNCTION_WORDS = {
    ENGLISH: "the of and to in is that for it as with on are this be by from or an have not which you was at they has "
    "what how when where who why does do can will should would we our your their there if than but all any no",
    "de": "der die das und ist nicht ein eine einer eines einem einen den dem des zu zum zur mit von vom für auf im "
    "in wird werden sind sich auch als bei nach oder aus wie wer wann wo was warum welche welcher welches "
    "kann können muss müssen darf dürfen wir ich ihr sie es man haben hat wenn dass nur noch über unter vor "
    "durch kein keine",
    "nl": "de het een en van in is dat op te voor met zijn niet aan er om ook als bij door naar uit wordt worden "
    "kan kunnen moet wat wie waar wanneer hoe welke deze dit die hebben heeft of maar nog over tot je wij "
    "geen",
    "sv": "och att det som en ett är på för med av den till inte om har de jag vi kan ska när var vad vem hur "
    "varför vilken vilket eller från vid efter under utan man blir måste får alla sig så hos hans",
    "da": "og at det som en et er på for med af den til ikke om har de jeg vi kan skal når hvor hvad hvem hvordan "
    "hvorfor hvilken hvilket eller fra ved efter under uden man bliver må får alle sig så hos hans af blive",
    "no": "og at det som en et er på for med av den til ikke om har de jeg vi kan skal når hvor hva hvem hvordan "
    "hvorfor hvilken hvilket eller fra ved etter under uten man blir må får alle seg så hos hans ble ei",
    "fi": "ja on ei se että oli ovat tai kun kuin myös mutta niin joka jotka ole voi hän ne tämä siitä sen mitä "
    "missä milloin miten kuka miksi mukaan jos vain olla sekä",
    "fr": "le la les de des du et en un une est que qui dans pour par sur au aux avec ce cette ces ne pas sont il "
    "elle nous vous ou où quand comment quel quelle quels quelles pourquoi son sa ses leur plus être peut "
    "doit",
    "es": "el la los las de del en un una es que por para con se al lo su sus no como más pero cuando cuándo dónde "
    "qué cuál cuáles quién cómo cuánto cuántos porque está son ha este esta si sin sobre ser puede debe",
    "it": "il lo la gli le di del della dei delle in un una che per con non si da al alla come quando dove chi cosa "
    "quale quali perché quanto sono ha ma più anche nel nella essere può deve questo questa",
    "pt": "os as de do da dos das em um uma que por para com não se no na ao como quando onde quem qual quais "
    "porque quanto são tem ou mas mais também ser pode deve este esta pelo pela seu sua",
    "ca": "el la els les de del dels en un una és que per amb no es al com quan on qui què quin quina perquè són ha "
    "però més també ser pot aquest aquesta seva seu",
    "ro": "și de la în al ale cu pe care este nu un din pentru sau ce când unde cine cum cât sunt au fi mai să se "
    "că prin dacă poate trebuie lui",
    "pl": "na do nie się jest to że jak po za co dla od przez są gdzie kiedy kto ile dlaczego który która które ale "
    "lub oraz być może musi tym tego",
    "cs": "na do ne se je to že jak po za co pro od jsou kde kdy kdo kolik proč který která které ale nebo být může "
    "musí tím toho",
    "hu": "az és hogy nem is egy van ez mint meg már csak de ha volt mi mikor hol ki hogyan miért mennyi melyik "
    "vagy kell lehet azt ezt minden",
    "tr": "ve bir bu da de için ile ne mi mı olarak daha çok kadar gibi nasıl nerede kim neden hangi kaç zaman var "
    "yok ise veya ya en her olan olur",
}
"""Of one letter are none: they are names of variables too."""
_LETTERS = {
    "ß": ("de",),
    "ä": ("de", "sv", "fi"),
    "ö": ("de", "sv", "fi", "hu", "tr"),
    "ü": ("de", "hu", "tr"),
    "å": ("sv", "da", "no"),
    "æ": ("da", "no"),
    "ø": ("da", "no"),
    "ñ": ("es",),
    "ã": ("pt",),
    "õ": ("pt",),
    "ç": ("fr", "pt", "ca", "tr"),
    "è": ("fr", "it", "ca"),
    "ê": ("fr", "pt"),
    "ò": ("it", "ca"),
    "ı": ("tr",),
    "ğ": ("tr",),
    "ş": ("tr", "ro"),
    "ș": ("ro",),
    "ț": ("ro",),
    "ă": ("ro",),
    "ł": ("pl",),
    "ż": ("pl",),
    "ś": ("pl",),
    "ę": ("pl",),
    "ą": ("pl",),
    "ř": ("cs",),
    "ě": ("cs",),
    "ů": ("cs",),
    "ő": ("hu",),
    "ű": ("hu",),
}
_LANGUAGES_OF_WORD: dict[str, tuple[str, ...]] = {}
for _language, _words in _FUNCTION_WORDS.items():
    for _word in set(_words.split()):
        _LANGUAGES_OF_WORD[_word] = (*_LANGUAGES_OF_WORD.get(_word, ()), _language)

_SCRIPTS = (
    (re.compile(r"[\u0370-\u03ff\u1f00-\u1fff]"), "el"),
    (re.compile(r"[\u0400-\u052f]"), "ru"),
    (re.compile(r"[\u0530-\u058f]"), "hy"),
    (re.compile(r"[پچژگ\u06a9\u06cc]"), "fa"),
    (re.compile(r"[\u0620-\u06ff]"), "ar"),
    (re.compile(r"[\u0900-\u097f]"), "hi"),
    (re.compile(r"[\u0b80-\u0bff]"), "ta"),
)

SCRIPTS = tuple(language for _, language in _SCRIPTS)
"""The languages that their script tells."""


def function_words(language: str) -> frozenset[str]:
    """Return the words of a language that say little about the subject of a text, in lower case."""
    return _function_words(language)


@lru_cache
def _function_words(language: str) -> frozenset[str]:
    return frozenset(_FUNCTION_WORDS.get(language, "").split())


def of_script(word: str) -> str | None:
    """Return the language of a word in a script that is not Latin; None if it is Latin or has no stemmer."""
    return next((language for pattern, language in _SCRIPTS if pattern.search(word)), None)


def of_document(words: Sequence[str]) -> tuple[str, ...]:
    """Return the likely languages of a document's words: one, or several that fit equally well.

    Empty for English, and for texts that do not tell.
    """
    likely = _likely(words, max(MIN_FUNCTION_WORDS, MIN_SHARE * min(len(words), MAX_WORDS)))
    return () if ENGLISH in likely else likely


def of_question(words: Sequence[str]) -> tuple[str, ...]:
    """Return the languages that the words of a question may be in, English too; empty if they do not tell.

    One function word is enough.
    """
    return _likely(words, 1.0)


def _likely(words: Sequence[str], least: float) -> tuple[str, ...]:
    scores: defaultdict[str, float] = defaultdict(float)
    for word in {word.lower() for word in words[:MAX_WORDS]}:
        for language in _LANGUAGES_OF_WORD.get(word, ()):
            scores[language] += 1.0
        if not word.isascii():
            for language in {language for letter in set(word) for language in _LETTERS.get(letter, ())}:
                scores[language] += 0.5
    best = max(scores.values(), default=0.0)
    return tuple(sorted(language for language, score in scores.items() if score == best >= least))
