"""The routes of the admin page. The sign-in guard lets only admins through."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.commands.services import Services
from bot.platforms.web.admin import user_messages
from bot.platforms.web.admin.budget_pages import BudgetPages
from bot.platforms.web.admin.cases_file import CasesFile
from bot.platforms.web.admin.gaps_page import GapsPage
from bot.platforms.web.admin.job_pages import JobPages
from bot.platforms.web.admin.judged_page import JudgedPage
from bot.platforms.web.admin.page_model import Page
from bot.platforms.web.admin.pages import AdminPages, Asked
from bot.platforms.web.admin.rendering import respond
from bot.platforms.web.admin.verified_pages import VerifiedPages
from bot.platforms.web.http_messages import identity_of
from knowledge.text.storable_text import storable

Handler = Callable[[Request], Awaitable[Response]]


def routes(services: Services, tenant_id: str) -> list[Route]:
    """Return the routes of one tenant's pages, files and forms."""
    pages = AdminPages(services, tenant_id)

    async def question(request: Request) -> Response:
        page = await pages.question(request.path_params["turn_id"], identity_of(request).id)
        if page is None:
            raise HTTPException(404, user_messages.UNKNOWN_QUESTION)
        return respond(request, page)

    found = [Route(f"/admin/{name}" if name else "/admin", _handler(build)) for name, build in pages.named().items()]
    return [
        *found,
        Route("/admin/cases.jsonl", CasesFile(services, tenant_id)),
        Route("/admin/questions/{turn_id}", question),
        *GapsPage(services, tenant_id).routes(),
        *JudgedPage(services, tenant_id).routes(),
        *VerifiedPages(services, tenant_id).routes(),
        *BudgetPages(services, tenant_id).routes(),
        *JobPages(services, tenant_id).routes(),
    ]


def _handler(build: Callable[[Asked], Awaitable[Page]]) -> Handler:
    async def handle(request: Request) -> Response:
        given = {name: storable(value) for name, value in request.query_params.items()}
        return respond(request, await build(Asked(given, identity_of(request).id)))

    return handle
