"""Attached files without a model: quotes are cited by the file's name; otherwise a note says that nothing was found."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bot.config import Settings
from bot.engine.answer import attachment_quotes
from bot.engine.engine import Engine
from bot.engine.ports.attachment_reader import FileText
from bot.engine.ports.llm import Image
from bot.llm.quoting.extractive import ExtractiveLLM
from bot.llm.tokens import TokenCounter
from bot.llm.user_messages import CANNOT_SEE_IMAGE
from bot.types.conversation import History, PastMessage, StoredAttachment
from bot.types.turns import Outcome
from knowledge.errors import ParseError
from tests.engine.fakes import NOON, FakeStores, Library, Screen, passage, turn, words

PLAN = "# Plan\n\nThe launch is on 4 May.\n\n## Budget\n\nThe budget is 5,000 EUR. Ada signs for it.\n"
CITIES = [f"| City{number} | {number} EUR |" for number in range(300)]
LIMITS = "\n".join(["| City | Limit |", "| --- | --- |", *CITIES, "| Ghent | 140 EUR |"])
WHATS = ("old museum garden", "white library tower", "harbour crane museum", "theatre summer roof", "fish market hall")
RULE = passage("A journey may last at most nine days.")


def file(
    name: str, text: str | None = None, *, position: int = 0, own: bool = True, size: int = 10
) -> StoredAttachment:
    kind = "image/png" if name.endswith(".png") else "text/plain"
    return StoredAttachment("turn", position, "file", name, kind, size, f"ref-{name}", text, own=own)


class Street(Screen):
    """A surface with attached files."""

    def __init__(self, **files: str) -> None:
        super().__init__()
        self.files = files

    async def fetch(self, file: StoredAttachment) -> bytes:
        return self.files[file.name.partition(".")[0]].encode()

    async def above(self) -> None:
        raise AssertionError("nothing reads the thread above without a model")


class Reads:
    async def __call__(self, name: str, content_type: str, data: bytes) -> FileText | Image:
        if name == "bad.pdf":
            raise ParseError("it is broken; export it again")
        return Image("image/png", data, 10, 10) if content_type.startswith("image/") else FileText(data.decode())

    def tokens(self, image: Image, model: str) -> int:
        return 900


async def asked(
    question: str,
    attached: list[StoredAttachment],
    *,
    sure: float = 0.9,
    past: Sequence[PastMessage] = (),
    **files: str,
) -> tuple[Outcome, Screen]:
    """Ask without a model, over documents with a travel rule and the confidence ``sure``."""
    street = Street(**files)
    engine = Engine(
        stores=(FakeStores(attached=attached, past=History("", 0, tuple(past)))).stores,
        search=Library((RULE,), confidence=sure),
        llm=ExtractiveLLM(TokenCounter()),
        settings=Settings(_env_file=None, anthropic_api_key=None, openai_api_key=None),
        count_tokens=words,
        clock=lambda: NOON,
        reader=Reads(),
    )
    return await engine.handle(turn(question), street), street


async def test_the_file_is_quoted_and_the_citation_names_it() -> None:
    outcome, _ = await asked("Who signs for the budget?", [file("plan.md")], sure=0.0, plan=PLAN)
    assert "“Ada signs for it.” [1]" in outcome.answer
    (cited,) = outcome.citations
    assert (cited.title, cited.source, cited.heading) == ("plan.md", "attached:plan.md", ("Budget",))
    assert cited.quote in PLAN


async def test_of_two_files_each_is_cited_for_its_own() -> None:
    two = [file("plan.md"), file("house.txt", position=1)]
    house = "The lift stops at ten.\n\nThe roof is closed in winter."
    outcome, _ = await asked("When does the lift stop, and who signs for the budget?", two, plan=PLAN, house=house)
    quoted = {cited.title: cited.quote for cited in outcome.citations}
    assert quoted == {"plan.md": "Ada signs for it.", "house.txt": "The lift stops at ten."}


async def test_a_question_about_the_files_as_a_whole_gets_the_beginning_of_each() -> None:
    two = [file("plan.md"), file("limits.csv", position=1)]
    for question in ("What is in plan.md, limits.csv, in short?", "please summarise this"):
        outcome, _ = await asked(question, two, sure=0.0, plan=PLAN, limits=LIMITS)
        assert "The launch is on 4 May." in outcome.answer
        assert "City0" in outcome.answer


async def test_a_file_that_says_nothing_of_it_leaves_the_answer_to_the_documents() -> None:
    outcome, street = await asked("How many days may a journey last?", [file("plan.md")], plan=PLAN)
    assert "nine days" in outcome.answer
    assert [cited.title for cited in outcome.citations] == [RULE.title]
    assert "I found nothing about this in plan.md." in street.last.notes


async def test_where_nothing_holds_it_both_are_told() -> None:
    outcome, street = await asked("How tall is the tower?", [file("plan.md")], sure=0.0, plan=PLAN)
    assert outcome.citations == ()
    told = " ".join(street.last.notes)
    assert "I found nothing about this in plan.md." in told
    assert "found no answer" in told


async def test_a_later_question_of_the_thread_still_finds_it() -> None:
    earlier = [file("plan.md", PLAN, own=False)]
    outcome, street = await asked("Who signs for the budget?", earlier, sure=0.0)
    assert [cited.title for cited in outcome.citations] == ["plan.md"]
    outcome, street = await asked("How many days may a journey last?", earlier)
    assert [cited.title for cited in outcome.citations] == [RULE.title]
    assert not any("plan.md" in note for note in street.last.notes), "it was not asked about"


async def test_a_question_of_its_own_is_not_drowned_by_those_before_it() -> None:
    said = [PastMessage(seq, "user", "Ann", f"When does the {what} open?", 8, NOON) for seq, what in enumerate(WHATS)]
    outcome, _ = await asked("Who signs for the budget?", [file("plan.md")], sure=0.0, past=said, plan=PLAN)
    assert {cited.title for cited in outcome.citations} == {"plan.md"}


async def test_what_cannot_be_read_is_told_each() -> None:
    attached = [file("bad.pdf"), file("big.txt", position=1, size=10**9), file("plan.md", position=2)]
    outcome, street = await asked("Who signs for the budget?", attached, bad="x", plan=PLAN)
    assert [cited.title for cited in outcome.citations] == ["plan.md"]
    assert "bad.pdf could not be read: it is broken; export it again." in street.last.notes
    assert any(note.startswith("big.txt could not be read: it is larger than") for note in street.last.notes)


async def test_an_image_cannot_be_seen_and_that_is_said() -> None:
    beside = [file("photo.png"), file("plan.md", position=1)]
    outcome, _ = await asked("Who signs for the budget?", beside, photo="png", plan=PLAN)
    assert outcome.answer.startswith(CANNOT_SEE_IMAGE)
    assert "Ada signs" in outcome.answer


def test_every_passage_is_short_and_none_is_lost() -> None:
    text = "\n\n".join(f"Paragraph {n} " + "word " * (n * 20) for n in range(30))
    known = [file("a.txt", text)]
    cut = attachment_quotes.cut(known[0])
    assert max(len(one.text) for one in cut) <= attachment_quotes.PASSAGE_CHARS + 100
    assert "".join("".join(one.text.split()) for one in cut) == "".join(text.split())


def test_a_row_in_the_middle_of_a_table_keeps_its_header() -> None:
    found, *_ = attachment_quotes.passages("the limit in Ghent", [file("limits.csv", LIMITS)])
    assert found.text.startswith("| City | Limit |\n| --- | --- |\n| City")
    assert found.text.endswith("| Ghent | 140 EUR |")


@pytest.mark.parametrize("name", ["https://evil.example/x", "](https://evil.example)"])
def test_a_name_is_never_taken_for_an_address(name: str) -> None:
    (found,) = attachment_quotes.passages("Who signs for the budget?", [file(name, PLAN)])
    assert not found.source.startswith("http")
