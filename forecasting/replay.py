"""Forecasts as they would have been made then, with and without what had been announced, beside what came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pandas as pd

from forecasting import scenarios as scenarios_of
from forecasting import workflow
from forecasting.catalogue import Catalogue
from forecasting.compute import Progress, silent
from forecasting.errors import DataError
from forecasting.measures import Effect, Measure, known_by
from forecasting.mixture import Density, log_densities
from forecasting.models import forecaster
from forecasting.observations import with_derived
from forecasting.periods import label
from forecasting.scenario import BASELINE, SPANS, Assumption, Scenario, Size
from forecasting.scenarios import Worlds, worlds
from forecasting.scores import crps_of_paths, interval_score
from forecasting.tables import all_totals, closure
from forecasting.toml_table import nearest
from forecasting.transform import choose_transform
from forecasting.workflow import DEFAULT_MODEL, Dataset, Request

LONGEST = 12
"""Months after the cutoff that a replay looks at when no horizon is given."""
WITH = "with"
MONTHS_OF = {"month": 1, "quarter": 3}
"""Kinds of periods that are scored."""
SCORE_COLUMNS = (
    "series", "unit", "kind", "period", "world", "actual", "mean", "q10", "q50", "q90", "crps", "interval_score",
    "log_score", "error",
)  # fmt: skip


@dataclass(frozen=True)
class Replayed:
    """Scores of every period that came, with and without; ``worlds`` are "baseline" and "with".

    Lower is better but for ``log_score``; ``error`` is the mean forecast less what came, in units.
    """

    made_from: pd.Period
    assumptions: tuple[Assumption, ...]
    scores: pd.DataFrame
    remarks: tuple[str, ...]
    source_line: str

    def summary(self) -> pd.DataFrame:
        """By series and kind: mean scores without and with, and the change of CRPS in percent (below 0: it helped)."""
        keys = ["series", "kind"]
        mean = self.scores.groupby([*keys, "world"], sort=False)[
            ["crps", "interval_score", "log_score", "error"]
        ].mean()
        wide = mean.unstack("world")
        found = pd.DataFrame({"periods": self.scores[self.scores["world"] == WITH].groupby(keys, sort=False).size()})
        for score in ("crps", "interval_score", "log_score", "error"):
            found[f"{score}_without"] = wide[score, BASELINE]
            found[f"{score}_with"] = wide[score, WITH]
        found["crps_change_pct"] = 100.0 * (found["crps_with"] / found["crps_without"] - 1.0)
        return found.reset_index()


def replay(
    measures: Sequence[str],
    request: Request,
    model: str | None = None,
    scenarios: Sequence[Scenario] = (),
    hindsight: bool = False,
    progress: Progress = silent,
) -> Replayed:
    """Score the forecast of then with and without these measures (ids of the ledger) and scenarios.

    Only measures announced by the end of ``request.as_of`` count, with sizes that could be read then (``hindsight``
    allows others), and only those that begin after it.
    """
    if request.as_of is None:
        raise DataError("--as-of is missing: name the last month that the forecast of then may see, such as 2023-07.")
    dataset = workflow.load(request.data, request.as_of_day)
    seen = workflow.as_of(dataset.panel, request.as_of)
    named = model or DEFAULT_MODEL
    enough = {one for one in seen.series if seen.y[one].notna().sum() >= forecaster(named).min_months}
    acts, remarks = _acts(measures, seen.cutoff, hindsight, dataset, enough)
    acts += tuple(one for scenario in scenarios for one in scenario.assumptions)
    if not acts:
        raise DataError("Nothing to replay: name a measure of docs/measures.md or a scenario file.")
    ahead = int((dataset.panel.cutoff - seen.cutoff).n)
    if ahead < 1:
        raise DataError(f"Nothing has come after {seen.cutoff}: name an earlier --as-of.")
    both = Scenario(WITH, acts, ordered=True)
    request = replace(request, series=request.series or both.targets, horizon=request.horizon or min(ahead, LONGEST))
    made = worlds([both], request, named, progress=progress, dataset=dataset)
    return Replayed(seen.cutoff, acts, _scores(made), (*remarks, *made.remarks), dataset.source_line)


# --- Measures as assumptions -----------------------------------------------------------------------------


def _acts(
    names: Sequence[str], cutoff: pd.Period, hindsight: bool, dataset: Dataset, enough: set[str]
) -> tuple[tuple[Assumption, ...], list[str]]:
    if not names:
        return (), []
    ledger = scenarios_of.ledger()
    known = known_by(ledger, cutoff.end_time.date())
    acts: list[Assumption] = []
    remarks: list[str] = []
    for name in names:
        if name not in ledger:
            raise DataError(f"No measure {name!r}{nearest(name, ledger)}: docs/measures.md lists all {len(ledger)}.")
        if name not in known:
            raise DataError(f"{name} was not announced by the end of {cutoff}: name a later --as-of.")
        measure = ledger[name] if hindsight else known[name]
        if measure.start is None or measure.start <= cutoff:
            raise DataError(f"{name} took effect in {measure.start}: it is in the figures up to {cutoff} already.")
        if not measure.effects:
            raise DataError(
                f"{name} has no effect whose size was known by {cutoff}: leave it out, or allow --hindsight."
            )
        effects, said = _usable(measure, dataset, enough)
        remarks += said
        acts += [_assumption(measure, one) for one in effects]
    return tuple(acts), remarks


def _usable(measure: Measure, dataset: Dataset, enough: set[str]) -> tuple[tuple[Effect, ...], list[str]]:
    """Effects on the parts where the figures of then allow it, else the same loss of the total."""

    def able(one: Effect) -> bool:
        found = dataset.catalogue.select([one.target])
        return any(set(closure([series], dataset.catalogue)) <= enough for series in found)

    parts = tuple(one for one in measure.effects if not one.total and able(one))
    if parts:
        return parts, []
    whole = tuple(one for one in measure.effects if one.total and able(one))
    if not whole:
        targets = ", ".join(one.target for one in measure.effects)
        raise DataError(
            f"{measure.id} acts on {targets}, of which too few months were published then for this model: try --model"
            " theta or seasonal_naive."
        )
    return whole, [f"{measure.id}: its goods had too few months then, so its effect on {whole[0].target} is used."]


def _assumption(measure: Measure, effect: Effect) -> Assumption:
    assert measure.start is not None
    return Assumption(
        effect.target, effect.kind, measure.start, measure.source, name=f"{measure.id} on {effect.target}",
        size=Size((effect.share,)), ramp=effect.ramp, measure=measure.id,
    )  # fmt: skip


# --- Scores ----------------------------------------------------------------------------------------------


def _scores(made: Worlds) -> pd.DataFrame:
    """A row for each world, period that came and series: SCORE_COLUMNS."""
    cube, catalogue = made.cube, made.cube.dataset.catalogue
    totals = {name: all_totals(of, cube.y, catalogue, cube.shown) for name, of in made.forecasts.items()}
    history = with_derived(cube.y, catalogue, cube.shown)
    came = {kind: _came(cube.dataset.panel.y, catalogue, cube.shown, kind) for kind in MONTHS_OF}
    rows: list[tuple[object, ...]] = []
    for world, kind in product(totals, MONTHS_OF):
        base, own = totals[BASELINE][kind], totals[world][kind]
        actual = came[kind].reindex(base.labels).to_numpy()
        # A price on fewer than half of the paths, in whichever world, is no forecast of a price.
        told = np.all([np.isnan(of[kind].paths).mean(axis=0) <= 0.5 for of in totals.values()], axis=0)
        for at, column in np.argwhere((base.step >= 1) & np.isfinite(actual) & told):
            series, paths, plain = cube.shown[column], own.paths[:, at, column], base.paths[:, at, column]
            judged = _judged(paths, plain, actual[at, column], history[series])
            unit = catalogue[series].unit
            rows.append((series, unit, kind, base.labels[at], world, actual[at, column], *judged))
    return pd.DataFrame(rows, columns=list(SCORE_COLUMNS))


def _came(y: pd.DataFrame, catalogue: Catalogue, shown: tuple[str, ...], kind: str) -> pd.DataFrame:
    """What came in the whole periods of a kind (m × n), by label: derived from totals, as forecasts are."""
    leaves = y[list(closure(shown, catalogue))]
    periods = pd.PeriodIndex(leaves.index).asfreq(SPANS[kind])
    totals = with_derived(leaves.groupby(periods).sum(min_count=MONTHS_OF[kind]), catalogue, shown)
    return totals[list(shown)].set_axis([label(one, kind) for one in totals.index])


def _judged(paths: np.ndarray, plain: np.ndarray, actual: float, history: pd.Series) -> tuple[float, ...]:
    paths, plain = (of[~np.isnan(of)] for of in (paths, plain))
    low, middle, high = np.quantile(paths, [0.1, 0.5, 0.9])
    crps = float(crps_of_paths(paths[:, None], np.array([actual]))[0])
    width = float(interval_score(np.array([low]), np.array([high]), np.array([actual]), 80)[0])
    scale = choose_transform(history.to_numpy(dtype=float))
    turned = [scale.forward(one) for one in (paths, plain, np.array([actual]))]
    density = log_densities(turned[0][:, None], turned[1][:, None], turned[2], Density())[0]
    mean = float(np.mean(paths))
    return mean, float(low), float(middle), float(high), crps, width, float(density), mean - actual
