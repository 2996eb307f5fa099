"""`tradecast data list | show | check`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from forecasting.cli.console import console as make_console
from forecasting.cli.reconstruct import reconstruct
from forecasting.errors import DataError, ForecastingError

app = typer.Typer(
    help="The figures: what there is, one series in full, and whether they can be right.",
    no_args_is_help=True,
)

app.command("reconstruct")(reconstruct)

DataOption = Annotated[Path | None, typer.Option("--data", help="Your own file instead of the official figures.")]


@app.command("list")
def list_(
    patterns: Annotated[list[str] | None, typer.Argument(help="Ids or shell patterns; none: all.")] = None,
    data: DataOption = None,
) -> None:
    """Every series: span, months, gaps, unit, stage mix."""
    from forecasting import workflow
    from forecasting.cli.terminal import list_view
    from forecasting.summary import summarise

    dataset = workflow.load(data)
    summary = summarise(dataset.observations, dataset.catalogue)
    if patterns:
        summary = summary[summary["series"].isin(dataset.catalogue.select(patterns))]
    elif data is not None:
        summary = summary[summary["months"] > 0]
    console = make_console()
    console.print(list_view(summary, console.width))
    _remark(console, dataset.remarks)


@app.command("show")
def show(
    series: Annotated[str, typer.Argument(help="One id, stored or derived.")],
    months: Annotated[int, typer.Option(help="Last months to list; 0: all.")] = 24,
    plot: Annotated[Path | None, typer.Option(help="Chart file ending in .png or .svg.")] = None,
    out: Annotated[Path | None, typer.Option(help="File ending in .csv, .json, .parquet or .xlsx.")] = None,
    data: DataOption = None,
) -> None:
    """One series: sparkline, months with stage and source; or a chart or table file."""
    from forecasting import store, workflow
    from forecasting.cli.terminal import series_view

    dataset = workflow.load(data)
    chosen = dataset.catalogue.select([series])
    if len(chosen) > 1:
        raise DataError(f"{series!r} matches {len(chosen)} series: name one, such as {chosen[0]}.")
    rows = workflow.rows_of(dataset, chosen[0])
    if out:
        store.write_table(rows, out)
    if plot:
        from forecasting.plot import series_chart

        series_chart(rows, dataset.catalogue[chosen[0]], dataset.source_line, plot)
    _written(out, plot)
    console = make_console()
    console.print(series_view(dataset.catalogue[chosen[0]], rows, console.width, months or len(rows)))
    console.print(dataset.source_line, style="dim")


@app.command("check")
def check(
    data: DataOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the findings, ending in .csv, .json, .parquet or .xlsx.")
    ] = None,
) -> None:
    """Schema, missing months, unit slips, identities; and published facts held against the tables."""
    from forecasting import store, workflow
    from forecasting.cli.terminal import facts_view, findings_view

    checked = workflow.check(data)
    console = make_console()
    console.print(findings_view("Figures", checked.findings, console.width))
    if checked.facts is not None:
        console.print("")
        console.print(facts_view("Published facts against the tables", checked.facts, console.width))
    _remark(console, checked.remarks)
    if out:
        store.write_table(checked.findings, out)
        _written(out)
    errors = int((checked.findings["severity"] == "error").sum()) if len(checked.findings) else 0
    if errors:
        raise ForecastingError(f"{errors} error(s) in the figures, listed above: mend them before forecasting.")


def _remark(console: Any, remarks: tuple[str, ...]) -> None:
    for one in remarks:
        console.print(one)


def _written(*paths: Path | None) -> None:
    for path in filter(None, paths):
        print(f"Written: {path}", file=sys.stderr)
