"""`tradecast forecast`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forecasting.cli import options, panel
from forecasting.cli.output import say_written, write_table
from forecasting.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.workflow import Outlook


def forecast(
    series: Annotated[list[str] | None, typer.Argument(help="Ids or shell patterns; none: the headline set.")] = None,
    horizon: Annotated[
        int | None, typer.Option(help="Months ahead; none: to the end of the next full quarter.")
    ] = None,
    model: options.Model = None,
    coverage: options.Coverage = None,
    paths: options.Paths = 2000,
    seed: options.Seed = 0,
    as_of: options.AsOf = None,
    as_of_day: options.AsOfDay = None,
    revision_noise: options.RevisionNoise = False,
    data: options.DataOrPanel = None,
    covariates: options.Covariates = None,
    hold_covariates: options.HoldCovariates = False,
    working_days: options.WorkingDays = False,
    growth: Annotated[bool, typer.Option(help="Add rows of percent change on a year earlier.")] = False,
    scenario: Annotated[
        str | None,
        typer.Option(help="A scenario by name or file: the forecast, the same if it comes true, the difference."),
    ] = None,
    out: options.OutOrFolder = None,
    plot: options.Plot = None,
    explain: Annotated[bool, typer.Option(help="Show what each model chose and its diagnostics.")] = False,
    workers: options.Workers = 0,
    no_cache: options.NoCache = False,
    cluster: options.Cluster = None,
    memory_limit: options.MemoryLimit = None,
    time_limit: options.TimeLimit = None,
    fail_fast: options.FailFast = False,
) -> None:
    """Forecast months, quarters and fiscal years, with intervals calibrated on past forecasts."""
    spread = panel.Spread(workers, cluster, memory_limit, time_limit, fail_fast)
    if data is not None and panel.is_panel(data):
        others = {
            "as-of-day": as_of_day, "revision-noise": revision_noise, "covariates": covariates, "growth": growth,
            "working-days": working_days, "scenario": scenario, "plot": plot, "explain": explain, "coverage": coverage,
        }  # fmt: skip
        options.check_counts(paths, workers)
        panel.forecast(data, out, model, horizon, paths, seed, as_of, spread, {"SERIES": series, **others})
        return
    spread.refuse_without_panel()
    if data is not None and not Path(data).exists():
        raise DataError(f"--data {data} does not exist: name a file, or a folder of partitions.")
    shown = options.coverages(coverage)
    asked = options.Asked(
        tuple(series or ()),
        horizon,
        paths,
        seed,
        as_of,
        None if data is None else Path(data),
        workers,
        not no_cache,
        as_of_day,
        revision_noise,
    )
    options.check_endings(out, plot)
    more = {
        "covariates": covariates, "hold_covariates": hold_covariates, "working_days": working_days, "growth": growth
    }  # fmt: skip
    if scenario is not None:
        from forecasting.cli.scenario import run_and_show

        run_and_show([scenario], asked.request(**more), model, shown, out, plot, explain=explain)
        return
    from forecasting import champion_forecast, workflow
    from forecasting.cli.progress import Watched

    request = asked.request(**more, **({"model": model} if model else {}))
    with Watched("Fitting and calibrating") as progress:
        outlook = (workflow if model is not None else champion_forecast).forecast(request, progress)
    write_table(outlook.table, out)
    levels = outlook.table[outlook.table["unit"] != "pct_yoy"]
    if plot:
        from forecasting.plot import fan, save

        save(fan(outlook), plot)
    say_written(out, plot)
    if out != "-":
        _show(outlook, levels, shown, explain)


def _show(outlook: Outlook, levels: pd.DataFrame, coverages: tuple[int, ...], explain: bool) -> None:
    from forecasting.cli.console import console as make_console
    from forecasting.cli.terminal import context_of, forecast_view, table_view

    console = make_console()
    context = context_of(outlook, source_line=outlook.source_line)
    console.print(forecast_view(levels, context, coverages, console.width))
    if explain:
        described = outlook.described[outlook.described["series"].isin(outlook.resting)]
        columns = [
            one
            for one in ("series", "model", "scale", "chosen", "sigma", "ljung_box_p", "n_months")
            if one in described
        ]
        console.print(table_view("What each model chose", described[columns]))
