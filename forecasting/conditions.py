"""The journeys of a statement: the forecast given that it holds, and what it would take to make it hold."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from forecasting import conditioning, statements, workflow
from forecasting import stress as stressing
from forecasting.compute import Progress, silent
from forecasting.conditioning import Plausibility
from forecasting.errors import DataError
from forecasting.periods import next_full_quarter_end
from forecasting.scenarios import cube_for
from forecasting.statements import Statement
from forecasting.stress import Stress
from forecasting.tables import difference_table
from forecasting.workflow import MAX_HORIZON, Cube, Dataset, Outlook, Request

CONDITIONAL = "conditional"
MOST_OF_TITLE = 100


@dataclass(frozen=True)
class Conditional:
    """The forecast and the same given the statements; ``table`` has both blocks and the difference rows."""

    baseline: Outlook
    outlook: Outlook
    table: pd.DataFrame
    plausibility: Plausibility

    @property
    def stated(self) -> str:
        """What is taken to hold."""
        return "; ".join(one.text for one in self.plausibility.stated)

    @property
    def title(self) -> str:
        """The forecast given that, by its statements."""
        return textwrap.shorten(f"if {self.stated}", MOST_OF_TITLE, placeholder=" …")

    def compared(self) -> pd.DataFrame:
        """The table with its title for the condition: what a chart takes."""
        return self.table.assign(scenario=self.table["scenario"].replace(CONDITIONAL, self.title))


def condition(
    texts: Sequence[str], request: Request, model: str | None = None, progress: Progress = silent
) -> Conditional:
    """Every series given what is stated of some totals, and how plausible the statements are."""
    dataset = workflow.load(request.data, request.as_of_day)
    stated = [statements.parse(one, dataset.catalogue) for one in texts]
    cube = _cube(stated, (), request, model, progress, dataset)
    linear = statements.rows(stated, cube.forecast, cube.y)
    whole = conditioning.never_negative(cube.forecast.series, dataset.catalogue)
    found = conditioning.condition(cube.forecast, linear, request.seed, whole)
    baseline = workflow.outlook(cube, cube.forecast, request.growth)
    outlook = workflow.outlook(cube, replace(found.forecast, scenario=CONDITIONAL), request.growth)
    gap = difference_table(outlook.forecast, outlook.totals, baseline.totals, dataset.catalogue)
    table = pd.concat([baseline.table, outlook.table, gap], ignore_index=True)
    return Conditional(baseline, outlook, table, found.plausibility)


@dataclass(frozen=True)
class Stressed:
    """What it would take, and from which figures that was computed."""

    stress: Stress
    cube: Cube


def stress(
    text: str,
    levers: Sequence[str],
    request: Request,
    model: str | None = None,
    spillover: bool = False,
    progress: Progress = silent,
) -> Stressed:
    """The most plausible path of the levers on which the mean of the total reaches the value."""
    if not levers:
        raise DataError("--levers is missing: name the series that may move, such as --levers 'jp_ru.exports.*.value'.")
    dataset = workflow.load(request.data, request.as_of_day)
    target = statements.parse(text, dataset.catalogue)
    cube = _cube([target], stressing.lever_series(levers, dataset.catalogue), request, model, progress, dataset)
    linear = statements.rows([target], cube.forecast, cube.y)
    found = stressing.levers_of(levers, cube.forecast, linear, dataset.catalogue)
    return Stressed(stressing.stress(cube.forecast, linear, found, spillover), cube)


def _cube(
    stated: Sequence[Statement],
    besides: Sequence[str],
    request: Request,
    model: str | None,
    progress: Progress,
    dataset: Dataset,
) -> Cube:
    """Paths of all that is stated of, to the end of the last period stated."""
    cutoff = workflow.as_of(dataset.panel, request.as_of).cutoff
    last = statements.needed_last_month(stated)
    if request.horizon is None and last is not None:
        months = int((max(last, next_full_quarter_end(cutoff)) - cutoff).n)
        if months > MAX_HORIZON:
            raise DataError(f"{stated[0].text!r} lies {months} months ahead: forecasts reach {MAX_HORIZON}.")
        request = replace(request, horizon=months)
    return cube_for(request, (*statements.needed_series(stated), *besides), model, progress, dataset)


def scenario_text(found: Stress, name: str) -> str:
    """The most plausible way as a scenario file: a path for each lever."""
    if found.together is None:
        raise DataError(f"{found.text!r} is met already: there is no way to write down.")
    lines = [
        f'name = "{name}"',
        f'description = "What it would take: {found.text}"',
        "",
    ]
    for one in found.together.levers:
        levels = ", ".join(f"{value:.6g}" for value in one.needed)
        lines += [
            "[[assumption]]",
            f'target = "{one.lever}"',
            'kind = "path"',
            f'start = "{one.months[0]}"',
            f'end = "{one.months[-1]}"',
            f"levels = [{levels}]",
            f'source = "judgement: the most plausible path to {found.text}, from tradecast scenario stress"',
            "",
        ]
    return "\n".join(lines)
