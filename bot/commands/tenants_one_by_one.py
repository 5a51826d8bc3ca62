"""Runs a step for many tenants, one after the other, so that the failure of one tenant does not stop the others."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from bot.errors import StoreAway, for_operator, unforeseen

log = logging.getLogger(__name__)

Result = TypeVar("Result")


async def for_each_tenant(what: str, tenants: Iterable[str], step: Callable[[str], Awaitable[Result]]) -> list[Result]:
    """Run the step for the tenants, and return the results of those that did not fail.

    The failure of one tenant is logged, with ``what`` could not be done. Raises StoreAway.
    """
    results: list[Result] = []
    for tenant_id in tenants:
        try:
            results.append(await step(tenant_id))
        except StoreAway:
            raise
        except Exception as error:
            level = logging.WARNING if unforeseen(error) is None else logging.ERROR
            reason = for_operator(error)
            log.log(
                level,
                "%s of the tenant %s failed; the other tenants are not affected: %s",
                what,
                tenant_id,
                reason,
                exc_info=unforeseen(error),
            )
    return results
