"""Declared features of a panel for direct forecasts: what each origin knows of each later month.

T months · n series · N rows: a row is (origin, series, step), step ≥ 1. No column looks beyond its origin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

SEASON = 12
SEASON_GAIN = 0.3  # least weight of the newest year in a seasonal index: about the last six years count
FORGET = 0.99  # monthly discount of past one-step errors when the smoothing constant is chosen
SURE_DRIFT = 24.0  # yearly changes that weigh as much as the belief that there is no drift
LEVEL, YEAR = "level", "year"
LEAST_SCALE = 1e-3  # of the series' mean: changes below a thousandth are no scale to divide by


@dataclass(frozen=True)
class Declared:
    """Which features are made. Lag 1 is the origin itself: the month before the first step.

    ``anchor`` is what a forecast starts from: the level plus the seasonal index, or the same month of the last known
    year plus drift.
    """

    lags: tuple[int, ...] = (1, 2, 3, 4, 6, 12, 13, 24)
    windows: tuple[int, ...] = (3, 6, 12)
    smoothing: tuple[float, ...] = (0.1, 0.2, 0.35, 0.55, 0.8)
    anchor: str = LEVEL


@dataclass(frozen=True)
class Rows:
    """Positions of origin and series, and the step, of each row (N)."""

    origin: np.ndarray
    series: np.ndarray
    step: np.ndarray

    def take(self, which: np.ndarray) -> Rows:
        return Rows(self.origin[which], self.series[which], self.step[which])

    @property
    def target(self) -> np.ndarray:
        return self.origin + self.step


@dataclass(frozen=True)
class Known:
    """What every origin knows: values, level, typical monthly change (T × n), seasonal index (T × 12 × n)."""

    z: np.ndarray
    level: np.ndarray
    scale: np.ndarray
    season: np.ndarray
    month: int
    columns: Mapping[str, np.ndarray]
    anchor: str = LEVEL

    def month_of(self, at: np.ndarray) -> np.ndarray:
        """Calendar month, 0 = January, of these positions; they may lie after the last."""
        return (at + self.month) % SEASON

    def baseline(self, rows: Rows) -> np.ndarray:
        """What the trees correct, of each row (N); the level plus the season where no year is known yet."""
        season = self.season[rows.origin, self.month_of(rows.target), rows.series]
        level = self.level[rows.origin, rows.series] + season
        if self.anchor == LEVEL:
            return level
        grown = (self.columns["drift"] * self.scale)[rows.origin, rows.series] * SEASON * -(-rows.step // SEASON)
        year = year_ago(self.z, rows) + grown
        return np.where(np.isnan(year), level, year)


def lag(z: np.ndarray, months: int) -> np.ndarray:
    """The value of so many months ago (T × n); NaN before the first."""
    shifted = np.full_like(z, np.nan)
    if months < len(z):
        shifted[months:] = z[: len(z) - months]
    return shifted


def rolling_mean(z: np.ndarray, months: int) -> np.ndarray:
    """Mean of the known values among the last months, this one included (T × n)."""
    return rolling_means(z, (months,))[months]


def rolling_means(z: np.ndarray, windows: tuple[int, ...]) -> dict[int, np.ndarray]:
    """Rolling means (T × n) by window; a longer one goes on from the sums of a shorter one."""
    there, made = ~np.isnan(z), {}
    values = np.where(there, z, 0.0)
    total, count = np.zeros_like(z), np.zeros_like(z)
    for back in range(max(windows)):
        total[back:] += values[: max(len(z) - back, 0)]
        count[back:] += there[: max(len(z) - back, 0)]
        if back + 1 in windows:
            made[back + 1] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return made


def seasonal_index(z: np.ndarray, month: int) -> np.ndarray:
    """Deviation of each calendar month from a centred year, smoothed over the years before (T × 12 × n).

    ``month`` is that of the first row, 0 = January. Shrunk by how well old indices foretold the next year.
    """
    return Running(z, month, ()).upto(len(z)).season


def smoothed_levels(d: np.ndarray, smoothing: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Exponential smoothing by each constant (T × a × n), and the constant that did best so far (T × n)."""
    levels, best, smoothed = np.empty((len(d), len(smoothing), d.shape[1])), np.empty(d.shape, int), Smoothed(smoothing)
    for at, seen in enumerate(d):
        levels[at], best[at] = smoothed.after(seen)
    return levels, best


class Seasons:
    """Seasonal indices of n series as they stand after the months so far."""

    def __init__(self, n: int) -> None:
        self.index, self.years = np.zeros((SEASON, n)), np.zeros((SEASON, n))
        self.told, self.size = np.zeros(n), np.zeros(n)

    def after(self, seen: np.ndarray, now: int) -> np.ndarray:
        """Indices (12 × n) once the deviation (n, NaN = unknown) of this calendar month is seen."""
        unknown, old, years = np.isnan(seen), self.index[now], self.years[now]
        again = ~unknown & (years > 0)
        self.told += np.where(again, seen * old, 0.0)
        self.size += np.where(again, old**2, 0.0)
        years += ~unknown
        gain = np.maximum(1 / np.maximum(years, 1), SEASON_GAIN)
        self.index[now] = np.where(unknown, old, old + gain * (seen - old))
        return (self.index - self.index.mean(axis=0)) * _trust(self.told, self.size, self.years.min(axis=0))


class Smoothed:
    """Levels of n series by smoothing constant (a × n) as they stand after the months so far."""

    def __init__(self, smoothing: tuple[float, ...]) -> None:
        self.weights = np.array(smoothing)[:, None]
        self.level, self.missed = np.array(np.nan), np.array(0.0)

    def after(self, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Levels, and which constant (n) did best so far, once these values (n, NaN = unknown) are seen."""
        level = np.where(np.isnan(self.level), seen, self.level)
        error = seen - level
        error = np.where(np.isnan(error), 0.0, error)
        self.missed = FORGET * self.missed + np.abs(error)
        self.level = level + self.weights * error
        return self.level, self.missed.argmin(axis=0)


class Running:
    """What has to be followed along the months of z (T × n), up to ``done``; later rows of z may still be filled in.

    ``season`` (T × 12 × n), z without it ``d``, its smoothed ``levels`` (T × a × n) and which is ``best`` (T × n).
    """

    def __init__(self, z: np.ndarray, month: int, smoothing: tuple[float, ...]) -> None:
        self.z, self.month, self.done = z, month, 0
        self.season, self.d = np.empty((len(z), SEASON, z.shape[1])), np.empty_like(z)
        self.levels, self.best = np.empty((len(z), len(smoothing), z.shape[1])), np.empty(z.shape, dtype=int)
        self._seasons, self._smoothed = Seasons(z.shape[1]), Smoothed(smoothing) if smoothing else None

    def upto(self, done: int) -> Running:
        """Go on until so many months are done."""
        begin = max(self.done - SEASON, 0)
        weights, z = np.r_[0.5, np.ones(SEASON - 1), 0.5] / SEASON, self.z[begin:done]
        deviation = lag(z, SEASON // 2) - sum(w * lag(z, back) for back, w in enumerate(weights))
        for at in range(self.done, done):
            now = (at + self.month) % SEASON
            self.season[at] = self._seasons.after(deviation[at - begin], (now - SEASON // 2) % SEASON)
            self.d[at] = self.z[at] - self.season[at, now]
            if self._smoothed:
                self.levels[at], self.best[at] = self._smoothed.after(self.d[at])
        self.done = done
        return self


def _trust(told: np.ndarray, size: np.ndarray, years: np.ndarray) -> np.ndarray:
    trust = np.clip(told / np.maximum(size, 1e-12), 0.0, 1.0)
    # after one whole year there is no evidence yet: half
    return np.where(years >= 2, trust, np.where(years == 1, np.maximum(trust, 0.5), 0.0))


def typical_change(d: np.ndarray) -> np.ndarray:
    """Mean absolute monthly change so far (T × n)."""
    change = np.abs(d - lag(d, 1))
    count = np.cumsum(~np.isnan(change), axis=0)
    return np.maximum(np.nancumsum(change, axis=0) / np.maximum(count, 1), LEAST_SCALE)


def drift(z: np.ndarray) -> np.ndarray:
    """Mean monthly growth over all yearly changes so far, drawn towards none while they are few (T × n)."""
    change = (z - lag(z, SEASON)) / SEASON
    return np.asarray(np.nancumsum(change, axis=0) / (np.cumsum(~np.isnan(change), axis=0) + SURE_DRIFT))


def known(z: np.ndarray, month: int, declared: Declared) -> Known:
    """All that does not depend on the step, for every origin; ``month`` of the first row, 0 = January."""
    return after(Running(z, month, declared.smoothing).upto(len(z)), declared, len(z))


def after(done: Running, declared: Declared, rows: int) -> Known:
    """What origins know that lie in the last so many rows done; all but the last one, as far as these rows say."""
    here = slice(max(done.done - rows, 0), done.done)
    z, d, levels = done.z[here], done.d[here], done.levels[here]
    level = np.take_along_axis(levels, done.best[here, None], axis=1)[:, 0]
    scale = typical_change(done.d[: done.done])[here]
    means = rolling_means(z, tuple({*declared.windows, SEASON}))
    relative = {f"lag {k}": lag(z, k - 1) for k in declared.lags}
    relative |= {f"deseasonalised lag {k}": lag(d, k - 1) for k in declared.lags if k <= SEASON}
    relative |= {f"mean of {w}": means[w] for w in declared.windows}
    relative["mean of the year before"] = lag(means[SEASON], SEASON)
    relative |= {f"smoothed {a}": levels[:, at] for at, a in enumerate(declared.smoothing)}
    columns = {name: (values - level) / scale for name, values in relative.items()}
    columns["drift"] = drift(done.z[: done.done])[here] / scale
    columns["smoothing"] = done.best[here].astype(float)
    columns["months known"] = np.cumsum(~np.isnan(done.z[: done.done]), axis=0)[here].astype(float)
    columns["typical change"] = scale
    columns["roughness"] = np.log(rolling_mean(np.abs(d - lag(d, 1)), SEASON) / scale + 1e-6)
    month = (done.month + here.start) % SEASON
    return Known(z, level, scale, done.season[here], month, columns, declared.anchor)


def newest(done: Running, declared: Declared) -> Known:
    """What the last month that is done knows: the last row of tables as short as its features allow."""
    return after(done, declared, max(2 * SEASON, *declared.lags, *declared.windows))


def design(what: Known, rows: Rows) -> dict[str, np.ndarray]:
    """Declared columns of these rows (N each): of the origin, of that month in past years, of the step."""
    level, scale = what.level[rows.origin, rows.series], what.scale[rows.origin, rows.series]
    columns = {name: table[rows.origin, rows.series] for name, table in what.columns.items()}
    for name, months in (("a year before", 0), ("two years before", 12), ("a year before, month earlier", 1)):
        columns[name] = (year_ago(what.z, rows, months) - level) / scale
    columns["a year before, month later"] = (year_ago(what.z, rows, -1) - level) / scale
    columns["anchor"] = (what.baseline(rows) - level) / scale
    columns["drift to the target"] = columns["drift"] * rows.step
    columns["month"] = what.month_of(rows.target) + 1.0
    columns["step"] = rows.step.astype(float)
    return columns


def year_ago(table: np.ndarray, rows: Rows, months: int = 0) -> np.ndarray:
    """The newest value known of the target's calendar month, or of so many months before it (N)."""
    back = SEASON * -(-rows.step // SEASON)
    at = rows.target - back - months
    at = np.where(at > rows.origin, at - SEASON, at)
    return np.where(at >= 0, table[np.maximum(at, 0), rows.series], np.nan)


def calendar_columns(name: str, values: np.ndarray, rows: Rows) -> dict[str, np.ndarray]:
    """Something known for all months (T'): at the target, its change since the origin, and in a year (N)."""
    before = rows.target - SEASON * -(-rows.step // SEASON)
    year = np.where(before >= 0, values[np.maximum(before, 0)], np.nan)
    there = values[rows.target]
    return {
        name: there,
        f"{name}, change": there - values[rows.origin],
        f"{name}, change from a year before": there - year,
    }
