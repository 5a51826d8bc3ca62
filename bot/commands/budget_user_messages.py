"""Text about token budgets for users: usage, limits and errors of ``/budget``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from bot.engine.user_messages import when
from bot.reports.costs import money
from bot.store.budgets.cost_alerts import CostAlert
from bot.types.usage import UNLIMITED, BudgetOwner, BudgetState

BUDGET_SUBJECTS = (
    "SUBJECT is a person, a channel, here, role:admin, role:member, * for everyone, channel:* for every channel, or "
    "tenant for the whole team."
)
FULL = 100
BUDGET_COLUMNS = ("subject", "limit")
OTHERS_BUDGET = "Only an admin can see or set the budget of others. Write /budget to see yours."
_OWNERS: Mapping[BudgetOwner, str] = {"channel": "This channel has", "tenant": "The whole team has"}


def id_missing(text: str) -> str:
    return f"The ID is missing in “{text}”. Write the ID of a person such as U1, or channel:ID."


NO_BUDGET_OF_GROUP = "Only a person, a channel and the team have a budget. Name a person, channel:ID or tenant."


def unknown_role(role: str) -> str:
    return f"“{role}” is not a role. Write role:admin or role:member."


def own_budget(states: Sequence[BudgetState], now: datetime) -> str:
    """Return the asker's usage today, with the channel's and the team's where they are limited."""
    own, *shared_budgets = states
    lines = [_usage("You have", own)]
    lines += [_usage(_OWNERS[state.whose], state) for state in shared_budgets if not state.unlimited]
    if not all(state.unlimited for state in states):
        lines.append(f"Every budget resets {when(own.resets_at, now)}.")
    return "\n".join(lines)


def budget_of(user_id: str, state: BudgetState, now: datetime) -> str:
    reset = "" if state.unlimited else f" The budget resets {when(state.resets_at, now)}."
    return f"{_usage(f'{user_id} has', state)}{reset}"


def _usage(subject: str, state: BudgetState) -> str:
    reserved = f", with {state.reserved:,} reserved for answers in progress" if state.reserved else ""
    if state.unlimited:
        return f"{subject} used {state.used:,} tokens today{reserved}. There is no limit."
    return f"{subject} used {state.used:,} of {state.limit:,} tokens today{reserved}. {state.left:,} are left."


def cost_alert(alert: CostAlert) -> str:
    """Return what happened, and the command that shows more."""
    if alert.kind == "budget":
        done = "is used up" if alert.level >= FULL else f"is used to more than {alert.level} %"
        return (
            f"The team's token budget of {alert.day} {done}: {alert.amount:,.0f} of {alert.usual:,.0f} tokens. "
            "Set another limit with /budget set tenant TOKENS, or see who used them with /costs 1d by user."
        )
    if alert.kind == "pass rate":
        return (
            f"Answers got worse: {alert.amount:.0%} of this week's judged answers pass. Before, {alert.usual:.0%} did. "
            "See which on the admin page under Judged answers."
        )
    return (
        f"Models cost {money(alert.amount)} on {alert.day} so far. The usual is at most {money(alert.usual)} a day. "
        "See why with /costs 1d by user."
    )


def daily_limit(tokens: int) -> str:
    if not tokens:
        return "blocked"
    return "no limit" if tokens >= UNLIMITED else f"{tokens:,} tokens a day"


def default_limits(*, person: int, channel: int, team: int) -> str:
    """Return the default limits in tokens per day; 0 means no limit."""
    limits = (("a person", person), ("a channel", channel), ("the whole team", team))
    listed = "; ".join(f"{subject}: {daily_limit(tokens or UNLIMITED)}" for subject, tokens in limits)
    return f"Defaults: {listed}. The limits below take precedence."


def limit_changed(subject: str, tokens: int | None) -> str:
    """Return what changed; ``tokens`` is None if the subject has the default again."""
    if tokens is None:
        return f"{subject} has the default limit again."
    if not tokens:
        return f"{subject} may use no tokens from now on."
    allowed = "any number of tokens" if tokens >= UNLIMITED else f"{tokens:,} tokens"
    return f"{subject} may use {allowed} a day from now on."
