"""Tables come back as written, or the old file stays; the cache never returns what was not put in."""

from __future__ import annotations

import errno
import io
import json
import os
import stat
import sys
import tempfile
import threading
import time
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting import store
from forecasting.errors import DataError
from forecasting.observations import OBSERVATION_COLUMNS
from forecasting.store import Cache, cache_key, csv_text, write_table

ENDINGS = (".csv", ".json", ".parquet", ".xlsx")
READERS = {
    ".csv": lambda path: pd.read_csv(path, converters={"q50": lambda text: float(text or "nan")}),
    ".json": lambda path: pd.DataFrame(json.loads(path.read_text("utf-8"))),
    ".parquet": pd.read_parquet,
    ".xlsx": pd.read_excel,
}
HOSTILE = ("=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "＝1+1")


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "series": ["jp_ru.exports.value", "jp_ru.imports.value", "日本"],
            "period": pd.PeriodIndex(["2026-09", "2026-10", "2026-11"], freq="M"),
            "step": [1, 2, 3],
            "q50": [1 / 3, np.nan, 1e-17 + 123456.789],
        }
    )


@pytest.mark.parametrize("ending", ENDINGS)
def test_round_trip_and_same_bytes(ending: str, table: pd.DataFrame, tmp_path: Path) -> None:
    first, second = tmp_path / f"a{ending}", tmp_path / f"b{ending.upper()}"
    write_table(table, first)
    time.sleep(0.01)
    write_table(table.copy(), second)
    assert first.read_bytes() == second.read_bytes()
    read = READERS[ending](first)
    assert read["period"].tolist() == ["2026-09", "2026-10", "2026-11"]
    assert read["series"].tolist() == table["series"].tolist()
    # Excel itself keeps 15 digits or more; openpyxl writes all of them.
    np.testing.assert_array_equal(read["q50"].astype(float), table["q50"])
    assert read["step"].tolist() == [1, 2, 3]
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted([first.name, second.name])


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5))
def test_text_forms_keep_every_digit(values: list[float]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for ending in (".csv", ".json"):
            path = Path(folder) / f"t{ending}"
            write_table(pd.DataFrame({"q50": values}), path)
            assert READERS[ending](path)["q50"].astype(float).tolist() == values


def test_standard_output_is_the_file(table: pd.DataFrame, tmp_path: Path) -> None:
    write_table(table, tmp_path / "a.csv")
    assert csv_text(table) == (tmp_path / "a.csv").read_text("utf-8")


def test_missing_is_null_in_json(table: pd.DataFrame, tmp_path: Path) -> None:
    write_table(table, tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text("utf-8"))[1] == {
        "series": "jp_ru.imports.value",
        "period": "2026-10",
        "step": 2,
        "q50": None,
    }


@pytest.mark.parametrize("ending", ENDINGS)
def test_empty_table(ending: str, table: pd.DataFrame, tmp_path: Path) -> None:
    write_table(table.head(0), tmp_path / f"a{ending}")
    assert len(READERS[ending](tmp_path / f"a{ending}")) == 0


def test_months_as_index_become_a_column(tmp_path: Path) -> None:
    wide = pd.DataFrame({"a": [1.5]}, index=pd.period_range("2026-08", periods=1, freq="M", name="month"))
    assert csv_text(wide) == "month,a\n2026-08,1.5\n"


@pytest.mark.parametrize("text", HOSTILE)
def test_formula_like_ids_stay_text(text: str, tmp_path: Path) -> None:
    from openpyxl import load_workbook

    hostile = pd.DataFrame({text: [text], "series": ["plain"]})
    write_table(hostile, tmp_path / "a.xlsx")
    sheet = load_workbook(tmp_path / "a.xlsx")["forecast"]
    assert [sheet["A1"].data_type, sheet["A2"].data_type] == ["s", "s"]
    assert sheet["A2"].value == text
    assert sheet["A2"].quotePrefix
    assert pd.read_csv(io.StringIO(csv_text(hostile))).iloc[0, 0] == f"'{text}"
    write_table(hostile, tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text("utf-8"))[0][text] == text


def test_negative_numbers_and_dashes_are_no_formulas() -> None:
    assert csv_text(pd.DataFrame({"q50": [-1.5], "text": ["-"], "number": ["-1,200.5"]})).endswith(
        '-1.5,-,"-1,200.5"\n'
    )


def test_excel_sheet_is_readable(table: pd.DataFrame, tmp_path: Path) -> None:
    from openpyxl import load_workbook

    write_table(table.assign(note="control \x00 character"), tmp_path / "a.xlsx")
    sheet = load_workbook(tmp_path / "a.xlsx")["forecast"]
    assert sheet.freeze_panes == "A2"
    assert sheet["A1"].font.bold
    assert sheet.column_dimensions["A"].width > 18
    assert sheet["D4"].number_format == "#,##0"


@pytest.mark.parametrize("ending", ENDINGS)
def test_failure_keeps_the_old_file(
    ending: str, table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"a{ending}"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for broken in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(store.os, broken, full)
            with pytest.raises(DataError, match="was not written: No space left"):
                write_table(table, path)
        assert path.read_text() == "old"
        assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_refusals_name_the_way_out(table: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"use \.csv, \.json, \.parquet, \.xlsx"):
        write_table(table, tmp_path / "a.txt")
    with pytest.raises(DataError, match="does not exist: make it first"):
        write_table(table, tmp_path / "missing" / "a.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match="was not written"):
        write_table(table, tmp_path / "folder.csv")
    with pytest.raises(DataError, match="infinite"):
        write_table(table.assign(q50=np.inf), tmp_path / "a.json")
    with pytest.raises(DataError, match="two columns named a"):
        write_table(pd.DataFrame([[1, 2]], columns=["a", "a"]), tmp_path / "a.json")


def test_links_and_modes_are_kept(table: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    real = tmp_path / "real" / "a.csv"
    real.write_text("old")
    real.chmod(0o640)
    (tmp_path / "link.csv").symlink_to(real)
    write_table(table, tmp_path / "link.csv")
    assert (tmp_path / "link.csv").is_symlink()
    assert real.read_text().startswith("series,")
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


# --- Reading and finding


def observed(folder: Path, **changes: str) -> Path:
    row = dict(zip(OBSERVATION_COLUMNS, ["s", "2026-08", "0.1", "mn_jpy", "detailed", "", "press"], strict=True))
    row.update(changes)
    (folder / "observations.csv").write_text(",".join(row) + "\n" + ",".join(row.values()) + "\n", "utf-8")
    return folder


def test_reads_observations(tmp_path: Path) -> None:
    table = store.read_stored_observations(observed(tmp_path, series="NA"))
    assert table["month"].tolist() == [pd.Period("2026-08", "M")]
    assert table["series"].tolist() == ["NA"]
    assert table["value"].tolist() == [0.1]
    assert table["std_error"].isna().all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"month": "2026-13"}, "line 2: '2026-13' is not a month"),
        ({"month": ""}, "line 2: '' is not a month"),
        ({"value": "12,3"}, "cannot be read|not a month|is not a number"),
        ({"value": "many"}, "line 2: value 'many' is not a number"),
        ({"value": "inf"}, "line 2: value 'inf' is not a number"),
    ],
)
def test_wrong_observations_name_the_line(changes: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        store.read_stored_observations(observed(tmp_path, **changes))


def test_missing_or_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist: run tradecast inside the project"):
        store.read_stored_observations(tmp_path)
    (tmp_path / "observations.csv").write_bytes(b"")
    with pytest.raises(DataError, match="cannot be read as a CSV table"):
        store.read_stored_observations(tmp_path)
    (tmp_path / "observations.csv").write_text("series,month\na,2026-08\n")
    with pytest.raises(DataError, match="lacks the column value; it has series, month"):
        store.read_stored_observations(tmp_path)
    (tmp_path / "observations.csv").write_bytes(b"series\n\xff\xfe\n")
    with pytest.raises(DataError, match="cannot be read as a CSV table"):
        store.read_stored_observations(tmp_path)


def test_repository_data_are_read() -> None:
    folder = store.PACKAGE.parent / "data"
    catalogue = store.read_catalogue(folder)
    assert set(store.read_stored_observations(folder)["series"]) <= set(catalogue)
    assert len(store.file_digest(folder / "catalogue.csv")) == 64


def test_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TRADECAST_HOME", "TRADECAST_CACHE"):
        monkeypatch.delenv(name, raising=False)
    project = tmp_path / "project"
    (project / "data").mkdir(parents=True)
    (project / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(project / "deep" / "er")
    (project / "data" / "catalogue.csv").write_text("sku,price\n")
    assert store.data_folder() == store.PACKAGE.parent / "data"
    (project / "data" / "catalogue.csv").write_text("id,title,unit,parent\n")
    assert store.data_folder() == project / "data"
    assert store.cache_folder() == project / ".cache"
    monkeypatch.setattr(store, "PACKAGE", tmp_path / "site" / "forecasting")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    assert store.data_folder() == tmp_path / "site" / "forecasting" / "embedded"
    assert store.cache_folder() == tmp_path / "user" / "tradecast"
    monkeypatch.setenv("TRADECAST_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("TRADECAST_CACHE", str(tmp_path / "kept"))
    assert store.data_folder() == tmp_path / "elsewhere" / "data"
    assert store.cache_folder() == tmp_path / "kept"


# --- Cache


ARRAYS = {
    "paths": np.arange(24.0).reshape(2, 3, 4),
    "names": np.array(["a", "日本"]),
    "empty": np.zeros((0, 2)),
}


def same(found: dict[str, np.ndarray] | None) -> bool:
    return found is not None and all(np.array_equal(found[name], ARRAYS[name]) for name in ARRAYS)


def test_cache_round_trip(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "deep" / "cache")
    assert cache.get("k") is None
    assert cache.put("k", ARRAYS) == ""
    assert same(cache.get("k"))
    assert cache.get("other") is None
    assert stat.S_IMODE(cache.folder.stat().st_mode) == 0o700


def test_a_cache_keeps_only_what_is_named(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    for key in ("a", "b", "c"):
        cache.put(key, ARRAYS)
    (tmp_path / "other.txt").write_text("not of the cache")
    cache.keep_only(["b", "never put"])
    assert same(cache.get("b"))
    assert (cache.get("a"), cache.get("c")) == (None, None)
    assert (tmp_path / "other.txt").exists()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_cache_is_absent(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        cache = Cache(Path(folder))
        cache.put("k", ARRAYS)
        (path,) = cache.folder.glob("*.arrays")
        good = path.read_bytes()
        at = data.draw(st.integers(0, len(good) - 1))
        kind = data.draw(st.sampled_from(["flip", "cut", "insert", "append"]))
        piece = data.draw(st.binary(min_size=1, max_size=8))
        flipped = bytes([good[at] ^ data.draw(st.integers(1, 255))])
        damaged = {
            "flip": good[:at] + flipped + good[at + 1 :],
            "cut": good[:at],
            "insert": good[:at] + piece + good[at:],
            "append": good + piece,
        }[kind]
        path.write_bytes(damaged)
        assert cache.get("k") is None
        assert cache.put("k", ARRAYS) == ""
        assert same(cache.get("k"))


def test_a_file_of_another_key_is_foreign(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.put("a", ARRAYS)
    (path,) = tmp_path.glob("*.arrays")
    path.rename(cache._path("b"))
    assert cache.get("b") is None
    cache._path("c").mkdir()
    assert cache.get("c") is None
    os.mkfifo(cache._path("d"))
    assert cache.get("d") is None


def test_no_cache_where_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    assert Cache(tmp_path / "file").put("k", ARRAYS).startswith("Not cached in")
    assert Cache(tmp_path / "file").get("k") is None
    assert "more than the whole cache" in Cache(tmp_path / "small", most_bytes=100).put("k", ARRAYS)
    with pytest.raises(ValueError, match="allow_pickle"):
        Cache(tmp_path / "pickle").put("k", {"o": np.array([object()])})


def test_oldest_are_pruned(tmp_path: Path) -> None:
    cache = Cache(tmp_path, most_bytes=30_000)
    for at in range(5):
        cache.put(f"k{at}", {"a": np.full(1000, float(at))})
        os.utime(cache._path(f"k{at}"), (1000 + at, 1000 + at))
    cache.get("k2")  # used, so it is young again
    cache.put("k5", {"a": np.full(1000, 5.0)})
    assert cache.get("k2") is not None
    assert cache.get("k5") is not None
    assert cache.get("k3") is None
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 30_000


def test_concurrent_writers(tmp_path: Path) -> None:
    cache = Cache(tmp_path, most_bytes=40_000)
    wrong: list[str] = []

    def work(seed: int) -> None:
        for at in range(25):
            remark = cache.put(f"k{at % 4}", {"a": np.full(1500, float(at % 4))})
            found = cache.get(f"k{(at + seed) % 4}")
            if remark or (found is not None and found["a"][0] != float((at + seed) % 4)):
                wrong.append(remark or "foreign value")

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # so that writers meet between any two steps
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(usual)
    assert not wrong


@dataclass(frozen=True)
class Settings:
    order: tuple[int, ...] = (1, 0, 0)
    months: int = 12


@dataclass(frozen=True)
class OtherSettings:
    order: tuple[int, ...] = (1, 0, 0)
    months: int = 12


def test_keys_differ_where_parts_do() -> None:
    parts = [
        (), ("a",), ("a", "b"), ("ab",), ("a\nb",), (1,), (1.0,), (True,), ("1",), (None,),
        (Settings(),), (OtherSettings(),), (replace(Settings(), months=6),), ((1, 2),), ([1, 2],),
        (np.array([1, 2]),), (np.array([1.0, 2.0]),), (np.array([[1, 2]]),), ({"a": 1},), ({"a": 2},),
        (frozenset({1}),), (pd.Period("2026-08", "M"),), (pd.Period("2026-08", "Q"),), (Path("a"),),
    ]  # fmt: skip
    assert len({cache_key(*one) for one in parts}) == len(parts)
    assert cache_key(Settings(), {"a": 1, "b": 2}) == cache_key(Settings(), {"b": 2, "a": 1})
    with pytest.raises(TypeError, match="pass its digest"):
        cache_key(object())


def test_changed_code_changes_the_key(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "cli").mkdir()
    model, shown = tmp_path / "models" / "sarima.py", tmp_path / "cli" / "terminal.py"
    model.write_text("a = 1\n")
    first = store.source_digest(tmp_path)
    shown.write_text("a = 1\n")
    assert store.source_digest(tmp_path) == first
    model.write_text("a = 2\n")
    assert store.source_digest(tmp_path) != first


@pytest.mark.parametrize("month", ["0000-05", "9999-12", "٢٠٢٤-05", "2024-13", "1" * 5000])
def test_what_is_no_month_is_refused_in_a_line_that_fits(tmp_path, month):
    row = dict(zip(OBSERVATION_COLUMNS, ("s", month, "1", "kg", "latest", "", "x"), strict=True))
    pd.DataFrame([row]).to_csv(tmp_path / "observations.csv", index=False)
    with pytest.raises(DataError, match=r"line 2: .* is not a month such as 2026-08") as caught:
        store.read_stored_observations(tmp_path)
    assert len(str(caught.value)) <= 1000


@pytest.mark.parametrize("part", ["xl/workbook.xml", "xl/worksheets/sheet1.xml", "[Content_Types].xml"])
def test_a_damaged_table_of_an_earlier_forecast_is_refused(tmp_path, part):
    path = tmp_path / "before.xlsx"
    write_table(pd.DataFrame({"a": [1.0]}), path)
    with zipfile.ZipFile(path) as book:
        members = {name: book.read(name) for name in book.namelist()}
    with zipfile.ZipFile(path, "w") as book:
        for name, content in members.items():
            book.writestr(name, content[: len(content) // 2] if name == part else content)
    with pytest.raises(DataError, match=r"before.xlsx cannot be read as a table"):
        store.read_forecast_table(path)
