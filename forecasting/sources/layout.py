"""Rows of cells as (series, month, value): long, wide with months down, or wide with months across."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from forecasting.errors import DataError
from forecasting.sources.cells import Grid
from forecasting.sources.figures import is_missing, looks_like_number, read_figures
from forecasting.sources.header import MONTH, SERIES, YEAR, Cells, Place, filled, lower, month_cell, name_of, with_name
from forecasting.sources.months import Months, looks_like_month, read_months
from forecasting.sources.wording import counted, shown, some

VALUE = ("value", "y", "values", "obs_value", "target")
TEXTS = ("unit", "stage", "source")
KEPT = (*TEXTS, "std_error")
LONG = (*SERIES, *VALUE, *KEPT)


@dataclass(frozen=True)
class Tidy:
    """One row per cell (N): series, month, day, value, row in the file, kept columns; and remarks."""

    table: pd.DataFrame
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Body:
    """Header and rows, all of one width, with the numbers of the rows in the file."""

    header: Cells
    numbers: list[int]
    rows: list[tuple[object, ...]]
    separator: str

    def column(self, at: int) -> list[object]:
        return [cells[at] for cells in self.rows]

    def name(self, at: int) -> str:
        return name_of(self.header[at])

    def place(self, row: int, column: int) -> str:
        return f"row {self.numbers[row]}, column {shown(self.name(column) or column + 1)}"

    def figures(self, columns: list[int]) -> tuple[np.ndarray, list[str]]:
        """The numbers in these columns (rows × columns), in one convention; and remarks."""
        cells = [row[at] for row in self.rows for at in columns]
        read = read_figures(
            cells, lambda at: self.place(at // len(columns), columns[at % len(columns)]), self.separator
        )
        return read.values.reshape(len(self.rows), len(columns)), list(read.remarks)

    def names(self, column: int) -> list[str]:
        """A column as names of series; each row needs one."""
        names = [name_of(cell) for cell in self.column(column)]
        if "" in names:
            raise DataError(f"{self.place(names.index(''), column)}: no series is named: fill the name in.")
        return names

    def texts(self) -> dict[str, Any]:
        """The columns unit, stage and source, where the file has them."""
        return {
            name: [None if cell is None else name_of(cell) for cell in self.column(at)]
            for name in TEXTS
            for at in with_name(self.header, (name,))
        }

    def numeric(self, column: int) -> bool:
        """Whether a column holds any number; an empty one may be one as well."""
        held = [cell for cell in self.column(column) if not is_missing(cell)]
        return not held or any(map(looks_like_number, held))


def tidy(grid: Grid, place: Place, stem: str) -> Tidy:
    """The grid as (series, month, value) rows; ``stem`` names the series of a file that names none."""
    body, remarks = _trimmed(grid, place)
    table, said = _down(body, place, stem) if place.months else _across(body)
    return Tidy(table, (*grid.remarks, *remarks, *said))


def _trimmed(grid: Grid, place: Place) -> tuple[Body, list[str]]:
    """Header and rows as wide as each other, without the notes above and below."""
    number, header = grid.rows[place.header]
    rows, remarks = list(grid.rows[place.header + 1 :]), []
    if place.header:
        left = counted(place.header, "row")
        remarks.append(f"{left} above the header left out, beginning with {_first(grid.rows[0][1])}")
    count = len(rows)
    while rows and _is_note(rows[-1][1]):
        rows.pop()
    if len(rows) < count:
        noted, cells = grid.rows[place.header + 1 + len(rows)]
        remarks.append(
            f"{counted(count - len(rows), 'row')} below left out as notes, from row {noted}: {_first(cells)}"
        )
    if not rows:
        raise DataError(f"no row of values stands below the header in row {number}: add the months.")
    width = max(at + 1 for at, cell in enumerate(header) if cell is not None)
    for number, cells in rows:
        if filled(cells[width:]):
            raise DataError(
                f"row {number} has a cell beyond the {width} columns of the header: put quotes around cells"
                " that hold the separator, and name every column."
            )
    padded = [(*cells[:width], *(None,) * (width - len(cells))) for _, cells in rows]
    return Body(header[:width], [number for number, _ in rows], padded, grid.separator), remarks


def _is_note(cells: Cells) -> bool:
    """Whether a row holds one cell of text, as the source below a table does."""
    return filled(cells) == 1 and not any(looks_like_month(cell) or looks_like_number(cell) for cell in cells)


def _first(cells: Cells) -> str:
    return shown(next(cell for cell in cells if cell is not None))


# --- Months down the rows ----------------------------------------------------------------------------------


def _down(body: Body, place: Place, stem: str) -> tuple[pd.DataFrame, list[str]]:
    months = read_months(
        [month_cell(cells, place.months) for cells in body.rows],
        lambda row: body.place(row, place.months[-1]),
    )
    dates = _dates(body, months)
    series, value = with_name(body.header, SERIES)[:1], with_name(body.header, VALUE)
    _refuse_twins([lower(cell) for cell in body.header if cell is not None and lower(cell) in LONG], "columns")
    if len(value) > 1 and series:
        raise DataError(f"{some([shown(body.name(at)) for at in value])} may all hold the values: keep one column.")
    known = {*place.months, *series, *with_name(body.header, KEPT)}
    free = [at for at in range(len(body.header)) if at not in known and body.header[at] is not None]
    if series and not value:
        value = [at for at in free if body.numeric(at)]
        if len(value) != 1:
            raise DataError(
                f"found a column {shown(body.name(series[0]))} but none named 'value': name the column of values."
            )
    if value and (series or free == value):
        table, said = _long(body, dates, series, value[0], stem)
        beside = [at for at in range(len(body.header)) if at not in (*place.months, value[0])]
        table["rest"] = [str([cells[at] for at in beside]) for cells in body.rows]
        if ignored := [shown(body.name(at)) for at in free if at != value[0]]:
            said.append(f"{counted(len(ignored), 'column')} ignored: {some(ignored)}")
    else:
        table, said = _wide(body, dates, place.months)
    return table, [*said, *months.remarks]


def _dates(body: Body, months: Months) -> pd.DataFrame:
    return pd.DataFrame({"row": body.numbers, "month": months.periods, "day": [day for *_, day in months.days]})


def _long(body: Body, dates: pd.DataFrame, series: list[int], value: int, stem: str) -> tuple[pd.DataFrame, list[str]]:
    names = body.names(series[0]) if series else stem
    errors = with_name(body.header, ("std_error",))[:1]
    figures, remarks = body.figures([value, *errors])
    table = dates.assign(series=names, value=figures[:, 0], **body.texts())
    if errors:
        table["std_error"] = figures[:, 1]
    said = ["read as long: one row per series and month" if series else f"read as one series, named {shown(stem)}"]
    if lower(body.header[value]) not in VALUE:
        said.append(f"values were read from column {shown(body.name(value))}")
    return table, said + remarks


def _wide(body: Body, dates: pd.DataFrame, months: tuple[int, ...]) -> tuple[pd.DataFrame, list[str]]:
    said = ["read as wide: months down, one series per column"]
    columns = [at for at in range(len(body.header)) if at not in months and _is_series(body, at, said)]
    if not columns:
        raise DataError("there is no column of values beside the months: add one.")
    _refuse_twins([body.name(at) for at in columns], "columns")
    figures, remarks = body.figures(columns)
    parts = [dates.assign(series=body.name(at), value=values) for at, values in zip(columns, figures.T, strict=True)]
    return pd.concat(parts, ignore_index=True), said + remarks


def _is_series(body: Body, at: int, said: list[str]) -> bool:
    cells = body.column(at)
    if body.header[at] is None:
        if not _counts(cells) and filled(cells):
            raise DataError(f"column {at + 1} has values but no name: name it in the header.")
        if filled(cells):
            said.append(f"column {at + 1} without a name counts the rows: ignored")
        return False
    if not body.numeric(at):
        text = next(cell for cell in cells if not is_missing(cell))
        raise DataError(
            f"column {shown(body.name(at))} holds no number but text such as {shown(text)}: correct or remove it,"
            " or name the columns of a long table series, month, value."
        )
    if lower(body.header[at]) in (*MONTH, *YEAR, *KEPT, "day"):
        raise DataError(f"column {shown(body.name(at))} may be a series or tell about one: rename or remove it.")
    return True


def _counts(cells: list[object]) -> bool:
    """Whether the cells count the rows, as the index of a data frame does."""
    numbers = [int(name) if re.fullmatch("[0-9]{1,9}", name := name_of(cell)) else -2 for cell in cells]
    return numbers[0] in (0, 1) and all(later == number + 1 for number, later in pairwise(numbers))


def _refuse_twins(names: list[str], kind: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise DataError(f"two {kind} are named {shown(name)}: give each series its own name.")
        seen.add(name)


# --- Months across the columns -----------------------------------------------------------------------------


def _across(body: Body) -> tuple[pd.DataFrame, list[str]]:
    dated = [at for at, cell in enumerate(body.header) if looks_like_month(cell)]
    label = _label(body, dated[0])
    months = read_months([body.header[at] for at in dated], lambda at: f"header, column {dated[at] + 1}")
    names = body.names(label)
    _refuse_twins(names, "rows")
    figures, remarks = body.figures(dated)
    across, down = len(dated), len(names)
    table = pd.DataFrame(
        {
            "row": np.repeat(body.numbers, across),
            "month": months.periods[np.tile(np.arange(across), down)],
            "day": np.tile([day for *_, day in months.days], down),
            "series": [name for name in names for _ in dated],
            "value": figures.ravel(),
        }
    ).assign(**{name: [text for text in texts for _ in dated] for name, texts in body.texts().items()})
    used = {label, *dated, *with_name(body.header, TEXTS)}
    ignored = [shown(body.name(at) or at + 1) for at in range(len(body.header)) if at not in used]
    said = [f"{counted(len(ignored), 'column')} ignored: {some(ignored)}"] if ignored else []
    return table, ["read as wide: months across, one series per row", *said, *months.remarks, *remarks]


def _label(body: Body, before: int) -> int:
    """The column that names the series, to the left of the months."""
    named = with_name(body.header[:before], SERIES)
    free = [at for at in range(before) if lower(body.header[at]) not in KEPT and filled(body.column(at))]
    if named or len(free) == 1:
        return (named or free)[0]
    titles = some([shown(body.name(at) or at + 1) for at in free]) or "no column"
    raise DataError(f"the months run across, and {titles} may name the series: call one column 'series'.")
