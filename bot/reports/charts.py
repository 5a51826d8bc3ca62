"""Draws charts as PNG images, without a display."""

from __future__ import annotations

import io

from bot.reports.costs import CostReport, money


def costs_by_day(report: CostReport) -> bytes:
    """Return a bar chart of the costs by day, in US dollars. The report must be grouped by day."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    days = [row.key for row in report.rows]
    axes.bar(days, [float(row.cost_usd) for row in report.rows], color="#3b6ea5")
    axes.set_ylabel("USD")
    axes.set_title(f"Model costs by day: {money(report.total.cost_usd)} for {report.total.answers} answers")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="x", labelrotation=45 if len(days) > 7 else 0)
    if not days:
        axes.text(0.5, 0.5, "no calls in this period", ha="center", va="center", transform=axes.transAxes)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=120)
    return out.getvalue()
