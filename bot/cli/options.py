"""Options that many commands share: ``--tenant`` and ``--json``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from bot.cli.parameter_types import TenantId
from bot.types.conversation import LOCAL_TENANT

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def _own_or_of_group(context: click.Context, option: click.Parameter, value: Any) -> Any:
    """Return the option's value. A command without a value of its own takes that of its group."""
    name = option.name or ""
    given = context.get_parameter_source(name) is not ParameterSource.DEFAULT
    return value if given or context.parent is None else context.parent.params.get(name, value)


json_option = click.option(
    "--json", "as_json", is_flag=True, callback=_own_or_of_group, help="Print one JSON document."
)
tenant_option = click.option(
    "--tenant",
    type=TenantId(),
    default=LOCAL_TENANT,
    show_default=True,
    metavar="TENANT",
    callback=_own_or_of_group,
    help="Whose data to use: local, slack:TEAM or discord:GUILD.",
)


def data_options(command: Decorated) -> Decorated:
    """Add the options of a command that prints a tenant's data: ``tenant`` and ``as_json``.

    At a group, the options apply to its commands, unless a command sets its own.
    """
    return tenant_option(json_option(command))
