"""The sheet to read first: the next quarter, what changed, what to know."""

from __future__ import annotations

from typing import Any

from forecasting.periods import quarter_words
from forecasting.report import Content
from forecasting.report_book.layout import HEAD, ID, NAMED, YEARLY, made_from, paragraphs
from forecasting.units import in_words
from forecasting.workbook import CHANGE, SHARE, Cell, Column, Number, number_format, write_table, write_title


def summary(sheet: Any, content: Content) -> None:
    """A row a series, then sentences; ``charts.first_charts`` come below."""
    outlook, table = content.outlook, content.headline
    period = quarter_words(table["period"].iloc[0]) if len(table) else ""
    row = write_title(sheet, f"Outlook for monthly trade{f': {period}' if period else ''}", *made_from(content))
    columns = (
        *NAMED, Column("Median", 13), Column("80 % from"), Column("80 % to"), Column("95 % from"),
        Column("95 % to"), Column("A year earlier", 13), *YEARLY, ID,
    )  # fmt: skip
    row = write_table(sheet, row, columns, (_headline_row(one) for one in table.to_dict("records")))
    row = paragraphs(sheet, row, "What changed since the figures of before", _news(content))
    row = paragraphs(sheet, row, "To know", content.remarks)
    paragraphs(sheet, row, "", [outlook.source_line])
    sheet.freeze_panes = f"B{HEAD + 1}"


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
