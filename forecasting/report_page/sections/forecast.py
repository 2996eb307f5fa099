"""The next quarter at a glance, then a card a series: history, fan, totals and how past forecasts did."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from forecasting.report import Card, Content, words_of_stage
from forecasting.report_page import specs
from forecasting.report_page.elements import Cell, Charts, Markup, el, interval, minus, number, section, table
from forecasting.report_page.words import month_words, period_words, share
from forecasting.units import Scale, percent, scale_of

TILES = 3
MEDIAN = ("Median", "80 % interval", "95 % interval")
STAGE_NOTE = (
    "Marked months are not final: provisional ones will be revised, implied ones follow from the figure of a year"
    " later and its growth, reconstructed ones were fitted to published growth and shares, others were read in the"
    " press."
)


def next_quarter(content: Content, charts: Charts) -> Markup:
    """The first quarter that lies wholly ahead: tiles, changes on a year earlier, and a row a series."""
    rows = content.headline
    if rows.empty:
        said = "No quarter lies wholly within the horizon: forecast further with --horizon."
        return section("headline", "The next quarter", el("p", said))
    when = period_words(str(rows["period"].iloc[0]))
    cells = []
    for row in rows.to_dict("records"):
        scale = scale_of(row["unit"], [row["q50"], row["q10"], row["q90"]])
        cells.append(
            [
                row["title"],
                scale.label,
                *_median(row, scale),
                number(scale.number(row["year_ago"]), row["year_ago"] * scale.factor),
                number(percent(row["change"]), row["change"]),
                number(share(row["probability_of_fall"]), row["probability_of_fall"]),
            ]
        )
    columns = [
        "Series",
        "Unit",
        *MEDIAN,
        "A year earlier",
        "Change",
        "Probability of a fall",
    ]
    behind = table(f"Forecast of {when}", columns, cells, "headline-table")
    drawn = el("div")
    if rows["change"].notna().any():
        summary = f"{when}: median change on a year earlier and the interval that holds four outcomes of five."
        drawn = charts.place("headline-changes", specs.changes(rows), summary)
    return section(
        "headline",
        f"The next quarter: {when}",
        el("ul", [_tile(row) for row in rows.head(TILES).to_dict("records")], class_="tiles"),
        drawn,
        behind,
    )


def _median(row: dict[Any, Any], scale: Scale) -> list[Cell]:
    """Median, 80 and 95 % interval of a row of a forecast table."""
    return [
        number(scale.number(row["q50"]), row["q50"] * scale.factor),
        interval(scale, row["q10"], row["q90"]),
        interval(scale, row["q025"], row["q975"]),
    ]


def _tile(row: dict[Any, Any]) -> Markup:
    scale = scale_of(row["unit"], [row["q50"], row["q10"], row["q90"]])
    change = f"{minus(percent(row['change']))} on a year earlier; " if math.isfinite(row["change"]) else ""
    falls = (
        f"probability of a fall {share(row['probability_of_fall'])}"
        if math.isfinite(row["probability_of_fall"])
        else ""
    )
    return el(
        "li",
        el("span", row["title"], class_="what"),
        el("span", scale.text(row["q50"]), class_="big"),
        el(
            "small",
            f"80 %: {scale.number(row['q10'])} to {scale.number(row['q90'])};"
            f" 95 %: {scale.number(row['q025'])} to {scale.number(row['q975'])}",
        ),
        el("small", f"{change}{falls}"),
    )


# --- Cards


def every_series(content: Content, charts: Charts) -> Markup:
    """A card a series."""
    cards = [_card(card, f"card-{at}", charts) for at, card in enumerate(content.cards)]
    return section("series", "Every series", el("p", STAGE_NOTE, class_="note"), el("div", cards, class_="cards"))


def _card(card: Card, name: str, charts: Charts) -> Markup:
    months = card.forecast[card.forecast["kind"] == "month"]
    scale = scale_of(card.entry.unit, [*card.history.iloc[-12:], *months["q50"]])
    summary = _summary(card, scale)
    history = card.history.iloc[-specs.SHOWN_MONTHS :].iloc[::-1]
    known = [
        [
            month_words(month),
            number(scale.number(value), value * scale.factor),
            words_of_stage(str(card.stages.get(month, ""))),
        ]
        for month, value in history.items()
    ]
    return el(
        "article",
        el("h3", card.entry.title, id=f"{name}-h"),
        el("p", summary, class_="about"),
        charts.place(
            name,
            specs.fan(card, scale),
            summary,
            _forecast_table(card, ("month",), "Months ahead", f"{name}-months"),
            table(f"Published months, {scale.label}", ["Month", "Published", "Stage"], known, f"{name}-history"),
        ),
        _forecast_table(card, ("quarter", "fiscal_year"), "Quarters and fiscal years", f"{name}-totals"),
        _record(card, name, charts),
        el("p", f"Forecast by {card.model}{f' ({card.note})' if card.note else ''}.", class_="note"),
        class_="card",
        aria_labelledby=f"{name}-h",
    )


def _summary(card: Card, scale: Scale) -> str:
    if card.history.empty or card.forecast.empty:
        return "Nothing is known of it."
    last, first = card.history.index[-1], card.forecast.iloc[0]
    return (
        f"{month_words(last)}: {scale.text(card.history.iloc[-1])}. {period_words(first['period'])}:"
        f" {scale.number(first['q50'])} (80 %: {scale.number(first['q10'])} to {scale.number(first['q90'])})."
    )


def _forecast_table(card: Card, kinds: Sequence[str], title: str, name: str) -> Markup:
    rows = card.forecast[card.forecast["kind"].isin(kinds)]
    growth = dict(zip(zip(card.growth["kind"], card.growth["period"], strict=True), card.growth["q50"], strict=True))
    scale = scale_of(card.entry.unit, rows["q50"])
    cells = []
    for row in rows.to_dict("records"):
        known = (
            f", {row['observed_months']} months published" if row["observed_months"] and row["kind"] != "month" else ""
        )
        change = growth.get((row["kind"], row["period"]), math.nan)
        cells.append(
            [
                f"{period_words(row['period'])}{known}",
                *_median(row, scale),
                number(percent(change), change),
            ]
        )
    columns = ["Period", *MEDIAN, "Year on year"]
    return table(f"{title}, {scale.label}", columns, cells, name)


def _record(card: Card, name: str, charts: Charts) -> list[Markup]:
    """Last forecasts beside what came, and how often the intervals held it."""
    if card.past.empty:
        return []
    scale = scale_of(card.entry.unit, card.past["actual"])
    cells = [
        [
            month_words(row["period"]),
            month_words(row["cutoff"]),
            number(scale.number(row["q50"]), row["q50"] * scale.factor),
            interval(scale, row["q10"], row["q90"]),
            number(scale.number(row["actual"]), row["actual"] * scale.factor),
            "inside" if row["q10"] <= row["actual"] <= row["q90"] else "outside",
        ]
        for row in card.past.to_dict("records")
    ]
    inside = sum(row[-1] == "inside" for row in cells)
    held = ", ".join(
        f"{int(row['coverage'])} % intervals held {share(row['covered'])}"
        f" (with 95 % certainty {share(row['low'])} to {share(row['high'])})"
        for row in card.covered.to_dict("records")
        if row["coverage"] in (80, 95)
    )
    columns = ["Month", "Figures until", "Forecast", "80 % interval", "Came", "It came"]
    summary = f"Of the last {len(cells)} forecasts by {card.judged}, {inside} held the outcome in their 80 % interval."
    return [
        el("h4", "Last forecasts beside what came"),
        charts.place(
            f"{name}-past",
            specs.past(card, scale),
            summary,
            table(f"Last {len(cells)} forecasts, {scale.label}", columns, cells, f"{name}-record"),
        ),
        el("p", f"{summary} In the whole backtest {held}.", class_="note"),
    ]
