"""The figures: where they come from, printed ones that conflict with them, what looks wrong in them."""

from __future__ import annotations

import math
import re
from typing import Any

import pandas as pd

from forecasting import news
from forecasting.report import Content
from forecasting.report_page.elements import Cell, Markup, el, number, section, table
from forecasting.report_page.words import month_words, title_of

VERDICTS = {"agrees": "agree", "conflicts": "conflict", "untestable": "cannot be tested"}
SAYS = {"yoy pct": "% on a year earlier", "share pct": "share in %", "level": "level"}
FACTS_SHOWN = ("conflicts", "untestable")
FINDINGS_SHOWN = 40


def figures(content: Content) -> Markup:
    """Sources, then what was found in the figures, where they were looked through."""
    cells = [
        [
            str(row["source"]),
            number(f"{row['files']:,}", row["files"]),
            number(f"{row['series']:,}", row["series"]),
            month_words(row["first"]),
            month_words(row["last"]),
            number(f"{row['figures']:,}", row["figures"]),
            row["stages"],
            row["attribution"],
        ]
        for row in content.sources.to_dict("records")
    ]
    columns = ["Source", "Files", "Series", "First month", "Last month", "Figures", "Stages", "Attribution"]
    return section(
        "data",
        "The figures",
        el(
            "p",
            f"Data vintage {content.outlook.vintage}: the same letters mean the same figures, cell by cell."
            f" {content.outlook.source_line}",
        ),
        table("Where the figures come from", columns, cells, "data-sources"),
        _facts(content),
        _findings(content),
    )


def _facts(content: Content) -> list[Markup]:
    facts = content.checked.facts if content.checked else None
    if facts is None or facts.empty:
        return []
    counts = facts["verdict"].value_counts().sort_index()
    said = ", ".join(f"{many} {VERDICTS.get(str(verdict), verdict)}" for verdict, many in counts.items())
    rows = facts[facts["verdict"].isin(FACTS_SHOWN)].sort_values("verdict", kind="stable")
    cells = [
        [
            title_of(str(row["series"]), content.dataset.catalogue),
            _dated(str(row["period"])),
            _says(str(row["measure"])),
            str(row["printed"]),
            _figure(row["table"]),
            str(row["unit"]).replace("_", " "),
            str(row["verdict"]),
            _dated(str(row["reading"])),
        ]
        for row in rows.to_dict("records")
    ]
    columns = ["Series", "Period", "Says", "Printed", "From the table", "Unit", "Verdict", "Why"]
    return [
        el("h3", "Fact check: figures printed elsewhere, held against these"),
        el("p", f"{len(facts)} printed figures: {said}."),
        *([table("Printed figures that conflict or cannot be tested", columns, cells, "data-facts")] if cells else []),
    ]


def _says(measure: str) -> str:
    plain = measure.replace("_", " ")
    return SAYS.get(plain, plain)


def _dated(text: str) -> str:
    """Months within a text as people write them."""
    return re.sub(r"\b\d{4}-\d{2}\b", lambda found: news.month_words(found[0]), text)


def _figure(value: Any) -> Cell:
    return number("–", math.nan) if pd.isna(value) else number(f"{value:,.6g}", float(value))


def _findings(content: Content) -> list[Markup]:
    found = content.checked.findings if content.checked else None
    if found is None:
        return []
    if found.empty:
        return [el("p", "No gap, slip or broken sum was found.")]
    cells = [
        [str(row[one]) for one in ("series", "month", "check", "found")]
        for row in found.head(FINDINGS_SHOWN).to_dict("records")
    ]
    more = f" The first {FINDINGS_SHOWN} are shown." if len(found) > FINDINGS_SHOWN else ""
    return [
        el(
            "details",
            el("summary", f"{len(found)} remarks on the figures: gaps, slips, sums"),
            el("p", f"`tradecast data check` shows them all.{more}"),
            table("Remarks on the figures", ["Series", "Month", "Check", "Found"], cells, "data-findings"),
        ),
    ]
