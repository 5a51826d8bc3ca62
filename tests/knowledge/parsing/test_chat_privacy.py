"""Private conversations of chat exports: one rule for archives, folders and single files, which fails closed."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from knowledge.errors import ParseError
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.sources.source_factory import open_source
from knowledge.types.source_items import Failure, Fetched, Known

MAX_BYTES = 10**7
PUBLIC = "The canteen opens at seven."
MEMBERS = [
    {"id": "U1", "name": "ida", "profile": {"real_name": "Ida Berg", "phone": "+49 30 5550199", "bot_id": ""}},
    {"id": "U7", "name": "deploy", "is_bot": True, "profile": {"real_name": "Deploy Bot", "bot_id": "B7"}},
]
CHANNELS = [
    {"id": "C1", "name": "canteen"},
    {"id": "C2", "name": "salaries", "is_private": True},
    {"id": "G3", "name": "oldgroup", "is_group": True},
]
SECRETS = {
    "salaries": "Secret of salaries",
    "oldgroup": "Secret of oldgroup",
    "unlisted": "Secret of unlisted",
    "board": "Secret of board",
}
DIRECT = {"D0AB": "Secret of D0AB", "mpdm-ida--bob-1": "Secret of the group message"}
Files = dict[str, Any]


def day(text: str, **more: object) -> list[dict[str, object]]:
    return [{"type": "message", "user": "U1", "ts": "1772445600.000100", "text": text, **more}]


def full_export(root: str = "", *, lists: bool = True, members: str = "users.json") -> Files:
    """Return the files of a full export by name: one public channel, private ones and direct messages."""
    files: Files = {f"{root}{members}": MEMBERS, f"{root}canteen/2026-03-02.json": day(PUBLIC)}
    if lists:
        files |= {
            f"{root}channels.json": CHANNELS,
            f"{root}groups.json": [{"id": "G1", "name": "board"}],
            f"{root}dms.json": [{"id": "D0AB", "members": ["U1", "U2"]}],
            f"{root}mpims.json": [{"id": "G9", "name": "mpdm-ida--bob-1"}],
            f"{root}integration_logs.json": [{"user_id": "U1", "change": "Secret of the logs"}],
            f"{root}__uploads/F1/contract.txt": b"Secret of the contract",
        }
    for name, text in (SECRETS | DIRECT).items():
        files[f"{root}{name}/2026-03-02.json"] = day(text)
    return files


def content(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def archive(files: Files) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for name, value in files.items():
            made.writestr(zipfile.ZipInfo(name), content(value))
    return buffer.getvalue()


def placed(folder: Path, files: Files, form: str) -> Path:
    """Write the files below ``folder``, or as an archive in it, and return the path to add."""
    if form == "archive":
        (folder / "export.zip").write_bytes(archive(files))
        return folder / "export.zip"
    for name, value in files.items():
        path = folder / "export" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(value))
    return folder / "export"


async def read(path: Path, parser: Parser, *, private_chats: bool = False) -> tuple[str, dict[str, str]]:
    """Return the text of all documents of a path, and the failures by name."""
    source = open_source(str(path), fetch_allow=(), max_bytes=MAX_BYTES, files=True)
    texts: list[str] = []
    failures: dict[str, str] = {}
    async for item in source.fetch(Known(private_chats=private_chats)):
        if isinstance(item, Failure):
            failures[item.source] = item.error
            continue
        assert isinstance(item, Fetched)
        try:
            made = Fetched(item.uri, item.data, item.title, item.content_type, private_chats=private_chats)
            texts.append((await parser.parse(made)).text)
        except ParseError as error:
            failures[item.uri] = str(error)
    return "\n".join(texts), failures


def leaked(text: str) -> list[str]:
    return [secret for secret in (*SECRETS.values(), *DIRECT.values(), "5550199", "Secret") if secret in text]


LAYOUTS: Mapping[str, Files] = {
    "official": full_export(),
    "nested": full_export("My Team Slack export/"),
    "deep": full_export("backup/2026/team/"),
    "organization": full_export("teams/T1/", members="users.json") | {"org_users.json": MEMBERS},
    "two workspaces": full_export("teams/T1/")
    | {n: v for n, v in full_export("teams/T2/").items() if "canteen" not in n},
    "organization members": full_export(members="org_users.json"),
}


@pytest.mark.parametrize("form", ["archive", "folder"])
@pytest.mark.parametrize("layout", LAYOUTS)
async def test_only_listed_public_channels_are_read(parser: Parser, tmp_path: Path, layout: str, form: str) -> None:
    path = placed(tmp_path, LAYOUTS[layout], form)
    text, _ = await read(path, parser)
    assert f"Ida Berg, 2026-03-02 10:00: {PUBLIC}" in text
    assert "6 private channels and direct messages of this export were left out." in text
    assert leaked(text) == []


@pytest.mark.parametrize("form", ["archive", "folder"])
@pytest.mark.parametrize("layout", LAYOUTS)
async def test_an_audience_adds_private_channels_but_no_direct_messages(
    parser: Parser, tmp_path: Path, layout: str, form: str
) -> None:
    text, _ = await read(placed(tmp_path, LAYOUTS[layout], form), parser, private_chats=True)
    assert PUBLIC in text
    assert [name for name, secret in SECRETS.items() if secret not in text] == []
    hidden = (*DIRECT.values(), "5550199", "Secret of the logs", "Secret of the contract")
    assert [secret for secret in hidden if secret in text] == []


@pytest.mark.parametrize("form", ["archive", "folder"])
async def test_without_lists_no_channel_is_known_to_be_public(parser: Parser, tmp_path: Path, form: str) -> None:
    text, failures = await read(placed(tmp_path, full_export(lists=False), form), parser)
    assert text == ""
    assert any("channels.json" in error for error in failures.values())


async def test_day_files_without_any_list_are_refused(parser: Parser, tmp_path: Path) -> None:
    files = {name: value for name, value in full_export(lists=False).items() if name != "users.json"}
    for private_chats in (False, True):
        text, failures = await read(placed(tmp_path, files, "folder"), parser, private_chats=private_chats)
        assert (text, len(failures)) == ("", 7)


async def test_names_with_backslashes_are_those_of_windows(parser: Parser) -> None:
    data = archive({name.replace("/", "\\"): value for name, value in full_export("team/").items()})
    document = await parser.parse(Fetched("export.zip", data))
    assert PUBLIC in document.text
    assert leaked(document.text) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("2026-03-02.json", day("Secret")),
        ("users.json", MEMBERS),
        ("people.json", MEMBERS),
        ("dms.json", [{"id": "D1", "members": ["U1", "U2"]}]),
        ("history.json", {"ok": True, "messages": day("Secret")}),
        ("history.json", {"slack_channel": "board", "messages": day("Secret")}),
    ],
)
async def test_single_files_of_an_export_are_refused(parser: Parser, name: str, value: object) -> None:
    with pytest.raises(ParseError, match="whole export"):
        await parser.parse(Fetched(name, json.dumps(value).encode()))


async def test_deleted_messages_are_not_read(parser: Parser) -> None:
    entries = [
        *day("Kept."),
        {**day("Secret, deleted later")[0], "ts": "1772445601.000100"},
        {"type": "message", "subtype": "message_deleted", "ts": "1772445602.0001", "deleted_ts": "1772445601.000100"},
        {**day("Secret", subtype="tombstone")[0], "ts": "1772445603.000100"},
        {**day("Secret", hidden=True)[0], "ts": "1772445604.000100"},
        {**day("", original={"text": "Secret before the edit"})[0], "ts": "1772445605.000100"},
    ]
    files = {"channels.json": CHANNELS, "users.json": MEMBERS, "canteen/2026-03-02.json": entries}
    text = (await parser.parse(Fetched("export.zip", archive(files)))).text
    assert "Ida Berg, 2026-03-02 10:00: Kept." in text
    assert leaked(text) == []


async def test_export_of_one_member_is_refused(parser: Parser, tmp_path: Path) -> None:
    files: Files = {"x/channels/canteen.txt": b"Secret", "x/dms/ida.txt": b"Secret", "x/notes/readme.txt": b"Welcome."}
    text, failures = await read(placed(tmp_path, files, "folder"), parser)
    assert (text, sorted(failures)) == ("Welcome.", ["export/x/channels/canteen.txt", "export/x/dms/ida.txt"])
    with pytest.raises(ParseError, match="one member"):
        await parser.parse(Fetched("export.zip", archive(files)))


async def test_documents_beside_an_export_are_read(parser: Parser, tmp_path: Path) -> None:
    files = full_export() | {"handbook.md": b"# Leave\n\n28 days.", "docs/a.md": b"# Parking"}
    text, failures = await read(placed(tmp_path, files, "folder"), parser)
    assert "28 days." in text
    assert "Parking" in text
    assert (leaked(text), failures) == ([], {})


def discord(kind: object, text: str, *, number: str = "9", first: int = 1, **more: Any) -> Files:
    message = {
        "id": str(100 + first),
        "type": "Default",
        "timestamp": f"2026-03-02T10:{first:02}:00+00:00",
        "content": text,
        "author": {"name": "ida"},
        **more,
    }
    channel = {"id": number, "type": kind, "name": "ops"}
    return {"guild": {"id": "5", "name": "Team"}, "channel": channel, "messages": [message]}


@pytest.mark.parametrize(
    ("kind", "for_everyone", "for_a_channel"),
    [
        ("GuildTextChat", True, True),
        ("GuildPublicThread", True, True),
        ("GuildForum", True, True),
        (0, True, True),
        ("GuildPrivateThread", False, True),
        (12, False, True),
        ("SomethingUnknown", False, True),
        (None, False, True),
        ("DirectTextChat", False, False),
        ("DirectGroupTextChat", False, False),
        (1, False, False),
    ],
)
@pytest.mark.parametrize("form", ["file", "folder", "archive"])
async def test_kind_of_a_discord_channel_decides(
    parser: Parser, tmp_path: Path, form: str, kind: object, for_everyone: bool, for_a_channel: bool
) -> None:
    path = placed(tmp_path, {"ops.json": discord(kind, "Words of the channel")}, form)
    if form == "file":
        path = path / "ops.json" if (path / "ops.json").exists() else path
    for private_chats, allowed in ((False, for_everyone), (True, for_a_channel)):
        text, failures = await read(path, parser, private_chats=private_chats)
        assert ("Words of the channel" in text, bool(failures)) == (allowed, not allowed)


HTML = (
    "<!DOCTYPE html><html><head><title>{guild} - ops</title></head><body><div class=preamble><div class="
    "preamble__guild-icon-container></div></div><div class=chatlog><div class=chatlog__message-group>Secret words"
    "</div></div></body></html>"
)
CSV = 'AuthorID,Author,Date,Content,Attachments,Reactions\n"1","ida","2026-03-02T10:00:00","Secret words","",""\n'
TXT = "=" * 62 + "\nGuild: {guild}\nChannel: Text / ops\n" + "=" * 62 + "\n\n[3/2/2026] ida\nSecret words\n"


@pytest.mark.parametrize(("name", "form"), [("ops.html", HTML), ("ops.csv", CSV), ("ops.txt", TXT)])
async def test_discord_exports_that_name_no_type_are_for_one_channel(parser: Parser, name: str, form: str) -> None:
    data = form.replace("{guild}", "Team").encode()
    with pytest.raises(ParseError, match="--audience CHANNEL"):
        await parser.parse(Fetched(name, data))
    assert "Secret words" in (await parser.parse(Fetched(name, data, private_chats=True))).text
    direct = form.replace("{guild}", "Direct Messages").encode()
    with pytest.raises(ParseError, match="never added"):
        await parser.parse(Fetched(f"Direct Messages - {name}", direct, private_chats=True))


@pytest.mark.parametrize("form", ["archive", "folder"])
async def test_parts_are_joined_in_order_of_their_numbers(parser: Parser, tmp_path: Path, form: str) -> None:
    files = {
        f"ops{f' [part {n}]' if n > 1 else ''}.json": discord(
            "GuildTextChat", f"words {n}.", first=n, reference={"messageId": "102"} if n == 10 else None
        )
        for n in range(1, 12)
    }
    text, failures = await read(placed(tmp_path, files, form), parser)
    assert failures == {}
    order = sorted(range(1, 12), key=lambda n: text.rindex(f": words {n}."))
    assert order == [1, 2, 10, *range(3, 10), 11]
    assert text.count("#ops") == 1


@pytest.mark.parametrize(
    ("name", "value", "chat"),
    [
        ("import.jsonl", b'{"type":"version","version":1}\n{"type":"post","post":{"message":"Secret"}}', "Mattermost"),
        (
            "part.jsonl",
            b'{"type":"post","post":{}}\n{"type":"direct_post","direct_post":{"message":"x"}}',
            "Mattermost",
        ),
        ("messages-000001.json", {"zerver_message": [{"content": "Secret"}]}, "Zulip"),
        ("messages.json", {"conversations": [{"id": "19:x", "MessageList": []}]}, "Teams"),
        (
            "chat.json",
            {"value": [{"chatId": "19:x", "messageType": "message", "body": {"content": "Secret"}}]},
            "Teams",
        ),
    ],
)
async def test_exports_of_other_chats_are_refused_by_name(parser: Parser, name: str, value: object, chat: str) -> None:
    archived = archive({"import.jsonl" if name.endswith(".jsonl") else name: value})
    for file, data in ((name, content(value)), ("export.zip", archived)):
        with pytest.raises(ParseError, match=chat) as caught:
            await parser.parse(Fetched(file, data, private_chats=True))
        assert "\n" not in str(caught.value)


async def test_members_of_one_channel_find_its_private_export(parser: Parser) -> None:
    """The history that Parley read itself has the same form as a file, and only the file is refused."""
    data = json.dumps({"slack_channel": "board", "messages": day("Words of the board")}).encode()
    document = await parser.parse(Fetched("slack:C1/2026-03", data, private_chats=True))
    assert "Words of the board" in document.text
