"""`tradecast champion show | propose | promote | history`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from forecasting.errors import DataError, ForecastingError

if TYPE_CHECKING:
    from forecasting.backtest_files import Result
    from forecasting.champion import Verdict
    from forecasting.champion_file import Champion

app = typer.Typer(
    help="The model that forecasts when none is named: proposed by a backtest, promoted if it earned it.",
    no_args_is_help=True,
)
NONE_YET = "No champion yet: run tradecast backtest, then tradecast champion promote. Until then: the ensemble."

Groups = Annotated[
    list[str] | None, typer.Argument(help="Families of series such as jp_ru; none: all of the backtest.")
]
Backtest = Annotated[str, typer.Option(help="A finished backtest by name, or its folder.")]
Model = Annotated[str, typer.Option(help="A model of the backtest; none: the one of best skill.")]
UriOption = Annotated[
    str | None,
    typer.Option("--tracking-uri", help="MLflow store; none: MLFLOW_TRACKING_URI, else mlflow.db in the project."),
]


@app.command("show")
def show(tracking_uri: UriOption = None) -> None:
    """Who is champion of what and why; held against the registry, and mended where they differ."""
    from forecasting import champion_file, champion_registry

    if not champion_registry.exists(tracking_uri) and not champion_file.path().is_file():
        print(NONE_YET)
        return
    champions, mended = (
        champion_registry.agree(tracking_uri) if champion_registry.exists(tracking_uri) else _without_store()
    )
    for line in mended:
        print(line)
    if not champions:
        print(NONE_YET)
    for one in champions.values():
        _print_champion(one)


@app.command("propose")
def propose(groups: Groups = None, backtest: Backtest = "headline", model: Model = "") -> None:
    """The best model of each group by skill, and whether it may be champion; nothing is written."""
    from forecasting import champion, champion_file

    result = _result(backtest)
    present = champion_file.read()
    for group in groups or champion.groups_of(result):
        _print_verdict(champion.choose(result, group, present.get(group), model))


@app.command("promote")
def promote(
    groups: Groups = None,
    backtest: Backtest = "headline",
    model: Model = "",
    force: Annotated[bool, typer.Option("--force", help="Even if it did not earn it; needs --reason.")] = False,
    reason: Annotated[str, typer.Option(help="Why it is forced; kept in the registry and said with forecasts.")] = "",
    tracking_uri: UriOption = None,
) -> None:
    """Make the proposed models champion, in MLflow's registry and for tradecast forecast; refusal is exit code 2."""
    reason = " ".join(reason.split())
    if force != bool(reason):
        raise DataError('--force and --reason "why" belong together: give both or neither.')
    from forecasting import champion, champion_registry

    result = _result(backtest)
    refused = []
    for group in groups or champion.groups_of(result):
        made = champion_registry.promote(result, group, model, tracking_uri, reason)
        if made.champion is None:
            refused.append(f"{made.verdict.label} does not become champion of {group}: {made.verdict.refusals}.")
            continue
        print("Champion now:" if made.new else "Champion already, by the same backtest and figures:")
        _print_champion(made.champion)
    if refused:
        raise ForecastingError(" ".join(refused))


@app.command("history")
def history(
    group: Annotated[str, typer.Argument(help="A family of series such as jp_ru; none: all.")] = "",
    tracking_uri: UriOption = None,
) -> None:
    """Every version that was promoted, when and why, the newest first."""
    from forecasting import champion_registry

    found = champion_registry.history(tracking_uri, group) if champion_registry.exists(tracking_uri) else []
    if not found:
        print(f"No champion of {group} so far." if group else NONE_YET)
    for one in found:
        mark = " (in force)" if one.in_force else ""
        day = one.promoted[:16].replace("T", " ") or "interrupted before it was in force"
        print(f"{one.group} version {one.version}{mark}: {one.model}, {day}")
        print(f"  backtest {one.backtest}, data of {one.vintage}: {one.why}")
        if one.forced:
            print(f"  By force: {one.forced}")


def _result(backtest: str) -> Result:
    from forecasting import backtest_files

    return backtest_files.read(backtest_files.named(backtest))


def _without_store() -> tuple[dict[str, Champion], tuple[str, ...]]:
    from forecasting import champion_file

    said = f"{champion_file.FILE} is here, but no tracking store to hold it against: name one with --tracking-uri."
    return champion_file.read(), (said,)


def _print_champion(one: Champion) -> None:
    print(f"{one.group}: {one.model}, version {one.version} of tradecast-{one.group} in {one.store}, since {one.day}")
    settings = ", ".join(f"{name} {cell}" for name, cell in one.settings.items())
    if settings:
        print(f"  settings: {settings}")
    print(f"  backtest {one.backtest}, data of {one.vintage}: {one.why}")
    if one.forced:
        print(f"  By force: {one.forced}")


def _print_verdict(verdict: Verdict) -> None:
    word = "may be champion" if verdict.passed else "does not become champion"
    print(f"{verdict.group}: {verdict.label} {word} ({verdict.basis})")
    for one in verdict.checks:
        print(f"  {'✓' if one.passed else '✗'} {one.words}")
    for line in verdict.remarks:
        print(f"  · {line}")
