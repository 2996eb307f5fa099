"""`tradecast news`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forecasting.cli import options
from forecasting.cli.output import say_written, write_table

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.news import Story


SHOWN_REVISIONS = 6


def news(
    series: Annotated[list[str] | None, typer.Argument(help="Ids or shell patterns; none: the headline set.")] = None,
    since_day: Annotated[
        str | None,
        typer.Option(help="Figures as they stood on this day; none: before the latest month came out."),
    ] = None,
    previous: Annotated[
        Path | None, typer.Option(help="The last forecast's table: its numbers, and the figures it could know.")
    ] = None,
    as_of: Annotated[str | None, typer.Option(help="Today's figures until this month, as 2026-05.")] = None,
    model: options.Model = None,
    paths: options.Paths = 2000,
    seed: options.Seed = 0,
    data: options.Data = None,
    out: options.Out = None,
    brief: Annotated[bool, typer.Option("--brief", help="Only the sentences, one a line.")] = False,
    workers: options.Workers = 0,
    no_cache: options.NoCache = False,
) -> None:
    """What came in since the last forecast, and how much each new month and revision moved the next quarter."""
    asked = options.Asked(tuple(series or ()), None, paths, seed, None, data, workers, not no_cache)
    options.check_endings(out, None)
    from forecasting import champion_forecast, news_journey, workflow
    from forecasting.cli.progress import Watched

    since = news_journey.Since(since_day, as_of, previous)
    request = asked.request(**({"model": model} if model else {}))
    forecasting = workflow.forecast if model else champion_forecast.forecast
    with Watched("Forecasting from each stand of the figures") as progress:
        told = news_journey.tell(request, since, forecasting, progress)
    write_table(told.table, out)
    if out == "-":
        return
    _show(told.stories, told.told, told.outlook.source_line, brief)
    say_written(out)


def _show(stories: tuple[Story, ...], told: tuple[str, ...], source_line: str, brief: bool) -> None:
    from forecasting.cli.console import console as make_console
    from forecasting.cli.terminal import plain
    from forecasting.news import sentence

    if brief:
        print("\n".join(sentence(one) for one in stories))
        return
    console = make_console()
    for line in told:
        console.print(plain(line, "bold"))
    for one in stories:
        for block in ("", *_view(one)):
            console.print(block)
    console.print("")
    console.print(plain(source_line, "dim"))


def _view(one: Story) -> Iterator[Any]:
    """The sentence, and below it what came in and what moved the forecast by how much."""
    from forecasting.cli.terminal import plain, table_view
    from forecasting.news import sentence
    from forecasting.units import scale_of

    yield plain(one.title, "bold cyan") + plain(f"  {one.series}", "dim")
    yield plain(sentence(one))
    if one.steps or one.remainder:
        scale = scale_of(one.unit, [one.before, one.now])
        yield table_view("", _rows(one, scale), f"{scale.label}; moved ± {scale.number(one.noise)} from sampling")


def _rows(one: Story, scale: Any) -> pd.DataFrame:
    import pandas as pd

    from forecasting.news import month_words, ordinal
    from forecasting.periods import quarter_words

    rows = [(f"{quarter_words(one.target)} was", "", scale.number(one.before), "", "")]
    rows += [
        (
            f"{month_words(of.month)} came in",
            scale.number(of.forecast),
            scale.number(of.actual),
            ordinal(of.percentile),
            "",
        )
        for of in one.landed
    ]
    rows += [
        (f"{month_words(month)} revised", scale.number(was), scale.number(now), "", "")
        for month, was, now in _largest(one.revised).itertuples()
    ]
    if len(one.revised) > SHOWN_REVISIONS:
        rows.append((f"{len(one.revised) - SHOWN_REVISIONS} more revised by less", "", "", "", ""))
    for kind, months, credit in one.steps:
        named = " to ".join(dict.fromkeys(month_words(of) for of in (months[0], months[-1]))) if months else kind
        rows.append((f"moved by {named}", "", "", "", _signed(scale, credit)))
    if one.remainder:
        rows.append(("not from the figures", "", "", "", _signed(scale, one.remainder)))
    rows.append((f"{quarter_words(one.target)} is", "", scale.number(one.now), "", _signed(scale, one.change)))
    return pd.DataFrame(rows, columns=["", "forecast", "figure", "percentile", "moved"])


def _largest(revised: pd.DataFrame) -> pd.DataFrame:
    """The months revised most, in the order of time."""
    by_size = (revised["after"] - revised["before"]).abs().sort_values(ascending=False, kind="stable")
    return revised.loc[by_size.index[:SHOWN_REVISIONS]].sort_index()


def _signed(scale: Any, value: float) -> str:
    return f"{'+' if value > 0 else ''}{scale.number(value)}"
