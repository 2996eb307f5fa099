"""From settings to calibrated, coupled paths of one group of series; computed once, then read from the cache."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from forecasting import calibration, store
from forecasting.compute import Progress, silent
from forecasting.covariates import held
from forecasting.errors import ModelError
from forecasting.experiment import Rolling, rolling
from forecasting.forecast import Forecast
from forecasting.models.base import Forecaster
from forecasting.panel import Panel
from forecasting.seeds import stream
from forecasting.transform import choose_transform

# Past cutoffs that a calibration learns from: every month for short histories, every third for long ones, whose
# models cost more to fit and whose errors overlap less.
SHORT_ORIGINS = 16
LONG_ORIGINS = 12
LONG_SPACING = 3
CALIBRATION_HORIZON = 18
ENOUGH = 1_000
"""Past forecasts (cutoffs times series) beyond which no further cutoff is learned from."""


@dataclass(frozen=True)
class Made:
    """Calibrated and coupled paths of some series, with what they rest on."""

    forecast: Forecast
    described: pd.DataFrame
    origins: dict[str, int]
    widened: frozenset[str]
    failures: tuple[str, ...]
    cached: bool
    remark: str = ""

    def only(self, series: Collection[str]) -> Made:
        """The same, saying nothing of other series than these."""
        described = self.described[self.described["series"].isin(series)].reset_index(drop=True)
        return replace(self, described=described, origins={one: n for one, n in self.origins.items() if one in series})

    def say(self, series: Sequence[str]) -> str:
        here = [one for one in series if one in self.origins]
        return calibration.say(self.origins, here, self.widened) if here else ""


@dataclass(frozen=True)
class Run:
    """Everything that a group of series is forecast with.

    ``revised`` are panels like ``panel`` with provisional months drawn as revised: each gives a share of the paths.
    """

    model: Forecaster
    panel: Panel
    last: pd.Period
    paths: int
    seed: int
    hold_covariates: bool = False
    workers: int = 1
    cached: bool = True
    progress: Progress = silent
    revised: tuple[Panel, ...] = ()

    def __call__(self, series: tuple[str, ...]) -> Made:
        cache = store.Cache(store.cache_folder())
        key = store.cache_key(
            "forecast",
            self.model,
            self.panel.digest(),
            series,
            str(self.last),
            self.paths,
            self.seed,
            self.hold_covariates,
            [one.digest() for one in self.revised],
        )
        if self.cached and (kept := cache.get(key)):
            return _unpacked(kept, self.model.name)
        made = self._made(series)
        return replace(made, remark=cache.put(key, _packed(made))) if self.cached else made

    def responses(self, series: tuple[str, ...], others: Sequence[pd.DataFrame]) -> list[np.ndarray]:
        """Factors (h × n) on the medians of these series under other futures of the covariates (each months × k)."""
        cutoff = self.panel.cutoff
        futures = [Panel(self.panel.y, x).future(self.last) for x in (self.panel.x, *others)]
        origins = [(cutoff, future, series) for future in futures]
        rolled = rolling(self.model, self._panel_at, origins, self.paths, self.seed, self.workers, self.progress)
        if rolled.failures:
            raise ModelError(rolled.failures[0])
        own, *changed = [np.median(one.select(series).paths, axis=0) for one in rolled.forecasts]
        return [np.divide(one, own, out=np.ones_like(own), where=own > 0) for one in changed]

    def _made(self, series: tuple[str, ...]) -> Made:
        rolled = self._rolled(series)
        *past, final = rolled.forecasts
        final = self._as_revised(final, series)
        ready, learned = after_the_model(final, past, self.panel.y, self.seed)
        return Made(ready, rolled.described, dict(learned.origins), learned.widened, rolled.failures, cached=False)

    def _as_revised(self, final: Forecast, series: tuple[str, ...]) -> Forecast:
        """Paths pooled from the revised panels, if there are any; cells that are published stay as published."""
        if not self.revised:
            return final
        origin = [(self.panel.cutoff, self._future(self.panel.cutoff, self.last), series)]
        share = -(-self.paths // len(self.revised))
        pieces = []
        for at, panel in enumerate(self.revised):
            seed = int(stream(self.seed, "revised panel", at).integers(2**31))
            made = rolling(self.model, panel.until, origin, share, seed, self.workers, self.progress)
            pieces.append(made.forecasts[0].select(final.series).paths)
        paths = np.concatenate(pieces)[: self.paths]
        return final.with_paths(np.where(final.steps() > 0, paths, final.paths))

    def _rolled(self, series: tuple[str, ...]) -> Rolling:
        steps = min((self.last - self.panel.cutoff).n, CALIBRATION_HORIZON)
        origins = [
            *calibration_origins(self.panel, series, self.model.min_months, steps),
            (self.panel.cutoff, series),
        ]
        known = [
            (
                cutoff,
                self._future(cutoff, self.last if cutoff == self.panel.cutoff else cutoff + steps),
                wanted,
            )
            for cutoff, wanted in origins
        ]
        return rolling(self.model, self._panel_at, known, self.paths, self.seed, self.workers, self.progress)

    def _panel_at(self, cutoff: pd.Period) -> Panel:
        return self.panel.until(cutoff)

    def _future(self, cutoff: pd.Period, last: pd.Period) -> pd.DataFrame:
        x = held(self.panel.x, cutoff) if self.hold_covariates and cutoff < self.panel.cutoff else self.panel.x
        return Panel(self.panel.until(cutoff).y, x).future(last)


def after_the_model(
    final: Forecast, past: Sequence[Forecast], y: pd.DataFrame, seed: int
) -> tuple[Forecast, calibration.Calibration]:
    """Calibrate and couple a forecast by what earlier ones missed; ``y`` (T × n) ends at the cutoff."""
    rows = [calibration.error_rows(one, y) for one in past]
    transforms = {one: choose_transform(y[one].to_numpy(dtype=float)) for one in final.series}
    months_known = {one: int(y[one].notna().sum()) for one in final.series}
    learned = calibration.learn(
        pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(),
        transforms,
        months_known,
        len(final.months),
    )
    calibrated = calibration.calibrate(final, learned, transforms)
    return calibration.couple(calibrated, learned.scores, seed), learned


def calibration_origins(
    panel: Panel, series: tuple[str, ...], min_months: int, steps: int
) -> list[tuple[pd.Period, tuple[str, ...]]]:
    """Past cutoffs to learn from, oldest first, each with the series that had enough history then.

    ``steps`` are the months of each forecast. Many series need fewer cutoffs, which then overlap less.
    """
    counted = panel.y[list(series)].notna().to_numpy().cumsum(axis=0)
    short = counted[-1] < calibration.SHORT_MONTHS
    backs = backs_of_kinds(len(series), steps)
    origins = []
    for back in sorted({*backs[0], *backs[1]}, reverse=True):
        cutoff = panel.cutoff - back
        if cutoff < panel.months[0]:
            continue
        enough = counted[-1 - back] >= min_months
        due = np.where(short, back in backs[0], back in backs[1])
        wanted = tuple(one for one, here in zip(series, enough & due, strict=True) if here)
        if wanted:
            origins.append((cutoff, wanted))
    return origins


def backs_of_kinds(series: int, steps: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Months back from the last cutoff to those that are learned from, of short histories and of long ones."""
    return _backs(series, steps, SHORT_ORIGINS, 1), _backs(series, steps, LONG_ORIGINS, LONG_SPACING)


def _backs(series: int, steps: int, most: int, spacing: int) -> tuple[int, ...]:
    count = min(-(-ENOUGH // series), most)
    apart = spacing if count == most else max(spacing, min(steps, LONG_ORIGINS * LONG_SPACING // count))
    return tuple(apart * one for one in range(1, count + 1))


def _packed(made: Made) -> dict[str, np.ndarray]:
    """Arrays that say everything, for a cache that holds nothing executable."""
    said = {
        "series": made.forecast.series,
        "cutoff": [str(one) for one in made.forecast.cutoff],
        "months": [str(one) for one in made.forecast.months],
        "notes": dict(made.forecast.notes),
        "described": json.loads(made.described.to_json(orient="records")),
        "origins": made.origins,
        "widened": sorted(made.widened),
        "failures": made.failures,
    }
    return {"paths": made.forecast.paths, "said": np.frombuffer(json.dumps(said).encode(), dtype=np.uint8)}


def _unpacked(kept: dict[str, np.ndarray], model: str) -> Made:
    said = json.loads(kept["said"].tobytes().decode())
    made = Forecast(
        kept["paths"],
        pd.PeriodIndex(said["months"], freq="M"),
        tuple(said["series"]),
        tuple(pd.Period(one, "M") for one in said["cutoff"]),
        model,
        notes=said["notes"],
    )
    described, widened = pd.DataFrame(said["described"]), frozenset(said["widened"])
    return Made(made, described, said["origins"], widened, tuple(said["failures"]), cached=True)
