"""The journeys of a what-if: run scenarios against the baseline they share random numbers with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forecasting import champion_forecast, notebook, store, workflow
from forecasting.attribution import contributions
from forecasting.compute import Progress, silent
from forecasting.errors import DataError
from forecasting.forecast import KINDS, Forecast
from forecasting.impose import Ground, Response, impose, normal_months
from forecasting.measures import Measure, read_measures
from forecasting.observations import with_derived
from forecasting.periods import Totals, next_full_quarter_end
from forecasting.plot_layout import image
from forecasting.plot_scenario import scenario_figure
from forecasting.scenario import BASELINE, Assumption, Scenario
from forecasting.scenario_file import read_scenario
from forecasting.scenario_ready import Ready, ready
from forecasting.tables import all_totals, closure, difference_table, differences
from forecasting.toml_table import nearest
from forecasting.units import scale_of
from forecasting.workflow import MAX_HORIZON, Cube, Dataset, Outlook, Request

FOLDER = "scenarios"
SPILLED = (
    "Spillover: what no assumption touches follows by regression on past forecast errors. That is no cause: errors of"
    " calmer times, cut at 2.5 standard deviations, and the scatter about the regression is not in the intervals."
)
CONTRIBUTION_COLUMNS = ("scenario", "series", "unit", "period", "kind", "assumption", "contribution")


@dataclass(frozen=True)
class Study:
    """Scenarios beside their baseline; ``table`` has one block a scenario, with the difference rows after it.

    ``contributions`` says what each assumption adds to the mean difference; they sum to it.
    """

    baseline: Outlook
    scenarios: tuple[Scenario, ...]
    outlooks: Mapping[str, Outlook]
    table: pd.DataFrame
    contributions: pd.DataFrame
    remarks: tuple[str, ...] = ()
    settings: Mapping[str, object] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        """For notebooks: the differences of quarters and fiscal years, and their chart."""
        base, levels = self.baseline, self.table[self.table["unit"] != "pct_yoy"]
        gaps = differences(levels[~levels["kind"].str.startswith("month")])
        title = ", ".join(one.name for one in self.scenarios) or "no scenario"
        head = ("scenario", "series", "period", "difference, median", "80 % interval")
        parts = [notebook.table(head, map(self._difference, gaps.to_dict("records")), words=3)]
        if self.scenarios:
            drawn = scenario_figure(base.history, base.stages, levels, base.dataset.catalogue, base.source_line)
            parts.append(notebook.picture(image(drawn), f"Baseline and scenarios: {title}"))
        return notebook.block(
            f"Scenarios beside their baseline: {title}", *parts, note=" ".join((*self.remarks, base.source_line))
        )

    def _difference(self, row: Mapping[Any, Any]) -> tuple[str, ...]:
        scale = scale_of(row["unit"], [row["q50"]])
        title = self.baseline.dataset.catalogue[row["series"]].title
        return (
            row["scenario"], title, row["period"], scale.text(row["q50"]),
            f"{scale.number(row['q10'])} to {scale.number(row['q90'])}",
        )  # fmt: skip


# --- Files -----------------------------------------------------------------------------------------------


def folder() -> Path:
    """Where the scenario files of the project lie."""
    return store.data_folder().parent / "experiments" / FOLDER


def ledger() -> dict[str, Measure]:
    """What was really done, by id."""
    return read_measures(store.data_folder() / "measures.toml")


def find(name: str) -> Path:
    """The file of this name, or the scenario of the project called so."""
    path = Path(name)
    if path.suffix == ".toml" or path.is_file():
        return path
    known = sorted(one.stem for one in folder().glob("*.toml"))
    if name not in known:
        there = ", ".join(known) or "none here"
        raise DataError(f"No scenario {name!r}{nearest(name, known)}: give a .toml file or one of {there}.")
    return folder() / f"{name}.toml"


def first_month() -> str:
    """The first month that a new scenario can start in."""
    return str(workflow.load().panel.cutoff + 1)


def read(names: Sequence[str]) -> tuple[Scenario, ...]:
    """Scenarios by file or name; each name once."""
    sources = {one.id: one.source for one in ledger().values()}
    found = tuple(read_scenario(find(name), sources) for name in names)
    titles = [one.name for one in found]
    if twice := next((one for one in titles if titles.count(one) > 1), ""):
        raise DataError(f"Two scenarios are called {twice}: give each a name of its own.")
    return found


# --- Making ready ----------------------------------------------------------------------------------------


def prepare(scenarios: Sequence[Scenario], request: Request, dataset: Dataset) -> tuple[Ready, ...]:
    """Every scenario held against the data: targets, dates, units, clashes."""
    seen = workflow.as_of(dataset.panel, request.as_of)
    known = {one: seen.y[one].dropna().index for one in map(str, seen.y.columns)}
    last = {one: pd.Period(months[-1], "M") for one, months in known.items() if len(months)}
    names = _covariates_of(request).columns
    return tuple(ready(one, dataset.catalogue, last, tuple(map(str, names))) for one in scenarios)


def normal_levels(scenario: Scenario, dataset: Dataset) -> list[str]:
    """What each lift goes back to, and on how many months that rests."""
    lines = []
    for one in scenario.assumptions:
        if one.since is None:
            continue
        for target in dataset.catalogue.select([one.target]):
            y = with_derived(dataset.panel.y, dataset.catalogue, [target])[target]
            known, last = normal_months(y, one.since), y.dropna().iloc[-12:]
            unit = dataset.catalogue[target].unit
            lines.append(
                f"{target}: {known.mean():,.6g} {unit} a month before {one.since} ({len(known)} months known), now"
                f" {last.mean():,.6g} (the last {len(last)})."
            )
    return lines


def _covariates_of(request: Request) -> pd.DataFrame:
    if request.covariates is None:
        return pd.DataFrame()
    from forecasting.sources.user_file import read_covariates

    return read_covariates(request.covariates)[0]


def horizon_for(scenarios: Sequence[Scenario], cutoff: pd.Period) -> int:
    """Months to the end of the first whole quarter in which every assumption has begun to work."""
    last = next_full_quarter_end(cutoff)
    for one in (assumption for scenario in scenarios for assumption in scenario.assumptions):
        given = one.start + max(len(one.levels) - 1, 0)
        last = max(last, next_full_quarter_end(one.start - 1), next_full_quarter_end(given - 3))
    return min(int((last - cutoff).n), MAX_HORIZON)


def cube_for(request: Request, needed: Sequence[str], model: str | None, progress: Progress, dataset: Dataset) -> Cube:
    """Paths of what is asked for and of what is needed besides; only the former is shown."""
    wide = replace(request, besides=closure(needed, dataset.catalogue))
    if model:
        return workflow.cube(replace(wide, model=model), progress, dataset)
    return champion_forecast.cube(wide, progress, dataset)


# --- Running ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Worlds:
    """One cube, and the same futures under each scenario: ``forecasts`` by name, the baseline first."""

    cube: Cube
    ground: Ground
    scenarios: tuple[Scenario, ...]
    forecasts: Mapping[str, Forecast]
    remarks: tuple[str, ...]
    settings: Mapping[str, object]


def worlds(
    scenarios: Sequence[Scenario],
    request: Request,
    model: str | None = None,
    spillover: bool = False,
    progress: Progress = silent,
    dataset: Dataset | None = None,
) -> Worlds:
    """Forecast once, and impose each scenario on the same paths."""
    dataset = dataset or workflow.load(request.data, request.as_of_day)
    prepared = prepare(scenarios, request, dataset)
    settled = tuple(one.scenario for one in prepared)
    if request.horizon is None:
        cutoff = workflow.as_of(dataset.panel, request.as_of).cutoff
        request = replace(request, horizon=horizon_for(settled, cutoff))
    needed = tuple(dict.fromkeys(series for one in prepared for series in one.series))
    cube = cube_for(request, needed, model, progress, dataset)
    ground = _ground(cube, settled, request, spillover)
    forecasts = {BASELINE: cube.forecast, **{one.name: impose(cube.forecast, one, ground) for one in settled}}
    said = tuple(_late(settled, cube))
    if spillover:
        said = (*said, SPILLED)
    settings = {
        "model": cube.forecast.model, "horizon": request.horizon, "paths": request.paths, "seed": request.seed,
        "spillover": spillover, "vintage": cube.vintage,
    }  # fmt: skip
    return Worlds(cube, ground, settled, forecasts, said, settings)


def run(
    scenarios: Sequence[Scenario],
    request: Request,
    model: str | None = None,
    spillover: bool = False,
    progress: Progress = silent,
) -> Study:
    """Every scenario beside the baseline: what is forecast, the differences, and what each assumption adds to them."""
    return study(worlds(scenarios, request, model, spillover, progress), request.growth)


def study(made: Worlds, growth: bool = False, explain: bool = True) -> Study:
    """What is shown of worlds: tables of each, the differences, and (``explain``) what each assumption adds to them."""
    cube, catalogue = made.cube, made.cube.dataset.catalogue
    baseline = workflow.outlook(cube, cube.forecast, growth)
    tables, outlooks, remarks = [baseline.table], {}, list(made.remarks)
    for one in made.scenarios:
        outlook = workflow.outlook(cube, made.forecasts[one.name], growth)
        outlooks[one.name] = outlook
        gap = difference_table(outlook.forecast, outlook.totals, baseline.totals, catalogue)
        tables += [outlook.table, gap]
        remarks += _unseen(one.name, made.forecasts[one.name], cube)
    return Study(
        baseline,
        made.scenarios,
        outlooks,
        pd.concat(tables, ignore_index=True),
        _stacked([_contributions(one, cube, made.ground, baseline.totals) for one in made.scenarios if explain]),
        (*baseline.remarks, *remarks),
        made.settings,
    )


def _unseen(name: str, paths: Forecast, cube: Cube) -> list[str]:
    """What a scenario moves besides what is shown."""
    base, catalogue = cube.forecast, cube.dataset.catalogue
    moved = [
        one
        for one in base.series
        if one in catalogue
        and one not in cube.shown
        and not np.allclose(paths.column(one), base.column(one), rtol=1e-9)
    ]
    if not moved:
        return []
    some = ", ".join(moved[:3]) + (" …" if len(moved) > 3 else "")
    return [f"{name} also moves {len(moved)} series that are not shown: {some}. Name them with --series."]


def _late(scenarios: Sequence[Scenario], cube: Cube) -> list[str]:
    last = cube.forecast.months[-1]
    return [
        f"{scenario.name}: {one.label} has its full effect from {one.full_from}, after the last month shown, {last}:"
        " give a longer --horizon."
        for scenario in scenarios
        for one in scenario.assumptions
        if one.full_from > last
    ]


def _ground(cube: Cube, scenarios: Sequence[Scenario], request: Request, spillover: bool) -> Ground:
    acting = [one for scenario in scenarios for one in scenario.assumptions if one.covariate and not one.pass_through]
    return Ground(
        cube.dataset.catalogue,
        cube.y,
        request.seed,
        cube.runs[0][0].panel.x,
        {one: _response(one, cube) for one in acting},
        spillover,
    )


def _response(one: Assumption, cube: Cube) -> Response:
    """What the models make of a changed covariate at the ends and the middle of its size."""
    sizes = np.unique([one.size.least, one.size.mean, one.size.most])
    factors: dict[str, list[np.ndarray]] = {}
    for made_by, series in cube.runs:
        others = [_changed(made_by.panel.x, one, size) for size in sizes]
        for response in made_by.responses(series, others):
            for at, name in enumerate(series):
                factors.setdefault(name, []).append(response[:, at])
    parts = {name: np.stack(of) for name, of in factors.items() if not _is_whole(name, tuple(factors), cube)}
    if all(np.allclose(of, 1.0) for of in parts.values()):
        raise DataError(
            f"{one.label}: no model uses {one.target}, so nothing would change: choose --model sarima or boosting, or"
            " declare [[assumption.pass_through]]."
        )
    return Response(sizes, parts)


def _is_whole(name: str, modelled: tuple[str, ...], cube: Cube) -> bool:
    """Wholes get the sum of what their parts do."""
    catalogue = cube.dataset.catalogue
    return any(name == other.partition("|")[0] and name != other for other in modelled) or (
        name in catalogue and catalogue[name].formula == "sum"
    )


def _changed(x: pd.DataFrame, one: Assumption, size: float) -> pd.DataFrame:
    months = pd.PeriodIndex(x.index)
    now = x[one.target].to_numpy(dtype=float)
    return x.assign(**{one.target: now + one.intensity(months) * (one.goal(now, months, size) - now)})


def _contributions(scenario: Scenario, cube: Cube, ground: Ground, layout: Mapping[str, Totals]) -> pd.DataFrame:
    """What each assumption adds to the mean of every period (Shapley; in the order listed beyond six).

    Not of unit prices: a mean over the paths that have one does not add up.
    """
    catalogue = cube.dataset.catalogue
    shown = tuple(one for one in cube.shown if catalogue[one].formula != "ratio")

    def worth(group: tuple[int, ...]) -> np.ndarray:
        some = replace(scenario, assumptions=tuple(scenario.assumptions[at] for at in group))
        totals = all_totals(impose(cube.forecast, some, ground), cube.y, catalogue, shown)
        return np.concatenate([totals[kind].paths.mean(axis=0).ravel() for kind in KINDS])

    if not scenario.assumptions or not shown:
        return pd.DataFrame(columns=list(CONTRIBUTION_COLUMNS))
    rows = pd.DataFrame(
        [
            {"scenario": scenario.name, "series": one, "unit": catalogue[one].unit, "period": label, "kind": kind}
            for kind in KINDS
            for label in layout[kind].labels
            for one in shown
        ]
    )
    parts = contributions(len(scenario.assumptions), worth)
    named = [
        rows.assign(assumption=one.label, contribution=part)
        for one, part in zip(scenario.assumptions, parts, strict=True)
    ]
    told = pd.concat(named, ignore_index=True)
    return told[told.groupby(["series", "period", "kind"])["contribution"].transform(lambda of: of.abs().max()) > 0]


def _stacked(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    full = [one for one in tables if len(one)]
    return pd.concat(full, ignore_index=True) if full else pd.DataFrame(columns=list(CONTRIBUTION_COLUMNS))
