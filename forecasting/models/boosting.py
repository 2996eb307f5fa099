"""One model for all series: gradient boosted trees on declared features (Montero-Manso and Hyndman 2021)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from forecasting.calendar import working_days
from forecasting.errors import ModelError
from forecasting.features import LEVEL, YEAR, Declared, Known, Rows, calendar_columns, design, known
from forecasting.forecast import Forecast
from forecasting.models.base import known_cells, known_span
from forecasting.models.choosing import half_year
from forecasting.panel import Panel
from forecasting.seeds import stream
from forecasting.transform import Transform, choose_transform

FIRST_ORIGIN = 12  # months known before a row is learned from: a year
ENOUGH = 40  # error vectors below which a shorter length is drawn and chained
# threads that wait for a busy core take minutes for what one does in a second; workers are processes
ONE_THREAD = partial(threadpool_limits, 1, "openmp")
SAMPLE = 1_000  # rows on which features are ranked
HALF_YEAR = 6
OFTEN = 0.1  # share of zero months from which a series counts as sparse
MOST = 10.0  # usual errors that a drawn one may reach
OWN = 12.0  # months of own errors that weigh as much as the errors of all series


@dataclass(frozen=True)
class Boosting:
    """Trees that correct level plus seasonal index, trained on the last ``max_months``.

    Target: (value − baseline) / typical monthly change, so that all series speak one language.
    The trees see the data up to the last June or December, so that a rolling backtest learns twice a year; what
    they are asked of is always current.
    Forecast: mean of direct trees (every step at once) and of one-step trees fed with their own forecasts:
    better than either on M3 and on customs data, because recursion alone prolongs a slump.
    Intervals: whole error vectors of direct trees that had seen the first ``early`` share of the months only.
    """

    lags: tuple[int, ...] = (1, 2, 3, 4, 6, 12, 13, 24)
    windows: tuple[int, ...] = (3, 6, 12)
    steps: int = 18
    n_trees: int = 100
    learning_rate: float = 0.06
    leaves: int = 31
    min_leaf: int = 40
    max_months: int = 240
    max_rows: int = 30_000
    early: float = 0.6
    country: str = "JP"

    name: ClassVar[str] = "boosting"
    min_months: ClassVar[int] = 24
    learns_across_series: ClassVar[bool] = True
    anchor: ClassVar[str] = LEVEL

    def declared(self) -> Declared:
        return Declared(self.lags, self.windows, anchor=self.anchor)

    def fit(self, panel: Panel) -> FittedBoosting:
        whole = panel.y[sorted(panel.series)]
        y = self._recent(whole)
        self._check(panel, y)
        transforms = _transforms(y)
        what = self.known(y, transforms)
        # Begins after y does, whatever the month: what is older than ``max_months`` decides nothing.
        settled = self._long_enough(
            self._recent(whole.iloc[: half_year(panel.months)]).iloc[HALF_YEAR - self.max_months :]
        )
        learned_from = self._long_enough(y) if settled.empty else settled
        learned = _learned(self, *_frozen(learned_from, panel.x.reindex(learned_from.index)))
        return FittedBoosting(self, panel, y, transforms, what, learned)

    def _recent(self, y: pd.DataFrame) -> pd.DataFrame:
        """The last ``max_months``, from the first known one on."""
        known = y.notna().any(axis=1)
        return y.loc[known.idxmax() :].iloc[-self.max_months :] if known.any() else y.iloc[:0]

    def _long_enough(self, y: pd.DataFrame) -> pd.DataFrame:
        """Series with ``min_months``: the others are forecast, but teach nothing yet."""
        return y.loc[:, y.notna().sum() >= self.min_months]

    def known(self, y: pd.DataFrame, transforms: Mapping[str, Transform]) -> Known:
        """What every origin of these months × series knows."""
        z = np.column_stack([transforms[one].forward(y[one].to_numpy(dtype=float)) for one in transforms])
        return known(z, y.index[0].month - 1, self.declared())

    def _check(self, panel: Panel, y: pd.DataFrame) -> None:
        for series in y:
            months = int(y[series].notna().sum())
            if months < self.min_months:
                raise ModelError(
                    f"{self.name} needs {self.min_months} months of {series}; {months} are known: use a"
                    " simpler model (seasonal_naive needs 13, naive 3) or give more history."
                )
            span = known_span(y[series]).index
            if panel.x.reindex(span).isna().to_numpy().any():
                raise ModelError(
                    f"{self.name}: covariates do not cover {span[0]} to {span[-1]}, the months of {series}."
                )

    def thin(self, rows: Rows, most: int) -> Rows:
        """At most so many of the rows, always the same."""
        count = len(rows.step)
        if count <= most:
            return rows
        return rows.take(np.sort(stream(0, self.name, "rows").permutation(count)[:most]))

    def learn(self, what: Known, covariates: pd.DataFrame, rows: Rows) -> HistGradientBoostingRegressor:
        trees = HistGradientBoostingRegressor(
            loss="absolute_error",
            max_iter=self.n_trees,
            learning_rate=self.learning_rate,
            max_leaf_nodes=self.leaves,
            min_samples_leaf=self.min_leaf,
            early_stopping=False,
            random_state=0,
        )
        matrix = _matrix(what, rows, covariates, self.country)[1]
        matrix[:, np.isnan(matrix).all(axis=0)] = 0.0  # scikit-learn 1.9 cannot bin a column without a value
        with ONE_THREAD():
            return trees.fit(matrix, _aim(what, rows))


@dataclass(frozen=True)
class YearlyBoosting(Boosting):
    """Trees that correct the same month a year ago plus drift.

    They miss otherwise than those on level plus season, which is what a pool lives on.
    """

    name: ClassVar[str] = "boosting_yearly"
    anchor: ClassVar[str] = YEAR


@dataclass(frozen=True)
class Errors:
    """Out-of-sample error vectors (V × steps, NaN tail), by the spread of their series (n, in scales).

    ``sparse`` (V) marks those of series that are often zero: their errors, thousands of typical changes, are no
    measure for a series that never is.
    """

    vectors: np.ndarray
    spread: np.ndarray
    sparse: np.ndarray

    def whole(self, steps: int, sparse: bool) -> np.ndarray:
        """The vectors that reach so many steps (v × steps), or fewer steps where hardly any does."""
        alike = self.sparse == sparse
        vectors = self.vectors[alike] if alike.sum() >= ENOUGH else self.vectors
        known = (~np.isnan(vectors)).sum(axis=0)
        enough = np.flatnonzero(known >= min(ENOUGH, known[0]))
        length = min(steps, int(enough[-1]) + 1)
        return vectors[~np.isnan(vectors[:, :length]).any(axis=1), :length]


def _often_zero(y: pd.DataFrame) -> np.ndarray:
    """Which series (n) are zero in more than a tenth of their known months."""
    return np.asarray((y == 0).sum() > OFTEN * y.notna().sum())


def _draw(whole: np.ndarray, steps: int, paths: int, rng: np.random.Generator) -> np.ndarray:
    """Whole error vectors (P × steps), chained end to start where they are too short."""
    drawn = whole[rng.integers(0, len(whole), paths)]
    while drawn.shape[1] < steps:
        drawn = np.hstack([drawn, drawn[:, -1:] + whole[rng.integers(0, len(whole), paths)]])
    return drawn[:, :steps]


@dataclass(frozen=True)
class Learned:
    """Trees and their errors on months that they had not seen; ``spread`` by series, 1 for one they never saw."""

    trees: HistGradientBoostingRegressor
    next_trees: HistGradientBoostingRegressor
    errors: Errors
    spread: Mapping[str, float]
    n_rows: int
    series: int


def _transforms(y: pd.DataFrame) -> dict[str, Transform]:
    return {str(one): choose_transform(known_span(y[one]).to_numpy(dtype=float)) for one in y}


def _frozen(y: pd.DataFrame, x: pd.DataFrame) -> tuple[Any, ...]:
    """Values that say all of a panel and can be looked up."""
    values = (np.ascontiguousarray(one.to_numpy(dtype=float)).tobytes() for one in (y, x))
    return *values, tuple(map(str, y.columns)), tuple(map(str, x.columns)), y.index[0].ordinal, len(y)


@lru_cache(maxsize=16)
def _learned(
    settings: Boosting,
    values: bytes,
    covariates: bytes,
    series: tuple[str, ...],
    names: tuple[str, ...],
    first: int,
    months: int,
) -> Learned:
    """Trees from the data up to the last June or December, remembered: a rolling backtest learns twice a year."""
    index = pd.period_range(pd.Period(ordinal=first, freq="M"), periods=months, freq="M")
    y = pd.DataFrame(np.frombuffer(values).reshape(months, -1), index, list(series))
    x = pd.DataFrame(np.frombuffer(covariates).reshape(months, len(names)), index, list(names))
    what = settings.known(y, _transforms(y))
    rows = _rows(what.z, settings.steps)
    cut = int(np.quantile(rows.target, settings.early))
    early = settings.learn(what, x, settings.thin(rows.take(rows.target <= cut), settings.max_rows // 2))
    errors = _errors(what, early, x, cut, settings, _often_zero(y))
    trees = settings.learn(what, x, settings.thin(rows, settings.max_rows))
    next_trees = settings.learn(what, x, settings.thin(rows.take(rows.step == 1), settings.max_rows))
    spread = dict(zip(series, errors.spread, strict=True))
    return Learned(trees, next_trees, errors, spread, min(len(rows.step), settings.max_rows), len(series))


@dataclass(frozen=True)
class FittedBoosting:
    """What was learned, and what the origin of each series knows."""

    settings: Boosting
    panel: Panel
    y: pd.DataFrame
    transforms: Mapping[str, Transform]
    what: Known
    learned: Learned

    def predict(self, future: pd.DataFrame, paths: int, seed: int) -> Forecast:
        months: pd.PeriodIndex = future.index  # type: ignore[assignment]
        last = self.panel.last_known()
        self._check(future, last.min())
        centre = self._centre(future, last)
        sparse = dict(zip(map(str, self.y.columns), _often_zero(self.y), strict=True))
        whole = {kind: self.learned.errors.whole(len(months), kind) for kind in set(sparse.values())}
        cube = np.empty((paths, len(months), len(self.panel.series)))
        for at, series in enumerate(self.panel.series):
            given = known_cells(self.panel.y[series], months, self.transforms[series])
            column = self._column(series)
            scale = self.what.scale[self._origin(last[series]), column]
            rng = stream(seed, self.settings.name, series, last[series])
            steps = len(months) - len(given)
            shocks = (
                scale
                * self.learned.spread.get(series, 1.0)
                * _draw(whole[sparse[series]][:, :steps], steps, paths, rng)
            )
            cube[:, : len(given), at] = given
            cube[:, len(given) :, at] = self.transforms[series].inverse(centre[series] + shocks)
        cutoffs = tuple(last[series] for series in self.panel.series)
        notes = dict.fromkeys(self.panel.series, self._chosen())
        return Forecast(cube, months, self.panel.series, cutoffs, self.settings.name, notes=notes)

    def describe(self) -> pd.DataFrame:
        last = self.panel.last_known()
        typical = float(np.nanstd(self.learned.errors.vectors[:, 0]))
        leans_on = ", ".join(self._leading())
        rows: list[dict[str, Any]] = []
        for series in self.panel.series:
            at = self._column(series)
            sigma = typical * self.learned.spread.get(series, 1.0) * self.what.scale[self._origin(last[series]), at]
            known_months = int(self.y[series].notna().sum())
            row = {"series": series, "scale": self.transforms[series].label, "chosen": self._chosen()}
            rows.append({**row, "sigma": sigma, "n_months": known_months, "leans_on": leans_on})
        return pd.DataFrame(rows)

    def _leading(self, most: int = 5) -> list[str]:
        """The columns whose shuffling costs most accuracy, on a sample of the rows learned from."""
        rng = stream(0, self.settings.name, "shuffle")
        rows = self.settings.thin(_rows(self.what.z, self.settings.steps), SAMPLE)
        covariates = self.panel.x.reindex(self.y.index)
        names, matrix = _matrix(self.what, rows, covariates, self.settings.country)
        aim = _aim(self.what, rows)
        cost = {}
        for at, name in enumerate(names):
            shuffled = matrix.copy()
            shuffled[:, at] = rng.permutation(matrix[:, at])
            with ONE_THREAD():
                cost[name] = np.abs(aim - self.learned.trees.predict(shuffled)).mean()
        return sorted(cost, key=lambda name: -cost[name])[:most]

    def _origin(self, month: pd.Period) -> int:
        return int((month - self.y.index[0]).n)

    def _column(self, series: str) -> int:
        return int(self.y.columns.get_loc(series))  # type: ignore[arg-type]

    def _chosen(self) -> str:
        lags = ", ".join(map(str, self.settings.lags))
        learned = f"{self.learned.n_rows:,} rows of {self.learned.series} series"
        return f"{self.settings.n_trees} trees, direct and recursive, on lags {lags}; {learned}"

    def _check(self, future: pd.DataFrame, first: pd.Period) -> None:
        if future.loc[future.index > first].isna().to_numpy().any():
            raise ModelError(
                f"{self.settings.name}: covariates are not known to {future.index[-1]}:"
                " extend them or shorten the horizon."
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
        direct = _say(self.what, self.learned.trees, rows, x, self.settings)
        recursive = self._recursive(origins, end, x)[rows.target, rows.series]
        said = np.split((direct + recursive) / 2, np.cumsum(steps)[:-1])
        return dict(zip(map(str, self.y.columns), said, strict=True))

    def _recursive(self, origins: np.ndarray, end: int, x: pd.DataFrame) -> np.ndarray:
        """Values (T + h × n), month after month, each forecast taken for known by the next."""
        z = np.vstack([self.what.z, np.full((end + 1 - len(self.what.z), len(origins)), np.nan)])
        declared = self.settings.declared()
        for at in range(int(origins.min()) + 1, end + 1):
            series = np.flatnonzero(origins < at)
            rows = Rows(np.full(len(series), at - 1), series, np.ones(len(series), dtype=int))
            what = known(z[:at], self.what.month, declared)
            z[at, series] = _say(what, self.learned.next_trees, rows, x, self.settings)
        return z


def _say(
    what: Known, trees: HistGradientBoostingRegressor, rows: Rows, x: pd.DataFrame, settings: Boosting
) -> np.ndarray:
    """Baseline plus what the trees add (N); beyond the steps learned they see the last one."""
    names, matrix = _matrix(what, rows, x, settings.country)
    at = names.index("step")
    matrix[:, at] = np.minimum(matrix[:, at], settings.steps)
    with ONE_THREAD():
        added = trees.predict(matrix)
    return what.baseline(rows) + what.scale[rows.origin, rows.series] * added


def _aim(what: Known, rows: Rows) -> np.ndarray:
    """What the trees learn to say: value less baseline, in typical monthly changes (N)."""
    return (what.z[rows.target, rows.series] - what.baseline(rows)) / what.scale[rows.origin, rows.series]


def _rows(z: np.ndarray, steps: int) -> Rows:
    """Every (origin, series, step) with a year known and both ends published, by series and month."""
    ready = ~np.isnan(z) & (np.cumsum(~np.isnan(z), axis=0) >= FIRST_ORIGIN)
    ends = np.stack([np.vstack([~np.isnan(z[step:]), np.zeros((min(step, len(z)), z.shape[1]), bool)])
                     for step in range(1, steps + 1)])  # fmt: skip
    series, origin, step = np.nonzero((ready & ends).transpose(2, 1, 0))
    return Rows(origin, series, step + 1)


def _matrix(what: Known, rows: Rows, x: pd.DataFrame, country: str) -> tuple[list[str], np.ndarray]:
    """Names and columns (N × features); x: covariates (T' × k) of every month up to the last target."""
    months: pd.PeriodIndex = x.index  # type: ignore[assignment]
    columns = design(what, rows)
    columns |= calendar_columns("working days", working_days(months, country).to_numpy(), rows)
    for name in x:
        columns |= calendar_columns(str(name), x[name].to_numpy(dtype=float), rows)
    return list(columns), np.column_stack(list(columns.values()))


def _errors(
    what: Known, trees: HistGradientBoostingRegressor, x: pd.DataFrame, cut: int, settings: Boosting, sparse: np.ndarray
) -> Errors:
    """Errors of the early trees from origins they have not seen, centred, by the spread of each series."""
    rows = _rows(what.z, settings.steps)
    rows = rows.take(rows.origin >= cut)
    every = -(-len(rows.step) // (settings.max_rows * 2))
    rows = rows.take((rows.origin + rows.series) % every == 0)
    miss = what.z[rows.target, rows.series] - _say(what, trees, rows, x, settings)
    table = np.full((what.z.shape[1], len(what.z), settings.steps), np.nan)
    table[rows.series, rows.origin, rows.step - 1] = miss / what.scale[rows.origin, rows.series]
    table = table[:, :, ~np.isnan(table).all(axis=(0, 1))]
    centred = table - np.nanmedian(table, axis=(0, 1))
    relative = np.abs(centred) / np.maximum(np.nanmean(np.abs(centred), axis=(0, 1)), 1e-12)
    spread = _spread(relative, every)
    vectors = (centred / spread[:, None, None]).reshape(-1, centred.shape[-1])
    usual = np.nanmean(np.abs(vectors[~np.repeat(sparse, centred.shape[1])]), axis=0) if not sparse.all() else np.inf
    marks = np.repeat(sparse, centred.shape[1])
    # One broken month of one series may not become everybody's: ten times the usual error is the most.
    vectors[~marks] = np.clip(vectors[~marks], -MOST * usual, MOST * usual)
    known = ~np.isnan(vectors[:, 0])
    return Errors(vectors[known], spread, marks[known])


def _spread(relative: np.ndarray, every: int) -> np.ndarray:
    """Mean error of each series against all (n), drawn towards one while few months (n × T × steps) speak."""
    count = every * (~np.isnan(relative[:, :, 0])).sum(axis=1)
    own = np.nansum(relative, axis=(1, 2)) / np.maximum((~np.isnan(relative)).sum(axis=(1, 2)), 1)
    return (count * own + OWN) / (count + OWN)
