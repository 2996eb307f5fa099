"""What changed since the figures of before, and whether that is more than noise."""

from __future__ import annotations

from forecasting import news
from forecasting.report import Content
from forecasting.report_page.elements import Markup, el, number, section, table
from forecasting.units import scale_of

TOLD = 3
"""Sentences that stand there unfolded."""
NOISE = "These forecasts end with the quarter and are drawn anew: their medians differ from those above by noise."


def what_changed(content: Content) -> Markup:
    """What the latest figures moved, or why that is not said."""
    if content.news is None:
        return section("changes", "What changed", el("p", f"Left out. {content.no_news}"))
    cells = []
    for one in content.news.stories:
        scale = scale_of(one.unit, [one.before, one.now])
        moved = one.now - one.before
        noise = abs(moved) <= news.SURE * one.noise
        cells.append(
            [
                one.title,
                scale.label,
                number(scale.number(one.before), one.before * scale.factor),
                number(scale.number(one.now), one.now * scale.factor),
                number(scale.number(moved), moved * scale.factor),
                "no" if noise else "yes",
            ]
        )
    sentences = [el("li", news.sentence(one)) for one in content.news.stories]
    return section(
        "changes",
        "What changed since the last forecast",
        [el("p", line, class_="note") for line in content.news.told],
        el("p", NOISE, class_="note"),
        el("ul", sentences[:TOLD]),
        el("details", el("summary", "In words, every series"), el("ul", sentences)) if len(sentences) > TOLD else None,
        table(
            "Medians before and now",
            ["Series", "Unit", "Before", "Now", "Moved", "More than noise"],
            cells,
            "changes-table",
        )
        if cells
        else None,
    )
