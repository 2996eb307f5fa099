"""What a large panel learns from a bounded sample of itself, and asking it: forecasts of any few of its series.

Trees and the factors of the intervals are learned once from the sample, for every cutoff that is asked about. A series
is then forecast from its own months and these lessons alone: in whatever company, order, process or partition it
stands, its numbers are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from forecasting import calibration, pipeline
from forecasting.calibration import Strata
from forecasting.compute import Crew, Lost
from forecasting.errors import ForecastingError, ModelError
from forecasting.experiment import NUMERICAL, Job, Origin, half_year_of, jobs_of, side_by_side, work
from forecasting.experiments_file import Contender, parts_of
from forecasting.forecast import Forecast
from forecasting.models.base import Forecaster
from forecasting.models.boosting import Boosting, FittedBoosting
from forecasting.panel import ENDED_MONTHS, Panel
from forecasting.periods import next_full_quarter_end
from forecasting.time_limit import TookTooLong, time_limit
from forecasting.transform import choose_transform

SAMPLE = 1_500
"""Series that a panel learns from at most; the trees of boosting take no more either."""
CHUNK = 100
PATH_BYTES = 100_000_000
"""Memory that the paths of one chunk of series may take."""

Trees = Mapping[Forecaster, Mapping[pd.Period, FittedBoosting | str]]
"""What learned at each cutoff, or in words why it could not."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Study:
    """All that decides a forecast besides the data; ``horizon`` in months, or none: to the end of the next quarter."""

    contenders: tuple[Contender, ...]
    horizon: int | None = None
    paths: int = 2000
    seed: int = 0
    calibrate: bool = True
    sample: int = SAMPLE

    def last(self, cutoff: pd.Period) -> pd.Period:
        """The last month that is forecast from a cutoff."""
        return cutoff + self.horizon if self.horizon else next_full_quarter_end(cutoff)

    def steps(self, cutoff: pd.Period) -> int:
        """Months from a cutoff to the last that is forecast."""
        return int((self.last(cutoff) - cutoff).n)

    @property
    def parts(self) -> dict[Forecaster, tuple[int, ...]]:
        """What is fitted, and how many paths of it are wanted: a model's own, its share of a pool."""
        return parts_of(self.contenders, self.paths)

    @property
    def min_months(self) -> int:
        """Months that a series needs for all models, so that all are compared on the same forecasts."""
        return max(part.min_months for one in self.contenders for part in (one.forecaster, *one.parts()))

    def able(self, y: pd.DataFrame, cutoff: pd.Period) -> tuple[str, ...]:
        """The series of y (T × n) that can be forecast from a cutoff."""
        return tuple(one for one, why in self.why_not(y, cutoff).items() if not why)

    def why_not(self, y: pd.DataFrame, cutoff: pd.Period) -> dict[str, str]:
        """By series why it cannot be forecast from a cutoff; empty where it can."""
        known = y.loc[:cutoff].notna()
        months = known.sum().to_numpy()
        quiet = ~known.loc[cutoff - ENDED_MONTHS :].any().to_numpy()
        said = np.where(months < self.min_months, f"needs {self.min_months} months until {cutoff}, fewer are known", "")
        said = np.where(quiet & (months > 0), f"has no value from {cutoff - ENDED_MONTHS} on", said)
        return dict(zip(map(str, y.columns), map(str, said), strict=True))


@dataclass(frozen=True)
class Taught:
    """A model that has learned at every cutoff: to fit it is to ask it about a panel that ends there."""

    name: str
    min_months: int
    at: Mapping[pd.Period, FittedBoosting | str]
    learns_across_series: bool = True

    def fit(self, panel: Panel) -> FittedBoosting:
        learned = self.at.get(panel.cutoff, "no series was long enough")
        if isinstance(learned, str):
            raise ModelError(f"{self.name} could not learn from the data up to {panel.cutoff}: {learned}")
        return learned.on(panel)


@dataclass(frozen=True)
class Lesson:
    """What was learned about one cutoff: factors of the intervals by contender and length of history."""

    cutoff: pd.Period
    strata: Mapping[str, Strata] = field(default_factory=dict)


@dataclass(frozen=True)
class Lessons:
    """What a sample of so many series taught: trees by model and cutoff, factors by cutoff."""

    at: tuple[Lesson, ...]
    trees: Trees
    series: int


@dataclass(frozen=True)
class Answer:
    """Forecasts by cutoff, contender and last known month of their series, and by series why there is none."""

    forecasts: Mapping[tuple[pd.Period, str, pd.Period], Forecast]
    failures: Mapping[str, str]


# --- Asking ------------------------------------------------------------------------------------------------


def ask(
    study: Study, y: pd.DataFrame, until: Mapping[pd.Period, pd.Period], trees: Trees, seconds: float | None = None
) -> Answer:
    """Forecasts of these few series (T × n) from each cutoff ``until`` a month, as the models make them.

    ``seconds`` is what one model may take for one forecast of one series.
    """
    origins, panels, ends = [], [], []
    for cutoff in until:
        for last, series in _by_end(y.loc[:cutoff, list(study.able(y, cutoff))]):
            months = pd.period_range(last + 1, until[cutoff], freq="M")
            origins.append((cutoff, pd.DataFrame(index=months), series))
            panels.append(Panel(y.loc[:cutoff, list(series)]))
            ends.append((cutoff, last))
    failures: dict[str, str] = {}
    pieces: dict[tuple[Forecaster, int, int], list[Forecast]] = {}
    for part, counts in study.parts.items():
        ready: Any = Taught(part.name, part.min_months, trees[part]) if part in trees else part
        for at, count, made in _forecasts(ready, panels, origins, counts, study.seed, seconds, failures):
            pieces.setdefault((part, at, count), []).append(made)
    forecasts = {}
    for one in study.contenders:
        for at, (cutoff, last) in enumerate(ends):
            share = one.share(study.paths)
            members = [pieces.get((part, at, share), []) for part in one.parts()]
            if all(members):
                made = one.combined([side_by_side(found) for found in members], study.paths)
                if made.series:
                    forecasts[cutoff, one.label, last] = made
    return Answer(forecasts, failures)


def _by_end(y: pd.DataFrame) -> list[tuple[pd.Period, tuple[str, ...]]]:
    """The series by their last known month: together they would be asked for months before some of them began."""
    if y.empty:
        return []
    last = Panel(y).last_known()
    return [(end, tuple(map(str, last.index[last == end]))) for end in sorted(set(last))]


def _forecasts(
    part: Forecaster,
    panels: Sequence[Panel],
    origins: Sequence[Origin],
    counts: tuple[int, ...],
    seed: int,
    seconds: float | None,
    failures: dict[str, str],
) -> Iterable[tuple[int, int, Forecast]]:
    """Origin, number of paths and forecast of whatever succeeds; what a whole job spoils is tried series by series."""
    todo = list(jobs_of(part, panels, origins, counts, seed, watched=False))
    while todo:
        job, at = todo.pop()
        everyone = tuple(dict.fromkeys(one for wanted in job.wanted for one in wanted))
        done = _within(job, None if seconds is None else seconds * sum(map(len, job.wanted)))
        why = done if isinstance(done, str) else next((one for one in done.forecasts if isinstance(one, str)), "")
        if why and len(everyone) > 1:
            todo += [_only(job, at, one) for one in everyone]
            continue
        if why:
            failures.setdefault(everyone[0], why)
        for origin, outcome in zip(at, [] if isinstance(done, str) else done.forecasts, strict=False):
            if not isinstance(outcome, str):
                yield from ((origin, count, one) for count, one in zip(counts, outcome, strict=True))


def _only(job: Job, at: Sequence[int], series: str) -> tuple[Job, list[int]]:
    """The same for one series, from the origins that want it."""
    places = [place for place, wanted in enumerate(job.wanted) if series in wanted]
    alone = replace(
        job,
        panels=tuple(Panel(job.panels[one].y[[series]], job.panels[one].x) for one in places),
        futures=tuple(job.futures[one] for one in places),
        wanted=((series,),) * len(places),
    )
    return alone, [at[one] for one in places]


def _within(job: Job, seconds: float | None) -> Any:
    """What the job gives, or in words why nothing."""
    name = job.forecaster.name
    try:
        with time_limit(seconds):
            return work(job)
    except TookTooLong:
        return f"{name} took longer than {seconds:g} seconds"
    except MemoryError:
        return f"{name} ran out of memory"
    except (*NUMERICAL, ArithmeticError) as error:
        return f"{name} could not be fitted ({' '.join(str(error).split())})"


def calibrated(forecast: Forecast, lesson: Lesson, y: pd.DataFrame) -> Forecast:
    """The forecast with intervals as wide as the sample's errors ask for; ``y`` (T × n) holds its series."""
    strata = lesson.strata.get(forecast.model)
    if strata is None:
        return forecast
    known = y.loc[: lesson.cutoff, list(forecast.series)]
    months = {str(one): int(count) for one, count in known.notna().sum().items()}
    return calibration.calibrate(forecast, strata.calibration(months), _transforms(known))


def _transforms(y: pd.DataFrame) -> dict[str, Any]:
    return {str(one): choose_transform(y[one].to_numpy(dtype=float)) for one in y}


def chunks(y: pd.DataFrame, study: Study, cutoffs: int, roots: Mapping[str, str] | None = None) -> list[list[str]]:
    """Series that are asked about together: as many as memory allows, those that end in the same month side by side.

    Those with the same root stay together.
    """
    size = 8 * study.paths * (study.horizon or 6) * cutoffs * (2 + sum(map(len, study.parts.values())))
    each_chunk = max(1, min(CHUNK, PATH_BYTES // max(size, 1)))
    known = y.notna().to_numpy()
    last = len(known) - known[::-1].argmax(axis=0) if len(known) else np.zeros(len(y.columns), dtype=int)
    families: dict[str, list[str]] = {}
    for one in (str(y.columns[at]) for at in np.argsort(last, kind="stable")):
        families.setdefault(roots[one] if roots else one, []).append(one)
    found: list[list[str]] = []
    for family in families.values():
        if not found or len(found[-1]) + len(family) > each_chunk:
            found.append([])
        found[-1] += family
    return found


# --- Learning ----------------------------------------------------------------------------------------------


def teach(study: Study, y: pd.DataFrame, cutoffs: Sequence[pd.Period], crew: Crew, progress: Progress) -> Lessons:
    """What the sample y (T × n) teaches about these cutoffs, learned only from what was known at each."""
    past = {one: _past(study, y, one) for one in cutoffs} if study.calibrate else {}
    earlier = {then for found in past.values() for then in found}
    trees = _teach_trees(study, y, sorted({*cutoffs, *earlier}), crew, progress)
    if not study.calibrate:
        return Lessons(tuple(Lesson(one) for one in cutoffs), trees, len(y.columns))
    steps = min(max(map(study.steps, cutoffs)), pipeline.CALIBRATION_HORIZON)
    until = {then: then + steps for then in sorted(earlier)}
    tasks = [_Sample(study, y[part], until) for part in chunks(y, study, max(len(until), 1))] if until else []
    answers = [one for one in _in_order(_errors, tasks, crew, trees, progress) if len(one)]
    rows = pd.concat(answers, ignore_index=True) if answers else pd.DataFrame()
    lessons = [_lesson(study, y, cutoff, past[cutoff], rows) for cutoff in cutoffs]
    return Lessons(tuple(lessons), trees, len(y.columns))


def _past(study: Study, y: pd.DataFrame, cutoff: pd.Period) -> dict[pd.Period, frozenset[str]]:
    """Earlier cutoffs that calibrate this one, each with the series that are learned from there."""
    series = study.able(y, cutoff)
    if not series:
        return {}
    panel = Panel(y.loc[:cutoff, list(series)])
    steps = min(study.steps(cutoff), pipeline.CALIBRATION_HORIZON)
    found = pipeline.calibration_origins(panel, series, study.min_months, steps)
    return {then: frozenset(wanted) for then, wanted in found}


@dataclass(frozen=True)
class _Sample:
    """Some series of the sample, to be forecast from past cutoffs."""

    study: Study
    y: pd.DataFrame
    until: Mapping[pd.Period, pd.Period]


def _errors(task: _Sample, trees: Trees) -> pd.DataFrame:
    """Quantiles and actual of every forecast cell, with the contender and the cutoff that was asked from."""
    answer = ask(task.study, task.y, task.until, trees)
    rows = [
        calibration.error_rows(made, task.y).assign(model=label, asked=cutoff.ordinal)
        for (cutoff, label, _), made in answer.forecasts.items()
    ]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()


def _lesson(
    study: Study, y: pd.DataFrame, cutoff: pd.Period, past: Mapping[pd.Period, frozenset[str]], rows: pd.DataFrame
) -> Lesson:
    """Factors from what was forecast from earlier cutoffs and published until this one."""
    known = y.loc[:cutoff, list(study.able(y, cutoff))]
    months = {str(one): int(count) for one, count in known.notna().sum().items()}
    strata = {}
    for contender in study.contenders:
        mine = rows
        if len(rows):
            here = (rows["model"] == contender.label) & (rows["month"] <= cutoff)
            for then in set(rows["asked"]):
                here &= (rows["asked"] != then) | rows["series"].isin(past.get(pd.Period(ordinal=then, freq="M"), ()))
            mine = rows[here & rows["series"].isin(list(months))]
            mine = mine.sort_values(["series", "asked", "month"], ignore_index=True)
        strata[contender.label] = calibration.learn_strata(mine, _transforms(known), months, study.steps(cutoff))
    return Lesson(cutoff, strata)


def _teach_trees(study: Study, y: pd.DataFrame, cutoffs: Sequence[pd.Period], crew: Crew, progress: Progress) -> Trees:
    """What learns across series, at every cutoff; a task is a half-year, whose cutoffs share their trees."""
    halves: dict[tuple[int, bool], list[pd.Period]] = {}
    for cutoff in cutoffs:
        halves.setdefault(half_year_of(cutoff), []).append(cutoff)
    learners = [part for part in study.parts if isinstance(part, Boosting)]
    tasks = [_Half(part, study, y, tuple(half)) for part in learners for half in halves.values()]
    found: dict[Forecaster, dict[pd.Period, FittedBoosting | str]] = {part: {} for part in learners}
    for task, fitted in zip(tasks, _in_order(_fit, tasks, crew, None, progress), strict=True):
        found[task.part].update(zip(task.cutoffs, fitted, strict=True))
    return found


@dataclass(frozen=True)
class _Half:
    """One model to learn from the sample at the cutoffs of one half-year."""

    part: Boosting
    study: Study
    y: pd.DataFrame
    cutoffs: tuple[pd.Period, ...]


def _fit(task: _Half) -> list[FittedBoosting | str]:
    found: list[FittedBoosting | str] = []
    for cutoff in task.cutoffs:
        try:
            known = task.y.loc[:cutoff, list(task.study.able(task.y, cutoff))]
            fitted = task.part.fit(Panel(known))
            # Only the last months are asked about later: what was learned from does not travel.
            found.append(fitted.on(Panel(known.iloc[:, :1])))
        except (ForecastingError, *NUMERICAL) as error:
            found.append(" ".join(str(error).split()))
    return found


def _in_order(
    function: Callable[..., Any], tasks: Sequence[Any], crew: Crew, shared: Any, progress: Progress
) -> list[Any]:
    """Results in the order of the tasks; all are needed, so that a lost one ends the work."""
    results: list[Any] = [None] * len(tasks)
    for done, (at, result) in enumerate(crew.each(function, tasks, shared), start=1):
        if isinstance(result, Lost):
            raise ForecastingError(f"A task of learning was lost: {result.why}. Run the same command again.")
        results[at] = result
        progress(done, len(tasks))
    return results
