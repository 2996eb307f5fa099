"""Our forecasts: each model alone, and the whole chain of `tradecast forecast` on a file of one's own.

Series pass in chunks through all models and leave quantile rows in files, so that memory does not grow with their
number. What learns across series is taught first, once a half-year, on a sample.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from against.data import Task
from forecasting import pipeline, store
from forecasting.compute import Progress, map_tasks
from forecasting.errors import ForecastingError
from forecasting.experiment import Origin, jobs_of, side_by_side, work
from forecasting.forecast import QUANTILE_COLUMNS, QUANTILES, Forecast
from forecasting.lessons import Taught
from forecasting.models import forecaster
from forecasting.models.base import Forecaster
from forecasting.models.boosting import Boosting, FittedBoosting
from forecasting.models.ensemble import Ensemble
from forecasting.panel import Panel
from forecasting.periods import next_full_quarter_end

CHAIN = "tradecast"
"""The ensemble, calibrated on past cutoffs and coupled: what `tradecast forecast --data` gives. Its calibration pools
over the series of a chunk."""

CHUNK = 100
POOL = 1_500  # series that are calibrated together
FEWEST_CHUNKS = 4

Wanted = dict[pd.Period, tuple[str, ...]]
"""By cutoff the series to be forecast there."""


@dataclass(frozen=True)
class Ours:
    """Files of rows by chunk and name (model, cutoff, unique_id, months, h, point, nine quantiles), CPU seconds."""

    files: tuple[Mapping[str, Path], ...]
    series: tuple[tuple[str, ...], ...]
    seconds: dict[str, float]
    failures: tuple[str, ...]

    def chunk(self, at: int, names: Sequence[str] = ()) -> pd.DataFrame:
        """Rows of the chunk's series by all models, or by these."""
        files = self.files[at]
        return pd.concat([pd.read_parquet(files[one]) for one in names or files], ignore_index=True)

    def chunks(self, names: Sequence[str] = ()) -> Iterator[pd.DataFrame]:
        """The rows of one chunk after the other."""
        return (self.chunk(at, names) for at in range(len(self.files)))

    @property
    def months(self) -> pd.DataFrame:
        """All rows of single months."""
        return pd.concat([months(rows) for rows in self.chunks()], ignore_index=True)

    @property
    def quarters(self) -> pd.DataFrame:
        """All rows of next-quarter totals."""
        return pd.concat([quarters(rows) for rows in self.chunks()], ignore_index=True)


def months(rows: pd.DataFrame) -> pd.DataFrame:
    """Of these rows those of single months."""
    return rows[rows["months"] == 1]


def quarters(rows: pd.DataFrame) -> pd.DataFrame:
    """Of these rows those of quarter totals."""
    return rows[rows["months"] == 3]


@dataclass(frozen=True)
class Chunk:
    """What a worker gets: some series, and the file that the rows of each name go to."""

    task: Task
    past: Mapping[pd.Period, Wanted]
    files: Mapping[str, Path]
    members: Mapping[str, Forecaster]
    pool: Ensemble
    paths: int
    seed: int


@dataclass(frozen=True)
class Said:
    """What a worker gives back: CPU seconds by name, and failures in words."""

    seconds: dict[str, float] = field(default_factory=dict)
    failures: tuple[str, ...] = ()


def of_ours(
    task: Task, names: Sequence[str], paths: int, seed: int, workers: int, folder: Path, progress: Progress
) -> Ours:
    """Forecasts of these models from every cutoff of the task; those that the same code left in the folder are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    pool = Ensemble()
    members: dict[str, Forecaster] = {one: forecaster(one) for name in names for one in _parts(name, pool)}
    digest = hashlib.sha256(repr((pool, list(members.values()), paths, seed, task.horizon, task.cutoffs)).encode())
    digest.update(pd.util.hash_pandas_object(task.y).to_numpy().tobytes())
    digest.update(store.source_digest().encode() + Path(__file__).read_bytes())
    parts = _chunks(task, CHAIN in names)
    files = [
        {one: folder / f"{one}-{digest.hexdigest()[:12]}-{at:04d}.parquet" for one in names} for at in range(len(parts))
    ]
    todo = [at for at, found in enumerate(files) if not all(_said(one).exists() for one in found.values())]
    past = _past(task) if todo and CHAIN in names else {}
    learned, taught = {}, Said()
    if todo and any(getattr(one, "learns_across_series", False) for one in members.values()):
        learned, taught = _teach(task, members, past, workers)
    jobs = [Chunk(parts[at], _of(past, parts[at]), files[at], members | learned, pool, paths, seed) for at in todo]
    for at, said in zip(todo, map_tasks(_forecast, jobs, workers, progress), strict=True):
        for name in names:
            extra = sum(taught.seconds.get(one, 0.0) for one in _parts(name, pool)) / len(todo)
            mine = Said({name: said.seconds[name] + extra}, said.failures)
            _atomically(_said(files[at][name]), json.dumps(asdict(mine)))
    return _gathered(names, files, tuple(one.series for one in parts), taught)


def _gathered(
    names: Sequence[str], files: Sequence[Mapping[str, Path]], series: tuple[tuple[str, ...], ...], taught: Said
) -> Ours:
    seconds, failures = dict.fromkeys(names, 0.0), list(taught.failures)
    for found in files:
        for name, file in found.items():
            said = json.loads(_said(file).read_text())
            seconds[name] += said["seconds"][name]
            failures += [one for one in said["failures"] if one not in failures]
    return Ours(tuple(files), series, seconds, tuple(failures))


def _said(rows: Path) -> Path:
    """Where it is kept what a file of rows cost: once it is there, both are whole."""
    return rows.with_suffix(".json")


def _atomically(file: Path, text: str) -> None:
    file.with_suffix(".part").write_text(text)
    file.with_suffix(".part").replace(file)


def _parts(name: str, pool: Ensemble) -> tuple[str, ...]:
    return pool.members if name in (CHAIN, pool.name) else (name,)


def _chunks(task: Task, calibrated: bool) -> list[Task]:
    size = POOL if calibrated else min(-(-len(task.series) // FEWEST_CHUNKS), CHUNK)
    return [replace(task, y=task.y.iloc[:, at : at + size]) for at in range(0, len(task.series), size)]


def _past(task: Task) -> dict[pd.Period, Wanted]:
    """By scored cutoff the earlier ones that calibrate it; how many depends on the number of series."""
    steps = min(task.horizon, pipeline.CALIBRATION_HORIZON)
    return {
        cutoff: dict(pipeline.calibration_origins(task.panel(cutoff), series, Ensemble.min_months, steps))
        for cutoff in task.cutoffs
        if (series := task.wanted(cutoff))
    }


def _of(past: Mapping[pd.Period, Wanted], task: Task) -> dict[pd.Period, Wanted]:
    """The same for the series of this task alone."""
    mine = set(task.series)
    return {
        cutoff: {one: here for one, series in found.items() if (here := tuple(s for s in series if s in mine))}
        for cutoff, found in past.items()
    }


def _wanted(task: Task, past: Mapping[pd.Period, Wanted]) -> Wanted:
    """What is scored or learned from at each cutoff."""
    whole = {one: here for one in task.cutoffs if (here := task.wanted(one))}
    for found in past.values():
        for earlier, here in found.items():
            whole[earlier] = tuple(dict.fromkeys((*whole.get(earlier, ()), *here)))
    return dict(sorted(whole.items()))


def _known(task: Task, wanted: Wanted, cutoff: pd.Period) -> Panel:
    """What is known at a cutoff of all series that are ever wanted."""
    series = set().union(*wanted.values())
    known = task.y.loc[:cutoff, [one for one in task.series if one in series]]
    return Panel(known.loc[:, known.notna().any()])


def _teach(
    task: Task, members: Mapping[str, Forecaster], past: Mapping[pd.Period, Wanted], workers: int
) -> tuple[dict[str, Forecaster], Said]:
    """What learns across series, taught at every cutoff on a sample; tasks are half-years, which share their trees."""
    wanted = _wanted(task, past)
    learned: dict[str, Forecaster] = {}
    seconds, failures = {}, []
    for name, part in members.items():
        if not isinstance(part, Boosting):
            continue
        halves: dict[tuple[int, bool], list[Panel]] = {}
        for cutoff in wanted:
            panel = _known(task, wanted, cutoff)
            enough = (panel.y.notna().sum() >= part.min_months) & ~panel.y.columns.isin(panel.ended())
            if enough.any():
                half = halves.setdefault(((cutoff + 1).year, (cutoff + 1).month > 6), [])
                half.append(part.sample(replace(panel, y=panel.y.loc[:, enough])))
        done = map_tasks(_fit, [(part, panels) for panels in halves.values()], workers)
        fitted = [one for found, _ in done for one in found]
        failures += [one for one in fitted if isinstance(one, str)]
        at = {one.panel.cutoff: one for one in fitted if not isinstance(one, str)}
        learned[name] = Taught(part.name, part.min_months, at)
        seconds[name] = sum(took for _, took in done)
    return learned, Said(seconds, tuple(failures))


def _fit(job: tuple[Boosting, list[Panel]]) -> tuple[list[FittedBoosting | str], float]:
    part, panels = job
    began, found = time.process_time(), []
    for panel in panels:
        try:
            # Only the last months are asked about later: what was learned from does not travel.
            fitted = part.fit(panel)
            found.append(fitted.on(replace(panel, y=panel.y.iloc[:, :1])))
        except ForecastingError as error:
            found.append(f"{panel.cutoff}: {error}")
    return found, time.process_time() - began


@dataclass(frozen=True)
class Raw:
    """Forecasts of one member by cutoff and number of paths, and the CPU seconds that they took."""

    forecasts: dict[pd.Period, dict[int, Forecast]]
    seconds: dict[pd.Period, float]
    failures: tuple[str, ...]


def _forecast(chunk: Chunk) -> Said:
    """All names for some series: fitted, combined, reduced to quantiles, written."""
    names = list(chunk.files)
    wanted = _wanted(chunk.task, chunk.past)
    pooled = CHAIN in names or chunk.pool.name in names
    raw = {
        name: _raw(part, chunk, wanted, _counts(name, chunk, pooled)) for name, part in chunk.members.items() if wanted
    }
    seconds = dict.fromkeys(names, 0.0)
    for name, file in chunk.files.items():
        tables = []
        for cutoff in chunk.task.cutoffs:
            if not chunk.task.wanted(cutoff):
                continue
            made, took = _made(name, cutoff, raw, chunk.past.get(cutoff, {}), chunk)
            seconds[name] += took
            if made is not None:
                tables += _tables(made, name, cutoff, chunk.task)
        rows = pd.concat(tables, ignore_index=True) if tables else _no_rows()
        rows.to_parquet(file.with_suffix(".part"), index=False)
        file.with_suffix(".part").replace(file)
    return Said(seconds, tuple(line for one in raw.values() for line in one.failures))


def _counts(name: str, chunk: Chunk, pooled: bool) -> tuple[int, ...]:
    """Paths wanted of a member: its own, and its share of the pool."""
    own = (chunk.paths,) if name in chunk.files else ()
    return tuple(dict.fromkeys((*own, *((chunk.pool.share(chunk.paths),) if pooled else ()))))


def _raw(part: Forecaster, chunk: Chunk, wanted: Wanted, counts: tuple[int, ...]) -> Raw:
    horizon = chunk.task.horizon
    panels = [_known(chunk.task, wanted, cutoff) for cutoff in wanted]
    origins: list[Origin] = [
        (cutoff, panel.future(cutoff + horizon), series)
        for panel, (cutoff, series) in zip(panels, wanted.items(), strict=True)
    ]
    pieces: dict[pd.Period, list[tuple[Forecast, ...]]] = {one: [] for one in wanted}
    seconds, failures = dict.fromkeys(wanted, 0.0), []
    for job, at in jobs_of(part, panels, origins, counts, chunk.seed, watched=False):
        done = work(job)
        for origin, outcome, took in zip(at, done.forecasts, done.seconds, strict=True):
            cutoff = origins[origin][0]
            seconds[cutoff] += took
            if isinstance(outcome, str):
                failures.append(f"{cutoff}: {outcome}")
            else:
                pieces[cutoff].append(outcome)
    forecasts = {
        cutoff: {count: _after(side_by_side([one[at] for one in found]), horizon) for at, count in enumerate(counts)}
        for cutoff, found in pieces.items()
        if found
    }
    return Raw(forecasts, seconds, tuple(failures))


def _after(forecast: Forecast, horizon: int) -> Forecast:
    """The months after the cutoff: a series that is not known there is forecast from its own last month on."""
    return replace(forecast, paths=forecast.paths[:, -horizon:], months=forecast.months[-horizon:])


def _made(
    name: str, cutoff: pd.Period, raw: Mapping[str, Raw], past: Wanted, chunk: Chunk
) -> tuple[Forecast | None, float]:
    """The forecast of this name from the cutoff, if there is one, and its CPU seconds, calibration included."""
    pool, task = chunk.pool, chunk.task
    members = _parts(name, pool)
    took = sum(raw[member].seconds[cutoff] for member in members)
    if not all(cutoff in raw[member].forecasts for member in members):
        return None, took
    if name not in (CHAIN, pool.name):
        return raw[name].forecasts[cutoff][chunk.paths], took
    began = time.process_time()
    final = _pooled(raw, cutoff, task.wanted(cutoff), chunk)
    if name == CHAIN and final is not None:
        there = {one: series for one, series in past.items() if all(one in raw[m].forecasts for m in members)}
        learned = [_pooled(raw, one, series, chunk) for one, series in there.items()]
        shorter = [_shorter(one) for one in learned if one is not None]
        final, _ = pipeline.after_the_model(final, shorter, task.y[list(final.series)].loc[:cutoff], chunk.seed)
        took += sum(raw[member].seconds[one] for member in members for one in there)
    return final, took + time.process_time() - began


def _pooled(raw: Mapping[str, Raw], cutoff: pd.Period, wanted: tuple[str, ...], chunk: Chunk) -> Forecast | None:
    share = chunk.pool.share(chunk.paths)
    found = [raw[member].forecasts[cutoff][share] for member in chunk.pool.members]
    common = tuple(one for one in wanted if all(one in forecast.series for forecast in found))
    return chunk.pool.combine([one.select(common) for one in found], chunk.paths) if common else None


def _shorter(forecast: Forecast) -> Forecast:
    steps = pipeline.CALIBRATION_HORIZON
    return replace(forecast, paths=forecast.paths[:, :steps], months=forecast.months[:steps])


def _tables(made: Forecast, name: str, cutoff: pd.Period, task: Task) -> list[pd.DataFrame]:
    found = [_rows(made, name, cutoff, np.arange(1, task.horizon + 1), made.paths, 1)]
    steps = quarter_steps(cutoff)
    if task.dated and steps[-1] <= len(made.months):
        total = made.paths[:, steps - 1].sum(axis=1, keepdims=True)
        found.append(_rows(made, name, cutoff, steps[-1:], total, len(steps)))
    return found


def _rows(
    made: Forecast, name: str, cutoff: pd.Period, steps: np.ndarray, paths: np.ndarray, months: int
) -> pd.DataFrame:
    """Long rows of paths (P × steps × n); the point forecast is their median."""
    quantiles = np.quantile(paths, QUANTILES, axis=0).reshape(len(QUANTILES), -1)
    n = len(made.series)
    columns = dict(zip(QUANTILE_COLUMNS, quantiles, strict=True))
    keys = {"unique_id": np.tile(made.series, len(steps)), "months": months, "h": np.repeat(steps, n)}
    rows = pd.DataFrame({"model": name, "cutoff": str(cutoff), **keys, "point": columns["q50"], **columns})
    return rows.assign(**{"mean of paths": paths.mean(axis=0).reshape(-1)})


def _no_rows() -> pd.DataFrame:
    texts = {one: pd.Series(dtype=str) for one in ("model", "cutoff", "unique_id")}
    whole = {one: pd.Series(dtype=int) for one in ("months", "h")}
    return pd.DataFrame(
        texts | whole | {one: pd.Series(dtype=float) for one in ("point", *QUANTILE_COLUMNS, "mean of paths")}
    )


def quarter_steps(cutoff: pd.Period) -> np.ndarray:
    """The three steps (from 1) of the first calendar quarter that lies wholly after the cutoff."""
    end = (next_full_quarter_end(cutoff) - cutoff).n
    return np.arange(end - 2, end + 1)
