"""Text that the command line prints: results, prompts, hints and errors longer than a few words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from bot.commands.user_messages import number

# --- parley up and the platform parts

STARTING_DATABASE = "Starting the database and upgrading its schema"
ADDING_SAMPLE = "Adding the sample handbook"
ADDING_SAMPLE_NOW = "adding the sample documents"
SLACK_CONNECTED = "Slack is connected."
DISCORD_CONNECTED = "Discord is connected."
STOPPED = "Stopped."
STOPPED_EARLY = "Stopped before everything was closed. The next start continues the unfinished answers."
NO_SLACK_TOKENS = (
    "SLACK_BOT_TOKEN and SLACK_APP_TOKEN are not set. Start with 'parley manifest slack'. See docs/slack.md."
)
NO_DISCORD_TOKEN = "DISCORD_TOKEN is not set. docs/discord.md explains how to get one."  # noqa: S105
_WITH_MODEL = "Models write the answers."
_WITHOUT_MODEL = (
    "No model key is set, so answers quote the documents word for word. "
    "To have a model write them, set ANTHROPIC_API_KEY or OPENAI_API_KEY."
)


def welcome(address: str, *, has_model: bool, questions: Sequence[str]) -> str:
    """Return the text shown after the start: the address, whether a model answers, and questions to try."""
    lines = [f"\nParley is ready at {address}", _WITH_MODEL if has_model else _WITHOUT_MODEL]
    if questions:
        lines += ["\nQuestions to try:", *(f"  - {question}" for question in questions)]
    return "\n".join([*lines, "\nPress Ctrl-C to stop."])


# --- parley ask and chat


def loading(model: str) -> str:
    return f"Opening the database and the embedding model {model}."


ASKED_ALREADY = "This question was asked already."
ANSWER_STOPPED = "The answer was stopped before it was complete. Ask again for a complete one."
NOTHING_ASKED = "Nothing has been asked in this chat yet. Ask a question first. Then /again repeats it."
CTRL_D_ENDS = "Ctrl-D ends the chat."


def chat_intro(thread: str) -> str:
    return (
        f"Thread {thread}. Ask a question. /help lists the commands, /again repeats the last question, "
        "Ctrl-C stops an answer, Ctrl-D ends."
    )


def unknown_answer(turn_id: str) -> str:
    return f"No answer has the ID {turn_id}. 'parley ask --json' prints the ID as turn_id."


# --- documents

NO_DOCUMENTS = "No documents yet. Add some with 'parley ingest FOLDER'."
NOTHING_FOUND = "No passages found. 'parley docs' lists the documents, 'parley ingest' adds more."
ACCEPT_REMOVALS_OF_ONE = "With --accept-removals, give the ID of a document of the source, and leave out --every."
NAME_A_DOCUMENT = "Name the document whose source you want to refresh on a schedule."


def is_held_back(uri: str, reason: str) -> str:
    return f"{uri} is held back: {reason} If this is right: parley docs refresh ID --accept-removals"


PAGE_WITHOUT_LIMIT = "--page needs --limit, the number of documents on a page"


def no_such_documents(matching: str, total: int) -> str:
    if total:
        return f"This page is empty: there are {total:,} documents. Choose an earlier page."
    return f"No document's title or source contains {matching!r}." if matching else NO_DOCUMENTS


def listed(first: int, last: int, total: int) -> str:
    return f"Documents {first:,} to {last:,} of {total:,}."


def parsed(name: str, title: str, form: str, warnings: Sequence[str]) -> str:
    """Return the heading above the text that was read of a file: its name, title, format and what was left out."""
    return "\n".join([f"== {name}", f"{title} ({form})", *(f"Warning: {warning}" for warning in warnings)])


def unreadable(name: str, error: str) -> str:
    return f"{name}: {error}"


# --- costs and budgets


def not_writable(path: object, reason: str | None) -> str:
    return f"{path} cannot be written ({reason}). Choose another file."


def written(path: object) -> str:
    return f"Written to {path}"


ONE_THING_ON_STDOUT = "Only one of --json, --csv - and --chart - can be written to stdout. Name a file for the others."


def sums_checked(days: int, differences: int) -> str:
    if differences:
        return f"{number(differences, 'daily sum')} differ from the calls. Run 'parley costs --rebuild'."
    return f"The sums of {number(days, 'day')} equal the calls."


def not_readable(path: object, reason: str | None) -> str:
    return f"{path} cannot be read ({reason}). Name a file that you may read."


def text_not_utf8(path: object) -> str:
    return f"{path} is not text in UTF-8. Save it again as UTF-8."


def invoice_compared(name: str, compared: int, differences: int) -> str:
    if not differences:
        return f"{name}: all {number(compared, 'amount')} equal the calls."
    return f"{name}: {differences} of {number(compared, 'amount')} differ from the calls."


# --- privacy


def erased(user: str, counts: Mapping[str, int]) -> str:
    return f"Erased the data of {user}: " + ", ".join(f"{count} {name}" for name, count in counts.items())


def nothing_stored(user: str, tenant: str) -> str:
    return (
        f"Nothing is stored about the user {user} in {tenant}. Check the ID, or choose another workspace with --tenant."
    )


def undecided_documents(user: str, count: int) -> str:
    return (
        f"{user} uploaded {number(count, 'document')}. Add --documents delete to erase them too, or "
        "--documents keep to hand them to the admins. Nothing was erased yet."
    )


def delete_documents(user: str, count: int) -> str:
    return f"{user} uploaded {number(count, 'document')}. Delete them too? If not, they are handed to the admins."


# --- evaluation


def router_without_embeddings(model: str) -> str:
    return f"Measured without embeddings: the router's weights fit only {model}."


def confidence_without_embeddings(model: str) -> str:
    return f"Measured by shared words only: the confidence score's weights fit only {model}."


def encoding(count: int) -> str:
    return f"Encoding {count} prompts. Thousands of prompts take minutes."


# --- doctor and db

SETTINGS_FIX = "Change it in the environment or in .env."
SETTINGS_OK = "valid"


def checks(findings: Iterable[Mapping[str, object]]) -> str:
    """Return the checks of ``parley doctor``, one line each, with the fix below."""
    lines = []
    for check in findings:
        lines.append(f"{'✓' if check['ok'] else '✗'} {check['name']}: {check['detail']}")
        lines += [f"  → {check['fix']}"] if check["fix"] else []
    return "\n".join(lines)


def schema_revision(revision: str | None) -> str:
    return f"The schema is at revision {revision}."


def moved(tables: int, rows: int) -> str:
    return f"Copied {rows:,} rows of {tables} tables. Set DATABASE_URL to the new address, then start Parley."


def distributed(new: int, earlier: int, nodes: int) -> str:
    return f"Distributed {new} tables over {nodes} nodes. {earlier} were distributed before. Start Parley now."


def setting_changed(statement: str) -> str:
    return f"Changed a setting of the role: {statement}"


NO_SUPERUSER = "--superuser is for the bundled PostgreSQL. Ask the administrator of your server for such a role."

# --- init

INIT_NEEDS_TERMINAL = "This command asks questions. Run it in a terminal, or copy .env.example to .env and edit it."
INIT_INTRO = "Press Enter to leave a setting as it is. What you type for a secret is not shown."
INIT_STEPS = {
    "database": (
        "Database. Without an address, Parley uses its bundled PostgreSQL. The form of an address is "
        "postgresql://user:password@host:5432/database"
    ),
    "models": "Models. Without a key and a server of your own, answers quote the documents.",
    "slack": "Slack. The manifest of the app comes from 'parley manifest slack'. See docs/slack.md.",
    "discord": "Discord. The token comes from the Developer Portal. See docs/discord.md.",
}
TRY_AGAIN = "Enter this again?"
NOTHING_WRITTEN = "Nothing was entered, so nothing was written. Run 'parley up' to start."


def setting_prompt(name: str, *, is_set: bool) -> str:
    return f"{name} (already set)" if is_set else name


def in_environment(name: str) -> str:
    return f"{name} is set in the environment, which takes precedence over .env. It is skipped."


def settings_written(count: int) -> str:
    return f"Wrote {number(count, 'setting')} to .env, which only you can read. Run 'parley up' to start."


# --- arguments

EMPTY_ID = "The value is empty."
NO_SHARE = "This is not a number. Write a share from 0 to 1, such as 0.9."
NO_QUERY = "The query is empty. Say what to search for."
NO_MATCH = "No document matches these options, or none contains this. 'parley docs' lists the documents."
PERIOD_IS_EMPTY = "--until must be after --since."


def output_failed(reason: str | None) -> str:
    return f"The output cannot be written ({reason or 'it is closed'}). Write it to a file with enough space."


def not_utf8(argument: str) -> str:
    return f"The argument {argument} is not UTF-8. Rename the file, or set your terminal to UTF-8."


def malformed_tenant(tenant: str) -> str:
    return f"{tenant!r} is not a tenant. Write local, slack:TEAM or discord:GUILD."


def malformed_language(code: str) -> str:
    return f"{code!r} is not the code of a language. Write a code such as de or en-us."


def unknown_tenant(tenant: str, known: Sequence[str]) -> str:
    return f"The tenant {tenant} has no data here. The tenants are: {', '.join(known)}."


def failed_case(name: str, question: str, why: str) -> str:
    return f"{name}: {question}\n    {why}"


def changed_cases(fixed: Sequence[str], broken: Sequence[str]) -> str:
    good, bad = ", ".join(fixed) or "none", ", ".join(broken) or "none"
    return f"Fixed: {good}. Broken: {bad}."


def nothing_to_ask(documents: str) -> str:
    return f"{documents} has no document that can be read. Name a file or folder with documents."


def time_spent(medians: Mapping[str, float | None], answers: int) -> str:
    parts = ", ".join(f"{name} {median:.0f} ms" for name, median in medians.items() if median is not None)
    return f"Answers: {answers}. Medians of the parts: {parts or 'none'}."


def slowest_answers(turn_ids: Sequence[str]) -> str:
    return f"Slowest to begin: {', '.join(turn_ids) or 'none'}."


# --- errors


def unexpected_error(kind: str, message: str) -> str:
    return (
        f"Something went wrong ({kind}: {message[:300] or 'no message'}). "
        "Run the command again with PARLEY_LOG_LEVEL=DEBUG for details."
    )


def wrote_cases(count: int, path: str) -> str:
    """Return what was written to a file of cases."""
    if not count:
        return f"Nothing was rejected in this period. {path} is empty."
    return f"Wrote {count} {'case' if count == 1 else 'cases'} to {path}. Try them: parley eval answers --cases {path}"


COMPARE_WITHOUT_BASELINE = "Name the earlier output with --baseline."


def same_family(judge: str, model: str) -> str:
    return f"{judge} is of the same family as {model}, which answers. Judge with a model of another family."


def price_of_judging(count: int, model: str, usd: Decimal | None) -> str:
    """Return the message that is shown before answers are judged; ``usd`` is None if the price is unknown."""
    price = "The price of this model is unknown" if usd is None else f"This costs about ${usd:.2f} at most"
    return f"{model} judges {count} answers, each twice. {price}. Verdicts of earlier runs are reused."


def judged(report: Mapping[str, Any], not_judged: int) -> str:
    """Return the summary of a judge's verdicts."""
    if report["pass_rate"] is None:
        return f"{report['model']} judged no answer."
    low, high = report["ci95"]
    lines = [f"{report['model']} lets {report['pass_rate']:.0%} pass (95%: {low:.0%} to {high:.0%})."]
    if not_judged:
        lines.append(f"Not judged: {not_judged}.")
    if report["kappa"] is not None:
        lines.append(f"Its agreement with {report['labels']} labels is {report['kappa']:.2f} (kappa).")
    if report["probes"]["passed"]:
        lines.append(
            f"It let {report['probes']['passed']} of {report['probes']['asked']} vague answers pass. Do not rely on it."
        )
    return " ".join(lines)
