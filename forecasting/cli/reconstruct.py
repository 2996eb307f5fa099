"""`tradecast data reconstruct`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forecasting.cli.output import say_written, write_table
from forecasting.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.catalogue import Catalogue
    from forecasting.reconstruct import Reconstruction

VERDICTS = ("agrees", "alone", "set aside", "undecided")


def reconstruct(
    series: Annotated[list[str] | None, typer.Argument(help="Ids or shell patterns; none: all.")] = None,
    facts: Annotated[
        Path | None,
        typer.Option(help="Table: period, series, measure, value, unit, source, note; none: data/published_facts.csv."),
    ] = None,
    revision: Annotated[
        float, typer.Option(help="Percent by which figures were revised after a source had read them (one deviation).")
    ] = 0.3,
    out: Annotated[
        Path | None, typer.Option(help="Write the months, ending in .csv, .json, .parquet or .xlsx.")
    ] = None,
    judged: Annotated[Path | None, typer.Option(help="Write every fact with its verdict, in the same forms.")] = None,
) -> None:
    """Months from printed levels, growth, totals and shares, with standard errors; names facts that conflict."""
    from forecasting import published_facts, store, workflow
    from forecasting import reconstruct as fitting
    from forecasting.cli import options
    from forecasting.cli.console import console as make_console
    from forecasting.tables import closure

    if not 0 <= revision <= 20:
        raise DataError(f"--revision {revision:g}: give 0 to 20 percent.")
    options.check_endings(str(out) if out else None, None, judged=judged)
    dataset = workflow.load()
    file = facts or store.data_folder() / "published_facts.csv"
    read, unused = published_facts.read(store.read_published_facts(file), dataset.catalogue)
    wanted = dataset.catalogue.select(series or ["*"])
    found = fitting.reconstruct(
        read, dataset.observations, dataset.catalogue, revision / 100, source=f"press figures, see {file.name}"
    ).only(wanted)
    console = make_console()
    for line in _view(found, dataset.catalogue):
        console.print(line)
    rests_on = dataset.source_line_of(closure(found.observations["series"].unique(), dataset.catalogue))
    for remark in (*found.remarks, *unused, rests_on):
        console.print(remark, style="dim")
    write_table(found.observations, out)
    write_table(found.facts, judged)
    say_written(out, judged)


def _view(found: Reconstruction, catalogue: Catalogue) -> Iterator[Any]:
    """Months a series, then the facts that do not fit, then how many facts said what."""
    from forecasting.cli.terminal import plain, table_view

    for series, rows in found.months.groupby("series", sort=False):
        yield from (_months(str(series), rows, catalogue), "")
    doubtful = found.facts[found.facts["verdict"].isin(["set aside", "undecided"])]
    if len(doubtful):
        yield from (table_view("Facts that do not fit the others", _doubts(doubtful)), "")
    counted = found.facts["verdict"].value_counts()
    agree, alone, aside, undecided = (int(counted.get(one, 0)) for one in VERDICTS)
    yield plain(
        f"{len(found.facts)} facts: {agree} agree with the others, {alone} are checked by none, {aside} are set aside;"
        f" of {undecided} that fight each other nobody can say which is wrong, and their errors are widened."
    )
    if len(found.left_out):
        yield plain(f"{len(found.left_out)} months that facts speak of, but do not determine, are left out.")


def _months(series: str, rows: pd.DataFrame, catalogue: Catalogue) -> Any:
    from forecasting.cli.terminal import table_view
    from forecasting.units import scale_of

    scale = scale_of(str(rows["unit"].iloc[0]), rows["value"])
    shown = rows.assign(
        value=rows["value"].map(scale.number),
        std_error=(100 * rows["std_error"] / rows["value"].clip(lower=1e-300)).map("± {:.1f} %".format),
        stage=rows["stage"].str.replace("_", " "),
    )
    columns = ["month", "value", "std_error", "facts", "stage"]
    return table_view(f"{catalogue[series].title}, {scale.label}", shown[columns])


def _doubts(facts: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {
            "fact": facts["period"] + " " + facts["series"] + " " + facts["measure"].str.replace("_", " "),
            "printed": facts["printed"] + " " + facts["unit"],
            "fitted": facts["fitted"].map("{:,.4g}".format),
            "z": facts["z"].map("{:+.1f}".format),
            "verdict": facts["verdict"],
            "source": facts["source"],
        }
    )
