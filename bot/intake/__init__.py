"""Taking sources in, whoever asks and whichever process works: asked for, followed, stopped, kept up to date."""

from __future__ import annotations

from bot.intake.asking import Begun, Intake
from bot.intake.working import Busy, Worker, here, lock_name

__all__ = ["Begun", "Busy", "Intake", "Worker", "here", "lock_name"]
