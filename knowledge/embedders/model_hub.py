"""Loads models from this machine, and those that are not here from the model hub after one short request to it.

The libraries that load models repeat every failed request to the hub for more than a minute. A model that is on this
machine needs no request at all, and keeps its weights although the hub may have others by now: vectors of two versions
of a model cannot be compared.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import httpx2

from knowledge.errors import EmbeddingError

PROBE_SECONDS = 5.0
"""Timeout of the request that finds out whether the hub answers and has the model."""
AWAY_SECONDS = 30.0
"""How long a hub that did not answer is not asked again, so that questions do not wait for it one after the other."""

_FAILURES = (OSError, ValueError, RuntimeError, httpx2.HTTPError)
"""What loading a model raises: missing files, a wrong name or configuration, weights that do not fit, the network."""

Model = TypeVar("Model")


class ModelHub:
    """The hub of the ``HF_ENDPOINT`` setting. ``monotonic`` returns seconds."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._away_until = 0.0
        self._problem = ""

    def load(self, model: str, build: Callable[[bool], Model], *, label: str, cure: str) -> Model:
        """Return ``build(local_files_only)`` for a model, given by the name it has on the hub or by its folder.

        Raises EmbeddingError, which names the model by its ``label`` and ends with the ``cure``.
        """
        try:
            return self._load(model, build)
        except _FAILURES as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200].rstrip(".")
            raise EmbeddingError(f"The {label} {model} cannot be loaded ({reason}). {cure}") from error

    def _load(self, model: str, build: Callable[[bool], Model]) -> Model:
        if Path(model).is_absolute() and not Path(model).exists():
            raise OSError("there is no such folder")
        if Path(model).exists() or _is_offline():
            return build(True)
        if _is_complete(model):
            try:
                return build(True)
            except _FAILURES:
                logging.getLogger(__name__).info("%s is only partly on this machine", model)
        problem = self._why_not(model)
        if problem is None:
            return build(False)
        try:
            return build(True)
        except _FAILURES as error:
            raise OSError(problem) from error

    def _why_not(self, model: str) -> str | None:
        """Return why the hub cannot provide the model, or None if it can. Sends one request."""
        from huggingface_hub import HfApi, constants
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError

        host = urlsplit(constants.ENDPOINT).netloc
        if self._monotonic() < self._away_until:
            return self._problem
        try:
            HfApi().model_info(model, timeout=PROBE_SECONDS)
        except RepositoryNotFoundError:
            return f"{host} has no model of this name that this machine may read"
        except HFValidationError:
            return "this is neither a folder nor the name of a model"
        except (HfHubHTTPError, httpx2.HTTPError, OSError) as error:
            status = f" as it should: HTTP {error.response.status_code}" if isinstance(error, HfHubHTTPError) else ""
            self._away_until = self._monotonic() + AWAY_SECONDS
            self._problem = f"it is not on this machine, and {host} does not answer{status}"
            return self._problem
        return None


HUB = ModelHub()
"""The hub of this process."""


def log_once() -> None:
    """Remove the hub library's own log handler: its records reach the root logger too, and would appear twice."""
    import huggingface_hub  # noqa: F401  (adds the handler)

    logging.getLogger("huggingface_hub").handlers.clear()


def _is_offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def _is_complete(model: str) -> bool:
    """Return whether the model was loaded on this machine before.

    The list of a model's modules is the first thing that is asked for. Where nobody asked, other programs may have
    stored only some files, and a model made of these may pool its vectors in another way.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        return try_to_load_from_cache(model, "modules.json") is not None
    except HFValidationError:
        return False
