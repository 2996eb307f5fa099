"""The members' paths side by side: one distribution in which every model has its share."""

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


@dataclass(frozen=True)
class Ensemble:
    """Equal-weight linear pool: a share of the paths comes whole from each member (Stone 1961; Hall and Mitchell 2007).

    Where members disagree the pool is wider, which single models and averaged bounds never are.
    """

    members: tuple[str, ...] = ("theta", "ets", "sarima", "boosting", "boosting_yearly")

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
