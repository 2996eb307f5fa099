"""What the runs of a study of scenarios hold: the forecast, and a run for each scenario; nothing is logged here.

Numbers are rows of the study's own table, as in the terminal; this module names, rounds and words them. Texts lose the
project's path, the home folder and passwords in addresses.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from forecasting.backtest_files import project_folder
from forecasting.conditioning import Plausibility
from forecasting.conditions import Conditional
from forecasting.git import git_state
from forecasting.scenario import Assumption, Scenario, described
from forecasting.scenarios import CONTRIBUTION_COLUMNS, Study
from forecasting.store import csv_text
from forecasting.tables import DIFFERENCE
from forecasting.tracking_sheet import MOST_SERIES, Metric, Sheet, finite, metric_name, month_end
from forecasting.units import scale_of

GROWTH = "pct_yoy"
MOST_LINES = 20
"""Rows of a table in a run's description; the files hold them all."""
ZERO = 1e-9
"""Share of the baseline that counts as no change."""
OF_SCENARIOS = ("spillover",)
"""Settings that the forecast does not depend on."""
HOW_MUCH, AND_THEN = ("size", "per", "residual", "levels", "since"), ("ramp", "recovery", "reroute", "pass_through")
"""What is said of an assumption before and after its months."""


@dataclass(frozen=True)
class Extra:
    """What else there is to log of a scenario: metrics and files by name, and a sentence for its description."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    words: str = ""


NO_EXTRA = Extra()


def of_plausibility(found: Plausibility) -> Extra:
    """How plausible a condition is: ``plausibility/…`` (tail and percentiles in percent) and ``plausibility.csv``."""
    stated = pd.DataFrame([{**vars(one), "percentile": 100.0 * one.percentile} for one in found.stated])
    metrics = {
        "plausibility/tail_pct": 100.0 * found.tail,
        "plausibility/chi2": found.distance,
        "plausibility/freedom": float(found.freedom),
    }
    metrics |= {f"plausibility/percentile_{at}": 100.0 * one.percentile for at, one in enumerate(found.stated, start=1)}
    words = (
        f"Chance alone goes as far from the forecast in {100 * found.tail:.2g} % of futures"
        f" (χ² {found.distance:.2f}, degrees of freedom: {found.freedom})."
    )
    return Extra(metrics, {"plausibility.csv": csv_text(stated).encode()}, words)


def of_condition(found: Conditional, seed: int) -> tuple[Study, dict[str, Extra]]:
    """A condition as a study with one scenario, called by what is stated, and its plausibility."""
    name = found.title
    paths, months = found.baseline.forecast.paths.shape[:2]
    settings = {
        "model": found.baseline.forecast.model, "horizon": months, "paths": paths, "seed": seed, "spillover": True,
        "vintage": found.baseline.vintage,
    }  # fmt: skip
    scenario = Scenario(name, description=f"Every series given that {found.stated}.")
    none = pd.DataFrame(columns=list(CONTRIBUTION_COLUMNS))
    outlooks = {name: found.outlook}
    study = Study(found.baseline, (scenario,), outlooks, found.compared(), none, found.baseline.remarks, settings)
    return study, {name: of_plausibility(found.plausibility)}


# --- The numbers -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """A study as runs of a tracking store; ``chart`` are the bytes of a PNG or SVG file, ``extras`` go by scenario."""

    study: Study
    clean: Callable[[str], str]
    chart: bytes | None = None
    extras: Mapping[str, Extra] = field(default_factory=dict)

    @cached_property
    def series(self) -> tuple[str, ...]:
        """Series that get metrics: the headline ones among those shown, else all."""
        catalogue, shown = self.study.baseline.dataset.catalogue, self.study.baseline.series
        headline = tuple(one for one in shown if one in catalogue and catalogue[one].headline)
        return (headline or tuple(shown))[:MOST_SERIES]

    @cached_property
    def vintage(self) -> str:
        """The last published month."""
        return str(max(self.study.baseline.forecast.cutoff))

    @cached_property
    def digest(self) -> str:
        """Hash of the data: the same as a backtest's where no month is hidden and no covariate added."""
        whole = self.study.baseline.dataset.panel.digest()
        return whole if whole.startswith(self.study.baseline.vintage) else self.study.baseline.vintage

    @cached_property
    def git(self) -> dict[str, Any]:
        """Commit of the project and whether files differ from it; nothing outside a repository."""
        return git_state(project_folder()) or {}

    @cached_property
    def title(self) -> str:
        """The name of the forecast's run."""
        return f"{self.study.settings['model']} {self.vintage}"

    @cached_property
    def blocks(self) -> dict[str, pd.DataFrame]:
        """Rows of the table by scenario, the baseline first."""
        table = self.study.table
        return {str(name): rows.reset_index(drop=True) for name, rows in table.groupby("scenario", sort=False)}

    @cached_property
    def baseline(self) -> pd.DataFrame:
        return next(iter(self.blocks.values()))

    @cached_property
    def period(self) -> str:
        """The last whole quarter ahead, in which assumptions have worked longest; the last month if there is none."""
        rows = self.baseline
        whole = rows.loc[(rows["kind"] == "quarter") & (rows["observed_months"] == 0), "period"]
        return str(whole.max() if len(whole) else rows.loc[rows["kind"] == "month", "period"].max())

    @cached_property
    def key(self) -> str:
        """The same for the same baseline, data and settings; runs of the forecast and of its scenarios carry it."""
        settings = {name: value for name, value in self.study.settings.items() if name not in OF_SCENARIOS}
        return _hash(json.dumps(settings, sort_keys=True, default=str), self.digest, csv_text(self.baseline))

    def key_of(self, scenario: Scenario) -> str:
        """The same for the same file, numbers and extras under the same forecast."""
        extra = self.extras.get(scenario.name, NO_EXTRA)
        own = [str(self.study.settings.get(one)) for one in OF_SCENARIOS]
        told = (
            *own,
            repr(sorted(extra.metrics.items())),
            extra.words,
            *(f"{one}{of!r}" for one, of in extra.files.items()),
        )
        return _hash(self.key, scenario.name, scenario.text, csv_text(self.blocks[scenario.name]), *told)

    def changes(self, scenario: str, kind: str) -> pd.DataFrame:
        """Difference rows of a kind (``quarter``), with the mean of the ``baseline`` and the change in ``percent``."""
        rows = self.blocks[scenario]
        found = rows[rows["kind"] == kind + DIFFERENCE]
        base = _levels(self.baseline, kind).set_index(["series", "period"])["mean"]
        before = base.reindex(pd.MultiIndex.from_frame(found[["series", "period"]])).to_numpy()
        with np.errstate(divide="ignore", invalid="ignore"):
            return found.assign(baseline=before, percent=100.0 * found["mean"].to_numpy() / before)

    @cached_property
    def columns(self) -> list[str]:
        """Series with metrics that any of these scenarios changes, one a good; all, if none is changed."""
        moved = {str(one) for scenario in self.study.scenarios for one in self.judged(scenario.name)["series"]}
        goods: dict[str, str] = {}
        for one in self.series:
            if one in moved:
                goods.setdefault(_short(one), one)
        return list(goods.values()) or list(self.series)

    def judged(self, scenario: str) -> pd.DataFrame:
        """Changes in the judged period, one row a series; those that stay as they were left out."""
        kind = "quarter" if "Q" in self.period else "month"
        rows = self.changes(scenario, kind)
        rows = rows[rows["period"] == self.period]
        return rows[rows["mean"].abs() > ZERO * rows["baseline"].abs()]


def _levels(rows: pd.DataFrame, kind: str) -> pd.DataFrame:
    return rows[(rows["kind"] == kind) & (rows["unit"] != GROWTH)]


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


# --- The sheets ------------------------------------------------------------------------------------------


def forecast_sheet(told: Told) -> Sheet:
    """The forecast that the scenarios share random numbers with: the parent of their runs."""
    metrics, dropped = finite(list(_level_metrics(told, told.baseline)))
    words = told.clean(_forecast_words(told))
    files = {
        "table.csv": csv_text(told.baseline).encode(),
        "table.parquet": bytes(told.baseline.to_parquet(index=False)),
        "report.md": f"{words}\n{told.clean(_remarks(told))}".encode(),
    }
    tags = _tags(told) | {"level": "forecast", "scenario": "baseline"}
    return _sheet(told, told.title, told.key, _shared(told), metrics, _with_dropped(tags, dropped), words, files)


def scenario_sheet(told: Told, scenario: Scenario) -> Sheet:
    """One scenario: its file, rows, contributions and what it changes."""
    extra = told.extras.get(scenario.name, NO_EXTRA)
    rows = told.blocks[scenario.name]
    metrics, dropped = finite([*_scenario_metrics(told, scenario), *_level_metrics(told, rows)])
    words = told.clean(_scenario_words(told, scenario, extra))
    shares = told.study.contributions
    shares = shares[shares["scenario"] == scenario.name].reset_index(drop=True)
    files = {
        "table.csv": csv_text(rows).encode(),
        "contributions.csv": csv_text(shares).encode(),
        "report.md": f"{words}\n{told.clean(_contributions(told, shares) + _remarks(told, scenario.name))}".encode(),
        **({"scenario.toml": told.clean(scenario.text).encode()} if scenario.text else {}),
        **extra.files,
    }
    params = {"scenario": scenario.name, **_shared(told), **_own(told), "assumptions": str(len(scenario.assumptions))}
    for at, one in enumerate(scenario.assumptions, start=1):
        params |= {f"a{at}.{name}": value for name, value in described(one).items()}
    tags = _with_dropped(_tags(told) | _scenario_tags(told, scenario), dropped)
    return _sheet(told, scenario.name, told.key_of(scenario), params, metrics, tags, words, files)


def _sheet(
    told: Told, name: str, key: str, params: Mapping[str, str], metrics: list[Metric], tags: Mapping[str, str],
    words: str, files: Mapping[str, bytes],
) -> Sheet:  # fmt: skip
    chart = {} if told.chart is None else {f"chart.{_form(told.chart)}": told.chart}
    return Sheet(
        name=name,
        model=str(told.study.settings["model"]),
        key=key,
        params={one: told.clean(value) for one, value in params.items()},
        metrics=tuple(metrics),
        tags={one: told.clean(value) for one, value in tags.items()},
        note=words,
        files={**files, **chart},
        seconds=0.0,
    )


def _form(chart: bytes) -> str:
    return "png" if chart.startswith(b"\x89PNG") else "svg"


def _with_dropped(tags: Mapping[str, str], dropped: list[str]) -> dict[str, str]:
    return {**tags, **({"nonfinite": ", ".join(dropped)} if dropped else {})}


def _level_metrics(told: Told, rows: pd.DataFrame) -> Iterator[Metric]:
    """``level/SERIES``: the mean forecast month by month."""
    for row in _of(_levels(rows, "month"), told.series):
        yield Metric(f"level/{metric_name(row['series'])}", row["mean"], row["step"], month_end(row["period"]))


def _scenario_metrics(told: Told, scenario: Scenario) -> Iterator[Metric]:
    """Differences by quarter, whose last step is what MLflow's columns show, and by month."""
    if scenario.probability is not None:
        yield Metric("probability_pct", 100.0 * scenario.probability)
    yield Metric("assumptions", len(scenario.assumptions))
    for name, value in told.extras.get(scenario.name, NO_EXTRA).metrics.items():
        yield Metric("/".join(metric_name(one) for one in name.split("/", 1)), value)
    for row in _of(told.changes(scenario.name, "quarter"), told.series):
        series, step, when = metric_name(row["series"]), row["step"], _end(row["period"])
        yield Metric(f"quarter_pct/{series}", row["percent"], step, when)
        for prefix, column in (("quarter", "mean"), ("quarter_low80", "q10"), ("quarter_high80", "q90")):
            yield Metric(f"{prefix}/{series}", row[column], step, when)
    for row in _of(told.changes(scenario.name, "month"), told.series):
        yield Metric(f"month/{metric_name(row['series'])}", row["mean"], row["step"], month_end(row["period"]))


def _of(rows: pd.DataFrame, series: tuple[str, ...]) -> list[dict[Any, Any]]:
    return rows[rows["series"].isin(series)].to_dict("records")


def _end(quarter: str) -> int:
    return month_end(str(pd.Period(quarter, freq="Q-DEC").asfreq("M", "end")))


def _shared(told: Told) -> dict[str, str]:
    settings = told.study.settings
    first = {"model": settings["model"], "vintage": told.vintage, "period": told.period}
    rest = {name: value for name, value in settings.items() if name not in (*first, *OF_SCENARIOS)}
    return {name: _plain(value) for name, value in (first | rest).items()}


def _own(told: Told) -> dict[str, str]:
    return {name: _plain(told.study.settings.get(name, False)) for name in OF_SCENARIOS}


def _plain(value: object) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)


def _tags(told: Told) -> dict[str, str]:
    git = told.git
    tags = {
        "vintage": told.vintage,
        "digest": told.digest[:16],
        "mlflow.user": "tradecast",  # MLflow's own choice would be the login name
        "mlflow.source.name": "tradecast scenario",
        "mlflow.source.type": "LOCAL",
    }
    if git.get("commit"):
        tags |= {"mlflow.source.git.commit": str(git["commit"]), "git_dirty": _plain(git.get("dirty"))}
    return tags


def _scenario_tags(told: Told, scenario: Scenario) -> dict[str, str]:
    made = scenario.assumptions
    return {
        **_own(told),
        "level": "scenario",
        "scenario": scenario.name,
        "effect": _effect(told, scenario.name),
        "kinds": ", ".join(sorted({one.kind for one in made})) or "none",
        "targets": ", ".join(dict.fromkeys(one.target for one in made)) or "none",
        **({"measures": measures} if (measures := ", ".join(sorted({one.measure for one in made} - {""}))) else {}),
    }


# --- The words -------------------------------------------------------------------------------------------


def _effect(told: Told, scenario: str) -> str:
    """The three headline goods that move most in the judged period."""
    rows = told.judged(scenario)
    rows = rows[rows["series"].isin(told.series) & np.isfinite(rows["percent"])]
    most = rows.loc[rows["percent"].abs().sort_values(ascending=False, kind="stable").index]
    parts: dict[str, str] = {}
    for series, percent in zip(most["series"], most["percent"], strict=True):
        parts.setdefault(_short(series), _percent(percent))
    return "; ".join(f"{name} {percent}" for name, percent in list(parts.items())[:3]) or "none"


def _short(series: str) -> str:
    """``jp_ru.exports.transport.motor_vehicles.cars.value`` → ``jp_ru cars``."""
    parts = series.split(".")
    return f"{parts[0]} {parts[-2]}" if len(parts) > 2 else series


def _signed(text: str) -> str:
    return text.replace("-", "−")


def _percent(value: float) -> str:
    return _signed(f"{value:+.1f} %")


def _forecast_words(told: Told) -> str:
    settings, series = told.study.settings, told.study.baseline.series
    names = ", ".join(one.name for one in told.study.scenarios)
    rows = _levels(told.baseline, "quarter" if "Q" in told.period else "month")
    rows = rows[rows["period"] == told.period]
    lines = [
        f"| {_title(told, row['series'])} | {_amounts(row, 'mean')} | {_amounts(row, 'q10', 'q90')} |"
        for row in rows.head(MOST_LINES).to_dict("records")
    ]
    return "\n".join(
        [
            f"**The forecast that scenarios start from**: {settings['model']}, figures to {told.vintage}, "
            f"{len(series)} series, {settings['horizon']} months, {settings['paths']} paths, seed {settings['seed']}. "
            "It assumes nothing. Runs beneath it change these same paths: a difference is due to the assumption alone.",
            "",
            f"First recorded with: {names}.",
            "",
            f"| {told.period} | mean | 80 % interval |",
            "|---|---|---|",
            *lines,
            *_more(len(rows)),
        ]
    )


def _scenario_words(told: Told, scenario: Scenario, extra: Extra) -> str:
    odds = (
        "" if scenario.probability is None else f" Probability given by its author: {100 * scenario.probability:g} %."
    )
    return "\n".join(
        [
            f"**{scenario.name}**: {scenario.description or 'no description.'}{odds} {extra.words}".strip(),
            "",
            *([f"In {told.period}: {effect}.", ""] if (effect := _effect(told, scenario.name)) != "none" else []),
            *(f"{at}. {_assumed(one)}" for at, one in enumerate(scenario.assumptions, start=1)),
            "",
            *_change_lines(told, scenario.name),
            "",
            f"Scenario less the forecast **{told.title}**, path by path on the same random numbers. Metrics: "
            "`quarter…/` by quarter, of which the page shows the last; `month/` the difference and `level/` the level, "
            "month by month.",
        ]
    )


def _assumed(one: Assumption) -> str:
    """One assumption as a line: name, what, when, why."""
    said = described(one)
    shown = {name: f"{name.replace('_', ' ')} {value}" for name, value in said.items()}
    when = f"from {said['start']}" + (f" to {said['end']}" if "end" in said else "")
    what = [f"{said['kind']} of `{said['target']}`", *(shown[name] for name in HOW_MUCH if name in said), when]
    what += [shown[name] for name in AND_THEN if name in said]
    why = f"Measure `{one.measure}`: {one.source}" if one.measure else one.source
    return f"**{one.label}**: {', '.join(what)}. *{why.rstrip('.')}.*"


def _change_lines(told: Told, scenario: str) -> Iterator[str]:
    rows = told.judged(scenario)
    if not len(rows):
        yield f"Nothing of what is shown changes in {told.period}."
        return
    yield f"| {told.period} | forecast | with it | difference | 80 % of differences |"
    yield "|---|---|---|---|---|"
    for row in rows.head(MOST_LINES).to_dict("records"):
        row["with"] = row["baseline"] + row["mean"]
        percent = f" ({_percent(row['percent'])})" if np.isfinite(row["percent"]) else ""
        yield (
            f"| {_title(told, row['series'])} | {_amounts(row, 'baseline')} | {_amounts(row, 'with')} |"
            f" {_amounts(row, 'mean')}{percent} | {_amounts(row, 'q10', 'q90')} |"
        )
    yield from _more(len(rows))


def _more(many: int) -> list[str]:
    return ["", f"{many - MOST_LINES} more stand in table.csv."] if many > MOST_LINES else []


def _title(told: Told, series: str) -> str:
    catalogue = told.study.baseline.dataset.catalogue
    return (catalogue[series].title or series).replace("|", "/") if series in catalogue else series


def _amounts(row: Mapping[Any, Any], *columns: str) -> str:
    """Values of a row in its readable unit, on the scale of its largest."""
    values = [float(row[one]) for one in columns]
    scale = scale_of(str(row["unit"]), [max(values, key=abs)])
    numbers = [_signed(scale.number(one)) for one in values]
    return f"{' to '.join(numbers)} {scale.label}".strip()


def _contributions(told: Told, shares: pd.DataFrame) -> str:
    """What each assumption adds to the mean difference in the judged period, as a table."""
    rows = shares[(shares["period"] == told.period) & shares["series"].isin(told.series)]
    if not len(rows):
        return ""
    wide = rows.pivot_table(index="series", columns="assumption", values="contribution", sort=False)
    units = rows.drop_duplicates("series").set_index("series")["unit"]
    lines = [
        f"| {_title(told, str(series))} | "
        + " | ".join(_amounts({"unit": units[series], "v": value}, "v") if value else "" for value in row)
        + " |"
        for series, row in zip(wide.index, wide.to_numpy(), strict=True)
    ]
    head = " | ".join(str(one).replace("|", "/") for one in wide.columns)
    title = f"\nWhat each assumption adds to the mean difference in {told.period}; the rows sum to it.\n"
    return "\n".join([title, f"| | {head} |", "|---" * (len(wide.columns) + 1) + "|", *lines, ""])


def _remarks(told: Told, scenario: str = "") -> str:
    """What there is to say, without what is about other scenarios only."""
    others = tuple(f"{one.name}{sign}" for one in told.study.scenarios if one.name != scenario for sign in (":", " "))
    lines = [line for line in told.study.remarks if not line.startswith(others)]
    return "\n" + "".join(f"- {line}\n" for line in (*lines, told.study.baseline.source_line))
