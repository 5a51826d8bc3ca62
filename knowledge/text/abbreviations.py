"""Recognizes periods that end no sentence: of abbreviations, ordinals and initials, in the languages of Europe.

Does no I/O.
"""

from __future__ import annotations

import re

_LOOK_BACK = 24

# Titles and words that something always follows.
_ALWAYS = """
    mr mrs ms dr prof sr sra srta jr st hr fr frl dipl ing mag phil med jur dott avv dña lic mme mlle mgr gen
    col lt sgt capt rev hon gov sen rep vs cf approx est dept ca bzw evtl ggf inkl exkl max min mind sog vgl
    zzgl abzgl bspw resp resp. usf ung bl.a t.ex ev jf bijv o.a d.w.z m.b.t t.o.v e.g i.e e.u u.a z.b d.h i.d.r
    o.ä u.u z.t v.a s.o s.u p.ex c.-à-d p.ej d.c a.d np tzn tj tzv mj např итд г ул д им проф акад т.е т.д напр
    al
    """.split()
# Words that a number follows, as in "Sec. 4". Without a number they may end a sentence.
_BEFORE_NUMBERS = """
    no nos nr nrs núm num n fig figs abb tab tabl sec secs sect para paras par art arts abs abschn kap ch chap
    cap vol vols bd bde pp pag pág págs s ss str ziff lit rn rdnr app anh ex eq ver rev v ed tel ext стр рис п
    ст гл jan feb febr mar mär mrz apr jun jul juli aug sep sept okt oct nov dez dec déc janv févr avr juil ene
    abr ago set dic gen mag giu lug ott fev mai out mrt mei maj
    """.split()
_MONTHS = """
    january february march april may june july august september october november december januar februar märz
    mai juni juli oktober dezember jänner jan feb mär apr jun jul aug sep okt nov dez januari februari mars maj
    augusti marts tammikuuta helmikuuta maaliskuuta huhtikuuta toukokuuta kesäkuuta heinäkuuta elokuuta
    syyskuuta lokakuuta marraskuuta joulukuuta ledna února března dubna května června července srpna září října
    listopadu prosince stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października
    listopada grudnia január február március április május június július augusztus szeptember október ocak şubat
    mart nisan mayıs haziran temmuz ağustos eylül ekim kasım aralık siječnja
    """.split()
_ORDINAL_LEADS = """
    am im der die das den dem des zum zur vom bis ab seit beim jeder jeden jedem jedes det de do til fra von og
    und oder a az
    """.split()

_WORD_BEFORE = re.compile(r"(?:^|[\s(\[\"'“„«/–-])((?:[^\W\d_]+\.[ \u00a0]?)*[^\W\d_]+(?:\.-à-d)?)\.[)\]]?$")
_NUMBER_BEFORE = re.compile(r"(?:^|[\s(\[\"'“„«/–-])(?:([^\W\d_]+)[\s\u00a0]+)?(\d{1,3})\.[)\]]?$")
_NOT_SPACE = re.compile(r"\S")
_NEXT_WORD = re.compile(r"[^\W_]+")
_SPACE_AND_BULLETS = " \t\r\n\u00a0•‣⁃◦-*+(["
_SETS = tuple(map(frozenset, (_ALWAYS, _BEFORE_NUMBERS, _MONTHS, _ORDINAL_LEADS)))


def continues(text: str, begin: int, stop: int, following: int) -> bool:
    """Return whether the sentence ``text[begin:stop]``, which ends with a mark, goes on at ``following``."""
    always, before_numbers, months, leads = _SETS
    before = text[max(begin, stop - _LOOK_BACK) : stop]
    found = _WORD_BEFORE.search(before)
    if found:
        word = "".join(found.group(1).split()).casefold()
        last = word.rpartition(".")[2]
        if len(last) == 1 or word in always or last in always:
            return True
        return last in before_numbers and (text[following].isdigit() or text[following] in "§#IVX")
    number = _NUMBER_BEFORE.search(before)
    if number is None:
        return False
    first = _NOT_SPACE.search(text, begin)
    if first and first.start() > stop - _LOOK_BACK and not before[: number.start(2)].strip(_SPACE_AND_BULLETS):
        return True  # The number of a list item.
    next_word = _NEXT_WORD.match(text, following)
    lead = (number.group(1) or "").casefold()
    return bool(next_word and next_word.group().casefold() in months) or (lead in leads and bool(next_word))
