"""Backtests: the models of an experiment from its past cutoffs, each beside the truth that it was not shown.

Two steps, both spread over processes: fitting makes the parts (`backtest_parts.py`), scoring holds what they say
against the truth (`backtest_scoring.py`). Before a run its cost is foreseen; after it, how the table was made is kept.
"""

from __future__ import annotations

import functools
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from forecasting import __version__, backtest_files, backtest_parts, clock, store, workflow
from forecasting.backtest_files import Result
from forecasting.backtest_folds import Data, Fold, folds_of
from forecasting.backtest_parts import Part
from forecasting.backtest_scoring import Scored, Scoring, Source, score
from forecasting.backtest_truth import truth_of
from forecasting.compute import Progress, map_tasks, silent
from forecasting.covariates import with_covariates
from forecasting.errors import DataError
from forecasting.experiments_file import FIRST_PUBLISHED, Experiment
from forecasting.git import git_state
from forecasting.panel import Panel
from forecasting.sources.user_file import read_covariates
from forecasting.vintages import month_after

PACKAGES = ("numpy", "pandas", "scipy", "statsmodels", "scikit-learn")
# CPU seconds of one series from one cutoff, measured on the official figures: what a first --dry-run goes by.
SECONDS = {
    "naive": 0.0015, "seasonal_naive": 0.0015, "theta": 0.008, "ets": 0.026, "sarima": 0.25, "boosting": 0.14,
}  # fmt: skip
SCORING_SECONDS = 0.015


def load(experiment: Experiment) -> Data:
    """The figures and covariates that an experiment names; none named: the embedded official figures."""
    dataset = workflow.load(experiment.data)
    panel = dataset.panel
    if experiment.covariates is not None:
        uses = {one.forecaster.name for one in experiment.contenders} & set(workflow.USES_COVARIATES)
        if not uses:
            raise DataError(
                f"{experiment.name}: none of the forecasters uses covariates: add {', '.join(workflow.USES_COVARIATES)}"
                " or leave covariates out."
            )
        table, _ = read_covariates(experiment.covariates)
        cutoffs = [one for block in experiment.cutoffs for one in block.months(panel.cutoff)]
        last = max(map(experiment.last, cutoffs), default=panel.cutoff)
        panel, _ = with_covariates(panel, table, last, experiment.hold_covariates, experiment.covariates.name)
    latest = Data.latest(panel, dataset.catalogue, dataset.source)
    return as_first_published(latest) if experiment.panel == FIRST_PUBLISHED else latest


def as_first_published(data: Data) -> Data:
    """The same truth, but models see at each cutoff the figures as they stood on the last day of the month after it."""
    official = workflow.official()

    @functools.cache
    def panel_at(cutoff: pd.Period) -> Panel:
        return official.on(month_after(cutoff)).panel.until(cutoff)

    return replace(data, panel_at=panel_at, source=f"{data.source} as first published")


@dataclass(frozen=True)
class Prepared:
    """A checked experiment with its folds and parts: nothing has been fitted yet."""

    experiment: Experiment
    data: Data
    folds: tuple[Fold, ...]
    parts: tuple[Part, ...]

    @property
    def scored(self) -> tuple[Fold, ...]:
        return tuple(one for one in self.folds if one.shown)

    @property
    def series(self) -> tuple[str, ...]:
        """Series that are scored from any cutoff, in the catalogue's order."""
        seen = {series for one in self.folds for series in one.shown}
        return tuple(one for one in self.data.catalogue if one in seen)

    def fits(self) -> dict[str, int]:
        """Series × cutoffs by model that is fitted."""
        counts: dict[str, int] = {}
        for part in self.parts:
            name = part.job.forecaster.name
            counts[name] = counts.get(name, 0) + sum(map(len, part.job.wanted))
        return counts


def prepare(experiment: Experiment, data: Data) -> Prepared:
    """Choose folds and parts; impossible cutoffs and too short a history are refused."""
    folds = folds_of(experiment, data)
    return Prepared(experiment, data, folds, tuple(backtest_parts.parts_for(experiment, folds, data.x)))


# --- Before a run ----------------------------------------------------------------------------------------


def expected_seconds(prepared: Prepared, todo: Sequence[Part], folder: Path) -> float:
    """CPU seconds that the parts to be made and the scoring should take, by the last run here or by SECONDS."""
    each = SECONDS | _last_seconds(folder)
    fitting = sum(each.get(part.job.forecaster.name, 0.3) * sum(map(len, part.job.wanted)) for part in todo)
    cells = sum(len(fold.wanted) for fold in prepared.scored) * len(prepared.experiment.contenders)
    return fitting + SCORING_SECONDS * cells


def _last_seconds(folder: Path) -> dict[str, float]:
    try:
        about = backtest_files.read(folder).about
        return {one["model"]: float(about["fit_seconds"][name]) for name, one in about["models"].items()}
    except (DataError, KeyError, TypeError, ValueError, AttributeError):
        return {}


# --- Running ---------------------------------------------------------------------------------------------


def run(
    prepared: Prepared,
    folder: Path,
    workers: int = 1,
    fresh: bool = False,
    progress: Callable[[str], Progress] = lambda what: silent,
) -> Result:
    """Make the parts that are not there, score them, and leave the result in ``folder``."""
    began = time.monotonic()
    kept = backtest_parts.opened(folder, fresh)
    todo = backtest_parts.missing(prepared.parts, folder)
    map_tasks(backtest_parts.make, [(part, kept) for part in todo], workers, progress("Fitting"))
    scored = map_tasks(score, list(_scorings(prepared, kept)), workers, progress("Scoring"))
    rows = pd.concat([one.rows for one in scored], ignore_index=True)
    if rows.empty:
        reason = next((str(one["reason"]) for of in scored for one in of.failures), "no truth is known")
        raise DataError(f"{prepared.experiment.name}: no model made a forecast that can be compared; {reason}")
    timings = pd.concat([one.timings for one in scored], ignore_index=True)
    about = _about(prepared, scored, timings, workers, time.monotonic() - began, len(prepared.parts) - len(todo))
    result = backtest_files.write(folder, rows, timings, about, prepared.experiment.text)
    backtest_parts.tidy(kept, prepared.parts)
    return result


def _scorings(prepared: Prepared, kept: Path) -> Iterator[Scoring]:
    experiment, data = prepared.experiment, prepared.data
    truth = truth_of(data.y, data.catalogue, prepared.series)
    for contender in experiment.contenders:
        share, members = contender.share(experiment.paths), contender.parts()
        sources = [
            Source(one.job.forecaster.name, one.key, one.at, one.job.wanted, one.job.paths.index(share))
            for one in prepared.parts
            if one.job.forecaster in members
        ]
        # The text of the file is of no use there.
        plain = replace(experiment, text="", parsed={})
        yield Scoring(plain, contender, prepared.folds, tuple(sources), kept, data.catalogue, truth)


# --- About -----------------------------------------------------------------------------------------------


def _about(
    prepared: Prepared, scored: Sequence[Scored], timings: pd.DataFrame, workers: int, wall: float, resumed: int
) -> dict[str, Any]:
    """All that a reader must know of how the table was made; no path, host or user is in it."""
    experiment, data = prepared.experiment, prepared.data
    spent = timings.groupby("model", sort=False)[["seconds", "fits"]].sum()
    return {
        "experiment": {**experiment.parsed, "name": experiment.name},
        "experiment_text": experiment.text,
        "finished": clock.now().isoformat(timespec="seconds"),
        "horizon": experiment.horizon,
        "window": experiment.window or "expanding",
        "panel": experiment.panel,
        "refit": experiment.refit,
        "calibrate": experiment.calibrate,
        "warm_up": experiment.warm_up,
        "paths": experiment.paths,
        "seed": experiment.seed,
        "coverages": list(experiment.coverages),
        "kind": experiment.kind,
        "sort_by": list(experiment.sort_by),
        "regimes": {name: list(span) for name, span in experiment.regimes.items()},
        "models": {
            one.label: {"model": one.forecaster.name, "settings": one.settings()} for one in experiment.contenders
        },
        "data": {"source": data.source, "vintage": str(data.end), "digest": data.digest},
        "series": list(prepared.series),
        "n_series": len(prepared.series),
        "cutoffs": [str(one.cutoff) for one in prepared.scored],
        "warm_up_cutoffs": [str(one.cutoff) for one in prepared.folds if not one.shown],
        "failures": [failure for one in scored for failure in one.failures],
        "cpu_seconds": {str(one): round(float(spent.loc[one, "seconds"]), 3) for one in spent.index},
        "fits": {str(one): int(spent.loc[one, "fits"]) for one in spent.index},
        "fit_seconds": {
            str(one): round(float(spent.loc[one, "seconds"] / spent.loc[one, "fits"]), 6) for one in spent.index
        },
        "wall_seconds": round(wall, 1),
        "workers": workers,
        "resumed_parts": resumed,
        "parts": len(prepared.parts),
        "versions": _versions(),
        "git": git_state(backtest_files.project_folder()),
    }


def _versions() -> dict[str, str]:
    found = {one: store.version_of(one) for one in PACKAGES}
    return {"python": platform.python_version(), **found, "tradecast": __version__}
