"""One model for all series: gradient boosted trees on declared features (Montero-Manso and Hyndman 2021)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from forecasting.calendar import working_days
from forecasting.errors import ModelError
from forecasting.features import LEVEL, Declared, Known, Rows, Running, calendar_columns, design, known, newest
from forecasting.forecast import Forecast
from forecasting.models.base import known_cells, known_span, refuse_ended
from forecasting.models.choosing import half_year
from forecasting.panel import Panel
from forecasting.seeds import stream
from forecasting.transform import Transform, choose_transform

FIRST_ORIGIN = 12  # months known before a row is learned from: a year
ENOUGH = 40  # error vectors below which a shorter length is drawn and chained
SAMPLE = 1_000  # rows on which features are ranked
HALF_YEAR = 6
OFTEN = 0.1  # share of zero months from which a series counts as sparse
MOST = 10.0  # usual errors that a drawn one may reach
OWN = 12.0  # months of own errors that weigh as much as the errors of all series
CHUNK = 200  # series that are looked at together: what bounds the memory of a forecast


ByMonth = Mapping[str, np.ndarray]
"""What is known of all months (T' each) by name: working days and covariates."""


@dataclass(frozen=True)
class Boosting:
    """Trees that correct level plus seasonal index, trained on the last ``max_months``.

    Target: (value − baseline) / typical monthly change, so that all series speak one language.
    The trees see the data up to the last June or December, so that a rolling backtest learns twice a year; what
    they are asked of is always current.
    Forecast: mean of direct trees (every step at once) and of one-step trees fed with their own forecasts:
    better than either on M3 and on customs data, because recursion alone prolongs a slump.
    Intervals: whole error vectors of direct trees that had seen the first ``early`` share of the months only.
    Of a panel with more than ``max_series`` series the trees see a sample, drawn by the hash of their ids.
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
    max_series: int = 1_500
    early: float = 0.6
    country: str = "JP"

    name: ClassVar[str] = "boosting"
    min_months: ClassVar[int] = 24
    learns_across_series: ClassVar[bool] = True
    anchor: ClassVar[str] = LEVEL

    def declared(self) -> Declared:
        return Declared(self.lags, self.windows, anchor=self.anchor)

    def fit(self, panel: Panel) -> FittedBoosting:
        self._check(panel)
        return FittedBoosting(self, panel, self._learn(self.sample(panel)))

    def sample(self, panel: Panel) -> Panel:
        """The series that are learned from, at most ``max_series``; a panel with fewer as it is.

        Of every kind of series (often zero or not, by five years of history) its share, at least one; which ones
        depends on their ids and on nothing else.
        """
        if len(panel.y.columns) <= self.max_series:
            return panel
        y = panel.y.iloc[: half_year(panel.months)].iloc[HALF_YEAR - self.max_months :]
        months = y.notna().sum().to_numpy()
        kinds = pd.DataFrame({"short": months < self.min_months, "sparse": often_zero(y), "years": months // 60})
        kinds["digest"] = [hashlib.sha256(one.encode()).hexdigest() for one in panel.series]
        by_kind = kinds.sort_values("digest").groupby(["short", "sparse", "years"])["digest"]
        kinds["share"] = by_kind.cumcount() / by_kind.transform("size")
        chosen = kinds.sort_values(["short", "share", "digest"]).index[: self.max_series]
        return replace(panel, y=panel.y.iloc[:, np.sort(chosen)])

    def _learn(self, panel: Panel) -> Learned:
        whole = panel.y[sorted(panel.series)]
        # Begins after y does, whatever the month: what is older than ``max_months`` decides nothing.
        settled = self._long_enough(
            self.recent(whole.iloc[: half_year(panel.months)]).iloc[HALF_YEAR - self.max_months :]
        )
        learned_from = self._long_enough(self.recent(whole)) if settled.empty else settled
        return _learned(self, *_frozen(learned_from, panel.x.reindex(learned_from.index)))

    def recent(self, y: pd.DataFrame) -> pd.DataFrame:
        """The last ``max_months``, from the first known one on."""
        known = y.notna().any(axis=1)
        return y.loc[known.idxmax() :].iloc[-self.max_months :] if known.any() else y.iloc[:0]

    def _long_enough(self, y: pd.DataFrame) -> pd.DataFrame:
        """Series with ``min_months``: the others are forecast, but teach nothing yet."""
        return y.loc[:, y.notna().sum() >= self.min_months]

    def known(self, y: pd.DataFrame, transforms: Sequence[Transform]) -> Known:
        """What every origin of these months × series knows."""
        values = y.to_numpy(dtype=float)
        z = [one.forward(np.ascontiguousarray(values[:, at])) for at, one in enumerate(transforms)]
        return known(np.column_stack(z), y.index[0].month - 1, self.declared())

    def _check(self, panel: Panel) -> None:
        y = self.recent(panel.y)
        known_months = y.notna().to_numpy()
        bad = panel.x.reindex(y.index).isna().to_numpy().any(axis=1)
        refuse_ended(self.name, panel)
        for at in np.flatnonzero(known_months.sum(axis=0) < self.min_months).tolist():
            count = known_months[:, at].sum()
            raise ModelError(
                f"{self.name} needs {self.min_months} months of {panel.series[at]}; {count} are known since"
                f" {y.index[0]}: use a simpler model (seasonal_naive needs 13, naive 3) or give more history."
            )
        for at in np.flatnonzero(_spans(known_months)[bad].any(axis=0)).tolist():
            span = known_span(y.iloc[:, at]).index
            raise ModelError(
                f"{self.name}: covariates do not cover {span[0]} to {span[-1]}, the months of {panel.series[at]}."
            )

    def pick(self, ready: np.ndarray, most: int) -> Rows:
        """At most so many of the rows that are ready (n × T × steps), always the same."""
        places = np.flatnonzero(ready)
        if len(places) > most:
            places = places[np.sort(stream(0, self.name, "rows").permutation(len(places))[:most])]
        return _rows(places, ready.shape)

    def learn(self, what: Known, by_month: ByMonth, rows: Rows) -> HistGradientBoostingRegressor:
        trees = HistGradientBoostingRegressor(
            loss="absolute_error",
            max_iter=self.n_trees,
            learning_rate=self.learning_rate,
            max_leaf_nodes=self.leaves,
            min_samples_leaf=self.min_leaf,
            early_stopping=False,
            random_state=0,
        )
        matrix = _matrix(what, rows, by_month)[1]
        matrix[:, np.isnan(matrix).all(axis=0)] = 0.0  # scikit-learn 1.9 cannot bin a column without a value
        with one_thread():
            return trees.fit(matrix, _aim(what, rows))


@dataclass(frozen=True)
class Errors:
    """Out-of-sample error vectors (V × steps, NaN tail, in scales), by the spread of their series.

    ``sparse`` (V) marks those of series that are often zero: their errors, thousands of typical changes, are no
    measure for a series that never is.
    """

    vectors: np.ndarray
    sparse: np.ndarray

    def whole(self, steps: int, sparse: bool) -> np.ndarray:
        """The vectors that reach so many steps (v × steps), or fewer steps where hardly any does."""
        alike = self.sparse == sparse
        vectors = self.vectors[alike] if alike.sum() >= ENOUGH else self.vectors
        known = (~np.isnan(vectors)).sum(axis=0)
        enough = np.flatnonzero(known >= min(ENOUGH, known[0]))
        length = min(steps, int(enough[-1]) + 1)
        return vectors[~np.isnan(vectors[:, :length]).any(axis=1), :length]


def often_zero(y: pd.DataFrame) -> np.ndarray:
    """Which series (n) are zero in more than a tenth of their known months."""
    return np.asarray((y == 0).sum() > OFTEN * y.notna().sum())


def _draw(whole: np.ndarray, steps: int, paths: int, rng: np.random.Generator) -> np.ndarray:
    """Whole error vectors (P × steps), chained end to start where they are too short."""
    drawn = whole[rng.integers(0, len(whole), paths)]
    while drawn.shape[1] < steps:
        drawn = np.hstack([drawn, drawn[:, -1:] + whole[rng.integers(0, len(whole), paths)]])
    return drawn[:, :steps]


@dataclass(frozen=True)
class Early:
    """Trees of the first months, and how they are tested on every so many-th origin from ``first`` to ``last``.

    ``centre`` and ``usual`` (steps, in scales) are their median and mean absolute error; NaN for steps that were
    never seen.
    """

    trees: HistGradientBoostingRegressor
    first: pd.Period
    last: pd.Period
    every: int
    centre: np.ndarray
    usual: np.ndarray


@dataclass(frozen=True)
class Learned:
    """Trees and their errors on months that they had not seen; ``spread`` by series that was learned from."""

    trees: HistGradientBoostingRegressor
    next_trees: HistGradientBoostingRegressor
    early: Early
    errors: Errors
    spread: Mapping[str, float]
    n_rows: int
    series: int


@cache
def _threads() -> ThreadpoolController:
    """The thread pools that scikit-learn came with; looking for them takes longer than a small forecast."""
    return ThreadpoolController()


def one_thread() -> AbstractContextManager[Any]:
    """Threads that wait for a busy core take minutes for what one does in a second; workers are processes."""
    limited: AbstractContextManager[Any] = _threads().limit(limits=1, user_api="openmp")
    return limited


def _transforms(y: pd.DataFrame) -> tuple[Transform, ...]:
    return tuple(choose_transform(known_span(y.iloc[:, at]).to_numpy(dtype=float)) for at in range(y.shape[1]))


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
    ready = _ready(what.z, settings.steps)
    target = np.add.outer(np.arange(months), np.arange(1, settings.steps + 1))
    cut = _cut(ready, target, settings.early)
    by_month = _by_month(x, settings.country)
    early = settings.learn(what, by_month, settings.pick(ready & (target <= cut), settings.max_rows // 2))
    test, errors, spread = _errors(what, early, by_month, cut, settings, often_zero(y))
    trees = settings.learn(what, by_month, settings.pick(ready, settings.max_rows))
    next_trees = settings.learn(what, by_month, settings.pick(ready[:, :, :1], settings.max_rows))
    n_rows = min(int(ready.sum()), settings.max_rows)
    tested = Early(early, index[cut], index[-1], *test)
    return Learned(trees, next_trees, tested, errors, dict(zip(series, spread, strict=True)), n_rows, len(series))


@dataclass(frozen=True)
class Seen:
    """What is known of a few series at places ``at`` of a panel: y (T × n) of the last months and all made of it."""

    at: np.ndarray
    y: pd.DataFrame
    x: pd.DataFrame
    transforms: tuple[Transform, ...]
    what: Known
    last: tuple[pd.Period, ...]

    @property
    def origins(self) -> np.ndarray:
        """Place of the last known month (n)."""
        return np.array([(one - self.y.index[0]).n for one in self.last])

    @property
    def scale(self) -> np.ndarray:
        """Typical monthly change at the origin (n)."""
        return np.asarray(self.what.scale[self.origins, np.arange(len(self.last))])


@dataclass(frozen=True)
class FittedBoosting:
    """What was learned, and the panel that it is asked about: series by series, whatever their company."""

    settings: Boosting
    panel: Panel
    learned: Learned

    def on(self, panel: Panel) -> FittedBoosting:
        """The same trees for other series: a panel that ends in the month in which the one learned from ends."""
        return replace(self, panel=panel)

    def predict(self, future: pd.DataFrame, paths: int, seed: int) -> Forecast:
        months: pd.PeriodIndex = future.index  # type: ignore[assignment]
        series = self.panel.series
        cube = np.empty((paths, len(months), len(series)))
        cutoffs: dict[int, pd.Period] = {}
        for seen in self._seen():
            self._check(future, min(seen.last))
            cutoffs |= dict(zip(seen.at, seen.last, strict=True))
            for at, column in self._paths(seen, future, paths, seed):
                cube[:, :, at] = column
        notes = dict.fromkeys(series, self._chosen())
        ends = tuple(cutoffs[at] for at in range(len(series)))
        return Forecast(cube, months, series, ends, self.settings.name, notes=notes)

    def _paths(self, seen: Seen, future: pd.DataFrame, paths: int, seed: int) -> Iterator[tuple[int, np.ndarray]]:
        """Place and paths (P × h) of each of these series."""
        months: pd.PeriodIndex = future.index  # type: ignore[assignment]
        centre, spread, sparse = self._centre(seen, future), self._own_spread(seen), often_zero(seen.y)
        # By the months still to be forecast: what company a series ends later or earlier than must not matter.
        whole = lru_cache(self.learned.errors.whole)
        for i, (at, last) in enumerate(zip(seen.at, seen.last, strict=True)):
            series, transform = self.panel.series[at], seen.transforms[i]
            given = known_cells(self.panel.y.iloc[:, at], months, transform)
            steps = len(months) - len(given)
            rng = stream(seed, self.settings.name, series, last)
            shocks = seen.scale[i] * spread[i] * _draw(whole(steps, bool(sparse[i])), steps, paths, rng)
            known_first = np.broadcast_to(given, (paths, len(given)))
            yield at, np.hstack([known_first, transform.inverse(centre[i] + shocks)])

    def _seen(self) -> Iterator[Seen]:
        y = self.settings.recent(self.panel.y)
        n = len(y.columns)
        for begin in range(0, n, CHUNK):
            at = np.arange(begin, min(begin + CHUNK, n))
            # Sums over one column are rounded otherwise than over several: a lone series stands twice.
            yield self._seen_at(y, np.repeat(at, 2) if len(at) == 1 else at)

    def _seen_at(self, y: pd.DataFrame, at: np.ndarray) -> Seen:
        part = y.iloc[:, at]
        transforms = _transforms(part)
        last = tuple(part.iloc[:, i].last_valid_index() for i in range(len(at)))
        what = self.settings.known(part, transforms)
        return Seen(at, part, self.panel.x.reindex(y.index), transforms, what, last)  # type: ignore[arg-type]

    def _own_spread(self, seen: Seen) -> np.ndarray:
        """Typical error of each series against all; of one that was not learned from as it would have been (n)."""
        ids = [self.panel.series[at] for at in seen.at]
        if all(one in self.learned.spread for one in ids):
            return np.array([self.learned.spread[one] for one in ids])
        early, first = self.learned.early, seen.y.index[0]
        begin, end = (early.first - first).n, (early.last - first).n + 1
        ready = _ready(seen.what.z[:end], self.settings.steps)
        salt = np.array([int(hashlib.sha256(one.encode()).hexdigest()[:8], 16) for one in ids])
        ready &= _every(early.first.ordinal + np.arange(len(ready[0])) - begin, salt, early.every, begin)
        rows = _rows(np.flatnonzero(ready), ready.shape)
        by_month = _by_month(seen.x, self.settings.country)
        miss = _missed(seen.what, early.trees, rows, by_month, self.settings)
        table = np.full((len(ids), end - begin, self.settings.steps), np.nan)
        table[rows.series, rows.origin - begin, rows.step - 1] = miss
        own = _spread(np.abs(table - early.centre) / early.usual, early.every)
        return np.array([self.learned.spread.get(one, mine) for one, mine in zip(ids, own, strict=True)])

    def describe(self) -> pd.DataFrame:
        typical = float(np.nanstd(self.learned.errors.vectors[:, 0]))
        leans_on = ", ".join(self._leading())
        rows: dict[str, dict[str, Any]] = {}
        for seen in self._seen():
            sigma = typical * self._own_spread(seen) * seen.scale
            known_months = seen.y.notna().sum().to_numpy()
            for i, at in enumerate(seen.at):
                series = self.panel.series[at]
                row = {"series": series, "scale": seen.transforms[i].label, "chosen": self._chosen()}
                row |= {"sigma": float(sigma[i]), "n_months": int(known_months[i])}
                rows[series] = {**row, "leans_on": leans_on}
        return pd.DataFrame(list(rows.values()))

    def _leading(self, most: int = 5) -> list[str]:
        """The columns whose shuffling costs most accuracy, on a sample of the rows learned from."""
        rng = stream(0, self.settings.name, "shuffle")
        sample = self.settings.sample(self.panel)
        y = self.settings.recent(sample.y[sorted(sample.series)])
        what = self.settings.known(y, _transforms(y))
        rows = self.settings.pick(_ready(what.z, self.settings.steps), SAMPLE)
        names, matrix = _matrix(what, rows, _by_month(self.panel.x.reindex(y.index), self.settings.country))
        aim = _aim(what, rows)
        cost = {}
        for at, name in enumerate(names):
            shuffled = matrix.copy()
            shuffled[:, at] = rng.permutation(matrix[:, at])
            with one_thread():
                cost[name] = np.abs(aim - self.learned.trees.predict(shuffled)).mean()
        return sorted(cost, key=lambda name: -cost[name])[:most]

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

    def _centre(self, seen: Seen, future: pd.DataFrame) -> list[np.ndarray]:
        """Forecast of each series on its own scale, from its last known month on."""
        end = (future.index[-1] - seen.y.index[0]).n
        origins = seen.origins
        steps = end - origins
        series = np.repeat(np.arange(len(origins)), steps)
        step = np.concatenate([np.arange(1, count + 1) for count in steps])
        rows = Rows(origins[series], series, step)
        x = future.combine_first(self.panel.x.reindex(seen.y.index.union(future.index)))[future.columns]
        by_month = _by_month(x, self.settings.country)
        direct = _say(seen.what, self.learned.trees, rows, by_month, self.settings)
        recursive = self._recursive(seen.what, origins, end, by_month)[rows.target, rows.series]
        return np.split((direct + recursive) / 2, np.cumsum(steps)[:-1])

    def _recursive(self, what: Known, origins: np.ndarray, end: int, by_month: ByMonth) -> np.ndarray:
        """Values (T + h × n), month after month, each forecast taken for known by the next."""
        z = np.vstack([what.z, np.full((end + 1 - len(what.z), len(origins)), np.nan)])
        declared = self.settings.declared()
        done = Running(z, what.month, declared.smoothing)
        for at in range(int(origins.min()) + 1, end + 1):
            series = np.flatnonzero(origins < at)
            now = newest(done.upto(at), declared)
            begin = at - len(now.z)
            rows = Rows(np.full(len(series), len(now.z) - 1), series, np.ones(len(series), dtype=int))
            then = {name: values[begin:] for name, values in by_month.items()}
            z[at, series] = _say(now, self.learned.next_trees, rows, then, self.settings)
        return z


def _say(
    what: Known, trees: HistGradientBoostingRegressor, rows: Rows, by_month: ByMonth, settings: Boosting
) -> np.ndarray:
    """Baseline plus what the trees add (N); beyond the steps learned they see the last one."""
    names, matrix = _matrix(what, rows, by_month)
    at = names.index("step")
    matrix[:, at] = np.minimum(matrix[:, at], settings.steps)
    with one_thread():
        added = trees.predict(matrix)
    return what.baseline(rows) + what.scale[rows.origin, rows.series] * added


def _aim(what: Known, rows: Rows) -> np.ndarray:
    """What the trees learn to say: value less baseline, in typical monthly changes (N)."""
    return (what.z[rows.target, rows.series] - what.baseline(rows)) / what.scale[rows.origin, rows.series]


def _ready(z: np.ndarray, steps: int) -> np.ndarray:
    """Which (series, origin, step − 1) have a year known and both ends published (n × T × steps)."""
    there = ~np.isnan(z).T
    ready = there & (np.cumsum(there, axis=1) >= FIRST_ORIGIN)
    both = np.zeros((*there.shape, steps), dtype=bool)
    for step in range(1, min(steps, len(z) - 1) + 1):
        both[:, :-step, step - 1] = ready[:, :-step] & there[:, step:]
    return both


def _rows(places: np.ndarray, shape: tuple[int, ...]) -> Rows:
    """Rows at these places of a table series × origin × step − 1."""
    series, origin, step = np.unravel_index(places, shape)
    return Rows(origin, series, step + 1)


def _cut(ready: np.ndarray, target: np.ndarray, early: float) -> int:
    """The month before which that share of the rows (n × T × steps) has its target (T × steps)."""
    counts = np.bincount(target.reshape(-1), weights=ready.sum(axis=0).reshape(-1)).astype(int)
    return int(np.quantile(np.repeat(np.arange(len(counts), dtype=np.int16), counts), early))


def _every(origin: np.ndarray, series: np.ndarray, every: int, begin: int) -> np.ndarray:
    """Every so many-th origin (T) of each series (n), from place ``begin`` on (n × T × 1)."""
    due = np.add.outer(series, origin) % every == 0
    due[:, :begin] = False
    return np.asarray(due[:, :, None])


def _spans(known_months: np.ndarray) -> np.ndarray:
    """The months from the first to the last known one (T × n)."""
    begun = np.maximum.accumulate(known_months, axis=0)
    return np.asarray(begun & np.maximum.accumulate(known_months[::-1], axis=0)[::-1])


def _by_month(x: pd.DataFrame, country: str) -> ByMonth:
    """Working days and covariates x (T' × k)."""
    days = working_days(x.index, country)  # type: ignore[arg-type]
    return {"working days": days.to_numpy(), **{str(name): x[name].to_numpy(dtype=float) for name in x}}


def _matrix(what: Known, rows: Rows, by_month: ByMonth) -> tuple[list[str], np.ndarray]:
    """Names and columns (N × features); ``by_month`` reaches every target."""
    columns = design(what, rows)
    for name, values in by_month.items():
        columns |= calendar_columns(name, values, rows)
    return list(columns), np.column_stack(list(columns.values()))


def _missed(
    what: Known, trees: HistGradientBoostingRegressor, rows: Rows, by_month: ByMonth, settings: Boosting
) -> np.ndarray:
    """Error of these trees at each row, in typical monthly changes (N)."""
    miss = what.z[rows.target, rows.series] - _say(what, trees, rows, by_month, settings)
    return np.asarray(miss / what.scale[rows.origin, rows.series])


def _errors(
    what: Known,
    trees: HistGradientBoostingRegressor,
    by_month: ByMonth,
    cut: int,
    settings: Boosting,
    sparse: np.ndarray,
) -> tuple[tuple[int, np.ndarray, np.ndarray], Errors, np.ndarray]:
    """Errors of the early trees from origins they have not seen, centred, by the spread of each series (n).

    Before them how they were made: every so many-th origin, median and mean absolute error by step.
    """
    ready = _ready(what.z, settings.steps)
    months, n = what.z.shape
    every = max(-(-int(ready[:, cut:].sum()) // (settings.max_rows * 2)), 1)
    rows = _rows(np.flatnonzero(ready & _every(np.arange(months), np.arange(n), every, cut)), ready.shape)
    table = np.full((n, months, settings.steps), np.nan)
    table[rows.series, rows.origin, rows.step - 1] = _missed(what, trees, rows, by_month, settings)
    seen = ~np.isnan(table).all(axis=(0, 1))
    table = table[:, :, seen]
    centre = np.nanmedian(table, axis=(0, 1))
    table -= centre
    usual = np.maximum(np.nanmean(np.abs(table), axis=(0, 1)), 1e-12)
    spread = _spread(np.abs(table) / usual, every)
    table /= spread[:, None, None]
    by_step = np.full((2, settings.steps), np.nan)
    by_step[:, seen] = centre, usual
    return (every, *by_step), _clipped(table, sparse), spread


def _clipped(table: np.ndarray, sparse: np.ndarray) -> Errors:
    """Error vectors of all origins (n × T × steps): one broken month of one series may not become everybody's."""
    marks = np.repeat(sparse, table.shape[1])
    vectors = table.reshape(-1, table.shape[-1])
    known = ~np.isnan(vectors[:, 0])
    vectors, marks = vectors[known], marks[known]
    usual = MOST * np.nanmean(np.abs(vectors[~marks]), axis=0) if not sparse.all() else np.inf
    vectors[~marks] = np.clip(vectors[~marks], -usual, usual)
    return Errors(vectors, marks)


def _spread(relative: np.ndarray, every: int) -> np.ndarray:
    """Mean error of each series against all (n), drawn towards one while few months (n × T × steps) speak."""
    count = every * (~np.isnan(relative[:, :, 0])).sum(axis=1)
    own = np.nansum(relative, axis=(1, 2)) / np.maximum((~np.isnan(relative)).sum(axis=(1, 2)), 1)
    return (count * own + OWN) / (count + OWN)
