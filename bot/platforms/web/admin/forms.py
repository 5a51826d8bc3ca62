"""Handles the forms of the admin pages. The request guard has refused those that another site sends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from bot.errors import UsageError
from bot.platforms.web.admin.page_model import Page
from bot.platforms.web.admin.rendering import respond
from knowledge.errors import KnowledgeError
from knowledge.text.storable_text import storable

Handler = Callable[[Request], Awaitable[Response]]
Change = Callable[[Request, Mapping[str, str]], Awaitable[str]]
"""Changes what a form asks for, and returns the path of the page to show next, below the page's root."""


def posted(change: Change, page_of: Callable[[Request], Awaitable[Page]]) -> Handler:
    """Return the handler of a form: it changes something, then leads to the page whose path ``change`` returns.

    What is wrong with the form is said above the page that ``page_of`` returns.
    """

    async def handle(request: Request) -> Response:
        form = await request.form()
        given = {name: storable(value).strip() for name, value in form.items() if isinstance(value, str)}
        try:
            path = await change(request, given)
        except (UsageError, KnowledgeError) as error:
            return respond(request, replace(await page_of(request), error=str(error)), 400)
        root = "../" * (request.scope["path"].count("/") - 1)
        return RedirectResponse(f"{root}{path}", 303)

    return handle
