"""Bundles the engine's storage ports, so that they are wired in one place and passed on together."""

from __future__ import annotations

from dataclasses import dataclass

from bot.engine.ports.answer_cache import AnswerCache
from bot.engine.ports.attachments import AttachmentStore
from bot.engine.ports.budgets import Budgets
from bot.engine.ports.conversation import Conversation
from bot.engine.ports.inbox import Inbox
from bot.engine.ports.late_replies import LateReplyStore
from bot.engine.ports.leases import Leases
from bot.engine.ports.retractions import Retractions
from bot.engine.ports.settings import SettingsStore
from bot.engine.ports.turn_queue import TurnQueue


@dataclass(frozen=True, slots=True)
class Stores:
    """One implementation of each storage port. All calls stay inside the turn's tenant."""

    inbox: Inbox
    queue: TurnQueue
    leases: Leases
    conversation: Conversation
    budgets: Budgets
    answers: AnswerCache
    settings: SettingsStore
    attachments: AttachmentStore
    retractions: Retractions
    late_replies: LateReplyStore
