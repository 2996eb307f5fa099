"""Backtests: the models of an experiment from its past cutoffs, each beside the truth that it was not shown.

Two steps, both spread over processes. Fitting: one model on one series over all cutoffs (a global model: all series
over half a year) makes a part, kept on disk under a name that hashes all that decides it, so that a killed run goes
on where it stopped. Scoring: the parts of one model become forecasts, which are calibrated, coupled and made coherent
if asked for, and held against the truth. Parts hold exact 64-bit paths, not rounded ones: a resumed run must give
the same bytes as an undisturbed one and as a live forecast; 500 paths × 6 months are 24 kB a series and cutoff.
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forecasting import __version__, backtest_files, clock, pipeline, store, workflow
from forecasting.backtest_files import PARTS, TABLE_COLUMNS, Result
from forecasting.calibration import SHORT_MONTHS
from forecasting.catalogue import Catalogue
from forecasting.coherence import coherent
from forecasting.compute import Progress, map_tasks, silent
from forecasting.covariates import held, with_covariates
from forecasting.errors import DataError
from forecasting.experiment import Done, Job, Origin, PanelAt, jobs_of, side_by_side, work
from forecasting.experiments_file import FIRST_PUBLISHED, Contender, Cutoffs, Experiment, parts_of
from forecasting.forecast import Forecast
from forecasting.observations import with_derived
from forecasting.panel import Panel
from forecasting.periods import Totals, label
from forecasting.plan import Plan, plan
from forecasting.scores import crps_of_paths, pit_of_paths, seasonal_scale
from forecasting.sources.user_file import read_covariates
from forecasting.tables import all_totals, closure, forecast_table
from forecasting.vintages import month_after

MONTHS_OF = {"month": 1, "quarter": 3, "fiscal_year": 12}
PERIODS = {"month": "M", "quarter": "Q-DEC", "fiscal_year": "Y-MAR"}
VERSIONS = ("numpy", "pandas", "scipy", "statsmodels", "scikit-learn", "tradecast")
# CPU seconds of one series from one cutoff, measured on the official figures: what a first --dry-run goes by.
SECONDS = {
    "naive": 0.0015, "seasonal_naive": 0.0015, "theta": 0.008, "ets": 0.026, "sarima": 0.25, "boosting": 0.14,
}  # fmt: skip
SCORING_SECONDS = 0.015


@dataclass(frozen=True)
class Data:
    """What a backtest may use: ``panel_at`` is all that a model sees, ``y`` (T × n) is the truth it is held against.

    ``x`` (T' × k) holds covariates that are taken as known beyond a cutoff.
    """

    panel_at: PanelAt
    y: pd.DataFrame
    x: pd.DataFrame
    catalogue: Catalogue
    digest: str
    source: str = "official figures"

    @classmethod
    def latest(cls, panel: Panel, catalogue: Catalogue, source: str = "official figures") -> Data:
        """Figures as they stand today, cut short at each cutoff."""
        return cls(panel.until, panel.y, panel.x, catalogue, panel.digest(), source)

    @property
    def end(self) -> pd.Period:
        """The last month of which any truth is known."""
        return pd.Period(self.y.index[-1], "M")


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
class Fold:
    """One cutoff: what is seen, what is modelled (``wanted``), what is scored (``shown``; none while warming up).

    ``scale`` has rows (series, kind) and columns scale, scale_sq: mean changes on a year earlier known at the cutoff.
    """

    cutoff: pd.Period
    plan: Plan
    core: tuple[str, ...]
    below: tuple[str, ...]
    shown: tuple[str, ...]
    future: pd.DataFrame
    scale: pd.DataFrame

    @property
    def wanted(self) -> tuple[str, ...]:
        return (*self.core, *self.below)


@dataclass(frozen=True)
class Part:
    """Work of one process: a job, the places of its folds, and the key that its result is kept under."""

    job: Job
    at: tuple[int, ...]
    key: str


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


# --- Preparing: everything that can be wrong is said before anything is fitted -----------------------------


def prepare(experiment: Experiment, data: Data) -> Prepared:
    """Choose folds and parts; impossible cutoffs and too short a history are refused."""
    needed = max(one.forecaster.min_months for one in experiment.contenders)
    slowest = max(experiment.contenders, key=lambda one: one.forecaster.min_months).label
    if experiment.window is not None and experiment.window < needed:
        raise DataError(
            f"{experiment.name}: window is {experiment.window} months, but {slowest} needs {needed}: widen it."
        )
    for block in experiment.cutoffs:
        _check_cutoffs(experiment.name, block, data)
    folds = tuple(_folds(experiment, data, needed))
    for block in experiment.cutoffs:
        _check_history(experiment.name, block, data, folds, slowest, needed)
    return Prepared(experiment, data, folds, tuple(_parts(experiment, data, folds)))


def _check_cutoffs(name: str, block: Cutoffs, data: Data) -> None:
    months, begin = block.months(data.end), data.y.index[0]
    data.catalogue.select(block.series)
    if not months:
        raise DataError(f"{name}: cutoffs would begin in {block.first}, but the data end in {data.end}: begin earlier.")
    if months[-1] >= data.end:
        raise DataError(
            f"{name}: cutoff {next(one for one in months if one >= data.end)} leaves no published month to compare:"
            f" the data end in {data.end}, so the last possible cutoff is {data.end - 1}."
        )
    if months[0] < begin:
        raise DataError(f"{name}: cutoff {months[0]} lies before the data, which begin in {begin}: begin later.")


def _check_history(name: str, block: Cutoffs, data: Data, folds: Sequence[Fold], slowest: str, needed: int) -> None:
    """The first cutoff of every block has something to show for itself."""
    first, series = block.months(data.end)[0], set(data.catalogue.select(block.series))
    if any(fold.cutoff == first and series & set(fold.shown) for fold in folds):
        return
    possible = next((fold.cutoff for fold in folds if fold.cutoff > first and series & set(fold.shown)), None)
    advice = f"begin in {possible}" if possible else "begin later, or leave out the models that need most"
    raise DataError(
        f"{name}: at cutoff {first} none of {', '.join(block.series)} has the {needed} months that {slowest} needs:"
        f" {advice}."
    )


def _folds(experiment: Experiment, data: Data, needed: int) -> Iterator[Fold]:
    """Folds by cutoff; cutoffs before the first only teach the calibration. One plan serves all models.

    A series enters at the first cutoff at which every model has its months, so that all are ranked on the same folds.
    """
    scored: dict[pd.Period, set[str]] = {}
    warming: dict[pd.Period, set[str]] = {}
    for block in experiment.cutoffs:
        series = data.catalogue.select(block.series)
        for cutoffs, into in ((block.months(data.end), scored), (block.before(experiment.warm_up), warming)):
            for cutoff in cutoffs:
                into.setdefault(cutoff, set()).update(series)
    for cutoff in sorted({*scored, *warming}):
        if cutoff < data.y.index[0]:
            continue
        shown = scored.get(cutoff, set())
        fold = _fold(experiment, data, cutoff, shown, shown | warming.get(cutoff, set()), needed)
        if fold is not None:
            yield fold


def _fold(
    experiment: Experiment, data: Data, cutoff: pd.Period, shown: set[str], asked: set[str], needed: int
) -> Fold | None:
    seen, catalogue = data.panel_at(cutoff), data.catalogue
    months = seen.y.notna().sum()
    enough = set(months.index[months >= needed])
    possible = tuple(one for one in catalogue if one in asked and set(closure([one], catalogue)) <= enough)
    if not possible:
        return None
    chosen = plan(Panel(seen.y), catalogue, possible, needed, experiment.name)
    core, below = _modelled(chosen, catalogue, possible, experiment.calibrate)
    x = held(data.x, cutoff) if experiment.hold_covariates else data.x
    future = Panel(chosen.learned, x).future(experiment.last(cutoff))
    shown_now = tuple(one for one in possible if one in shown)
    return Fold(cutoff, chosen, core, below, shown_now, future, scales_of(chosen.y, catalogue, shown_now))


def _modelled(
    chosen: Plan, catalogue: Catalogue, series: Sequence[str], calibrate: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Series to fit: in the core and below it. Models as they are: only what is shown or what that is made of."""
    direct = [part for one in series for part in ((one,) if one in chosen.y else closure([one], catalogue))]
    if not calibrate:
        return tuple(dict.fromkeys(direct)), ()
    if chosen.below:
        return chosen.modelled(chosen.core), chosen.modelled(chosen.below)
    sums = [{parent, *parts} for parent, parts in chosen.core_tree.parts.items()]
    laws = [*sums, *({one.value, one.quantity} for one in chosen.pairs)]
    tied = set(direct)
    while more := {one for law in laws if tied & law for one in law} - tied:
        tied |= more
    return chosen.modelled([one for one in chosen.core if one in tied]), ()


def scales_of(y: pd.DataFrame, catalogue: Catalogue, shown: tuple[str, ...]) -> pd.DataFrame:
    """Mean absolute and squared change on a year earlier by series and kind, of all months known."""
    pieces = []
    for kind, months in MONTHS_OF.items():
        scale, squared = seasonal_scale(_summed(y, months, catalogue, shown).to_numpy())
        pieces.append(pd.DataFrame({"series": shown, "kind": kind, "scale": scale, "scale_sq": squared}))
    return pd.concat(pieces, ignore_index=True)


def _summed(y: pd.DataFrame, months: int, catalogue: Catalogue, shown: Sequence[str]) -> pd.DataFrame:
    """Totals of so many months that end in each month (T × n), derived series computed from the totals of their terms.

    A quarter's unit price is its value over its quantity, not a sum of prices.
    """
    if len(y) < months:
        return pd.DataFrame(np.nan, index=y.index, columns=list(shown))
    sums = np.lib.stride_tricks.sliding_window_view(y.to_numpy(dtype=float), months, axis=0).sum(axis=-1)
    totals = pd.DataFrame(sums, index=y.index[months - 1 :], columns=y.columns)
    return with_derived(totals, catalogue, shown)[list(shown)].reindex(y.index)


def truth_of(y: pd.DataFrame, catalogue: Catalogue, series: Sequence[str]) -> dict[str, pd.DataFrame]:
    """What came: a table of periods × series for each kind, NaN where any month of a period is unknown."""
    tables = {}
    for kind, months in MONTHS_OF.items():
        summed = _summed(y, months, catalogue, series)
        periods = summed.index.asfreq(PERIODS[kind])  # type: ignore[attr-defined]
        ends = periods.asfreq("M", "end") == summed.index
        tables[kind] = summed[ends].set_axis([label(one, kind) for one in periods[ends]], axis=0)
    return tables


def _parts(experiment: Experiment, data: Data, folds: Sequence[Fold]) -> Iterator[Part]:
    """Parts of all models; one that also is in a pool is fitted once for both."""
    panels = [_seen(fold, data.x, experiment.window) for fold in folds]
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
    kept = _part_folder(folder, fresh)
    todo = missing(prepared, folder)
    map_tasks(make, [(part, kept) for part in todo], workers, progress("Fitting"))
    scored = map_tasks(score, list(_scorings(prepared, kept)), workers, progress("Scoring"))
    rows = pd.concat([one.rows for one in scored], ignore_index=True)
    if rows.empty:
        reason = next((str(one["reason"]) for of in scored for one in of.failures), "no truth is known")
        raise DataError(f"{prepared.experiment.name}: no model made a forecast that can be compared; {reason}")
    timings = pd.concat([one.timings for one in scored], ignore_index=True)
    about = _about(prepared, scored, timings, workers, time.monotonic() - began, len(prepared.parts) - len(todo))
    result = backtest_files.write(folder, rows, timings, about, prepared.experiment.text)
    _tidy(kept, prepared.parts)
    return result


def _part_folder(folder: Path, fresh: bool) -> Path:
    kept = folder / PARTS
    try:
        if fresh and kept.is_dir():
            shutil.rmtree(kept)
        kept.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise DataError(f"{folder} cannot be written: {cause.strerror or cause}. Choose another with --out.") from cause
    return kept


def missing(prepared: Prepared, folder: Path) -> list[Part]:
    """Parts that are not on disk, or damaged."""
    cache = _cache(folder / PARTS)
    return [one for one in prepared.parts if cache.get(one.key) is None]


def _cache(kept: Path) -> store.Cache:
    # Never pruned by size: a part that goes while the run lasts would have to be made again.
    return store.Cache(kept, most_bytes=10**15)


def _tidy(kept: Path, parts: Sequence[Part]) -> None:
    """Parts of earlier settings, code or data are of no use to the next run."""
    cache = _cache(kept)
    current = {cache._path(one.key).name for one in parts}
    for path in kept.glob("*.arrays"):
        if path.name not in current:
            path.unlink(missing_ok=True)


def make(task: tuple[Part, Path]) -> None:
    """Fit and keep one part; nothing but its own file is written, whole or not at all."""
    part, kept = task
    if trouble := _cache(kept).put(part.key, _packed(work(part.job))):
        raise DataError(f"A finished part could not be kept: {trouble} Make room, or choose another folder with --out.")


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
    """By fold: the forecast with the wanted number of paths, or why there is none; and CPU seconds."""
    for at, said in enumerate(json.loads(arrays["said"].tobytes())):
        if "reason" in said:
            yield said["reason"], said["seconds"]
            continue
        months = pd.period_range(said["months"][0], periods=said["months"][1], freq="M")
        cutoff = tuple(pd.Period(one, "M") for one in said["cutoff"])
        yield Forecast(arrays[f"{at} {which}"], months, tuple(said["series"]), cutoff, said["model"]), said["seconds"]


# --- Scoring ---------------------------------------------------------------------------------------------


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
        cache = _cache(task.kept)
        for source in task.sources:
            arrays = cache.get(source.key)
            if arrays is None:
                raise DataError(f"A finished part in {task.kept.name} was lost or damaged meanwhile: run again.")
            read._add(task, source, arrays)
        return read

    def _add(self, task: Scoring, source: Source, arrays: Mapping[str, np.ndarray]) -> None:
        outcomes = zip(source.at, source.wanted, _unpacked(arrays, source.which), strict=True)
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
            yield at, _through_the_chain(task, made, at) if task.experiment.calibrate else forecast


def _through_the_chain(task: Scoring, made: Sequence[Forecast | None], at: int) -> Forecast:
    """Calibrated, coupled and coherent, as `tradecast forecast` does it."""
    fold = task.folds[at]
    core = _calibrated(task, made, at, fold.core)
    families = [fold.plan.modelled(one) for one in fold.plan.families] if fold.below else []
    found = [one for family in families if (one := _calibrated(task, made, at, family))]
    below = side_by_side(found) if found else None
    if core and below and (len(core.series) < len(fold.core) or len(below.series) < len(fold.below)):
        below = None  # something failed, so that what lies below the core cannot be shared out
    return coherent(core, below, fold.plan)


def _calibrated(task: Scoring, made: Sequence[Forecast | None], at: int, group: tuple[str, ...]) -> Forecast | None:
    final = made[at]
    assert final is not None
    series = tuple(one for one in group if one in final.series)
    if not series:
        return None
    past = list(_past(task.folds, made, at, series))
    ready, _ = pipeline.after_the_model(final.select(series), past, task.folds[at].plan.learned, task.experiment.seed)
    return ready


def _past(
    folds: Sequence[Fold], made: Sequence[Forecast | None], at: int, series: tuple[str, ...]
) -> Iterator[Forecast]:
    """Earlier forecasts to learn from, latest first, as far apart and as many as a live forecast takes.

    Their truth is looked up in the months known at fold ``at``. What is left of a parent is learned from only where
    it was left by the same parts.
    """
    here = folds[at]
    months = here.plan.learned[list(series)].notna().sum()
    short = {one: months[one] < SHORT_MONTHS for one in series}
    live = pipeline.backs_of_kinds(len(series), len(here.future))
    taken: dict[str, list[pd.Period]] = {one: [] for one in series}
    for then in range(at - 1, -1, -1):
        earlier, cutoff = made[then], folds[then].cutoff
        if earlier is None:
            continue
        usable = []
        for one in set(series) & set(earlier.series):
            backs = live[0] if short[one] else live[1]
            last = taken[one][-1] if taken[one] else here.cutoff
            due = len(taken[one]) < len(backs) and (last - cutoff).n >= backs[0]
            if due and _meaning(here.plan, one) == _meaning(folds[then].plan, one):
                taken[one].append(cutoff)
                usable.append(one)
        if usable:
            yield earlier.select(tuple(sorted(usable)))


def _meaning(chosen: Plan, series: str) -> tuple[str, ...]:
    """The parts that a remainder is left by; nothing for a series of its own."""
    for tree in (chosen.core_tree, chosen.listed_tree):
        if series.endswith(tree.suffix):
            return tree.parts.get(tree.parent_of(series), ())
    return ()


def _rows(task: Scoring, at: int, made: Forecast) -> pd.DataFrame:
    """Rows of one fold: every period of which the truth is known, TABLE_COLUMNS."""
    fold, there = task.folds[at], set(made.series)
    shown = tuple(one for one in fold.shown if one in there or set(closure([one], task.catalogue)) <= there)
    if not shown:
        return pd.DataFrame(columns=list(TABLE_COLUMNS))
    table = beside_truth(made, fold.plan.y, task.catalogue, shown, task.truth, fold.scale)
    return table.assign(experiment=task.experiment.name, cutoff=str(fold.cutoff))[list(TABLE_COLUMNS)]


def beside_truth(
    made: Forecast, y: pd.DataFrame, catalogue: Catalogue, series: tuple[str, ...],
    truth: Mapping[str, pd.DataFrame], scale: pd.DataFrame,
) -> pd.DataFrame:  # fmt: skip
    """The forecast table of these series with actual, CRPS, PIT and scales, for every period of known truth.

    ``y`` (T × n) is what was known at the cutoff; ``truth`` is made by ``truth_of``, ``scale`` by ``scales_of``.
    """
    kinds = all_totals(made, y, catalogue, series)
    table = forecast_table(made, kinds, catalogue)
    cells = pd.concat([_cells(of, truth[kind]) for kind, of in kinds.items()], ignore_index=True)
    table = table.merge(cells, on=["series", "kind", "period"], how="left").merge(
        scale, on=["series", "kind"], how="left"
    )
    return table[table["actual"].notna()]


def _cells(of: Totals, truth: pd.DataFrame) -> pd.DataFrame:
    """Truth, CRPS and PIT of every period and series of one kind."""
    actual = truth.reindex(index=list(of.labels), columns=list(of.series)).to_numpy()
    crps, pit = np.full(actual.shape, np.nan), np.full(actual.shape, np.nan)
    for period, series in zip(*np.nonzero(~np.isnan(actual)), strict=True):
        paths = of.paths[:, period, series]
        known = paths[~np.isnan(paths)]  # a unit price does not exist on paths on which nothing is traded
        if len(known):
            crps[period, series] = crps_of_paths(known, actual[period, series])
            pit[period, series] = pit_of_paths(known, actual[period, series])
    return pd.DataFrame(
        {
            "series": np.tile(np.array(of.series, dtype=object), len(of.labels)),
            "kind": of.kind,
            "period": np.repeat(np.array(of.labels, dtype=object), len(of.series)),
            "actual": actual.ravel(),
            "crps": crps.ravel(),
            "pit": pit.ravel(),
        }
    )


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
        "versions": {"python": platform.python_version(), **{one: _version(one) for one in VERSIONS}},
        "git": git_state(backtest_files.project_folder()),
    }


def _version(package: str) -> str:
    if package == "tradecast":
        return __version__
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def git_state(project: Path) -> dict[str, Any] | None:
    """Commit of the project and whether files differ from it; nothing where there is no repository."""
    if not (project / ".git").exists():
        return None
    commit = _git(project, "rev-parse", "HEAD")
    changed = _git(project, "status", "--porcelain", "--untracked-files=no")
    return None if commit is None or changed is None else {"commit": commit, "dirty": bool(changed)}


def _git(project: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(project), *words], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


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
