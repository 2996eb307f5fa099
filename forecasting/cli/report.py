"""`tradecast report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forecasting.cli import options
from forecasting.cli.output import say_written
from forecasting.errors import DataError

if TYPE_CHECKING:
    from forecasting.report import Content
    from forecasting.workflow import Request

ENDINGS = (".html", ".xlsx")


def report(
    series: Annotated[list[str] | None, typer.Argument(help="Ids or shell patterns; none: the headline set.")] = None,
    scenario: Annotated[
        list[str] | None, typer.Option(help="A scenario by name or file, with live controls; again for more.")
    ] = None,
    backtest: Annotated[
        str | None, typer.Option(help="A backtest by name or folder: the track record of the models.")
    ] = None,
    news: Annotated[bool, typer.Option(help="Say what the latest month changed: takes another forecast.")] = True,
    horizon: options.Horizon = None,
    model: options.Model = None,
    paths: options.Paths = 2000,
    seed: options.Seed = 0,
    as_of: options.AsOf = None,
    as_of_day: options.AsOfDay = None,
    revision_noise: options.RevisionNoise = False,
    data: options.Data = None,
    covariates: options.Covariates = None,
    hold_covariates: options.HoldCovariates = False,
    language: Annotated[
        str, typer.Option(help="Titles from the column title_LANGUAGE of the catalogue, such as ja or ru.")
    ] = "",
    out: Annotated[Path, typer.Option(help="One page without network (.html) or a workbook (.xlsx).")] = Path(
        "report.html"
    ),
    workers: options.Workers = 0,
    no_cache: options.NoCache = False,
) -> None:
    """One page to send: the next quarter, every series, live scenarios, what changed, track record, sources."""
    asked = options.Asked(
        tuple(series or ()), horizon, paths, seed, as_of, data, workers, not no_cache, as_of_day, revision_noise
    )
    check_out(out)
    from forecasting import report as gathering
    from forecasting import store
    from forecasting.cli.progress import Watched

    request = asked.request(covariates=covariates, hold_covariates=hold_covariates)
    explain = out.suffix.lower() == ".xlsx"
    with Watched("Fitting and calibrating") as progress:
        content = gathering.gather(request, model, scenario or (), backtest, news, progress, explain, language)
    store.write_bytes(written(content, request, out), out)
    say_written(out)


def check_out(out: Path) -> None:
    """Refuse before minutes of fitting what could not be written after it."""
    if out.is_dir():
        raise DataError(f"--out {out}: this is a folder; name a file in it.")
    if out.suffix.lower() not in ENDINGS:
        raise DataError(f"--out {out}: end the name in {', '.join(ENDINGS)}.")
    if not out.absolute().parent.is_dir():
        raise DataError(f"--out {out}: the folder {out.parent} does not exist; make it first.")


def written(content: Content, request: Request, out: Path) -> bytes:
    """The report in the form that the name of its file asks for."""
    if out.suffix.lower() == ".xlsx":
        from forecasting.report_book import book

        return book(content)
    from forecasting.report_page import html

    return html(content, request).encode()
