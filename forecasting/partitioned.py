"""Forecasts and backtests of panels in partitioned Parquet: on this machine or on a cluster, whatever dies on the way.

Survey: every partition is read once, for its digest and for what its series are. Lessons: a seeded sample of at most
1,500 series, the same however the panel is cut up, teaches the trees and the factors of the intervals. Then a task is
a partition (`partition_task.py`). A finished partition carries a key of inputs, sample, settings and versions in its
footer and is not done again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from forecasting import __version__, backtest_truth, scores, store
from forecasting.compute import Crew, Lost, crew
from forecasting.errors import DataError, ForecastingError
from forecasting.experiments_file import NEXT_QUARTER
from forecasting.lessons import Lessons, teach
from forecasting.panel import Panel
from forecasting.partition_request import SUMMARY, UNWATCHED, Request, Watch
from forecasting.partition_scores import means
from forecasting.partition_survey import Survey, draw, survey
from forecasting.partition_task import Outcome, Task, forecast

FAILURES, SUMS_FILE = "_failures.csv", "_sums.csv"
MOST = 0.5
"""Share of the series that must reach the last month for it to be taken for theirs without a doubt."""


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
        return means(one.sums for one in self.outcomes)


def run(request: Request, watch: Watch = UNWATCHED) -> Summary:
    """Forecast or backtest every series of the panel; what is finished already is not done again.

    Raises DataError for a panel that cannot be used as a whole; a partition or series that fails is reported, unless
    ``fail_fast``.
    """
    names = request.names()
    request.out.check_writable()
    request.refuse_another()
    with crew(request.where) as workers:
        return run_on(request, names, workers, watch)


def run_on(request: Request, names: Sequence[str], workers: Crew, watch: Watch = UNWATCHED) -> Summary:
    """The same for partitions of these names, on workers that are there."""
    found = survey(request, names, workers, watch)
    if request.as_of is not None and request.as_of > found.last:
        raise DataError(f"--as-of {request.as_of} lies after the last published month, {found.last}: leave it out.")
    cutoffs = request.cutoffs_until(found.last)
    sample = draw(request, found, workers, watch)
    keys = {one.name: _key(request, one.digest, sample, cutoffs) for one in found.partitions if not one.trouble}
    finished = [one for one in found.partitions if one.name in keys and one.key == keys[one.name]]
    done = {one.name: Outcome.from_footer(one.said) for one in finished}
    tasks = [Task(request.study, request.data, request.out, one.name, one.digest, keys[one.name], request.seconds,
                  request.as_of, request.cutoffs is not None)
             for one in found.partitions if one.name in keys and one.name not in done]  # fmt: skip
    outcomes = dict(done)
    outcomes |= {one.name: Outcome(one.name, lost=one.trouble) for one in found.partitions if one.trouble}
    if tasks:
        lessons = teach(request.study, sample, cutoffs, workers, partial(watch, "Learning from a sample"))
        for outcome in _forecast_all(request, workers, tasks, lessons, outcomes, found.series, watch):
            outcomes[outcome.name] = outcome
    digest = hashlib.sha256(json.dumps(sorted(keys.items())).encode()).hexdigest()
    return _summarised(request, names, outcomes, cutoffs, len(sample.columns), len(done), digest, found)


def _forecast_all(
    request: Request,
    workers: Crew,
    tasks: Sequence[Task],
    lessons: Lessons,
    before: Mapping[str, Outcome],
    total: int,
    watch: Watch,
) -> Iterator[Outcome]:
    done = sum(one.series for one in before.values())
    failed = sum(one.failed for one in before.values())
    watch("Forecasting", done, total, failed)
    for at, found in workers.each(forecast, tasks, lessons):
        outcome = Outcome(tasks[at].name, lost=f"{tasks[at].name}: {found.why}.") if isinstance(found, Lost) else found
        done, failed = done + outcome.series, failed + outcome.failed
        if request.fail_fast and (outcome.lost or outcome.first_failure):
            raise ForecastingError(
                f"Stopped by --fail-fast at {outcome.name}: {outcome.lost or outcome.first_failure}"
                " What is finished stays: the same command goes on from there."
            )
        watch("Forecasting", done, total, failed)
        yield outcome


def _key(request: Request, digest: str, sample: pd.DataFrame, cutoffs: tuple[pd.Period, ...]) -> str:
    """What decides the bytes of a result: its partition, the sample, settings, libraries and code."""
    # Code that only scores is no part of every key.
    judges = (backtest_truth, scores) if request.cutoffs else ()
    scoring = [store.file_digest(Path(str(one.__file__))) for one in judges]
    return store.cache_key(
        "partition", digest, Panel(sample).digest(), [one.label for one in request.study.contenders],
        [one.forecaster for one in request.study.contenders], request.study.horizon, request.study.paths,
        request.study.seed, request.study.calibrate, request.study.sample, cutoffs, str(request.as_of),
        request.seconds, scoring,
    )  # fmt: skip


# --- Afterwards ------------------------------------------------------------------------------------------


def _summarised(
    request: Request, names: Sequence[str], outcomes: Mapping[str, Outcome], cutoffs: tuple[pd.Period, ...],
    sample: int, already: int, digest: str, found: Survey,
) -> Summary:  # fmt: skip
    """The summary, and beside the results what was done and who is missing."""
    remarks = _who_reaches(found) if request.cutoffs is None else []
    old = [name for name in names if outcomes[name].lost and request.out.footer(name)]
    if old:
        remarks.append(
            f"{len(old):,} of the partitions that were not done have a result of an earlier run in --out, {old[0]} for"
            " one: it does not go with the others."
        )
    sums = _sums(request, outcomes)
    made = Summary(
        tuple(outcomes[one] for one in names), _failures(request, outcomes), cutoffs, sample, already, digest,
        (*remarks, *_what_adds_up(sums)),
    )  # fmt: skip
    about = {
        "version": __version__, "kind": request.kind, "data": request.data.name,
        "cutoffs": [str(one) for one in cutoffs],
        "models": {one.label: {"model": one.forecaster.name, "settings": one.settings()} for one in
                   request.study.contenders},
        "paths": request.study.paths, "seed": request.study.seed, "calibrate": request.study.calibrate,
        "horizon": request.study.horizon or NEXT_QUARTER, "as_of": str(request.as_of) if request.as_of else None,
        "time_limit": request.seconds, "versions": store.surroundings(),
        "sample": made.sample, "series": found.series, "forecast": int(made.total("forecast")),
        "failed": len(made.failures), "lost": [one.name for one in made.lost],
        "tied": int(made.total("tied")), "untied": int(made.total("untied")),
        "scores": made.scores.to_dict("records"),
    }  # fmt: skip
    request.out.write(FAILURES, store.csv_text(made.failures).encode())
    request.out.write(SUMS_FILE, store.csv_text(sums).encode())
    request.out.write(SUMMARY, (json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode())
    return made


def _who_reaches(found: Survey) -> list[str]:
    """How many series reach the month that all are forecast from; a doubt where most do not."""
    reach, count = found.ends[max(found.ends)], len(found.ids)
    if reach == count:
        return []
    usual = pd.Period(ordinal=max(found.ends, key=lambda month: (found.ends[month], month)), freq="M")
    said = f"{reach:,} of {count:,} series reach {found.last}, the month that all are forecast from"
    if reach >= MOST * count:
        return [f"{said}."]
    return [f"Only {said}; most end in {usual}: --as-of {usual}, if the later months are slips."]


def _what_adds_up(sums: pd.DataFrame) -> list[str]:
    """How many parents are the sum of their parts, where parents are named at all."""
    if sums.empty:
        return []
    loose = sums[sums["why"] != ""]
    some = int((sums["not_listed"] > 0).sum())
    rest = f", {some:,} of them with parts that are not listed" if some else ""
    said = f"{len(sums) - len(loose):,} of {counted(len(sums), 'parent')} add up on every path{rest}"
    if not len(loose):
        return [f"{said}: {SUMS_FILE}."]
    first = loose.iloc[0]
    return [f"{said}; why others do not stands in {SUMS_FILE}, of {first['series']!r}: {first['why']}."]


def counted(many: int, what: str) -> str:
    """A number and what it counts, in the plural where there are several."""
    return f"{many:,} {what}{'s' * (many != 1)}"


def _failures(request: Request, outcomes: Mapping[str, Outcome]) -> pd.DataFrame:
    """Every series without a forecast and why, read from the footers of the results that have any."""
    rows: list[tuple[str, str, str]] = []
    for name, one in outcomes.items():
        if one.lost:
            rows.append((name, "", one.lost))
        elif one.failed:
            rows += [(name, series, why) for series, why in _footer(request, name)["failures"]]
    return pd.DataFrame(sorted(rows), columns=["partition", "series", "why"])


def _sums(request: Request, outcomes: Mapping[str, Outcome]) -> pd.DataFrame:
    """Every parent: which share of it is not listed, or why its parts are not tied to it."""
    rows: list[tuple[str, str, float, str]] = []
    for name, one in outcomes.items():
        if one.tied or one.untied:
            said = _footer(request, name)
            rows += [(name, parent, share, "") for parent, share in said["tied"]]
            rows += [(name, parent, float("nan"), why) for parent, why in said["untied"]]
    table = pd.DataFrame(rows, columns=["partition", "series", "not_listed", "why"])
    return table.sort_values(["partition", "series"], ignore_index=True)


def _footer(request: Request, name: str) -> dict[str, Any]:
    said = request.out.footer(name)
    if said is None:
        raise DataError(f"The result {name} was taken out of --out meanwhile: run the same command again.")
    return said
