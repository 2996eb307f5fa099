"""What a run of the tracking store holds, worked out from a finished backtest; nothing is logged here.

Numbers come from forecasting.scores, order and p-values from forecasting.leaderboard, as in the terminal; this module
names, rounds and words them. Texts lose the project's path, the home folder and passwords in addresses: a store is
often shared.
"""

from __future__ import annotations

import calendar
import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forecasting.backtest_files import EXPERIMENT, TABLE_COLUMNS, Result
from forecasting.errors import DataError
from forecasting.forecast import COVERAGES, KINDS
from forecasting.leaderboard import LEVEL, Board, base_of, board, what_was_run, who_wins
from forecasting.scores import common_folds, coverage_table, pit_table, score_table, skill
from forecasting.store import csv_text

HEADLINE = {
    "mase": "mase", "rmsse": "rmsse", "crps": "crps_scaled", "wql": "wql", "msis95": "msis95", "smape": "smape",
    "bias_pct": "bias_percent",
}  # fmt: skip
STEPPED = {"skill": "skill", "mase": "mase", "crps": "crps_scaled"}
IN_SERIES_TABLE = ("mase", "crps_scaled", "smape", "bias_percent", "mae", "bias")
NAMES = {"crps_scaled": "crps", "bias_percent": "bias_pct", "mae": "mae_in_units", "bias": "bias_in_units"}
MOST_SERIES = 50
"""With more series their scores stand in the table only: a run with 3,000 metrics does not open in MLflow's page."""
NOT_IN_NAMES = re.compile(r"[^\w\-. :/]")


# --- The numbers -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Numbers:
    """Every table that runs and report are made of, each computed once for all models, on the forecasts all made."""

    result: Result

    @property
    def kind(self) -> str:
        """What the bare metrics are about."""
        return str(self.result.about["kind"])

    @cached_property
    def models(self) -> list[str]:
        """Models that forecast anything, by name."""
        return sorted(map(str, self.result.rows["model"].unique()))

    @cached_property
    def base(self) -> str:
        """The label of the seasonal naive model; empty where there is none, and then there is no skill."""
        found = base_of(self.result)
        return found if found in self.models else ""

    @cached_property
    def boards(self) -> dict[str, Board]:
        """Leaderboards by kind, without the kinds that cannot be judged."""
        found = {}
        for kind in dict.fromkeys((self.kind, *KINDS)):
            try:
                found[kind] = board(self.result, kind)
            except DataError:
                if kind == self.kind:
                    raise
        return found

    @property
    def board(self) -> Board:
        return self.boards[self.kind]

    @cached_property
    def leaders(self) -> list[str]:
        """Models with a score, best first."""
        return [str(one) for one in self.board.table["model"]]

    @cached_property
    def rows(self) -> pd.DataFrame:
        return common_folds(self.board.rows).rows

    def scores(self, rows: pd.DataFrame, *by: str) -> pd.DataFrame:
        """Scores by model and ``by``, with skill where there is a base."""
        table = score_table(rows, ("model", *by))
        return skill(table, self.base) if self.base in set(table["model"]) else table

    @cached_property
    def overall(self) -> dict[str, pd.DataFrame]:
        return {kind: self.scores(one.rows) for kind, one in self.boards.items()}

    @cached_property
    def by_step(self) -> pd.DataFrame:
        return self.scores(self.rows, "step")

    @cached_property
    def by_series(self) -> pd.DataFrame:
        return self.scores(self.rows, "series")

    @cached_property
    def by_cutoff(self) -> pd.DataFrame:
        return self.scores(self.rows, "cutoff")

    @cached_property
    def coverage(self) -> dict[str, pd.DataFrame]:
        return {kind: coverage_table(one.rows) for kind, one in self.boards.items()}

    @cached_property
    def coverage_by_step(self) -> pd.DataFrame:
        return coverage_table(self.rows, ("model", "step"))

    @cached_property
    def coverage_by_series(self) -> pd.DataFrame:
        return coverage_table(self.rows, ("model", "series"))

    @cached_property
    def pit(self) -> pd.DataFrame:
        return pit_table(self.rows)

    def covered(self, model: str, kind: str = "") -> dict[int, dict[str, float]]:
        """Covered, low and high (shares) of one model by nominal coverage."""
        table = self.coverage[kind or self.kind]
        rows = table[table["model"] == model].to_dict("records")
        return {int(row["coverage"]): {one: float(row[one]) for one in ("covered", "low", "high")} for row in rows}


# --- The words -------------------------------------------------------------------------------------------


def verdict(of: Board, model: str) -> str:
    """Is the difference to the best real: a few words for a column."""
    p = {str(row["model"]): float(row["p"]) for row in of.table.to_dict("records")}
    if model not in p:
        return "no common forecasts"
    if not math.isfinite(p[model]):
        return f"not tested: {of.note}" if of.note else "not tested"
    rivals = sum(one >= LEVEL for name, one in p.items() if name != of.best)
    if model != of.best:
        return f"{'may equal' if p[model] >= LEVEL else 'worse than'} {of.best}, {_p(p[model])}"
    if p[model] < LEVEL:
        return f"first, but not by its average loss, {_p(p[model])}"
    return "best" if not rivals else f"first, {rivals} other{'s' * (rivals > 1)} may equal it"


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p {p:.2f}" if p >= 0.095 else f"p {p:.1g}"


def intervals(covered: Mapping[int, Mapping[str, float]]) -> str:
    """Do the intervals cover: as they should, or which are too narrow or too wide beyond chance."""
    narrow = [str(one) for one, row in covered.items() if row["high"] < one / 100]
    wide = [str(one) for one, row in covered.items() if row["low"] > one / 100]
    for side, found in (("too narrow", narrow), ("too wide", wide)):
        if covered and len(found) == len(covered):
            return f"all {side}"
    words = [f"{', '.join(found)} % {side}" for side, found in (("too narrow", narrow), ("too wide", wide)) if found]
    return "; ".join(words) or ("cover" if covered else "unknown")


def note(numbers: Numbers, model: str) -> str:
    """The description of a run in markdown: what was run, what won, is it real, do the intervals cover."""
    result, of = numbers.result, numbers.board
    said = str(result.about["experiment"].get("description") or "")
    parts = [
        f"**{model}**, {place(numbers, model)}: {verdict(of, model)}. {covered_words(numbers, model)}".strip(),
        f"**What won.** {who_wins(of)}",
        f"**What was run.** {what_was_run(result, of)} {said}".strip(),
    ]
    failed = failures(result, model)
    if failed:
        folds = f"{len(failed)} fold{'s' * (len(failed) > 1)}"
        parts.append(f"**Failed** on {folds}; no model is judged on those. The first: {failed[0]}")
    return "\n\n".join(parts)


def place(numbers: Numbers, model: str) -> str:
    """Where a model stands."""
    if model not in numbers.leaders:
        return "without a forecast that the others made too"
    return f"number {numbers.leaders.index(model) + 1} of {len(numbers.leaders)}"


def covered_words(numbers: Numbers, model: str) -> str:
    found = numbers.covered(model)
    shares = "; ".join(
        f"{one} % held {100 * row['covered']:.0f} % (bounds {100 * row['low']:.0f} to {100 * row['high']:.0f})"
        for one, row in found.items()
    )
    said = intervals(found)
    return f"Its intervals {'cover' if said == 'cover' else f'are off ({said})'}: {shares}." if found else ""


def vintage(result: Result) -> str:
    return str(result.about["data"]["vintage"])


def data_digest(result: Result) -> str:
    return str(result.about["data"]["digest"])


def table_digest(result: Result) -> str:
    return str(result.about["table"]["sha256"])


def finished_at(result: Result) -> int:
    """Milliseconds since 1970."""
    return int(datetime.fromisoformat(str(result.about["finished"])).timestamp() * 1000)


def failures(result: Result, model: str) -> list[str]:
    """Why folds of this model failed, in words."""
    found = [one for one in result.about["failures"] if one["model"] == model]
    return [f"{one['series']} from {one['cutoff']}: {one['reason']}" for one in found]


# --- The sheet -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Metric:
    """One value; ``when`` is milliseconds since 1970, none: the end of the backtest."""

    name: str
    value: float
    step: int = 0
    when: int | None = None


@dataclass(frozen=True)
class Sheet:
    """What one run holds."""

    name: str
    model: str
    key: str
    params: Mapping[str, str]
    metrics: tuple[Metric, ...]
    tags: Mapping[str, str]
    note: str
    files: Mapping[str, bytes]
    seconds: float
    """CPU time of the fits: shown as the run's duration."""


def key_of(result: Result, *parts: str) -> str:
    """The same for the same experiment, table, data and model: what the store is searched by."""
    known = (result.name, table_digest(result), data_digest(result), *parts)
    return hashlib.sha256("\0".join(known).encode()).hexdigest()[:32]


def sheets(numbers: Numbers, only: Sequence[str], report: bytes, clean: Clean) -> Iterator[Sheet]:
    """A sheet for each of these models, one after the other: a table of 300 models need not be held 300 times."""
    for model in only:
        yield _sheet(numbers, model, report, clean)


def _sheet(numbers: Numbers, model: str, report: bytes, clean: Clean) -> Sheet:
    result = numbers.result
    metrics, dropped = finite([*_headline(numbers, model), *_stepped(numbers, model), *_per_series(numbers, model)])
    tags = _tags(numbers, model) | ({"nonfinite": ", ".join(dropped)} if dropped else {})
    rows = result.rows.loc[result.rows["model"] == model, list(TABLE_COLUMNS)]
    return Sheet(
        name=f"{model} {vintage(result)}",
        model=model,
        key=key_of(result, model),
        params={name: clean(value) for name, value in _params(numbers, model).items()},
        metrics=tuple(metrics),
        tags={name: clean(value) for name, value in tags.items()},
        note=clean(note(numbers, model)),
        files={
            "experiment.toml": clean((result.folder / EXPERIMENT).read_text(encoding="utf-8")).encode(),
            "series.csv": csv_text(_series_table(numbers, model)).encode(),
            "forecasts.parquet": bytes(rows.to_parquet(index=False)),
            "report.html": report,
        },
        seconds=float(result.about["cpu_seconds"].get(model, 0.0)),
    )


def series_sheets(numbers: Numbers, clean: Clean) -> Iterator[Sheet]:
    """A small sheet for each model and series, without files."""
    result = numbers.result
    names = {name: score for name, score in STEPPED.items() if score in numbers.by_series} | {
        "bias_pct": "bias_percent"
    }
    for row in numbers.by_series.to_dict("records"):
        model, series = str(row["model"]), str(row["series"])
        covered = [Metric(f"cov{one}", 100 * row[f"cover{one}"]) for one in COVERAGES]
        metrics, dropped = finite([*(Metric(name, row[score]) for name, score in names.items()), *covered])
        yield Sheet(
            name=f"{model} {series}",
            model=model,
            key=key_of(result, model, series),
            params={"model": model, "series": clean(series), "vintage": vintage(result)},
            metrics=tuple(metrics),
            tags={"level": "series"} | ({"nonfinite": ", ".join(dropped)} if dropped else {}),
            note=f"{model} on {clean(series)}: {row['cells']} forecasts from {row['cutoffs']} cutoffs.",
            files={},
            seconds=0.0,
        )


def _headline(numbers: Numbers, model: str) -> Iterator[Metric]:
    """In the order in which MLflow's page lists them: the kind that is judged, what it cost, other kinds."""
    yield from _of_kind(numbers, model, numbers.kind, "")
    for row in _of(numbers.board.table, model):
        yield Metric("rank", numbers.leaders.index(model) + 1)
        yield Metric("p_best", row["p"])
        yield Metric("fit_s", row["fit_seconds"])
        yield Metric("forecasts", row["cells"])
    yield Metric("failed", len(failures(numbers.result, model)))
    for kind in numbers.boards:
        if kind != numbers.kind:
            yield from _of_kind(numbers, model, kind, f"{kind}/")


def _of_kind(numbers: Numbers, model: str, kind: str, before: str) -> Iterator[Metric]:
    for row in _of(numbers.overall[kind], model):
        names = ({"skill": "skill"} if "skill" in row else {}) | HEADLINE
        yield from (Metric(f"{before}{name}", row[score]) for name, score in names.items())
    for coverage, found in numbers.covered(model, kind).items():
        yield Metric(f"{before}cov{coverage}", 100 * found["covered"])


def _stepped(numbers: Numbers, model: str) -> Iterator[Metric]:
    names = {name: score for name, score in STEPPED.items() if score in numbers.by_step}
    for row in _of(numbers.by_step, model):
        yield from (Metric(f"step/{name}", row[score], int(row["step"])) for name, score in names.items())
    for row in _of(numbers.coverage_by_step, model):
        if row["coverage"] in (80, 95):
            yield Metric(f"step/cov{int(row['coverage'])}", 100 * row["covered"], int(row["step"]))
    position = {one: at for at, one in enumerate(sorted(numbers.by_cutoff["cutoff"].unique()), start=1)}
    for row in _of(numbers.by_cutoff, model):
        at, when = position[row["cutoff"]], month_end(str(row["cutoff"]))
        yield from (Metric(f"cutoff/{name}", row[score], at, when) for name, score in names.items())
        yield Metric("cutoff/cov80", 100 * row["cover80"], at, when)


def _per_series(numbers: Numbers, model: str) -> Iterator[Metric]:
    rows = _of(numbers.by_series, model)
    if len(rows) <= MOST_SERIES:
        score = "skill" if numbers.base else "crps_scaled"
        yield from (Metric(f"series/{metric_name(str(row['series']))}", row[score]) for row in rows)


def _of(table: pd.DataFrame, model: str) -> list[dict[Any, Any]]:
    return table[table["model"] == model].to_dict("records")


def _series_table(numbers: Numbers, model: str) -> pd.DataFrame:
    """One row a series, its id first: the one unique key."""
    table = numbers.by_series[numbers.by_series["model"] == model].set_index("series")
    shown = table[[*(["skill"] if numbers.base else []), *IN_SERIES_TABLE, "cutoffs", "cells"]].copy()
    mine = numbers.coverage_by_series[numbers.coverage_by_series["model"] == model]
    for coverage in (80, 95):
        found = mine[mine["coverage"] == coverage].set_index("series")
        for column, name in (("covered", ""), ("low", "_low"), ("high", "_high")):
            shown[f"cov{coverage}{name}"] = 100 * found[column].reindex(shown.index)
    return shown.map(_rounded).rename(columns=NAMES).sort_index().reset_index()


def _params(numbers: Numbers, model: str) -> dict[str, str]:
    """What the models share first, then this model's own settings."""
    about, cutoffs = numbers.result.about, sorted(numbers.rows["cutoff"].unique())
    shared: dict[str, Any] = {
        "model": model,
        "vintage": vintage(numbers.result),
        "horizon": about["horizon"],
        "cutoffs": f"{len(cutoffs)}: {cutoffs[0]} to {cutoffs[-1]}" if cutoffs else "0",
        "n_series": about["n_series"],
        **{name: about[name] for name in ("window", "panel", "refit", "calibrate", "paths", "seed") if name in about},
        "kind": numbers.kind,
    }
    made = about["models"].get(model, {})
    own = {"forecaster": made.get("model", model), **dict(flat(made.get("settings", {})))}
    return {
        name: plain(value) for name, value in (shared | {f"set.{one}": value for one, value in own.items()}).items()
    }


def flat(settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{before}{name}.")
        else:
            yield metric_name(f"{before}{name}"), value


def _tags(numbers: Numbers, model: str) -> dict[str, str]:
    result = numbers.result
    git = result.about.get("git") or {}
    tags = {
        "verdict": verdict(numbers.board, model),
        "intervals": intervals(numbers.covered(model)),
        "backtest": result.name,
        "vintage": vintage(result),
        "digest": data_digest(result)[:16],
        "level": "model",
        "experiment_file": f"{result.name}.toml",
        "versions": plain(result.about.get("versions") or {}),
        "mlflow.user": "tradecast",  # MLflow's own choice would be the login name
        "mlflow.source.name": f"tradecast backtest {result.name}",
        "mlflow.source.type": "LOCAL",
    }
    if git.get("commit"):
        tags |= {"mlflow.source.git.commit": str(git["commit"]), "git_dirty": plain(git.get("dirty"))}
    return tags


# --- Parts -----------------------------------------------------------------------------------------------


def finite(metrics: Sequence[Metric]) -> tuple[list[Metric], list[str]]:
    """Metrics that are numbers, rounded to four digits, and the names of those that are not.

    MLflow stores NaN as a row that its page leaves out, and infinity as 1.8e308.
    """
    kept = [Metric(one.name, _rounded(one.value), one.step, one.when) for one in metrics if np.isfinite(one.value)]
    return kept, sorted({one.name for one in metrics if not np.isfinite(one.value)})


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def metric_name(text: str) -> str:
    """A name that MLflow takes; a short hash keeps two names apart that differ only in what it refuses."""
    plain = re.sub(r"/+", ".", NOT_IN_NAMES.sub("_", text)).strip()[:200]
    return plain if plain == text else f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def month_end(month: str) -> int:
    """Noon of the last day of a month in milliseconds since 1970: the same day in every time zone but the farthest."""
    year, number = map(int, month.split("-"))
    return int(datetime(year, number, calendar.monthrange(year, number)[1], 12, tzinfo=UTC).timestamp() * 1000)


def plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {plain(one)}" for name, one in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(plain, value))
    if value is None or isinstance(value, bool):
        return "none" if value is None else "yes" if value else "no"
    return str(value)


@dataclass(frozen=True)
class Clean:
    """Takes out of a text what must not leave this machine: project path, home folder, passwords in addresses."""

    project: Path
    home: Path

    def __call__(self, text: str) -> str:
        for path, word in ((self.project, "."), (self.project.resolve(), "."), (self.home, "~")):
            if len(path.parts) > 1:
                text = re.sub(rf"{re.escape(str(path))}(?![\w.-])", word, text)
        return without_password(text)


def without_password(text: str) -> str:
    """Addresses such as ``http://user:word@host`` without what stands before the @."""
    return re.sub(r"(\w://)[^/\s@]+@", r"\1", text)
