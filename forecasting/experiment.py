"""Forecasts from past cutoffs beside what came: the harness keeps the truth."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from forecasting.compute import Progress, map_tasks, silent
from forecasting.errors import ForecastingError
from forecasting.forecast import Forecast
from forecasting.models.base import Forecaster
from forecasting.models.ensemble import Ensemble
from forecasting.panel import Panel

PanelAt = Callable[[pd.Period], Panel]
Origin = tuple[pd.Period, pd.DataFrame, tuple[str, ...]]
"""A cutoff, the future that a model may know (h × k) and the series wanted then."""

# What numbers do to a model that they do not suit: a failed forecast in a backtest, an error elsewhere.
NUMERICAL = (np.linalg.LinAlgError, ValueError, FloatingPointError, ZeroDivisionError, OverflowError)


@dataclass(frozen=True)
class Job:
    """One model on one series (or on the whole panel) from several cutoffs: what a worker gets.

    ``paths`` holds a number of paths for each forecast wanted of one fit: a model's own, and its share of a pool.
    ``watched`` takes a numerical error for a mistake of ours; ``described`` wants what was chosen at the last cutoff.
    """

    forecaster: Forecaster
    panels: tuple[Panel, ...]
    futures: tuple[pd.DataFrame, ...]
    wanted: tuple[tuple[str, ...], ...]
    paths: tuple[int, ...]
    seed: int
    watched: bool = True
    described: bool = True


@dataclass(frozen=True)
class Done:
    """What a worker gives back by cutoff: a forecast for each number of paths, or why there is none; CPU seconds.

    ``described`` says what the last fit chose.
    """

    forecasts: tuple[tuple[Forecast, ...] | str, ...]
    seconds: tuple[float, ...]
    described: pd.DataFrame


@dataclass(frozen=True)
class Rolling:
    """Forecasts by cutoff, the failures in words, and what the models chose at the last cutoff."""

    forecasts: tuple[Forecast, ...]
    failures: tuple[str, ...]
    described: pd.DataFrame


def work(job: Job) -> Done:
    """Fit and forecast from each cutoff; the truth after a cutoff is not in the job."""
    forecasts: list[tuple[Forecast, ...] | str] = []
    seconds: list[float] = []
    described = pd.DataFrame()
    for panel, future, wanted in zip(job.panels, job.futures, job.wanted, strict=True):
        began = time.process_time()
        try:
            fitted = job.forecaster.fit(panel)
            forecasts.append(tuple(fitted.predict(future, paths, job.seed).select(wanted) for paths in job.paths))
            if job.described and panel is job.panels[-1]:
                described = fitted.describe()
        except ForecastingError as error:
            forecasts.append(str(error))
        except NUMERICAL as error:
            if job.watched:
                raise
            forecasts.append(f"{job.forecaster.name}: {type(error).__name__}: {error}")
        seconds.append(time.process_time() - began)
    chosen = described[described["series"].isin(job.wanted[-1])] if len(described) else described
    return Done(tuple(forecasts), tuple(seconds), chosen)


def rolling(
    forecaster: Forecaster,
    panel_at: PanelAt,
    origins: Sequence[Origin],
    paths: int,
    seed: int,
    workers: int = 1,
    progress: Progress = silent,
) -> Rolling:
    """Forecast from every origin.

    A failure at the last origin is raised, because a forecast was asked for; earlier ones are reported.
    """
    parts = forecaster.parts() if isinstance(forecaster, Ensemble) else (forecaster,)
    share = forecaster.share(paths) if isinstance(forecaster, Ensemble) else paths
    panels = [panel_at(cutoff) for cutoff, _, _ in origins]
    jobs = [job for part in parts for job in jobs_of(part, panels, origins, (share,), seed)]
    done = map_tasks(work, [job for job, _ in jobs], workers, progress)
    failures = []
    by_origin: list[dict[str, list[Forecast]]] = [{part.name: [] for part in parts} for _ in origins]
    for (job, at), result in zip(jobs, done, strict=True):
        for origin, outcome in zip(at, result.forecasts, strict=True):
            if not isinstance(outcome, str):
                by_origin[origin][job.forecaster.name].append(outcome[0])
            elif origin == len(origins) - 1:
                raise ForecastingError(outcome)
            else:
                failures.append(f"{origins[origin][0]}: {outcome}")
    forecasts = []
    for found in by_origin:
        members = [side_by_side(pieces) for pieces in found.values() if pieces]
        if len(members) == len(parts):
            forecasts.append(forecaster.combine(members, paths) if isinstance(forecaster, Ensemble) else members[0])
    described = [
        result.described.assign(model=job.forecaster.name)
        for (job, at), result in zip(jobs, done, strict=True)
        if at[-1] == len(origins) - 1
    ]
    return Rolling(tuple(forecasts), tuple(failures), pd.concat(described, ignore_index=True))


def jobs_of(
    part: Forecaster, panels: Sequence[Panel], origins: Sequence[Origin], paths: tuple[int, ...], seed: int,
    watched: bool = True,
) -> list[tuple[Job, list[int]]]:  # fmt: skip
    """Jobs with the places of their origins: one a series over all its cutoffs, or for global models one a half-year.

    Choices inside a job are shared: orders, forms and trees are those of the last June or December. Parameters are
    estimated anew at every origin, and those of ETS and SARIMA start from what the choice left (never from the origin
    before), so that an origin says the same alone, after others and in any worker.
    """
    if getattr(part, "learns_across_series", False):
        halves: dict[tuple[int, bool], list[int]] = {}
        for origin, (cutoff, _, wanted) in enumerate(origins):
            if wanted:
                halves.setdefault(half_year_of(cutoff), []).append(origin)
        shown = [_long_enough(part, panel) for panel in panels]
        jobs = [(_job(part, shown, origins, half, paths, seed, watched), half) for half in halves.values()]
        return _described(jobs, len(origins) - 1)
    jobs = []
    for series in dict.fromkeys(one for _, _, wanted in origins for one in wanted):
        at = [i for i, (_, _, wanted) in enumerate(origins) if series in wanted]
        alone = {i: replace(panels[i], y=panels[i].y[[series]]) for i in at}
        only = {i: (origins[i][0], origins[i][1], (series,)) for i in at}
        jobs.append((_job(part, alone, only, at, paths, seed, watched), at))
    return _described(jobs, len(origins) - 1)


def half_year_of(cutoff: pd.Period) -> tuple[int, bool]:
    """The half-year whose choices a cutoff shares: they are made anew from June's and December's data on."""
    return (cutoff + 1).year, (cutoff + 1).month > 6


def _described(jobs: list[tuple[Job, list[int]]], last: int) -> list[tuple[Job, list[int]]]:
    """Only what was chosen at the last origin is ever asked for, and only where a forecast is."""
    return [(replace(job, described=job.watched and at[-1] == last), at) for job, at in jobs]


def _job(
    part: Forecaster,
    panels: Mapping[int, Panel] | Sequence[Panel],
    origins: Mapping[int, Origin] | Sequence[Origin],
    at: list[int],
    paths: tuple[int, ...],
    seed: int,
    watched: bool,
) -> Job:
    futures, wanted = (tuple(origins[i][which] for i in at) for which in (1, 2))
    return Job(part, tuple(panels[i] for i in at), futures, wanted, paths, seed, watched)  # type: ignore[arg-type]


def _long_enough(part: Forecaster, panel: Panel) -> Panel:
    enough = (panel.y.notna().sum() >= part.min_months) & ~panel.y.columns.isin(panel.ended())
    return replace(panel, y=panel.y.loc[:, enough]) if enough.any() else panel


def side_by_side(pieces: Sequence[Forecast]) -> Forecast:
    """Forecasts of different series over the same months as one."""
    return replace(
        pieces[0],
        paths=np.concatenate([one.paths for one in pieces], axis=2),
        series=tuple(series for one in pieces for series in one.series),
        cutoff=tuple(cutoff for one in pieces for cutoff in one.cutoff),
        notes={series: note for one in pieces for series, note in one.notes.items()},
    )
