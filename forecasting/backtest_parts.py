"""The parts of a backtest: what one process fits, kept on disk so that a killed run goes on where it stopped.

A part is one model on one series over all cutoffs (a global model: all series over half a year), under a name that
hashes all that decides it. Parts hold exact 64-bit paths, not rounded ones: a resumed run must give the same bytes as
an undisturbed one and as a live forecast; 500 paths × 6 months are 24 kB a series and cutoff.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forecasting import store
from forecasting.backtest_files import PARTS
from forecasting.backtest_folds import Fold
from forecasting.errors import DataError
from forecasting.experiment import Done, Job, Origin, jobs_of, work
from forecasting.experiments_file import Experiment, parts_of
from forecasting.forecast import Forecast
from forecasting.panel import Panel


@dataclass(frozen=True)
class Part:
    """Work of one process: a job, the places of its folds, and the key that its result is kept under."""

    job: Job
    at: tuple[int, ...]
    key: str


def parts_for(experiment: Experiment, folds: Sequence[Fold], x: pd.DataFrame) -> Iterator[Part]:
    """Parts of all models, with covariates x (T' × k); a model that also is in a pool is fitted once for both."""
    panels = [_seen(fold, x, experiment.window) for fold in folds]
    origins: list[Origin] = [(fold.cutoff, fold.future, fold.wanted) for fold in folds]
    alone: list[tuple[Job, list[int]]] = []
    for part, each in parts_of(experiment.contenders, experiment.paths).items():
        if getattr(part, "learns_across_series", False):
            jobs = jobs_of(part, panels, origins, each, experiment.seed, watched=False)
        else:
            # Models of one series are all shown the same: cutting the panels up once is enough.
            alone = alone or jobs_of(part, panels, origins, each, experiment.seed, watched=False)
            jobs = [(replace(job, forecaster=part, paths=each), at) for job, at in alone]
        yield from (Part(job, tuple(at), _key(job)) for job, at in jobs)


def _seen(fold: Fold, x: pd.DataFrame, window: int | None) -> Panel:
    """The panel that a model is given: the last ``window`` months, and covariates up to the cutoff."""
    y = fold.plan.learned if window is None else fold.plan.learned.iloc[-window:]
    return Panel(y.loc[:, y.notna().any()], x.loc[: fold.cutoff])


def _key(job: Job) -> str:
    futures = [(str(one.index[0]), len(one), one.to_numpy(dtype=float)) for one in job.futures]
    digests = [one.digest() for one in job.panels]
    return store.cache_key("backtest part", job.forecaster, digests, futures, job.wanted, job.paths, job.seed)


# --- On disk -----------------------------------------------------------------------------------------------


def opened(folder: Path, fresh: bool) -> Path:
    """The folder that the parts of a backtest are kept in, made if needed; ``fresh`` empties it."""
    kept = folder / PARTS
    try:
        if fresh and kept.is_dir():
            shutil.rmtree(kept)
        kept.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise DataError(f"{folder} cannot be written: {cause.strerror or cause}. Choose another with --out.") from cause
    return kept


def missing(parts: Sequence[Part], folder: Path) -> list[Part]:
    """Parts that are not on disk, or damaged."""
    cache = _cache(folder / PARTS)
    return [one for one in parts if cache.get(one.key) is None]


def make(task: tuple[Part, Path]) -> None:
    """Fit and keep one part; nothing but its own file is written, whole or not at all."""
    part, kept = task
    if trouble := _cache(kept).put(part.key, _packed(work(part.job))):
        raise DataError(f"A finished part could not be kept: {trouble} Make room, or choose another folder with --out.")


def read(kept: Path, key: str, which: int) -> Iterator[tuple[Forecast | str, float]]:
    """By fold: the forecast with the wanted number of paths, or why there is none; and CPU seconds."""
    arrays = _cache(kept).get(key)
    if arrays is None:
        raise DataError(f"A finished part in {kept.name} was lost or damaged meanwhile: run again.")
    return _unpacked(arrays, which)


def tidy(kept: Path, parts: Sequence[Part]) -> None:
    """Parts of earlier settings, code or data are of no use to the next run."""
    _cache(kept).keep_only([one.key for one in parts])


def _cache(kept: Path) -> store.Cache:
    # Never pruned by size: a part that goes while the run lasts would have to be made again.
    return store.Cache(kept, most_bytes=10**15)


def _packed(done: Done) -> dict[str, np.ndarray]:
    """Paths by fold and number of paths, and everything else as text."""
    arrays: dict[str, np.ndarray] = {}
    said: list[dict[str, Any]] = []
    for at, (outcome, seconds) in enumerate(zip(done.forecasts, done.seconds, strict=True)):
        if isinstance(outcome, str):
            said.append({"reason": outcome, "seconds": seconds})
            continue
        first = outcome[0]
        said.append(
            {
                "months": [str(first.months[0]), len(first.months)],
                "series": first.series,
                "cutoff": [str(one) for one in first.cutoff],
                "model": first.model,
                "seconds": seconds,
            }
        )
        arrays |= {f"{at} {which}": one.paths for which, one in enumerate(outcome)}
    return {**arrays, "said": np.frombuffer(json.dumps(said).encode(), dtype=np.uint8)}


def _unpacked(arrays: Mapping[str, np.ndarray], which: int) -> Iterator[tuple[Forecast | str, float]]:
    for at, said in enumerate(json.loads(arrays["said"].tobytes())):
        if "reason" in said:
            yield said["reason"], said["seconds"]
            continue
        months = pd.period_range(said["months"][0], periods=said["months"][1], freq="M")
        cutoff = tuple(pd.Period(one, "M") for one in said["cutoff"])
        yield Forecast(arrays[f"{at} {which}"], months, tuple(said["series"]), cutoff, said["model"]), said["seconds"]
