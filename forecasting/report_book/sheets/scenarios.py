"""Scenarios beside the baseline, and what they assume."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from forecasting.report import Content
from forecasting.report_book.layout import HEAD, ID, NAMED, first_month, long_table, paragraphs, period_words
from forecasting.scenario import BASELINE, Assumption, described
from forecasting.scenarios import Study
from forecasting.tables import DIFFERENCE, differences
from forecasting.units import in_words
from forecasting.workbook import (
    CHANGE,
    Cell,
    Column,
    Number,
    number_format,
    ready_to_print,
    wrap,
    write_heading,
    write_table,
    write_title,
)

ASSUMED = ("kind", "target", "size", "start", "end", "ramp", "recovery", "reroute", "pass_through", "source")


def scenarios(sheet: Any, content: Content) -> None:
    """What changes: baseline, scenario and difference of every period."""
    assert content.study
    moved = differences(content.study.table)
    note = (
        "Each scenario beside the baseline on the same random numbers: what would follow if its assumptions came true,"
        " not a forecast that they will.",
        "Difference = scenario minus baseline, path by path; the median of differences is not the difference of"
        " medians. " + _unchanged(content, moved),
    )
    write_title(sheet, "Scenarios and differences", *note)
    columns = (
        Column("Scenario", 26), *NAMED, Column("Period", 26), Column("First month", 10), Column("Baseline, median", 13),
        Column("Scenario, median", 13), Column("80 % from"), Column("80 % to"), Column("Difference, median", 13),
        *(Column(f"Difference, {one} % {end}", 14) for one in (80, 95) for end in ("from", "to")),
        Column("Share of baseline", 10),
        ID,
    )  # fmt: skip
    write_table(sheet, HEAD, columns, _difference_rows(content.study, moved))
    long_table(sheet, content, f"E{HEAD + 1}")


def _unchanged(content: Content, moved: pd.DataFrame) -> str:
    touched = set(moved["series"])
    left = [one.entry.title for one in content.cards if one.entry.id not in touched]
    return f"Not changed by any: {'; '.join(left)}." if left else ""


def _difference_rows(study: Study, moved: pd.DataFrame) -> Iterator[list[Cell]]:
    table = study.table[study.table["unit"] != "pct_yoy"]
    at = {(row["scenario"], row["series"], row["kind"], row["period"]): row for row in table.to_dict("records")}
    order = [f"{kind}{DIFFERENCE}" for kind in ("quarter", "fiscal_year", "month")]
    for scenario in dict.fromkeys(moved["scenario"]):
        mine = moved[moved["scenario"] == scenario]
        for series in dict.fromkeys(mine["series"]):
            rows = mine[mine["series"] == series]
            shown = number_format(rows["q50"])
            entry = study.baseline.dataset.catalogue[series]
            named: list[Cell] = [scenario, entry.title, in_words(entry.unit)]
            for gap in sorted(rows.to_dict("records"), key=lambda one: (order.index(one["kind"]), one["period"])):
                kind = gap["kind"].removesuffix(DIFFERENCE)
                base, now = at[BASELINE, series, kind, gap["period"]], at.get((scenario, series, kind, gap["period"]))
                yield [*named, *_difference(kind, gap, base, now, shown), series]


def _difference(kind: str, gap: dict[Any, Any], base: dict[Any, Any], now: Any, shown: str) -> list[Cell]:
    level = number_format([base["q50"]])
    levels: list[Cell] = [Number(now[one], level) if now else None for one in ("q50", "q10", "q90")]
    share = gap["q50"] / base["q50"] if base["q50"] else np.nan
    return [
        period_words(kind, gap["period"]), first_month(kind, gap["period"]), Number(base["q50"], level), *levels,
        *(Number(gap[one], shown) for one in ("q50", "q10", "q90", "q025", "q975")), Number(share, CHANGE),
    ]  # fmt: skip


def assumptions(sheet: Any, content: Content) -> None:
    """Every assumption with its source, and what each of them adds."""
    assert content.study
    row = write_title(sheet, "Assumptions of the scenarios", "Every assumption is dated and has a source.")
    for one in content.study.scenarios:
        said = f"{one.description} Probability: {100 * one.probability:g} %." if one.probability else one.description
        row = paragraphs(sheet, row, one.name, [said], columns=4, letters=150)
    heads = [
        Column("Scenario", 24), Column("Assumption", 58), Column("Kind", 10), Column("Of", 48), Column("Size", 26),
        Column("From", 9), Column("To", 9), Column("Ramp", 10), Column("Recovery", 10), Column("Rerouted", 34),
        Column("Passed on", 34), Column("Source", 60),
    ]  # fmt: skip
    rows = [[one.name, *_assumed(part)] for one in content.study.scenarios for part in one.assumptions]
    used = [at for at in range(len(heads)) if any(values[at] for values in rows)]
    first = row + 1
    row = write_table(sheet, row, [heads[at] for at in used], [[values[at] for at in used] for values in rows])
    wrap(sheet, first, row - 2)
    row = write_heading(sheet, row, "What each assumption adds to the mean difference (Shapley values)")
    added = [heads[0], Column("Series", 58), Column("Unit", 24), heads[1], Column("Period", 26), Column("Adds", 13)]
    write_table(sheet, row, added, _added(content.study))
    sheet.freeze_panes = "B2"
    ready_to_print(sheet, content.outlook.source_line)


def _assumed(one: Assumption) -> list[Cell]:
    said = described(one)
    return [one.label, *(_month(said.get(name, ""), name) for name in ASSUMED)]


def _month(text: str, name: str) -> Cell:
    return pd.Period(text, freq="M") if text and name in ("start", "end") else text


def _added(study: Study) -> Iterator[list[Cell]]:
    table = study.contributions
    table = table[table["kind"].isin(["quarter", "fiscal_year"]) & (table["contribution"] != 0)]
    for (scenario, series), rows in table.groupby(["scenario", "series"], sort=False):
        entry, shown = study.baseline.dataset.catalogue[str(series)], number_format(rows["contribution"])
        for row in rows.to_dict("records"):
            named = [str(scenario), entry.title, in_words(entry.unit), row["assumption"]]
            yield [*named, period_words(row["kind"], row["period"]), Number(row["contribution"], shown)]
