"""Documents of folders with the same last part are told apart by as many parent folders as that takes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from knowledge.store.distinct_document_names import names_with_parents


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        (["/d/a/hb", "/d/b/hb"], ["a/hb/x.md", "b/hb/x.md"]),
        (["/d/1/a/hb", "/d/2/a/hb"], ["1/a/hb/x.md", "2/a/hb/x.md"]),
        (["/hb", "/d/hb"], ["/hb/x.md", "d/hb/x.md"]),
        (["/d/a/hb", "/d/a/hb"], ["hb/x.md", "hb/x.md"]),  # one folder, added for two audiences
        (["/d/a/hb"], ["hb/x.md"]),
    ],
)
def test_as_few_parents_as_tell_the_folders_apart(sources: Sequence[str], names: Sequence[str]) -> None:
    found = names_with_parents((str(n), "hb/x.md", source) for n, source in enumerate(sources))
    assert [found[str(n)] for n in range(len(sources))] == names


def test_a_file_alone_is_named_with_its_folder() -> None:
    assert names_with_parents([("1", "x.md", "/d/a/x.md"), ("2", "x.md", "/d/b/x.md")]) == {
        "1": "a/x.md",
        "2": "b/x.md",
    }


def test_addresses_keep_their_names() -> None:
    page = "https://example.com/x"
    assert names_with_parents([("1", page, "https://example.com"), ("2", page, page)]) == {}
