"""Loads real, tiny models from a hub on loopback in a process of its own, whose settings name that hub."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from knowledge.embedders import model_hub
from knowledge.embedders.model_hub import ModelHub
from knowledge.errors import EmbeddingError
from tests.knowledge.fake_model_hub import FakeHub, serving

SCRIPT = """
import asyncio, json, logging, os, sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

logging.basicConfig(stream=sys.stderr, level=logging.INFO)
from knowledge.embedders.local import SentenceTransformerEmbedder
from knowledge.errors import EmbeddingError
from knowledge.search.rerankers import CrossEncoderReranker
from knowledge.types.search_results import Passage
from tests.knowledge import tiny_models

tiny_models.save_embedder(Path(sys.argv[1]))
tiny_models.save_cross_encoder(Path(sys.argv[2]))
passage = Passage(1, "d", "a passage", "source", "", (), 0, 9, None, 0.0)


async def embedded(name):
    embedder = SentenceTransformerEmbedder(name)
    try:
        return (await embedder.encode(["a text"], "query")).vectors.shape[1]
    except EmbeddingError as error:
        return str(error)
    finally:
        await embedder.aclose()


async def reranked(name):
    reranker = CrossEncoderReranker(name)
    try:
        return len(await reranker.score("a question", [passage]))
    except EmbeddingError as error:
        return str(error)
    finally:
        await reranker.aclose()


def mark(name):
    try:
        urlopen(f"{os.environ['HF_ENDPOINT']}/mark/{name}")
    except HTTPError:
        pass


async def main():
    first = [await embedded("tiny/embedder"), await reranked("tiny/reranker")]
    mark("downloaded")
    again = [await embedded("tiny/embedder"), await reranked("tiny/reranker")]
    mark("loaded-again")
    names = ("nobody/none", "no such/name/at all", "away/model", "away/model")
    failed = [await embedded(name) for name in names]
    return {"first": first, "again": again, "failed": [*failed, await reranked("away/reranker")]}


print(json.dumps(asyncio.run(main())))
logging.getLogger("huggingface_hub.file_download").warning("a warning of the hub's library")
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str, FakeHub]:
    """Return what the script printed, its log, and the hub with the requests that it got."""
    folder = tmp_path_factory.mktemp("hub")
    models = {"tiny/embedder": folder / "embedder", "tiny/reranker": folder / "reranker"}
    with serving(models, frozenset({"away/model", "away/reranker"})) as hub:
        unset = ("HF_", "HUGGING", "TRANSFORMERS_", "SENTENCE_")
        kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(unset)}
        env = {**kept, "HF_HOME": str(folder / "home"), "HF_ENDPOINT": hub.url, "no_proxy": "127.0.0.1"}
        command = [sys.executable, "-c", SCRIPT, *map(str, models.values())]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr, hub


def test_a_model_is_downloaded_once_and_then_loaded_without_a_request(
    loaded: tuple[dict[str, Any], str, FakeHub],
) -> None:
    printed, _, hub = loaded
    assert (printed["first"], printed["again"]) == ([16, 1], [16, 1])
    downloaded, again = (hub.requests.index(f"GET mark/{name}") for name in ("downloaded", "loaded-again"))
    fetched = [one for one in hub.requests[:downloaded] if one.startswith("GET") and one.endswith(".safetensors")]
    assert [one.split("/resolve/")[0] for one in fetched] == ["GET tiny/embedder", "GET tiny/reranker"]
    assert again == downloaded + 1


def test_a_hub_that_does_not_answer_is_asked_once(loaded: tuple[dict[str, Any], str, FakeHub]) -> None:
    printed, _, hub = loaded
    first, second, reranker = printed["failed"][2:]
    assert first == second
    assert first.startswith(
        "The embedding model away/model cannot be loaded (it is not on this machine, and 127.0.0.1:"
    )
    assert "HTTP 503). Correct PARLEY_EMBEDDING_MODEL, " in first
    assert reranker.startswith("The reranker away/reranker cannot be loaded (it is not on this machine, and ")
    assert "Correct PARLEY_RERANKER, " in reranker
    assert hub.requests_for("away/") == ["GET api/models/away/model"]


def test_an_unknown_model_is_named_without_a_second_request(loaded: tuple[dict[str, Any], str, FakeHub]) -> None:
    printed, _, hub = loaded
    unknown, invalid = printed["failed"][:2]
    assert "has no model of this name that this machine may read). Correct PARLEY_EMBEDDING_MODEL, " in unknown
    assert "(this is neither a folder nor the name of a model)" in invalid
    assert hub.requests_for("nobody/none") == ["GET api/models/nobody/none"]


def test_a_warning_of_the_hubs_library_is_logged_once(loaded: tuple[dict[str, Any], str, FakeHub]) -> None:
    _, log, _ = loaded
    assert log.count("a warning of the hub's library") == 1


def test_a_folder_that_does_not_exist_is_looked_up_nowhere(tmp_path: Path) -> None:
    def build(local_files_only: bool) -> None:
        raise AssertionError("nothing is there to load")

    with pytest.raises(EmbeddingError, match=r"no such folder"):
        ModelHub().load(str(tmp_path / "nope"), build, label="embedding model", cure="Check it.")


def test_a_hub_that_was_away_is_asked_again_after_a_while(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    now = [100.0]
    hub, built = ModelHub(lambda: now[0]), []

    def build(local_files_only: bool) -> str:
        if local_files_only:
            raise OSError("not here")
        built.append(local_files_only)
        return "model"

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with serving({"tiny/model": tmp_path}, frozenset({"away/model"})) as served:
        monkeypatch.setattr(constants, "ENDPOINT", served.url)
        for _ in range(2):
            with pytest.raises(EmbeddingError, match="does not answer"):
                hub.load("away/model", build, label="model", cure="Cure.")
        with pytest.raises(EmbeddingError, match="does not answer"):
            hub.load("tiny/model", build, label="model", cure="Cure.")
        now[0] += model_hub.AWAY_SECONDS
        assert hub.load("tiny/model", build, label="model", cure="Cure.") == "model"
        asked = [served.requests_for(model) for model in ("away/model", "tiny/model")]
        assert asked == [["GET api/models/away/model"], ["GET api/models/tiny/model"]]
