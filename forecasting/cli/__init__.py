"""The command line: commands parse, call the workflow, print. Heavy libraries are imported inside the commands."""

from __future__ import annotations

import errno
import io
import sys

import typer

from forecasting import __version__
from forecasting.cli import backtest, champion, data, forecast, news, report, scenario, track
from forecasting.cli.console import discard_output
from forecasting.errors import ForecastingError

# typer carries its own click and exports only some of its errors; this is what all of them are.
UsageMistake: type[Exception] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")

DISK_ERRORS = {
    errno.ENOSPC, errno.EBADF, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE,
    errno.ENAMETOOLONG, errno.ELOOP,
}  # fmt: skip
"""What only the user can mend: a full disk, a folder that may not be written, a broken medium, an impossible name."""

app = typer.Typer(
    help="Forecasts of monthly bilateral trade with intervals that cover, from official figures.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("forecast", help=forecast.forecast.__doc__)(forecast.forecast)
app.command("news", help=news.news.__doc__)(news.news)
app.command("report", help=report.report.__doc__)(report.report)
app.add_typer(scenario.app, name="scenario")
app.add_typer(data.app, name="data")
app.add_typer(backtest.app, name="backtest")
app.command("ui", help=track.ui.__doc__)(track.ui)
app.add_typer(track.app, name="track")
app.add_typer(champion.app, name="champion")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tradecast {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and stop."
    ),
) -> None:
    pass


def main() -> None:
    """Run the command line; exit code 0 done, 2 the user's mistake in one line, 1 ours with a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows no ▁ or – shows a question mark
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except ForecastingError as error:
        code = _say(error)
    except (typer.Abort, KeyboardInterrupt):
        code = 130
    except UsageMistake as error:
        code = _say(ForecastingError(f"{error.format_message()} See --help."))  # type: ignore[attr-defined]
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): nothing is wrong.
        discard_output()
        code = 0
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        named = isinstance(error.filename, str)
        what = error.filename if named else "The output"
        code = _say(ForecastingError(f"{what} could not be written or read: {error.strerror}."))
        if not named:  # what is still to be written there would only fail again
            discard_output()
    if code == 130:  # what typer answers to Ctrl-C
        print("tradecast: stopped.", file=sys.stderr)
    sys.exit(code if isinstance(code, int) else 0)


def _say(error: ForecastingError) -> int:
    """One printable line, whatever words of the user's stand in it."""
    print(f"tradecast: {error}", file=sys.stderr)
    return 2
