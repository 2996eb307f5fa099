"""Partitions: what is read, what is refused and how it is said, and that a file is there whole or not at all."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.errors import DataError
from forecasting.partitions import Folder, _whole, packed, parse, split


def content(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def rows(series: str, values: list[float], first: str = "2020-01") -> pd.DataFrame:
    months = pd.period_range(first, periods=len(values), freq="M").to_timestamp()
    return pd.DataFrame({"series": series, "month": months, "value": values})


@pytest.mark.parametrize("months", ["timestamp", "date", "text", "day"])
@pytest.mark.parametrize("names", [("series", "month", "value"), ("unique_id", "ds", "y")])
def test_dates_and_texts_and_both_sets_of_names_say_the_same(months: str, names: tuple[str, str, str]) -> None:
    table = pd.concat([rows("b", [1.0, 2.0, 3.0]), rows("a", [4.0, np.nan, 6.0], "2020-02")])
    stamps = table["month"]
    table["month"] = {
        "timestamp": stamps,
        "date": stamps.dt.date,
        "text": stamps.dt.strftime("%Y-%m"),
        "day": stamps.dt.strftime("%Y-%m-%d"),
    }[months]
    read = parse(content(table.set_axis(list(names), axis=1)), "p")
    assert read.refused == {"a": "has 2 months with a value; 3 are needed"}
    assert read.series == ("b",)
    assert read.y["b"].dropna().tolist() == [1.0, 2.0, 3.0]
    assert str(read.y.index[0]) == "2020-01"


def test_rows_in_any_order_give_the_same_table() -> None:
    table = pd.concat([rows(one, [1.0, 2.0, 5.0, 3.0]) for one in ("x", "ä", "A")])
    shuffled = table.sample(frac=1.0, random_state=3)
    first, second = parse(content(table), "p"), parse(content(shuffled), "p")
    pd.testing.assert_frame_equal(first.y, second.y)
    assert first.series == ("A", "x", "ä")


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (pd.concat([rows("s", [1.0, 2.0, 3.0]), rows("s", [9.0])]), "two values for a month"),
        (rows("s", [1.0, np.inf, 3.0]), "infinite"),
        (rows("s", [1.0, 1e300, 3.0]), "beyond 1e15"),
        (rows("s", [0.0] * 30), "zero in every month"),
        (rows("s", [1.0, *[np.nan] * 13, 2.0, 3.0]), "no value for 13 months in a row"),
        (rows("s", [1.0, np.nan, np.nan, 4.0, 5.0, np.nan, np.nan, 6.0]), "lacks 4 of 8 months"),
        (rows("s" * 301, [1.0, 2.0, 3.0]), "longer than 300"),
        (rows("s\x1b[2J", [1.0, 2.0, 3.0]), "control characters"),
        (rows("s", [1.0, 2.0, 3.0]).assign(unit=["t", "kg", "t"]), "more than one unit, kg and t"),
        (rows("s", [1.0, 2.0, 3.0], "1850-01"), "outside 1900 to 2199"),
    ],
)
def test_what_is_wrong_with_a_series_keeps_only_that_series_out(wrong: pd.DataFrame, why: str) -> None:
    good = rows("good", [1.0, 2.0, 3.0, 4.0]).assign(unit="t")
    read = parse(content(pd.concat([wrong, good])), "p")
    assert read.series == ("good",)
    assert read.units == {"good": "t"}
    (said,) = read.refused.values()
    assert why in said


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (rows("s", [1.0]).drop(columns="value"), "lacks the column value \\(or y\\); it has series, month"),
        (rows("s", [1.0, 2.0]).assign(value=["1", "2"]), "values are of type .*: write numbers"),
        (rows("s", [1.0, 2.0]).assign(month=["2020-01", "2020-13"]), "'2020-13' is not a month"),
        (rows("s", [1.0, 2.0]).assign(month=[1, 2]), "months are of type int64"),
        (rows("s", [1.0, 2.0]).assign(series=["s", None]), "1 rows without a series"),
    ],
)
def test_a_file_of_the_wrong_form_is_refused_in_one_line(table: pd.DataFrame, why: str) -> None:
    with pytest.raises(DataError, match=why) as caught:
        parse(content(table), "p.parquet")
    assert "\n" not in str(caught.value)


@given(st.integers(0, 2000), st.integers(0, 255))
def test_damaged_bytes_are_refused_or_read_but_never_break(at: int, byte: int) -> None:
    whole = bytearray(content(rows("s", [1.0, 2.0, 3.0, 4.0])))
    whole[at % len(whole)] = byte
    for damaged in (bytes(whole), bytes(whole[: at % len(whole)])):
        with contextlib.suppress(DataError):
            read = parse(damaged, "p")
            assert set(read.series) | set(read.refused)


def test_a_folder_lists_parquet_files_in_order_and_leaves_hidden_ones_out(tmp_path: Path) -> None:
    for name in ("b.parquet", "a/x.parquet", "_part.parquet", ".hidden/y.parquet", "a/readme.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert Folder(str(tmp_path)).partitions() == ("a/x.parquet", "b.parquet")


@pytest.mark.parametrize("name", ["../out.parquet", "a/../../b.parquet", "/etc/x.parquet", "", "a//b", "..\\x.parquet"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="no name of a file inside a folder"):
        Folder(str(tmp_path / "out")).write(name, b"x")
    assert list(tmp_path.rglob("*")) == []


def test_what_a_result_was_made_from_is_read_from_its_footer(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    table = pd.DataFrame({"series": ["a"], "q50": [1.5]})
    folder.write("deep/one.parquet", packed(table, {"key": "k", "failures": [["ß", "why"]]}))
    assert folder.footer("deep/one.parquet") == {"key": "k", "failures": [["ß", "why"]]}
    assert folder.footer("absent.parquet") is None
    (tmp_path / "torn.parquet").write_bytes((tmp_path / "deep/one.parquet").read_bytes()[:-9])
    assert folder.footer("torn.parquet") is None
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "deep" / "one.parquet"), table)
    assert packed(table, {"key": "k"}) == packed(table, {"key": "k"})
    assert [one.name for one in tmp_path.rglob("*.part")] == []


@pytest.mark.parametrize("ending", [".parquet", ".csv"])
def test_a_large_file_is_cut_into_whole_series(ending: str, tmp_path: Path) -> None:
    many = [rows(f"{at:03d}", [1.0 + at, 2.0, 3.0, 4.0]) for at in range(23)]
    table = pd.concat([*many, rows("bad", [1.0])]).sample(frac=1.0, random_state=1).assign(unit="t", more=1)
    source = tmp_path / f"all{ending}"
    table.to_parquet(source) if ending == ".parquet" else table.to_csv(source, index=False)
    folder = Folder(str(tmp_path / "cut"))
    seen: list[int] = []
    made = split(source, folder, 5, seen.append)
    assert (made.partitions, made.series, made.refused, seen[-1]) == (5, 24, 1, 24)
    found = [parse(folder.read(one), one) for one in folder.partitions()]
    assert [len(one.series) + len(one.refused) for one in found] == [5, 5, 5, 5, 4]
    whole = parse(content(table), "whole")
    pd.testing.assert_frame_equal(pd.concat([one.y for one in found], axis=1).sort_index(), whole.y)
    assert set(found[0].units.values()) == {"t"}
    with pytest.raises(DataError, match="holds partitions already"):
        split(source, folder, 5)


def test_a_column_that_is_there_twice_is_refused_in_one_line() -> None:
    table = pa.Table.from_pandas(rows("s", [1.0, 2.0, 3.0]).assign(unit="t"), preserve_index=False)
    buffer = io.BytesIO()
    pq.write_table(table.append_column("unit", table["unit"]), buffer)
    with pytest.raises(DataError, match=r"^p has two columns unit: name each once[.]$"):
        parse(buffer.getvalue(), "p")


@pytest.mark.parametrize("up", ["\x1b[31m", "u" * 301, " "])
def test_a_parent_that_is_no_name_refuses_its_part(up: str) -> None:
    table = pd.concat([rows("s", [1.0, 2.0, 3.0]).assign(parent=up), rows("t", [1.0, 2.0, 3.0]).assign(parent="s")])
    read = parse(content(table), "p")
    assert read.refused == {"s": "has a parent that is empty, longer than 300 characters or holds control characters"}
    assert read.parents == {"t": "s"}


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_series_that_go_on_over_batches_stay_whole(size: int) -> None:
    whole = pa.Table.from_pandas(
        pd.concat([rows(one, [1.0] * n).assign(root=one) for one, n in zip("abcde", (3, 1, 9, 2, 4), strict=True)])
    )
    for batch in (1, 2, 5, 100):
        pieces = list(_whole(whole.to_batches(max_chunksize=batch), size))
        assert pa.concat_tables(pieces).column("series").to_pylist() == whole.column("series").to_pylist()
        counts = [len(set(one.column("series").to_pylist())) for one in pieces]
        assert counts == [size] * (5 // size) + ([5 % size] if 5 % size else [])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a,b\n1,2\n", "lacks the column series"),
        ("", "cannot be read|lacks"),
        ("series,month,value\n", "no row"),
        ("series,month,value\ns,2020-01,three\n", "x.csv: 'three', the value of s in 2020-01, is not a number"),
    ],
)
def test_what_cannot_be_cut_is_said_in_one_line(text: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(DataError, match=why) as caught:
        split(tmp_path / "x.csv", Folder(str(tmp_path / "cut")), 5)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "cut").exists()
    with pytest.raises(DataError, match="does not exist"):
        split(tmp_path / "nothing.csv", Folder(str(tmp_path / "cut")), 5)
