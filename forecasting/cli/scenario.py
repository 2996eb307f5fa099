"""`tradecast scenario run | list | show | check | new | mix | weigh | condition | stress | replay`."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forecasting.cli import options
from forecasting.cli.output import say_written, write_table
from forecasting.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.scenarios import Study
    from forecasting.workflow import Outlook, Request

app = typer.Typer(
    help="What if: sourced assumptions on the same random numbers, mixtures, conditions, and what it would take.",
    no_args_is_help=True,
)

Files = Annotated[
    list[str], typer.Argument(help="Scenarios by name (experiments/scenarios) or file.", metavar="FILE...")
]
Explain = Annotated[bool, typer.Option(help="Show what each assumption adds, and what each model chose.")]
Months = Annotated[bool, typer.Option("--months", help="Show months as well as quarters and fiscal years.")]
NoTrack = Annotated[bool, typer.Option("--no-track", help="Do not log to MLflow.")]
TrackingUri = Annotated[
    str | None, typer.Option(help="MLflow store; none: MLFLOW_TRACKING_URI, else mlflow.db in the project.")
]
FITTING = "Fitting and calibrating"


@app.command("run")
def run(
    files: Files,
    series: options.SeriesOption = None,
    horizon: options.Horizon = None,
    model: options.Model = None,
    coverage: options.Coverage = None,
    spillover: options.Spillover = False,
    months: Months = False,
    explain: Explain = False,
    paths: options.Paths = 2000,
    seed: options.Seed = 0,
    as_of: options.AsOf = None,
    data: options.Data = None,
    covariates: options.Covariates = None,
    hold_covariates: options.HoldCovariates = False,
    out: options.Out = None,
    contributions: Annotated[
        Path | None, typer.Option(help="File for what each assumption adds, ending like --out.")
    ] = None,
    plot: options.Plot = None,
    workers: options.Workers = 0,
    no_cache: options.NoCache = False,
    no_track: NoTrack = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Forecast, the same under each scenario, and the differences with intervals of their own."""
    shown = options.coverages(coverage)
    asked = options.Asked(tuple(series or ()), horizon, paths, seed, as_of, data, workers, not no_cache)
    options.check_endings(out, plot, contributions=contributions)
    request = asked.request(covariates=covariates, hold_covariates=hold_covariates)
    study, drawn = run_and_show(files, request, model, shown, out, plot, spillover, months, explain, contributions)
    if not no_track:
        from forecasting import tracking_scenarios

        chart = drawn or _chart(study.baseline, study.table)
        print(tracking_scenarios.record_or_say(study, chart, tracking_uri), file=sys.stderr)


def run_and_show(
    files: Sequence[str],
    request: Request,
    model: str | None,
    coverages: tuple[int, ...],
    out: str | None,
    plot: Path | None,
    spillover: bool = False,
    months: bool = False,
    explain: bool = False,
    contributions: Path | None = None,
) -> tuple[Study, bytes | None]:
    """Run scenarios, write what was asked for, and print the rest; the study, and its chart if one was asked for."""
    from forecasting import scenarios
    from forecasting.cli.progress import Watched

    with Watched(FITTING) as progress:
        study = scenarios.run(scenarios.read(files), request, model, spillover, progress)
    write_table(study.table, out)
    drawn = _chart(study.baseline, study.table, plot) if plot else None
    write_table(study.contributions, contributions)
    say_written(out, plot, contributions)
    if out != "-":
        _print_study(study, coverages, months, explain)
    return study, drawn


def _print_study(study: Study, coverages: tuple[int, ...], months: bool, explain: bool) -> None:
    from forecasting.cli import scenario_view as view
    from forecasting.cli.console import console as make_console
    from forecasting.cli.terminal import plain

    console = make_console()
    catalogue = study.baseline.dataset.catalogue
    for one in study.scenarios:
        console.print(plain(view.scenario_text(one, console.width)))
    console.print(
        _head(study.baseline), view.differences_view(study.table, catalogue, coverages, console.width, months)
    )
    if explain:
        console.print(view.contributions_view(study.contributions, catalogue))
    console.print(*view.remarks_view(study.remarks, study.baseline.source_line), sep="\n")


def _head(outlook: Outlook) -> Any:
    from forecasting.cli.terminal import plain

    return plain(
        f"\nIf it comes true, not that it will. Baseline by {outlook.forecast.model} from figures published until"
        f" {max(outlook.forecast.cutoff)} (data vintage {outlook.vintage}).",
        "bold",
    )


def _chart(base: Outlook, table: pd.DataFrame, plot: Path | None = None) -> bytes:
    """The chart of a table of scenarios beside their baseline, in the form of the file that it is written to."""
    from forecasting import store
    from forecasting.plot_layout import form_of, image
    from forecasting.plot_scenario import scenario_figure

    figure = scenario_figure(base.history, base.stages, table, base.dataset.catalogue, base.source_line)
    drawn = image(figure, form_of(plot) if plot else "png")
    if plot:
        store.write_bytes(drawn, plot)
    return drawn


# --- Files -----------------------------------------------------------------------------------------------


@app.command("list")
def list_() -> None:
    """The scenarios of the project: name, probability, start, what they say."""
    from forecasting import scenarios
    from forecasting.cli.console import console as make_console
    from forecasting.cli.terminal import plain

    console = make_console()
    found = scenarios.read([str(path) for path in sorted(scenarios.folder().glob("*.toml"))])
    if not found:
        print(f"No scenario in {scenarios.folder()}: tradecast scenario new NAME writes one to start from.")
    for one in found:
        chance = "" if one.probability is None else f", probability {100 * one.probability:g} %"
        starts = [assumption.start for assumption in one.assumptions]
        since = f", from {min(starts)}" if starts else ""
        console.print(plain(f"{one.name}{since}{chance}", "bold"))
        console.print(plain(textwrap.indent(textwrap.fill(one.description, console.width - 4), "    ")))


@app.command("show")
def show(file: Annotated[str, typer.Argument(help="A scenario by name or file.")]) -> None:
    """A scenario in words, with the source of every assumption."""
    from forecasting import scenarios
    from forecasting.cli.console import console as make_console
    from forecasting.cli.scenario_view import scenario_text
    from forecasting.cli.terminal import plain

    console = make_console()
    console.print(plain(scenario_text(scenarios.read([file])[0], console.width)))


@app.command("check")
def check(
    files: Files, as_of: options.AsOf = None, data: options.Data = None, covariates: options.Covariates = None
) -> None:
    """Hold scenarios against the figures: targets, dates, units, assumptions that fight. Nothing is forecast."""
    from forecasting import scenarios, workflow
    from forecasting.cli.console import console as make_console
    from forecasting.cli.scenario_view import scenario_text
    from forecasting.cli.terminal import plain

    console = make_console()
    request, dataset = options.Asked(as_of=as_of, data=data).request(covariates=covariates), workflow.load(data)
    for one in scenarios.prepare(scenarios.read(files), request, dataset):
        console.print(plain(scenario_text(one.scenario, console.width, one.series)))
        lines = [f"  {line}" for line in scenarios.normal_levels(one.scenario, dataset)]
        console.print(plain("\n".join([*lines, "  Nothing wrong found."])))


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Name of the scenario; letters, digits, - _ and .")],
    out: Annotated[Path | None, typer.Option(help="The file; none: experiments/scenarios/NAME.toml.")] = None,
) -> None:
    """Write a commented scenario to start from; a file that is there is not touched."""
    from forecasting import scenarios, store
    from forecasting.scenario_file import template
    from forecasting.toml_table import NAME

    if not NAME.fullmatch(name):
        raise DataError(f"{name!r} is no name: use letters, digits, - _ and .")
    path = out or scenarios.folder() / f"{name}.toml"
    if path.exists():
        raise DataError(f"{path} is there already: choose another name.")
    store.write_bytes(template(name, scenarios.first_month()).encode(), path)
    print(f"Written: {path}. Edit it, then: tradecast scenario check {name if out is None else path}")


# --- Odds ------------------------------------------------------------------------------------------------


@app.command("mix")
def mix(
    files: Files,
    series: options.SeriesOption = None,
    horizon: options.Horizon = None,
    model: options.Model = None,
    coverage: options.Coverage = None,
    spillover: options.Spillover = False,
    paths: options.Paths = 2000,
    seed: options.Seed = 0,
    as_of: options.AsOf = None,
    data: options.Data = None,
    out: options.Out = None,
    shares: Annotated[Path | None, typer.Option(help="File for each scenario's share, ending like --out.")] = None,
    plot: options.Plot = None,
    workers: options.Workers = 0,
    no_cache: options.NoCache = False,
) -> None:
    """The forecast over all scenarios, each as often as it is probable; a baseline takes what is left."""
    shown = options.coverages(coverage)
    asked = options.Asked(tuple(series or ()), horizon, paths, seed, as_of, data, workers, not no_cache)
    options.check_endings(out, plot, shares=shares)
    from forecasting import scenario_odds, scenarios
    from forecasting.cli import scenario_view as view
    from forecasting.cli.console import console as make_console
    from forecasting.cli.progress import Watched
    from forecasting.cli.terminal import context_of, forecast_view, plain

    with Watched(FITTING) as progress:
        found = scenario_odds.mix(scenarios.read(files), asked.request(), model, spillover, progress)
    write_table(found.outlook.table, out)
    if plot:
        _chart(found.baseline, found.compared(), plot)
    write_table(found.shares, shares)
    say_written(out, plot, shares)
    if out != "-":
        console = make_console()
        context = context_of(found.outlook, source_line=found.outlook.source_line)
        console.print(plain(found.title.capitalize() + ".", "bold"))
        console.print(forecast_view(found.outlook.table, context, shown, console.width))
        console.print(view.shares_view(found))


@app.command("weigh")
def weigh(
    files: Files,
    as_of: Annotated[str, typer.Option(help="Last month published when the scenarios were made, as 2026-08.")],
    series: Annotated[
        list[str] | None, typer.Option("--series", help="Held against these; none: what the scenarios act on.")
    ] = None,
    floor: Annotated[
        float, typer.Option(help="No weight falls below this share of its prior: the densities may be wrong.")
    ] = 0.01,
    horizon: options.Horizon = None,
    model: options.Model = None,
    paths: options.Paths = 2000,
    seed: options.Seed = 0,
    data: options.Data = None,
    out: options.Out = None,
    workers: options.Workers = 0,
    no_cache: options.NoCache = False,
) -> None:
    """Update the probabilities by how well each scenario foretold the months that have landed since (Bayes)."""
    asked = options.Asked(tuple(series or ()), horizon, paths, seed, as_of, data, workers, not no_cache)
    options.check_endings(out, None)
    from forecasting import scenario_odds, scenarios
    from forecasting.cli import scenario_view as view
    from forecasting.cli.console import console as make_console
    from forecasting.cli.progress import Watched

    with Watched(FITTING) as progress:
        found = scenario_odds.weigh(scenarios.read(files), asked.request(), model, floor, progress)
    write_table(found.table(), out)
    say_written(out)
    if out != "-":
        make_console().print(view.weights_view(found))


# --- Statements ------------------------------------------------------------------------------------------


@app.command("condition")
def condition(
    statements: Annotated[
        list[str],
        typer.Argument(
            help='"jp_ru.exports.value 2026Q4 = 120000 ± 5000", "SERIES 2026Q4 yoy = -20 %", "A / B 2026Q4 = 30 %"'
        ),
    ],
    series: options.SeriesOption = None,
    horizon: options.Horizon = None,
    model: options.Model = None,
    coverage: options.Coverage = None,
    months: Months = False,
    paths: options.Paths = 2000,
    seed: options.Seed = 0,
    as_of: options.AsOf = None,
    data: options.Data = None,
    out: options.Out = None,
    plot: options.Plot = None,
    workers: options.Workers = 0,
    no_cache: options.NoCache = False,
    no_track: NoTrack = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """The forecast of everything given that these totals, shares or growth rates come true, and how plausible it is."""
    shown = options.coverages(coverage)
    asked = options.Asked(tuple(series or ()), horizon, paths, seed, as_of, data, workers, not no_cache)
    options.check_endings(out, plot)
    from forecasting import conditions
    from forecasting.cli import scenario_view as view
    from forecasting.cli.console import console as make_console
    from forecasting.cli.progress import Watched
    from forecasting.cli.terminal import plain

    with Watched(FITTING) as progress:
        found = conditions.condition(statements, asked.request(), model, progress)
    write_table(found.table, out)
    drawn = _chart(found.baseline, found.compared(), plot) if plot else None
    say_written(out, plot)
    if out != "-":
        console = make_console()
        console.print(*(plain(line) for line in view.plausibility_lines(found.plausibility)), sep="\n")
        catalogue = found.baseline.dataset.catalogue
        console.print(view.differences_view(found.table, catalogue, shown, console.width, months))
        console.print(*view.remarks_view(found.baseline.remarks, found.baseline.source_line), sep="\n")
    if not no_track:
        from forecasting import tracking_scenarios
        from forecasting.tracking_scenario_sheet import of_condition

        made, extras = of_condition(found, seed)
        chart = drawn or _chart(found.baseline, found.compared())
        print(tracking_scenarios.record_or_say(made, chart, tracking_uri, extras), file=sys.stderr)


@app.command("stress")
def stress(
    target: Annotated[str, typer.Argument(help='Such as "jp_ru.exports.value FY2026 < 350000".')],
    levers: Annotated[list[str] | None, typer.Option("--levers", help="Series or unit prices that may move.")] = None,
    spillover: options.Spillover = False,
    horizon: options.Horizon = None,
    model: options.Model = None,
    paths: options.Paths = 2000,
    seed: options.Seed = 0,
    as_of: options.AsOf = None,
    data: options.Data = None,
    save: Annotated[Path | None, typer.Option(help="Write the way as a scenario file (.toml).")] = None,
    workers: options.Workers = 0,
    no_cache: options.NoCache = False,
) -> None:
    """What it would take: the most plausible path of the levers on which the mean of the total reaches the value."""
    asked = options.Asked((), horizon, paths, seed, as_of, data, workers, not no_cache)
    if save is not None and (save.suffix != ".toml" or not save.absolute().parent.is_dir()):
        raise DataError(f"--save {save}: name a file ending in .toml in a folder that exists.")
    from forecasting import conditions, store
    from forecasting.cli import scenario_view as view
    from forecasting.cli.console import console as make_console
    from forecasting.cli.progress import Watched

    with Watched(FITTING) as progress:
        found = conditions.stress(target, levers or (), asked.request(), model, spillover, progress)
    dataset = found.cube.dataset
    console = make_console()
    console.print(view.stress_view(found.stress, dataset.catalogue))
    console.print(*view.remarks_view(found.cube.remarks, dataset.source_line), sep="\n")
    if save is not None:
        store.write_bytes(conditions.scenario_text(found.stress, save.stem).encode(), save)
        say_written(save)


# --- Replays ---------------------------------------------------------------------------------------------


@app.command("replay")
def replay(
    as_of: Annotated[str, typer.Option(help="Last month that the forecast of then may see, as 2023-07.")],
    measures: Annotated[
        list[str] | None, typer.Argument(help="Records of data/measures.toml.", metavar="[MEASURE]...")
    ] = None,
    scenario: Annotated[list[str] | None, typer.Option(help="Scenarios by name or file, besides or instead.")] = None,
    series: options.SeriesOption = None,
    horizon: options.Horizon = None,
    model: Annotated[str | None, typer.Option(help=f"{options.MODELS}; none: ensemble.")] = None,
    hindsight: Annotated[
        bool, typer.Option("--hindsight", help="Allow sizes that were computed from later figures.")
    ] = False,
    paths: options.Paths = 2000,
    seed: options.Seed = 0,
    data: options.Data = None,
    out: options.Out = None,
    workers: options.Workers = 0,
    no_cache: options.NoCache = False,
) -> None:
    """Forecasts as they would have been made then, with and without the measures announced by then, and what came."""
    asked = options.Asked(tuple(series or ()), horizon, paths, seed, as_of, data, workers, not no_cache)
    options.check_endings(out, None)
    from forecasting import replay as replaying
    from forecasting import scenarios
    from forecasting.cli import scenario_view as view
    from forecasting.cli.console import console as make_console
    from forecasting.cli.progress import Watched
    from forecasting.cli.terminal import plain

    with Watched(FITTING) as progress:
        found = replaying.replay(
            measures or (), asked.request(), model, scenarios.read(scenario or []), hindsight, progress
        )
    write_table(found.scores, out)
    say_written(out)
    if out != "-":
        console = make_console()
        console.print(view.replay_view(found, console.width))
        console.print(plain(found.source_line, "dim"))
