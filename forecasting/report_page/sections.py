"""The sections of the page, each as its markup and the charts in it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from forecasting import news
from forecasting.forecast import KINDS
from forecasting.report import LAST_FORECASTS, Card, Content, Judged, words_of_stage
from forecasting.report_method import METHOD
from forecasting.report_page import specs
from forecasting.report_page.elements import Cell, Child, Markup, chart, el, interval, minus, number, table
from forecasting.report_page.words import assumption_words, month_words, period_words, share, title_of
from forecasting.units import Scale, percent, scale_of

TILES = 3
CACHED = re.compile(r", \d+ of them from the cache")
"""What depends on the machine, not on the forecast."""
NOISE = "These forecasts end with the quarter and are drawn anew: their medians differ from those above by noise."
VERDICTS = {"agrees": "agree", "conflicts": "conflict", "untestable": "cannot be tested"}
SAYS = {"yoy pct": "% on a year earlier", "share pct": "share in %", "level": "level"}
FACTS_SHOWN = ("conflicts", "untestable")
FINDINGS_SHOWN = 40
MEDIAN = ("Median", "80 % interval", "95 % interval")
STAGE_NOTE = (
    "Marked months are not final: provisional ones will be revised, implied ones follow from the figure of a year"
    " later and its growth, reconstructed ones were fitted to published growth and shares, others were read in the"
    " press."
)


@dataclass
class Charts:
    """Charts by the id of their place."""

    specs: dict[str, dict[str, Any]] = field(default_factory=dict)

    def place(self, name: str, spec: dict[str, Any], summary: str, *behind: Child) -> Markup:
        self.specs[name] = spec
        return chart(name, spec["title"], summary, *behind)


def _section(name: str, title: str, *inside: Child) -> Markup:
    return el("section", el("h2", title, id=f"{name}-h"), *inside, id=name, aria_labelledby=f"{name}-h")


# --- Headline --------------------------------------------------------------------------------------------


def headline(content: Content, charts: Charts) -> Markup:
    rows = content.headline
    if rows.empty:
        said = "No quarter lies wholly within the horizon: forecast further with --horizon."
        return _section("headline", "The next quarter", el("p", said))
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
    return _section(
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


# --- Cards -----------------------------------------------------------------------------------------------


def series(content: Content, charts: Charts) -> Markup:
    cards = [_card(card, f"card-{at}", charts) for at, card in enumerate(content.cards)]
    return _section("series", "Every series", el("p", STAGE_NOTE, class_="note"), el("div", cards, class_="cards"))


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
            table(f"Last {min(len(cells), LAST_FORECASTS)} forecasts, {scale.label}", columns, cells, f"{name}-record"),
        ),
        el("p", f"{summary} In the whole backtest {held}.", class_="note"),
    ]


# --- Scenarios -------------------------------------------------------------------------------------------


def scenarios(content: Content, carried: str) -> Markup | None:
    """Live controls, and below them what the command says of the files as they are."""
    if content.study is None:
        return None
    columns = [
        "Series",
        "Period",
        "Unit",
        "Baseline",
        "With it",
        "80 % interval",
        "Difference",
        "80 % interval",
        "Change",
    ]
    live = el(
        "div",
        el(
            "div",
            el("div", id="live-picker", role="radiogroup", aria_label="Scenario"),
            el("p", id="live-words"),
            class_="wide",
        ),
        el("div", id="live-controls"),
        el(
            "div",
            el("label", "Series shown ", el("select", id="live-series")),
            el(
                "figure",
                el("figcaption", "Baseline and scenario", id="live-chart-title"),
                el(
                    "div",
                    class_="plot",
                    id="live-chart",
                    data_summary="Moves with the controls; the table below holds the numbers.",
                ),
                el("p", class_="readout", aria_live="polite"),
                class_="chart",
            ),
        ),
        el(
            "div",
            el("p", "Nothing that is shown moves.", id="live-none", hidden=True),
            table("Totals with these assumptions", columns, [], "live-table"),
            class_="wide",
        ),
        id="live",
        hidden=True,
    )
    return _section(
        "scenarios",
        "What if",
        el(
            "p",
            "If it comes true, not that it will. Move the controls: the same random futures are computed anew in this"
            f" page, as `tradecast scenario run` would. {carried}",
        ),
        el("noscript", el("p", "The live controls need JavaScript; the tables below do not.")),
        live,
        [_as_filed(content, at) for at in range(len(content.study.scenarios))],
    )


def _as_filed(content: Content, at: int) -> Markup:
    assert content.study is not None
    one = content.study.scenarios[at]
    catalogue = content.dataset.catalogue
    rows = content.study.table
    rows = rows[(rows["scenario"] == one.name) & rows["kind"].isin(("quarter-difference", "fiscal_year-difference"))]
    cells = []
    for row in rows.to_dict("records"):
        if not any(row[name] for name in ("q10", "q50", "q90")):
            continue
        scale = scale_of(row["unit"], [row["q50"], row["q10"], row["q90"]])
        cells.append(
            [
                title_of(row["series"], catalogue),
                period_words(row["period"]),
                scale.label,
                number(scale.number(row["q50"]), row["q50"] * scale.factor),
                interval(scale, row["q10"], row["q90"]),
            ]
        )
    said = [el("li", f"{of.label}. {assumption_words(of, catalogue)}") for of in one.assumptions]
    chance = f" Probability given: {share(one.probability)}." if one.probability is not None else ""
    return el(
        "details",
        el("summary", f"{one.name}: as filed, with sources"),
        el("p", f"{one.description}{chance}"),
        el("ul", said) if said else None,
        table(
            f"{one.name}: difference from the baseline",
            ["Series", "Period", "Unit", "Median", "80 % interval"],
            cells,
            f"filed-{at}",
        )
        if cells
        else el("p", "Nothing that is shown moves."),
    )


# --- What changed ----------------------------------------------------------------------------------------


def changes(content: Content) -> Markup:
    if content.news is None:
        return _section("changes", "What changed", el("p", f"Left out. {content.no_news}"))
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
    return _section(
        "changes",
        "What changed since the last forecast",
        [el("p", CACHED.sub("", line), class_="note") for line in content.news.told],
        el("p", NOISE, class_="note"),
        el("ul", sentences[:TILES]),
        el("details", el("summary", "In words, every series"), el("ul", sentences)) if len(sentences) > TILES else None,
        table(
            "Medians before and now",
            ["Series", "Unit", "Before", "Now", "Moved", "More than noise"],
            cells,
            "changes-table",
        )
        if cells
        else None,
    )


# --- Backtest --------------------------------------------------------------------------------------------


def backtest(content: Content, charts: Charts) -> Markup:
    why = [el("li", _champion(one)) for one in content.champions]
    champion = (
        el("ul", why)
        if why
        else el("p", "No champion has been promoted: the model is the one asked for, or the ensemble.")
    )
    found = content.backtest
    if found is None:
        said = "No backtest was given (--backtest NAME): this report says nothing of how well past forecasts did."
        return _section("backtest", "How good are such forecasts", el("p", said), el("h3", "Champion"), champion)
    models = [str(one) for one in found.board.table["model"]]
    best = models[0]
    return _section(
        "backtest",
        "How good are such forecasts",
        [el("p", one) for one in found.words],
        el(
            "div",
            [
                el("div", _skill(found, models, charts), class_="card"),
                el("div", _calibration(found, models, charts), class_="card"),
                el(
                    "div",
                    charts.place(
                        "backtest-pit",
                        specs.pit(found, best),
                        "Bars of equal height mean honest forecasts.",
                        _pit_table(found),
                    ),
                    class_="card",
                ),
                el("div", el("h3", "Champion and why"), champion, class_="card"),
            ],
            class_="cards",
        ),
        _board(found),
    )


def _champion(one: Any) -> str:
    why = f"by force: {one.forced}" if one.forced else one.why
    return f"{one.group}: {one.model}, champion since {one.day} (backtest {one.backtest}). {why.rstrip('.')}."


def _board(found: Judged) -> Markup:
    cells = [
        [
            str(row["model"]),
            number(share(row["skill"]), row["skill"]),
            number(f"{row['mase']:.2f}", row["mase"]),
            number(f"{row['crps_scaled']:.3f}", row["crps_scaled"]),
            number(share(row["covered80"]), row["covered80"]),
            number(share(row["covered95"]), row["covered95"]),
            number("–" if pd.isna(row["p"]) else f"{row['p']:.3f}", row["p"]),
            number(f"{row['cells']:,}", row["cells"]),
        ]
        for row in found.board.table.to_dict("records")
    ]
    columns = ["Model", "Skill", "MASE", "Scaled CRPS", "80 % held", "95 % held", "p (among the best)", "Forecasts"]
    return table("Models, best first", columns, cells, "backtest-board")


def _skill(found: Judged, models: Sequence[str], charts: Charts) -> Markup:
    steps = sorted(found.by_step["step"].unique())
    pivot = found.by_step.pivot(index="model", columns="step", values="skill")
    cells = [[one, *(number(share(pivot.loc[one, at], 1), pivot.loc[one, at]) for at in steps)] for one in models]
    behind = table("Skill by months ahead", ["Model", *(f"{at} ahead" for at in steps)], cells, "backtest-skill-table")
    return charts.place(
        "backtest-skill", specs.skill_by_step(found, models), "Higher is better; seasonal naive is 0.", behind
    )


def _calibration(found: Judged, models: Sequence[str], charts: Charts) -> Markup:
    rows = found.coverage[found.coverage["model"].isin(models)]
    cells = [
        [
            str(row["model"]),
            f"{int(row['coverage'])} %",
            number(share(row["covered"], 1), row["covered"]),
            number(share(row["low"], 1), row["low"]),
            number(share(row["high"], 1), row["high"]),
            number(f"{row['effective']:.0f}", row["effective"]),
        ]
        for row in rows.to_dict("records")
    ]
    columns = ["Model", "Interval", "Held", "95 % certain from", "to", "Worth independent forecasts"]
    behind = table("Share of outcomes inside the intervals", columns, cells, "backtest-coverage-table")
    return charts.place(
        "backtest-coverage", specs.coverage(found, models[0]), "Whiskers should cross what was promised.", behind
    )


def _pit_table(found: Judged) -> Markup:
    bins = [one for one in found.pit.columns if one.startswith("bin")]
    cells = [
        [str(row["model"]), *(number(share(row[one], 1), row[one]) for one in bins)]
        for row in found.pit.to_dict("records")
    ]
    columns = ["Model", *(f"{10 * at}–{10 * at + 10} %" for at in range(len(bins)))]
    return table("Share of outcomes by tenth of the forecast", columns, cells, "backtest-pit-table")


# --- Data ------------------------------------------------------------------------------------------------


def data(content: Content) -> Markup:
    cells = [
        [
            str(row["source"]),
            number(f"{row['files']:,}", row["files"]),
            number(f"{row['series']:,}", row["series"]),
            month_words(row["first"]),
            month_words(row["last"]),
            number(f"{row['figures']:,}", row["figures"]),
            row["stages"],
            row["attribution"],
        ]
        for row in content.sources.to_dict("records")
    ]
    columns = ["Source", "Files", "Series", "First month", "Last month", "Figures", "Stages", "Attribution"]
    return _section(
        "data",
        "The figures",
        el(
            "p",
            f"Data vintage {content.outlook.vintage}: the same letters mean the same figures, cell by cell."
            f" {content.outlook.source_line}",
        ),
        table("Where the figures come from", columns, cells, "data-sources"),
        _facts(content),
        _findings(content),
    )


def _facts(content: Content) -> list[Markup]:
    facts = content.checked.facts if content.checked else None
    if facts is None or facts.empty:
        return []
    counts = facts["verdict"].value_counts().sort_index()
    said = ", ".join(f"{many} {VERDICTS.get(str(verdict), verdict)}" for verdict, many in counts.items())
    rows = facts[facts["verdict"].isin(FACTS_SHOWN)].sort_values("verdict", kind="stable")
    cells = [
        [
            title_of(str(row["series"]), content.dataset.catalogue),
            _dated(str(row["period"])),
            _says(str(row["measure"])),
            str(row["printed"]),
            _figure(row["table"]),
            str(row["unit"]).replace("_", " "),
            str(row["verdict"]),
            _dated(str(row["reading"])),
        ]
        for row in rows.to_dict("records")
    ]
    columns = ["Series", "Period", "Says", "Printed", "From the table", "Unit", "Verdict", "Why"]
    return [
        el("h3", "Fact check: figures printed elsewhere, held against these"),
        el("p", f"{len(facts)} printed figures: {said}."),
        *([table("Printed figures that conflict or cannot be tested", columns, cells, "data-facts")] if cells else []),
    ]


def _says(measure: str) -> str:
    plain = measure.replace("_", " ")
    return SAYS.get(plain, plain)


def _dated(text: str) -> str:
    """Months within a text as people write them."""
    return re.sub(r"\b\d{4}-\d{2}\b", lambda found: news.month_words(found[0]), text)


def _figure(value: Any) -> Cell:
    return number("–", math.nan) if pd.isna(value) else number(f"{value:,.6g}", float(value))


def _findings(content: Content) -> list[Markup]:
    found = content.checked.findings if content.checked else None
    if found is None:
        return []
    if found.empty:
        return [el("p", "No gap, slip or broken sum was found.")]
    cells = [
        [str(row[one]) for one in ("series", "month", "check", "found")]
        for row in found.head(FINDINGS_SHOWN).to_dict("records")
    ]
    more = f" The first {FINDINGS_SHOWN} are shown." if len(found) > FINDINGS_SHOWN else ""
    return [
        el(
            "details",
            el("summary", f"{len(found)} remarks on the figures: gaps, slips, sums"),
            el("p", f"`tradecast data check` shows them all.{more}"),
            table("Remarks on the figures", ["Series", "Month", "Check", "Found"], cells, "data-findings"),
        ),
    ]


# --- Method ----------------------------------------------------------------------------------------------


def method(content: Content, carried: str) -> Markup:
    words = [line for fact in METHOD for line in (el("h3", fact.title), el("p", fact.text))]
    settings = content.settings
    told = [
        ["Model", str(settings["model"])],
        ["Futures drawn", f"{settings['paths']:,}"],
        ["Seed", str(settings["seed"])],
        ["Months ahead", str(len(content.outlook.forecast.months))],
        ["Data vintage", content.outlook.vintage],
    ]
    remarks = list(dict.fromkeys((*content.why, *(content.study.remarks if content.study else ()))))
    return _section(
        "method",
        "How it is made",
        words,
        el("p", carried) if carried else None,
        table(
            "Settings: the same settings and figures give the same page, byte for byte",
            ["Setting", "Value"],
            told,
            "method-settings",
        ),
        el("h3", "Remarks"),
        el("ul", [el("li", one) for one in remarks]) if remarks else el("p", "None."),
    )


__all__ = ["KINDS", "Charts", "backtest", "changes", "data", "headline", "method", "scenarios", "series"]
