"""The door through which a user's own file comes in: CSV, Parquet or Excel, long or wide."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from forecasting.errors import DataError
from forecasting.observations import OBSERVATION_COLUMNS, STAGES, wide
from forecasting.sources.cells import Grid, read_grids
from forecasting.sources.header import Place, locate, why_no_months
from forecasting.sources.layout import Tidy, tidy
from forecasting.sources.wording import counted, shown, some

FEWEST_MONTHS = 3
LONGEST_HOLE = 12
LARGEST_SHARE_MISSING = 0.2
LONGEST_NAME = 300
_DAILY = "daily or weekly data, add the values up to months first"


@dataclass(frozen=True)
class UserFile:
    """Observation rows of a user's file, and in plain words what was assumed in reading them."""

    observations: pd.DataFrame
    remarks: tuple[str, ...]


def read_observations(path: Path) -> UserFile:
    """The file as observation rows: series in its order, months ascending, missing cells left out."""
    with _naming(path):
        table, remarks = _monthly(path)
        if (table["value"] == 0).all():
            raise DataError("every value is zero: there is nothing to forecast.")
        zero = [shown(one) for one, part in table.groupby("series", sort=False) if (part["value"] == 0).all()]
        remarks += [f"every value of {some(zero)} is zero"] if zero else []
        months = months_of_history(table)
        if (months < FEWEST_MONTHS).any():
            raise DataError(
                f"{shown(months.idxmin())} has {counted(months.min(), 'month')} of values, but needs at least"
                f" {FEWEST_MONTHS}: add earlier months or leave the series out."
            )
        return UserFile(_validated(table), tuple(remarks))


def read_covariates(path: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The file as covariates (months × k), and what was assumed; they may reach into the future."""
    with _naming(path):
        table, remarks = _monthly(path)
        return wide(_validated(table)).astype(float), tuple(remarks)


def months_of_history(observations: pd.DataFrame) -> pd.Series:
    """Months from the first to the last value of each series (n)."""
    months = observations.groupby("series", sort=False)["month"]
    return months.max().astype("int64") - months.min().astype("int64") + 1


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors from within begin with the name of the file."""
    try:
        yield
    except DataError as error:
        name = path.name if path.name.isprintable() and len(path.name) <= 100 else shown(path.name)
        raise DataError(f"{name}: {error}") from error


def _monthly(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Checked rows of known values, and remarks."""
    grid, place, remarks = _chosen(read_grids(path))
    found = tidy(grid, place, _stem(path))
    table = _completed(found, f"{path.name} [{grid.sheet}]" if grid.sheet else path.name)
    remarks = [*remarks, *found.remarks]
    known = set(table["series"])
    empty = [one for one in dict.fromkeys(found.table["series"]) if one not in known]
    if table.empty:
        raise DataError("every value is missing: write numbers into the value columns.")
    remarks += [f"no value for {some([shown(one) for one in empty])}: left out"] if empty else []
    table, twice = _one_value_a_month(table)
    _refuse_other_frequencies(table)
    return table, remarks + twice + _holes(table)


def _stem(path: Path) -> str:
    return Path(path.stem).stem if path.suffix.lower() == ".gz" else path.stem


def _chosen(grids: list[Grid]) -> tuple[Grid, Place, list[str]]:
    """The one grid that holds months: the right separator, the right sheet."""
    held = [grid for grid in grids if grid.rows]
    failures = [DataError(grid.failure) for grid in grids if grid.failure]
    if not held and not failures:
        raise DataError("there is no cell with content: give a header row and one row per month.")
    found: list[tuple[Grid, Place]] = []
    for grid in held:
        try:
            place = locate(grid)
        except DataError as error:
            failures.append(error)
        else:
            found += [(grid, place)] if place else []
    if len(found) == 1:
        grid, place = found[0]
        return grid, place, [f"sheet {shown(grid.sheet)} was read"] if len(held) > 1 and grid.sheet else []
    if not found and failures:
        raise failures[0]
    if held[0].sheet and len(held) > 1:
        names = some([shown(grid.sheet) for grid in held])
        number = "more than one sheet holds" if found else "no sheet holds"
        raise DataError(f"{number} a table of months ({names}): keep only the sheet to be read.")
    if found:
        raise DataError("the cells can be split in two ways: use the comma as the only separator.")
    # The separator that gives the widest rows is most likely the one that was meant.
    best = max(held, key=lambda grid: sum(len(cells) > 1 for _, cells in grid.rows))
    raise DataError(f"{why_no_months(best)}.")


def _completed(found: Tidy, source: str) -> pd.DataFrame:
    """Rows with a value, with every observation column; unit and stage as given."""
    table = found.table.dropna(subset=["value"]).copy()
    for name, default in (("unit", ""), ("stage", "as_given"), ("source", source)):
        table[name] = table[name].fillna(default) if name in table else default
    table["std_error"] = table.get("std_error", np.nan)
    table["rest"] = table.get("rest", "")
    order = {name: at for at, name in enumerate(dict.fromkeys(table["series"]))}
    table["order"] = table["series"].map(order)
    return table.sort_values(["order", "month", "row"], kind="stable").reset_index(drop=True)


def _one_value_a_month(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    key = ["series", "month"]
    twice = table[table.duplicated(key, keep=False)]
    for _, rows in twice.groupby(key, sort=False):
        one, other = rows.iloc[0], rows.iloc[1]
        what = f"{shown(one['series'])} has two values for {one['month']}"
        at = f"row {one['row']}" if one["row"] == other["row"] else f"rows {one['row']} and {other['row']}"
        if rows["day"].nunique() > 1:
            raise DataError(f"{what} on different days ({at}): {_DAILY}.")
        if (rows["value"] == one["value"]).all() and rows["rest"].nunique() > 1:
            raise DataError(f"{what} ({at}), apart by another column: let the series name tell them apart.")
        if rows["value"].nunique() > 1:
            other = rows[rows["value"] != one["value"]].iloc[0]
            raise DataError(
                f"{what}, {one['value']:.15g} and {other['value']:.15g} (rows {one['row']} and"
                f" {other['row']}): keep one, or let the series name tell them apart."
            )
    kept = table.drop_duplicates(key)
    gone = len(table) - len(kept)
    return kept, [f"{counted(gone, 'repeated row')} left out, from row {twice['row'].iloc[1]}"] if gone else []


def _refuse_other_frequencies(table: pd.DataFrame) -> None:
    for name, part in table.groupby("series", sort=False):
        step = int(np.gcd.reduce(np.diff(part["month"].astype("int64"))))
        if len(part) >= 3 and step > 1:
            kind = {3: "quarterly", 6: "half-yearly", 12: "yearly"}.get(step, f"one value every {step} months")
            first = " and ".join(str(month) for month in part["month"].iloc[:2])
            raise DataError(f"{shown(name)} is {kind} ({first} follow each other): give monthly values.")


def _holes(table: pd.DataFrame) -> list[str]:
    remarks = []
    for name, part in table.groupby("series", sort=False):
        months = part["month"]
        steps = np.diff(months.astype("int64"))
        missing, longest = int(steps.sum() - len(steps)), int(steps.max(initial=1)) - 1
        if not missing:
            continue
        first = [str(month + 1) for month, step in zip(months, steps, strict=False) if step > 1]
        if longest > LONGEST_HOLE:
            at = months.iloc[int(steps.argmax())] + 1
            raise DataError(f"{shown(name)} has no value for {longest} months from {at}: fill them in or begin later.")
        if missing > LARGEST_SHARE_MISSING * (len(part) + missing):
            raise DataError(
                f"{shown(name)} lacks {missing} of {len(part) + missing} months, the first {first[0]}:"
                " fill them in, or begin later."
            )
        months_missing = f"{counted(missing, 'month')} missing in {shown(name)}"
        remarks.append(f"{months_missing} at {some(first)}: will be bridged")
    return remarks if len(remarks) <= 5 else [*remarks[:5], f"and holes in {len(remarks) - 5} more series"]


# --- The schema --------------------------------------------------------------------------------------------

_REMEDIES = {
    "name": "series names have 1 to 300 characters and no control characters: rename it",
    "finite": "values are finite numbers: correct it",
    "stage": f"a stage is one of {', '.join(STAGES)}: correct it or remove the column",
    "std_error": "a standard error is a finite number and not negative: correct it",
    "one_unit": "a series has one unit: convert the values, or split the series",
}


def _validated(table: pd.DataFrame) -> pd.DataFrame:
    """The observation columns, checked by the schema; its first failure in one line."""
    import pandera.pandas as pa

    rows = table["row"].tolist()
    checked = table[list(OBSERVATION_COLUMNS)].reset_index(drop=True)
    checked = checked.astype(dict.fromkeys(("series", "unit", "stage", "source"), "str"))
    checked = checked.astype({"value": float, "std_error": float})
    try:
        return _schema().validate(checked, lazy=True)
    except pa.errors.SchemaErrors as error:
        case = error.failure_cases.iloc[0]
        where = f"row {rows[int(case['index'])]}: " if pd.notna(case["index"]) else ""
        remedy = _REMEDIES.get(str(case["check"]), f"column {case['column']} fails {case['check']}: correct it")
        raise DataError(f"{where}found {shown(case['failure_case'])}, but {remedy}.") from error


def _schema():  # type: ignore[no-untyped-def]
    """One row per series and month; pandera is slow to import, so only here."""
    import pandera.pandas as pa

    def check(function, name: str):  # type: ignore[no-untyped-def]
        return pa.Check(function, name=name, error=name)

    units = check(lambda table: table.groupby("series")["unit"].transform("nunique") == 1, "one_unit")
    return pa.DataFrameSchema(
        {
            "series": pa.Column("str", check(lambda names: names.map(_is_name), "name")),
            "month": pa.Column(pd.PeriodDtype("M")),
            "value": pa.Column(float, check(np.isfinite, "finite")),
            "unit": pa.Column("str"),
            "stage": pa.Column("str", check(lambda stages: stages.isin(STAGES), "stage")),
            "std_error": pa.Column(
                float, check(lambda errors: np.isfinite(errors) & (errors >= 0), "std_error"), nullable=True
            ),
            "source": pa.Column("str"),
        },
        checks=units,
        unique=["series", "month"],
        strict=True,
        ordered=True,
    )


def _is_name(name: str) -> bool:
    control = any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in name)
    return 0 < len(name.strip()) <= LONGEST_NAME and not control
