"""Months, calendar quarters and Japanese fiscal years: totals over paths, with the published months exact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

import numpy as np
import pandas as pd

from forecasting.forecast import Forecast

FREQUENCIES = {"month": "M", "quarter": "Q-DEC", "fiscal_year": "Y-MAR"}
"""How pandas calls the periods of each kind."""
MONTHS_OF = {"month": 1, "quarter": 3, "fiscal_year": 12}
"""Months of a whole period of each kind."""
_YEARS_OF_HISTORY = 3


def label(period: pd.Period, kind: str) -> str:
    """``2026-09``, ``2026Q4`` or ``FY2026`` (April 2026 to March 2027)."""
    if kind == "quarter":
        return f"{period.year}Q{period.quarter}"
    return f"FY{period.year - 1}" if kind == "fiscal_year" else str(period)


def quarter_words(quarter: str) -> str:
    """Oct–Dec 2026 of ``2026Q4``."""
    year, _, place = quarter.partition("Q")
    return f"{('Jan–Mar', 'Apr–Jun', 'Jul–Sep', 'Oct–Dec')[int(place) - 1]} {year}"


def next_full_quarter_end(cutoff: pd.Period) -> pd.Period:
    """Last month of the first calendar quarter that lies wholly after the cutoff."""
    quarter = (cutoff + 1).asfreq("Q-DEC")
    full = quarter if quarter.asfreq("M", "start") > cutoff else quarter + 1
    return full.asfreq("M", "end")


@dataclass(frozen=True)
class Totals:
    """Totals of one kind: paths (P × m × n) over periods (m) of series (n), NaN where a published month is missing.

    ``year_ago`` (P or 1 × m × n) is the same period a year earlier; ``observed`` (m × n) counts published months;
    ``step`` (m × n) is 1 for the first period that is not wholly published.
    """

    kind: str
    labels: tuple[str, ...]
    series: tuple[str, ...]
    paths: np.ndarray
    year_ago: np.ndarray
    observed: np.ndarray
    step: np.ndarray

    def growth(self) -> np.ndarray:
        """Percent change on a year earlier (P × m × n); NaN where a year ago nothing was traded or known."""
        base = np.where(self.year_ago == 0, np.nan, self.year_ago)
        return 100.0 * (self.paths / base - 1.0)

    def probability_of_fall(self) -> np.ndarray:
        """Share of paths below the same period a year earlier (m × n); NaN where that is not known."""
        known = ~np.isnan(self.growth())
        falls = ((self.paths < self.year_ago) & known).sum(axis=0)
        return np.where(known.any(axis=0), falls / np.maximum(known.sum(axis=0), 1), np.nan)


def totals(forecast: Forecast, history: pd.DataFrame, kind: str) -> Totals:
    """Totals over every period that contains a forecast month and ends within the horizon.

    ``history`` (T × n) holds the published values; cells of the forecast before a series' cutoff already do.
    """
    months, cube = _timeline(forecast, history)
    first = len(months) - len(forecast.months)
    spans = [
        (period, start, stop)
        for period, start, stop in _spans(months, kind)
        if stop > first and stop - start == (period.asfreq("M", "end") - period.asfreq("M", "start")).n + 1
    ]
    cutoffs = np.array([one.ordinal for one in forecast.cutoff])
    ordinals = months.asi8
    paths = [_added(cube[:, start:stop]) for _, start, stop in spans]
    before = [_added(cube[:, max(start - 12, 0) : stop - 12]) for _, start, stop in spans]
    observed = np.array([[(ordinals[a:b] <= cut).sum() for cut in cutoffs] for _, a, b in spans])
    open_ = np.array([[ordinals[b - 1] > cut for cut in cutoffs] for _, _, b in spans])
    shape = (0, len(cutoffs))
    return Totals(
        kind,
        tuple(label(period, kind) for period, _, _ in spans),
        forecast.series,
        np.stack(paths, axis=1) if paths else np.empty((len(cube), *shape)),
        np.stack(before, axis=1) if before else np.empty((len(cube), *shape)),
        observed.reshape(-1, len(cutoffs)),
        np.cumsum(open_.reshape(-1, len(cutoffs)), axis=0),
    )


def _added(cells: np.ndarray) -> np.ndarray:
    """Sum over months (P × m × n → P × n), one after another: numpy's own order depends on how memory lies."""
    return reduce(np.add, np.moveaxis(cells, 1, 0))


def _timeline(forecast: Forecast, history: pd.DataFrame) -> tuple[pd.PeriodIndex, np.ndarray]:
    """Published months before the horizon and the paths after them, as one cube (P × months × n)."""
    start = forecast.months[0]
    past = pd.period_range(start - 12 * _YEARS_OF_HISTORY, start - 1, freq="M")
    known = history.reindex(index=past, columns=list(forecast.series)).to_numpy(dtype=float)
    repeated = np.broadcast_to(known, (len(forecast.paths), *known.shape))
    months = pd.period_range(past[0], forecast.months[-1], freq="M")
    return months, np.concatenate([repeated, forecast.paths], axis=1)


def _spans(months: pd.PeriodIndex, kind: str) -> Iterator[tuple[pd.Period, int, int]]:
    periods = months.asfreq(FREQUENCIES[kind])
    edges = [0, *(np.flatnonzero(periods.asi8[1:] != periods.asi8[:-1]) + 1), len(months)]
    for start, stop in pairwise(edges):
        yield periods[start], int(start), int(stop)
