"""The workbook holds the numbers of the forecast, opens without a formula, and is the same file every time."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook

from forecasting import report, report_book
from forecasting.report import Content
from forecasting.report_book.layout import HEAD
from forecasting.report_method import METHOD
from forecasting.units import in_words
from forecasting.workbook import NOT_IN_XML, Number, number_format, saved, write_cell, write_text
from forecasting.workflow import Request
from tests.conftest import invented
from tests.test_plot_api import HALVED, result_of

EVIL = ('=HYPERLINK("http://x";"y")', "+cmd|' /C calc'!A0", "<script>alert(1)</script>")
SHEETS = [
    "Summary", "Charts", "Forecast months", "Quarters and fiscal years", "Scenarios", "Assumptions", "Backtests",
    "Data", "Chart data", "Method and sources",
]  # fmt: skip


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Content:
    """Three series of a user's own, of which two have names like formulas, with a scenario and a backtest."""
    folder = tmp_path_factory.mktemp("own")
    y = invented().y
    y.columns = ["s0", "s1", EVIL[0]]
    rows = y.stack().rename("value").rename_axis(["month", "series"]).reset_index()
    rows.assign(unit="mn_jpy").to_csv(folder / "mine.csv", index=False)
    (folder / "halved.toml").write_text(HALVED.replace("a guess", EVIL[1]))
    request = Request(data=folder / "mine.csv", paths=200, horizon=7, cache=False)
    made = report.gather(request, "seasonal_naive", [str(folder / "halved.toml")], news=False)
    judged = report._judged(result_of(), made.outlook)
    cards = tuple(report._card(one, made.outlook, judged) for one in made.outlook.series)
    return replace(made, backtest=judged, cards=cards, no_news=EVIL[2])


@pytest.fixture(scope="module")
def made(content: Content) -> bytes:
    return report_book.book(content)


@pytest.fixture(scope="module")
def book(made: bytes) -> Any:
    return load_workbook(io.BytesIO(made))


def same(numbers: Any) -> Any:
    """Equal but for the last bit: a cell holds 16 digits."""
    return pytest.approx(numbers, rel=1e-14, abs=0)


def table_of(sheet: Any, head: int = HEAD) -> pd.DataFrame:
    """The table below a head; no two columns have one name."""
    rows = list(sheet.iter_rows(min_row=head, values_only=True))
    names = [str(one) for one in rows[0]]
    assert len(set(names)) == len(names)
    return pd.DataFrame(rows[1:], columns=names)


def test_it_opens_with_all_sheets(book: Any) -> None:
    assert book.sheetnames == SHEETS
    assert (book.properties.creator, book.properties.created) == ("tradecast", datetime(2000, 1, 1))


def test_same_content_same_bytes(content: Content, made: bytes) -> None:
    assert report_book.book(content) == made
    with zipfile.ZipFile(io.BytesIO(made)) as parts:
        assert {one.date_time for one in parts.infolist()} == {(2000, 1, 1, 0, 0, 0)}
    assert len(made) < 500_000


def test_nothing_is_a_formula(book: Any, made: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(made)) as parts:
        sheets = [parts.read(one).decode() for one in parts.namelist() if one.startswith("xl/worksheets/sheet")]
        everything = {one: parts.read(one) for one in parts.namelist()}
    assert len(sheets) == len(SHEETS)
    assert not any(re.search(r"<f[ >]|<hyperlink", one) for one in sheets)
    assert not any("externalLink" in one or "vba" in one.lower() for one in everything)
    assert b"<script" not in b"".join(everything.values())
    risky = [cell for sheet in book for row in sheet.iter_rows() for cell in row if str(cell.value)[:1] in "=+-@\t"]
    risky = [cell for cell in risky if isinstance(cell.value, str)]
    assert {cell.value for cell in risky} >= {EVIL[0], EVIL[1]}
    assert all(cell.data_type == "s" and cell.quotePrefix for cell in risky)
    shown = [cell.value for sheet in book for row in sheet.iter_rows() for cell in row]
    assert EVIL[2] in shown


def test_months_are_dates_and_numbers_those_of_the_forecast(content: Content, book: Any) -> None:
    table = table_of(book["Forecast months"])
    rows = content.outlook.table
    levels = rows[(rows["kind"] == "month") & (rows["unit"] == "mn_jpy")].set_index(["series", "period"])
    assert len(table) == len(levels) == 21
    for row in table.to_dict("records"):
        true = levels.loc[[(row["Id"], f"{row['Month']:%Y-%m}")]].iloc[0]
        assert row["Month"].day == 1
        names = {"Median": "q50", "Mean": "mean", "80 % from": "q10", "80 % to": "q90", "95 % from": "q025"}
        assert {name: row[name] for name in names} == same(
            {name: float(true[column]) for name, column in names.items()}
        )
        assert row["Unit"] == "million yen"
    growth = rows[(rows["kind"] == "month") & (rows["unit"] == "pct_yoy")]
    assert (100 * table["On a year earlier"]).tolist() == pytest.approx(growth["q50"].tolist())
    falls = content.outlook.totals["month"].probability_of_fall()
    assert table["Chance of a fall"].tolist() == same(falls.T.ravel().tolist())
    first = book["Forecast months"][f"C{HEAD + 1}"]
    assert (first.number_format, first.is_date) == ("yyyy-mm", True)


def test_quarters_and_years_say_what_they_span(content: Content, book: Any) -> None:
    table = table_of(book["Quarters and fiscal years"])
    mine = table[table["Id"] == "s0"]
    spans = dict(zip(mine["Period"], mine["First month"], strict=True))
    assert spans["Oct–Dec 2026"] == datetime(2026, 10, 1)
    assert spans["FY2026 (Apr 2026–Mar 2027)"] == datetime(2026, 4, 1)
    assert mine.set_index("Period")["Months published"].to_dict() == {
        "Jul–Sep 2026": 2, "Oct–Dec 2026": 0, "Jan–Mar 2027": 0, "FY2026 (Apr 2026–Mar 2027)": 5,
    }  # fmt: skip


def test_differences_are_those_of_the_study(content: Content, book: Any) -> None:
    assert content.study
    table = table_of(book["Scenarios"])
    rows = content.study.table
    gaps = rows[rows["kind"].str.endswith("-difference") & (rows["q025"] != 0)]
    assert set(table["Id"]) == set(gaps["series"]) == {"s0"}
    assert sorted(table["Difference, median"]) == same(sorted(gaps["q50"]))
    shift = table["Scenario, median"] / table["Baseline, median"] - 1
    months = table["Period"].str.fullmatch(r"\d{4}-\d\d").to_numpy(dtype=bool)
    assert shift[months].to_numpy(dtype=float) == pytest.approx(-0.5)
    assert "Not changed by any: s1" in book["Scenarios"]["A3"].value


def test_published_figures_come_with_stage_and_source(content: Content, book: Any) -> None:
    table = table_of(book["Data"])
    assert len(table) == content.dataset.panel.y.size
    mine = table[table["Id"] == "s1"]
    assert mine["Month"].is_monotonic_increasing
    assert mine["Value"].tolist() == same(content.dataset.panel.y["s1"].tolist())
    assert set(table["Source"]) == set(content.dataset.observations["source"])


def test_sheets_are_ready_to_read_and_print(content: Content, book: Any) -> None:
    for sheet in book:
        assert sheet.freeze_panes or sheet.title in ("Charts",)
        assert sheet.print_area
        assert sheet.page_setup.paperSize == 9
        assert "mine.csv" in sheet.oddFooter.left.text
        widths = [sheet.column_dimensions[column[0].column_letter].width for column in sheet.iter_cols(max_row=1)]
        assert min(widths) >= 8
    for name in ("Forecast months", "Quarters and fiscal years", "Scenarios", "Data"):
        sheet = book[name]
        assert sheet.print_title_rows == f"${HEAD}:${HEAD}"
        assert sheet.auto_filter.ref.startswith(f"A{HEAD}:")


def charts(book: Any) -> Iterator[Any]:
    for sheet in book:
        yield from sheet._charts


def references(made: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(made)) as parts:
        drawn = [parts.read(one).decode() for one in parts.namelist() if re.match(r"xl/charts/chart\d+\.xml", one)]
    return [one.replace("&apos;", "'") for text in drawn for one in re.findall(r"<(?:c:)?f>([^<]+)</", text)]


def test_charts_are_native_and_drawn_of_the_cells(content: Content, book: Any, made: bytes) -> None:
    # Three fans, one series that changes, two fans again on the summary, skill and PIT.
    assert len(list(charts(book))) == 3 + 1 + 2 + 2
    for one in references(made):
        name, _, cells = one.rpartition("!")
        found = book[name.strip("'")][cells.replace("$", "")]
        values = [cell[0].value for cell in found] if isinstance(found, tuple) else [found.value]
        assert any(value is not None for value in values), one
    head = [cell.value for cell in book["Chart data"][HEAD]]
    assert head[:5] == ["Month", "published", "median", "lower end", "80 % interval"]
    table = pd.DataFrame(book["Chart data"].iter_rows(min_row=HEAD + 1, max_col=5, values_only=True))
    rows = content.cards[0].forecast
    rows = rows[rows["kind"] == "month"]
    ahead = table.tail(len(rows))
    assert ahead[2].tolist() == same(rows["q50"].tolist())
    assert (ahead[3] + ahead[4]).tolist() == pytest.approx(rows["q90"].tolist())
    known = table.iloc[-len(rows) - 1]
    assert known.iloc[1:4].tolist() == same([content.cards[0].history.iloc[-1]] * 3)


def test_a_band_below_zero_is_not_stacked(content: Content) -> None:
    card = content.cards[0]
    below = replace(card, forecast=card.forecast.assign(q10=-1.0))
    for one, areas in ((card, 1), (below, 0)):
        alone = replace(content, cards=(one,), study=None, backtest=None)
        drawn = load_workbook(io.BytesIO(report_book.book(alone)))["Charts"]._charts
        assert [sum(type(part).__name__ == "AreaChart" for part in chart._charts) for chart in drawn] == [areas]


def test_without_scenarios_and_backtest_their_sheets_are_left_out(content: Content) -> None:
    plain = load_workbook(io.BytesIO(report_book.book(replace(content, study=None, worlds=None, backtest=None))))
    assert plain.sheetnames == [one for one in SHEETS if one not in ("Scenarios", "Assumptions", "Backtests")]


def test_the_method_is_told_in_full(book: Any) -> None:
    lines = [cell.value for (cell,) in book["Method and sources"].iter_rows(max_col=1)]
    start = lines.index("Method") + 1
    assert lines[start : start + len(METHOD)] == [f"{fact.title}. {fact.text}" for fact in METHOD]


def test_leaderboard_and_steps_stand_in_the_backtest(content: Content, book: Any) -> None:
    assert content.backtest
    cells = [[cell.value for cell in row] for row in book["Backtests"].iter_rows()]
    board = content.backtest.board.table
    best = next(row for row in cells if row[0] == board["model"].iloc[0])
    assert best[1:4] == same(board[["skill", "mase", "crps_scaled"]].iloc[0].tolist())
    past = [row for row in cells if row[0] == "s0" and isinstance(row[1], datetime)]
    card = next(one for one in content.cards if one.entry.id == "s0")
    assert [row[6] for row in past] == same(card.past["actual"].tolist())
    assert [row[7] for row in past] == ["yes" if a <= y <= b else "no" for a, y, b in
                                        card.past[["q10", "actual", "q90"]].to_numpy()]  # fmt: skip


@given(st.lists(st.text(max_size=30) | st.sampled_from(["=1+1", "@x", "-2", "\t=1", "＝1"]), min_size=1, max_size=20))
def test_any_text_is_read_back_as_text(texts: list[str]) -> None:
    made = Workbook()
    for row, text in enumerate(texts, start=1):
        write_text(made.active.cell(row, 1), text)
    read = load_workbook(io.BytesIO(saved(made))).active
    for row, text in enumerate(texts, start=1):
        cell = read.cell(row, 1)
        assert cell.data_type in ("s", "inlineStr")  # the latter of an empty text
        said = str(cell.value or "")
        assert said.replace("\r", "\n").split() == NOT_IN_XML.sub("�", text).replace("\r", "\n").split()


def test_what_is_not_known_is_empty_and_months_are_days() -> None:
    sheet = Workbook().active
    for row, value in enumerate(
        (Number(np.nan), Number(np.inf), None, Number(0.5, "0 %"), pd.Period("2026-09", "M")), 1
    ):
        write_cell(sheet.cell(row, 1), value)
    assert [sheet.cell(row, 1).value for row in (1, 2, 3)] == [None, None, None]
    assert (sheet["A4"].value, sheet["A4"].number_format) == (0.5, "0 %")
    assert (sheet["A5"].value.isoformat(), sheet["A5"].number_format) == ("2026-09-01", "yyyy-mm")


@pytest.mark.parametrize(
    ("values", "wanted"),
    [([123_456.0, 2_000.0], "#,##0"), ([45.0], "#,##0.0"), ([4.5], "#,##0.00"), ([0.012], "#,##0.0000"), ([], "#,##0")],
)
def test_formats_show_three_or_four_digits(values: list[float], wanted: str) -> None:
    assert number_format(values) == wanted


@pytest.mark.parametrize(
    ("unit", "words"),
    [("mn_jpy", "million yen"), ("mn_jpy/kg", "million yen per kg"), ("thousand_units", "thousand units"),
     ("mn_jpy/tonnes", "million yen per tonne"),
     ("mn_jpy/kilotonnes", "million yen per kilotonne"), ("pct_yoy", "% on a year earlier"),
     ("USD million", "USD million")],
)  # fmt: skip
def test_units_in_words(unit: str, words: str) -> None:
    assert in_words(unit) == words


def test_the_command_writes_a_workbook(tradecast: Any, tmp_path: Path) -> None:
    y = invented().y.rename_axis("month").reset_index().assign(month=lambda of: of["month"].astype(str))
    y.to_csv(tmp_path / "mine.csv", index=False)
    asked = ("report", "--data", tmp_path / "mine.csv", "--model", "seasonal_naive", "--paths", 200, "--no-news")
    code, _, said = tradecast(*asked, "--out", tmp_path / "mine.xlsx")
    assert code == 0, said
    made = load_workbook(tmp_path / "mine.xlsx")
    assert set(table_of(made["Forecast months"])["Id"]) == {"s0", "s1", "s2"}
    code, _, said = tradecast(*asked, "--out", tmp_path / "mine.pdf")
    assert code == 2
    assert "end the name in .html, .xlsx" in said


def test_libreoffice_opens_it(made: bytes, tmp_path: Path) -> None:
    office = shutil.which("soffice")
    if office is None:
        pytest.skip("LibreOffice is not installed: apt-get install libreoffice-calc")
    (tmp_path / "report.xlsx").write_bytes(made)
    words = [office, f"-env:UserInstallation=file://{tmp_path}/profile", "--headless", "--convert-to", "pdf",
             "--outdir", str(tmp_path), str(tmp_path / "report.xlsx")]  # fmt: skip
    subprocess.run(words, check=True, capture_output=True, timeout=120)
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
