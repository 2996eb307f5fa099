"""How good such forecasts were: skill, coverage and PIT of a backtest, and the champion."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from forecasting.champion_file import Champion
from forecasting.report import Content, Judged
from forecasting.report_page import specs
from forecasting.report_page.elements import Charts, Markup, el, number, section, table
from forecasting.report_page.words import share


def track_record(content: Content, charts: Charts) -> Markup:
    """What past forecasts did, or that nothing is said of it; which model forecasts, and why."""
    why = [el("li", _champion(one)) for one in content.champions]
    champion = (
        el("ul", why)
        if why
        else el("p", "No champion has been promoted: the model is the one asked for, or the ensemble.")
    )
    found = content.backtest
    if found is None:
        said = "No backtest was given (--backtest NAME): this report says nothing of how well past forecasts did."
        return section("backtest", "How good are such forecasts", el("p", said), el("h3", "Champion"), champion)
    models = [str(one) for one in found.board.table["model"]]
    best = models[0]
    return section(
        "backtest",
        "How good are such forecasts",
        [el("p", one) for one in found.words],
        el(
            "div",
            [
                el("div", _skill(found, models, charts), class_="card"),
                el("div", _calibration(found, models, charts), class_="card"),
                el(
                    "div",
                    charts.place(
                        "backtest-pit",
                        specs.pit(found, best),
                        "Bars of equal height mean honest forecasts.",
                        _pit_table(found),
                    ),
                    class_="card",
                ),
                el("div", el("h3", "Champion and why"), champion, class_="card"),
            ],
            class_="cards",
        ),
        _board(found),
    )


def _champion(one: Champion) -> str:
    why = f"by force: {one.forced}" if one.forced else one.why
    return f"{one.group}: {one.model}, champion since {one.day} (backtest {one.backtest}). {why.rstrip('.')}."


def _board(found: Judged) -> Markup:
    cells = [
        [
            str(row["model"]),
            number(share(row["skill"]), row["skill"]),
            number(f"{row['mase']:.2f}", row["mase"]),
            number(f"{row['crps_scaled']:.3f}", row["crps_scaled"]),
            number(share(row["covered80"]), row["covered80"]),
            number(share(row["covered95"]), row["covered95"]),
            number("–" if pd.isna(row["p"]) else f"{row['p']:.3f}", row["p"]),
            number(f"{row['cells']:,}", row["cells"]),
        ]
        for row in found.board.table.to_dict("records")
    ]
    columns = ["Model", "Skill", "MASE", "Scaled CRPS", "80 % held", "95 % held", "p (among the best)", "Forecasts"]
    return table("Models, best first", columns, cells, "backtest-board")


def _skill(found: Judged, models: Sequence[str], charts: Charts) -> Markup:
    steps = sorted(found.by_step["step"].unique())
    pivot = found.by_step.pivot(index="model", columns="step", values="skill")
    cells = [[one, *(number(share(pivot.loc[one, at], 1), pivot.loc[one, at]) for at in steps)] for one in models]
    behind = table("Skill by months ahead", ["Model", *(f"{at} ahead" for at in steps)], cells, "backtest-skill-table")
    return charts.place(
        "backtest-skill", specs.skill_by_step(found, models), "Higher is better; seasonal naive is 0.", behind
    )


def _calibration(found: Judged, models: Sequence[str], charts: Charts) -> Markup:
    rows = found.coverage[found.coverage["model"].isin(models)]
    cells = [
        [
            str(row["model"]),
            f"{int(row['coverage'])} %",
            number(share(row["covered"], 1), row["covered"]),
            number(share(row["low"], 1), row["low"]),
            number(share(row["high"], 1), row["high"]),
            number(f"{row['effective']:.0f}", row["effective"]),
        ]
        for row in rows.to_dict("records")
    ]
    columns = ["Model", "Interval", "Held", "95 % certain from", "to", "Worth independent forecasts"]
    behind = table("Share of outcomes inside the intervals", columns, cells, "backtest-coverage-table")
    return charts.place(
        "backtest-coverage", specs.coverage(found, models[0]), "Whiskers should cross what was promised.", behind
    )


def _pit_table(found: Judged) -> Markup:
    bins = [one for one in found.pit.columns if one.startswith("bin")]
    cells = [
        [str(row["model"]), *(number(share(row[one], 1), row[one]) for one in bins)]
        for row in found.pit.to_dict("records")
    ]
    columns = ["Model", *(f"{10 * at}–{10 * at + 10} %" for at in range(len(bins)))]
    return table("Share of outcomes by tenth of the forecast", columns, cells, "backtest-pit-table")
