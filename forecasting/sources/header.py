"""Where a table begins: its header row, and its columns of months."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forecasting.errors import DataError
from forecasting.sources.cells import Grid
from forecasting.sources.months import MONTH_NAMES, looks_like_month, other_kind
from forecasting.sources.wording import shown

# First names first: where a file has several, the first that holds months counts.
MONTH = (
    "month", "ds", "date", "year_month", "yearmonth", "yyyymm", "ref_date", "time_period", "period", "time",
    "timestamp", "months", "年月", "月",
)  # fmt: skip
SERIES = ("series", "unique_id", "series_id", "id", "item_id", "series_name", "name")
YEAR = ("year", "yr", "年")
HEADER_WITHIN = 40  # rows of titles and notes that may stand above the header
SAMPLE = 200  # rows that tell what a column holds

Cells = Sequence[object]


@dataclass(frozen=True)
class Place:
    """The header row, and the columns of months: one, or year and month; none where months run across."""

    header: int
    months: tuple[int, ...]


def locate(grid: Grid) -> Place | None:
    """Header and months of a grid; None where no months are found."""
    rows = [cells for _, cells in grid.rows[: HEADER_WITHIN + SAMPLE]]
    within = range(min(HEADER_WITHIN, len(rows) - 1))
    named = {at: columns for at in within if (columns := _named(rows, at))}
    for at, columns in named.items():
        if looks_like_month(month_cell(rows[at + 1], columns)):
            return Place(at, columns)
    across = next((at for at in within if _runs_across(rows[at])), len(rows))
    down, columns = next(((at, found) for at in within if (found := _unnamed(rows, at))), (len(rows), ()))
    if across < len(rows) and across == down and not with_name(rows[across], SERIES):
        raise DataError(
            "both the header and a column look like months: name the first column 'month' if months run down,"
            " 'series' if they run across."
        )
    if across < len(rows) and across <= down:
        return Place(across, ())
    return _misspelt(rows, named, down) or _below_titles(grid, down, columns)


def _misspelt(rows: Sequence[Cells], named: dict[int, tuple[int, ...]], down: int) -> Place | None:
    """A header named 'month' over a cell that is none: still the header, if as wide as the table."""
    at = next(iter(named), len(rows))
    if at < down and (down == len(rows) or filled(rows[at]) >= filled(rows[down])):
        return Place(at, named[at])
    return None


def _below_titles(grid: Grid, down: int, columns: tuple[int, ...]) -> Place | None:
    if not columns:
        return None
    width = filled(grid.rows[down][1])
    for number, cells in grid.rows[:down]:
        if filled(cells) >= max(width, 2):
            other = grid.rows[down][0]
            raise DataError(f"rows {number} and {other} both look like the header: keep one header row.")
    return Place(down, columns)


def filled(cells: Cells) -> int:
    return sum(cell is not None for cell in cells)


def cell_at(cells: Cells, at: int) -> object:
    return cells[at] if at < len(cells) else None


def lower(cell: object) -> str:
    return cell.lower() if isinstance(cell, str) else ""


def with_name(header: Cells, names: Sequence[str]) -> list[int]:
    """The columns with one of these names, in any case, in the order of the names."""
    return [at for name in names for at, cell in enumerate(header) if lower(cell) == name]


def _named(rows: Sequence[Cells], at: int) -> tuple[int, ...]:
    """The columns of months by their names, if this row has such names."""
    months, years = with_name(rows[at], MONTH), with_name(rows[at], YEAR)
    if not months or filled(rows[at]) < 2:
        return ()
    for column in months:
        if looks_like_month(cell_at(rows[at + 1], column)):
            return (column,)
    # "Date, 2024-06-01" above a table tells when it was made.
    beside = [cell for column, cell in enumerate(rows[at]) if column not in months]
    if any(map(looks_like_month, beside)):
        return ()
    return (years[0], months[0]) if years else (months[0],)


def month_cell(cells: Cells, columns: tuple[int, ...]) -> object:
    """The month of a row: one cell, or year and month joined, as 2024 and 5, May or 5月."""
    if len(columns) == 1:
        return cell_at(cells, columns[0])
    year, month = (name_of(cell_at(cells, column)) for column in columns)
    if not year or not month:
        return None
    month = month.removesuffix("月").removesuffix(".").lower()
    return f"{year.removesuffix('年')}-{MONTH_NAMES.get(month, month)}"


def name_of(cell: object) -> str:
    """A cell as a name: 7.0, as Excel stores it, is 7; the text 007 stays as it is."""
    if cell is None:
        return ""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()


def _runs_across(header: Cells) -> bool:
    dated = [at for at, cell in enumerate(header) if looks_like_month(cell)]
    return len(dated) >= 3 and dated[0] > 0 and filled(header[dated[0] :]) <= 1.2 * len(dated) + 1


def _unnamed(rows: Sequence[Cells], at: int) -> tuple[int, ...]:
    """The column that holds a month in the next and most later rows, below a cell that is none."""
    below = rows[at + 1 : at + 1 + SAMPLE]
    if _runs_across(below[0]) or filled(below[0]) < 2:
        return ()
    found = []
    for column, cell in enumerate(below[0]):
        title = cell_at(rows[at], column)
        # The first column may go without a title, as the index of a data frame does.
        if looks_like_month(cell) and not looks_like_month(title) and (title is not None or column == 0):
            held = [row[column] for row in below if cell_at(row, column) is not None]
            if sum(map(looks_like_month, held)) >= 0.8 * len(held):
                found.append(column)
    if len(found) > 1:
        numbers = " and ".join(str(column + 1) for column in found)
        raise DataError(f"columns {numbers} all look like months: name the right one 'month'.")
    return tuple(found)


def why_no_months(grid: Grid) -> str:
    """What a table without months lacks."""
    rows = grid.rows
    number, header = rows[0]
    if len(rows) < 2:
        return "there is only one row: give a header row and below it one row per month"
    if max(len(cells) for _, cells in rows) < 2:
        return "there is only one column: give a month and a value in each row, apart by a comma"
    if any(map(looks_like_month, header)):
        return f"row {number} holds a month, but no header stands above it: add one, such as month,value"
    if sum(lower(cell).removesuffix(".") in MONTH_NAMES for cell in header) >= 6:
        return "this is a table of years by months: give one row per month, with columns year, month, value"
    beside = [(number, cell) for cell in header] + [(below, cells[0]) for below, cells in rows[1:4]]
    for at, cell in beside:
        if kind := other_kind(cell):
            return f"row {at}: {kind}"
    number, cells = rows[1]
    return (
        f"no column of months was found (row {number} begins with {shown(cells[0])}): name the column 'month'"
        " and write months as 2024-05"
    )
