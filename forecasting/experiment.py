"""Forecasts from past cutoffs beside what came: the harness keeps the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


@dataclass(frozen=True)
class Job:
    """One model on one series (or on the whole panel) from several cutoffs: what a worker gets."""

    forecaster: Forecaster
    panels: tuple[Panel, ...]
    futures: tuple[pd.DataFrame, ...]
    wanted: tuple[tuple[str, ...], ...]
    paths: int
    seed: int


@dataclass(frozen=True)
class Done:
    """What a worker gives back: a forecast a cutoff, or the reason why not; the description of the last fit."""

    forecasts: tuple[Forecast | str, ...]
    described: pd.DataFrame


@dataclass(frozen=True)
class Rolling:
    """Forecasts by cutoff, the failures in words, and what the models chose at the last cutoff."""

    forecasts: tuple[Forecast, ...]
    failures: tuple[str, ...]
    described: pd.DataFrame


def work(job: Job) -> Done:
    """Fit and forecast from each cutoff; the truth after a cutoff is not in the job."""
    forecasts: list[Forecast | str] = []
    described = pd.DataFrame()
    for panel, future, wanted in zip(job.panels, job.futures, job.wanted, strict=True):
        try:
            fitted = job.forecaster.fit(panel)
            forecasts.append(fitted.predict(future, job.paths, job.seed).select(wanted))
            if panel is job.panels[-1]:
                described = fitted.describe()
        except ForecastingError as error:
            forecasts.append(str(error))
    return Done(tuple(forecasts), described[described["series"].isin(job.wanted[-1])] if len(described) else described)


def rolling(
    forecaster: Forecaster,
    panel_at: PanelAt,
    origins: Sequence[tuple[pd.Period, pd.DataFrame, tuple[str, ...]]],
    paths: int,
    seed: int,
    workers: int = 1,
    progress: Progress = silent,
) -> Rolling:
    """Forecast from every origin: its cutoff, the future that a model may know (h × k) and the series wanted then.

    A failure at the last origin is raised, because a forecast was asked for; earlier ones are reported.
    """
    parts = forecaster.parts() if isinstance(forecaster, Ensemble) else (forecaster,)
    share = forecaster.share(paths) if isinstance(forecaster, Ensemble) else paths
    panels = [panel_at(cutoff) for cutoff, _, _ in origins]
    jobs = [job for part in parts for job in _jobs(part, panels, origins, share, seed)]
    done = map_tasks(work, [job for job, _ in jobs], workers, progress)
    failures = []
    by_origin: list[dict[str, list[Forecast]]] = [{part.name: [] for part in parts} for _ in origins]
    for (job, at), result in zip(jobs, done, strict=True):
        for origin, outcome in zip(at, result.forecasts, strict=True):
            if isinstance(outcome, Forecast):
                by_origin[origin][job.forecaster.name].append(outcome)
            elif origin == len(origins) - 1:
                raise ForecastingError(outcome)
            else:
                failures.append(f"{origins[origin][0]}: {outcome}")
    forecasts = []
    for found in by_origin:
        members = [_side_by_side(pieces) for pieces in found.values() if pieces]
        if len(members) == len(parts):
            forecasts.append(forecaster.combine(members, paths) if isinstance(forecaster, Ensemble) else members[0])
    described = [
        result.described.assign(model=job.forecaster.name)
        for (job, at), result in zip(jobs, done, strict=True)
        if at[-1] == len(origins) - 1
    ]
    return Rolling(tuple(forecasts), tuple(failures), pd.concat(described, ignore_index=True))


def _jobs(
    part: Forecaster, panels: Sequence[Panel], origins: Sequence[tuple[pd.Period, pd.DataFrame, tuple[str, ...]]],
    paths: int, seed: int,
) -> list[tuple[Job, list[int]]]:  # fmt: skip
    """A job a series over all its cutoffs, or for global models a job a half-year: choices inside them are shared."""
    if getattr(part, "learns_across_series", False):
        halves: dict[tuple[int, bool], list[int]] = {}
        for origin, (cutoff, _, wanted) in enumerate(origins):
            if wanted:
                # Choices are made anew from June's and December's data on.
                halves.setdefault(((cutoff + 1).year, (cutoff + 1).month > 6), []).append(origin)
        return [(_global_job(part, panels, origins, half, paths, seed), half) for half in halves.values()]
    jobs = []
    for series in dict.fromkeys(one for _, _, wanted in origins for one in wanted):
        at = [i for i, (_, _, wanted) in enumerate(origins) if series in wanted]
        shown = tuple(replace(panels[i], y=panels[i].y[[series]]) for i in at)
        jobs.append((Job(part, shown, tuple(origins[i][1] for i in at), ((series,),) * len(at), paths, seed), at))
    return jobs


def _global_job(
    part: Forecaster,
    panels: Sequence[Panel],
    origins: Sequence[tuple[pd.Period, pd.DataFrame, tuple[str, ...]]],
    at: list[int],
    paths: int,
    seed: int,
) -> Job:
    shown = tuple(_long_enough(part, panels[one]) for one in at)
    wanted = tuple(origins[one][2] for one in at)
    return Job(part, shown, tuple(origins[one][1] for one in at), wanted, paths, seed)


def _long_enough(part: Forecaster, panel: Panel) -> Panel:
    enough = panel.y.notna().sum() >= part.min_months
    return replace(panel, y=panel.y.loc[:, enough]) if enough.any() else panel


def _side_by_side(pieces: Sequence[Forecast]) -> Forecast:
    """Forecasts of different series over the same months as one."""
    return replace(
        pieces[0],
        paths=np.concatenate([one.paths for one in pieces], axis=2),
        series=tuple(series for one in pieces for series in one.series),
        cutoff=tuple(cutoff for one in pieces for cutoff in one.cutoff),
        notes={series: note for one in pieces for series, note in one.notes.items()},
    )
