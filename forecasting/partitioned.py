"""Forecasts and backtests of panels in partitioned Parquet: on this machine or on a cluster, whatever dies on the way.

Survey: every partition is read once, for its digest and for what its series are. Lessons: a seeded sample of at most
1,500 series, the same however the panel is cut up, teaches the trees and the factors of the intervals. Then a task is
a partition: a worker reads it, forecasts its series, writes its result at once and returns a few numbers. A finished
partition carries a key of inputs, sample, settings and versions in its footer and is not done again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forecasting import __version__, backtests, partitions, scores, store
from forecasting.backtests import beside_truth, scales_of, truth_of
from forecasting.catalogue import Catalogue
from forecasting.compute import Crew, Lost, Where, crew
from forecasting.errors import DataError, ForecastingError
from forecasting.experiments_file import Contender, Experiment
from forecasting.forecast import FORECAST_COLUMNS, QUANTILE_COLUMNS, Forecast
from forecasting.lessons import Lesson, Lessons, Study, chunks, teach
from forecasting.models import forecaster
from forecasting.models.boosting import often_zero
from forecasting.panel import Panel
from forecasting.partition_sums import Told, roots, tell
from forecasting.partitions import Folder, Partition
from forecasting.scores import interval_score, quantile_loss
from forecasting.tables import all_totals, forecast_table

SUMMARY, FAILURES, UNTIED = "_summary.json", "_failures.csv", "_untied.csv"
MEMORY_LIMIT = 1024**3
SECONDS = 60.0
"""What one model may take for one forecast of one series before it is given up."""
SHARE_OF_MEMORY = 0.4
"""Of a worker's memory limit that reading its partition may take."""
MOST = 0.5
"""Share of the series that must reach the last month for it to be taken for theirs without a doubt."""
SUMS = ("mase", "crps_scaled", "sql", "msis80", "msis95", "cover80", "cover95")
SCORED_COLUMNS = (
    *FORECAST_COLUMNS[1:], "actual", "crps", "pit", "scale", "scale_sq",
)  # fmt: skip
YEARS = 12  # kinds of series by years of history, five years each


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
    sums: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    first_failure: str = ""
    lost: str = ""


@dataclass(frozen=True)
class Summary:
    """What came of a run; ``failures`` (rows × partition, series, why) names every series without a forecast.

    ``digest`` hashes all that decides the results; ``already`` counts partitions that were finished before.
    """

    outcomes: tuple[Outcome, ...]
    failures: pd.DataFrame
    cutoffs: tuple[pd.Period, ...]
    sample: int
    already: int
    digest: str
    remarks: tuple[str, ...] = ()

    def reasons(self, most: int) -> list[tuple[str, int]]:
        """The most frequent reasons for having no forecast, and how many have them."""
        counts = self.failures["why"].value_counts()
        return [(str(why), int(count)) for why, count in counts.head(most).items()]

    @property
    def lost(self) -> tuple[Outcome, ...]:
        return tuple(one for one in self.outcomes if one.lost)

    def total(self, name: str) -> float:
        """Sum of a count over all partitions."""
        return float(sum(getattr(one, name) for one in self.outcomes))

    @property
    def scores(self) -> pd.DataFrame:
        """Means by model and kind over all forecasts (rows × model, kind, cells and SUMS), best CRPS first."""
        added: dict[str, dict[str, float]] = {}
        for one in self.outcomes:
            for key, sums in one.sums.items():
                mine = added.setdefault(key, {})
                for name, value in sums.items():
                    mine[name] = mine.get(name, 0.0) + value
        rows = []
        for key, sums in added.items():
            model, kind = json.loads(key)
            scaled = max(sums["scaled"], 1.0)
            means = {one: sums[one] / (max(sums["cells"], 1.0) if "cover" in one else scaled) for one in SUMS}
            rows.append({"model": model, "kind": kind, "cells": int(sums["cells"]), **means})
        table = pd.DataFrame(rows, columns=["model", "kind", "cells", *SUMS])
        return table.sort_values(["kind", "crps_scaled", "model"], ignore_index=True)


@dataclass(frozen=True)
class Watch:
    """What is told while a run lasts: stage, series done, series in all, failures so far."""

    tell: Callable[[str, int, int, int], None] = lambda stage, done, total, failed: None

    def __call__(self, stage: str, done: int, total: int, failed: int = 0) -> None:
        self.tell(stage, done, total, failed)


def run(request: Request, watch: Watch = Watch()) -> Summary:
    """Forecast or backtest every series of the panel; what is finished already is not done again.

    Raises DataError for a panel that cannot be used as a whole; a partition or series that fails is reported, unless
    ``fail_fast``.
    """
    names = _partitions(request)
    request.out.check_writable()
    with crew(request.where) as workers:
        return _run(request, names, workers, watch)


def _run(request: Request, names: Sequence[str], workers: Crew, watch: Watch) -> Summary:
    surveyed = _survey(request, names, workers, watch)
    panel = _Panel.of(surveyed)
    cutoffs = _cutoffs(request, panel)
    sample = _sample(request, panel, surveyed, workers, watch)
    keys = {one.name: _key(request, one.digest, sample, cutoffs) for one in surveyed if not one.trouble}
    done = {one.name: one.outcome() for one in surveyed if one.name in keys and one.key == keys[one.name]}
    tasks = [_Task(request.study, request.data, request.out, one.name, one.digest, keys[one.name], request.seconds,
                   request.as_of, request.cutoffs is not None)
             for one in surveyed if one.name in keys and one.name not in done]  # fmt: skip
    outcomes = dict(done)
    outcomes |= {one.name: Outcome(one.name, lost=one.trouble) for one in surveyed if one.trouble}
    if tasks:
        lessons = teach(request.study, sample, cutoffs, workers, partial(watch, "Learning from a sample"))
        for outcome in _forecast_all(request, workers, tasks, lessons, outcomes, panel.series, watch):
            outcomes[outcome.name] = outcome
    digest = hashlib.sha256(json.dumps(sorted(keys.items())).encode()).hexdigest()
    return _summarised(request, names, outcomes, cutoffs, len(sample.columns), len(done), digest, panel)


def _forecast_all(
    request: Request,
    workers: Crew,
    tasks: Sequence[_Task],
    lessons: Lessons,
    before: Mapping[str, Outcome],
    total: int,
    watch: Watch,
) -> Iterator[Outcome]:
    done = sum(one.series for one in before.values())
    failed = sum(one.failed for one in before.values())
    watch("Forecasting", done, total, failed)
    for at, found in workers.each(_forecast, tasks, lessons):
        outcome = Outcome(tasks[at].name, lost=f"{tasks[at].name}: {found.why}.") if isinstance(found, Lost) else found
        done, failed = done + outcome.series, failed + outcome.failed
        if request.fail_fast and (outcome.lost or outcome.first_failure):
            raise ForecastingError(
                f"Stopped by --fail-fast at {outcome.name}: {outcome.lost or outcome.first_failure}"
                " What is finished stays: the same command goes on from there."
            )
        watch("Forecasting", done, total, failed)
        yield outcome


# --- Survey ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Surveyed:
    """What one partition holds: a 64-bit number and a kind a series, months; what its finished result says, if any."""

    name: str
    digest: str = ""
    ids: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.uint64))
    kinds: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.uint8))
    ends: Mapping[int, int] = field(default_factory=dict)
    refused: int = 0
    first_refused: str = ""
    key: str = ""
    said: Mapping[str, Any] = field(default_factory=dict)
    trouble: str = ""

    def outcome(self) -> Outcome:
        return Outcome(**self.said["outcome"])


def _partitions(request: Request) -> tuple[str, ...]:
    names = request.data.partitions()
    if not names:
        raise DataError(f"{request.data.url} holds no Parquet file: name the folder of the partitions.")
    if f"{request.out.url.rstrip('/')}/".startswith(f"{request.data.url.rstrip('/')}/"):
        raise DataError(
            "--out is the folder of --data or lies in it: choose another, so that no result is taken for data."
        )
    try:
        there = request.out.partitions()
    except DataError:
        there = ()  # it does not exist yet
    if strange := sorted(set(there) - set(names)):
        raise DataError(
            f"{request.out.url} holds {strange[0]}, which is no partition of {request.data.name}: choose an empty"
            " folder for --out, or remove what is left there of another panel."
        )
    return names


def _survey(request: Request, names: Sequence[str], workers: Crew, watch: Watch) -> list[_Surveyed]:
    """Every partition in order; one that gave trouble is looked at once more, because all learn from all of them."""
    found = dict(_looks(request, names, workers, watch))
    found |= _looks(request, [one for one in names if found[one].trouble], workers, watch)
    return [found[one] for one in names]


def _looks(request: Request, names: Sequence[str], workers: Crew, watch: Watch) -> Iterator[tuple[str, _Surveyed]]:
    tasks = [_Look(request.data, request.out, one, request.as_of, request.where.memory_limit) for one in names]
    for done, (at, found) in enumerate(workers.each(_look, tasks), start=1):
        one = _Surveyed(names[at], trouble=f"{names[at]}: {found.why}.") if isinstance(found, Lost) else found
        if request.fail_fast and (wrong := one.trouble or one.first_refused):
            raise DataError(f"Stopped by --fail-fast: {wrong}")
        watch("Reading", done, len(tasks))
        yield one.name, one


@dataclass(frozen=True)
class _Look:
    data: Folder
    out: Folder
    name: str
    as_of: pd.Period | None
    memory_limit: int | None


def _look(task: _Look) -> _Surveyed:
    """Read a partition once: its digest, its series, and whether its result is there."""
    try:
        content = task.data.read(task.name)
        _refuse_too_large(content, task.name, task.memory_limit)
        part = _until(partitions.parse(content, task.name), task.as_of)
    except ForecastingError as error:
        return _Surveyed(task.name, trouble=str(error))
    except MemoryError:
        return _Surveyed(task.name, trouble=f"{task.name} needs more memory than --memory-limit: make it smaller.")
    said = _finished(task.out, task.name)
    ends, counts = (
        np.unique(Panel(part.y).last_known().map(lambda one: one.ordinal), return_counts=True)
        if len(part.series)
        else ((), ())
    )
    return _Surveyed(
        task.name, partitions.digest_of(content), _numbers(part.series), _kinds(part.y),
        dict(zip(map(int, ends), map(int, counts), strict=True)), len(part.refused),
        next((f"{task.name}: {one} {why}." for one, why in part.refused.items()), ""),
        str(said.get("key", "")), said,
    )  # fmt: skip


def _finished(out: Folder, name: str) -> dict[str, Any]:
    """What a result that is there, whole to the last byte, says of itself; empty where there is none."""
    try:
        return partitions.unpacked(out.read(name)) or {}
    except DataError:
        return {}


def _refuse_too_large(content: bytes, name: str, limit: int | None) -> None:
    rows = partitions.rows_of(content, name)
    most = int(SHARE_OF_MEMORY * (limit or MEMORY_LIMIT) / partitions.BYTES_A_ROW)
    if rows > most:
        raise DataError(
            f"{name} has {rows:,} rows, more than the {most:,} that a worker of {(limit or MEMORY_LIMIT) >> 20:,} MiB"
            " reads: write smaller partitions, or raise --memory-limit."
        )


def _until(part: Partition, month: pd.Period | None) -> Partition:
    if month is None or part.y.empty:
        return part
    y = part.y.loc[:month]
    there = y.columns[y.notna().any()]
    gone = {str(one): f"has no value until {month}" for one in y.columns.difference(there)}
    return replace(part, y=y[there], refused={**part.refused, **gone})


def _numbers(series: Sequence[str]) -> np.ndarray:
    """A 64-bit number of each id, the first of its SHA-256: what samples are drawn by."""
    return np.array([int.from_bytes(hashlib.sha256(one.encode()).digest()[:8], "big") for one in series], np.uint64)


def _kinds(y: pd.DataFrame) -> np.ndarray:
    """Kind of each series (n): by five years of history, and often zero or not."""
    months = y.notna().sum().to_numpy()
    return (2 * np.minimum(months // 60, YEARS) + often_zero(y)).astype(np.uint8)


@dataclass(frozen=True)
class _Panel:
    """All partitions together: number, kind and partition of every series that can be used."""

    ids: np.ndarray
    kinds: np.ndarray
    at: np.ndarray
    ends: Mapping[int, int]
    refused: int

    @classmethod
    def of(cls, surveyed: Sequence[_Surveyed]) -> _Panel:
        troubles = [one.trouble for one in surveyed if one.trouble]
        if len(troubles) == len(surveyed):
            raise DataError(troubles[0])
        ends: dict[int, int] = {}
        for one in surveyed:
            for month, count in one.ends.items():
                ends[month] = ends.get(month, 0) + count
        if not ends:
            first = next((one.first_refused for one in surveyed if one.first_refused), "they are empty.")
            raise DataError(f"No partition holds a series that can be forecast; the first reason is {first}")
        at = np.repeat(np.arange(len(surveyed)), [len(one.ids) for one in surveyed])
        panel = cls(
            np.concatenate([one.ids for one in surveyed]), np.concatenate([one.kinds for one in surveyed]), at, ends,
            sum(one.refused for one in surveyed),
        )  # fmt: skip
        panel._refuse_twice(surveyed)
        return panel

    @property
    def series(self) -> int:
        """How many series there are, refused ones included."""
        return len(self.ids) + self.refused

    @property
    def last(self) -> pd.Period:
        return pd.Period(ordinal=max(self.ends), freq="M")

    def _refuse_twice(self, surveyed: Sequence[_Surveyed]) -> None:
        order = np.argsort(self.ids, kind="stable")
        same = np.flatnonzero(self.ids[order][1:] == self.ids[order][:-1])
        if len(same):
            first, second = (surveyed[self.at[order[same[0] + more]]].name for more in (0, 1))
            raise DataError(
                f"{len(same):,} series stand in more than one partition, one of them in {first} and in {second}:"
                " keep all months of a series in one file."
            )

    def chosen(self, most: int) -> np.ndarray:
        """Places of at most so many series: of every kind its share, by their numbers alone."""
        if len(self.ids) <= most:
            return np.arange(len(self.ids))
        order = np.lexsort((self.ids, self.kinds))
        _, first, counts = np.unique(self.kinds[order], return_index=True, return_counts=True)
        rank = np.arange(len(order)) - np.repeat(first, counts)
        share = np.empty(len(order))
        share[order] = rank / np.repeat(counts, counts)
        return np.sort(np.lexsort((self.ids, share))[:most])


def _cutoffs(request: Request, panel: _Panel) -> tuple[pd.Period, ...]:
    """The cutoffs to forecast from: the panel's last month, or past ones."""
    if request.cutoffs is None:
        return (panel.last,)
    found = request.cutoffs(panel.last)
    if not found or found[-1] >= panel.last:
        raise DataError(
            f"The data end in {panel.last}, so the last possible cutoff is {panel.last - 1}: begin earlier."
        )
    return found


def _sample(
    request: Request, panel: _Panel, surveyed: Sequence[_Surveyed], workers: Crew, watch: Watch
) -> pd.DataFrame:
    """The series that are learned from (T × n), in the order of their ids."""
    chosen = panel.chosen(request.study.sample)
    tasks = []
    for at in np.unique(panel.at[chosen]):
        ids = panel.ids[chosen[panel.at[chosen] == at]]
        tasks.append(
            _Pick(request.data, surveyed[at].name, surveyed[at].digest, frozenset(map(int, ids)), request.as_of)
        )
    pieces = []
    for done, (_, one) in enumerate(workers.each(_pick, tasks), start=1):
        if isinstance(one, Lost):
            raise ForecastingError(f"The sample is not whole, {one.why}: run the same command again.")
        pieces.append(one)
        watch("Drawing a sample", done, len(tasks))
    y = pd.concat(pieces, axis=1).sort_index()
    y = y.reindex(pd.period_range(y.index[0], panel.last, freq="M"))
    return y[sorted(y.columns)]


@dataclass(frozen=True)
class _Pick:
    data: Folder
    name: str
    digest: str
    ids: frozenset[int]
    as_of: pd.Period | None


def _pick(task: _Pick) -> pd.DataFrame:
    part = _until(_read(task.data, task.name, task.digest)[0], task.as_of)
    numbers = _numbers(part.series)
    return part.y.loc[:, [int(one) in task.ids for one in numbers]]


def _read(data: Folder, name: str, digest: str) -> tuple[Partition, int]:
    """The partition as it was surveyed, and its bytes."""
    content = data.read(name)
    if partitions.digest_of(content) != digest:
        raise DataError(f"{name} was changed while it was read: run the same command again.")
    return partitions.parse(content, name), len(content)


def _key(request: Request, digest: str, sample: pd.DataFrame, cutoffs: tuple[pd.Period, ...]) -> str:
    """What decides the bytes of a result: its partition, the sample, settings, libraries and code."""
    # Code that only scores is no part of every key.
    scoring = [store.file_digest(Path(str(one.__file__))) for one in (backtests, scores)] if request.cutoffs else []
    return store.cache_key(
        "partition", digest, Panel(sample).digest(), [one.label for one in request.study.contenders],
        [one.forecaster for one in request.study.contenders], request.study.horizon, request.study.paths,
        request.study.seed, request.study.calibrate, request.study.sample, cutoffs, str(request.as_of),
        request.seconds, scoring,
    )  # fmt: skip


# --- One partition -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Task:
    study: Study
    data: Folder
    out: Folder
    name: str
    digest: str
    key: str
    seconds: float | None
    as_of: pd.Period | None
    scored: bool


def _forecast(task: _Task, lessons: Lessons) -> Outcome:
    """Read, forecast, write; what concerns one series keeps only that series out."""
    began = time.process_time()
    try:
        whole, n_bytes = _read(task.data, task.name, task.digest)
        part = _until(whole, task.as_of)
        pieces, failures = [], dict(part.refused)
        tied = 0
        untied: dict[str, str] = {}
        for group in chunks(part.y, task.study, len(lessons.at), roots(part.series, part.parents)):
            rows, failed, told = _of_chunk(task, part, group, lessons)
            pieces.append(rows)
            failures |= failed
            tied, untied = tied + len(told.tied), {**untied, **told.untied}
        table = _sorted(pieces, task.scored)
        taken = time.process_time() - began
        outcome = Outcome(
            task.name, len(part.series) + len(part.refused), table["series"].nunique(), len(failures), tied,
            len(untied), len(table), round(taken, 3), n_bytes, sums=_sums(table) if task.scored else {},
            first_failure=next((f"{one} {why}." for one, why in sorted(failures.items())), ""),
        )  # fmt: skip
        said = {
            "key": task.key, "input": task.digest, "version": __version__, "seed": task.study.seed,
            "horizon": task.study.horizon or "next_quarter", "paths": task.study.paths,
            "models": [one.label for one in task.study.contenders],
            "cutoffs": [str(one.cutoff) for one in lessons.at], "sample": lessons.series,
            "failures": sorted(failures.items()), "untied": sorted(untied.items()),
            "outcome": _plain(outcome),
        }  # fmt: skip
        content = partitions.packed(table, said)
        task.out.write(task.name, content)
    except ForecastingError as error:
        return Outcome(task.name, lost=str(error))
    except MemoryError:
        return Outcome(task.name, lost=f"{task.name} needs more memory than --memory-limit: make partitions smaller.")
    return replace(outcome, bytes_written=len(content))


def _plain(outcome: Outcome) -> dict[str, Any]:
    """What is the same in every run: no CPU seconds, which would make the bytes of a result differ."""
    return {**asdict(outcome), "seconds": 0.0}


def _of_chunk(
    task: _Task, part: Partition, group: Sequence[str], lessons: Lessons
) -> tuple[pd.DataFrame, dict[str, str], Told]:
    """Rows of some series from all cutoffs, why others have none, and what adds up."""
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
    return table, _without(study, y, told.failures, table, last), told


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
    rank = table.assign(kind=table["kind"].map(("month", "quarter", "fiscal_year").index))
    return table.loc[rank.sort_values(["series", "cutoff", "model", "kind", "period"]).index].reset_index(drop=True)


TEXTS = ("scenario", "model", "cutoff", "series", "unit", "period", "kind")


def _sums(rows: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Sums of scores by model and kind, over the cells that every model forecast."""
    if rows.empty:
        return {}
    models = rows["model"].nunique()
    cell = ["series", "cutoff", "kind", "period"]
    common = rows[rows.groupby(cell)["model"].transform("size") == models]
    actual = common["actual"].to_numpy(dtype=float)
    scale = common["scale"].where(common["scale"] > 0).to_numpy(dtype=float)
    found = {
        "mase": np.abs(actual - common["q50"].to_numpy()) / scale,
        "crps_scaled": common["crps"].to_numpy() / scale,
    }
    found["sql"] = quantile_loss(common[list(QUANTILE_COLUMNS)].to_numpy(dtype=float), actual) / scale
    for coverage, low, high in ((80, "q10", "q90"), (95, "q025", "q975")):
        bounds = common[low].to_numpy(dtype=float), common[high].to_numpy(dtype=float)
        found[f"msis{coverage}"] = interval_score(*bounds, actual, coverage) / scale
        found[f"cover{coverage}"] = 1.0 * ((bounds[0] <= actual) & (actual <= bounds[1]))
    table = pd.DataFrame({**found, "scaled": 1.0 * ~np.isnan(scale), "cells": 1.0})
    added = table.groupby([common["model"].to_numpy(), common["kind"].to_numpy()]).sum()
    return {json.dumps(key): {str(name): float(value) for name, value in row.items()} for key, row in added.iterrows()}


# --- Afterwards --------------------------------------------------------------------------------------------


def _summarised(
    request: Request, names: Sequence[str], outcomes: Mapping[str, Outcome], cutoffs: tuple[pd.Period, ...],
    sample: int, already: int, digest: str, panel: _Panel,
) -> Summary:  # fmt: skip
    """The summary, and beside the results what was done and who is missing."""
    remarks = _who_reaches(panel) if request.cutoffs is None else []
    old = [name for name in names if outcomes[name].lost and request.out.footer(name)]
    if old:
        remarks.append(
            f"{len(old):,} of the partitions that were not done have a result of an earlier run in --out, {old[0]} for"
            " one: it does not go with the others."
        )
    untied = _named(request, outcomes, "untied")
    made = Summary(
        tuple(outcomes[one] for one in names), _named(request, outcomes, "failures"), cutoffs, sample, already, digest,
        (*remarks, *_what_adds_up(outcomes, untied)),
    )  # fmt: skip
    about = {
        "version": __version__, "data": request.data.name, "cutoffs": [str(one) for one in cutoffs],
        "models": {one.label: {"model": one.forecaster.name, "settings": one.settings()} for one in
                   request.study.contenders},
        "paths": request.study.paths, "seed": request.study.seed, "calibrate": request.study.calibrate,
        "horizon": request.study.horizon or "next_quarter", "as_of": str(request.as_of) if request.as_of else None,
        "time_limit": request.seconds, "versions": store.surroundings(),
        "sample": made.sample, "series": panel.series, "forecast": int(made.total("forecast")),
        "failed": len(made.failures), "lost": [one.name for one in made.lost],
        "tied": int(made.total("tied")), "untied": int(made.total("untied")),
        "scores": made.scores.to_dict("records"),
    }  # fmt: skip
    request.out.write(FAILURES, store.csv_text(made.failures).encode())
    request.out.write(UNTIED, store.csv_text(untied).encode())
    request.out.write(SUMMARY, (json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode())
    return made


def _who_reaches(panel: _Panel) -> list[str]:
    """How many series reach the month that all are forecast from; a doubt where most do not."""
    reach, count = panel.ends[max(panel.ends)], len(panel.ids)
    if reach == count:
        return []
    usual = pd.Period(ordinal=max(panel.ends, key=lambda month: (panel.ends[month], month)), freq="M")
    said = f"{reach:,} of {count:,} series reach {panel.last}, the month that all are forecast from"
    if reach >= MOST * count:
        return [f"{said}."]
    return [f"Only {said}; most end in {usual}: --as-of {usual}, if the later months are slips."]


def _what_adds_up(outcomes: Mapping[str, Outcome], untied: pd.DataFrame) -> list[str]:
    """How many parents are the sum of their parts, where parents are named at all."""
    tied, loose = sum(one.tied for one in outcomes.values()), untied[untied["series"] != ""]
    if not (tied or len(loose)):
        return []
    said = f"{tied:,} of {tied + len(loose):,} parents are the sum of their parts on every path"
    if not len(loose):
        return [f"{said}."]
    first = loose.iloc[0]
    return [f"{said}; why the others are not stands in {UNTIED}, of {first['series']}: {first['why']}."]


def _named(request: Request, outcomes: Mapping[str, Outcome], what: str) -> pd.DataFrame:
    """Series and why (``failures``: they have no forecast; ``untied``), by the footers of the results that have any."""
    rows: list[tuple[str, str, str]] = []
    for name, one in outcomes.items():
        if one.lost:
            rows.append((name, "", one.lost))
        elif one.failed if what == "failures" else one.untied:
            said = request.out.footer(name)
            if said is None:
                raise DataError(f"The result {name} was taken out of --out meanwhile: run the same command again.")
            rows += [(name, series, why) for series, why in said.get(what, ())]
    return pd.DataFrame(sorted(rows), columns=["partition", "series", "why"])


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
