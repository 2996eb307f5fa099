"""Scenarios weighed: the mixture by their probabilities, and the probabilities as months land."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecasting import mixture, workflow
from forecasting.compute import Progress, silent
from forecasting.errors import DataError
from forecasting.mixture import Weighed
from forecasting.observations import with_derived
from forecasting.scenario import Scenario
from forecasting.scenarios import Worlds, worlds
from forecasting.tables import all_totals, closure, difference_table
from forecasting.workflow import Outlook, Request

SHARE_COLUMNS = ("scenario", "weight", "series", "unit", "period", "kind", "mean", "of_mean", "of_variance")


@dataclass(frozen=True)
class Mixed:
    """The mixture's outlook; ``shares``: what each scenario brings to the mean and variance of every total.

    ``mean`` is the scenario's own, ``of_mean`` its weight times that, ``of_variance`` its part (0…1) of the variance.
    """

    outlook: Outlook
    baseline: Outlook
    weights: Mapping[str, float]
    shares: pd.DataFrame
    remarks: tuple[str, ...]

    @property
    def title(self) -> str:
        """The mixture by its weights."""
        return "mixture: " + ", ".join(f"{100 * weight:.3g} % {name}" for name, weight in self.weights.items())

    def compared(self) -> pd.DataFrame:
        """The mixture beside the baseline, with difference rows, under its title: what a chart takes."""
        catalogue = self.baseline.dataset.catalogue
        gap = difference_table(self.outlook.forecast, self.outlook.totals, self.baseline.totals, catalogue)
        mixed = pd.concat([self.outlook.table, gap], ignore_index=True).assign(scenario=self.title)
        return pd.concat([self.baseline.table, mixed], ignore_index=True)


def mix(
    scenarios: Sequence[Scenario],
    request: Request,
    model: str | None = None,
    spillover: bool = False,
    progress: Progress = silent,
) -> Mixed:
    """All scenarios at once, each as often as it is probable; the baseline takes what is left."""
    weights = mixture.weights({one.name: one.probability for one in scenarios})
    made = worlds(scenarios, request, model, spillover, progress)
    mixed = mixture.mix(made.forecasts, weights, request.seed)
    outlook = workflow.outlook(made.cube, mixed, request.growth)
    baseline = workflow.outlook(made.cube, made.cube.forecast, request.growth)
    return Mixed(outlook, baseline, weights, _shares(made, weights), (*outlook.remarks, *made.remarks))


def _shares(made: Worlds, weights: Mapping[str, float]) -> pd.DataFrame:
    cube, catalogue = made.cube, made.cube.dataset.catalogue
    totals = {name: all_totals(of, cube.y, catalogue, cube.shown) for name, of in made.forecasts.items()}
    rows = []
    for kind, of_kind in next(iter(totals.values())).items():
        found = mixture.shares({name: of[kind].paths for name, of in totals.items()}, weights)
        for at, name in enumerate(found.scenarios):
            for row, period in enumerate(of_kind.labels):
                for column, series in enumerate(of_kind.series):
                    mean = float(totals[name][kind].paths[:, row, column].mean())
                    rows.append(
                        (name, weights[name], series, catalogue[series].unit, period, kind, mean,
                         found.mean[at, row, column], found.of_variance[at, row, column])
                    )  # fmt: skip
    return pd.DataFrame(rows, columns=list(SHARE_COLUMNS))


@dataclass(frozen=True)
class Verdict:
    """Weights before and after; ``series`` are those that the scenarios were held against."""

    weighed: Weighed
    series: tuple[str, ...]
    made_from: pd.Period
    remarks: tuple[str, ...]

    @property
    def can_tell(self) -> bool:
        """Do the scenarios differ in any month that has landed?"""
        density = self.weighed.steps["log_density"].to_numpy() if len(self.weighed.steps) else np.zeros((0, 1))
        return bool((density != density[:, :1]).any())

    def table(self) -> pd.DataFrame:
        """A row a landed month and scenario: prior, log density, posterior."""
        columns = ["month", "scenario", "prior", "log_density", "posterior"]
        rows = [
            (str(month), name, *(row[what, name] for what in columns[2:]))
            for month, row in self.weighed.steps.iterrows()
            for name in self.weighed.prior
        ]
        return pd.DataFrame(rows, columns=columns)


def weigh(
    scenarios: Sequence[Scenario],
    request: Request,
    model: str | None = None,
    floor: float = 0.01,
    progress: Progress = silent,
) -> Verdict:
    """How well each scenario foretold the months after ``request.as_of``, and what that makes of its probability.

    Held against the series asked for, else against those that the scenarios act on.
    """
    if request.as_of is None:
        raise DataError("--as-of is missing: name the last month that was published when the scenarios were made.")
    weights = mixture.weights({one.name: one.probability for one in scenarios})
    made = worlds(scenarios, request, model, progress=progress)
    catalogue, dataset = made.cube.dataset.catalogue, made.cube.dataset
    asked = request.series or tuple(target for one in scenarios for target in one.targets if target in catalogue)
    series = closure(catalogue.select(asked) if asked else made.cube.shown, catalogue)
    actual = with_derived(dataset.panel.y, catalogue, series)
    found = mixture.weigh(made.forecasts, weights, actual, series, floor)
    return Verdict(found, series, workflow.as_of(dataset.panel, request.as_of).cutoff, made.remarks)
