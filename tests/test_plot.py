"""Charts come out whole, the same every time, and show titles as they are written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from forecasting.catalogue import Catalogue, Series
from forecasting.errors import DataError
from forecasting.forecast import FORECAST_COLUMNS, QUANTILES
from forecasting.plot import image, save
from forecasting.plot_forecast import forecast_figure, series_figure

SOURCE = "Source: Trade Statistics of Japan, Ministry of Finance; processed."


def history_of(series: list[str], months: int = 40) -> pd.DataFrame:
    """Invented history (T × n)."""
    index = pd.period_range(end="2026-08", periods=months, freq="M")
    y = 30_000 + 8_000 * np.sin(np.arange(months)[:, None] / 4 + np.arange(len(series)))
    return pd.DataFrame(y, index=index, columns=series)


def table_of(series: list[str], scenario: str = "baseline", unit: str = "mn_jpy") -> pd.DataFrame:
    """An invented forecast table: September to December 2026 and the last quarter."""
    periods = [(f"2026-{9 + at:02d}", "month", at + 1) for at in range(4)] + [("2026Q4", "quarter", 1)]
    spread = np.interp(QUANTILES, [0, 1], [0.5, 1.6])
    rows = [
        (
            scenario,
            "ensemble",
            "2026-08",
            one,
            unit,
            period,
            kind,
            step,
            0,
            *(31_000.0 * np.array([1.0, *spread])),
        )
        for one in series
        for period, kind, step in periods
    ]
    return pd.DataFrame(rows, columns=list(FORECAST_COLUMNS))


def catalogue_of(series: list[str], title: str = "Exports") -> Catalogue:
    return Catalogue(tuple(Series(one, f"{title} {one}", "mn_jpy") for one in series))


def chart_bytes(*arguments: Any) -> bytes:
    *given, form = arguments
    return image(forecast_figure(*given), form)


def forecast_chart(*arguments: Any) -> None:
    *given, path = arguments
    save(forecast_figure(*given), path)


def names(many: int) -> list[str]:
    return [f"s{at}" for at in range(many)]


@pytest.mark.parametrize("ending", [".png", ".svg"])
def test_same_bytes_twice(ending: str, tmp_path: Path) -> None:
    series = names(2)
    for name in ("a", "b"):
        forecast_chart(
            history_of(series),
            None,
            table_of(series),
            catalogue_of(series),
            SOURCE,
            tmp_path / f"{name}{ending}",
        )
    first, second = [(tmp_path / f"{name}{ending}").read_bytes() for name in ("a", "b")]
    assert first == second
    assert first.startswith(b"\x89PNG" if ending == ".png" else b"<?xml")
    assert len(first) > 10_000


@pytest.mark.parametrize("many", [1, 5, 12])
def test_any_number_of_series(many: int) -> None:
    series = names(many)
    svg = chart_bytes(history_of(series), None, table_of(series), catalogue_of(series), SOURCE, "svg")
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert all(f"<!-- Exports {one} -->".encode() in svg for one in series)
    assert b"<!-- billion yen a month -->" in svg
    assert b"<!-- Oct\xe2\x80\x93Dec 2026:" in svg
    assert SOURCE.encode() in svg


@pytest.mark.parametrize(
    "title",
    ["$10 & <b>50 %</b> of $x_1^2$", "ends --> here -- \x00 and \n there", "\\frac{1}{2} {", "a" * 300, ""],
)
def test_titles_are_only_text(title: str) -> None:
    series = names(1)
    svg = chart_bytes(history_of(series), None, table_of(series), catalogue_of(series, title), SOURCE, "svg")
    ElementTree.fromstring(svg)


def test_stages_scenarios_and_gaps() -> None:
    series = names(2)
    history = history_of(series)
    history.iloc[5:8, 0] = np.nan
    history.iloc[-2:, 1] = np.nan
    stages = history.astype(object).where(history.isna(), "provisional")
    stages.iloc[:6] = "reconstructed"
    table = pd.concat([table_of(series), table_of(series, "car ban"), table_of(series, unit="pct_yoy")])
    svg = chart_bytes(history, stages, table, catalogue_of(series), SOURCE, "svg")
    for label in (b"provisional", b"implied or rebuilt", b"baseline", b"car ban", b"end of data"):
        assert b"<!-- " + label + b" -->" in svg


def test_awkward_numbers() -> None:
    series = names(3)
    history = history_of(series) * [0.0, -1.0, 1e-9]
    table = table_of(series)
    values = list(FORECAST_COLUMNS[9:])
    table[values] = table[values].mul(table["series"].map({"s0": 0.0, "s1": -1.0, "s2": 1e-9}), axis=0)
    assert chart_bytes(history, None, table, catalogue_of(series), SOURCE, "png")
    # A series of which only the forecast is known, and one in no catalogue.
    assert chart_bytes(history[[]], None, table_of(["new"]), catalogue_of(series), SOURCE, "png")
    quarters = table[table["kind"] == "quarter"].assign(q50=np.nan)
    assert chart_bytes(history, None, quarters, catalogue_of(series), SOURCE, "png")


def test_a_hundredfold_fan_says_that_it_leaves() -> None:
    series = names(1)
    for factor, said in ((1.0, False), (100.0, True)):
        table = table_of(series)
        table["q975"] *= factor
        svg = chart_bytes(history_of(series), None, table, catalogue_of(series), SOURCE, "svg")
        assert (b"reach beyond the picture" in svg) == said


def rows_of(months: int, *stages: str) -> pd.DataFrame:
    """Invented observations of one series, the last of 2026-08."""
    index = pd.period_range(end="2026-08", periods=months, freq="M")
    rows = pd.DataFrame({"month": index, "value": 40_000.0 + 5_000 * np.sin(np.arange(months) / 4)})
    return rows.assign(stage=["latest"] * (months - len(stages)) + list(stages))


def drawn(rows: pd.DataFrame, path: Path, entry: Series | None = None) -> bytes:
    save(series_figure(rows, entry or Series("s", "Exports", "mn_jpy", publisher="Customs"), SOURCE), path)
    return path.read_bytes()


def test_a_history_alone_is_drawn_whole_and_promises_nothing(tmp_path: Path) -> None:
    svg = drawn(rows_of(500, "implied and latest", "nine_digit"), tmp_path / "a.svg")
    ElementTree.fromstring(svg)
    legend = ("published", "provisional", "implied or rebuilt")
    for said in (*legend, "Exports", "billion yen a month", "1990", "2020", SOURCE):
        assert f"<!-- {said} -->".encode() in svg
    assert b"<!-- January 1985 to August 2026; Customs -->" in svg
    assert b"<!-- August 2026: 3" in svg
    assert b" % on a year earlier -->" in svg
    for absent in (b"median", b"interval", b"end of data", b"Outlook"):
        assert absent not in svg
    assert drawn(rows_of(500), tmp_path / "b.png") == drawn(rows_of(500), tmp_path / "c.png")


def test_a_history_of_one_stage_has_no_legend(tmp_path: Path) -> None:
    assert b"<!-- published -->" not in drawn(rows_of(30), tmp_path / "a.svg")


def test_awkward_histories(tmp_path: Path) -> None:
    balance = Series("b", "$x$ " * 200, "mn_jpy", formula="difference", terms=("s", "s"))
    rows = rows_of(40).drop(index=[3, 4])
    svg = drawn(rows.assign(value=rows["value"] - 42_000), tmp_path / "a.svg", balance)
    assert b"September 2026" not in svg
    assert b"2 months missing; computed from published figures" in svg
    assert b"on a year earlier" not in svg
    for months in (1, 2, 19):
        assert drawn(rows_of(months).assign(value=0.0), tmp_path / "b.png")
    with pytest.raises(DataError, match="nothing to draw"):
        drawn(rows_of(3).assign(value=np.nan), tmp_path / "c.png")
    with pytest.raises(DataError, match=r"use \.png or \.svg"):
        drawn(rows_of(3), tmp_path / "c.pdf")


def test_refusals(tmp_path: Path) -> None:
    series = names(1)
    arguments = (history_of(series), None, table_of(series), catalogue_of(series), SOURCE)
    with pytest.raises(DataError, match=r"use \.png or \.svg"):
        forecast_chart(*arguments, tmp_path / "a.jpg")
    with pytest.raises(DataError, match="make it first"):
        forecast_chart(*arguments, tmp_path / "missing" / "a.svg")
    with pytest.raises(DataError, match="nothing to draw"):
        chart_bytes(history_of(series), None, table_of([]), catalogue_of(series), SOURCE, "png")


def test_importing_is_cheap() -> None:
    code = "import sys, forecasting.plot; sys.exit('matplotlib' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
