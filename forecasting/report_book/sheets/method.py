"""How it is made: the facts of every forecast, champions, sources and settings."""

from __future__ import annotations

from typing import Any

from forecasting.report import Content
from forecasting.report_book.layout import paragraphs
from forecasting.report_method import METHOD
from forecasting.workbook import Column, ready_to_print, write_heading, write_table, write_title


def method(sheet: Any, content: Content) -> None:
    """Words first, then tables of sources and settings."""
    row = write_title(
        sheet, "Method and sources", "docs/methods.md of tradecast has the methods with their literature."
    )
    row = paragraphs(sheet, row, "Method", [f"{one.title}. {one.text}" for one in METHOD], columns=6, letters=190)
    row = paragraphs(
        sheet, row, "Champions", [f"{one.group}: {one.model}. {one.why}" for one in content.champions], 6, 190
    )
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
    paragraphs(sheet, row, "Attribution", _attributions(content), columns=6, letters=190)
    sheet.freeze_panes = "A2"
    ready_to_print(sheet, content.outlook.source_line)


def _attributions(content: Content) -> list[str]:
    lines = dict.fromkeys(line for card in content.cards for line in card.attributions)
    return list(lines) or [content.outlook.source_line]
