"""``parley parse`` prints what is read of files, a line each as JSON, and opens no database."""

from __future__ import annotations

import json
import zipfile
from email.message import EmailMessage
from pathlib import Path

import pytest

from tests.cli.conftest import Parley


def test_each_file_is_one_line_of_json(bare: Path, parley: Parley) -> None:
    (bare / "rules.md").write_text("# Travel\n\n## Hotels\n\nA hotel may cost 180 EUR.\n")
    (bare / "clip.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (bare / "half.json").write_text('{"note": "smile \\ud83d here"}')
    names = ("rules.md", "clip.png", "missing.txt", "half.json")
    ran = parley("parse", *names, "--json")
    assert ran.status == 1
    rules, clip, missing, half = map(json.loads, ran.out.splitlines())
    assert rules == {
        "file": "rules.md",
        "format": "markdown",
        "title": "Travel",
        "metadata": {"format": "markdown"},
        "text": (bare / "rules.md").read_text(),
        "blocks": [
            {"kind": "heading", "heading": [], "page": None, "text": "# Travel"},
            {"kind": "heading", "heading": ["Travel"], "page": None, "text": "## Hotels"},
            {"kind": "paragraph", "heading": ["Travel", "Hotels"], "page": None, "text": "A hotel may cost 180 EUR."},
        ],
        "warnings": [],
    }
    assert set(clip) == set(missing) == {"file", "error"}
    assert "picture" in clip["error"]
    assert "smile \N{REPLACEMENT CHARACTER} here" in half["text"]
    assert not list(bare.glob("**/postgres*"))


def test_what_is_attached_to_a_mail_has_lines_of_its_own(bare: Path, parley: Parley) -> None:
    mail = EmailMessage()
    mail["From"], mail["Subject"] = "eve@example.org", "Offer"
    mail.set_content("See the files.")
    mail.add_attachment("Plan,Price\nTeam,12\n", subtype="csv", filename="prices.csv")
    mail.add_attachment(b"MZ\x90\0", maintype="application", subtype="x-any", filename="tool.exe")
    (bare / "box").mkdir()
    (bare / "box" / "offer.eml").write_bytes(mail.as_bytes())
    ran = parley("parse", "box/offer.eml", "--json")
    assert ran.status == 0
    offer, prices = map(json.loads, ran.out.splitlines())
    assert (offer["file"], prices["file"]) == ("box/offer.eml", "box/offer.eml/prices.csv")
    assert (prices["title"], prices["metadata"]["attached_to"]) == ("prices.csv", "offer.eml")
    assert "Team" not in offer["text"]
    assert [warning.partition(":")[0] for warning in offer["warnings"]] == ["attachment tool.exe left out"]


def test_an_archive_may_unpack_to_what_the_setting_allows(
    bare: Path, parley: Parley, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(bare / "large.zip", "w") as archive:
        archive.writestr("a.json", bytes(2 * 2**20))
    monkeypatch.setenv("PARLEY_MAX_UNPACKED_MB", "1")
    assert "PARLEY_MAX_UNPACKED_MB" in parley("parse", "large.zip").err


def test_the_text_is_shown_and_a_failure_is_one_line(bare: Path, parley: Parley) -> None:
    (bare / "a.txt").write_text("Dogs are welcome on Fridays.")
    (bare / "b.exe").write_bytes(b"MZ\x90\0")
    ran = parley("parse", "b.exe", "a.txt")
    assert ran.status == 1
    assert "Dogs are welcome on Fridays." in ran.out
    assert [line for line in ran.err.splitlines() if "b.exe" in line] == ran.err.splitlines()
    assert parley("parse", "a.txt").status == 0
    assert parley("parse").status == 2


def test_the_setting_limits_what_an_archive_unpacks_to(
    bare: Path, parley: Parley, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(bare / "large.zip", "w") as archive:
        archive.writestr("a.txt", bytes(2**21))
    monkeypatch.setenv("PARLEY_MAX_UNPACKED_MB", "1")
    assert "more than the limit of 1 MB" in parley("parse", "large.zip", "--json").document["error"]
