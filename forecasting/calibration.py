"""Widen or narrow intervals by what past forecasts missed; re-pair paths across series by how they missed together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from forecasting.forecast import COVERAGES, QUANTILE_COLUMNS, QUANTILES, Forecast
from forecasting.seeds import stream
from forecasting.transform import Transform

MIN_ORIGINS = 8
"""Fewer origins than this say nothing of their own about a 95 % interval: intervals are widened and it is said."""

SHORT_MONTHS = 60
"""Series with less history than this are calibrated together: their models are overconfident in the same way."""

MANY = 500
"""Past forecasts of a pool that speak for themselves, however few cutoffs they come from."""

ALIKE = 0.8
"""Of the shortest history that is calibrated now: forecasts from still shorter ones were worse for that alone."""

FEWEST = 60  # past forecasts that make a pool
FORECASTS_A_CUTOFF = 500.0  # of one pool, that say as much of the tails as one more cutoff does
_SHRINK_ORIGINS = 8.0
_CALM_ORIGINS = 6.0
_PRIOR = 50.0  # past forecasts that do not overlap, and weigh as much as the belief that the models are right
_WIDEST = 2.0  # factor beyond which past errors tell of a break that the models did not know, not of their usual spread
_FARTHEST = 1.6  # of the distance to its 97.5 % quantile that any path may keep from the median
_PAIR_SHRINK = 2.0
_NO_WIDTH = 1e-6  # of the median: less is rounding


def error_rows(forecast: Forecast, actual: pd.DataFrame) -> pd.DataFrame:
    """Quantiles and actual of every forecast cell whose month has been published since.

    Columns: series, cutoff, month, step, months_known, actual and the nine quantiles. ``actual`` (T × n) must end
    at the cutoff of whoever learns from these rows.
    """
    steps = forecast.steps()
    quantiles = np.quantile(forecast.paths, QUANTILES, axis=0)
    truth = actual.reindex(index=forecast.months, columns=list(forecast.series)).to_numpy(dtype=float)
    h, n = np.nonzero((steps >= 1) & ~np.isnan(truth))
    counted = actual.notna().cumsum()
    known = {
        series: int(counted[series].get(cutoff, 0))
        for series, cutoff in zip(forecast.series, forecast.cutoff, strict=True)
    }
    rows = pd.DataFrame(
        {
            "series": [forecast.series[i] for i in n],
            "cutoff": [forecast.cutoff[i] for i in n],
            "month": forecast.months[h],
            "step": steps[h, n],
            "months_known": [known[forecast.series[i]] for i in n],
            "actual": truth[h, n],
        }
    )
    return rows.assign(**{column: quantiles[q, h, n] for q, column in enumerate(QUANTILE_COLUMNS)})


@dataclass(frozen=True)
class Calibration:
    """Factors on the distance from the median, by series, step and coverage, and how far they can be trusted.

    ``factors`` maps a series to an h × 4 table (steps × coverages 50, 80, 90, 95); ``origins`` counts the past
    cutoffs that it rests on; ``scores`` (rows × series) are normal scores of past errors, for coupling;
    ``widened`` are the series of which too few past errors spoke.
    """

    factors: Mapping[str, np.ndarray]
    origins: Mapping[str, int]
    scores: pd.DataFrame
    widened: frozenset[str] = frozenset()


def say(origins: Mapping[str, int], series: Sequence[str], widened: Collection[str]) -> str:
    """One line: what the intervals of these series rest on."""
    counts = [origins.get(one, 0) for one in series]
    pooled = sum(origins.values()) >= MANY
    few = [one for one in series if one in widened]
    span = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    line = f"Intervals are calibrated on the errors of forecasts from {span} past cutoff{'s' * (span != '1')} a series"
    line += f", {sum(origins.values()):,} in all" if pooled else ""
    return line + (f"; too few ({MIN_ORIGINS} are needed), so widened, for {', '.join(few)}." if few else ".")


def learn(
    rows: pd.DataFrame, transforms: Mapping[str, Transform], months_known: Mapping[str, int], horizon: int
) -> Calibration:
    """Split-conformal factors (Vovk et al. 2005; Lei et al. 2018) on the modelling scale.

    A past error is measured in half-widths of its own interval. Errors of forecasts from histories of alike length
    are pooled, each first divided by its series' own typical size, shrunk to the pool's by the number of origins.
    """
    series = list(months_known)
    if rows.empty:
        nothing = pd.DataFrame(columns=series, dtype=float)
        return Calibration(
            {one: _widened(np.ones((horizon, 4)), 0) for one in series},
            dict.fromkeys(series, 0),
            nothing,
            frozenset(series),
        )
    stretch, scores = _measured(rows, transforms)
    origins = rows.groupby("series")["cutoff"].nunique().to_dict()
    telling = _telling(rows)
    factors: dict[str, np.ndarray] = {}
    widened = set()
    for is_short in (True, False):
        members = [one for one in series if (months_known[one] < SHORT_MONTHS) is is_short]
        if not members:
            continue
        known = [months_known[one] for one in members]
        kind = _Kind.of(rows[telling], stretch[telling], is_short, known, horizon)
        for one in members:
            backing = kind.backing(origins.get(one, 0))
            factors[one] = _widened(_increasing(kind.own.get(one, 1.0) * kind.table), backing)
            widened |= {one} if backing < MIN_ORIGINS else set()
    wide = rows.assign(score=scores).pivot_table(index=["cutoff", "step"], columns="series", values="score")
    return Calibration(factors, {one: int(origins.get(one, 0)) for one in series}, wide, frozenset(widened))


@dataclass(frozen=True)
class Strata:
    """Factors (h × 4) for series that left no errors of their own, by length of history."""

    short: np.ndarray
    long: np.ndarray

    def calibration(self, months_known: Mapping[str, int]) -> Calibration:
        """The factors of each of these series."""
        factors = {one: self.short if months < SHORT_MONTHS else self.long for one, months in months_known.items()}
        return Calibration(factors, dict.fromkeys(factors, 0), pd.DataFrame(dtype=float))


def learn_strata(
    rows: pd.DataFrame, transforms: Mapping[str, Transform], months_known: Mapping[str, int], horizon: int
) -> Strata:
    """What ``learn`` learns of all series together, from a sample of them, for series that are not in it."""
    nothing = _widened(np.ones((horizon, 4)), 0)
    if rows.empty:
        return Strata(nothing, nothing)
    stretch, _ = _measured(rows, transforms)
    telling = _telling(rows)
    found = []
    for is_short in (True, False):
        months = [count for count in months_known.values() if (count < SHORT_MONTHS) is is_short]
        known = months or [0 if is_short else SHORT_MONTHS]
        kind = _Kind.of(rows[telling], stretch[telling], is_short, known, horizon)
        found.append(_widened(_increasing(kind.table), kind.backing(0)))
    return Strata(found[0], found[1])


@dataclass(frozen=True)
class _Kind:
    """What past forecasts say of series of one length of history: factors (h × 4) and sizes of single series."""

    table: np.ndarray
    own: Mapping[str, float]
    cutoffs: int
    made: int

    @classmethod
    def of(
        cls, rows: pd.DataFrame, stretch: np.ndarray, is_short: bool, months_known: Sequence[int], horizon: int
    ) -> _Kind:
        kind = (rows["months_known"] < SHORT_MONTHS).to_numpy() == is_short
        pool = _alike(rows, kind, months_known)
        own, judged = _own_sizes(rows[pool], stretch[pool])
        trust = _trust(rows[pool])
        table = _pooled(rows[pool], stretch[pool] / judged[:, None], horizon) ** trust
        own = {one: size**trust for one, size in own.items()}
        cutoffs = rows.loc[pool, "cutoff"].nunique()
        made = _forecasts(rows[pool])
        return cls(_calm_tails(table, max(cutoffs, made / FORECASTS_A_CUTOFF)), own, cutoffs, made)

    def backing(self, origins: int) -> int:
        """Past cutoffs behind the factors of a series that was forecast from so many."""
        return max(origins or min(self.cutoffs, MIN_ORIGINS - 1), MIN_ORIGINS * self.made // MANY)


def _alike(rows: pd.DataFrame, kind: np.ndarray, now: Sequence[int]) -> np.ndarray:
    """Which rows (N) speak for series of so many months: of the kind and not shorter; or not shorter; or any."""
    long_enough = (rows["months_known"] >= ALIKE * min(now)).to_numpy()
    for pool in (kind & long_enough, long_enough, kind):
        if _forecasts(rows[pool]) >= FEWEST:
            return np.asarray(pool)
    return kind if kind.any() else np.ones(len(kind), dtype=bool)


def _forecasts(rows: pd.DataFrame) -> int:
    """Series times the cutoffs that each was forecast from."""
    return int(rows.groupby("series")["cutoff"].nunique().sum())


def _trust(rows: pd.DataFrame) -> float:
    """How far past forecasts (N rows) are believed against the models (0 to 1): by how many do not overlap."""
    cutoffs, reach = _ordinals(rows), int(rows["step"].max())
    count = sum(_apart(cutoffs[at], reach) for at in rows.groupby("series").indices.values())
    return count / (count + _PRIOR)


def _ordinals(rows: pd.DataFrame) -> np.ndarray:
    return np.asarray(rows["cutoff"].map(lambda month: month.ordinal).to_numpy())


def _apart(cutoffs: np.ndarray, reach: int) -> float:
    """How many forecasts of ``reach`` months from these cutoffs (ordinals) do not overlap.

    One break is in every forecast that reaches over it: twelve cutoffs in three years, a year ahead, are about four.
    """
    return float(min(len(np.unique(cutoffs)), 1.0 + np.ptp(cutoffs) / reach))


def _telling(rows: pd.DataFrame) -> np.ndarray:
    """Which rows (N) say how wide an interval should be: those that had one; all, if none did.

    A series that never changes is forecast without spread, and right: that would make all others narrower.
    """
    width = (rows["q975"] - rows["q025"]).to_numpy()
    spread = width > _NO_WIDTH * rows["q50"].abs().to_numpy()
    return spread if spread.any() else np.ones(len(rows), dtype=bool)


def _measured(rows: pd.DataFrame, transforms: Mapping[str, Transform]) -> tuple[np.ndarray, np.ndarray]:
    """Needed stretch (rows × 4 coverages) and normal score of every past error."""
    values = rows[["actual", *QUANTILE_COLUMNS]].to_numpy(dtype=float).copy()
    for one, where in rows.groupby("series").indices.items():
        values[where] = transforms[str(one)].forward(values[where])
    actual, quantiles = values[:, 0], values[:, 1:]
    median = quantiles[:, QUANTILE_COLUMNS.index("q50")]
    above = actual >= median
    stretch = np.empty((len(rows), len(COVERAGES)))
    for at, (low, high) in enumerate(COVERAGES.values()):
        up = quantiles[:, QUANTILE_COLUMNS.index(high)] - median
        down = median - quantiles[:, QUANTILE_COLUMNS.index(low)]
        width = np.where(above, up, down)
        missed = np.abs(actual - median)
        stretch[:, at] = np.where(missed == 0, 0.0, missed / np.maximum(width, 1e-12 + 1e-9 * np.abs(median)))
    at80 = list(COVERAGES).index(80)
    scores = np.clip(np.where(above, 1.0, -1.0) * stretch[:, at80] * stats.norm.ppf(0.9), -4.0, 4.0)
    return np.minimum(stretch, 50.0), scores


def _own_sizes(rows: pd.DataFrame, stretch: np.ndarray) -> tuple[dict[str, float], np.ndarray]:
    """Typical error of each series against the pool's, shrunk; and for every row the same without its own time.

    A row is judged by a size that has not seen it, nor any forecast that overlaps it: otherwise the pooled factor would
    be too small by just what each series' size has learned from its own errors.
    """
    squares = np.minimum(stretch[:, list(COVERAGES).index(80)], 4.0) ** 2
    typical = float(np.sqrt(squares.mean())) or 1.0
    cutoffs = _ordinals(rows)
    reach = int(rows["step"].max())
    own: dict[str, float] = {}
    judged = np.ones(len(rows))
    for one, at in rows.groupby("series").indices.items():
        own[str(one)] = _shrunk(squares[at], cutoffs[at], typical)
        for cutoff in np.unique(cutoffs[at]):
            apart = at[np.abs(cutoffs[at] - cutoff) >= reach]
            judged[at[cutoffs[at] == cutoff]] = _shrunk(squares[apart], cutoffs[apart], typical)
    return own, judged


def _shrunk(squares: np.ndarray, cutoffs: np.ndarray, typical: float) -> float:
    if not len(squares):
        return 1.0
    count = len(np.unique(cutoffs))
    size = max(float(np.sqrt(squares.mean())) / typical, 0.05)
    return float(np.exp(count / (count + _SHRINK_ORIGINS) * np.log(size)))


def _pooled(rows: pd.DataFrame, stretch: np.ndarray, horizon: int) -> np.ndarray:
    """Conformal factor by step and coverage (h × 4), each step halfway to the all-step factor."""
    levels = np.array(list(COVERAGES)) / 100.0
    everything = _conformal(stretch, levels)
    table = np.tile(everything, (horizon, 1))
    for step in range(1, horizon + 1):
        here = (rows["step"] == step).to_numpy()
        if here.sum() >= 20:
            weight = here.sum() / (here.sum() + 60.0)
            table[step - 1] = weight * _conformal(stretch[here], levels) + (1 - weight) * everything
    return table


def _calm_tails(table: np.ndarray, cutoffs: float) -> np.ndarray:
    """Factors whose ratio to the 80 % one is drawn towards one by the number of cutoffs.

    The scale is learned from all errors, the tail from a few: for three years after a crisis its errors fill it
    (95 % intervals a seventh narrower at the same coverage, measured).
    """
    table = np.maximum(table, 1e-6)  # forecasts that never missed: a factor of nothing has no ratio
    middle = table[:, [list(COVERAGES).index(80)]]
    return np.asarray(middle * (table / middle) ** (cutoffs / (cutoffs + _CALM_ORIGINS)))


def _conformal(stretch: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Smallest factor that would have covered a share (n + 1) / n · level of the past errors."""
    n = len(stretch)
    return np.array([np.quantile(stretch[:, at], min(level * (n + 1) / n, 1.0)) for at, level in enumerate(levels)])


def _increasing(table: np.ndarray) -> np.ndarray:
    """Factors kept within reason and such that a wider coverage never gives a narrower interval."""
    z = stats.norm.ppf(0.5 + np.array(list(COVERAGES)) / 200.0)
    return np.maximum.accumulate(np.clip(table, 0.3, _WIDEST) * z, axis=1) / z


def _widened(table: np.ndarray, origins: int) -> np.ndarray:
    """Student instead of normal quantiles where few origins back the factors.

    Without any, models of short histories are known to need about 1.4 at 95 % (85–88 % covered on cut M3 series):
    that knowledge counts as three origins.
    """
    if origins >= MIN_ORIGINS:
        return table
    p = 0.5 + np.array(list(COVERAGES)) / 200.0
    return np.minimum(np.maximum(table, 1.0) * stats.t.ppf(p, origins + 3) / stats.norm.ppf(p), _WIDEST)


def calibrate(forecast: Forecast, calibration: Calibration, transforms: Mapping[str, Transform]) -> Forecast:
    """Each path moved away from or towards its cell's median by the factor of its depth; order of paths is kept."""
    paths = forecast.paths.copy()
    steps = forecast.steps()
    for at, series in enumerate(forecast.series):
        factors, transform = calibration.factors[series], transforms[series]
        ahead = np.flatnonzero(steps[:, at] >= 1)
        rows = factors[np.minimum(steps[ahead, at], len(factors)) - 1]
        paths[:, ahead, at] = transform.inverse(_moved(transform.forward(paths[:, ahead, at]), rows))
    return forecast.with_paths(paths)


def _moved(z: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Paths (P × h) by the factors of their depth (h × coverages), dealt out in the order that they had."""
    half = np.array(list(COVERAGES)) / 200.0
    order = np.argsort(z, axis=0, kind="stable")
    ascending = np.take_along_axis(z, order, axis=0)
    depth = np.abs(_ranks(ascending) - 0.5)
    factor = np.column_stack([np.interp(depth[:, step], half, row) for step, row in enumerate(factors)])
    median = np.median(z, axis=0)
    moved = median + factor * (ascending - median)
    # Widened on a log scale, one path in a thousand could be a million times the median and own the mean.
    low, high = np.quantile(moved, [0.025, 0.975], axis=0)
    moved = np.clip(moved, median - _FARTHEST * (median - low), median + _FARTHEST * (high - median))
    dealt = np.empty_like(z)
    np.put_along_axis(dealt, order, _ties_kept(ascending, np.sort(moved, axis=0)), axis=0)
    return dealt


def _ranks(ascending: np.ndarray) -> np.ndarray:
    """Mid-ranks in 0 … 1 (P × h) of sorted columns, equal ones sharing theirs."""
    count = len(ascending)
    places = np.tile(np.arange(count) + 0.5, (ascending.shape[1], 1)).T / count
    return _ties_kept(ascending, places)


def _ties_kept(ascending: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values (P × h), those of equal paths replaced by their mean."""
    for column in np.flatnonzero((ascending[1:] == ascending[:-1]).any(axis=0)):
        _, inverse, counts = np.unique(ascending[:, column], return_inverse=True, return_counts=True)
        values[:, column] = (np.bincount(inverse, values[:, column]) / counts)[inverse]
    return values


def correlation(scores: pd.DataFrame, series: Sequence[str]) -> np.ndarray:
    """Correlation (n × n) of past errors of the same cutoff and step, shrunk to none by the number of shared rows."""
    table = scores.reindex(columns=list(series))
    shared = table.notna().astype(float).T @ table.notna().astype(float)
    raw = table.corr(min_periods=4).fillna(0.0).to_numpy(copy=True)
    raw *= (shared / (shared + _PAIR_SHRINK)).to_numpy()
    np.fill_diagonal(raw, 1.0)
    values, vectors = np.linalg.eigh(raw)
    fixed = (vectors * np.maximum(values, 1e-6)) @ vectors.T
    scale = np.sqrt(np.diag(fixed))
    return fixed / np.outer(scale, scale)


def couple(forecast: Forecast, scores: pd.DataFrame, seed: int) -> Forecast:
    """Re-pair whole paths across series so that they rank together as past errors did (Iman and Conover 1982).

    Only the order of a series' paths changes: its own distribution, and its paths over time, stay as they are.
    """
    p, _, n = forecast.paths.shape
    if n == 1 or p == 1:
        return forecast
    order = sorted(range(n), key=lambda at: forecast.series[at])
    names = [forecast.series[at] for at in order]
    grid = stats.norm.ppf((np.arange(p) + 0.5) / p)
    normal = np.column_stack([stream(seed, "couple", one).permutation(grid) for one in names])
    target = _correlated(normal, correlation(scores, names))
    steps = forecast.steps()
    paths = forecast.paths.copy()
    for column, at in enumerate(order):
        ahead = steps[:, at] >= 1
        rank = np.argsort(np.argsort(forecast.paths[:, ahead, at], axis=0, kind="stable"), axis=0).mean(axis=1)
        source = np.argsort(rank, kind="stable")
        place = np.argsort(target[:, column], kind="stable")
        paths[place, :, at] = forecast.paths[source, :, at]
    return forecast.with_paths(paths)


def _correlated(normal: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Normal scores (P × n) given exactly the wanted correlation (n × n)."""
    if normal.shape[1] > len(normal) / 2:  # too few paths to be exactly unrelated before: nearly is enough
        return normal @ np.linalg.cholesky(wanted).T
    present = np.linalg.cholesky(np.corrcoef(normal.T))
    return normal @ np.linalg.inv(present).T @ np.linalg.cholesky(wanted).T
