"""Long rows at rest, a wide panel in flight; derived series are computed here and stored nowhere."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from forecasting.catalogue import Catalogue, Series
from forecasting.errors import CatalogueError, DataError
from forecasting.panel import Panel
from forecasting.units import conversion

OBSERVATION_COLUMNS = ("series", "month", "value", "unit", "stage", "std_error", "source")
STAGES = (
    "estimated", "provisional", "nine_digit", "detailed", "revised", "fixed", "latest", "published",
    "implied", "published_in_press", "reconstructed", "as_given",
)  # fmt: skip


def wide(observations: pd.DataFrame, column: str = "value") -> pd.DataFrame:
    """Months × series (T × n) of one column; months contiguous, NaN = not published."""
    twice = observations.duplicated(["series", "month"])
    if twice.any():
        row = observations[twice].iloc[0]
        raise DataError(f"{row['series']} has two values for {row['month']}: keep one.")
    table = observations.pivot(index="month", columns="series", values=column)
    months = pd.period_range(table.index.min(), table.index.max(), freq="M")
    return table.reindex(months)[list(dict.fromkeys(observations["series"]))].rename_axis(None, axis=1)


def to_panel(observations: pd.DataFrame, x: pd.DataFrame | None = None) -> Panel:
    """The panel of all stored series; ``month`` holds monthly periods."""
    y = wide(observations).astype(float)
    return Panel(y) if x is None else Panel(y, x)


def with_derived(y: pd.DataFrame, catalogue: Catalogue, series: Iterable[str]) -> pd.DataFrame:
    """The table (months × series) with these derived columns added; a month is known where all terms are."""
    known = y.copy()
    for one in series:
        _derive_into(known, catalogue, one)
    return known


def _derive_into(known: pd.DataFrame, catalogue: Catalogue, series: str) -> None:
    if series in known.columns:
        return
    entry = catalogue[series]
    if not entry.derived:
        raise CatalogueError(f"{series} is in the catalogue, but these data hold no value of it.")
    for needed in terms_of(entry, catalogue):
        _derive_into(known, catalogue, needed)
    known[series] = apply_formula(entry, known, catalogue)


def terms_of(entry: Series, catalogue: Catalogue) -> tuple[str, ...]:
    """Everything that the formula of a derived series reads."""
    return (*entry.terms, *catalogue.children(entry.terms[0])) if entry.formula == "rest" else entry.terms


def apply_formula(entry: Series, known: pd.DataFrame, catalogue: Catalogue) -> pd.Series:
    """The derived column from the columns of its terms."""
    first = known[entry.terms[0]]
    if entry.formula == "sum":
        return known[list(entry.terms)].sum(axis=1, skipna=False)
    if entry.formula == "difference":
        return first - known[entry.terms[1]] * conversion(catalogue[entry.terms[1]].unit, entry.unit)
    if entry.formula == "ratio":
        return first / known[entry.terms[1]].where(known[entry.terms[1]] != 0)
    # Parts are rounded apart from their parent, so that a remainder may come out a few millions below zero.
    parts = [one for one in catalogue.children(entry.terms[0]) if one in known.columns]
    return (first - known[parts].sum(axis=1, skipna=False)).clip(lower=0.0)
