"""The contract of every model, and the loop that fits a univariate one to each series of a panel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import pandas as pd

from forecasting.errors import ForecastingError, ModelError
from forecasting.forecast import Forecast
from forecasting.panel import ENDED_MONTHS, Panel
from forecasting.seeds import stream
from forecasting.transform import Transform, choose_transform


class Fitted(Protocol):
    """Settings and data, ready to forecast."""

    def predict(self, future: pd.DataFrame, paths: int, seed: int) -> Forecast:
        """Sample paths (P × h × n) for the rows of ``future`` (covariates, h × k; made by ``Panel.future``)."""

    def describe(self) -> pd.DataFrame:
        """One row a series: what was chosen (``chosen``, in words) and in-sample diagnostics."""


class Forecaster(Protocol):
    """A frozen dataclass of settings, registered under ``name``."""

    name: ClassVar[str]
    min_months: ClassVar[int]

    def fit(self, panel: Panel) -> Fitted:
        """Learn from all that the panel shows; raises ModelError, by name, where that is impossible."""


class One(Protocol):
    """A univariate model fitted to one series on its transformed scale."""

    @property
    def summary(self) -> Mapping[str, Any]:
        """What was chosen (``chosen``, in words) and in-sample diagnostics."""

    def simulate(self, steps: int, x: np.ndarray, paths: int, rng: np.random.Generator) -> np.ndarray:
        """Paths (P × steps) that follow the last known month; x (steps × k) are covariates of those months."""


FitOne = Callable[[np.ndarray, pd.PeriodIndex, np.ndarray], One]


@dataclass(frozen=True)
class FittedEach:
    """One univariate fit for each series of the panel."""

    name: str
    panel: Panel
    transforms: Mapping[str, Transform]
    ones: Mapping[str, One]

    def predict(self, future: pd.DataFrame, paths: int, seed: int) -> Forecast:
        months: pd.PeriodIndex = future.index  # type: ignore[assignment]
        last = self.panel.last_known()
        cube = np.empty((paths, len(months), len(self.ones)))
        for at, (series, one) in enumerate(self.ones.items()):
            known = np.empty(0)
            if months[0] <= last[series]:
                known = known_cells(self.panel.y[series], months, self.transforms[series])
            steps = len(months) - len(known)
            rng = stream(seed, self.name, series, last[series])
            x = future.to_numpy(dtype=float)[len(known) :]
            if np.isnan(x).any():
                raise ModelError(
                    f"{self.name}: covariates are not known to {months[-1]}: extend them or shorten the horizon."
                )
            cube[:, : len(known), at] = known
            cube[:, len(known) :, at] = self.transforms[series].inverse(one.simulate(steps, x, paths, rng))
        return Forecast(
            cube,
            months,
            tuple(self.ones),
            tuple(last[series] for series in self.ones),
            self.name,
            notes={series: str(one.summary.get("chosen", "")) for series, one in self.ones.items()},
        )

    def describe(self) -> pd.DataFrame:
        rows = [
            {"series": series, "scale": self.transforms[series].label, **one.summary}
            for series, one in self.ones.items()
        ]
        return pd.DataFrame(rows)


def fit_each(name: str, min_months: int, panel: Panel, fit_one: FitOne) -> FittedEach:
    """Fit ``fit_one(z, months, x)`` to every series from its first to its last known month.

    z (T) is on the scale chosen by ``choose_transform``, NaN where a month is missing; x (T × k).
    """
    transforms, ones = {}, {}
    refuse_ended(name, panel)
    for series in panel.series:
        span = known_span(panel.y[series])
        y, months = span.to_numpy(dtype=float), pd.PeriodIndex(span.index)
        if (known := (~np.isnan(y)).sum()) < min_months:
            raise ModelError(
                f"{name} needs {min_months} months of {series}; {known} are known: use a simpler model"
                " (seasonal_naive needs 13, naive 3) or give more history."
            )
        x = panel.x.reindex(months).to_numpy(dtype=float) if len(panel.x.columns) else np.empty((len(y), 0))
        if np.isnan(x).any():
            raise ModelError(f"{name}: covariates do not cover {months[0]} to {months[-1]}, the months of {series}.")
        transforms[series] = choose_transform(y)
        try:
            ones[series] = fit_one(transforms[series].forward(y), months, x)
        except ForecastingError:
            raise
        except (np.linalg.LinAlgError, ValueError, FloatingPointError, ZeroDivisionError) as cause:
            raise ModelError(f"{name} could not fit {series}: {cause}") from cause
    return FittedEach(name, panel, transforms, ones)


def refuse_ended(name: str, panel: Panel) -> None:
    """ModelError for a series that ended long before the panel does: its forecast would begin years ago."""
    for series in panel.ended():
        end = known_span(panel.y[series]).index[-1]
        raise ModelError(
            f"{name}: {series} ends in {end}, more than {ENDED_MONTHS} months before the data do ({panel.cutoff}):"
            " leave it out, or forecast it from data of its own."
        )


def known_span(column: pd.Series) -> pd.Series:
    """The series from its first to its last known month."""
    known = np.flatnonzero(~np.isnan(column.to_numpy(dtype=float)))
    return column.iloc[known[0] : known[-1] + 1]


def known_cells(column: pd.Series, months: pd.PeriodIndex, transform: Transform) -> np.ndarray:
    """Values of the forecast months that the series already knows; a hole among them is bridged."""
    y = known_span(column)
    if months[0] > y.index[-1]:
        return np.empty(0)
    cells = y.reindex(months[months <= y.index[-1]])
    if cells.isna().any():
        filled = transform.inverse(bridge(transform.forward(y.to_numpy(dtype=float))))
        cells = cells.fillna(pd.Series(filled, index=y.index))
    return np.asarray(cells.to_numpy(dtype=float))


def bridge(z: np.ndarray) -> np.ndarray:
    """Fill holes for models that need every month: the year-ago change carried over, else a straight line.

    Only inside the known span; state-space models do this properly and do not call it.
    """
    filled = z.copy()
    holes = np.flatnonzero(np.isnan(z))
    line = np.interp(np.arange(len(z)), np.flatnonzero(~np.isnan(z)), z[~np.isnan(z)])
    for at in holes:
        neighbours = [year for year in (at - 12, at + 12) if 0 <= year < len(z) and not np.isnan(z[year])]
        season = [z[year] - line_without(z, int(year)) for year in neighbours]
        filled[at] = line[at] + (np.mean(season) if season else 0.0)
    return filled


def line_without(z: np.ndarray, at: int) -> float:
    """What a straight line between the neighbours of one month would say of it."""
    others = np.flatnonzero(~np.isnan(z) & (np.arange(len(z)) != at))
    return float(np.interp(at, others, z[others]))
