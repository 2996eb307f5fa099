"""`tradecast data …`: what there is, whether it can be right, what is new, what was revised and who differs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from forecasting import clock
from forecasting.cli.console import console as make_console
from forecasting.cli.output import say_written, write_table
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
    from forecasting import workflow
    from forecasting.cli.terminal import series_view
    from forecasting.tables import closure

    dataset = workflow.load(data)
    chosen = dataset.catalogue.select([series])
    if len(chosen) > 1:
        raise DataError(f"{series!r} matches {len(chosen)} series: name one, such as {chosen[0]}.")
    rows = workflow.rows_of(dataset, chosen[0])
    write_table(rows, out)
    source_line = dataset.source_line_of(closure(chosen, dataset.catalogue))
    if plot:
        from forecasting.plot import history, save

        save(history(dataset, chosen[0]), plot)
    say_written(out, plot)
    console = make_console()
    console.print(series_view(dataset.catalogue[chosen[0]], rows, console.width, months or len(rows)))
    console.print(source_line, style="dim")


@app.command("check")
def check(
    data: DataOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the findings, ending in .csv, .json, .parquet or .xlsx.")
    ] = None,
) -> None:
    """Schema, missing months, unit slips, identities; and published facts held against the tables."""
    from forecasting import workflow
    from forecasting.cli.terminal import facts_view, findings_view

    checked = workflow.check(data)
    console = make_console()
    console.print(findings_view("Figures", checked.findings, console.width))
    if checked.facts is not None:
        console.print("")
        console.print(facts_view("Published facts against the tables", checked.facts, console.width))
    _remark(console, checked.remarks)
    write_table(checked.findings, out)
    say_written(out)
    errors = int((checked.findings["severity"] == "error").sum()) if len(checked.findings) else 0
    if errors:
        raise ForecastingError(f"{errors} error(s) in the figures, listed above: mend them before forecasting.")


@app.command("update")
def update(
    sources: Annotated[
        list[str] | None, typer.Argument(help="Names of `tradecast data sources`; none: all that can be asked.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="First month to ask for, as 2020-01; none: two years back.")] = None,
) -> None:
    """Fetch what publishers have new: it is added, and nothing that was known is changed."""
    from forecasting import update as journeys
    from forecasting.cli.data_view import Fetching, updated_view
    from forecasting.cli.progress import Watched

    with Watched("Asking publishers") as progress, Fetching() as told:
        done = journeys.update(sources or (), since, clock.now(), journeys.online(told), progress)
    console = make_console()
    console.print(updated_view(done, console.width))
    if done.offline:
        raise ForecastingError(
            f"None of {len(done.failed)} sources could be reached, there seems to be no network: nothing came."
        )
    if done.failed:
        raise ForecastingError(
            f"{len(done.failed)} of {len(done.came)} sources failed, as said above; the rest is kept."
        )


@app.command("ingest")
def ingest(
    files: Annotated[list[Path], typer.Argument(help="Files of a publisher: CSV, ZIP, XML, JSON or Excel.")],
    source: Annotated[
        str | None, typer.Option(help="Read them as files of this source; none: found by their header.")
    ] = None,
) -> None:
    """Read files that you fetched by hand; which publisher's they are is seen from their header."""
    from forecasting import update as journeys
    from forecasting.cli.data_view import updated_view

    console = make_console()
    console.print(updated_view(journeys.ingest(files, source, clock.now()), console.width))


@app.command("partition")
def partition(
    file: Annotated[Path, typer.Argument(help="A long CSV or Parquet file: series, month, value.")],
    out: Annotated[str, typer.Option(help="Empty folder, or URL, that the partitions go to.")],
    series: Annotated[int, typer.Option(help="Series in a partition.")] = 500,
) -> None:
    """Cut a file that is too large for memory into partitions, for `tradecast forecast --data FOLDER`."""
    from forecasting.cli.progress import Watched
    from forecasting.partitions import Folder, split

    if series < 1:
        raise DataError(f"--series {series}: give 1 or more; 500 to 1000 is a good size.")
    with Watched("Cutting up") as progress:
        made = split(file, Folder(out), series, lambda done: progress(done, done))
    told = f", of which {made.refused:,} cannot be forecast (a forecast names them)" if made.refused else ""
    make_console().print(
        f"{made.series:,} series in {made.partitions:,} partition{'s' * (made.partitions != 1)}{told}.", highlight=False
    )
    say_written(out)


@app.command("sources")
def sources() -> None:
    """Where figures come from: what each source offers, its key, when it was last asked, licence and attribution."""
    from forecasting import update as journeys
    from forecasting.cli.data_view import sources_view

    console = make_console()
    console.print(sources_view(journeys.offers(), console.width))


@app.command("revisions")
def revisions(
    series: Annotated[str, typer.Argument(help="One stored id.")],
    months: Annotated[int, typer.Option(help="Last months to list; 0: all.")] = 12,
    out: Annotated[Path | None, typer.Option(help="The revision triangle: .csv, .json, .parquet or .xlsx.")] = None,
) -> None:
    """How a series was revised: every release, mean and spread by stage, whether that was foreseeable."""
    from forecasting import store, vintages
    from forecasting import update as journeys
    from forecasting.cli.data_view import revisions_view

    found = journeys.revisions(series)
    if out:
        table = vintages.triangle(found.released)
        store.write_table(table.set_axis([f"{day:%Y-%m-%d}" for day in table.columns], axis=1), out)
        say_written(out)
    console = make_console()
    console.print(revisions_view(found, months or len(found.released)))


@app.command("compare")
def compare(
    series: Annotated[str, typer.Argument(help="One stored id.")],
    months: Annotated[int, typer.Option(help="Last months to list; 0: all.")] = 24,
    out: Annotated[Path | None, typer.Option(help="All months: .csv, .json, .parquet or .xlsx.")] = None,
) -> None:
    """What the sources of a series say side by side, in one unit; which one stands, and why."""
    from forecasting import store
    from forecasting import update as journeys
    from forecasting.cli.data_view import compare_view

    found = journeys.compare(series)
    if out:
        store.write_table(found.values.assign(stands=found.standing.reindex(found.values.index)), out)
        say_written(out)
    console = make_console()
    console.print(compare_view(found, months or len(found.values)))


def _remark(console: Any, remarks: tuple[str, ...]) -> None:
    for one in remarks:
        console.print(one)
