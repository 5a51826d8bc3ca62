"""Draws charts as PNG images, without a display."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING

from bot.reports.costs import CostReport, money

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BAR, INK = "#4a86c5", "#777c84"
"""Colors with enough contrast on white and on the dark backgrounds of Slack, Discord and the browser page."""
LONGEST_EMPTY_START = timedelta(days=366)
"""A longer period is drawn from its first call on, because a bot has no calls before it was set up."""


def costs_by_day(report: CostReport) -> bytes:
    """Return a bar chart of the costs by day, in US dollars, as PNG. The report must be grouped by day.

    Its background is transparent, so that it fits a dark page as well as a light one.
    """
    out = io.BytesIO()
    draw(report).savefig(out, format="png", dpi=120, transparent=True)
    return out.getvalue()


def draw(report: CostReport) -> Figure:
    """Return the figure of ``costs_by_day``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.dates import ConciseDateFormatter
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    costs = cost_of_each_day(report)
    axes.bar(list(costs), list(costs.values()), color=BAR)  # type: ignore[arg-type]
    dates = ConciseDateFormatter(axes.xaxis.get_major_locator())  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(dates)
    axes.set_ylabel("USD")
    title = f"Model costs by day: {money(report.total.cost_usd)} for {report.total.answers} answers"
    axes.set_title(title, parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    if not any(costs.values()):
        axes.set_ylim(0, 1)
    for spine in axes.spines.values():
        spine.set_color(INK)
    for label in (axes.title, axes.yaxis.label, axes.xaxis.get_offset_text()):
        label.set_color(INK)
    axes.tick_params(colors=INK)
    if not report.rows:
        axes.text(0.5, 0.5, "no calls in this period", ha="center", va="center", transform=axes.transAxes, color=INK)
    return figure


def cost_of_each_day(report: CostReport) -> Mapping[date, float]:
    """Return the costs of each day of the period in US dollars, in order; 0 for a day without calls."""
    costs = {date.fromisoformat(row.key): float(row.cost_usd) for row in report.rows}
    start, end = report.days
    first = min((max(start, end - LONGEST_EMPTY_START), *costs))
    last = max((end, *costs))
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    return {day: costs.get(day, 0.0) for day in days}
