"""One model for all series: gradient boosted trees on declared features (Montero-Manso and Hyndman 2021)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor

from forecasting.calendar import working_days
from forecasting.errors import ModelError
from forecasting.features import Declared, Known, Rows, calendar_columns, design, known
from forecasting.forecast import Forecast
from forecasting.models.base import known_span
from forecasting.panel import Panel
from forecasting.seeds import stream
from forecasting.transform import Transform, choose_transform

FIRST_ORIGIN = 12  # months known before a row is learned from: a year
ENOUGH = 40  # error vectors below which a shorter length is drawn and chained
OWN = 12.0  # months of own errors that weigh as much as the errors of all series


@dataclass(frozen=True)
class Boosting:
    """Trees that correct level plus seasonal index, direct for each step; trained on the last ``max_months``.

    Target: (value − baseline) / typical monthly change, so that all series speak one language.
    Intervals: whole error vectors of a model that had seen the first ``early`` share of the months only.
    """

    lags: tuple[int, ...] = (1, 2, 3, 4, 6, 12, 13, 24)
    windows: tuple[int, ...] = (3, 6, 12)
    steps: int = 18
    n_trees: int = 100
    learning_rate: float = 0.06
    leaves: int = 31
    min_leaf: int = 40
    max_months: int = 240
    max_rows: int = 60_000
    early: float = 0.6
    country: str = "JP"

    name: ClassVar[str] = "boosting"
    min_months: ClassVar[int] = 24

    def fit(self, panel: Panel) -> FittedBoosting:
        y = panel.y[sorted(panel.series)].iloc[-self.max_months :]
        y = y.loc[y.notna().any(axis=1).idxmax() :]
        self._check(panel, y)
        transforms = {one: choose_transform(known_span(y[one]).to_numpy(dtype=float)) for one in y}
        z = np.column_stack([transforms[one].forward(y[one].to_numpy(dtype=float)) for one in y])
        what = known(z, y.index[0].month - 1, Declared(self.lags, self.windows))
        covariates = panel.x.reindex(y.index)
        rows = _rows(z, self.steps)
        cut = int(np.quantile(rows.target, self.early))
        early = self._learn(what, covariates, self._thin(rows.take(rows.target <= cut), self.max_rows // 2))
        errors = _errors(what, early, covariates, cut, self.steps, self.country)
        trees = self._learn(what, covariates, self._thin(rows, self.max_rows))
        used = min(len(rows.step), self.max_rows)
        return FittedBoosting(self, panel, y, transforms, what, trees, errors, used)

    def _check(self, panel: Panel, y: pd.DataFrame) -> None:
        for series in y:
            months = int(y[series].notna().sum())
            if months < self.min_months:
                raise ModelError(
                    f"{self.name} needs {self.min_months} months of {series}; {months} are known: use a simpler model"
                    " (seasonal_naive needs 13, naive 3) or give more history."
                )
            span = known_span(y[series]).index
            if panel.x.reindex(span).isna().to_numpy().any():
                raise ModelError(
                    f"{self.name}: covariates do not cover {span[0]} to {span[-1]}, the months of {series}."
                )

    def _thin(self, rows: Rows, most: int) -> Rows:
        count = len(rows.step)
        if count <= most:
            return rows
        return rows.take(np.sort(stream(0, self.name, "rows").permutation(count)[:most]))

    def _learn(self, what: Known, covariates: pd.DataFrame, rows: Rows) -> HistGradientBoostingRegressor:
        aim = (what.z[rows.target, rows.series] - what.baseline(rows)) / what.scale[rows.origin, rows.series]
        trees = HistGradientBoostingRegressor(
            loss="absolute_error",
            max_iter=self.n_trees,
            learning_rate=self.learning_rate,
            max_leaf_nodes=self.leaves,
            min_samples_leaf=self.min_leaf,
            early_stopping=False,
            random_state=0,
        )
        return trees.fit(_matrix(what, rows, covariates, self.country)[1], aim)


@dataclass(frozen=True)
class Errors:
    """Out-of-sample error vectors (V × steps, NaN tail) in units of each series' spread (n), which is relative to scale."""

    vectors: np.ndarray
    spread: np.ndarray

    def draw(self, series: int, steps: int, paths: int, rng: np.random.Generator) -> np.ndarray:
        """Errors of one series (P × steps): whole vectors, chained end to start where none is long enough."""
        complete = (~np.isnan(self.vectors)).sum(axis=0)
        enough = np.flatnonzero(complete >= min(ENOUGH, complete[0]))
        length = min(steps, int(enough[-1]) + 1)
        whole = self.vectors[~np.isnan(self.vectors[:, :length]).any(axis=1), :length]
        drawn = np.empty((paths, 0))
        while drawn.shape[1] < steps:
            more = whole[rng.integers(0, len(whole), paths)]
            drawn = np.hstack([drawn, more + drawn[:, -1:] if drawn.shape[1] else more])
        return self.spread[series] * drawn[:, :steps]


@dataclass(frozen=True)
class FittedBoosting:
    """Trees, and what the origin of each series knows."""

    settings: Boosting
    panel: Panel
    y: pd.DataFrame
    transforms: Mapping[str, Transform]
    what: Known
    trees: HistGradientBoostingRegressor
    errors: Errors
    n_rows: int

    def predict(self, future: pd.DataFrame, paths: int, seed: int) -> Forecast:
        months: pd.PeriodIndex = future.index  # type: ignore[assignment]
        last = self.panel.last_known()
        self._check(future, last.min())
        centre = self._centre(future, last)
        cube = np.empty((paths, len(months), len(self.panel.series)))
        for at, series in enumerate(self.panel.series):
            given = self.panel.y[series].reindex(months[months <= last[series]]).to_numpy(dtype=float)
            column = self.y.columns.get_loc(series)
            scale = self.what.scale[self._origin(last[series]), column]
            rng = stream(seed, self.settings.name, series, last[series])
            shocks = self.errors.draw(column, len(months) - len(given), paths, rng)
            cube[:, : len(given), at] = given
            cube[:, len(given) :, at] = self.transforms[series].inverse(centre[series] + scale * shocks)
        cutoffs = tuple(last[series] for series in self.panel.series)
        notes = dict.fromkeys(self.panel.series, self._chosen())
        return Forecast(cube, months, self.panel.series, cutoffs, self.settings.name, notes=notes)

    def describe(self) -> pd.DataFrame:
        last = self.panel.last_known()
        rows: list[dict[str, Any]] = []
        for series in self.panel.series:
            column = self.y.columns.get_loc(series)
            typical = float(np.nanstd(self.errors.vectors[:, 0])) * self.errors.spread[column]
            sigma = typical * self.what.scale[self._origin(last[series]), column]
            months = int(self.y[series].notna().sum())
            label = self.transforms[series].label
            rows.append(
                {
                    "series": series,
                    "scale": label,
                    "chosen": self._chosen(),
                    "sigma": sigma,
                    "n_months": months,
                }
            )
        return pd.DataFrame(rows)

    def _origin(self, month: pd.Period) -> int:
        return int((month - self.y.index[0]).n)

    def _chosen(self) -> str:
        lags = ", ".join(map(str, self.settings.lags))
        series = len(self.panel.series)
        return f"{self.settings.n_trees} trees on lags {lags}; {self.n_rows:,} rows of {series} series"

    def _check(self, future: pd.DataFrame, first: pd.Period) -> None:
        if future.loc[future.index > first].isna().to_numpy().any():
            raise ModelError(
                f"{self.settings.name}: covariates are not known to {future.index[-1]}: extend them or shorten the horizon."
            )

    def _centre(self, future: pd.DataFrame, last: pd.Series) -> dict[str, np.ndarray]:
        """Forecast of each series on its own scale, from its last known month on."""
        end = self._origin(future.index[-1])
        origins = np.array([self._origin(last[one]) for one in self.y.columns])
        steps = end - origins
        series = np.repeat(np.arange(len(origins)), steps)
        step = np.concatenate([np.arange(1, count + 1) for count in steps])
        rows = Rows(origins[series], series, step)
        x = future.combine_first(self.panel.x.reindex(self.y.index.union(future.index)))[future.columns]
        return dict(zip(self.y.columns, np.split(self._say(rows, x), np.cumsum(steps)[:-1]), strict=True))

    def _say(self, rows: Rows, x: pd.DataFrame) -> np.ndarray:
        return _say(self.what, self.trees, rows, x, self.settings.country, self.settings.steps)


def _say(
    what: Known, trees: HistGradientBoostingRegressor, rows: Rows, x: pd.DataFrame, country: str, steps: int
) -> np.ndarray:
    """Baseline plus what the trees add (N); beyond the steps learned they see the last one."""
    names, matrix = _matrix(what, rows, x, country)
    at = names.index("step")
    matrix[:, at] = np.minimum(matrix[:, at], steps)
    return what.baseline(rows) + what.scale[rows.origin, rows.series] * trees.predict(matrix)


def _rows(z: np.ndarray, steps: int) -> Rows:
    """Every (origin, series, step) with a year known before and both ends published, ordered by series and month."""
    ready = ~np.isnan(z) & (np.cumsum(~np.isnan(z), axis=0) >= FIRST_ORIGIN)
    ends = np.stack([np.vstack([~np.isnan(z[step:]), np.zeros((min(step, len(z)), z.shape[1]), bool)])
                     for step in range(1, steps + 1)])  # fmt: skip
    series, origin, step = np.nonzero((ready & ends).transpose(2, 1, 0))
    return Rows(origin, series, step + 1)


def _matrix(what: Known, rows: Rows, x: pd.DataFrame, country: str) -> tuple[list[str], np.ndarray]:
    """Names and columns (N × features); x holds the covariates (T' × k) of every month up to the last target."""
    months: pd.PeriodIndex = x.index  # type: ignore[assignment]
    columns = design(what, rows)
    columns |= calendar_columns("working days", working_days(months, country).to_numpy(), rows)
    for name in x:
        columns |= calendar_columns(str(name), x[name].to_numpy(dtype=float), rows)
    return list(columns), np.column_stack(list(columns.values()))


def _errors(
    what: Known, trees: HistGradientBoostingRegressor, x: pd.DataFrame, cut: int, steps: int, country: str
) -> Errors:
    """Errors of the early trees from every origin they have not seen, centred, by the spread of each series."""
    rows = _rows(what.z, steps)
    rows = rows.take(rows.origin >= cut)
    miss = what.z[rows.target, rows.series] - _say(what, trees, rows, x, country, steps)
    n = what.z.shape[1]
    table = np.full((n, len(what.z), steps), np.nan)
    table[rows.series, rows.origin, rows.step - 1] = miss / what.scale[rows.origin, rows.series]
    flat = table.reshape(-1, steps)
    usual = np.nanmean(np.abs(flat), axis=0)
    centred = table - np.nanmedian(flat, axis=0)
    relative = np.abs(centred) / usual
    count = (~np.isnan(centred[:, :, 0])).sum(axis=1)
    own = np.nansum(relative, axis=(1, 2)) / np.maximum((~np.isnan(relative)).sum(axis=(1, 2)), 1)
    spread = (count * own + OWN) / (count + OWN)
    vectors = (centred / spread[:, None, None]).reshape(-1, steps)
    return Errors(vectors[~np.isnan(vectors[:, 0])], spread)
