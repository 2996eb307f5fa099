"""A forecast is sample paths; every published number is a reduction over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from forecasting import notebook
from forecasting.units import scale_of

QUANTILES = (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975)
QUANTILE_COLUMNS = ("q025", "q05", "q10", "q25", "q50", "q75", "q90", "q95", "q975")
COVERAGES = {50: ("q25", "q75"), 80: ("q10", "q90"), 90: ("q05", "q95"), 95: ("q025", "q975")}
KINDS = ("month", "quarter", "fiscal_year")
FORECAST_COLUMNS = (
    "scenario", "model", "cutoff", "series", "unit", "period", "kind", "step", "observed_months", "mean",
    *QUANTILE_COLUMNS,
)  # fmt: skip


@dataclass(frozen=True)
class Forecast:
    """Possible joint futures: paths (P × h × n) over months (h) of series (n).

    ``cutoff`` holds the last known month of each series (n). With a ragged edge some cells lie at or before
    their series' cutoff: they hold the published value on every path. ``notes`` says per series what was chosen,
    ``models`` which model made it where several did.
    """

    paths: np.ndarray
    months: pd.PeriodIndex
    series: tuple[str, ...]
    cutoff: tuple[pd.Period, ...]
    model: str
    scenario: str = "baseline"
    notes: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        expected = (len(self.months), len(self.series))
        if self.paths.ndim != 3 or self.paths.shape[1:] != expected or len(self.cutoff) != expected[1]:
            raise ValueError(f"{self.model}: paths {self.paths.shape} are not P × {expected[0]} × {expected[1]}.")
        if not np.isfinite(self.paths).all():
            raise ValueError(f"{self.model}: a path is not finite.")

    def column(self, series: str) -> np.ndarray:
        """Paths of one series (P × h)."""
        return self.paths[:, :, self.series.index(series)]

    def select(self, series: tuple[str, ...]) -> Forecast:
        """The same paths for these series, in this order."""
        if series == self.series:
            return self
        at = [self.series.index(one) for one in series]
        return replace(self, paths=self.paths[:, :, at], series=tuple(series), cutoff=tuple(self.cutoff[i] for i in at))

    def with_paths(self, paths: np.ndarray) -> Forecast:
        """A new forecast with other paths for the same cells."""
        return replace(self, paths=paths)

    def _repr_html_(self) -> str:
        """For notebooks: each series with its last known month, and the median and 80 % interval of the last month."""
        low, middle, high = np.quantile(self.paths[:, -1], (0.1, 0.5, 0.9), axis=0)
        scales = [scale_of("", [one]) for one in middle]
        return notebook.block(
            "Forecast by {}: {:,} paths × {} months × {} series".format(self.model, *self.paths.shape),
            notebook.table(
                ("series", "last known", f"median {self.months[-1]}", "80 % interval"),
                (
                    (name, cutoff, scale.text(b), f"{scale.text(a)} to {scale.text(c)}")
                    for name, cutoff, scale, a, b, c in zip(
                        self.series, self.cutoff, scales, low, middle, high, strict=True
                    )
                ),
                words=2,
            ),
            note=f"{self.months[0]} to {self.months[-1]}, {self.scenario}; values in the units of the catalogue.",
        )

    def steps(self) -> np.ndarray:
        """Months after each series' own cutoff (h × n); 0 and below = already published."""
        ordinals = self.months.asi8[:, None] - np.array([one.ordinal for one in self.cutoff])[None, :]
        return ordinals.astype(int)
