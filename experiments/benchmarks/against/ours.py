"""Our forecasts: each model alone, and the whole chain of `tradecast forecast` on a file of one's own."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from against.data import Task
from forecasting import pipeline
from forecasting.compute import Progress, map_tasks
from forecasting.experiment import Origin, jobs_of, side_by_side, work
from forecasting.forecast import QUANTILE_COLUMNS, QUANTILES, Forecast
from forecasting.models import forecaster
from forecasting.models.base import Forecaster
from forecasting.models.ensemble import Ensemble
from forecasting.periods import next_full_quarter_end

CHAIN = "tradecast"
"""The ensemble, calibrated on past cutoffs and coupled: what `tradecast forecast --data` gives."""

Past = dict[pd.Period, dict[pd.Period, tuple[str, ...]]]
"""By scored cutoff the earlier ones that its calibration learns from, with their series."""


@dataclass(frozen=True)
class Ours:
    """Rows of months and of next-quarter totals (model, cutoff, unique_id, h, point, nine quantiles), CPU seconds."""

    months: pd.DataFrame
    quarters: pd.DataFrame
    seconds: dict[str, float]
    failures: tuple[str, ...]


@dataclass(frozen=True)
class Raw:
    """Forecasts of one member by cutoff and the CPU seconds that they took."""

    forecasts: dict[pd.Period, Forecast]
    seconds: dict[pd.Period, float]
    failures: tuple[str, ...] = ()


def of_ours(
    task: Task, names: Sequence[str], paths: int, seed: int, workers: int, keep: Path | None, progress: Progress
) -> Ours:
    """Forecasts of these models from every cutoff of the task."""
    pool = Ensemble()
    members = list(dict.fromkeys(one for name in names for one in _parts(name, pool)))
    past = _past(task) if CHAIN in names else {}
    raw = {one: _raw(forecaster(one), task, past, paths, seed, workers, keep, progress) for one in members}
    months, quarters, seconds = [], [], dict.fromkeys(names, 0.0)
    for cutoff in task.cutoffs:
        if not task.wanted(cutoff):
            continue
        for name in names:
            made, took = _made(name, cutoff, raw, past.get(cutoff, {}), task, pool, paths, seed)
            months.append(_rows(made, name, cutoff, np.arange(1, task.horizon + 1), made.paths))
            if task.dated:
                quarters.append(_quarter(made, name, cutoff))
            seconds[name] += took
    failures = tuple(line for one in raw.values() for line in one.failures)
    totals = [one for one in quarters if one is not None]
    return Ours(
        *(pd.concat(tables, ignore_index=True) if tables else pd.DataFrame() for tables in (months, totals)),
        seconds,
        failures,
    )


def _parts(name: str, pool: Ensemble) -> tuple[str, ...]:
    return pool.members if name in (CHAIN, Ensemble.name) else (name,)


def _past(task: Task) -> Past:
    least = Ensemble.min_months
    found = {}
    for cutoff in task.cutoffs:
        if wanted := task.wanted(cutoff):
            found[cutoff] = dict(pipeline.calibration_origins(task.panel(cutoff), wanted, least))
    return found


def _raw(
    part: Forecaster, task: Task, past: Past, paths: int, seed: int, workers: int, keep: Path | None, progress: Progress
) -> Raw:
    """One member from every cutoff that is scored or learned from, read where it was kept."""
    wanted: dict[pd.Period, tuple[str, ...]] = {one: here for one in task.cutoffs if (here := task.wanted(one))}
    for scored in past.values():
        for cutoff, series in scored.items():
            wanted[cutoff] = tuple(dict.fromkeys((*wanted.get(cutoff, ()), *series)))
    label = hashlib.sha256(repr((part, paths, seed, task.horizon)).encode())
    label.update(pd.util.hash_pandas_object(task.y).to_numpy().tobytes())
    kept, todo = {}, []
    for cutoff in sorted(wanted):
        key = hashlib.sha256(label.digest() + repr((str(cutoff), wanted[cutoff])).encode()).hexdigest()[:16]
        file = keep / f"{part.name}-{cutoff}-{key}.npz" if keep else None
        if file and file.exists():
            kept[cutoff] = _load(file, part.name, cutoff, task.horizon)
        else:
            todo.append((cutoff, wanted[cutoff], file))
    made = _fresh(part, task, todo, paths, seed, workers, progress) if todo else Raw({}, {})
    for cutoff, _, file in todo:
        if file and cutoff in made.forecasts:
            file.parent.mkdir(parents=True, exist_ok=True)
            one = made.forecasts[cutoff]
            np.savez(file, paths=one.paths.astype("f4"), series=one.series, seconds=made.seconds[cutoff])
    return Raw(
        {cutoff: one for cutoff, (one, _) in kept.items()} | made.forecasts,
        {cutoff: took for cutoff, (_, took) in kept.items()} | made.seconds,
        made.failures,
    )


def _load(file: Path, name: str, cutoff: pd.Period, horizon: int) -> tuple[Forecast, float]:
    found = np.load(file)
    series = tuple(map(str, found["series"]))
    months = pd.period_range(cutoff + 1, cutoff + horizon, freq="M")
    made = Forecast(found["paths"].astype(float), months, series, (cutoff,) * len(series), name)
    return made, float(found["seconds"])


def _fresh(
    part: Forecaster, task: Task, todo: Sequence[tuple[pd.Period, tuple[str, ...], object]], paths: int, seed: int,
    workers: int, progress: Progress,
) -> Raw:  # fmt: skip
    # A model fitted at a scored cutoff sees the panel that is scored there; at earlier ones the same series.
    series = tuple(dict.fromkeys(one for _, wanted, _ in todo for one in wanted))
    panels = [replace(task.panel(task.cutoffs[-1]), y=_known(task, series, cutoff)) for cutoff, _, _ in todo]
    origins: list[Origin] = [
        (cutoff, pd.DataFrame(index=pd.period_range(cutoff + 1, cutoff + task.horizon, freq="M")), wanted)
        for cutoff, wanted, _ in todo
    ]
    jobs = jobs_of(part, panels, origins, (paths,), seed, watched=False)
    done = map_tasks(work, [job for job, _ in jobs], workers, progress)
    pieces: dict[int, list[Forecast]] = {at: [] for at in range(len(todo))}
    seconds, failures = np.zeros(len(todo)), []
    for (_, at), result in zip(jobs, done, strict=True):
        for origin, outcome, took in zip(at, result.forecasts, result.seconds, strict=True):
            seconds[origin] += took
            if isinstance(outcome, str):
                failures.append(f"{todo[origin][0]}: {outcome}")
            else:
                pieces[origin].append(outcome[0])
    return Raw(
        {todo[at][0]: side_by_side(found) for at, found in pieces.items() if found},
        {todo[at][0]: float(seconds[at]) for at in pieces},
        tuple(failures),
    )


def _known(task: Task, series: tuple[str, ...], cutoff: pd.Period) -> pd.DataFrame:
    known = task.y.loc[:cutoff, list(series)]
    return known.loc[:, known.notna().any()]


def _made(
    name: str, cutoff: pd.Period, raw: dict[str, Raw], past: dict[pd.Period, tuple[str, ...]], task: Task,
    pool: Ensemble, paths: int, seed: int,
) -> tuple[Forecast, float]:  # fmt: skip
    """The forecast of this name from the cutoff, and its CPU seconds, calibration included."""
    if name not in (CHAIN, pool.name):
        return raw[name].forecasts[cutoff], raw[name].seconds[cutoff]
    began = time.process_time()
    final = _pooled(pool, raw, cutoff, task.wanted(cutoff), paths)
    used = [cutoff]
    if name == CHAIN:
        there = {one: series for one, series in past.items() if all(one in raw[m].forecasts for m in pool.members)}
        learned = [_shorter(_pooled(pool, raw, one, series, paths)) for one, series in there.items()]
        final, _ = pipeline.after_the_model(final, learned, task.y[list(final.series)].loc[:cutoff], seed)
        used += list(there)
    took = time.process_time() - began
    return final, took + sum(raw[member].seconds[one] for member in pool.members for one in used)


def _pooled(pool: Ensemble, raw: dict[str, Raw], cutoff: pd.Period, wanted: tuple[str, ...], paths: int) -> Forecast:
    found = [raw[member].forecasts[cutoff] for member in pool.members]
    common = tuple(one for one in wanted if all(one in forecast.series for forecast in found))
    share = pool.share(paths)
    return pool.combine([replace(one.select(common), paths=one.select(common).paths[:share]) for one in found], paths)


def _shorter(forecast: Forecast) -> Forecast:
    steps = pipeline.CALIBRATION_HORIZON
    return replace(forecast, paths=forecast.paths[:, :steps], months=forecast.months[:steps])


def _rows(made: Forecast, name: str, cutoff: pd.Period, steps: np.ndarray, paths: np.ndarray) -> pd.DataFrame:
    """Long rows of paths (P × steps × n); the point forecast is their median."""
    quantiles = np.quantile(paths, QUANTILES, axis=0).reshape(len(QUANTILES), -1)
    n = len(made.series)
    columns = dict(zip(QUANTILE_COLUMNS, quantiles, strict=True))
    keys = {"unique_id": np.tile(made.series, len(steps)), "h": np.repeat(steps, n)}
    rows = pd.DataFrame({"model": name, "cutoff": str(cutoff), **keys, "point": columns["q50"], **columns})
    return rows.assign(**{"mean of paths": paths.mean(axis=0).reshape(-1)})


def quarter_steps(cutoff: pd.Period) -> np.ndarray:
    """The three steps (from 1) of the first calendar quarter that lies wholly after the cutoff."""
    end = (next_full_quarter_end(cutoff) - cutoff).n
    return np.arange(end - 2, end + 1)


def _quarter(made: Forecast, name: str, cutoff: pd.Period) -> pd.DataFrame | None:
    steps = quarter_steps(cutoff)
    if steps[-1] > len(made.months):
        return None
    return _rows(made, name, cutoff, steps[-1:], made.paths[:, steps - 1].sum(axis=1, keepdims=True))
