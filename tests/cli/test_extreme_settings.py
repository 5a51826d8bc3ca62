"""Every number among the settings at the ends of its range: documents are added and questions answered."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from annotated_types import Ge, Gt, Le
from pydantic.fields import FieldInfo

from bot.config import Settings, environment_name
from tests.cli.conftest import Parley
from tests.test_settings import NUMBERS

NEED_ANOTHER_MODEL = ("PARLEY_EMBEDDING_DIMENSIONS", "PARLEY_JUDGE_SHARE")
JUST_ABOVE = 0.001
"""Added to a lower end that is itself not allowed."""


def ends(field: FieldInfo) -> tuple[float, float]:
    """Return the least and the greatest number that the setting takes."""
    lowest = [one.ge if isinstance(one, Ge) else one.gt for one in field.metadata if isinstance(one, Ge | Gt)]
    exclusive = any(isinstance(one, Gt) for one in field.metadata)
    (greatest,) = [one.le for one in field.metadata if isinstance(one, Le)]
    return float(str(lowest[0])) + JUST_ABOVE * exclusive, float(str(greatest))


def at_end(place: int) -> Mapping[str, str]:
    """Return the value of each number among the settings at one end: 0 is the lowest, 1 the highest."""
    fields = {environment_name(name): field for name, field in Settings.model_fields.items()}
    found = {name: ends(fields[name])[place] for name in NUMBERS}
    return {name: f"{value:.10g}" if value % 1 else str(int(value)) for name, value in found.items()}


@pytest.mark.parametrize("place", [0, 1], ids=["lowest", "highest"])
def test_parley_works_at_the_ends_of_every_range(
    parley: Parley, bare: Path, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    for name, value in at_end(place).items():
        if name not in NEED_ANOTHER_MODEL:
            monkeypatch.setenv(name, value)
    document = bare / "travel.md"
    document.write_text("# Travel\n\nThe hotel limit in Oslo is 180 EUR a night.\n")
    assert parley("ingest", str(document), "--json").document["documents"] == 1
    answered = parley("ask", "What is the hotel limit in Oslo?", "--json").document
    assert (answered["refused"], "180 EUR" in answered["answer"]) == (None, True)
    assert parley("docs", "refresh", "--json").status == 0
    assert parley("budget", "show", "--json").status == 0
    assert parley("costs", "--json").status == 0
