"""Every published figure that is shown, with stage and source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from forecasting.report import Content, words_of_stage
from forecasting.report_book.layout import HEAD, ID, NAMED, long_table, named
from forecasting.workbook import Cell, Column, Number, number_format, write_table, write_title
from forecasting.workflow import rows_of


def figures(sheet: Any, content: Content) -> None:
    """A row a series and month."""
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
    long_table(sheet, content, f"D{HEAD + 1}")


def _observations(content: Content) -> Iterator[list[Cell]]:
    last = content.outlook.history.index[-1]
    for card in content.cards:
        rows = rows_of(content.dataset, card.entry.id)
        rows = rows[(rows["month"] <= last) & rows["value"].notna()]
        shown = number_format(rows["value"])
        for one in rows.to_dict("records"):
            yield [
                *named(card), one["month"], Number(one["value"], shown), words_of_stage(str(one["stage"])),
                Number(one["std_error"], shown), str(one["source"]), card.entry.id,
            ]  # fmt: skip
