"""`tradecast backtest [EXPERIMENT.toml …] | show | list`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from forecasting.cli import options, panel
from forecasting.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.backtest_files import Result
    from forecasting.backtests import Prepared
    from forecasting.experiments_file import Experiment
    from forecasting.leaderboard import Board

DEFAULT = "headline"
RUN = "run"


class _RunByDefault(TyperGroup):
    """`tradecast backtest FILE` means `tradecast backtest run FILE`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or args[0] not in (*self.commands, "-h", "--help"):
            args = [RUN, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_RunByDefault,
    help="Forecasts from past cutoffs beside what came: `tradecast backtest [EXPERIMENT.toml …]` runs experiments"
    " (options: `tradecast backtest run --help`), `show` ranks their models.",
)


@app.command(RUN)
def run(
    experiments: Annotated[
        list[str] | None,
        typer.Argument(help="Experiment files, or names of those in experiments/backtests; none: headline."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run and how long it should take.")] = False,
    workers: Annotated[int, typer.Option(help="Processes; 0: one a core. Never changes a number.")] = 0,
    seed: Annotated[int | None, typer.Option(help="Instead of the seed in the file.")] = None,
    out: Annotated[
        str | None, typer.Option(help="Folder for the result; of several experiments, a folder in it each.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Folder or URL of partitioned Parquet to backtest as a whole, into --out.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Fit everything again: use no finished part.")] = False,
    tracking_uri: Annotated[
        str | None, typer.Option(help="MLflow store; none: MLFLOW_TRACKING_URI, or mlflow.db.")
    ] = None,
    no_track: Annotated[
        bool, typer.Option("--no-track", help="Leave MLflow alone; track sync sends it later.")
    ] = False,
    cluster: options.Cluster = None,
    memory_limit: options.MemoryLimit = None,
    time_limit: options.TimeLimit = None,
    fail_fast: options.FailFast = False,
) -> None:
    """Run experiments; one that was stopped goes on where it was and gives the same table."""
    if workers < 0:
        raise DataError(f"--workers {workers}: give 0 (one a core) or more.")
    spread = panel.Spread(workers, cluster, memory_limit, time_limit, fail_fast)
    if data is not None:
        _of_panel(experiments or [], data, out, seed, spread, tracking_uri, not no_track, dry_run or fresh)
        return
    spread.refuse_without_panel()
    from forecasting import backtests
    from forecasting.compute import default_workers

    processes = workers or default_workers()
    # All are checked before the first is fitted.
    read = [_read(_file(one), seed) for one in experiments or [DEFAULT]]
    folders = _folders([one.name for one in read], None if out is None else Path(out))
    ready = [backtests.prepare(one, backtests.load(one)) for one in read]
    for prepared, folder in zip(ready, folders, strict=True):
        if dry_run:
            _print(_plan(prepared, folder, processes, fresh))
            continue
        result = backtests.run(prepared, folder, processes, fresh, _watched)
        _show_board(result, "", ())
        print(f"Written: {folder}", file=sys.stderr)
        if not no_track:
            from forecasting import tracking

            print(tracking.record_or_say(folder, tracking_uri), file=sys.stderr)


def _of_panel(
    experiments: list[str], data: str, out: str | None, seed: int | None, spread: panel.Spread, uri: str | None,
    track: bool, unwanted: bool,
) -> None:  # fmt: skip
    if len(experiments) != 1:
        raise DataError('A partitioned panel needs one experiment file, with series = ["*"]: name it.')
    if not panel.is_panel(data):
        raise DataError(f"--data {data} is no folder or URL: name one file in the experiment, as data = ...")
    if unwanted:
        raise DataError("--dry-run and --fresh do not go with a partitioned panel: omit them.")
    panel.backtest(_read(_file(experiments[0]), seed), data, out, spread, uri, track)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="A backtest by name, or its folder.")] = DEFAULT,
    by: Annotated[str | None, typer.Option(help="series, step, regime or kind: skill apart for each.")] = None,
    kind: Annotated[str, typer.Option(help="month, quarter or fiscal_year; none: what the experiment judges.")] = "",
    series: Annotated[list[str] | None, typer.Option(help="Only these ids or shell patterns.")] = None,
) -> None:
    """The leaderboard: skill, coverage, whether differences are real, and what each model costs."""
    from forecasting import backtest_files
    from forecasting.forecast import KINDS
    from forecasting.leaderboard import BY

    if by is not None and by not in BY:
        raise DataError(f"--by {by}: choose from {', '.join(BY)}.")
    if kind and kind not in KINDS:
        raise DataError(f"--kind {kind}: choose from {', '.join(KINDS)}.")
    result = backtest_files.read(backtest_files.named(name))
    chosen = _chosen(result, series or [])
    if by is None:
        _show_board(result, kind, chosen)
    else:
        _show_split(result, by, kind, chosen)


@app.command("list")
def list_() -> None:
    """Finished backtests: what was run, when, on which data."""
    import pandas as pd

    from forecasting import backtest_files
    from forecasting.cli.terminal import table_view

    found, wrong = backtest_files.readable(backtest_files.finished())
    if not found and not wrong:
        _print("No backtest was run yet: `tradecast backtest` runs the headline one.")
        return
    rows = [
        {
            "name": one.name,
            "models": len(one.about["models"]),
            "series": one.about["n_series"],
            "cutoffs": len(one.about["cutoffs"]),
            "first": one.about["cutoffs"][0],
            "last": one.about["cutoffs"][-1],
            "failed": len(one.about["failures"]),
            "data": one.about["data"]["vintage"],
            "finished": str(one.about["finished"])[:10],
        }
        for one in found
    ]
    if rows:
        _print(table_view("", pd.DataFrame(rows)))
    if wrong:
        raise DataError(" ".join(wrong))


# --- Running ---------------------------------------------------------------------------------------------


def _file(name: str) -> Path:
    """The file itself, or experiments/backtests/NAME.toml of the project."""
    import difflib

    from forecasting import backtest_files

    path = Path(name)
    if path.suffix == ".toml" and (path.is_file() or len(path.parts) > 1):
        return path
    shipped = backtest_files.project_folder() / "experiments" / "backtests"
    inside = shipped / f"{path.stem if path.suffix == '.toml' else name}.toml"
    if inside.is_file():
        return inside
    there = sorted(one.stem for one in shipped.glob("*.toml"))
    near = difflib.get_close_matches(name, [*there, "show", "list"], n=3, cutoff=0.5) or there
    raise DataError(f"There is no experiment {name}: name a .toml file or one of {', '.join(near) or 'none'}.")


def _read(path: Path, seed: int | None) -> Experiment:
    from forecasting.experiments_file import read_experiment

    experiment = read_experiment(path)
    if seed is None:
        return experiment
    if not 0 <= seed < 2**31:
        raise DataError(f"--seed {seed}: give 0 to {2**31 - 1}.")
    return replace(experiment, seed=seed)


def _folders(names: list[str], out: Path | None) -> list[Path]:
    from forecasting import backtest_files

    if twice := next((one for one in names if names.count(one) > 1), ""):
        raise DataError(f"Two experiments are called {twice}: their results would overwrite one another.")
    if out is not None and len(names) == 1:
        return [out]
    folder = out or backtest_files.backtests_folder()
    return [folder / one for one in names]


def _watched(what: str) -> Any:
    """Progress that ends with the last task."""
    from forecasting.cli.progress import Watched

    watched = Watched(what).__enter__()

    def progress(done: int, total: int) -> None:
        watched(done, total)
        if done == total:
            watched.__exit__()

    return progress


def _plan(prepared: Prepared, folder: Path, processes: int, fresh: bool) -> Any:
    """What would run: in words, without fitting anything."""
    from rich.console import Group

    from forecasting import backtest_parts, backtests
    from forecasting.cli.terminal import table_view

    experiment, scored = prepared.experiment, prepared.scored
    todo = list(prepared.parts) if fresh else backtest_parts.missing(prepared.parts, folder)
    seconds = backtests.expected_seconds(prepared, todo, folder)
    there = len(prepared.parts) - len(todo)
    fits = prepared.fits()
    months = experiment.horizon
    ahead = f"{months} months ahead" if isinstance(months, int) else "to the end of the next full quarter"
    teaching = len(prepared.folds) - len(scored)
    lines = [
        f"{experiment.name}: {experiment.description}".rstrip(": "),
        f"{len(prepared.series)} series from {len(scored)} cutoffs, {scored[0].cutoff} to {scored[-1].cutoff}"
        + (f", after {teaching} that only teach the calibration" if teaching else "")
        + f"; {ahead}; {experiment.paths} paths, seed {experiment.seed}.",
        f"Models: {', '.join(one.label for one in experiment.contenders)}.",
        f"{sum(fits.values()):,} fits in {len(prepared.parts)} parts"
        + (f", {there} of them finished already" if there else "")
        + f"; about {_duration(seconds)} of CPU, {_duration(seconds / processes)} with {processes} workers.",
    ]
    table = _first_and_last(prepared)
    return Group(*map(_text, lines), table_view("", table))


def _first_and_last(prepared: Prepared) -> pd.DataFrame:
    """From when to when each series is scored."""
    import pandas as pd

    found = {one: [fold.cutoff for fold in prepared.scored if one in fold.shown] for one in prepared.series}
    rows = [
        {"series": one, "cutoffs": len(months), "first": str(months[0]), "last": str(months[-1])}
        for one, months in found.items()
    ]
    return pd.DataFrame(rows)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


# --- Showing ---------------------------------------------------------------------------------------------


def _chosen(result: Result, patterns: list[str]) -> tuple[str, ...]:
    """Series of the backtest that match, as the catalogue's patterns do."""
    if not patterns:
        return ()
    from forecasting.catalogue import Catalogue, Series

    return Catalogue(tuple(Series(one, one, "") for one in result.about["series"])).select(patterns)


def _show_board(result: Result, kind: str, series: tuple[str, ...]) -> None:
    from forecasting import leaderboard
    from forecasting.cli.terminal import table_view

    of = leaderboard.board(result, kind, series)
    foot = (
        "skill and CRPS: of the whole distribution, CRPS and MASE in mean changes on a year earlier; p: to be among the"
        f" best (model confidence set, {of.origins} cutoffs)."
    )
    _print(leaderboard.what_was_run(result, of))
    _print(f"{leaderboard.who_wins(of)} {leaderboard.do_intervals_cover(of)}")
    _print("")
    _print(table_view("", _board_table(of), foot))
    for line in _failures(result):
        _print(line)


def _board_table(of: Board) -> pd.DataFrame:
    """The board as texts: what a person compares, in as few letters as say it."""
    import pandas as pd

    table = of.table
    return pd.DataFrame(
        {
            "#": range(1, len(table) + 1),
            "model": table["model"],
            "skill": [_percent(one) for one in table["skill"]],
            "MASE": [_digits(one) for one in table["mase"]],
            "CRPS": [_digits(one) for one in table["crps_scaled"]],
            "in 80 %": [_bounds(*one) for one in table[["covered80", "low80", "high80"]].to_numpy()],
            "in 95 %": [_bounds(*one) for one in table[["covered95", "low95", "high95"]].to_numpy()],
            "p": [_digits(one) for one in table["p"]],
            "CPU/fit": [_milliseconds(one) for one in table["fit_seconds"]],
            "failed": table["failed"].astype(int),
        }
    )


def _show_split(result: Result, by: str, kind: str, series: tuple[str, ...]) -> None:
    from forecasting import leaderboard
    from forecasting.cli.terminal import table_view

    of = leaderboard.board(result, "" if by == "kind" else kind, series)
    found = leaderboard.split(result, by, kind, series)
    what = "Skill against seasonal naive" if leaderboard.base_of(result) else "Scaled CRPS"
    foot = (
        f"{what}. * best, ~ within noise of it (model confidence set, p ≥ {leaderboard.LEVEL}); no mark: significantly"
        " worse, or too few cutoffs to test."
    )
    _print(leaderboard.what_was_run(result, of))
    _print("")
    table = _split_table(found, by, list(of.table["model"]), bool(leaderboard.base_of(result)))
    if by != "series":
        _print(table_view("", table, foot))
        return
    for line in (*_blocks(table), foot):
        _print(_text(line))


def _blocks(table: pd.DataFrame) -> list[str]:
    """A line for each series and one for its numbers: ids are as long as half a terminal."""
    models = list(table.columns[1:-1])
    room = {one: max(len(one), 8) + 2 for one in models}
    lines = ["".join(one.rjust(room[one]) for one in models)]
    for series, *cells, _ in table.itertuples(index=False, name=None):
        lines += [str(series), "".join(cell.rjust(room[one]) for one, cell in zip(models, cells, strict=True))]
    return lines


def _split_table(found: pd.DataFrame, by: str, models: list[str], skills: bool) -> pd.DataFrame:
    """Groups × models, marked; the models in the order of the leaderboard."""
    import pandas as pd

    from forecasting.leaderboard import LEVEL

    rows = []
    for group, part in found.groupby("group", sort=False):
        value, p = part.set_index("model")["value"], part.set_index("model")["p"]
        best = (value.idxmax() if skills else value.idxmin()) if value.notna().any() else ""
        cells: dict[str, Any] = {by: str(group)}
        for model in models:
            mark = "*" if model == best else "~" if p.get(model, 0.0) >= LEVEL else " "
            text = _percent(value.get(model)) if skills else _digits(value.get(model))
            cells[model] = f"{text} {mark}"
        rows.append({**cells, "cells": int(part["cells"].max())})
    return pd.DataFrame(rows)


def _failures(result: Result, most: int = 5) -> list[str]:
    failures = result.about["failures"]
    lines = [
        f"Failed: {one['model']}, {one['series']} from {one['cutoff']}: {one['reason']}" for one in failures[:most]
    ]
    more = len(failures) - most
    return [*lines, f"… and {more} more, in about.json."] if more > 0 else lines


def _percent(share: Any) -> str:
    return "–" if share is None or share != share else f"{100 * share:+.0f} %".replace("-", "−")


def _digits(number: Any) -> str:
    return "–" if number is None or number != number else f"{number:.2f}"


def _bounds(held: float, low: float, high: float) -> str:
    return "–" if held != held else f"{100 * held:.0f} ({100 * low:.0f}–{100 * high:.0f})"


def _milliseconds(seconds: float) -> str:
    return "–" if seconds != seconds else f"{1000 * seconds:,.0f} ms"


def _text(line: str) -> Any:
    from rich.text import Text

    return Text(line)


def _print(what: Any) -> None:
    from forecasting.cli.console import console

    console().print(what)
