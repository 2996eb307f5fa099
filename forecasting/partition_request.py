"""What is asked of a panel in partitioned Parquet: a forecast or a backtest of all its series, and what it may take."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

import pandas as pd

from forecasting.compute import Where
from forecasting.errors import DataError
from forecasting.experiments_file import Contender, Experiment
from forecasting.lessons import Study
from forecasting.models import forecaster
from forecasting.partitions import Folder

SUMMARY = "_summary.json"
MEMORY_LIMIT = 1024**3
"""Bytes that a worker on this machine may take."""
SECONDS = 60.0
"""What one model may take for one forecast of one series before it is given up."""


@dataclass(frozen=True)
class Request:
    """What is asked: a study of all series of ``data``, from the last month or from past cutoffs, into ``out``.

    ``seconds`` is what one model may take for one forecast of one series; ``as_of`` hides what was published later.
    """

    study: Study
    data: Folder
    out: Folder
    cutoffs: Callable[[pd.Period], tuple[pd.Period, ...]] | None = None
    as_of: pd.Period | None = None
    where: Where = field(default_factory=lambda: Where(memory_limit=MEMORY_LIMIT))
    seconds: float | None = SECONDS
    fail_fast: bool = False

    def names(self) -> tuple[str, ...]:
        """Names of the partitions; DataError where there are none or ``out`` is no place for their results."""
        names = self.data.partitions()
        if not names:
            raise DataError(f"{self.data.url} holds no Parquet file: name the folder of the partitions.")
        if f"{self.out.url.rstrip('/')}/".startswith(f"{self.data.url.rstrip('/')}/"):
            raise DataError(
                "--out is the folder of --data or lies in it: choose another, so that no result is taken for data."
            )
        try:
            there = self.out.partitions()
        except DataError:
            there = ()  # it does not exist yet
        if strange := sorted(set(there) - set(names)):
            raise DataError(
                f"{self.out.url} holds {strange[0]}, which is no partition of {self.data.name}: choose an empty"
                " folder for --out, or remove what is left there of another panel."
            )
        return names

    @property
    def kind(self) -> str:
        """What it is: a backtest has cutoffs."""
        return "backtest" if self.cutoffs else "forecast"

    def refuse_another(self) -> None:
        """DataError where ``out`` holds results of another panel, or of the other kind: they are not written over."""
        try:
            about = json.loads(self.out.read(SUMMARY))
            there = str(about["kind"]), str(about["data"])
        except (DataError, ValueError, KeyError, TypeError):
            return  # none, or cut short
        if there != (self.kind, self.data.name):
            raise DataError(
                f"{self.out.url} holds a {there[0]} of {there[1]}, and this would be a {self.kind} of {self.data.name}:"
                " choose another folder for --out, or remove that one."
            )

    def cutoffs_until(self, last: pd.Period) -> tuple[pd.Period, ...]:
        """The cutoffs to forecast from: the panel's last month, or past ones."""
        if self.cutoffs is None:
            return (last,)
        found = self.cutoffs(last)
        if not found or found[-1] >= last:
            raise DataError(f"The data end in {last}, so the last possible cutoff is {last - 1}: begin earlier.")
        return found


@dataclass(frozen=True)
class Watch:
    """What is told while a run lasts: stage, series done, series in all, failures so far."""

    tell: Callable[[str, int, int, int], None] = lambda stage, done, total, failed: None

    def __call__(self, stage: str, done: int, total: int, failed: int = 0) -> None:
        self.tell(stage, done, total, failed)


UNWATCHED = Watch()


def study_of(model: str, horizon: int | None, paths: int, seed: int) -> Study:
    """The study of one model by name, calibrated."""
    return Study((Contender(model, forecaster(model)),), horizon, paths, seed)


def backtest_of(experiment: Experiment, data: Folder, out: Folder) -> Request:
    """The request that an experiment file makes of a partitioned panel; DataError for keys that need a small one."""
    for key, given in (
        ("covariates", experiment.covariates is not None), ("window", experiment.window is not None),
        ("data", experiment.data is not None), ("panel", experiment.panel != "latest"),
    ):  # fmt: skip
        if given:
            raise DataError(f"{experiment.name}: {key} does not go with a partitioned panel: leave it out of the file.")
    if len(experiment.cutoffs) > 1 or experiment.cutoffs[0].series != ("*",):
        raise DataError(
            f'{experiment.name}: a partitioned panel is backtested as a whole: write series = ["*"] and one cutoffs.'
        )
    block = experiment.cutoffs[0]
    horizon = experiment.horizon if isinstance(experiment.horizon, int) else None
    study = Study(experiment.contenders, horizon, experiment.paths, experiment.seed, experiment.calibrate)
    return Request(study, data, out, block.months)
