"""What is printed can be read at any width, is plain text in a pipe, and says the right numbers."""

from __future__ import annotations

import io
import math
import os
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from forecasting.catalogue import Catalogue, Series
from forecasting.cli.terminal import (
    LastValue,
    ViewContext,
    facts_view,
    findings_view,
    forecast_view,
    list_view,
    series_view,
    sparkline,
    table_view,
)
from forecasting.facts import VERDICT_COLUMNS
from forecasting.forecast import FORECAST_COLUMNS, QUANTILES
from forecasting.summary import SUMMARY_COLUMNS

EXPORTS, CARS = "jp_ru.exports.value", "jp_ru.exports.transport.motor_vehicles.cars.quantity"
CATALOGUE = Catalogue(
    (
        Series(EXPORTS, "Japan's exports to Russia, value", "mn_jpy", publisher="Ministry of Finance Japan"),
        Series(CARS, "Japan's exports to Russia: passenger cars, quantity", "units", hs_code="8703"),
    )
)
LEVELS = {EXPORTS: 34_000.0, CARS: 18_024.0}


def rows_of(series: str, scenario: str = "baseline") -> list[tuple[Any, ...]]:
    months = [(f"2026-{9 + at:02d}", "month", at + 1, 0, 1.0) for at in range(4)]
    totals = [
        ("2026Q3", "quarter", 1, 2, 3.0),
        ("2026Q4", "quarter", 2, 0, 3.0),
        ("FY2026", "fiscal_year", 1, 5, 12.0),
    ]
    spread = np.interp(QUANTILES, [0, 0.5, 1], [0.7, 1.0, 1.4])
    return [
        (scenario, "ensemble", "2026-08", series, CATALOGUE[series].unit,
         period, kind, step, observed, size, *size * spread)
        for period, kind, step, observed, many in [("2026-08", "month", 0, 1, 1.0), *months, *totals]
        for size in [many * LEVELS[series]]
    ]  # fmt: skip


def table_of(*scenarios: str) -> pd.DataFrame:
    """An invented forecast of two series."""
    rows = [row for scenario in scenarios or ("baseline",) for one in LEVELS for row in rows_of(one, scenario)]
    return pd.DataFrame(rows, columns=list(FORECAST_COLUMNS))


CONTEXT = ViewContext(
    CATALOGUE,
    {EXPORTS: LastValue("2026-08", 33_974.0, "provisional"), CARS: LastValue("2026-08", 18_024.0)},
    {(EXPORTS, "2026Q4"): 100_000.0, (EXPORTS, "2026-09"): 0.0, (CARS, "2026Q4"): -5.0},
    {(EXPORTS, "2026Q4"): 0.37, (CARS, "2026Q4"): 0.0001},
    {EXPORTS: [1.0, 2.0, 3.0]},
    vintage="3f2a9c1b77aa",
    remarks=("Covariate oil_price is assumed to stay at its value of 2026-08 until 2026-12.",),
    calibration="Calibrated on 16 past cutoffs.",
)


def printed(view: object, width: int, terminal: bool = False) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=terminal)
    console.print(view)
    return console.file.getvalue()  # type: ignore[attr-defined]


def cells(text: str, start: str) -> str:
    """The first line that begins so, its cells parted by a bar."""
    line = next(line for line in text.splitlines() if line.startswith(start))
    return re.sub(" {2,}", "|", line.strip())


@pytest.mark.parametrize("width", [40, 80, 100, 140, 220])
@pytest.mark.parametrize("coverages", [(80,), (80, 95), (50, 80, 90, 95)])
def test_fits_every_width_without_colour(width: int, coverages: tuple[int, ...]) -> None:
    text = printed(forecast_view(table_of(), CONTEXT, coverages, width), width)
    assert max(map(len, text.splitlines())) <= width
    assert "\x1b" not in text
    assert "…" not in text


def test_says_the_right_numbers() -> None:
    text = printed(forecast_view(table_of(), CONTEXT, (80, 95), 140), 140)
    assert "Forecast by ensemble from figures published until Aug 2026 (data vintage 3f2a9c1b77aa)." in text
    assert "about 80 should fall inside their 80 % interval, 95 inside the 95 % one." in text
    assert "Last published: Aug 2026, 34.0 billion yen (provisional)   ▁▅█" in text
    assert "Jul–Sep 2026, 2/3 known" in text
    assert "FY2026 (Apr–Mar), 5/12 known" in text
    assert cells(text, "Oct–Dec 2026") == "Oct–Dec 2026|102.0|77.5 to 134.6|72.9 to 140.8|+2.0 % (-22 to +35)|37 %"
    # A percentage of nothing says nothing; a published month is no forecast.
    assert cells(text, "Sep 2026") == "Sep 2026|34.0|25.8 to 44.9|24.3 to 46.9|–|–"
    assert "Aug 2026   " not in text
    assert "<1 %" in text
    assert text.rstrip().splitlines()[-3:] == [
        "Calibrated on 16 past cutoffs.",
        CONTEXT.remarks[0],
        "Source: Trade Statistics of Japan, Ministry of Finance; processed.",
    ]


def test_growth_rows_come_before_known_values() -> None:
    levels = table_of()
    grown = levels[levels["kind"] == "quarter"].assign(unit="pct_yoy", q50=12.3, q10=-4.5, q90=40.0)
    text = printed(forecast_view(pd.concat([levels, grown]), CONTEXT, (80,), 140), 140)
    assert "+12.3 % (-4 to +40)" in cells(text, "Oct–Dec 2026")
    assert len([line for line in text.splitlines() if line.startswith("Oct–Dec 2026")]) == 2


def test_a_balance_has_no_percentage() -> None:
    balance = Series("balance", "Balance", "mn_jpy", formula="difference", terms=(EXPORTS, EXPORTS))
    table = table_of().query("series == @EXPORTS").assign(series="balance")
    grown = table[table["kind"] == "quarter"].assign(unit="pct_yoy")
    context = ViewContext({"balance": balance}, year_ago={("balance", "2026Q4"): 1.0})
    text = printed(forecast_view(pd.concat([table, grown]), context, (80,), 140), 140)
    assert cells(text, "Oct–Dec 2026").endswith("|–|–")


def test_scenarios_are_named_and_chances_belong_to_the_first() -> None:
    text = printed(forecast_view(table_of("baseline", "car ban"), CONTEXT, (80,), 100), 100)
    assert text.count("Scenario: baseline") == text.count("Scenario: car ban") == 2
    assert text.count("37 %") == 1


def test_titles_are_not_markup_nor_control_codes() -> None:
    series = Series("x", "[red]a[/red] \x1b[31m title", "as given")
    table = table_of().query("series == @EXPORTS").assign(series="x", unit="as given")
    text = printed(forecast_view(table, ViewContext({"x": series}), (80,), 100), 100)
    assert "[red]a[/red]" in text
    assert "\x1b" not in text


def test_colour_in_a_terminal() -> None:
    assert "\x1b[" in printed(forecast_view(table_of(), CONTEXT, (80,), 100), 100, terminal=True)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True)))
def test_sparkline_is_as_long_as_its_values(values: list[float]) -> None:
    assert len(sparkline(values)) in (0, len(values))


def test_sparkline() -> None:
    assert sparkline([1, math.nan, 8]) == "▁ █"
    assert sparkline([5, 5]) == "▄▄"
    assert sparkline([]) == ""


def history_of(months: int, source: str = "press.xml") -> pd.DataFrame:
    """Invented observations of one series, the last of 2026-02."""
    index = pd.period_range(end="2026-02", periods=months, freq="M")
    values = {"month": index, "value": np.arange(float(months)) + 100.25}
    return pd.DataFrame(values).assign(stage="published_in_press", source=source)


def test_series_view() -> None:
    rows = history_of(14)
    text = printed(series_view(CATALOGUE[EXPORTS], rows, 80, months=3), 80)
    assert "14 months, 2025-01 to 2026-02" in text
    assert cells(text, "2026-02") == "2026-02|113.25|+11.9 %|published in press"
    assert "2025-11" not in text
    assert "no value" in printed(series_view(CATALOGUE[CARS], rows.head(0), 80), 80)


def test_one_source_is_said_once_and_several_in_a_column() -> None:
    rows = history_of(5)
    text = printed(series_view(CATALOGUE[EXPORTS], rows, 80), 80)
    assert text.count("press.xml") == text.count("Source: press.xml") == 1
    rows.loc[4, "source"] = "detail.csv"
    text = printed(series_view(CATALOGUE[EXPORTS], rows, 80), 80)
    assert (text.count("press.xml"), text.count("detail.csv"), text.count("Source:")) == (4, 1, 0)
    price = Series("price", "Price", "mn_jpy/units", formula="ratio", terms=(EXPORTS, CARS))
    text = printed(series_view(price, history_of(5, "computed: a / b"), 80), 80)
    assert text.count("omputed: a / b") == 1


def test_a_long_history_is_drawn_whole() -> None:
    for months, drawn in ((80, "▁▁"), (81, "years 2019 to 2026"), (1200, "years 1926 to 2026")):
        view = series_view(CATALOGUE[EXPORTS], history_of(months), 80, months=1)
        line = next(line for line in printed(view, 80).splitlines() if "█" in line)
        assert drawn in line
        assert len(line.rstrip()) <= 80
    gaps = history_of(6).drop(index=[2, 3])
    assert "▁▂  ▇█" in printed(series_view(CATALOGUE[EXPORTS], gaps, 80), 80)


def summary_of(entries: tuple[Series, ...]) -> pd.DataFrame:
    rows = [
        (one.id, one.title, one.unit, "2023-05", "2026-08", 40, 0, "35 published_in_press, 5 detailed", at == 0, "")
        for at, one in enumerate(entries)
    ]
    return pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS))


def test_list_keeps_ids_whole() -> None:
    summary = summary_of(CATALOGUE.entries)
    for width in (50, 60, 80, 100, 110, 160):
        text = printed(list_view(summary, width), width)
        assert (CARS in text) == (width > 53)
        assert f"* {EXPORTS}" in text
        assert f"* {CARS}" not in text
        assert text.count("2023-05 … 2026-08") == 2
        assert "2 stored" in text
        lines = [line.rstrip() for line in text.splitlines()]
        # Numbers stand in the same columns whether the id has a line of its own or not.
        assert len({line.index("2023-05") for line in lines if "2023-05" in line}) == 1
        assert max(map(len, lines)) <= width


def test_list_of_a_users_file() -> None:
    entry = Series("売上", "売上", "as given")
    text = printed(list_view(summary_of((entry,)).assign(months=0, headline=False, stages=""), 80), 80)
    assert text.count("売上") == 1
    assert "no value" in text
    assert "marked" not in text


def test_findings() -> None:
    findings = pd.DataFrame(
        [("error", "joint", EXPORTS, "2026-08", "180 times its neighbours", "read the source again"),
         ("error", "number", CARS, "2026-07", "value is 'X'", "leave it out"),
         ("error", "number", CARS, "2026-08", "value is 'X'", "leave it out"),
         ("error", "number", EXPORTS, "2026-08", "value is '-'", "leave it out"),
         ("note", "age", "", "", "provisional for 14 months", "")],
        columns=["severity", "check", "series", "month", "found", "advice"],
    )  # fmt: skip
    for width in (80, 110, 140):
        text = printed(findings_view("Checks", findings, width), width)
        assert cells(text, "error").startswith(f"error|{EXPORTS}|2026-08|180 times its neighbours")
        assert re.search(rf"{CARS}\s+2026-07 … 2026-08 \(2 times\)  value is 'X'", text)
        assert text.count("leave it out") == 1
        assert text.rstrip().endswith("4 errors, 1 note")
    assert "Nothing found." in printed(findings_view("Checks", findings.head(0), 80), 80)


def fact(name: str, series: str, verdict: str, **cells: object) -> dict[str, object]:
    """An invented verdict; what is not given is empty."""
    empty = dict.fromkeys(VERDICT_COLUMNS, "") | {"table": math.nan, "measure": "level", "unit": "units"}
    return empty | {"fact": name, "series": series, "verdict": verdict} | cells


def test_facts() -> None:
    grown = {"measure": "yoy_pct", "unit": "percent", "printed": "6.75", "table": 6.79879}
    other = {"period": "calendar 2024", "printed": "610", "table": 1227.33, "reading": "2024-07: 610.0"}
    lacks = {"period": "2024-09", "printed": "65", "remark": "the tables lack it", "contradicts": "f-2"}
    rows = [
        fact("f-1", EXPORTS, "agrees", period="2024-10", how="rounding", **grown),
        fact("f-2", CARS, "conflicts", remark="1 of 18 readings", **other),
        fact("f-3", CARS, "untestable", **lacks),
    ]
    for width in (80, 110, 140):
        text = printed(facts_view("Facts", pd.DataFrame(rows), width), width)
        lines = [re.sub(" {2,}", "|", line.strip()) for line in text.splitlines()]
        assert lines[1].startswith(f"f-1|agrees|{EXPORTS}")
        assert any(line.endswith("2024-10, on a year earlier: printed 6.75 %, tables 6.799|rounding") for line in lines)
        assert any(line.startswith(f"f-2|conflicts|{CARS}") for line in lines)
        assert "calendar 2024: printed 610 units, tables 1,227.3" in text
        assert "would agree: 2024-07: 610.0; 1 of 18 readings" in text
        assert "2024-09: printed 65 units" in text
        assert "the tables lack it; contradicts f-2" in text
        assert "3 facts: 1 agree within rounding or truncation, 0 within revisions" in text


def test_any_table() -> None:
    table = pd.DataFrame({"a_b": ["x", None], "n": [1_234_567, 2], "f": [0.1, math.nan], "ok": [True, False]})
    assert printed(table_view("T", table), 80).splitlines()[1:3] == [
        "a b          n    f     ok",
        "x    1,234,567  0.1   True",
    ]


def test_importing_is_cheap() -> None:
    code = "import sys, forecasting.cli.terminal; sys.exit('rich' in sys.modules or 'matplotlib' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


def test_plain_text_moves_no_cursor_and_keeps_its_direction() -> None:
    from forecasting.cli.terminal import plain

    assert plain("a\x1b[31m\x07b\nc\u202egpj\u2028d\xa0e").plain == "a [31m b\nc gpj d\xa0e"
