"""A report as an Excel workbook: what ``report`` gathered, as sheets with native charts and without any formula.

Values stand in catalogue units, in full; months are dates, so that they sort; the same content is the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

from forecasting.report import Content
from forecasting.report_book.sheets import backtest, charts, figures, forecasts, method, scenarios, summary
from forecasting.workbook import saved

FIRST = 2
"""Charts on the summary."""
SHEETS = {
    "Summary": summary.summary,
    "Forecast months": forecasts.months,
    "Quarters and fiscal years": forecasts.quarters_and_years,
    "Scenarios": scenarios.scenarios,
    "Assumptions": scenarios.assumptions,
    "Backtests": backtest.backtest,
    "Data": figures.figures,
    "Method and sources": method.method,
}


def book(content: Content) -> bytes:
    """The workbook (.xlsx) of a report."""
    from openpyxl import Workbook

    made = Workbook()
    made.properties.creator, made.properties.title = "tradecast", "Outlook for monthly trade"
    made.remove(made.active)
    sheets = {name: made.create_sheet(name) for name in _names(content)}
    drawn = charts.chart_data(sheets["Chart data"], content)
    for name, sheet in sheets.items():
        if name in SHEETS:
            SHEETS[name](sheet, content)
    charts.first_charts(sheets["Summary"], content, drawn[: min(FIRST, len(content.cards))])
    charts.every_chart(sheets["Charts"], content, drawn)
    return saved(made)


def _names(content: Content) -> Iterator[str]:
    yield from ("Summary", "Charts", "Forecast months", "Quarters and fiscal years")
    if content.study:
        yield from ("Scenarios", "Assumptions")
    if content.backtest:
        yield "Backtests"
    yield from ("Data", "Chart data", "Method and sources")
