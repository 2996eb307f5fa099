"""Months, and quarters with fiscal years: every forecast figure with its intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from forecasting.forecast import COVERAGES
from forecasting.report import Card, Content
from forecasting.report_book.layout import (
    HEAD,
    ID,
    NAMED,
    YEARLY,
    first_month,
    long_table,
    made_from,
    named,
    period_words,
)
from forecasting.workbook import CHANGE, SHARE, Cell, Column, Number, number_format, write_table, write_title

MIDDLE = (Column("Median", 13), Column("Mean", 13))
INTERVALS = tuple(Column(f"{one} % {end}", 12) for one in COVERAGES for end in ("from", "to"))
BOUNDS = tuple(bound for one in COVERAGES.values() for bound in one)


def months(sheet: Any, content: Content) -> None:
    """A row a series and month."""
    columns = (*NAMED, Column("Month", 10), *MIDDLE, *INTERVALS, *YEARLY, ID)
    write_title(sheet, "Forecast months", *made_from(content))
    write_table(sheet, HEAD, columns, _forecast_rows(content, ("month",)))
    long_table(sheet, content, f"D{HEAD + 1}")


def quarters_and_years(sheet: Any, content: Content) -> None:
    """A row a series and total."""
    when = (Column("Period", 26), Column("First month", 10), Column("Months published", 10))
    write_title(sheet, "Quarters and fiscal years (April to March)", *made_from(content))
    rows = _forecast_rows(content, ("quarter", "fiscal_year"))
    write_table(sheet, HEAD, (*NAMED, *when, *MIDDLE, *INTERVALS, *YEARLY, ID), rows)
    long_table(sheet, content, f"D{HEAD + 1}")


def _forecast_rows(content: Content, kinds: Sequence[str]) -> Iterator[list[Cell]]:
    for card in content.cards:
        rows = card.forecast[card.forecast["kind"].isin(kinds)]
        growth = card.growth.set_index(["kind", "period"])
        shown = number_format(rows["q50"])
        for row in rows.to_dict("records"):
            levels = [Number(row[one], shown) for one in ("q50", "mean", *BOUNDS)]
            yield [*named(card), *_when(row), *levels, *_yearly(content, card, growth, row), card.entry.id]


def _when(row: dict[Any, Any]) -> list[Cell]:
    first = first_month(row["kind"], row["period"])
    if row["kind"] == "month":
        return [first]
    return [period_words(row["kind"], row["period"]), first, row["observed_months"]]


def _yearly(content: Content, card: Card, growth: pd.DataFrame, row: dict[Any, Any]) -> list[Cell]:
    key = (row["kind"], row["period"])
    change: list[Cell] = [None, None, None]
    if key in growth.index:
        change = [Number(float(growth.loc[key, one]) / 100, CHANGE) for one in ("q50", "q10", "q90")]
    totals = content.outlook.totals[row["kind"]]
    place = totals.labels.index(row["period"]), totals.series.index(card.entry.id)
    return [*change, Number(float(totals.probability_of_fall()[place]), SHARE)]
