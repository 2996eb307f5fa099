"""Scoring a model of a backtest: its parts become forecasts, finished if asked for, beside the truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from forecasting import backtest_parts
from forecasting.backtest_chain import through_the_chain
from forecasting.backtest_files import TABLE_COLUMNS
from forecasting.backtest_folds import Fold
from forecasting.backtest_truth import beside_truth
from forecasting.catalogue import Catalogue
from forecasting.experiment import side_by_side
from forecasting.experiments_file import Contender, Experiment
from forecasting.forecast import Forecast
from forecasting.tables import closure


@dataclass(frozen=True)
class Source:
    """Where one member's forecasts of some folds are kept."""

    member: str
    key: str
    at: tuple[int, ...]
    wanted: tuple[tuple[str, ...], ...]
    which: int


@dataclass(frozen=True)
class Scoring:
    """One model's parts, and the truth by kind."""

    experiment: Experiment
    contender: Contender
    folds: tuple[Fold, ...]
    sources: tuple[Source, ...]
    kept: Path
    catalogue: Catalogue
    truth: Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Scored:
    """Rows of the table, what failed and why, and CPU seconds by cutoff, of one model."""

    rows: pd.DataFrame
    failures: tuple[dict[str, str], ...]
    timings: pd.DataFrame


def score(task: Scoring) -> Scored:
    """Forecasts of one model from all folds, finished as asked for, beside the truth."""
    read = _Read.of(task)
    made = [_pooled(task.contender, members, task.experiment.paths) for members in read.by_fold()]
    rows = [_rows(task, at, done) for at, done in _finished(task, made)]
    timings = [
        {"model": task.contender.label, "cutoff": str(fold.cutoff), "seconds": seconds, "fits": len(fold.wanted)}
        for fold, seconds in zip(task.folds, read.seconds, strict=True)
    ]
    table = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=list(TABLE_COLUMNS))
    return Scored(table, tuple(read.failures), pd.DataFrame(timings))


@dataclass
class _Read:
    """The parts of one model, read: pieces by fold and member, failures, CPU seconds by fold."""

    pieces: list[dict[str, list[Forecast]]]
    failures: list[dict[str, str]]
    seconds: list[float]

    @classmethod
    def of(cls, task: Scoring) -> _Read:
        members = [one.name for one in task.contender.parts()]
        read = cls([{one: [] for one in members} for _ in task.folds], [], [0.0] * len(task.folds))
        for source in task.sources:
            read._add(task, source)
        return read

    def _add(self, task: Scoring, source: Source) -> None:
        kept = backtest_parts.read(task.kept, source.key, source.which)
        outcomes = zip(source.at, source.wanted, kept, strict=True)
        for at, wanted, (outcome, seconds) in outcomes:
            self.seconds[at] += seconds
            if isinstance(outcome, Forecast):
                self.pieces[at][source.member].append(outcome)
                continue
            label, cutoff = task.contender.label, str(task.folds[at].cutoff)
            self.failures += [{"model": label, "series": one, "cutoff": cutoff, "reason": outcome} for one in wanted]

    def by_fold(self) -> Iterator[list[Forecast]]:
        """Forecasts of the members, each of all its series; none if a member has none at all."""
        for found in self.pieces:
            whole = [side_by_side(pieces) for pieces in found.values() if pieces]
            yield whole if len(whole) == len(found) else []


def _pooled(contender: Contender, members: list[Forecast], paths: int) -> Forecast | None:
    if not members:
        return None
    made = contender.combined(members, paths)
    return made if made.series else None


def _finished(task: Scoring, made: Sequence[Forecast | None]) -> Iterator[tuple[int, Forecast]]:
    """Forecasts of the scored folds, raw or through the whole chain; the chain learns from earlier folds only."""
    for at, forecast in enumerate(made):
        if forecast is not None and task.folds[at].shown:
            calibrate, seed = task.experiment.calibrate, task.experiment.seed
            yield at, through_the_chain(task.folds, made, at, seed) if calibrate else forecast


def _rows(task: Scoring, at: int, made: Forecast) -> pd.DataFrame:
    """Rows of one fold: every period of which the truth is known, TABLE_COLUMNS."""
    fold, there = task.folds[at], set(made.series)
    shown = tuple(one for one in fold.shown if one in there or set(closure([one], task.catalogue)) <= there)
    if not shown:
        return pd.DataFrame(columns=list(TABLE_COLUMNS))
    table = beside_truth(made, fold.plan.y, task.catalogue, shown, task.truth, fold.scale)
    return table.assign(experiment=task.experiment.name, cutoff=str(fold.cutoff))[list(TABLE_COLUMNS)]
