"""Yearly files of e-Stat: what is published, sums of codes, units of rows, ZIPs, and the way through the listing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from hashlib import sha256
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as given_settings
from hypothesis import strategies as st
from japan_customs_bytes import (
    catalogue,
    damaged,
    holds,
    hs_file,
    listing,
    month_page,
    outcome,
    parent_page,
    pc_file,
    raw,
    zipped,
)

from forecasting.catalogue import Catalogue
from forecasting.errors import DataError
from forecasting.sources import archives
from forecasting.sources.base import Address, Ask, Raw
from forecasting.sources.japan_customs_files import SOURCE
from forecasting.sources.japan_customs_listing import Told, files_of, found_class, stages_of

ROOT = Path(__file__).resolve().parent.parent
WHOLE = Catalogue.from_table(pd.read_csv(ROOT / "data" / "catalogue.csv", dtype=str))
UNTIL_JULY = {month: (10 * month, 1000 * month) for month in range(1, 8)}
ADDRESS = "https://www.e-stat.go.jp/stat-search/file-download?statInfId=1&fileKind=1"
CARS = ("1", "7050301", "224", "NO", {**UNTIL_JULY, 3: (0, 0)})
PARTS = ("2", "70503", "224", "KG", {1: (7000, 2000)})
CHINA = [("1", str(digit), "105", "", UNTIL_JULY) for digit in range(10)]
RUSSIA = [("1", str(digit), "224", "", {1: (0, 10 + digit)}) for digit in range(3, 10)]
WHOLE_FILE = [CARS, PARTS, *CHINA, *RUSSIA]


def read(content: bytes, known: Catalogue = WHOLE, address: str = "a.csv") -> dict[tuple[str, str], float]:
    table = SOURCE.parse(raw(content, address), known).records
    return {(row.series, str(row.month)): row.value for row in table.itertuples()}


@pytest.mark.parametrize("bom", [False, True])
@pytest.mark.parametrize("april", ["Apr", "Apl"])
def test_months_in_thousand_yen_become_million(april: str, bom: bool) -> None:
    made = read(pc_file(WHOLE_FILE, april=april, bom=bom))
    cars = "jp_ru.exports.transport.motor_vehicles.cars"
    assert made[f"{cars}.value", "2026-04"] == 4.0
    assert made[f"{cars}.quantity", "2026-04"] == 40
    assert made[f"{cars}.quantity", "2026-07"] == 70


def test_zeros_after_the_last_month_of_anything_are_not_published_and_zeros_before_it_are_true() -> None:
    made = read(pc_file(WHOLE_FILE))
    cars = "jp_ru.exports.transport.motor_vehicles.cars.quantity"
    assert made[cars, "2026-03"] == 0
    assert (cars, "2026-08") not in made
    assert made["jp_ru.exports.value", "2026-07"] == 0  # Russia bought nothing, but China did: the month is out


def test_what_the_portal_says_is_published_is_published() -> None:
    told = Told(pd.Period("2026-09", "M"), date(2026, 10, 29), ((1, 8, "detailed"), (9, 9, "nine_digit")))
    table = SOURCE.parse(raw(pc_file(WHOLE_FILE), f"{ADDRESS}#{told.fragment}"), WHOLE).records
    cars = table[table["series"] == "jp_ru.exports.transport.motor_vehicles.cars.value"].set_index("month")
    assert str(cars.index.max()) == "2026-09"
    assert cars.loc["2026-09", ["value", "stage"]].tolist() == [0.0, "nine_digit"]
    assert set(cars["stage"]) == {"detailed", "nine_digit"}
    assert set(table["published"]) == {date(2026, 10, 29)}
    assert set(table["dated"]) == {"printed"}
    assert Told.of(f"{ADDRESS}#{told.fragment}") == told


def test_by_hand_stage_and_day_are_not_known_and_that_is_said() -> None:
    reading = SOURCE.parse(raw(pc_file(WHOLE_FILE)), WHOLE)
    assert set(reading.records["stage"]) == {"latest"}
    assert set(reading.records["dated"]) == {"seen"}
    assert reading.records["published"].isna().all()
    assert any("after 2026-07" in one for one in reading.remarks)


def test_totals_are_the_sum_of_the_one_digit_codes_of_a_whole_file_only() -> None:
    assert read(pc_file(WHOLE_FILE))["jp_ru.exports.value", "2026-01"] == sum(range(13, 20)) / 1000
    trimmed = read(pc_file([CARS, *RUSSIA]))
    assert ("jp_ru.exports.value", "2026-01") not in trimmed
    assert ("jp_ru.exports.transport.motor_vehicles.cars.value", "2026-01") in trimmed


def test_sums_of_codes() -> None:
    rows = [("2", "2", "224", "", {1: (0, 3000)}), ("2", "4", "224", "", {1: (0, 400)}), PARTS]
    known = catalogue(("jp_ru.imports.raw_materials.value", "mn_jpy", "2+4"))
    assert read(pc_file(rows), known) == {("jp_ru.imports.raw_materials.value", "2026-01"): 3.4}


def test_a_code_that_a_country_has_no_row_of_is_zero_and_one_that_nobody_has_is_absent() -> None:
    rows = [PARTS, ("2", "007", "105", "MT", {2: (5, 6)})]
    known = catalogue(
        ("jp_ru.imports.fish.quantity", "tonnes", "007"), ("jp_ru.imports.gas.value", "mn_jpy", "3050103")
    )
    assert read(pc_file(rows), known) == {
        ("jp_ru.imports.fish.quantity", "2026-01"): 0.0, ("jp_ru.imports.fish.quantity", "2026-02"): 0.0,
    }  # fmt: skip


def test_series_that_a_file_cannot_hold_are_said_in_one_line() -> None:
    remarks = SOURCE.parse(raw(pc_file([PARTS])), WHOLE).remarks
    (said,) = [one for one in remarks if "no rows of the code" in one]
    assert "jp_ru.imports.value, jp_ru.imports.mineral_fuels.lng.value" in said
    assert said.endswith("series): not read.")


def test_a_code_belongs_to_its_direction() -> None:
    known = catalogue(("jp_ru.exports.x.value", "mn_jpy", "70503"), ("jp_ru.imports.x.value", "mn_jpy", "70503"))
    assert set(read(pc_file([PARTS, CARS]), known)) >= {("jp_ru.imports.x.value", "2026-01")}
    assert not [one for one in read(pc_file([PARTS, CARS]), known) if "exports" in one[0]]


def test_any_partner_is_a_few_lines_of_catalogue() -> None:
    rows = [("1", "701", "103", "", {1: (0, 5_000_000)}), ("2", "701", "304", "", {1: (0, 1)})]
    known = catalogue(
        ("jp_kr.exports.machinery.value", "bn_jpy", "701"), ("de_kz.exports.cars.value", "usd", "", "8703")
    )
    assert read(pc_file(rows), known) == {("jp_kr.exports.machinery.value", "2026-01"): 5.0}
    assert SOURCE.offers(known) == ("jp_kr.exports.machinery.value",)


LNG = ("2", "271111000", "224", "", "MT", {1: (0, 444_000, 38_868_123), 2: (0, 0, 0)})
CAR_ROWS = [
    ("1", "870321915", "224", "NO", "KG", {1: (100, 120_000, 5000)}),
    ("1", "870322900", "224", "NO", "KG", {1: (50, 60_000, 2500)}),
]


def test_nine_digit_files_are_summed_by_the_beginning_of_the_code_and_by_the_unit_of_each_row() -> None:
    made = read(hs_file([LNG, *CAR_ROWS]))
    assert made["jp_ru.imports.mineral_fuels.lng.quantity", "2026-01"] == 444.0
    assert made["jp_ru.imports.mineral_fuels.lng.value", "2026-01"] == 38868.123
    assert made["jp_ru.exports.transport.motor_vehicles.cars.quantity", "2026-01"] == 150
    assert made["jp_ru.exports.transport.motor_vehicles.cars.value", "2026-01"] == 7.5


def test_the_world_by_nine_digits() -> None:
    made = read(hs_file([("2", "271111000", "", "", "MT", {1: (0, 5_000_000, 400_000_000)})]))
    assert made == {
        ("jp_world.imports.mineral_fuels.lng.quantity", "2026-01"): 5_000_000.0,
        ("jp_world.imports.mineral_fuels.lng.value", "2026-01"): 400_000.0,
    }


def test_a_row_without_a_fitting_unit_is_refused_unless_it_is_all_zero() -> None:
    odd = ("2", "271111000", "224", "", "  ", {1: (0, 0, 5)})
    refused = outcome(SOURCE, hs_file([odd]), WHOLE)
    assert isinstance(refused, str)
    assert "jp_ru.imports.mineral_fuels.lng.quantity" in refused
    assert "kilotonnes" in refused
    empty = ("2", "271112000", "224", "", "", {})
    known = catalogue(("jp_ru.imports.gas.quantity", "tonnes", "", "2711"))
    assert read(hs_file([LNG, empty]), known)["jp_ru.imports.gas.quantity", "2026-01"] == 444_000


def test_zips_of_several_files_by_their_content() -> None:
    older = pc_file([("2", "007", "224", "MT", {1: (5, 6000)})])
    newer = pc_file([("2", "007", "224", "MT", {1: (5, 6500), 2: (7, 8000)})])
    content = zipped(b_csv=newer, readme_txt=b"hello", a_csv=older, **{"../../evil_csv": hs_file([LNG])})
    assert SOURCE.recognises(raw(content))
    made = read(content)
    assert made["jp_ru.imports.food.fish.value", "2026-01"] == 6.5
    assert made["jp_ru.imports.mineral_fuels.lng.quantity", "2026-01"] == 444.0


def hashes(length: int) -> bytes:
    """Bytes that nothing compresses."""
    return b"".join(sha256(b"%d" % at).digest() for at in range(length // 32))


def test_a_zip_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST_BYTES", 3_000_000)
    bomb = zipped(a_csv=b"Exp or Imp,Year" + b"0" * 5_000_000)
    assert len(bomb) < 10_000
    assert SOURCE.recognises(raw(bomb))
    assert not SOURCE.recognises(raw(zipped(sheet_xml=b"<x/>")))
    assert "zip bomb" in str(outcome(SOURCE, bomb, WHOLE))
    monkeypatch.setattr(archives, "MOST_BYTES", 2_000)
    assert "zip bomb" in str(outcome(SOURCE, zipped(a_csv=hashes(3_000)), WHOLE))
    assert "cannot be unpacked" in str(outcome(SOURCE, zipped(a_csv=b"x" * 100)[:60], WHOLE))
    assert "found none" in str(outcome(SOURCE, zipped(a_csv=b"month,value\n"), WHOLE))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({b"Value-Mar": b"Worth-Mar"}, "worth-mar"),
        ({b"Value-Mar": b"Value-Jun"}, "value-jun"),
        ({b"Value-Mar": b"Value-X", b"Value-Jul": b"Value-Mar", b"Value-X": b"Value-Jul"}, "in order"),
        ({b"Commodity": b"Custom"}, "without commodity"),
        ({b",Country,": b",Custom,"}, "custom"),
        ({b"1,2026,'7050301'": b"3,2026,'7050301'"}, "expected 1 or 2"),
        ({b"1,2026,'7050301'": b"1,20 6,'7050301'"}, "a year and a code"),
        ({b"1,2026,'7050301'": b"1,2026,'70X0301'"}, "a code"),
        ({b"'7050301',224,NO,250,25000": b"'7050301',224,NO,250,26000"}, "add up to the year"),
        ({b"'7050301',224,NO": b"'7050301',224,GT"}, "found 'GT'"),
        ({b"'7050301',224,NO": b"'7050301',224,KG"}, "found kg"),
        ({b",70,7000,": b",70,7000"}, "cells"),
        ({b",70,7000,": b",70,70.5,"}, "expected a number"),
        ({b"'70503',224,KG": b"'7050301',224,KG", b"2,2026": b"1,2026"}, "line 2 again"),
        ({b"Exp or Imp": b"<!DOCTYPE html><title>Busy</title>Exp or Imp"}, "web page 'Busy'"),
    ],
)
def test_what_is_wrong_is_refused_in_one_line(changes: dict[bytes, bytes], said: str) -> None:
    content = pc_file(WHOLE_FILE)
    for old, new in changes.items():
        assert old in content
        content = content.replace(old, new)
    refused = outcome(SOURCE, content, WHOLE)
    assert isinstance(refused, str)
    assert said in refused
    assert "expected" in refused
    assert "\n" not in refused


def test_months_that_miss_the_year_by_little_are_read_and_said() -> None:
    content = pc_file([CARS]).replace(b"224,NO,250,25000", b"224,NO,250,25100")
    reading = SOURCE.parse(raw(content), WHOLE)
    assert any("the year is printed as 25,100" in one for one in reading.remarks)


@given_settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_bytes_end_in_one_line_or_in_figures_of_the_right_unit(data: st.DataObject) -> None:
    content = data.draw(st.sampled_from([pc_file(WHOLE_FILE), hs_file([LNG, *CAR_ROWS]), zipped(a=pc_file([CARS]))]))
    holds(outcome(SOURCE, damaged(data, content), WHOLE), WHOLE)


@given_settings(max_examples=80, deadline=None)
@given(st.dictionaries(st.integers(1, 12), st.tuples(st.integers(0, 10**9), st.integers(0, 10**12)), min_size=1))
def test_every_figure_comes_out_once_in_its_unit(cells: Mapping[int, tuple[int, int]]) -> None:
    held = [month for month, (_, value) in cells.items() if value]
    if not held:
        return
    known = catalogue(("jp_ru.imports.fish.quantity", "kg", "007"), ("jp_ru.imports.fish.value", "jpy", "007"))
    made = read(pc_file([("2", "007", "224", "MT", cells)]), known)
    assert len(made) == 2 * max(held)
    for month in range(1, max(held) + 1):
        quantity, value = cells.get(month, (0, 0))
        assert made["jp_ru.imports.fish.quantity", f"2026-{month:02d}"] == pytest.approx(1000 * quantity)
        assert made["jp_ru.imports.fish.value", f"2026-{month:02d}"] == pytest.approx(1000 * value)


# The listing


def walk(series: tuple[str, ...], since: str, answers: Mapping[str, bytes], known: Catalogue = WHOLE) -> list[Address]:
    ask = Ask(known, series, pd.Period(since, "M"), pd.Period("2026-08", "M"))
    steps, asked = SOURCE.steps(ask), []
    try:
        address = next(steps)
        while True:
            asked.append(address)
            key = next(key for key in answers if key in address.url)
            address = steps.send(Raw(answers[key], address.url, raw(b"").fetched))
    except StopIteration:
        return asked


TITLE = "2026年8月分 国別概況品別表 (輸出 1-7月：確報、8月：速報)"
PAGES = {
    "statInfId=": pc_file(WHOLE_FILE),
    "month=23070908": month_page([("000040507897", TITLE, "2026-09-29")]),
    "month=24101212": month_page([("000040300000", "2025年12月分 国別概況品別表 (輸出 1-12月：確定)", "2026-03-13")]),
    "tclass2=": listing([(2026, "11010301"), (2026, "23070908"), (2025, "24101212"), (2024, "24101212")], "1", "2"),
    "tclass1=": parent_page([("000001013199", "輸出"), ("000001013200", "輸入")]),
}


def test_through_the_listing_to_the_newest_month_of_each_year() -> None:
    asked = walk(("jp_ru.exports.value",), "2025-05", PAGES)
    assert "tclass1=000001013198&tclass2=000001013199" in asked[0].url
    assert ["year=20250&month=24101212" in asked[1].url, "year=20260&month=23070908" in asked[3].url] == [True, True]
    told = Told.of(asked[4].url)
    assert asked[4].url.startswith(f"{ADDRESS.replace('=1&', '=000040507897&')}#")
    assert told == Told(pd.Period("2026-08", "M"), date(2026, 9, 29), ((1, 7, "detailed"), (8, 8, "provisional")))
    assert Told.of(asked[2].url).stages == ((1, 12, "fixed"),)
    assert len(asked) == 5


def test_the_class_of_imports_is_found_by_its_word() -> None:
    asked = walk(("jp_ru.imports.value",), "2026-01", PAGES)
    assert "tclass2" not in asked[0].url
    assert "tclass2=000001013200" in asked[1].url
    other = walk(("jp_ru.imports.value",), "2026-01", {**PAGES, "tclass1=": parent_page([("000001013199", "輸出")])})
    assert "tclass1=000001013195&tclass2=000001013197" in other[1].url


def test_a_listing_without_links_is_said() -> None:
    with pytest.raises(DataError, match=r"e-stat\.go\.jp.*expected the list of months.*download the CSV by hand"):
        walk(("jp_ru.exports.value",), "2026-01", {**PAGES, "tclass2=": b"<html></html>"})
    with pytest.raises(DataError, match=r"no link to a file"):
        walk(("jp_ru.exports.value",), "2026-01", {**PAGES, "month=23070908": b"<html></html>"})
    with pytest.raises(DataError, match=r"found the web page 'Sorry'"):
        walk(("jp_ru.exports.value",), "2026-01", {**PAGES, "statInfId=": b"<!DOCTYPE html><title>Sorry</title>"})


def test_of_nine_digit_files_only_those_that_hold_the_chapter() -> None:
    files = [("1", "2026年8月分 品別国別表 第25類-第27類 (輸入 8月：輸入9桁速報)", "2026-09-29"),
             ("2", "2026年8月分 品別国別表 86-89類 (輸入 8月：輸入9桁速報)", "2026-09-29")]  # fmt: skip
    known = catalogue(("jp_ru.imports.gas.value", "mn_jpy", "", "271111"))
    pages = {**PAGES, "month=23070908": month_page(files), "statInfId=": hs_file([LNG])}
    asked = walk(("jp_ru.imports.gas.value",), "2026-01", pages, known)
    assert [Told.of(one.url).covers for one in asked if "statInfId=1&" in one.url] == [pd.Period("2026-08", "M")]
    assert not [one for one in asked if "statInfId=2&" in one.url]


@pytest.mark.parametrize(
    ("title", "stages"),
    [
        ("(輸入 1-6月:確報、7月:輸入9桁速報)", ((1, 6, "detailed"), (7, 7, "nine_digit"))),
        ("(輸出 1-12月:確定)", ((1, 12, "fixed"),)),
        ("(輸入 1~11月:確報,12月:確々報)", ((1, 11, "detailed"), (12, 12, "revised"))),
        ("(輸出 確報)", ((1, 8, "detailed"),)),
        ("(輸出)", ()),
    ],
)
def test_stages_stand_in_the_title(title: str, stages: tuple[tuple[int, int, str], ...]) -> None:
    assert stages_of(title, 8) == stages


def test_found_class_and_files_of_a_page_of_another_kind_are_empty() -> None:
    assert found_class("<html>輸入</html>", "imports") == ""
    assert files_of("<html>", pd.Period("2026-08", "M")) == []


def test_recognised_by_the_header_never_by_the_name() -> None:
    assert SOURCE.recognises(raw(pc_file(WHOLE_FILE, bom=True), "photo.jpg"))
    assert not SOURCE.recognises(raw(b"month,value\n", "Exp or Imp.csv"))


def test_a_day_of_publication_that_cannot_be_is_none() -> None:
    pages = {**PAGES, "month=23070908": month_page([("000040507897", TITLE, "2026-02-30")])}
    asked = walk(("jp_ru.exports.value",), "2026-01", pages)
    assert [Told.of(one.url).published for one in asked if "statInfId=" in one.url] == [None]
