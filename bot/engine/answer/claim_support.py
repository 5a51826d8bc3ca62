"""Finds the words of a passage that support a claim, by overlap of stemmed words; numbers weigh more. Does no I/O."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

from knowledge.text.sentence_splitter import sentence_spans
from knowledge.text.word_forms import fold, stem
from knowledge.text.word_splitter import letters, runs, script_words, words

THRESHOLD = 0.34
FOREIGN_THRESHOLD = 0.12
NUMBER_WEIGHT = 2.0
SECOND_SENTENCE_GAIN = 0.12
COGNATE = 5
_LETTERS_OF_WORD = 3

_NUMBER = re.compile(r"(\d+(?:[.,:]\d+)*)")
_LIST_OR_ROW = re.compile(r"\s*(?:[-*+•]\s|\d{1,3}[.)]\s|\||#)")
_QUESTION = re.compile(r"[?？؟]\s*$")
_FOLD = str.maketrans(
    {"“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "’": "'", "‘": "'", "–": "-", "—": "-", "\u00a0": " "}
)
_ELLIPSIS = re.compile(r"\s*(?:\[?(?:\.\.\.|…)\]?)\s*")

_STOP = {
    "en": "the a an of to in on at for and or but is are was were be been it its this that these those with as by "
    "from you your we our they their i he she not no do does did have has had can may will would should if then than "
    "so there here what which who when how also into about any all more must",
    "de": "der die das den dem des ein eine einen einem einer und oder aber ist sind war waren sein es dies diese "
    "dieser mit als von zu im in an auf für bei nicht kein keine sie ihr wir unser ich er man kann wird werden hat "
    "haben wenn dann so auch was wie wer wo nach aus über um zum zur sich muss",
    "fr": "le la les un une des de du et ou mais est sont était être il elle ce cette ces avec comme par pour dans "
    "sur au aux en ne pas vous votre nous notre je on peut que qui si plus se sa son ses leur à",
    "es": "el la los las un una unos de del y o pero es son era ser se este esta estos con como por para en al no "
    "su sus usted nosotros yo puede que si más lo le hay",
}
_NUMBER_WORDS = {
    word: str(number)
    for words in (
        "zero one two three four five six seven eight nine ten eleven twelve",
        "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf",
    )
    for number, word in enumerate(words.split())
} | {
    word: str(10 * number)
    for words in (
        "twenty thirty forty fifty sixty seventy eighty ninety hundred",
        "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig hundert",
    )
    for number, word in enumerate(words.split(), 2)
}


@dataclass(frozen=True, slots=True)
class Support:
    """The span ``passage.text[start:end]`` that supports a claim, and how much of the claim it covers (0..1)."""

    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement as the weights of its stemmed words."""

    text: str
    language: str
    weights: dict[str, float]

    @classmethod
    def of(cls, text: str) -> Claim:
        language = _language(text)
        return cls(text, language, {term: _weight(term) for term in _terms(text, language)})


def support(claim: Claim, passage: str) -> Support | None:
    """Return the sentences (one or two), list item or table row that best supports the claim, or None.

    A span with other numbers than the claim's supports nothing. Across languages only names, numbers and cognates can
    match, so the threshold is lower.
    """
    if not claim.weights:
        return None
    language = _language(passage)
    foreign = bool(claim.language and language and claim.language != language)
    weights = {term[:COGNATE] if foreign else term: weight for term, weight in claim.weights.items()}
    total = sum(weights.values())
    numbers = {term for term in weights if term[0].isdigit()}
    best: Support | None = None
    for start, end, sentences in _spans(passage):
        terms = _terms(passage[start:end], language if foreign else claim.language)
        if numbers and not numbers & terms and any(term[0].isdigit() for term in terms):
            continue
        met = {term[:COGNATE] for term in terms} if foreign else terms
        score = sum(weight for term, weight in weights.items() if term in met) / total
        score -= SECOND_SENTENCE_GAIN * (sentences - 1)
        if best is None or score > best.score:
            best = Support(start, end, score)
    return best if best and best.score >= (FOREIGN_THRESHOLD if foreign else THRESHOLD) else None


def shares_words(question: str, text: str) -> bool:
    """Return whether the text has a content word of the question, in any inflection."""
    language = _language(question)
    return not _terms(question, language).isdisjoint(_terms(text, language))


def says_nothing_alone(text: str) -> bool:
    """Return whether a text has at most one content word, as “Yes.”, “No, you may not.” and “はい。” have.

    In scripts that put no spaces between words, three letters count as a word.
    """
    stop = _stop_words(_language(text) or "en")
    parts = [part for word in words(text.casefold()) for part in runs(word)]
    return (
        sum(-(-len(letters(part)) // _LETTERS_OF_WORD) if unspaced else part not in stop for part, unspaced in parts)
        < 2
    )


def literal(quote: str, passage: str) -> bool:
    """Return whether the passage contains the quoted words, ignoring white space, case, quote and dash styles.

    An ellipsis matches any text between two quoted pieces that the passage contains in this order.
    """
    text, position = _folded(passage), 0
    for piece in _ELLIPSIS.split(quote):
        words = _folded(piece).strip(" .,;:!?")
        found = text.find(words, position)
        if found < 0:
            return False
        position = found + len(words)
    return True


@lru_cache(maxsize=256)
def _folded(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).translate(_FOLD).replace("**", "").replace("`", "")
    return " ".join(text.casefold().split())


def _spans(text: str) -> Iterator[tuple[int, int, int]]:
    """Yield quotable spans with their number of sentences: one, or two adjacent ones of a paragraph.

    A question that ends a paragraph and the sentence below it, which may be a bare “Yes.”, are two adjacent ones too.
    """
    question: int | None = None
    for block in re.finditer(r"(?:[^\n]|\n(?!\s*\n)(?!\s*(?:[-*+•|#]|\d{1,3}[.)]\s)))+", text):
        sentences = sentence_spans(text, block.start(), block.end())
        if _LIST_OR_ROW.match(block.group()):
            sentences = [(sentences[0][0], sentences[-1][1])] if sentences else []
        if question is not None and sentences:
            yield question, sentences[0][1], 2
        question = sentences[-1][0] if sentences and _QUESTION.search(block.group()) else None
        for number, (start, end) in enumerate(sentences):
            yield start, end, 1
            if number + 1 < len(sentences):
                yield start, sentences[number + 1][1], 2


# --- words


@lru_cache(maxsize=2048)
def _terms(text: str, language: str) -> frozenset[str]:
    stop = _stop_words(language or "en")
    terms: set[str] = set()
    for word in _words_and_numbers(text):
        if word[0].isdigit():
            terms.add(re.sub(r"[.,](?=\d{3}(?!\d))", "", fold(word)).replace(",", "."))
        elif word in _NUMBER_WORDS:
            terms.add(_NUMBER_WORDS[word])
        elif word not in stop:
            terms.add(stem(fold(word.replace("’", "'").removesuffix("'s")), language or "en"))
    return frozenset(terms)


def _words_and_numbers(text: str) -> Iterator[str]:
    """Yield the words in lower case, pairs of letters in scripts without spaces, and whole numbers such as 1,250.5."""
    for index, part in enumerate(_NUMBER.split(unicodedata.normalize("NFKC", text))):
        if index % 2:
            yield part
        else:
            yield from script_words(part)


def _weight(term: str) -> float:
    return NUMBER_WEIGHT if term[0].isdigit() else 1.0


def _language(text: str) -> str:
    """Return the language of the text by its stop words, or an empty string if they do not show it."""
    words = list(_words_and_numbers(text))
    counts = sorted(((sum(word in _stop_words(name) for word in words), name) for name in _STOP), reverse=True)
    return counts[0][1] if counts[0][0] > counts[1][0] else ""


@cache
def _stop_words(language: str) -> frozenset[str]:
    return frozenset(_STOP[language].split())
