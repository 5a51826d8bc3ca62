"""Renders admin pages as HTML, and their tables as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from bot.commands import csv_export
from bot.platforms.web.admin import user_messages
from bot.platforms.web.admin.page_model import Bar, Page, number

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
_HEADERS = {"Cache-Control": "no-store"}
CHART_WIDTH, CHART_HEIGHT = 720, 160


@dataclass(frozen=True, slots=True)
class DrawnBar:
    """A bar with its place in the chart."""

    x: float
    y: float
    width: float
    height: float
    bar: Bar


def respond(request: Request, page: Page, status: int = 200) -> Response:
    """Return the page as HTML, or with ``?csv=NAME`` one of its tables as a file."""
    wanted = request.query_params.get("csv")
    if wanted is not None:
        for table in page.tables:
            if table.name == wanted:
                disposition = {"Content-Disposition": f'attachment; filename="parley-{page.section}-{table.name}.csv"'}
                content = csv_export.text(table.columns, table.plain)
                return Response(content, headers={**_HEADERS, **disposition}, media_type="text/csv; charset=utf-8")
    # Paths are relative, so that the page works behind every path prefix.
    path: str = request.scope["path"]
    root = "../" * (path.count("/") - 1)
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "csv"]
    html = _TEMPLATES.get_template("admin.html").render(
        page=page,
        root=root,
        here=path.rpartition("/")[2],
        query=query,
        sections=user_messages.SECTIONS,
        words=user_messages,
        number=number,
        drawn=draw(page.bars),
        width=CHART_WIDTH,
        height=CHART_HEIGHT,
        highest=max((bar.value for bar in page.bars), default=0.0),
    )
    return HTMLResponse(html, status, headers=_HEADERS)


def draw(bars: Sequence[Bar]) -> list[DrawnBar]:
    """Return the place of each bar. All begin at the bottom; the highest reaches the top."""
    highest = max((bar.value for bar in bars), default=0.0) or 1.0
    step = CHART_WIDTH / max(1, len(bars))
    drawn = []
    for place, bar in enumerate(bars):
        height = max(1.0, CHART_HEIGHT * bar.value / highest) if bar.value else 0.0
        x, y, width = round(place * step, 2), round(CHART_HEIGHT - height, 2), round(step * 0.8, 2)
        drawn.append(DrawnBar(x, y, width, round(height, 2), bar))
    return drawn
