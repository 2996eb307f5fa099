"""Sheets of an Excel workbook: text that is never a formula, numbers with a format, months as dates, native charts.

Nothing here writes a formula. openpyxl is imported inside the functions.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd

FORMULA = re.compile(r"[=+\-@\t\r＝＋－＠]")
NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
MOST_ROWS, MOST_LETTERS = 1_048_576, 32_767
"""What Excel can hold in a sheet and in a cell."""
MONTH_FORMAT, PERCENT, CHANGE, SHARE = "yyyy-mm", "0.0 %", "+0.0 %;-0.0 %;0.0 %", "0 %"
INK, BAND, SHADE = "0072B2", "B0D0E8", "E8EEF3"
HUES = ("D55E00", "009E73", "CC79A7", "E69F00", "56B4E9", "8A6D3B", "444444")
FONT = "Calibri"
ROWS_OF_CHART, WIDTH_OF_CHART = 15, 86
"""Rows of the usual height that a chart covers, and how wide a column is that holds one."""


@dataclass(frozen=True)
class Number:
    """A number and how it is written; one that is not known is an empty cell."""

    value: float
    format: str = "General"


Cell = str | Number | pd.Period | int | None


@dataclass(frozen=True)
class Column:
    """Head of a column and how many letters wide it is."""

    title: str
    width: float = 12


def number_format(values: Iterable[float]) -> str:
    """One format for values of one kind, by their middle size: three or four digits, thousands apart."""
    sizes = sorted(abs(float(one)) for one in values if math.isfinite(one) and one != 0)
    middle = sizes[len(sizes) // 2] if sizes else 1000.0
    if middle >= 1000:
        return "#,##0"
    decimals = 1 if middle >= 10 else min(2 - math.floor(math.log10(middle)), 6)
    return "#,##0." + "0" * decimals


def write_text(cell: Any, text: str) -> Any:
    """Text as it is, which Excel reads as text even when it looks like a formula."""
    cell.value = NOT_IN_XML.sub("�", text)[:MOST_LETTERS]
    # openpyxl makes a formula of a text that begins with "="; Excel does so when such a cell is edited.
    cell.data_type = "s"
    cell.quotePrefix = bool(FORMULA.match(text))
    return cell


def write_cell(cell: Any, value: Cell) -> None:
    """Text, a number in its format, a month as its first day; nothing for None and for what is not finite."""
    if isinstance(value, str):
        write_text(cell, value)
    elif isinstance(value, pd.Period):
        cell.value = date(value.year, value.month, 1)
        cell.number_format = MONTH_FORMAT
    elif isinstance(value, Number):
        if math.isfinite(value.value):
            cell.value = float(value.value)
            cell.number_format = value.format
    elif value is not None:
        cell.value = int(value)
        cell.number_format = "0"


def write_title(sheet: Any, title: str, *notes: str) -> int:
    """A title and lines of words below it; the next free row, after an empty one."""
    from openpyxl.styles import Font

    write_text(sheet.cell(1, 1), title).font = Font(name=FONT, bold=True, size=14)
    for at, note in enumerate(notes, start=2):
        write_text(sheet.cell(at, 1), note).font = Font(name=FONT, color="6B6B6B")
    return len(notes) + 3


def write_heading(sheet: Any, row: int, text: str) -> int:
    """A heading between tables; the next row."""
    from openpyxl.styles import Font

    write_text(sheet.cell(row, 1), text).font = Font(name=FONT, bold=True, size=12)
    return row + 1


def write_table(sheet: Any, row: int, columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> int:
    """A head and rows below it; the next free row, after an empty one. Columns are never made narrower."""
    from openpyxl.styles import Alignment
    from openpyxl.utils import get_column_letter

    rows = list(rows)
    for at, column in enumerate(columns, start=1):
        text = all(isinstance(values[at - 1], str | None) for values in rows)
        _write_head(sheet.cell(row, at), column.title, "left" if text else "right", indent=int(text and at > 1))
        size = sheet.column_dimensions[get_column_letter(at)]
        size.width = max(column.width, size.width if size.customWidth else 0)
    sheet.row_dimensions[row].height = 31
    for values in rows:
        row += 1
        for at, value in enumerate(values, start=1):
            cell = sheet.cell(row, at)
            write_cell(cell, value)
            if isinstance(value, str) and at > 1:
                cell.alignment = Alignment(horizontal="left", indent=1)
    return row + 2


def _write_head(cell: Any, title: str, side: str, indent: int) -> None:
    from openpyxl.styles import Alignment, Border, Font, PatternFill, Side

    write_text(cell, title).font = Font(name=FONT, bold=True)
    cell.fill = PatternFill("solid", start_color=SHADE)
    cell.border = Border(bottom=Side("thin", color="6B6B6B"))
    cell.alignment = Alignment(wrap_text=True, vertical="bottom", horizontal=side, indent=indent)


def wrap(sheet: Any, first: int, last: int) -> None:
    """Long texts of these rows in several lines, the rows as high as the longest needs."""
    from openpyxl.styles import Alignment

    for row in sheet.iter_rows(min_row=first, max_row=last):
        lines = [1]
        for cell in row:
            side, inside = ("left", int(cell.column > 1)) if cell.data_type == "s" else ("right", 0)
            cell.alignment = Alignment(wrap_text=True, vertical="top", horizontal=side, indent=inside)
            width = sheet.column_dimensions[cell.column_letter].width - 2
            lines.append(math.ceil(1.15 * len(str(cell.value or "")) / width) if cell.data_type == "s" else 1)
        sheet.row_dimensions[row[0].row].height = 15.0 * max(lines)


def write_lines(sheet: Any, row: int, lines: Iterable[str], columns: int, letters: float) -> int:
    """Sentences, each over so many columns that hold so many letters; the next free row, after an empty one."""
    from openpyxl.styles import Alignment

    for line in lines:
        write_text(sheet.cell(row, 1), line).alignment = Alignment(wrap_text=True, vertical="top")
        if columns > 1:
            sheet.merge_cells(start_row=row, start_column=1, end_row=row, end_column=columns)
        sheet.row_dimensions[row].height = 15.0 * max(1, math.ceil(1.1 * len(line) / letters))
        row += 1
    return row + 1


def ready_to_print(sheet: Any, footer: str, head: str = "", area: str = "") -> None:
    """A4 across, as wide as a page; the head repeated on each; the source and the page number below."""
    sheet.page_setup.orientation, sheet.page_setup.paperSize = "landscape", 9
    sheet.sheet_properties.pageSetUpPr.fitToPage = True
    sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
    sheet.page_margins.left = sheet.page_margins.right = 0.5
    sheet.page_margins.top = sheet.page_margins.bottom = 0.6
    if head:
        sheet.print_title_rows = head
    sheet.print_area = area or sheet.dimensions
    # "&" begins a code in a footer, which may hold 255 letters in all.
    said = NOT_IN_XML.sub(" ", footer)
    said = said if len(said) <= 180 else said[:179] + "…"
    sheet.oddFooter.left.text = said.replace("&", "&&")
    sheet.oddFooter.left.size = 8
    sheet.oddFooter.right.text = "&P / &N"
    sheet.oddFooter.right.size = 8
    sheet.sheet_view.showGridLines = False


def saved(book: Any) -> bytes:
    """The workbook as a file without any time in it: the same sheets are the same bytes."""
    buffer = io.BytesIO()
    book.save(buffer)
    return _timeless(buffer.getvalue())


def _timeless(book: bytes) -> bytes:
    """The same workbook with its times of creation and of its parts set to a fixed day."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(book)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "docProps/core.xml":
                content = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", b"2000-01-01T00:00:00Z", content)
            entry = zipfile.ZipInfo(name, date_time=(2000, 1, 1, 0, 0, 0))
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o600 << 16
            new.writestr(entry, content)
    return buffer.getvalue()


# --- Charts ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """A column of numbers that is drawn: where it stands, its colour, and whether it is dashed."""

    column: int
    colour: str
    dashed: bool = False


@dataclass(frozen=True)
class Block:
    """Cells that a chart is drawn of: a sheet, rows of the heads and of the end, the column of months or steps."""

    sheet: Any
    head: int
    last: int
    across: int = 1

    def column(self, at: int, head: bool = False) -> Any:
        from openpyxl.chart import Reference

        return Reference(self.sheet, min_col=at, min_row=self.head + (not head), max_row=self.last)


def fan_chart(
    block: Block, title: str, unit: str, lines: Sequence[Line], band: tuple[int, int] | None, shown: str, zero: bool
) -> Any:
    """Lines over months, on a band of which two columns hold the lower end and the height; values written as shown."""
    chart = _on_months(block, _lines(block, lines), shown, zero)
    if band:
        under = _on_months(block, _band(block, *band), shown, zero)
        under += chart
        chart = under
    return _framed(chart, title, unit, [0] if band else [])


def step_chart(block: Block, title: str, unit: str, lines: Sequence[Line], shown: str, bars: bool = False) -> Any:
    """Lines (or bars) over steps or classes."""
    from openpyxl.chart import BarChart

    chart = _lines(block, lines)
    if bars:
        chart = BarChart()
        chart.type, chart.gapWidth = "col", 60
        _add(chart, block, lines, filled=True)
    chart.set_categories(block.column(block.across))
    _axes(chart, shown, zero=False)
    return _framed(chart, title, unit, [])


def _lines(block: Block, lines: Sequence[Line]) -> Any:
    from openpyxl.chart import LineChart

    chart = LineChart()
    _add(chart, block, lines)
    return chart


def _add(chart: Any, block: Block, lines: Sequence[Line], filled: bool = False) -> None:
    from openpyxl.chart import Series

    for one in lines:
        series = Series(block.column(one.column, head=True), title_from_data=True)
        if filled:
            series.graphicalProperties.solidFill = one.colour
        else:
            series.smooth = False
            series.marker.symbol = "none"
            series.graphicalProperties.line.solidFill = one.colour
            series.graphicalProperties.line.width = 19_050
            series.graphicalProperties.line.dashStyle = "dash" if one.dashed else None
        chart.series.append(series)


def _band(block: Block, low: int, height: int) -> Any:
    from openpyxl.chart import AreaChart, Series

    chart = AreaChart()
    chart.grouping = "stacked"
    for column, seen in ((low, False), (height, True)):
        series = Series(block.column(column, head=True), title_from_data=True)
        series.graphicalProperties.line.noFill = True
        if seen:
            series.graphicalProperties.solidFill = BAND
        else:
            series.graphicalProperties.noFill = True
        chart.series.append(series)
    return chart


def _on_months(block: Block, chart: Any, shown: str, zero: bool) -> Any:
    from openpyxl.chart.axis import DateAxis

    chart.set_categories(block.column(block.across))
    chart.x_axis = DateAxis(crossAx=100)
    chart.x_axis.number_format, chart.x_axis.majorTimeUnit, chart.x_axis.majorUnit = "yyyy-mm", "months", 6
    chart.x_axis.baseTimeUnit = "months"
    chart.y_axis.crossAx = 500
    _axes(chart, shown, zero)
    return chart


def _axes(chart: Any, shown: str, zero: bool) -> None:
    chart.x_axis.delete = chart.y_axis.delete = False
    chart.x_axis.tickLblPos = "low"
    chart.y_axis.number_format = shown
    chart.y_axis.majorGridlines.spPr = _pale()
    if zero:
        chart.y_axis.scaling.min = 0


def _pale() -> Any:
    from openpyxl.chart.shapes import GraphicalProperties
    from openpyxl.drawing.line import LineProperties

    return GraphicalProperties(ln=LineProperties(solidFill="DDDDDD"))


def _framed(chart: Any, title: str, unit: str, unnamed: Sequence[int]) -> Any:
    from openpyxl.chart.legend import LegendEntry

    chart.title = _words(title, 1100, bold=True)
    chart.title.overlay = False
    chart.y_axis.title = _words(unit, 900, bold=False) if unit else None
    chart.legend.position = "b"
    chart.legend.legendEntry = [LegendEntry(idx=one, delete=True) for one in unnamed]
    chart.display_blanks = "gap"
    chart.width, chart.height = 15.5, 7.2
    return chart


def _words(text: str, size: int, bold: bool) -> Any:
    from openpyxl.chart.title import title_maker
    from openpyxl.drawing.text import CharacterProperties, ParagraphProperties

    title = title_maker(" ".join(NOT_IN_XML.sub(" ", text).split()) or " ")
    style = CharacterProperties(sz=size, b=bold)
    for paragraph in title.tx.rich.p:
        paragraph.pPr = ParagraphProperties(defRPr=style)
        for run in paragraph.r or []:
            run.rPr = style
    return title
