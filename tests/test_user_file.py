"""A user's file: what was written is read back exactly, or refused in one line."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import random
import zipfile
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from test_months import FORMS

from forecasting.errors import DataError
from forecasting.observations import OBSERVATION_COLUMNS, wide
from forecasting.sources.user_file import months_of_history, read_covariates, read_observations

LAYOUTS = ("long", "nixtla", "year and month", "down", "across")
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "cp932", "cp1252")
SEPARATORS = (",", ";", "\t", "|")
KINDS = ("csv", "csv.gz", "xlsx", "parquet")
TEXT_FORMS = tuple(form for form in FORMS if isinstance(FORMS[form](2024, 5), str))
EITHER_FORMS = {"01/05/2024": lambda y, m: f"01/{m:02}/{y}", "5/1/2024": lambda y, m: f"{m}/1/{y}"}
SLOW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def refused(path: Path, match: str, read=read_observations) -> str:
    with pytest.raises(DataError, match=match) as caught:
        read(path)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 420
    assert message.endswith((".", "?"))
    return message


def refusal(path: Path, read) -> str:
    """The message of a refusal; empty where the file is read."""
    try:
        read(path)
    except DataError as error:
        return str(error)
    return ""


def saved(folder: Path, text: str | bytes, name: str = "trade.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def column(months: int = 6, start: str = "2024-01") -> list[str]:
    return [str(month) for month in pd.period_range(start, periods=months, freq="M")]


# --- Round trips -------------------------------------------------------------------------------------------

names = st.sampled_from(
    ["oil", "007", "7", "coal, steam", "a;b", "x|y", 'say "gas"', "LNG (t)", "輸入 石油", "Öl & Café",
     "270900", "#1", "-", "NA", "1.5", "value", "unit", "tab\there", "line\nbreak"]
)  # fmt: skip
numbers = st.one_of(
    st.floats(-1e12, 1e12), st.integers(0, 10**7).map(float), st.integers(0, 10**9).map(lambda n: n / 1000)
)


@st.composite
def panels(draw) -> pd.DataFrame:
    """Months × series with ragged edges and a hole here and there."""
    months, start = draw(st.integers(6, 30)), draw(st.integers(-800, 1400))
    index = pd.period_range(pd.Period(ordinal=start, freq="M"), periods=months, freq="M")
    columns = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    y = pd.DataFrame(index=index, columns=columns, dtype=float)
    for name in columns:
        y[name] = draw(st.lists(numbers, min_size=months, max_size=months))
        if months >= 12 and draw(st.booleans()):
            y.loc[index[[5]], name] = np.nan
        if draw(st.booleans()):
            y.loc[index[: draw(st.integers(0, 2))], name] = np.nan
    assume((y.fillna(0) != 0).any(axis=None) and y.notna().any(axis=1).iloc[[0, -1]].all())
    return y


def table_of(y: pd.DataFrame, layout: str, month) -> list[list[object]]:
    """The panel as rows of cells, header first; None = empty."""
    cells = y.astype(object).where(y.notna(), None)
    if layout == "down":
        rows = zip(cells.index, cells.to_numpy().tolist(), strict=True)
        return [["month", *y.columns], *([month(m.year, m.month), *values] for m, values in rows)]
    if layout == "across":
        rows = zip(y.columns, cells.to_numpy().T.tolist(), strict=True)
        return [["series", *(month(m.year, m.month) for m in y.index)], *([name, *v] for name, v in rows)]
    long = [(name, m, cells.loc[m, name]) for name in y.columns for m in y.index]
    if layout == "year and month":
        return [["Series", "Year", "Month", "Value"], *([n, m.year, m.month, v] for n, m, v in long)]
    if layout == "nixtla":
        return [["y", "note", "ds", "unique_id"], *([v, "x", month(m.year, m.month), n] for n, m, v in long)]
    return [["series", "month", "value"], *([n, month(m.year, m.month), v] for n, m, v in long)]


def csv_of(table: list[list[object]], separator: str, encoding: str, comma: bool, title: bool) -> bytes:
    text = io.StringIO(newline="")
    if title:
        text.write("Trade of somewhere\r\n\r\n")
    writer = csv.writer(text, delimiter=separator)
    for row in table:
        cells = ["" if cell is None else repr(cell) if isinstance(cell, float) else cell for cell in row]
        if comma:
            cells = [c.replace(".", ",") if isinstance(r, float) else c for c, r in zip(cells, row, strict=True)]
        writer.writerow(cells)
    return text.getvalue().encode(encoding)


def write(path: Path, table: list[list[object]], y: pd.DataFrame, **settings) -> None:
    if path.suffix == ".xlsx":
        book = openpyxl.Workbook()
        for row in table:
            book.active.append(row)
        book.save(path)
    elif path.suffix == ".parquet":
        pd.DataFrame(table[1:], columns=[str(cell) for cell in table[0]]).to_parquet(path)
    else:
        content = csv_of(table, **settings)
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@SLOW
@given(
    y=panels(), layout=st.sampled_from(LAYOUTS), kind=st.sampled_from(KINDS),
    separator=st.sampled_from(SEPARATORS),
    encoding=st.sampled_from(ENCODINGS), comma=st.booleans(), title=st.booleans(),
    form=st.sampled_from([*TEXT_FORMS, *EITHER_FORMS, "May-24", "202405 as a number"]),
)  # fmt: skip
def test_whatever_was_written_is_read_back_exactly_or_refused(
    tmp_path, y, layout, kind, separator, encoding, comma, title, form
):
    month = (FORMS | EITHER_FORMS).get(form) or (lambda y, m: f"{dt.date(y, m, 1):%b}-{y % 100:02}")
    assume(layout != "down" or list(y.columns) != ["value"])  # named after the file instead
    assume(form != "May-24" or (y.index[0].year >= 1969 and y.index[-1].year <= 2068))
    assume(kind in ("csv", "csv.gz") or not any("\t" in name or "\n" in name for name in y.columns))
    table = table_of(y, layout, month)
    path = tmp_path / f"trade.{kind}"
    try:
        write(path, table, y, separator=separator, encoding=encoding, comma=comma, title=title)
    except UnicodeEncodeError:
        assume(False)
    if excuse := refusal(path, read_observations):
        excuses = ("control characters", "three decimals", "day/month", "'unit' may be a series")
        assert any(one in excuse for one in excuses), excuse
        return
    found = read_observations(path)
    back = wide(found.observations)
    precision = 1e-14 if kind == "xlsx" else 0.0  # openpyxl writes sixteen digits
    assert list(back.columns) == list(y.columns)
    assert list(back.index) == list(y.index)
    np.testing.assert_allclose(back.to_numpy(), y.to_numpy(), rtol=precision, atol=0)
    assert tuple(found.observations.columns) == OBSERVATION_COLUMNS
    assert not any("\n" in remark for remark in found.remarks)


MAGICS = (b"", b"PK\x03\x04", b"PAR1", b"\x1f\x8b\x08", b"\xff\xfe", b"\xd0\xcf\x11\xe0", b"month,value\n")


# --- Whatever the bytes, one line ---------------------------------------------------------------------------


def only_data_errors(path: Path) -> None:
    for read in (read_observations, read_covariates):
        message = refusal(path, read)
        assert "\n" not in message
        assert not message or message.startswith(path.name)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=400), magic=st.sampled_from(MAGICS))
def test_random_bytes(tmp_path, content, magic):
    only_data_errors(saved(tmp_path, magic + content))


cell = st.one_of(
    st.sampled_from(
        ["month", "ds", "value", "y", "series", "year", "unit", "stage", "std_error", "", "-", "1", "2.5",
         "1,5", "1.234", "inf", "2024", "5", "2024-01", "2024-02", "2024-03", "2024-04", "01/02/2024", "x",
         '"', "#", "\x0b", "\u2028", "０", "1 234", "May-24", "2024Q1", "=A1", "é", "sep=;"]
    ),
    st.text(max_size=5),
)  # fmt: skip


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.lists(cell, max_size=5), max_size=8), separator=st.sampled_from(SEPARATORS))
def test_random_tables_of_text(tmp_path, rows, separator):
    text = "\n".join(separator.join(row) for row in rows)
    only_data_errors(saved(tmp_path, text.encode("utf-8", "replace")))


def good_files(folder: Path) -> list[bytes]:
    y = pd.DataFrame(
        {"oil": [1.5, 2, 3, 4], "gas": [5.0, 6, 7, 8]}, index=pd.period_range("2024-01", periods=4, freq="M")
    )
    contents = []
    for kind in KINDS:
        write(folder / f"good.{kind}", table_of(y, "long", FORMS["2024-05"]), y,
              separator=";", encoding="utf-8", comma=True, title=True)  # fmt: skip
        contents.append((folder / f"good.{kind}").read_bytes())
    return contents


def test_mutated_and_truncated_files(tmp_path):
    dice = random.Random(0)
    for content in good_files(tmp_path):
        for _ in range(120):
            broken = bytearray(content)
            for _ in range(dice.choice((1, 1, 2, 8, 40))):
                broken[dice.randrange(len(broken))] = dice.randrange(256)
            if dice.random() < 0.3:
                broken = broken[: dice.randrange(len(broken))]
            only_data_errors(saved(tmp_path, bytes(broken)))


def test_mutated_xml_inside_a_workbook(tmp_path):
    dice = random.Random(1)
    good = good_files(tmp_path)[2]
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    for _ in range(120):
        path = tmp_path / "broken.xlsx"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in parts.items():
                part = bytearray(content)
                if "sheet1" in name or dice.random() < 0.1:
                    for _ in range(dice.choice((1, 3))):
                        part[dice.randrange(len(part))] = dice.choice(b'<>"/0123456789Zrs= ')
                archive.writestr(name, bytes(part))
        only_data_errors(path)


# --- What is assumed is said -------------------------------------------------------------------------------

HOLED = "month,oil\n2024-01,1\n2024-02,1\n2024-03,\n2024-04,1\n2024-05,1\n"
GOOD = "month;oil\n31.01.2024;1,5\n29.02.2024;2\n31.03.2024;3\n30.04.2024;4\n"


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        (GOOD, "separator was read as ';'"),
        (GOOD, "comma was read as the decimal sign"),
        (GOOD, "month ends"),
        (GOOD, "read as wide: months down"),
        ("Title\n" + GOOD, "1 row above the header left out"),
        (GOOD + "Source: customs\n", "left out as notes, from row 6"),
        (GOOD + "30.04.2024;4\n", "1 repeated row left out"),
        ("month,value\n2024-01,1\n2024-02,2\n2024-03,3\n", "one series, named 'trade'"),
        ("id,month,tonnes\n" + "".join(f"a,{m},1\n" for m in column()), "read from column 'tonnes'"),
        ("id,month,value,note\n" + "".join(f"a,{m},1,x\n" for m in column()), "1 column ignored: 'note'"),
        ("month,oil,gas\n" + "".join(f"{m},1,-\n" for m in column()), "no value for 'gas': left out"),
        ("month,oil,gas\n" + "".join(f"{m},1,0\n" for m in column()), "every value of 'gas' is zero"),
        (HOLED, "1 month missing in 'oil' at 2024-03: will be bridged"),
        (",month,oil\n0,2024-01,1\n1,2024-02,1\n2,2024-03,1\n", "counts the rows: ignored"),
        ("month,Öl\n2024-01,1\n2024-02,2\n2024-03,3\n".encode("cp1252"), "cp1252"),
        ("年月,輸入\n2024年1月,1\n2024年2月,2\n2024年3月,3\n".encode("cp932"), "cp932"),
        ("sep=|\nmonth|oil\n2024-01|1\n2024-02|2\n2024-03|3\n", "separator was read as '|'"),
        ("name,2024-01,2024-02,2024-03\noil,1,2,3\n", "months across"),
        ("series,2024-01,2024-02,2024-03,Total\n200110,1,2,3,6\n", "1 column ignored: 'Total'"),
        ("month,oil\n2024-01,1.234\n2024-02,2\n2024-03,3\n", "'1.234' was read as 1.234"),
    ],
)  # fmt: skip
def test_an_assumption_is_remarked(tmp_path, text, remark):
    assert remark in "; ".join(read_observations(saved(tmp_path, text)).remarks)


def test_columns_of_observations_are_kept(tmp_path):
    rows = "".join(f"007, {m} ,1.5,tonnes,fixed,0.1,customs\n" for m in column())
    found = read_observations(saved(tmp_path, "Series,Month,Value,Unit,Stage,std_error,Source\n" + rows)).observations
    first = found.iloc[0].to_dict()
    assert first == {"series": "007", "month": pd.Period("2024-01", "M"), "value": 1.5, "unit": "tonnes",
                     "stage": "fixed", "std_error": 0.1, "source": "customs"}  # fmt: skip
    assert months_of_history(found).to_dict() == {"007": 6}


def test_defaults_of_observations(tmp_path):
    found = read_observations(saved(tmp_path, GOOD)).observations
    assert set(found["stage"]) == {"as_given"}
    assert set(found["unit"]) == {""}
    assert set(found["source"]) == {"trade.csv"}
    assert found["std_error"].isna().all()
    assert isinstance(found["month"].dtype, pd.PeriodDtype)


def test_covariates_are_wide_and_may_be_zero_and_short(tmp_path):
    x, remarks = read_covariates(saved(tmp_path, "month,price,strike\n2024-02,2.5,0\n2024-01,1,0\n"))
    assert x.index.equals(pd.period_range("2024-01", "2024-02", freq="M"))
    assert x.to_dict("list") == {"price": [1.0, 2.5], "strike": [0.0, 0.0]}
    assert remarks == ("read as wide: months down, one series per column",)


@pytest.mark.parametrize("name", ["trade.txt", "trade.xlsx", "trade", "trade.parquet"])
def test_the_ending_does_not_matter(tmp_path, name):
    for content in good_files(tmp_path):
        assert len(read_observations(saved(tmp_path, content, name)).observations) == 8


# --- Parquet and Excel -------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", ["period", "timestamp", "date"])
def test_parquet_with_months_in_the_index(tmp_path, index):
    months = pd.period_range("2024-01", periods=5, freq="M")
    y = pd.DataFrame({"oil": np.arange(5.0) + 1, "gas": [1.0, 2, np.nan, 4, 5]}, index=months)
    written = {
        "period": y,
        "timestamp": y.set_axis(months.to_timestamp(how="end"), axis=0),
        "date": y.set_axis(months.to_timestamp().date, axis=0),
    }[index]
    written.to_parquet(tmp_path / "y.parquet")
    back = wide(read_observations(tmp_path / "y.parquet").observations)
    pd.testing.assert_frame_equal(back, y, check_freq=False, check_names=False)


def test_parquet_with_types_of_all_kinds(tmp_path):
    from decimal import Decimal

    months = pd.date_range("2024-01-01", periods=4, freq="MS")
    pd.DataFrame(
        {"unique_id": pd.Categorical(["007"] * 4), "ds": months, "y": [Decimal("1.5")] * 4, "flag": True}
    ).to_parquet(tmp_path / "y.parquet")
    found = read_observations(tmp_path / "y.parquet").observations
    assert found["value"].tolist() == [1.5] * 4
    assert set(found["series"]) == {"007"}


@pytest.mark.parametrize("held", [[b"x"], [[1, 2]], [{"a": 1}]])
def test_parquet_with_objects_is_refused(tmp_path, held):
    pd.DataFrame({"month": ["2024-01"], "value": held}).to_parquet(tmp_path / "y.parquet")
    refused(tmp_path / "y.parquet", "text, numbers and dates only")


def book_of(path: Path, **sheets: list[list[object]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


ROWS = [["month", "oil"], *([dt.datetime(2024, m, 1), m * 1.5] for m in range(1, 7))]


def test_excel_with_titles_merged_and_one_sheet_of_data(tmp_path):
    path = book_of(tmp_path / "a.xlsx", About=[["made by me"]], Data=[["Trade of Japan"], [], *ROWS], Empty=[])
    book = openpyxl.load_workbook(path)
    book["Data"].merge_cells("A1:D1")
    book.save(path)
    found = read_observations(path)
    assert found.observations["value"].tolist() == [m * 1.5 for m in range(1, 7)]
    assert set(found.observations["source"]) == {"a.xlsx [Data]"}
    assert "sheet 'Data' was read" in found.remarks


def test_excel_with_two_sheets_of_data_lists_them(tmp_path):
    refused(book_of(tmp_path / "a.xlsx", One=ROWS, Two=ROWS), "'One', 'Two'")


def test_excel_hidden_sheets_are_passed_over(tmp_path):
    path = book_of(tmp_path / "a.xlsx", One=ROWS, Two=ROWS)
    book = openpyxl.load_workbook(path)
    book["One"].sheet_state = "hidden"
    book.save(path)
    assert set(read_observations(path).observations["source"]) == {"a.xlsx [Two]"}


def test_excel_formulas_without_results(tmp_path):
    rows = [ROWS[0], *([month, "=A1+1"] for month, _ in ROWS[1:])]
    refused(book_of(tmp_path / "a.xlsx", Data=rows), "formula without its result")


def test_excel_errors_in_cells_are_named(tmp_path):
    refused(book_of(tmp_path / "a.xlsx", Data=[*ROWS, [dt.datetime(2024, 7, 1), "#DIV/0!"]]), "row 8.*#DIV/0!")


# --- Refusals ----------------------------------------------------------------------------------------------


def rows_of(values: list[object], start: str = "2024-01") -> str:
    months = column(len(values), start)
    return "month,oil\n" + "".join(f"{m},{value}\n" for m, value in zip(months, values, strict=True))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "empty"),
        ('""\n"  "\n', "no cell with content"),
        ("month,value\n", "only one row"),
        ("2024-01,1\n2024-02,2\n", "no header"),
        ("month\n2024-01\n2024-02\n", "only one column"),
        ("a b c\n2024-01 1 2\n", "only one column"),
        (rows_of([1, 2]), "'oil' has 2 months"),
        (rows_of([0, 0, 0]), "every value is zero"),
        (rows_of(["", "", ""]), "every value is missing"),
        (rows_of([1, "abc", 3]), "row 3, column 'oil': 'abc' is not a number"),
        (rows_of([1, "inf", 3]), "row 3, column 'oil': 'inf' is infinite"),
        (rows_of(["1,5", 2, 3]), "row 2 has a cell beyond the 2 columns"),
        (rows_of([1] * 5 + [""] * 13 + [1] * 90), "no value for 13 months from 2024-06"),
        (rows_of([1, "", 1, "", 1, 1]), "lacks 2 of 6 months, the first 2024-02"),
        ("series,month,value\na,2024-01,1\na,2024-01,2\na,2024-02,3\n", "2024-01, 1 and 2 .rows 2 and 3"),
        ("month,oil\n2024-01-01,1\n2024-01-02,2\n2024-01-03,3\n", "daily or weekly"),
        ("month,oil\n2024-01-01,1\n2024-04-01,2\n2024-07-01,3\n", "quarterly"),
        ("month,oil\n2021-01,1\n2022-01,2\n2023-01,3\n", "yearly"),
        ("month,oil\n2024Q1,1\n2024Q2,2\n", "quarter"),
        ("year,oil\n2021,1\n2022,2\n", "'2021' is a year"),
        ("a,b\nx,1\ny,2\n", "no column of months"),
        ("year,jan,feb,mar,apr,may,jun\n2021,1,2,3,4,5,6\n2022,1,2,3,4,5,6\n", "years by months"),
        ("month,oil,oil \n2024-01,1,2\n2024-02,1,2\n", "two columns are named 'oil'"),
        ("name,2024-01,2024-02,2024-03\na,1,2,3\na,1,2,3\n", "two rows are named 'a'"),
        ("a,b,2024-01,2024-02,2024-03\nx,y,1,2,3\n", "'a', 'b' may name the series"),
        ("month,,gas\n2024-01,5,2\n2024-02,1,2\n", "column 2 has values but no name"),
        ("series,month,value\n,2024-01,1\n", "no series is named"),
        ("month,country,tonnes\n2024-01,JP,1\n", "column 'country' holds no number but text such as 'JP'"),
        ("month,value,std_error,gas\n2024-01,1,2,3\n", "'std_error' may be a series or tell about one"),
        ("date,month,oil\n2024-01-01,1,2\n", "'month' may be a series or tell about one"),
        ("series,month,value,y\na,2024-01,1,2\n", "'value', 'y' may all hold the values"),
        ("series,series,month,value\na,b,2024-01,1\n", "two columns are named 'series'"),
        ("id,name,month,value\n1,oil,2024-01,1\n1,gas,2024-01,1\n", "apart by another column"),
        ("code,2024-01,2024-02,2024-03\n190110,1,2,3\n", "the header and a column look like months"),
        ("a,2024Q1,2024Q2\nx,1,2\n", "'2024Q1' is a quarter"),
        ("a,2021,2022\nx,1,2\n", "'2021' is a year"),
        (rows_of([1, 2, 3]) + ",4\n", "row 5, column 'month': the month is missing"),
        ("month,нефть\n2024-01,1\n".encode("cp1251"), "encoding that cannot be told"),
        ("series,month,tons,yen\na,2024-01,1,2\n", "name the column of values"),
        ("month,oil\n01/02/2024,1\n02/03/2024,2\n", "day/month or month/day"),
        ("foo,oil\nbar,1\n2024-02,2\n2024-03,3\n", "both look like the header"),
        ("month,oil\nbar,1\n2024-02,2\n2024-03,3\n", "row 2, column 'month': 'bar' is not a month"),
        ("month,oil\n2024-01,1\n2024-02,2\nTotal,3\n", "row 4.*'Total' is not a month"),
        ("month,oil\n2024-01,1\n,2\n2024-03,3\n", "row 3.*month is missing"),
        ('month,oil\n2024-01,"1\n2024-02,2\n', "row 2 cannot be split.*check its quotes"),
        ("month,o\x07il\n2024-01,1\n2024-02,2\n2024-03,3\n", "control characters"),
        ("month," + "o" * 301 + "\n2024-01,1\n2024-02,2\n2024-03,3\n", "300 characters"),
        ("series,month,value,stage\n" + "".join(f"a,{m},1,odd\n" for m in column()), "'odd', but a stage"),
        ("series,month,value,std_error\n" + "".join(f"a,{m},1,-1\n" for m in column()), "standard error"),
        ("series,month,value,unit\na,2024-01,1,t\na,2024-02,1,t\na,2024-03,1,kg\n", "one unit"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "a picture"),
        (b"%PDF-1.4", "a PDF"),
        (b"\x80\x04\x95" + bytes(20), "pickle"),
        (b'[{"month": 1}]', "JSON"),
        (b"<html>", "web page"),
        (b"month,oil\x00\n", "not text"),
        (b"PAR1" + bytes(40), "Parquet file cannot be read"),
        (b"PK\x03\x04" + bytes(40), "Excel file cannot be read"),
        (b"\xd0\xcf\x11\xe0" + bytes(40), "before 2007"),
        (b"\xd0\xcf\x11\xe0" + "EncryptedPackage".encode("utf-16-le"), "password"),
        (b"\x1f\x8b\x08\x00oops", "gzip"),
        (gzip.compress(b"month,oil\n" * 1000, mtime=0)[:-10], "gzip"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_was_found(tmp_path, text, match):
    refused(saved(tmp_path, text), f"^trade.csv: .*{match}")


def test_a_missing_file_suggests_near_names(tmp_path):
    saved(tmp_path, GOOD, "exports.csv")
    refused(tmp_path / "export.csv", "did you mean 'exports.csv'")
    refused(tmp_path / "nowhere" / "a.csv", "nor a folder")
    refused(tmp_path, "is a folder")


def test_a_huge_file_is_refused_unread(tmp_path):
    with (tmp_path / "huge.csv").open("wb") as file:
        file.truncate(3 * 2**30)
    refused(tmp_path / "huge.csv", "more than 256 MB")


def test_a_bomb_is_refused(tmp_path):
    refused(saved(tmp_path, gzip.compress(bytes(300 * 2**20), 1), "bomb.csv.gz"), "more than 256 MB")


def test_an_archive_is_not_a_workbook(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.csv", GOOD)
    refused(tmp_path / "a.zip", "a zip archive")
