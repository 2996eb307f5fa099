"""Any file of monthly series as a panel with the cutoffs that forecasts are made from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from forecasting.errors import DataError
from forecasting.panel import Panel

COLUMNS = ("unique_id", "ds", "y")
LEAST_MONTHS = 25  # what a model of two seasons and its scale need


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
        """Series with history enough, known at the cutoff and in every month that is scored."""
        ahead = self.y.loc[cutoff : cutoff + self.horizon]
        long = self.y.loc[:cutoff].notna().sum() >= LEAST_MONTHS
        whole = ahead.notna().all() if len(ahead) == self.horizon + 1 else long & False
        return tuple(self.y.columns[long & whole])

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
        y = _wide(table)
        cutoffs = tuple(pd.Period(one, "M") for one in origins) or _rolling(y, horizon, years or 0, step)
        task = Task(y, cutoffs, horizon, True, remarks)
    else:
        task = _held_out(table, horizon, remarks)
    if not any(task.wanted(cutoff) for cutoff in task.cutoffs):
        raise DataError(
            f"{path.name}: no series has {LEAST_MONTHS} months before and {horizon} after any of the cutoffs"
            f" {', '.join(map(str, task.cutoffs[:3]))}: shorten --horizon or move the origins."
        )
    return task


def _table(path: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    if not path.exists():
        raise DataError(f"There is no data set at {path}: give a parquet file with columns unique_id, ds, y[, split].")
    there = pq.read_schema(path)
    if absent := [one for one in COLUMNS if one not in there.names]:
        raise DataError(f"{path.name} has no column {', '.join(absent)}; found {', '.join(there.names)}.")
    columns = [one for one in (*COLUMNS, "t", "split") if one in there.names]
    # Names once each, not once a month: of 48,000 series they would need more memory than all models.
    names = [one for one in ("unique_id", "split") if one in columns and _is_text(there.field(one).type)]
    table = pq.read_table(path, columns=columns, read_dictionary=names).to_pandas(ignore_metadata=True)
    values = pd.to_numeric(table["y"], errors="coerce")
    month = pd.to_datetime(table["ds"]).to_numpy().astype("datetime64[M]").astype("int32")
    table = table.drop(columns="ds").assign(y=values, month=month, unique_id=_in_order(table["unique_id"]))
    key = table["unique_id"].cat.codes.to_numpy(dtype="int64") * (int(np.ptp(month)) + 1) + (month - month.min())
    if (np.diff(np.sort(key)) == 0).any():
        row = table[pd.Series(key, table.index).duplicated()].iloc[0]
        at = pd.Period(ordinal=int(row["month"]), freq="M")
        raise DataError(f"{path.name} has two values of {row['unique_id']} for {at}: keep one.")
    empty = int(values.isna().sum())
    return table.dropna(subset=["y"]), ((f"{empty} cells hold no number and count as missing",) if empty else ())


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
    """The last months of each series held out.

    Series whose histories end in different months share no clock: they are put in order so that all end together, in
    the calendar month in which most of them do.
    """
    ends = table.groupby("unique_id", observed=True)["month"].max()
    if "split" in table:
        tested = table["split"].eq("test").groupby(table["unique_id"], observed=True).sum()
        if not tested.eq(horizon).all():
            one = tested[tested.ne(horizon)].index[0]
            raise DataError(f"{one} has {tested[one]} months of split test, --horizon is {horizon}: make them agree.")
    dated = ends.nunique() == 1
    if not dated:
        usual, year = (ends % 12).mode()[0], (ends // 12).mode()[0]
        last = pd.Period(ordinal=int(12 * year + usual), freq="M")
        place = table["t"] if "t" in table else table["month"]
        before = place.groupby(table["unique_id"], observed=True).transform("max") - place
        table = table.assign(month=(last.ordinal - before).astype("int32"))
        remarks = (*remarks, f"Series end in {ends.nunique()} different months: put on one clock that ends in {last}")
    y = _wide(table)
    return Task(y, (y.index[-1] - horizon,), horizon, dated, remarks)


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
    known = y[~np.isnan(y)]
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
