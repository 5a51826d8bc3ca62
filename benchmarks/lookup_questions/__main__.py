"""Asks about rows of a staff list, of venues and of contacts, and about handbooks in German, Spanish, Japanese, Hindi.

    python -m benchmarks.lookup_questions [directory] [de] [es] [ja] [hi]

Each set is asked with ``parley eval answers`` and the settings of the environment, in a process of its own: without
keys, the answers quote. ``passed`` counts the questions with an answer whose facts are in it, ``wrong`` those with
another answer, ``declined`` those that found nothing; ``kept_quiet`` counts the questions that the documents do not
answer and that are declined. Prints each question that failed.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from openpyxl import Workbook

HANDBOOKS = json.loads((Path(__file__).parent / "handbooks.json").read_text(encoding="utf-8"))
FIRST_NAMES = "Ada Bruno Clara Dario Elif Farid Greta Hugo Ines Jonas Karla Lars Mina Nils Olga".split()
LAST_NAMES = "Abel Brandt Castro Dorn Engel Falk Grau Haas".split()
DEPARTMENTS = "Legal Finance Research Support Purchasing Facilities".split()
STAFF = [
    {
        "name": f"{FIRST_NAMES[number % len(FIRST_NAMES)]} {LAST_NAMES[number % len(LAST_NAMES)]}",
        "department": DEPARTMENTS[number % len(DEPARTMENTS)],
        "extension": 4200 + 7 * number,
        "room": f"{2 + number // 20}.{10 + number % 20}",
        "car": f"K-{310 + 3 * number}",
    }
    for number in range(60)
]
WORDINGS = (
    ("Which department does {name} work in?", "department"),
    ("What department is {name} in?", "department"),
    ("In which room does {name} sit?", "room"),
    ("Where does {name} sit?", "room"),
    ("Where is {name}'s office?", "room"),
    ("{name} room", "room"),
    ("What is {name}'s extension?", "extension"),
    ("What is the extension of {name}?", "extension"),
    ("How do I reach {name} by phone?", "extension"),
    ("phone number of {name}", "extension"),
    ("Who has extension {extension}?", "name"),
    ("Whose extension is {extension}?", "name"),
    ("Who sits in room {room}?", "name"),
    ("Who works in {room}?", "name"),
    ("Who drives the car {car}?", "name"),
    ("In welchem Raum sitzt {name}?", "room"),
    ("In welcher Abteilung arbeitet {name}?", "department"),
    ("¿En qué departamento trabaja {name}?", "department"),
    ("Quel est le poste téléphonique de {name} ?", "extension"),
    ("{name}さんの内線番号は何番ですか？", "extension"),
)
VENUES = (
    ("Venue", "City", "Capacity", "Day rate", "Contact"),
    ("Harbour Hall", "Kiel", 220, 1900, "Petra Lund"),
    ("Old Mill", "Ghent", 85, 740, "Wim Claes"),
    ("Glass House", "Porto", 140, 1260, "Rita Sousa"),
    ("Tower Room", "Lyon", 40, 390, "Luc Morel"),
)
CONTACTS = (
    ("Service", "Company", "Phone", "Hours"),
    ("Lift repair", "Hebewerk", "0431 55 81 20", "24 hours"),
    ("Plumber", "Rohrfix", "0431 55 90 11", "8 to 17"),
    ("Locksmith", "Keymaster", "0431 55 33 47", "24 hours"),
    ("Waste disposal", "Reinhaus", "0431 55 12 60", "7 to 15"),
)
TOTALS = (("Cost center", "Budget"), ("Travel", 48_000), ("Events", 31_500), ("Total", 79_500))
HEADCOUNT = (("Site", "Employees"), ("Kiel", 34), ("Ghent", 26), ("Total", 60))
TABLE_QUESTIONS = (
    ("How many people fit into the Old Mill?", "85"),
    ("Which venue is in Porto?", "Glass House"),
    ("What does Harbour Hall cost per day?", "1900"),
    ("Who do I contact about the Tower Room?", "Luc Morel"),
    ("Who repairs the lift?", "Hebewerk"),
    ("What is the plumber's phone number?", "55 90 11"),
    ("When can I reach the locksmith?", "24 hours"),
    ("Which company takes care of waste disposal?", "Reinhaus"),
    ("What is the total budget?", "79500"),
    ("How many employees are there in total?", "60"),
    ("What is the budget for events?", "31500"),
)
NOT_IN_TABLES = (
    "Which department does Zeno Falkenberg work in?",
    "Who has extension 9999?",
    "Who sits in room 9.99?",
    "What is the total of the legal fees?",
    "What does the Blue Salon cost per day?",
    "What is the gardener's phone number?",
)


def directory_cases() -> Iterator[dict[str, Any]]:
    """Yield the questions about the tables."""
    dice = random.Random(3)
    for number, (wording, asked) in enumerate(WORDINGS):
        person = dice.choice(STAFF)
        fact = str(person[asked])
        yield {"id": f"row-{number}", "kind": "answerable", "question": wording.format(**person), "facts": [fact]}
    for number, (question, fact) in enumerate(TABLE_QUESTIONS):
        yield {"id": f"table-{number}", "kind": "answerable", "question": question, "facts": [fact]}
    for number, question in enumerate(NOT_IN_TABLES):
        yield {"id": f"none-{number}", "kind": "unanswerable", "question": question, "abstain": True}


def handbook_cases(language: str) -> Iterator[dict[str, Any]]:
    """Yield the questions about a handbook."""
    for number, (question, facts) in enumerate(HANDBOOKS[language]["questions"]):
        yield {"id": f"{language}-{number}", "kind": "answerable", "question": question, "facts": facts}
    for number, question in enumerate(HANDBOOKS[language]["unanswerable"]):
        yield {"id": f"{language}-none-{number}", "kind": "unanswerable", "question": question, "abstain": True}


def write_directory(folder: Path) -> None:
    """Write a workbook with the staff list below a title, and one with the other tables."""
    staff = Workbook()
    sheet = staff.active
    sheet.title = "Staff"
    sheet.append(["Staff directory"])
    sheet.append([])
    sheet.append([name.title() for name in STAFF[0]])
    for person in STAFF:
        sheet.append(list(person.values()))
    staff.save(folder / "staff.xlsx")
    lists = Workbook()
    for title, rows in (("Venues", VENUES), ("Contacts", CONTACTS), ("Budget", TOTALS), ("Headcount", HEADCOUNT)):
        sheet = lists.create_sheet(title)
        for row in rows:
            sheet.append(row)
    lists.remove(lists.worksheets[0])
    lists.save(folder / "lists.xlsx")


def write_handbook(language: str, folder: Path) -> None:
    """Write a page for each section of a handbook."""
    for number, (heading, text) in enumerate(HANDBOOKS[language]["sections"].items()):
        page = f"# {HANDBOOKS[language]['title']}\n\n## {heading}\n\n{text}\n"
        (folder / f"{number}.md").write_text(page, encoding="utf-8")


def measure(name: str) -> None:
    """Ask the questions of one set and print a line, and the questions that failed."""
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as scratch:
        folder, cases = Path(scratch) / "documents", Path(scratch) / "cases.jsonl"
        folder.mkdir()
        if name == "directory":
            write_directory(folder)
        else:
            write_handbook(name, folder)
        asked = list(directory_cases() if name == "directory" else handbook_cases(name))
        cases.write_text("\n".join(json.dumps(case) for case in asked))
        command = [sys.executable, "-m", "bot", "eval", "answers", "--documents", str(folder), "--cases", str(cases)]
        done = subprocess.run([*command, "--json"], stdout=subprocess.PIPE, text=True, check=False)
    failed = json.loads(done.stdout)["failed"]
    kinds = {case["id"]: case["kind"] for case in asked}
    numbers = {kind: sum(one == kind for one in kinds.values()) for kind in ("answerable", "unanswerable")}
    wrong = [one for one in failed if kinds[one["id"]] == "answerable"]
    told = [one for one in failed if kinds[one["id"]] == "unanswerable"]
    print(
        f"{name}: passed {numbers['answerable'] - len(wrong)} of {numbers['answerable']}, "
        f"kept_quiet {numbers['unanswerable'] - len(told)} of {numbers['unanswerable']}"
    )
    for one in failed:
        print(f"  {one['question']}  {one['why']}", flush=True)


def main() -> None:
    """Print the figures of each set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", metavar="SET", default=["directory", *HANDBOOKS])
    for name in parser.parse_args().sets:
        measure(name)


if __name__ == "__main__":
    main()
