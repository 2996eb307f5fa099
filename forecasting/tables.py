"""From paths to the forecast table: derived series first, then quantiles of every month, quarter and fiscal year."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd

from forecasting.catalogue import Catalogue
from forecasting.forecast import FORECAST_COLUMNS, KINDS, QUANTILE_COLUMNS, QUANTILES, Forecast
from forecasting.observations import terms_of
from forecasting.periods import Totals, totals
from forecasting.units import conversion

ROUNDING = 1e-9
"""Share of a level below which a difference is none."""
DIFFERENCE = "-difference"
"""What the kind of a row of scenario less baseline ends in."""


def all_totals(
    forecast: Forecast, history: pd.DataFrame, catalogue: Catalogue, series: tuple[str, ...]
) -> dict[str, Totals]:
    """Totals of each kind for exactly these series, derived ones computed path by path from their terms' totals."""
    return {kind: _with_derived(totals(forecast, history, kind), catalogue, series) for kind in KINDS}


def _with_derived(base: Totals, catalogue: Catalogue, series: tuple[str, ...]) -> Totals:
    columns = {one: _Column.of(base, at) for at, one in enumerate(base.series)}

    def column(one: str) -> _Column:
        if one not in columns:
            entry = catalogue[one]
            needed = [term for term in terms_of(entry, catalogue) if term in entry.terms or term in columns]
            units = [
                conversion(catalogue[term].unit, entry.unit) for term in needed[1:] if entry.formula == "difference"
            ]
            columns[one] = _derived(entry.formula, [column(term) for term in needed], *units)
        return columns[one]

    chosen = [column(one) for one in series]
    return replace(
        base,
        series=series,
        paths=np.stack([one.paths for one in chosen], axis=2),
        year_ago=np.stack([one.year_ago for one in chosen], axis=2),
        observed=np.stack([one.observed for one in chosen], axis=1),
        step=np.stack([one.step for one in chosen], axis=1),
    )


class _Column:
    """Totals of one series: paths and year_ago (P × m), observed and step (m)."""

    def __init__(self, paths: np.ndarray, year_ago: np.ndarray, observed: np.ndarray, step: np.ndarray) -> None:
        self.paths, self.year_ago, self.observed, self.step = paths, year_ago, observed, step

    @classmethod
    def of(cls, base: Totals, at: int) -> _Column:
        return cls(base.paths[:, :, at], base.year_ago[:, :, at], base.observed[:, at], base.step[:, at])


def _derived(formula: str, terms: list[_Column], second: float = 1.0) -> _Column:
    first, others = terms[0], terms[1:]

    def apply(of: str) -> np.ndarray:
        a, rest = getattr(first, of), [getattr(one, of) for one in others]
        if formula == "sum":
            return np.sum([a, *rest], axis=0)
        if formula == "difference":
            return a - rest[0] * second
        if formula == "ratio":
            # Where nothing is traded there is no price.
            return np.divide(
                a,
                rest[0],
                out=np.full(np.broadcast_shapes(a.shape, rest[0].shape), np.nan),
                where=(rest[0] != 0) & (a != 0),
            )
        return np.maximum(a - np.sum(rest, axis=0), 0.0)

    return _Column(
        apply("paths"),
        apply("year_ago"),
        np.min([one.observed for one in terms], axis=0),
        np.max([one.step for one in terms], axis=0),
    )


def forecast_table(
    forecast: Forecast, kinds: dict[str, Totals], catalogue: Catalogue, growth: bool = False
) -> pd.DataFrame:
    """The forecast on paper: FORECAST_COLUMNS, one row a series and period that is not wholly published.

    ``growth`` adds rows in ``pct_yoy``: percent change on the same period a year earlier, from the same paths.
    """
    cutoffs = dict(zip(forecast.series, forecast.cutoff, strict=True))
    pieces = []
    for of in kinds.values():
        pieces.append(_rows(of, of.paths, None, catalogue))
        if growth:
            pieces.append(_rows(of, of.growth(), "pct_yoy", catalogue))
    table = pd.concat(pieces, ignore_index=True)
    table["scenario"] = forecast.scenario
    table["model"] = [", ".join(_models(one, forecast, catalogue)) for one in table["series"]]
    table["cutoff"] = [str(_cutoff(one, cutoffs, catalogue)) for one in table["series"]]
    order = {one: at for at, one in enumerate(next(iter(kinds.values())).series)}
    rank = pd.DataFrame(
        {
            "series": table["series"].map(order),
            "growth": table["unit"] == "pct_yoy",
            "kind": table["kind"].map(lambda kind: KINDS.index(kind.removesuffix(DIFFERENCE))),
            "period": table["period"],
        }
    )
    return table.loc[rank.sort_values(list(rank.columns), kind="stable").index, list(FORECAST_COLUMNS)].reset_index(
        drop=True
    )


def difference_table(
    forecast: Forecast, kinds: dict[str, Totals], baseline: dict[str, Totals], catalogue: Catalogue
) -> pd.DataFrame:
    """Scenario less baseline on the same random numbers, as rows of a forecast table of kind ``month-difference`` …"""
    gaps = {
        kind: replace(of, kind=f"{kind}{DIFFERENCE}", paths=_gap(of.paths, baseline[kind].paths))
        for kind, of in kinds.items()
    }
    return forecast_table(forecast, gaps, catalogue)


def differences(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of scenario less baseline that are not nothing: whose 95 % interval is more than a zero."""
    gaps = table[table["kind"].str.endswith(DIFFERENCE)]
    return gaps[(gaps["q025"] != 0) | (gaps["q975"] != 0)]


def _gap(paths: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Differences, none where they are the rounding of what was computed in another order."""
    gap = paths - base
    return np.where(np.abs(gap) <= ROUNDING * np.abs(base), 0.0, gap)


def _cutoff(series: str, cutoffs: dict[str, pd.Period], catalogue: Catalogue) -> pd.Period:
    if series in cutoffs:
        return cutoffs[series]
    return min(_cutoff(term, cutoffs, catalogue) for term in terms_of(catalogue[series], catalogue))


def _models(series: str, forecast: Forecast, catalogue: Catalogue) -> tuple[str, ...]:
    """The model of a series, or those of what it is computed from."""
    if series in forecast.series or not forecast.models:
        return (forecast.models.get(series, forecast.model),)
    terms = terms_of(catalogue[series], catalogue)
    return tuple(dict.fromkeys(model for term in terms for model in _models(term, forecast, catalogue)))


def _rows(of: Totals, paths: np.ndarray, unit: str | None, catalogue: Catalogue) -> pd.DataFrame:
    # A price on fewer than half of the paths is no forecast of a price.
    known = (np.isnan(paths).mean(axis=0) <= 0.5) & (of.step >= 1)
    period, series = np.nonzero(known)
    values = paths[:, period, series]
    table = pd.DataFrame(
        {
            "series": [of.series[at] for at in series],
            "unit": [unit or catalogue[of.series[at]].unit for at in series],
            "period": [of.labels[at] for at in period],
            "kind": of.kind,
            "step": of.step[period, series].astype(int),
            "observed_months": of.observed[period, series].astype(int),
            "mean": np.nanmean(values, axis=0) if values.size else [],
        }
    )
    quantiles = np.nanquantile(values, QUANTILES, axis=0) if values.size else np.empty((len(QUANTILES), 0))
    return table.assign(**dict(zip(QUANTILE_COLUMNS, quantiles, strict=True)))


def closure(series: Iterable[str], catalogue: Catalogue) -> tuple[str, ...]:
    """The stored series that these, derived ones taken apart, rest on."""
    needed: dict[str, None] = {}
    for one in series:
        entry = catalogue[one]
        parts = closure(terms_of(entry, catalogue), catalogue) if entry.derived else (one,)
        needed.update(dict.fromkeys(parts))
    return tuple(needed)
