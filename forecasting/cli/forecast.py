"""`tradecast forecast`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forecasting.errors import DataError

if TYPE_CHECKING:
    from forecasting.workflow import Outlook

COVERAGES = (50, 80, 90, 95)


def forecast(
    series: Annotated[list[str] | None, typer.Argument(help="Ids or shell patterns; none: the headline set.")] = None,
    horizon: Annotated[
        int | None, typer.Option(help="Months ahead; none: to the end of the next full quarter.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="naive, seasonal_naive, theta, ets, sarima, boosting or ensemble; none: the champion, else ensemble."
        ),
    ] = None,
    coverage: Annotated[
        list[int] | None, typer.Option(help="Percent inside each interval shown: 50, 80, 90, 95.")
    ] = None,
    paths: Annotated[int, typer.Option(help="Possible futures to draw.")] = 2000,
    seed: Annotated[int, typer.Option(help="Same seed, same numbers.")] = 0,
    as_of: Annotated[str | None, typer.Option(help="Hide everything after this month, as 2026-05.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Your own CSV, Parquet or Excel file instead of the official figures.")
    ] = None,
    covariates: Annotated[Path | None, typer.Option(help="File of covariates for sarima and boosting.")] = None,
    hold_covariates: Annotated[bool, typer.Option(help="Assume covariates stay at their last value.")] = False,
    working_days: Annotated[bool, typer.Option(help="Use Japan's working days a month as a covariate.")] = False,
    growth: Annotated[bool, typer.Option(help="Add rows of percent change on a year earlier.")] = False,
    out: Annotated[
        str | None,
        typer.Option(help="File ending in .csv, .json, .parquet or .xlsx; - for csv on standard output."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Chart file ending in .png or .svg.")] = None,
    explain: Annotated[bool, typer.Option(help="Show what each model chose and its diagnostics.")] = False,
    workers: Annotated[int, typer.Option(help="Processes; 0: one a core. Never changes a number.")] = 0,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Compute everything again.")] = False,
) -> None:
    """Forecast months, quarters and fiscal years, with intervals calibrated on past forecasts."""
    shown = _coverages(coverage)
    _check_counts(paths, workers)
    _check_endings(out, plot)
    from forecasting import champion_forecast, workflow
    from forecasting.cli.progress import Watched
    from forecasting.compute import default_workers

    request = workflow.Request(
        tuple(series or ()), horizon, model or workflow.DEFAULT_MODEL, paths, seed, as_of, data, covariates,
        hold_covariates, working_days, growth, workers or default_workers(), not no_cache,
    )  # fmt: skip
    with Watched("Fitting and calibrating") as progress:
        outlook = (workflow if model is not None else champion_forecast).forecast(request, progress)
    _write(outlook, out, plot)
    if out != "-":
        _show(outlook, shown, explain)


def _coverages(coverage: list[int] | None) -> tuple[int, ...]:
    shown = tuple(dict.fromkeys(coverage or (80, 95)))
    for one in shown:
        if one not in COVERAGES:
            raise DataError(f"--coverage {one}: choose from {', '.join(map(str, COVERAGES))}.")
    return shown


def _check_counts(paths: int, workers: int) -> None:
    if not 100 <= paths <= 100_000:
        raise DataError(f"--paths {paths}: give 100 to 100000; fewer cannot show a 95 % interval.")
    if workers < 0:
        raise DataError(f"--workers {workers}: give 0 (one a core) or more.")


def _check_endings(out: str | None, plot: Path | None) -> None:
    """Refuse before minutes of fitting what could not be written after it."""
    for option, path, endings in (
        ("--out", Path(out) if out is not None and out != "-" else None, (".csv", ".json", ".parquet", ".xlsx")),
        ("--plot", plot, (".png", ".svg")),
    ):
        if path is None:
            continue
        if path.is_dir():
            raise DataError(f"{option} {path or '(empty)'}: this is a folder; name a file in it.")
        if path.suffix.lower() not in endings:
            raise DataError(f"{option} {path}: end the name in {', '.join(endings)}.")
        if not path.absolute().parent.is_dir():
            raise DataError(f"{option} {path}: the folder {path.parent} does not exist; make it first.")


def _write(outlook: Outlook, out: str | None, plot: Path | None) -> None:
    from forecasting import store

    if out == "-":
        sys.stdout.write(store.csv_text(outlook.table))
    elif out:
        store.write_table(outlook.table, Path(out))
    if plot:
        from forecasting.observations import wide
        from forecasting.plot import forecast_chart

        stages = wide(outlook.dataset.observations, "stage").loc[: outlook.history.index[-1]]
        levels = outlook.table[outlook.table["unit"] != "pct_yoy"]
        forecast_chart(outlook.history, stages, levels, outlook.dataset.catalogue, outlook.source_line, plot)
    for path in (one for one in (out, plot) if one and one != "-"):
        print(f"Written: {path}", file=sys.stderr)


def _show(outlook: Outlook, coverages: tuple[int, ...], explain: bool) -> None:
    from forecasting.cli.console import console as make_console
    from forecasting.cli.terminal import context_of, forecast_view, table_view

    console = make_console()
    levels = outlook.table[outlook.table["unit"] != "pct_yoy"]
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
