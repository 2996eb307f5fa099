"""Any file of monthly series as a panel with the cutoffs that forecasts are made from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from forecasting.errors import DataError
from forecasting.panel import Panel
from forecasting.sources.months import read_months

COLUMNS = ("unique_id", "ds", "y")
LEAST_MONTHS = 25  # what a model of two seasons and its scale need
SEASON = 12


@dataclass(frozen=True)
class Task:
    """Months × series (T × n, truth included), the cutoffs to forecast from and how far.

    ``dated`` is False where series were put on one clock, so that months say nothing of the calendar.
    """

    y: pd.DataFrame
    cutoffs: tuple[pd.Period, ...]
    horizon: int
    dated: bool
    remarks: tuple[str, ...] = ()

    @property
    def series(self) -> tuple[str, ...]:
        return tuple(self.y.columns)

    def wanted(self, cutoff: pd.Period) -> tuple[str, ...]:
        """Series with history enough, known within the year up to the cutoff and in some month that is scored."""
        past, ahead = self.y.loc[:cutoff], self.y.loc[cutoff + 1 : cutoff + self.horizon]
        if len(ahead) < self.horizon:
            return ()
        long = past.notna().sum() >= LEAST_MONTHS
        return tuple(self.y.columns[long & past.iloc[-SEASON:].notna().any() & ahead.notna().any()])

    def panel(self, cutoff: pd.Period) -> Panel:
        """What a forecaster may know at the cutoff, of the series wanted there."""
        return Panel(self.y[list(self.wanted(cutoff))].loc[:cutoff])


def read(
    path: Path, horizon: int, every: int = 1, years: int | None = None, step: int = 3, origins: tuple[str, ...] = ()
) -> Task:
    """The task in a parquet file ``unique_id, ds, y[, t, split]``.

    With ``years`` (or named ``origins``) forecasts roll over the last years in steps of so many months; else the rows
    of split ``test`` are held out, or the last ``horizon`` months. Raises DataError where the file cannot be used.
    """
    table, remarks = _table(path)
    if every > 1:
        chosen = table["unique_id"].cat.categories[::every]
        table = table[table["unique_id"].isin(chosen)]
        table = table.assign(unique_id=table["unique_id"].cat.remove_unused_categories())
    if years or origins:
        y = _wide(table[table["y"].notna()])
        cutoffs = tuple(pd.Period(one, "M") for one in origins) or _rolling(y, horizon, years or 0, step)
        task = Task(y, cutoffs, horizon, True, remarks)
    else:
        task = _held_out(table, horizon, remarks)
    if not any(task.wanted(cutoff) for cutoff in task.cutoffs):
        raise DataError(
            f"{path.name}: no series has {LEAST_MONTHS} months before and {horizon} after any of the cutoffs"
            f" {', '.join(map(str, task.cutoffs[:3]))}: shorten --horizon or move the origins."
        )
    return replace(task, remarks=(*task.remarks, *_not_scored(task)))


def _not_scored(task: Task) -> list[str]:
    """Which series no model is asked for, and which cannot be scored."""
    here = set().union(*(task.wanted(cutoff) for cutoff in task.cutoffs))
    remarks = []
    if idle := [str(cutoff) for cutoff in task.cutoffs if not task.wanted(cutoff)]:
        remarks.append(f"Nothing can be forecast and scored from {', '.join(idle)}: too early, or too late")
    if left := [one for one in task.series if one not in here]:
        remarks.append(
            f"{len(left)} of {len(task.series)} series are not forecast, such as {left[0]}: they need {LEAST_MONTHS}"
            " months before a cutoff, one of them in its last year, and a value after it"
        )
    past = task.y.loc[: max(task.cutoffs), [one for one in task.series if one in here]]
    flat = past.columns[~((past - past.shift(SEASON)).abs() > 0).any()]
    if len(flat):
        remarks.append(f"{len(flat)} series never change on a year earlier, such as {flat[0]}: forecast, not scored")
    return remarks


def _table(path: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Rows unique_id, month (ordinal), y (NaN = missing) and t, split where they are there, and remarks."""
    table = _read(path)
    values = pd.to_numeric(table["y"], errors="coerce").astype(float)
    if values.isna().all():
        raise DataError(f"{path.name} has no number in column y: write one value a series and month.")
    if table["unique_id"].isna().any():
        raise DataError(
            f"{path.name} has no unique_id in row {table['unique_id'].isna().argmax() + 1}: name the series."
        )
    month = _months(table["ds"], path.name)
    table = table.drop(columns="ds").assign(y=values, month=month, unique_id=_in_order(table["unique_id"]))
    if np.isinf(values).any():
        row = table[np.isinf(values)].iloc[0]
        raise DataError(f"{path.name} has an infinite value of {row['unique_id']} for {_said(row)}: correct it.")
    width = int(np.ptp(month)) + 1
    key = np.sort(table["unique_id"].cat.codes.to_numpy(dtype="int64") * width + (month - month.min()))
    steps = np.diff(key)[np.diff(key // width) == 0]
    if (steps == 0).any():
        row = table[table.duplicated(["unique_id", "month"])].iloc[0]
        raise DataError(f"{path.name} has two values of {row['unique_id']} for {_said(row)}: keep one.")
    if (step := int(np.gcd.reduce(steps))) > 1:
        raise DataError(f"{path.name} has a value every {step} months: give monthly values.")
    empty = int(values.isna().sum())
    return table, ((f"{empty} cells hold no number and count as missing",) if empty else ())


def _read(path: Path) -> pd.DataFrame:
    """The columns that are used, as they are in the file."""
    if not path.exists():
        raise DataError(f"There is no data set at {path}: give a parquet file with columns unique_id, ds, y[, split].")
    try:
        there = pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path.name} is no parquet file: write one with columns unique_id, ds, y[, split].") from error
    if absent := [one for one in COLUMNS if one not in there.names]:
        raise DataError(f"{path.name} has no column {', '.join(absent)}; found {', '.join(there.names)}.")
    columns = [one for one in (*COLUMNS, "t", "split") if one in there.names]
    # Names once each, not once a month: of 48,000 series they would need more memory than all models.
    names = [one for one in ("unique_id", "split") if one in columns and _is_text(there.field(one).type)]
    return pq.read_table(path, columns=columns, read_dictionary=names).to_pandas(ignore_metadata=True)


def _months(ds: pd.Series, name: str) -> np.ndarray:
    """Ordinals (T): the month that a moment shows in its own time zone; texts as in a user's own file."""
    if ds.isna().any():
        raise DataError(f"{name} has no ds in row {ds.isna().argmax() + 1}: write its month or remove the row.")
    if isinstance(ds.dtype, pd.DatetimeTZDtype):
        ds = ds.dt.tz_localize(None)
    if pd.api.types.is_datetime64_dtype(ds):
        return ds.to_numpy().astype("datetime64[M]").astype("int32")
    codes, cells = pd.factorize(ds)
    rows = pd.Series(codes).drop_duplicates().index
    periods = read_months(list(cells), lambda at: f"{name} row {rows[at] + 1}").periods
    return periods.asi8.astype("int32")[codes]


def _said(row: pd.Series) -> pd.Period:
    return pd.Period(ordinal=int(row["month"]), freq="M")


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _in_order(names: pd.Series) -> pd.Series:
    """As categories that are texts, in alphabetic order."""
    kept = names if isinstance(names.dtype, pd.CategoricalDtype) else names.astype("category")
    texts = kept.cat.rename_categories([str(one) for one in kept.cat.categories])
    return texts.cat.reorder_categories(sorted(texts.cat.categories))


def _rolling(y: pd.DataFrame, horizon: int, years: int, step: int) -> tuple[pd.Period, ...]:
    last = y.index[-1] - horizon
    return tuple(sorted(last - back for back in range(0, 12 * years, step)))


def _held_out(table: pd.DataFrame, horizon: int, remarks: tuple[str, ...]) -> Task:
    """The rows of split ``test`` held out, without a split the last months of each series.

    Series with different cutoffs share no clock: they are put in order so that all are cut together, so that they end
    in the calendar month in which most of them do.
    """
    known = table[table["y"].notna()]
    ends = known.groupby("unique_id", observed=True)["month"].max()
    cuts = _cuts(table, horizon) if "split" in table else ends - horizon
    dated = cuts.nunique() == 1
    usual, year = ((cuts + horizon) % SEASON).mode()[0], ((cuts + horizon) // SEASON).mode()[0]
    cutoff = int(cuts.iloc[0] if dated else SEASON * year + usual - horizon)
    if not dated:
        known = known.assign(month=(cutoff + _after(known, cuts)).astype("int32"))
        last = pd.Period(ordinal=cutoff + horizon, freq="M")
        remarks = (*remarks, f"Series end in {cuts.nunique()} different months: put on one clock that ends in {last}")
    y = _wide(known)
    at = pd.Period(ordinal=cutoff, freq="M")
    return Task(y.reindex(pd.period_range(y.index[0], max(y.index[-1], at + horizon))), (at,), horizon, dated, remarks)


def _after(known: pd.DataFrame, cuts: pd.Series) -> pd.Series:
    """Months of each row (T) after its series' cutoff; by order ``t`` where there is one."""
    cut = known["unique_id"].map(cuts).astype("int64")
    if "t" not in known:
        return known["month"] - cut
    order = pd.to_numeric(known["t"], errors="coerce")
    if (order.isna() | (order % 1 != 0)).any():
        raise DataError("Column t is the order of a series' months, in whole numbers: correct it or leave it out.")
    before = order.where(known["month"] <= cut).groupby(known["unique_id"], observed=True).transform("max")
    return order - before.fillna(order.groupby(known["unique_id"], observed=True).transform("min") - 1)


def _cuts(table: pd.DataFrame, horizon: int) -> pd.Series:
    """The month before the rows of split ``test`` of each series (n), which must be its last, ``horizon`` at most."""
    test = table["split"].eq("test").to_numpy()
    months = {name: table[rows].groupby("unique_id", observed=False)["month"] for name, rows in
              (("test", test), ("other", ~test))}  # fmt: skip
    first, last = months["test"].min(), months["test"].max()
    counts = (last - first + 1).fillna(0).astype(int)
    wrong = counts[(counts > horizon) | (counts == 0) | (counts.max() < horizon)]
    if len(wrong):
        one, found = wrong.index[0], ", ".join(sorted(map(str, table["split"].dropna().unique())))
        raise DataError(
            f"{one} has {wrong.iloc[0]} months of split test, --horizon is {horizon}: make them agree (found {found})."
        )
    if (late := months["other"].max() >= first).any():
        raise DataError(f"{late.idxmax()} has months of another split after its first of split test: test comes last.")
    return (first - 1).astype("int64")


def _wide(table: pd.DataFrame) -> pd.DataFrame:
    """Months × series, every month there."""
    month, ids = table["month"].to_numpy(), table["unique_id"].cat
    y = np.full((len(ids.categories), int(np.ptp(month)) + 1), np.nan)
    y[ids.codes.to_numpy(), month - month.min()] = table["y"].to_numpy()
    months = pd.period_range(pd.Period(ordinal=int(month.min()), freq="M"), periods=y.shape[1], freq="M")
    whole = pd.DataFrame(y.T, index=months, columns=pd.Index(ids.categories, name="unique_id"), copy=False)
    return whole.loc[:, whole.notna().any()]


def naive2(y: np.ndarray, horizon: int) -> np.ndarray:
    """Naive on the seasonally adjusted series (h): the reference of OWA (Makridakis and others 2020, M4).

    Adjusted by multiplicative classical decomposition where lag 12 is significant at 90 %.
    """
    there = np.flatnonzero(~np.isnan(y))
    known = np.interp(np.arange(there[0], len(y)), there, y[there])
    factors = _seasonal_factors(known) if _is_seasonal(known) else np.ones(12)
    n = len(known)
    return known[-1] / factors[(n - 1) % 12] * factors[(n + np.arange(horizon)) % 12]


def _is_seasonal(y: np.ndarray) -> bool:
    if len(y) < 36 or y.std() == 0 or (y <= 0).any():
        return False
    d = y - y.mean()
    r = np.array([d[k:] @ d[: len(d) - k] for k in range(1, 13)]) / (d @ d)
    return bool(abs(r[11]) > 1.645 * np.sqrt((1 + 2 * (r[:11] ** 2).sum()) / len(y)))


def _seasonal_factors(y: np.ndarray) -> np.ndarray:
    weights = np.r_[0.5, np.ones(11), 0.5] / 12
    trend = np.convolve(y, weights, mode="valid")
    ratio = np.full(len(y), np.nan)
    ratio[6:-6] = y[6:-6] / trend
    factors = np.array([np.nanmean(ratio[month::12]) for month in range(12)])
    return factors / factors.mean()
