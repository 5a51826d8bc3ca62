"""Says what an empty page offers: questions that the documents answer, and the steps that are left after a start."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, Protocol

from bot.config import Settings
from bot.engine.ports.clock import Clock
from bot.health import SAMPLE
from bot.llm.model_check_cache import ModelChecks
from bot.platforms.web import user_messages
from bot.platforms.web.history import CHANNEL
from bot.store.browser_page import page_conversations
from bot.types.conversation import LOCAL_TENANT
from knowledge import sample
from knowledge.ports import Sessions
from knowledge.store import document_topics
from knowledge.store.document_topics import Topic
from knowledge.types.scope import audiences

MAX_QUESTIONS = 3
MAX_QUESTION_CHARS = 120
ASKED_WITHIN = timedelta(days=7)
READ_TOPICS = 12
"""Documents whose titles are read. Some have titles that make no question."""
MAX_NAME_CHARS = 50

StepName = Literal["documents", "model", "chat"]
ChatPart = Literal["slack", "discord"]


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the set-up. ``detail`` is a line that says how far it is, or what to do."""

    name: StepName
    done: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Welcome:
    """What an empty page offers. ``steps`` are for admins; they are empty for others."""

    questions: tuple[str, ...]
    documents: int
    adding_sample: bool
    steps: tuple[Step, ...] = ()


class WelcomeSource(Protocol):
    """Finds out what to offer."""

    async def read(self, *, admin: bool) -> Welcome:
        """Return what to offer now. Raises StoreAway if the database cannot be reached."""

    async def aclose(self) -> None:
        """Stop what runs in the background."""


class StoredWelcome:
    """Reads the documents, the questions of the week and the state of this process's parts."""

    def __init__(
        self,
        sessions: Sessions,
        settings: Settings,
        unready: Callable[[], Mapping[str, str]],
        clock: Clock,
        models: ModelChecks,
    ) -> None:
        self._sessions = sessions
        self._settings = settings
        self._unready = unready
        self._clock = clock
        self._models = models

    async def read(self, *, admin: bool) -> Welcome:
        readable = audiences(CHANNEL, tenant_wide=True)
        adding = SAMPLE in self._unready()
        async with self._sessions(LOCAL_TENANT) as session:
            documents = await document_topics.count(session, LOCAL_TENANT, audiences=readable)
            has_sample = adding or await document_topics.has_source(
                session, LOCAL_TENANT, uri=str(sample.path()), audiences=readable
            )
            asked = await page_conversations.most_asked(
                session,
                tenant_id=LOCAL_TENANT,
                channel_id=CHANNEL,
                since=self._clock() - ASKED_WITHIN,
                chars=MAX_QUESTION_CHARS,
                limit=MAX_QUESTIONS,
            )
            topics = await document_topics.newest(session, LOCAL_TENANT, audiences=readable, limit=READ_TOPICS)
        about = sample.questions() if has_sample else questions_about(topics)
        questions = tuple(dict.fromkeys((*asked, *about)))[:MAX_QUESTIONS]
        return Welcome(questions, documents, adding, self._steps(documents) if admin else ())

    def _steps(self, documents: int) -> tuple[Step, ...]:
        return (
            Step("documents", documents > 0, user_messages.documents_step(documents)),
            self._model_step(),
            self._chat_step(),
        )

    def _model_step(self) -> Step:
        """Return the step of the model, which is done when every configured model has answered a request."""
        if not self._settings.has_model:
            return Step("model", False, user_messages.MODEL_STEP)
        found = self._models.newest()
        if found is None:
            return Step("model", False, user_messages.MODEL_STEP_CHECKING)
        failed = next((one for one in found if not one.ok), None)
        if failed is None:
            return Step("model", True, user_messages.MODEL_STEP_DONE)
        return Step("model", False, user_messages.model_fails(failed.name, failed.detail, failed.fix))

    def _chat_step(self) -> Step:
        wanted: dict[ChatPart, bool] = {
            "slack": self._settings.has_slack,
            "discord": self._settings.discord_token is not None,
        }
        unready = self._unready()
        lines = [user_messages.chat_part(part, unready.get(part)) for part, is_set in wanted.items() if is_set]
        done = any(is_set and part not in unready for part, is_set in wanted.items())
        return Step("chat", done, " ".join(lines) or user_messages.CHAT_STEP)

    async def aclose(self) -> None:
        await self._models.aclose()


def questions_about(topics: Sequence[Topic]) -> tuple[str, ...]:
    """Return questions that the documents answer, made of their titles and headings."""
    return tuple(user_messages.question_about(*map(_name, (one.title, one.heading))) for one in topics if _is_name(one))


def _is_name(topic: Topic) -> bool:
    """Return whether people would name a document so: a title of words, not a path, an address or a file name."""
    return len(topic.title) <= MAX_NAME_CHARS and not any(mark in topic.title for mark in ("/", "\\", "_", "…"))


def _name(text: str) -> str:
    line = " ".join(text.split()).strip("#*` ")
    return line if len(line) <= MAX_NAME_CHARS else ""
