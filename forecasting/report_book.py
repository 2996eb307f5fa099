"""A report as an Excel workbook: what ``report`` gathered, as sheets with native charts and without any formula.

Values stand in catalogue units, in full; months are dates, so that they sort; the same content is the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from forecasting import leaderboard
from forecasting.forecast import COVERAGES
from forecasting.plot_backtest import MOST_MODELS, colours
from forecasting.plot_forecast import quarter_words
from forecasting.report import Card, Content, words_of_stage
from forecasting.report_method import METHOD
from forecasting.scenario import BASELINE, Assumption, described
from forecasting.scores import STEP_WORDS
from forecasting.units import in_words
from forecasting.workbook import (
    CHANGE,
    HUES,
    INK,
    PERCENT,
    ROWS_OF_CHART,
    SHARE,
    WIDTH_OF_CHART,
    Block,
    Cell,
    Column,
    Line,
    Number,
    fan_chart,
    number_format,
    ready_to_print,
    saved,
    step_chart,
    wrap,
    write_heading,
    write_lines,
    write_table,
    write_text,
    write_title,
)
from forecasting.workflow import rows_of

CHART_MONTHS = 48
"""Published months before the forecast in a chart."""
MOST_CHARTS, MOST_SCENARIOS = 24, 6
ROWS_A_PAGE = 5
"""Rows of charts on a printed page."""
Chart = Callable[[], Any]
"""Makes a chart; a sheet needs one of its own."""
NAMED, ID = (Column("Series", 58), Column("Unit", 24)), Column("Id", 48)
MIDDLE = (Column("Median", 13), Column("Mean", 13))
INTERVALS = tuple(Column(f"{one} % {end}", 12) for one in COVERAGES for end in ("from", "to"))
BOUNDS = tuple(bound for one in COVERAGES.values() for bound in one)
YEARLY = (
    Column("On a year earlier", 10), Column("Change, 80 % from", 10), Column("Change, 80 % to", 10),
    Column("Chance of a fall", 10),
)  # fmt: skip


def book(content: Content) -> bytes:
    """The workbook (.xlsx) of a report."""
    from openpyxl import Workbook

    made = Workbook()
    made.properties.creator, made.properties.title = "tradecast", "Outlook for monthly trade"
    made.remove(made.active)
    sheets = {name: made.create_sheet(name) for name in _names(content)}
    charts = _chart_data(sheets["Chart data"], content)
    for name, sheet in sheets.items():
        if name in SHEETS:
            SHEETS[name](sheet, content)
    _first_charts(sheets["Summary"], content, charts[: min(2, len(content.cards))])
    _charts(sheets["Charts"], content, charts)
    return saved(made)


def _names(content: Content) -> Iterator[str]:
    yield from ("Summary", "Charts", "Forecast months", "Quarters and fiscal years")
    if content.study:
        yield from ("Scenarios", "Assumptions")
    if content.backtest:
        yield "Backtests"
    yield from ("Data", "Chart data", "Method and sources")


# --- Summary


HEAD = 5
"""The row of the head of every sheet that is one long table."""


def _summary(sheet: Any, content: Content) -> None:
    outlook, table = content.outlook, content.headline
    period = quarter_words(table["period"].iloc[0]) if len(table) else ""
    row = write_title(sheet, f"Outlook for monthly trade{f': {period}' if period else ''}", *_what(content))
    columns = (
        *NAMED, Column("Median", 13), Column("80 % from"), Column("80 % to"), Column("95 % from"),
        Column("95 % to"), Column("A year earlier", 13), *YEARLY, ID,
    )  # fmt: skip
    row = write_table(sheet, row, columns, (_headline_row(one) for one in table.to_dict("records")))
    row = _lines(sheet, row, "What changed since the figures of before", _news(content))
    row = _lines(sheet, row, "To know", content.remarks)
    _lines(sheet, row, "", [outlook.source_line])
    sheet.freeze_panes = f"B{HEAD + 1}"


def _first_charts(sheet: Any, content: Content, charts: Sequence[Chart]) -> None:
    """The first charts below the words, side by side."""
    row = sheet.max_row + 2
    for at, chart in zip("AD", charts, strict=False):
        sheet.add_chart(chart(), f"{at}{row}")
    ready_to_print(sheet, content.outlook.source_line, area=f"A1:L{row + ROWS_OF_CHART}")


def _what(content: Content) -> tuple[str, str]:
    outlook = content.outlook
    return (
        f"Forecast by {content.models} from figures published until {max(outlook.forecast.cutoff)} (data vintage"
        f" {outlook.vintage}). Values are totals of the period in the unit beside them.",
        "Of 100 figures forecast like this, about 80 should fall inside their 80 % interval, 95 inside the 95 % one.",
    )


def _headline_row(row: dict[Any, Any]) -> list[Cell]:
    shown = number_format([row["q50"]])
    levels = [Number(row[one], shown) for one in ("q50", "q10", "q90", "q025", "q975", "year_ago")]
    changes = [Number(row[one] / 100, CHANGE) for one in ("change", "change_q10", "change_q90")]
    fall = Number(row["probability_of_fall"], SHARE)
    return [row["title"], in_words(row["unit"]), *levels, *changes, fall, row["series"]]


def _news(content: Content) -> list[str]:
    from forecasting.news import sentence

    if content.news is None:
        return [content.no_news] if content.no_news else []
    return [*content.news.told, *(sentence(one) for one in content.news.stories)]


def _lines(sheet: Any, row: int, heading: str, lines: Sequence[str], columns: int = 8, letters: float = 165) -> int:
    if not lines:
        return row
    row = write_heading(sheet, row, heading) if heading else row
    return write_lines(sheet, row, dict.fromkeys(lines), columns, letters)


# --- Forecasts


def _months(sheet: Any, content: Content) -> None:
    columns = (*NAMED, Column("Month", 10), *MIDDLE, *INTERVALS, *YEARLY, ID)
    write_title(sheet, "Forecast months", *_what(content))
    write_table(sheet, HEAD, columns, _forecast_rows(content, ("month",)))
    _long_table(sheet, content, f"D{HEAD + 1}")


def _quarters(sheet: Any, content: Content) -> None:
    when = (Column("Period", 26), Column("First month", 10), Column("Months published", 10))
    write_title(sheet, "Quarters and fiscal years (April to March)", *_what(content))
    rows = _forecast_rows(content, ("quarter", "fiscal_year"))
    write_table(sheet, HEAD, (*NAMED, *when, *MIDDLE, *INTERVALS, *YEARLY, ID), rows)
    _long_table(sheet, content, f"D{HEAD + 1}")


def _long_table(sheet: Any, content: Content, corner: str) -> None:
    """What a sheet that is one long table has: a head that stays, a filter, and a head on each printed page.

    Ids, which come last, are not printed.
    """
    from openpyxl.utils import get_column_letter

    sheet.freeze_panes = corner
    area = f"A1:{get_column_letter(sheet.max_column - 1)}{sheet.max_row}"
    ready_to_print(sheet, content.outlook.source_line, f"{HEAD}:{HEAD}", area)
    sheet.auto_filter.ref = f"A{HEAD}:{get_column_letter(sheet.max_column)}{max(sheet.max_row, HEAD)}"


def _forecast_rows(content: Content, kinds: Sequence[str]) -> Iterator[list[Cell]]:
    for card in content.cards:
        rows = card.forecast[card.forecast["kind"].isin(kinds)]
        growth = card.growth.set_index(["kind", "period"])
        shown = number_format(rows["q50"])
        for row in rows.to_dict("records"):
            levels = [Number(row[one], shown) for one in ("q50", "mean", *BOUNDS)]
            yield [*_named(card), *_when(row), *levels, *_yearly(content, card, growth, row), card.entry.id]


def _named(card: Card) -> tuple[str, str]:
    return card.entry.title, in_words(card.entry.unit)


def _when(row: dict[Any, Any]) -> list[Cell]:
    first = _first_month(row["kind"], row["period"])
    if row["kind"] == "month":
        return [first]
    return [_period(row["kind"], row["period"]), first, row["observed_months"]]


def _yearly(content: Content, card: Card, growth: pd.DataFrame, row: dict[Any, Any]) -> list[Cell]:
    key = (row["kind"], row["period"])
    change: list[Cell] = [None, None, None]
    if key in growth.index:
        change = [Number(float(growth.loc[key, one]) / 100, CHANGE) for one in ("q50", "q10", "q90")]
    totals = content.outlook.totals[row["kind"]]
    place = totals.labels.index(row["period"]), totals.series.index(card.entry.id)
    return [*change, Number(float(totals.probability_of_fall()[place]), SHARE)]


def _period(kind: str, period: str) -> str:
    """``2026-09``, ``Oct–Dec 2026`` or ``FY2026 (Apr 2026–Mar 2027)``."""
    if kind == "quarter":
        return quarter_words(period)
    return f"{period} (Apr {period[2:]}–Mar {int(period[2:]) + 1})" if kind == "fiscal_year" else period


def _first_month(kind: str, period: str) -> pd.Period:
    if kind == "fiscal_year":
        return pd.Period(f"{period[2:]}-04", freq="M")
    return pd.Period(period, freq="M") if kind == "month" else pd.Period(period, freq="Q").asfreq("M", "start")


# --- Scenarios


def _scenarios(sheet: Any, content: Content) -> None:
    note = (
        "Each scenario beside the baseline on the same random numbers: what would follow if its assumptions came true,"
        " not a forecast that they will.",
        "Difference = scenario minus baseline, path by path; the median of differences is not the difference of"
        " medians. " + _unchanged(content),
    )
    write_title(sheet, "Scenarios and differences", *note)
    columns = (
        Column("Scenario", 26), *NAMED, Column("Period", 26), Column("First month", 10), Column("Baseline, median", 13),
        Column("Scenario, median", 13), Column("80 % from"), Column("80 % to"), Column("Difference, median", 13),
        *(Column(f"Difference, {one} % {end}", 14) for one in (80, 95) for end in ("from", "to")),
        Column("Share of baseline", 10),
        ID,
    )  # fmt: skip
    write_table(sheet, HEAD, columns, _difference_rows(content))
    _long_table(sheet, content, f"E{HEAD + 1}")


def _gaps(content: Content) -> pd.DataFrame:
    """Difference rows that are not nothing, in catalogue units."""
    assert content.study
    table = content.study.table
    gaps = table[table["kind"].str.endswith("-difference") & (table["unit"] != "pct_yoy")]
    return gaps[(gaps["q025"] != 0) | (gaps["q975"] != 0)]


def _unchanged(content: Content) -> str:
    touched = set(_gaps(content)["series"])
    left = [one.entry.title for one in content.cards if one.entry.id not in touched]
    return f"Not changed by any: {'; '.join(left)}." if left else ""


def _difference_rows(content: Content) -> Iterator[list[Cell]]:
    assert content.study
    table = content.study.table[content.study.table["unit"] != "pct_yoy"]
    at = {(row["scenario"], row["series"], row["kind"], row["period"]): row for row in table.to_dict("records")}
    entries = content.dataset.catalogue
    order = ["quarter-difference", "fiscal_year-difference", "month-difference"]
    gaps = _gaps(content)
    for scenario in dict.fromkeys(gaps["scenario"]):
        mine = gaps[gaps["scenario"] == scenario]
        for series in dict.fromkeys(mine["series"]):
            rows = mine[mine["series"] == series]
            shown = number_format(rows["q50"])
            entry = entries[series]
            named: list[Cell] = [scenario, entry.title, in_words(entry.unit)]
            for gap in sorted(rows.to_dict("records"), key=lambda one: (order.index(one["kind"]), one["period"])):
                kind = gap["kind"].removesuffix("-difference")
                base, now = at[BASELINE, series, kind, gap["period"]], at.get((scenario, series, kind, gap["period"]))
                yield [*named, *_difference(kind, gap, base, now, shown), series]


def _difference(kind: str, gap: dict[Any, Any], base: dict[Any, Any], now: Any, shown: str) -> list[Cell]:
    level = number_format([base["q50"]])
    levels: list[Cell] = [Number(now[one], level) if now else None for one in ("q50", "q10", "q90")]
    share = gap["q50"] / base["q50"] if base["q50"] else np.nan
    return [
        _period(kind, gap["period"]), _first_month(kind, gap["period"]), Number(base["q50"], level), *levels,
        *(Number(gap[one], shown) for one in ("q50", "q10", "q90", "q025", "q975")), Number(share, CHANGE),
    ]  # fmt: skip


ASSUMED = ("kind", "target", "size", "start", "end", "ramp", "recovery", "reroute", "pass_through", "source")


def _assumptions(sheet: Any, content: Content) -> None:
    assert content.study
    row = write_title(sheet, "Assumptions of the scenarios", "Every assumption is dated and has a source.")
    for one in content.study.scenarios:
        said = f"{one.description} Probability: {100 * one.probability:g} %." if one.probability else one.description
        row = _lines(sheet, row, one.name, [said], columns=4, letters=150)
    heads = [
        Column("Scenario", 24), Column("Assumption", 58), Column("Kind", 10), Column("Of", 48), Column("Size", 26),
        Column("From", 9), Column("To", 9), Column("Ramp", 10), Column("Recovery", 10), Column("Rerouted", 34),
        Column("Passed on", 34), Column("Source", 60),
    ]  # fmt: skip
    rows = [[one.name, *_assumed(part)] for one in content.study.scenarios for part in one.assumptions]
    used = [at for at in range(len(heads)) if any(values[at] for values in rows)]
    first = row + 1
    row = write_table(sheet, row, [heads[at] for at in used], [[values[at] for at in used] for values in rows])
    wrap(sheet, first, row - 2)
    row = write_heading(sheet, row, "What each assumption adds to the mean difference (Shapley values)")
    added = [heads[0], Column("Series", 58), Column("Unit", 24), heads[1], Column("Period", 26), Column("Adds", 13)]
    write_table(sheet, row, added, _added(content))
    sheet.freeze_panes = "B2"
    ready_to_print(sheet, content.outlook.source_line)


def _assumed(one: Assumption) -> list[Cell]:
    said = described(one)
    return [one.label, *(_month(said.get(name, ""), name) for name in ASSUMED)]


def _month(text: str, name: str) -> Cell:
    return pd.Period(text, freq="M") if text and name in ("start", "end") else text


def _added(content: Content) -> Iterator[list[Cell]]:
    assert content.study
    table = content.study.contributions
    table = table[table["kind"].isin(["quarter", "fiscal_year"]) & (table["contribution"] != 0)]
    for (scenario, series), rows in table.groupby(["scenario", "series"], sort=False):
        entry, shown = content.dataset.catalogue[str(series)], number_format(rows["contribution"])
        for row in rows.to_dict("records"):
            named = [str(scenario), entry.title, in_words(entry.unit), row["assumption"]]
            yield [*named, _period(row["kind"], row["period"]), Number(row["contribution"], shown)]


# --- Backtests


def _backtests(sheet: Any, content: Content) -> None:
    assert content.backtest
    judged = content.backtest
    row = write_title(sheet, f"Backtest {judged.result.name}", *judged.words)
    row = _leaderboard(sheet, row, content)
    row = _by_step(sheet, row, content)
    row = _coverage(sheet, row, content)
    row = _pit(sheet, row, content)
    _past(sheet, row, content)
    sheet.freeze_panes = "B2"
    ready_to_print(sheet, content.outlook.source_line)


def _leaderboard(sheet: Any, row: int, content: Content) -> int:
    assert content.backtest
    row = write_heading(sheet, row, "Models, best first (on the forecasts that every model made)")
    heads = [
        Column("Model", 44), Column("Skill", 12), Column("MASE", 12), Column("Scaled CRPS", 13),
        *(Column(f"{one} % held{more}", 12) for one in leaderboard.SHOWN_COVERAGES for more in ("", ", from", ", to")),
        Column("p, to be among the best", 12), Column("Failed", 10), Column("Forecasts", 10),
    ]  # fmt: skip
    rows = []
    for one in content.backtest.board.table.to_dict("records"):
        held = [f"{name}{at}" for at in leaderboard.SHOWN_COVERAGES for name in ("covered", "low", "high")]
        scores = [Number(one["skill"], CHANGE), Number(one["mase"], "0.000"), Number(one["crps_scaled"], "0.000")]
        shares = [Number(one[name], PERCENT) for name in held]
        rows.append([one["model"], *scores, *shares, Number(one["p"], "0.000"), one["failed"], one["cells"]])
    return write_table(sheet, row, heads, rows)


def _by_step(sheet: Any, row: int, content: Content) -> int:
    assert content.backtest
    judged, models = content.backtest, _drawn_models(content)
    has_base = bool(judged.by_step["skill"].notna().any())
    score, shown = ("skill", CHANGE) if has_base else ("crps_scaled", "0.000")
    title = "Skill (1 − CRPS / CRPS of the seasonal naive)" if has_base else "Scaled CRPS (less is better)"
    below = STEP_WORDS[judged.board.kind]
    wide = judged.by_step.pivot_table(index="step", columns="model", values=score, sort=True)
    rows: list[list[Cell]] = [
        [int(str(step)), *(Number(float(values.get(one, np.nan)), shown) for one in models)]
        for step, values in wide.iterrows()
    ]
    return _with_chart(sheet, row, title, Column(below.capitalize(), 14), models, rows, shown, bars=False)


def _coverage(sheet: Any, row: int, content: Content) -> int:
    assert content.backtest
    row = write_heading(sheet, row, "Do intervals hold what they say (with bounds at 95 %, Clopper–Pearson)")
    heads = [
        Column("Model"), Column("Interval"), Column("Held"), Column("From"), Column("To"),
        Column("Independent forecasts that it is worth"), Column("Forecasts"),
    ]  # fmt: skip
    rows = [
        [
            one["model"], Number(one["coverage"] / 100, SHARE), *(Number(one[at], PERCENT) for at in
            ("covered", "low", "high")), Number(one["effective"], "0"), one["cells"],
        ]
        for one in content.backtest.coverage.to_dict("records")
    ]  # fmt: skip
    return write_table(sheet, row, heads, rows)


def _pit(sheet: Any, row: int, content: Content) -> int:
    from openpyxl.worksheet.pagebreak import Break

    assert content.backtest
    sheet.row_breaks.append(Break(id=row - 1))
    pit, models = content.backtest.pit.set_index("model"), _drawn_models(content)
    bins = [str(one) for one in pit if str(one).startswith("bin")]
    rows: list[list[Cell]] = [
        [f"{at * 10} to {at * 10 + 10} %", *(Number(float(pit[name][one]), PERCENT) for one in models)]
        for at, name in enumerate(bins)
    ]
    title = "Where outcomes fell in the forecast distribution (10 % each is honest)"
    return _with_chart(sheet, row, title, Column("Part of it", 14), models, rows, PERCENT, bars=True)


def _drawn_models(content: Content) -> list[str]:
    assert content.backtest
    there = set(content.backtest.by_step["model"]) & set(content.backtest.pit["model"])
    return [one for one in map(str, content.backtest.board.table["model"]) if one in there][:MOST_MODELS]


def _with_chart(
    sheet: Any, row: int, heading: str, first: Column, models: Sequence[str], rows: Sequence[Sequence[Cell]],
    shown: str, bars: bool,
) -> int:  # fmt: skip
    """A table of models across, and a chart of it to the right; the row after both."""
    from openpyxl.utils import get_column_letter

    row = write_heading(sheet, row, heading)
    after = write_table(sheet, row, [first, *(Column(one, max(12, len(one) + 2)) for one in models)], rows)
    palette = colours(models)
    lines = [Line(at, palette[one].removeprefix("#")) for at, one in enumerate(models, start=2)]
    block = Block(sheet, row, after - 2)
    sheet.add_chart(
        step_chart(block, heading, "", lines, "0 %" if "%" in shown else "0.00", bars),
        f"{get_column_letter(len(models) + 3)}{row}",
    )
    return max(after, row + ROWS_OF_CHART + 2)


def _past(sheet: Any, row: int, content: Content) -> None:
    row = write_heading(sheet, row, "Last forecasts beside what came")
    heads = [
        Column("Series"), Column("Month"), Column("Forecast from figures until"), Column("Median"), Column("80 % from"),
        Column("80 % to"), Column("What came"), Column("Inside"), Column("Model"),
    ]  # fmt: skip
    write_table(sheet, row, heads, _past_rows(content))


def _past_rows(content: Content) -> Iterator[list[Cell]]:
    for card in content.cards:
        shown = number_format(card.past["actual"])
        for one in card.past.to_dict("records"):
            inside = one["q10"] <= one["actual"] <= one["q90"]
            yield [
                card.entry.title, _first_month("month", str(one["period"])), pd.Period(one["cutoff"], freq="M"),
                *(Number(one[name], shown) for name in ("q50", "q10", "q90", "actual")), "yes" if inside else "no",
                card.judged,
            ]  # fmt: skip


# --- Data


def _data(sheet: Any, content: Content) -> None:
    write_title(
        sheet, "Published figures", "Every figure that is shown, with how final it is and where it comes from.",
        "Stages: provisional figures are revised later; implied ones follow from the figure of a year later and its"
        " growth; reconstructed ones are estimated, with a standard error.",
    )  # fmt: skip
    columns = (
        *NAMED, Column("Month", 10), Column("Value", 14), Column("Stage", 22), Column("Standard error", 12),
        Column("Source", 60), ID,
    )  # fmt: skip
    write_table(sheet, HEAD, columns, _observations(content))
    _long_table(sheet, content, f"D{HEAD + 1}")


def _observations(content: Content) -> Iterator[list[Cell]]:
    last = content.outlook.history.index[-1]
    for card in content.cards:
        rows = rows_of(content.dataset, card.entry.id)
        rows = rows[(rows["month"] <= last) & rows["value"].notna()]
        shown = number_format(rows["value"])
        for one in rows.to_dict("records"):
            yield [
                *_named(card), one["month"], Number(one["value"], shown), words_of_stage(str(one["stage"])),
                Number(one["std_error"], shown), str(one["source"]), card.entry.id,
            ]  # fmt: skip


# --- Charts


def _chart_data(sheet: Any, content: Content) -> list[Chart]:
    """Months down; of each series what was published, median and band, then of what changes every scenario's median.

    Returns the charts of them.
    """
    write_title(
        sheet, "What the charts are drawn of", "Medians and 80 % intervals, in the units of the other sheets. The"
        " height of a band is its upper less its lower end: Excel stacks the two.",
    )  # fmt: skip
    months = _chart_months(content)
    tables = [*_fan_tables(content, months), *_scenario_tables(content, months)]
    columns: list[tuple[str, Sequence[Cell]]] = [("Month", list(months))]
    charts: list[Chart] = []
    for card, table, plan in tables:
        shown, at = number_format(table.iloc[:, 1]), len(columns) + 1
        charts.append(partial(plan, sheet, len(months), card, at, shown, table))
        write_text(sheet.cell(HEAD - 1, at), f"{card.entry.title}, {in_words(card.entry.unit)}")
        columns += [(str(name), [Number(one, shown) for one in table[name]]) for name in table]
    heads = [Column(name, 13) for name, _ in columns]
    write_table(sheet, HEAD, heads, zip(*(cells for _, cells in columns), strict=True))
    sheet.freeze_panes = f"B{HEAD + 1}"
    ready_to_print(sheet, content.outlook.source_line, f"{HEAD - 1}:{HEAD}")
    sheet.print_title_cols = "A:A"
    sheet.page_setup.fitToWidth = -(-len(columns) // 16)
    return charts


def _chart_months(content: Content) -> pd.PeriodIndex:
    end = content.outlook.forecast.months[-1]
    first = min((one.history.index[-CHART_MONTHS:][0] for one in content.cards if len(one.history)), default=end)
    recent = content.outlook.history.index[-1] - CHART_MONTHS + 1
    return pd.period_range(max(first, recent), end, freq="M")


Drawn = tuple[Card, pd.DataFrame, Callable[..., Any]]
"""A series, the columns that its chart is drawn of (months × columns), and how."""


def _fan_tables(content: Content, months: pd.PeriodIndex) -> Iterator[Drawn]:
    for card in content.cards[:MOST_CHARTS]:
        yield card, _fan_table(card, months), _fan


def _fan_table(card: Card, months: pd.PeriodIndex) -> pd.DataFrame:
    """Published, median, lower end and height of the band; the fan opens at the last published month."""
    rows = card.forecast[card.forecast["kind"] == "month"]
    rows = rows.set_index(pd.PeriodIndex(rows["period"].astype(str), freq="M"))
    ends = pd.DataFrame({name: rows[name].reindex(months) for name in ("q50", "q10", "q90")})
    if len(card.history) and len(rows) and card.history.index[-1] + 1 == rows.index[0]:
        ends.loc[card.history.index[-1]] = float(card.history.iloc[-1])
    columns = {"median": ends["q50"], "lower end": ends["q10"], "80 % interval": ends["q90"] - ends["q10"]}
    return pd.DataFrame({"published": card.history.reindex(months), **columns})


def _scenario_tables(content: Content, months: pd.PeriodIndex) -> Iterator[Drawn]:
    """Medians of baseline and scenarios of every series that changes."""
    if content.study is None:
        return
    gaps, table = _gaps(content), content.study.table
    table = table[(table["kind"] == "month") & (table["unit"] != "pct_yoy")]
    touched = set(gaps["series"])
    for card in [one for one in content.cards if one.entry.id in touched][:MOST_CHARTS]:
        rows = table[table["series"] == card.entry.id]
        wide = rows.pivot_table(index="period", columns="scenario", values="q50", sort=False)
        wide.index = pd.PeriodIndex(wide.index.astype(str), freq="M")
        moving = list(dict.fromkeys(gaps.loc[gaps["series"] == card.entry.id, "scenario"]))[:MOST_SCENARIOS]
        wide = wide[[BASELINE, *moving]].reindex(months)
        wide.insert(0, "published", card.history.reindex(months), allow_duplicates=True)
        yield card, wide, _levels


def _fan(sheet: Any, months: int, card: Card, at: int, shown: str, table: pd.DataFrame) -> Any:
    lines = [Line(at, "222222"), Line(at + 1, INK)]
    # Excel stacks a band on zero, so that one that goes below has no place.
    band = None if (table["lower end"] < 0).any() else (at + 2, at + 3)
    lowest = _from_zero(table.drop(columns="80 % interval"))
    block = Block(sheet, HEAD, HEAD + months)
    return fan_chart(block, card.entry.title, in_words(card.entry.unit), lines, band, shown, lowest)


def _levels(sheet: Any, months: int, card: Card, at: int, shown: str, table: pd.DataFrame) -> Any:
    hues = ["222222", "6B6B6B", *HUES]
    lines = [Line(at + place, hues[place], dashed=place == 1) for place in range(table.shape[1])]
    block = Block(sheet, HEAD, HEAD + months)
    title = f"{card.entry.title}: scenarios"
    return fan_chart(block, title, in_words(card.entry.unit), lines, None, shown, _from_zero(table))


def _from_zero(table: pd.DataFrame) -> bool:
    """An axis that shows most of the way down to zero begins there."""
    cells = table.to_numpy(dtype=float)
    cells = cells[np.isfinite(cells)]
    return bool(len(cells) and 0 <= cells.min() < 0.6 * cells.max())


def _charts(sheet: Any, content: Content, charts: Sequence[Chart]) -> None:
    """Two charts side by side, row after row, and no chart on two pages."""
    from openpyxl.worksheet.pagebreak import Break

    write_title(
        sheet, "Charts", "Published figures, medians and 80 % intervals; the sheet Chart data holds the numbers."
    )
    for at, chart in enumerate(charts):
        down, across = divmod(at, 2)
        row = 4 + (ROWS_OF_CHART + 1) * down
        if down and down % ROWS_A_PAGE == 0 and not across:
            sheet.row_breaks.append(Break(id=row - 1))
        sheet.add_chart(chart(), f"{'AB'[across]}{row}")
    for column in "AB":
        sheet.column_dimensions[column].width = WIDTH_OF_CHART
    last = 4 + (ROWS_OF_CHART + 1) * -(-len(charts) // 2)
    ready_to_print(sheet, content.outlook.source_line, area=f"A1:B{last}")
    sheet.page_setup.orientation = "portrait"


# --- Method and sources


def _method(sheet: Any, content: Content) -> None:
    row = write_title(
        sheet, "Method and sources", "docs/methods.md of tradecast has the methods with their literature."
    )
    row = _lines(sheet, row, "Method", [f"{one.title}. {one.text}" for one in METHOD], columns=6, letters=190)
    row = _lines(sheet, row, "Champions", [f"{one.group}: {one.model}. {one.why}" for one in content.champions], 6, 190)
    row = write_heading(sheet, row, "Sources")
    heads = [
        Column("Source", 44), Column("Files", 9), Column("Series", 9), Column("First month", 10),
        Column("Last month", 10), Column("Figures", 10), Column("Stages", 60), Column("Attribution", 70),
    ]  # fmt: skip
    rows = [
        [
            one["source"], one["files"], one["series"], one["first"], one["last"], one["figures"], one["stages"],
            one["attribution"],
        ]
        for one in content.sources.to_dict("records")
    ]  # fmt: skip
    row = write_table(sheet, row, heads, rows)
    row = write_heading(sheet, row, "Settings")
    told = [[name.replace("_", " "), str(value)] for name, value in content.settings.items() if value is not None]
    row = write_table(sheet, row, [Column("Setting"), Column("Value")], told)
    _lines(sheet, row, "Attribution", _attributions(content), columns=6, letters=190)
    sheet.freeze_panes = "A2"
    ready_to_print(sheet, content.outlook.source_line)


def _attributions(content: Content) -> list[str]:
    lines = dict.fromkeys(line for card in content.cards for line in card.attributions)
    return list(lines) or [content.outlook.source_line]


SHEETS = {
    "Summary": _summary,
    "Forecast months": _months,
    "Quarters and fiscal years": _quarters,
    "Scenarios": _scenarios,
    "Assumptions": _assumptions,
    "Backtests": _backtests,
    "Data": _data,
    "Method and sources": _method,
}
