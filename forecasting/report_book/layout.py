"""What the sheets share: columns, where a long table stands, how a series, a period and the making are said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from forecasting.periods import quarter_words
from forecasting.report import Card, Content
from forecasting.units import in_words
from forecasting.workbook import Column, ready_to_print, write_heading, write_lines

HEAD = 5
"""The row of the head of every sheet that is one long table."""
NAMED, ID = (Column("Series", 58), Column("Unit", 24)), Column("Id", 48)
YEARLY = (
    Column("On a year earlier", 10), Column("Change, 80 % from", 10), Column("Change, 80 % to", 10),
    Column("Chance of a fall", 10),
)  # fmt: skip


def made_from(content: Content) -> tuple[str, str]:
    """Two lines below a title: by what the forecast was made and how to read its intervals."""
    outlook = content.outlook
    return (
        f"Forecast by {content.models} from figures published until {max(outlook.forecast.cutoff)} (data vintage"
        f" {outlook.vintage}). Values are totals of the period in the unit beside them.",
        "Of 100 figures forecast like this, about 80 should fall inside their 80 % interval, 95 inside the 95 % one.",
    )


def paragraphs(sheet: Any, row: int, heading: str, lines: Sequence[str], columns: int = 8, letters: float = 165) -> int:
    """A heading and sentences, none of them twice; the next free row, the same where there are none."""
    if not lines:
        return row
    row = write_heading(sheet, row, heading) if heading else row
    return write_lines(sheet, row, dict.fromkeys(lines), columns, letters)


def long_table(sheet: Any, content: Content, corner: str) -> None:
    """What a sheet that is one long table has: a head that stays, a filter, and a head on each printed page.

    Ids, which come last, are not printed.
    """
    from openpyxl.utils import get_column_letter

    sheet.freeze_panes = corner
    area = f"A1:{get_column_letter(sheet.max_column - 1)}{sheet.max_row}"
    ready_to_print(sheet, content.outlook.source_line, f"{HEAD}:{HEAD}", area)
    sheet.auto_filter.ref = f"A{HEAD}:{get_column_letter(sheet.max_column)}{max(sheet.max_row, HEAD)}"


def named(card: Card) -> tuple[str, str]:
    """Title and unit of a series: what stands in NAMED."""
    return card.entry.title, in_words(card.entry.unit)


def period_words(kind: str, period: str) -> str:
    """``2026-09``, ``Oct–Dec 2026`` or ``FY2026 (Apr 2026–Mar 2027)``."""
    if kind == "quarter":
        return quarter_words(period)
    return f"{period} (Apr {period[2:]}–Mar {int(period[2:]) + 1})" if kind == "fiscal_year" else period


def first_month(kind: str, period: str) -> pd.Period:
    """The first month of a period."""
    if kind == "fiscal_year":
        return pd.Period(f"{period[2:]}-04", freq="M")
    return pd.Period(period, freq="M") if kind == "month" else pd.Period(period, freq="Q").asfreq("M", "start")
