"""Charts of what the journeys return: each function takes the object and gives a matplotlib ``Figure``.

    >>> outlook = workflow.forecast(Request(series=("jp_ru.trade.value",), model="theta"))
    >>> figure = plot.fan(outlook)
    >>> plot.save(figure, Path("trade.svg"))

Figures belong to no window and to no list of pyplot's; matplotlib's settings are as before when a function returns.
Series are ids or shell patterns; none: all that the object shows. The same object and series give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from forecasting.backtest_files import Result
from forecasting.errors import DataError
from forecasting.leaderboard import base_of, board
from forecasting.plot_backtest import MOST_MODELS, colours, coverage_figure, pit_figure, skill_figure
from forecasting.plot_forecast import forecast_figure, series_figure
from forecasting.plot_layout import form_of, image, styled
from forecasting.plot_scenario import scenario_figure
from forecasting.scenarios import Study
from forecasting.scores import STEP_WORDS, coverage_table, pit_table, score_table
from forecasting.scores import skill as with_skill
from forecasting.store import write_bytes
from forecasting.tables import closure
from forecasting.workflow import Dataset, Outlook, rows_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["calibration", "fan", "history", "image", "pit", "save", "scenarios", "skill"]


def fan(outlook: Outlook, *series: str) -> Figure:
    """History and forecast of each series on an axis of its own: median with 50, 80 and 95 % intervals.

    Values are in readable multiples of the catalogue's unit, which stands above the axis; months below. The history
    is the last three to four years. CatalogueError for a series that does not exist, DataError for one that the
    outlook does not hold.
    """
    levels = outlook.table[outlook.table["unit"] != "pct_yoy"]
    table = _only(levels, series, outlook.dataset)
    return forecast_figure(outlook.history, outlook.stages, table, outlook.dataset.catalogue, outlook.source_line)


def scenarios(study: Study, *series: str) -> Figure:
    """Scenarios beside their baseline, a row a series: levels, differences with 80 and 95 % intervals, totals.

    At most six scenarios and seven series, those that change most; the rest is named below the chart. Differences
    are taken path by path and stand in readable multiples of the catalogue's unit. Errors as of ``fan``.
    """
    base = study.baseline
    table = _only(study.table[study.table["unit"] != "pct_yoy"], series, base.dataset)
    return scenario_figure(base.history, base.stages, table, base.dataset.catalogue, base.source_line)


def history(dataset: Dataset, series: str) -> Figure:
    """All months known of one series, with marks where figures are provisional, implied or rebuilt.

    DataError where the pattern matches several series, or nothing is known of it.
    """
    chosen = dataset.catalogue.select([series])
    if len(chosen) > 1:
        raise DataError(f"{series!r} matches {len(chosen)} series: name one, such as {chosen[0]}.")
    source_line = dataset.source_line_of(closure(chosen, dataset.catalogue))
    return series_figure(rows_of(dataset, chosen[0]), dataset.catalogue[chosen[0]], source_line)


def skill(result: Result, models: Sequence[str] = (), kind: str = "") -> Figure:
    """Skill of models by step: 1 − CRPS / CRPS of the seasonal naive, above 0 is better (no unit).

    The scaled CRPS, below is better, where the backtest has no seasonal naive. Models in the leaderboard's order, the
    best eight if none are named; ``kind`` is month, quarter or fiscal_year (none: the experiment's own). Only
    forecasts that every model made count. DataError for a model or kind that the backtest does not hold.
    """
    judged = board(result, kind)
    shown, base = _models(result, judged.table, models), base_of(result)
    table = score_table(judged.rows, ("model", "step"))
    has_base = base in set(table["model"])
    table = with_skill(table, base) if has_base else table
    with styled():
        return skill_figure(
            table, shown, _palette(result), "skill" if has_base else "crps_scaled", STEP_WORDS[judged.kind]
        )


def calibration(result: Result, models: Sequence[str] = (), kind: str = "") -> Figure:
    """Percent of outcomes inside the 80 and 95 % intervals by step, a panel a model.

    Bars are 95 % Clopper–Pearson bounds for the number of independent cutoffs: one that misses the dashed line shows
    an interval that is too narrow (below it) or too wide. Arguments and errors as of ``skill``.
    """
    judged = board(result, kind)
    shown = _models(result, judged.table, models)
    with styled():
        return coverage_figure(
            coverage_table(judged.rows, ("model", "step")), shown, _palette(result), STEP_WORDS[judged.kind]
        )


def pit(result: Result, models: Sequence[str] = (), kind: str = "") -> Figure:
    """Percent of outcomes in each tenth of the forecast distribution, a panel a model: flat is honest.

    High at both ends: intervals are too narrow; high in the middle: too wide; high at the right: outcomes came in
    above the forecasts. Arguments and errors as of ``skill``.
    """
    judged = board(result, kind)
    shown = _models(result, judged.table, models)
    with styled():
        return pit_figure(pit_table(judged.rows), shown, _palette(result))


def save(figure: Figure, path: Path | str) -> None:
    """Write a figure to a .png or .svg file, whole or not at all, without a date in it; DataError if it cannot be."""
    path = Path(path)
    write_bytes(image(figure, form_of(path)), path)


def _only(table: pd.DataFrame, series: Sequence[str], dataset: Dataset) -> pd.DataFrame:
    if not series:
        return table
    held = list(dict.fromkeys(table["series"]))
    wanted = dataset.catalogue.select(series)
    missing = [one for one in wanted if one not in held]
    if missing and not set(wanted) & set(held):
        raise DataError(f"{missing[0]} is not among what was forecast: choose from {', '.join(held)}.")
    return table[table["series"].isin(wanted)]


def _models(result: Result, table: pd.DataFrame, models: Sequence[str]) -> list[str]:
    leaders = [str(one) for one in table["model"]]
    if unknown := [one for one in models if one not in leaders]:
        raise DataError(f"{result.name} has no model {unknown[0]!r}: choose from {', '.join(leaders)}.")
    return [one for one in leaders if not models or one in models][:MOST_MODELS]


def _palette(result: Result) -> dict[str, str]:
    return colours([str(one) for one in result.rows["model"].unique()])
