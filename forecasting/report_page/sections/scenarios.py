"""What if: live controls, and below them what the command says of the files as they are."""

from __future__ import annotations

from forecasting.report import Content
from forecasting.report_page.elements import Markup, el, interval, number, section, table
from forecasting.report_page.words import assumption_words, period_words, share, title_of
from forecasting.scenario import Scenario
from forecasting.scenarios import Study
from forecasting.tables import DIFFERENCE
from forecasting.units import scale_of

LIVE_COLUMNS = (
    "Series", "Period", "Unit", "Baseline", "With it", "80 % interval", "Difference", "80 % interval", "Change",
)  # fmt: skip


def what_if(content: Content, carried: str) -> Markup | None:
    """Nothing without scenarios; ``carried`` says how exact the live numbers are."""
    if content.study is None:
        return None
    return section(
        "scenarios",
        "What if",
        el(
            "p",
            "If it comes true, not that it will. Move the controls: the same random futures are computed anew in this"
            f" page, as `tradecast scenario run` would. {carried}",
        ),
        el("noscript", el("p", "The live controls need JavaScript; the tables below do not.")),
        _live(),
        [_as_filed(content.study, one, at) for at, one in enumerate(content.study.scenarios)],
    )


def _live() -> Markup:
    """The places that page.js fills: scenarios to choose, controls, chart and table."""
    return el(
        "div",
        el(
            "div",
            el("div", id="live-picker", role="radiogroup", aria_label="Scenario"),
            el("p", id="live-words"),
            class_="wide",
        ),
        el("div", id="live-controls"),
        el(
            "div",
            el("label", "Series shown ", el("select", id="live-series")),
            el(
                "figure",
                el("figcaption", "Baseline and scenario", id="live-chart-title"),
                el(
                    "div",
                    class_="plot",
                    id="live-chart",
                    data_summary="Moves with the controls; the table below holds the numbers.",
                ),
                el("p", class_="readout", aria_live="polite"),
                class_="chart",
            ),
        ),
        el(
            "div",
            el("p", "Nothing that is shown moves.", id="live-none", hidden=True),
            table("Totals with these assumptions", LIVE_COLUMNS, [], "live-table"),
            class_="wide",
        ),
        id="live",
        hidden=True,
    )


def _as_filed(study: Study, one: Scenario, at: int) -> Markup:
    catalogue = study.baseline.dataset.catalogue
    rows = study.table[study.table["scenario"] == one.name]
    rows = rows[rows["kind"].isin([f"{kind}{DIFFERENCE}" for kind in ("quarter", "fiscal_year")])]
    cells = []
    for row in rows.to_dict("records"):
        if not any(row[name] for name in ("q10", "q50", "q90")):
            continue
        scale = scale_of(row["unit"], [row["q50"], row["q10"], row["q90"]])
        cells.append(
            [
                title_of(row["series"], catalogue),
                period_words(row["period"]),
                scale.label,
                number(scale.number(row["q50"]), row["q50"] * scale.factor),
                interval(scale, row["q10"], row["q90"]),
            ]
        )
    said = [el("li", f"{of.label}. {assumption_words(of, catalogue)}") for of in one.assumptions]
    chance = f" Probability given: {share(one.probability)}." if one.probability is not None else ""
    return el(
        "details",
        el("summary", f"{one.name}: as filed, with sources"),
        el("p", f"{one.description}{chance}"),
        el("ul", said) if said else None,
        table(
            f"{one.name}: difference from the baseline",
            ["Series", "Period", "Unit", "Median", "80 % interval"],
            cells,
            f"filed-{at}",
        )
        if cells
        else el("p", "Nothing that is shown moves."),
    )
