"""A canary word and an ID of one person in every column that can hold them: erasing leaves none of them anywhere."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.types.json import Jsonb

from bot.app import App
from bot.errors import UsageError
from bot.store.budgets.ledger_days import SUMS
from bot.store.privacy import erasure
from bot.types.conversation import LOCAL_TENANT
from knowledge.sources.files import UploadSource

WORD, PERSON, NAME = "zanzibarquokka", "U0CANARY7731", "Zofia Canarsky"
TENANT, OTHER = LOCAL_TENANT, "U0OTHER"

PLANTED = {
    "tenants": ("settings",),
    "threads": ("title", "summary"),
    "turns": ("user_id", "user_name", "question", "answer", "citations", "refused", "trace"),
    "attachments": ("name", "content_type", "ref", "text", "people"),
    "messages": ("author_id", "author", "text"),
    "ledger": ("user_id",),
    "ledger_days": ("key",),
    "budgets": ("subject", "set_by"),
    "admin_changes": ("admin_id", "subject"),
    "budget_days": ("subject",),
    "added_days": ("user_id",),
    "reservations": ("subject",),
    "answers": ("answer", "citations", "question", "evidence", "documents"),
    "verified_answers": ("answer", "citations", "owner_id", "owner_name"),
    "verified_questions": ("question",),
    "feedback": ("user_id", "reason"),
    "facts": ("text", "author_id", "author"),
    "slack_installations": ("installed_by",),
    "sources": ("uri", "added_by", "upload_name", "memo"),
    "documents": ("uri", "title", "text", "blocks", "metadata", "memo", "error", "warnings", "attached_to"),
    "chunks": ("header", "text", "heading"),
    "postings": ("term",),
    "ingests": ("asked_by", "content_type", "report", "error"),
    "upload_parts": ("data",),
    "document_files": ("data",),
    "page_files": ("name", "content_type", "data", "added_by"),
    "page_commands": ("author_id", "card"),
}
"""Columns that can hold a person's words or ID."""

EXEMPT = {
    "tenants": {"tenant_id", "platform", "name", "timezone"},
    "channels": {"tenant_id", "channel_id", "settings"},  # an admin's settings of a channel, not of a person
    "threads": {"tenant_id", "platform", "channel_id", "thread_id", "tier"},
    "inbox": {"tenant_id", "channel_id", "message_id"},
    "turns": {
        "tenant_id", "platform", "channel_id", "thread_id", "message_id", "kind",
        "user_role", "wish", "state", "audience",
    },
    "processes": {"tenant_id", "host", "platforms", "faults", "pid_namespace"},  # a fault names a part and its error
    "reply_parts": {"tenant_id", "ref"},
    "attachments": {"tenant_id", "kind"},
    "messages": {"tenant_id", "role"},
    "ledger": {
        "tenant_id", "platform", "channel_id", "purpose", "provider", "model", "tier", "price_version", "status",
        "summed", "error",  # a provider's error, without secrets
    },
    "ledger_days": {"tenant_id", "dimension"},
    "ledger_price_days": {"tenant_id", "provider", "model", "steps"},
    "admin_changes": {"tenant_id", "action", "value"},
    "cost_alerts": {"tenant_id", "kind", "told_on"},
    "budgets": {"tenant_id"},
    "budget_days": {"tenant_id"},
    "added_days": {"tenant_id"},
    "refusals": {"tenant_id", "kind"},
    "token_ratios": {"tenant_id", "model"},
    "reservations": {"tenant_id", "state"},
    "answers": {"tenant_id", "key", "ground", "model"},  # digests
    "answer_hits": {"tenant_id", "key"},
    "answer_flights": {"tenant_id", "key"},
    "verified_answers": {"tenant_id", "documents", "audience", "platform", "stale"},  # documents: IDs and digests
    "verified_questions": {"tenant_id", "model"},
    "changed_answer_notices": {"tenant_id", "platform"},
    "judgments": {"tenant_id", "model", "batch", "state", "cause"},  # cause: the kind of an error
    "gap_digests": {"tenant_id", "platform", "channel_id"},
    "feedback": {"tenant_id"},
    "facts": {"tenant_id", "kind", "subject"},  # the subject is a digest
    "message_vectors": {"tenant_id", "model", "vector"},
    "slack_installations": {
        "tenant_id", "team_id", "enterprise_id", "name", "app_id", "bot_id", "bot_user_id", "scopes", "sealed",
    },
    "oauth_states": {"tenant_id", "digest"},
    "slack_requests": {"tenant_id", "digest"},
    "events_heard": {"tenant_id", "platform", "kind"},
    "knowledge_state": {"tenant_id", "model", "next_model"},
    "sources": {"tenant_id", "kind", "audience", "chunking", "held_back"},  # held_back: a sentence with numbers
    "documents": {"tenant_id", "content_hash", "recipe", "audience", "state"},
    "chunks": {"tenant_id", "audience", "digest"},
    "embeddings": {"tenant_id", "model", "audience"},
    "token_signs": {"tenant_id", "model", "signs"},
    "sentence_vectors": {"tenant_id", "model", "vectors"},
    "kept_vectors": {"tenant_id", "digest", "model", "vector", "signs", "sentences"},
    "postings": {"tenant_id", "entries"},
    "posting_parts": {"tenant_id"},
    "posting_masks": {"tenant_id", "audience", "mask"},
    "ingests": {"tenant_id", "state"},
    "held_back_notices": {"tenant_id", "platform"},
    "upload_parts": {"tenant_id"},
    "document_files": {"tenant_id"},
    "counted_documents": {"tenant_id", "name_digest"},
    "page_files": {"tenant_id", "file_id", "purpose"},
    "page_commands": {"tenant_id", "command_id"},
}  # fmt: skip
"""Columns that hold names of the system, numbers and digests."""


def columns(url: str) -> set[tuple[str, str]]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            """
            SELECT table_name, column_name FROM information_schema.columns
            WHERE table_schema = 'public' AND table_name <> 'alembic_version'
              AND NOT starts_with(table_name, 'procrastinate_')
              AND (data_type IN ('text', 'jsonb', 'bytea', 'ARRAY', 'character varying'))
            """
        ).fetchall()
    return {(row[0], row[1]) for row in rows}


def rows_with_canary(url: str) -> dict[str, list[str]]:
    """The rows of a full dump that hold the word, the ID or the name, in plain text or as bytes."""
    found: dict[str, list[str]] = {}
    needles = [form for one in (WORD, PERSON, NAME) for form in (one.lower(), one.encode().hex())]
    with psycopg.connect(url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            for (row,) in connection.execute(f'SELECT to_jsonb(t)::text FROM "{table}" t'):
                if any(needle in row.lower() for needle in needles):
                    found.setdefault(table, []).append(row)
    return found


def test_every_column_is_planted_or_exempt(admin_url: str) -> None:
    listed = {(table, column) for table, names in PLANTED.items() for column in names}
    listed |= {(table, column) for table, names in EXEMPT.items() for column in names}
    assert columns(admin_url) - listed == set(), "say whether the new column can hold a person's words or ID"
    assert listed - columns(admin_url) == set()


class Planter:
    """Inserts rows as the superuser."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self, table: str, **values: object) -> None:
        names = ", ".join(values)
        places = ", ".join(["%s"] * len(values))
        wrapped = [Jsonb(value) if isinstance(value, dict | list) else value for value in values.values()]
        with psycopg.connect(self.url) as connection:
            connection.execute(f"INSERT INTO {table} (tenant_id, {names}) VALUES (%s, {places})", (TENANT, *wrapped))


def turn(plant: Planter, thread: uuid.UUID, user: str, name: str, **more: object) -> uuid.UUID:
    turn_id = uuid.uuid4()
    values = {"question": "q", "answer": "a", "citations": [], "refused": None, "trace": {}, **more}
    plant(
        "turns", turn_id=turn_id, thread_uid=thread, platform="slack", channel_id="C1", thread_id="t",
        message_id=uuid.uuid4().hex, user_id=user, user_name=name, fresh=False, state="done", **values,
    )  # fmt: skip
    return turn_id


def plant_everything(plant: Planter, quoted: str) -> None:
    """Plant in all conversation tables: the person's own rows, and traces in those of somebody else."""
    thread, elsewhere = uuid.uuid4(), uuid.uuid4()
    plant("tenants", platform="slack", settings={"admins": [PERSON, OTHER]})
    for one in (thread, elsewhere):
        plant(
            "threads", thread_uid=one, platform="slack", channel_id="C1", thread_id=str(one),
            title=f"{WORD} and <@{PERSON}>" if one == thread else "hotels",
            summary=f"Zofia said {WORD}" if one == thread else "",
        )  # fmt: skip
    own = turn(
        plant, thread, PERSON, NAME, question=WORD, answer=WORD, citations=[{"source": "x", "quote": WORD}],
        refused=WORD, trace={"query": WORD},
    )  # fmt: skip
    noted = {"query": WORD, "searched": WORD, "recalled": [[NAME, "", WORD]], "facts": [[NAME, "", WORD]]}
    turn(plant, thread, OTHER, "Otto", trace={**noted, "notes": [f"{NAME} said {WORD}"], "restarts": [WORD]})
    turn(plant, elsewhere, OTHER, "Otto", trace={"notes": [f"Ask {NAME}."]}, question=f"What of <@{PERSON}>?")
    for owner in (NAME, PERSON):
        turn(plant, elsewhere, OTHER, "Otto", trace={"verified": {"id": "v", "owner": owner, "question": "q"}})
    named = [{"source": quoted, "title": WORD, "quote": WORD, "text": WORD}]
    citing = turn(plant, elsewhere, OTHER, "Otto", answer=WORD, citations=named, trace={"passages": named})
    for turn_id, uid, author, name in ((own, thread, PERSON, NAME), (citing, elsewhere, "", "")):
        plant(
            "messages", thread_uid=uid, turn_id=turn_id, role="user" if author else "assistant", author_id=author,
            author=name, text=WORD, tokens=1,
        )  # fmt: skip
        plant(
            "answers", key=uuid.uuid4().hex, turn_id=turn_id, answer=WORD, citations=named, question=WORD,
            evidence=WORD, documents=[WORD], expires_at="2030-01-01",
        )  # fmt: skip
    plant_verified_answers(plant, own, named)
    later = turn(plant, elsewhere, OTHER, "Otto")
    for turn_id, position in ((own, 0), (later, 0)):
        plant(
            "attachments", turn_id=turn_id, position=position, kind="thread", name=WORD, content_type=WORD, ref=WORD,
            text=WORD, people=[PERSON],
        )  # fmt: skip
    plant(
        "ledger", call_id=uuid.uuid4(), turn_id=own, thread_uid=thread, platform="slack", channel_id="C1",
        user_id=PERSON, purpose="answer", provider="p", model="m", price_version="1", status="ok", estimated=False,
        latency_ms=1.0, budget_day="2026-01-01",
    )  # fmt: skip
    plant("ledger_days", dimension="user", day="2026-01-01", key=PERSON, **dict.fromkeys(SUMS, 0))
    plant("budgets", subject=f"user:{PERSON}", daily_tokens=1, set_by=OTHER)
    plant("budgets", subject="channel:C1", daily_tokens=1, set_by=PERSON)
    for admin, subject in ((PERSON, "tenant"), (OTHER, f"user:{PERSON}")):
        plant("admin_changes", change_id=uuid.uuid4(), admin_id=admin, action="set a budget", subject=subject)
    plant("budget_days", subject=f"user:{PERSON}", day="2026-01-01")
    plant("added_days", user_id=PERSON, day="2026-01-01")
    plant(
        "reservations", reservation_id=uuid.uuid4(), turn_id=own, subject=f"user:{PERSON}", day="2026-01-01",
        tokens=1, state="settled",
    )  # fmt: skip
    plant("feedback", turn_id=citing, user_id=PERSON, value=-1, reason=WORD)
    plant(
        "facts", fact_id=uuid.uuid4(), thread_uid=thread, turn_id=own, kind="fact", subject="d" * 64, text=WORD,
        author_id=PERSON, author=NAME, said_at="2026-01-01",
    )  # fmt: skip
    for number, (purpose, added_by) in enumerate((("attachment", PERSON), ("reply", OTHER))):
        plant(
            "page_files", file_id=str(number), purpose=purpose, name=WORD, content_type=WORD, size=1,
            data=WORD.encode(), added_by=added_by,
        )  # fmt: skip
        plant("page_commands", command_id=str(number), author_id=added_by, card={"text": WORD}, ended=True)
    plant("slack_installations", installed_by=PERSON, installed_at="2026-01-01", refreshed_at="2026-01-01")


def plant_verified_answers(plant: Planter, own: uuid.UUID, named: list[dict[str, str]]) -> None:
    """Plant one made from the person's question, one that cites their document, one of theirs, and a mention."""
    made: tuple[dict[str, object], ...] = (
        {"turn_id": own, "answer": WORD, "owner_id": OTHER, "owner_name": "Otto", "citations": []},
        {"turn_id": None, "answer": WORD, "owner_id": OTHER, "owner_name": "Otto", "citations": named},
        {"turn_id": None, "answer": "20 days", "owner_id": PERSON, "owner_name": NAME, "citations": []},
        {"turn_id": None, "answer": f"Ask <@{PERSON}>.", "owner_id": OTHER, "owner_name": "Otto", "citations": []},
    )
    for values in made:
        number = uuid.uuid4()
        plant("verified_answers", id=number, audience="tenant", tenant_wide=True, platform="slack", **values)
        question = f"Who knows <@{PERSON}>?" if values["citations"] == [] and values["turn_id"] is None else WORD
        plant("verified_questions", answer_id=number, position=1, question=question)


async def upload_and_leave_one_waiting(app: App, url: str) -> None:
    """Ingest one upload of the person, and leave another one waiting for a worker, with its bytes."""
    content = f"# {WORD}\n\n{WORD} lives on an island, says {NAME}.\n".encode()
    first = UploadSource(f"{WORD}.md", content)
    await app.services.ingestion.begin(TENANT, first, audience="tenant", asked_by=PERSON)
    await app.ingestor.ingest([first], tenant_id=TENANT, audience="tenant")
    of_person = "(SELECT id FROM sources WHERE added_by = %s)"
    with psycopg.connect(url) as connection:
        for assignments, table, key in (
            ("state = 'done', content_type = %s, report = to_jsonb(%s::text), error = %s", "ingests", "source_id"),
            ("memo = %s", "sources", "id"),
            ("memo = %s, error = %s, attached_to = %s", "documents", "source_id"),
            ("metadata = to_jsonb(%s::text), warnings = to_jsonb(%s::text)", "documents", "source_id"),
        ):
            words = [WORD] * assignments.count("%s")
            connection.execute(f"UPDATE {table} SET {assignments} WHERE {key} IN {of_person}", (*words, PERSON))
        connection.execute(
            "UPDATE chunks SET header = %s, heading = ARRAY[%s] WHERE document_id IN "
            f"(SELECT id FROM documents WHERE source_id IN {of_person})",
            (WORD, WORD, PERSON),
        )
        connection.execute(
            "INSERT INTO document_files (tenant_id, document_id, part, data) "
            f"SELECT tenant_id, id, 0, %s FROM documents WHERE source_id IN {of_person}",
            (WORD.encode(), PERSON),
        )
    waiting = UploadSource(f"{WORD}-2.md", content, content_type=WORD)
    await app.services.ingestion.begin(TENANT, waiting, audience="C1", asked_by=PERSON)


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG, logger="bot"), caplog.at_level(logging.DEBUG, logger="knowledge"):
        yield caplog


async def test_nothing_of_an_erased_person_is_left(
    app: App, admin_url: str, tmp_path: Path, everything_logged: pytest.LogCaptureFixture
) -> None:
    plant_everything(Planter(admin_url), f"{WORD}.md")
    await upload_and_leave_one_waiting(app, admin_url)
    planted = rows_with_canary(admin_url)
    assert set(PLANTED) <= set(planted), "every table holds the canary"
    with pytest.raises(UsageError, match="uploaded 2 documents"):
        async with app.database.tenant(TENANT) as session:
            await erasure.erase(session, tenant_id=TENANT, user_id=PERSON)
    async with app.database.tenant(TENANT) as session:
        await erasure.erase(session, tenant_id=TENANT, user_id=PERSON, documents="delete")
    assert rows_with_canary(admin_url) == {}
    logged = "\n".join(record.getMessage() for record in everything_logged.records)
    for needle in (WORD, PERSON, NAME):
        assert needle not in logged
        assert [path for path in tmp_path.rglob("*") if path.is_file() and needle.encode() in path.read_bytes()] == []


async def test_documents_that_are_kept_belong_to_the_admins(app: App, admin_url: str) -> None:
    await upload_and_leave_one_waiting(app, admin_url)
    async with app.database.tenant(TENANT) as session:
        await erasure.erase(session, tenant_id=TENANT, user_id=PERSON, documents="keep")
    with psycopg.connect(admin_url) as connection:
        assert connection.execute("SELECT count(*) FROM documents WHERE uri = %s", (f"{WORD}.md",)).fetchone() == (1,)
        assert connection.execute("SELECT DISTINCT added_by FROM sources WHERE kind = 'upload'").fetchall() == [(None,)]
        assert connection.execute("SELECT count(*) FROM ingests WHERE asked_by = %s", (PERSON,)).fetchone() == (0,)


async def test_the_name_of_an_owner_who_never_asked_leaves_the_answers_of_others(app: App, admin_url: str) -> None:
    plant, thread = Planter(admin_url), uuid.uuid4()
    plant("tenants", platform="slack")
    plant("threads", thread_uid=thread, platform="slack", channel_id="C1", thread_id="t", title="ferns")
    plant(
        "verified_answers", id=uuid.uuid4(), audience="tenant", tenant_wide=True, platform="slack", answer="a",
        owner_id=PERSON, owner_name=NAME,
    )  # fmt: skip
    verified = {"id": "v", "owner": NAME, "question": "q", "verified_at": "2026-01-01"}
    turn(plant, thread, OTHER, "Otto", trace={"verified": verified, "notes": [f"Verified by {NAME}."]})
    turn(plant, thread, OTHER, "Otto", trace={"verified": verified | {"owner": "Otto"}, "notes": ["Verified by Otto."]})
    async with app.database.tenant(TENANT) as session:
        await erasure.erase(session, tenant_id=TENANT, user_id=PERSON)
    assert rows_with_canary(admin_url) == {}
    with psycopg.connect(admin_url) as connection:
        traces = [row[0] for row in connection.execute("SELECT trace FROM turns ORDER BY seq")]
    assert traces[0] == {"verified": verified | {"owner": "@erased"}}
    assert traces[1]["notes"] == ["Verified by Otto."]
