"""All members in one distribution: their common centre, their middle spread, their ways through the months."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from forecasting.errors import ModelError
from forecasting.forecast import Forecast
from forecasting.models import forecaster
from forecasting.models.base import Fitted, Forecaster
from forecasting.panel import Panel

NOTHING = 0.025  # of the paths at zero: zero is the lower bound of what is shown


@dataclass(frozen=True)
class Ensemble:
    """One distribution of all members: the median of their pool (Stone 1961), as wide as the middle ones of ``spread``.

    Each month's spread is, quantile by quantile, the mean of the members' without the narrowest and the widest
    (Lichtendahl, Grushka-Cockayne and Winkler 2013; trimmed as Jose, Grushka-Cockayne and Lichtendahl 2014). How
    months hang together is that of whole paths, of which every member gives its share. Where nothing at all is among
    what is likely, the pool stays as it is: a spread cannot be moved in proportion from zero, nor to it.
    """

    members: tuple[str, ...] = ("theta", "ets", "sarima", "boosting", "boosting_yearly")
    # two kinds of trees share one way to be uncertain: it counts once
    spread: tuple[str, ...] = ("theta", "ets", "sarima", "boosting")

    name: ClassVar[str] = "ensemble"
    min_months: ClassVar[int] = 24

    def __post_init__(self) -> None:
        if not self.members or self.name in self.members:
            raise ModelError(f"ensemble needs members other than itself; found {', '.join(self.members) or 'none'}.")

    def parts(self) -> tuple[Forecaster, ...]:
        """The members, to be fitted apart."""
        return tuple(forecaster(member) for member in self.members)

    def fit(self, panel: Panel) -> FittedEnsemble:
        for series in panel.series:
            if (known := panel.y[series].notna().sum()) < self.min_months:
                raise ModelError(
                    f"{self.name} needs {self.min_months} months of {series}; {known} are known: use a simpler"
                    " model (seasonal_naive needs 13, naive 3) or give more history."
                )
        return FittedEnsemble(self, tuple(member.fit(panel) for member in self.parts()))

    def share(self, paths: int) -> int:
        """Paths that each member has to give for the pool to hold ``paths``."""
        return -(-paths // len(self.members))

    def combine(self, forecasts: Sequence[Forecast], paths: int) -> Forecast:
        """The pool of the members' forecasts (each share(paths) × h × n), for the series that all of them have."""
        common = tuple(one for one in forecasts[0].series if all(one in other.series for other in forecasts))
        chosen = [one.select(common) for one in forecasts]
        # Interleaved, so that any leading part of the paths holds every member alike.
        pool = np.stack([one.paths for one in chosen], axis=1).reshape(-1, *chosen[0].paths.shape[1:])[:paths]
        own = [one.paths for one in chosen if one.model in self.spread] or [one.paths for one in chosen]
        order, ascending = _ordered(_by_cell(pool))
        kept = (ascending[..., 0] == ascending[..., -1]) | _often_nothing(ascending)
        made = _in_ranks_of(order, _centred(_middle([_by_cell(one) for one in own]), _median(ascending)))
        pool = np.where(kept, pool, np.ascontiguousarray(np.moveaxis(made, -1, 0)))
        notes = {series: "; ".join(f"{one.model}: {one.notes.get(series, '')}" for one in chosen) for series in common}
        return Forecast(pool, chosen[0].months, common, chosen[0].cutoff, self.name, notes=notes)


@dataclass(frozen=True)
class FittedEnsemble:
    """The members, fitted."""

    settings: Ensemble
    members: tuple[Fitted, ...]

    def predict(self, future: pd.DataFrame, paths: int, seed: int) -> Forecast:
        share = self.settings.share(paths)
        return self.settings.combine([one.predict(future, share, seed) for one in self.members], paths)

    def describe(self) -> pd.DataFrame:
        tables = [
            one.describe().assign(member=name) for name, one in zip(self.settings.members, self.members, strict=True)
        ]
        return pd.concat(tables, ignore_index=True)


def _by_cell(paths: np.ndarray) -> np.ndarray:
    """Paths (P × h × n) with those of a cell side by side (h × n × P), which sorts faster."""
    return np.ascontiguousarray(np.moveaxis(paths, 0, -1))


def _ordered(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places of the paths of each cell (h × n × P) from the least on, earlier ones first among equals; the paths so."""
    order = np.argsort(cells, axis=-1, kind="stable")
    return order, np.take_along_axis(cells, order, axis=-1)


def _median(ascending: np.ndarray) -> np.ndarray:
    """Of what is in order (… × Q)."""
    size = ascending.shape[-1]
    return np.asarray((ascending[..., (size - 1) // 2] + ascending[..., size // 2]) / 2)


def _often_nothing(ascending: np.ndarray) -> np.ndarray:
    """Cells (h × n) of which the lower 95 % bound is zero."""
    return np.asarray((ascending[..., 0] == 0) & (ascending[..., int(NOTHING * ascending.shape[-1])] == 0))


def _middle(cells: Sequence[np.ndarray]) -> np.ndarray:
    """Quantiles (h × n × share, ascending): the mean of the members', without the least and most where four are."""
    ordered = np.stack([np.sort(one, axis=-1) for one in cells])
    if len(ordered) >= 4:
        ordered = np.sort(ordered, axis=0)[1:-1]
    return np.asarray(ordered.mean(axis=0))


def _centred(quantiles: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """The same spread around this median (h × n): in proportion where nothing is negative, which so stays positive."""
    median = _median(quantiles)
    positive = (quantiles[..., 0] >= 0) & (median > 0)
    ratio = np.divide(centre, median, out=np.ones_like(centre), where=positive)
    moved = quantiles + (centre - median)[..., None]
    return np.where(positive[..., None], quantiles * ratio[..., None], moved)


def _in_ranks_of(order: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """Paths (h × n × P) with these quantiles (h × n × Q) in each cell, ranked as those that have this order."""
    paths, known = order.shape[-1], quantiles.shape[-1]
    place = np.clip((np.arange(paths) + 0.5) / paths * known - 0.5, 0, known - 1)
    below = np.minimum(place.astype(int), max(known - 2, 0))
    above = np.minimum(below + 1, known - 1)
    share = place - below
    made = np.empty(order.shape)
    between = (1 - share) * quantiles[..., below] + share * quantiles[..., above]
    np.put_along_axis(made, order, between, axis=-1)
    return made
