"""Charts of the months: the cells that they are drawn of, and where they stand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from forecasting.report import Card, Content
from forecasting.report_book.layout import HEAD
from forecasting.scenario import BASELINE
from forecasting.tables import differences
from forecasting.units import in_words
from forecasting.workbook import (
    HUES,
    INK,
    ROWS_OF_CHART,
    WIDTH_OF_CHART,
    Block,
    Cell,
    Column,
    Line,
    Number,
    fan_chart,
    number_format,
    ready_to_print,
    write_table,
    write_text,
    write_title,
)

CHART_MONTHS = 48
"""Published months before the forecast in a chart."""
MOST_CHARTS, MOST_SCENARIOS = 24, 6
ROWS_A_PAGE = 5
"""Rows of charts on a printed page."""
Chart = Callable[[], Any]
"""Makes a chart; a sheet needs one of its own."""
Drawn = tuple[Card, pd.DataFrame, Callable[..., Any]]
"""A series, the columns that its chart is drawn of (months × columns), and how."""


def chart_data(sheet: Any, content: Content) -> list[Chart]:
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
    gaps, table = differences(content.study.table), content.study.table
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


def every_chart(sheet: Any, content: Content, charts: Sequence[Chart]) -> None:
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


def first_charts(sheet: Any, content: Content, charts: Sequence[Chart]) -> None:
    """The first charts below the words, side by side."""
    row = sheet.max_row + 2
    for at, chart in zip("AD", charts, strict=False):
        sheet.add_chart(chart(), f"{at}{row}")
    ready_to_print(sheet, content.outlook.source_line, area=f"A1:L{row + ROWS_OF_CHART}")
