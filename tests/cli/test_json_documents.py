"""JSON documents of the command line: which values they hold, and in which form."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from bot.types.json_documents import to_json


def test_values_of_other_types_than_json_has_take_a_form_that_scripts_can_read() -> None:
    document = {
        "at": datetime(2026, 11, 23, 12, 30, tzinfo=UTC),
        "day": date(2026, 11, 23),
        "cost": Decimal("0.125"),
        "id": UUID(int=7),
        "audiences": {"tenant", "C1"},
        "score": np.float32(0.5),
        "count": np.int64(3),
    }
    assert json.loads(to_json(document)) == {
        "at": "2026-11-23T12:30:00+00:00",
        "day": "2026-11-23",
        "cost": 0.125,
        "id": "00000000-0000-0000-0000-000000000007",
        "audiences": ["C1", "tenant"],
        "score": 0.5,
        "count": 3,
    }


@pytest.mark.parametrize("value", [Path("folder"), b"bytes", object(), ValueError("no")])
def test_a_value_without_a_form_in_json_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match=f"{type(value).__name__} has no form in JSON"):
        to_json({"value": value})
