"""One partition: a worker reads it, forecasts its series, writes its result at once and returns a few numbers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pandas as pd

from forecasting import __version__, partitions
from forecasting.backtest_truth import beside_truth, scales_of, truth_of
from forecasting.catalogue import Catalogue
from forecasting.errors import ForecastingError
from forecasting.experiments_file import NEXT_QUARTER
from forecasting.forecast import FORECAST_COLUMNS, KINDS, Forecast
from forecasting.lessons import Lesson, Lessons, Study, chunks
from forecasting.partition_scores import Sums, sums
from forecasting.partition_sums import roots, tell
from forecasting.partition_survey import as_surveyed
from forecasting.partitions import Folder, Partition
from forecasting.tables import all_totals, forecast_table

SCORED_COLUMNS = (
    *FORECAST_COLUMNS[1:], "actual", "crps", "pit", "scale", "scale_sq",
)  # fmt: skip
TEXTS = ("scenario", "model", "cutoff", "series", "unit", "period", "kind")


@dataclass(frozen=True)
class Outcome:
    """What a worker returns of its partition: counts, CPU seconds, bytes, sums of scores; kept in its file as well."""

    name: str
    series: int = 0
    forecast: int = 0
    failed: int = 0
    tied: int = 0
    untied: int = 0
    rows: int = 0
    seconds: float = 0.0
    bytes_read: int = 0
    bytes_written: int = 0
    sums: Sums = field(default_factory=dict)
    first_failure: str = ""
    lost: str = ""

    @classmethod
    def from_footer(cls, footer: Mapping[str, Any]) -> Outcome:
        """The outcome as the footer of a finished partition keeps it."""
        return cls(**footer["outcome"])

    def plain(self) -> dict[str, Any]:
        """What is the same in every run: no CPU seconds, which would make the bytes of a result differ."""
        return {**asdict(self), "seconds": 0.0}


@dataclass(frozen=True)
class Task:
    """What a worker gets: the study, where to read and write, the partition and the key that its result carries."""

    study: Study
    data: Folder
    out: Folder
    name: str
    digest: str
    key: str
    seconds: float | None
    as_of: pd.Period | None
    scored: bool


def forecast(task: Task, lessons: Lessons) -> Outcome:
    """Read, forecast, write; what concerns one series keeps only that series out."""
    began = time.process_time()
    try:
        part, n_bytes = as_surveyed(task.data, task.name, task.digest, task.as_of)
        pieces, failures = [], dict(part.refused)
        tied: dict[str, float] = {}
        untied: dict[str, str] = {}
        for group in chunks(part.y, task.study, len(lessons.at), roots(part.series, part.parents)):
            rows, failed, holds, not_tied = _of_chunk(task, part, group, lessons)
            pieces.append(rows)
            failures |= failed
            tied |= holds
            untied |= not_tied
        table = _sorted(pieces, task.scored)
        taken = time.process_time() - began
        outcome = Outcome(
            task.name, len(part.series) + len(part.refused), table["series"].nunique(), len(failures), len(tied),
            len(untied), len(table), round(taken, 3), n_bytes, sums=sums(table) if task.scored else {},
            first_failure=next((f"{one} {why}." for one, why in sorted(failures.items())), ""),
        )  # fmt: skip
        said = {
            "key": task.key, "input": task.digest, "version": __version__, "seed": task.study.seed,
            "horizon": task.study.horizon or NEXT_QUARTER, "paths": task.study.paths,
            "models": [one.label for one in task.study.contenders],
            "cutoffs": [str(one.cutoff) for one in lessons.at], "sample": lessons.series,
            "failures": sorted(failures.items()), "tied": sorted(tied.items()), "untied": sorted(untied.items()),
            "outcome": outcome.plain(),
        }  # fmt: skip
        content = partitions.packed(table, said)
        task.out.write(task.name, content)
    except ForecastingError as error:
        return Outcome(task.name, lost=str(error))
    except MemoryError:
        return Outcome(task.name, lost=f"{task.name} needs more memory than --memory-limit: make partitions smaller.")
    return replace(outcome, bytes_written=len(content))


def _of_chunk(
    task: Task, part: Partition, group: Sequence[str], lessons: Lessons
) -> tuple[pd.DataFrame, dict[str, str], dict[str, float], dict[str, str]]:
    """Rows of some series from all cutoffs, why others have none, what adds up and why the rest does not.

    No path leaves: those of one chunk are gone before the next one's are drawn.
    """
    study, y = task.study, part.y[list(group)]
    last = max(one.cutoff for one in lessons.at)
    y = y.reindex(pd.period_range(min(y.index[0], last), max(y.index[-1], last), freq="M"))
    told = tell(study, y, part.parents, part.units, lessons, task.seconds)
    catalogue = Catalogue(()).with_plain({one: part.units.get(one, "") for one in group})
    truth = truth_of(y, catalogue, tuple(group)) if task.scored else {}
    rows = []
    of = {lesson.cutoff: lesson for lesson in lessons.at}
    for cutoff, made in told.forecasts:
        rows.append(_rows(made, of[cutoff], y, catalogue, truth))
    table = pd.concat([one for one in rows if len(one)], ignore_index=True) if any(map(len, rows)) else pd.DataFrame()
    return table, _without(study, y, told.failures, table, last), told.tied, told.untied


def _rows(
    made: Forecast, lesson: Lesson, y: pd.DataFrame, catalogue: Catalogue, truth: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """The forecast on paper; beside the truth where there is one."""
    known = y.loc[: lesson.cutoff, list(made.series)]
    if not truth:
        return forecast_table(made, all_totals(made, known, catalogue, made.series), catalogue)
    scale = scales_of(known, catalogue, made.series)
    table = beside_truth(made, known, catalogue, made.series, truth, scale)
    return table.assign(cutoff=str(lesson.cutoff))


def _without(
    study: Study, y: pd.DataFrame, failures: Mapping[str, str], table: pd.DataFrame, last: pd.Period
) -> dict[str, str]:
    """By series that has no row why; in a backtest also what failed from single cutoffs."""
    there = set(table["series"]) if len(table) else set()
    impossible = study.why_not(y, last)
    said = {one: why or "has nothing to be compared with" for one, why in impossible.items() if one not in there}
    return {**said, **failures}


def _sorted(pieces: Sequence[pd.DataFrame], scored: bool) -> pd.DataFrame:
    columns = list(SCORED_COLUMNS if scored else FORECAST_COLUMNS)
    full = [one for one in pieces if len(one)]
    if not full:
        return pd.DataFrame({one: pd.Series(dtype=object if one in TEXTS else float) for one in columns})
    table = pd.concat(full, ignore_index=True)[columns]
    rank = table.assign(kind=table["kind"].map(KINDS.index))
    return table.loc[rank.sort_values(["series", "cutoff", "model", "kind", "period"]).index].reset_index(drop=True)
