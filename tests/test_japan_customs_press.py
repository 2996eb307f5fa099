"""The press release: golden figures of July 2025, cells as they are printed, other countries, damaged files."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as given_settings
from hypothesis import strategies as st
from japan_customs_bytes import DETAILED, RUSSIA_IMPORTS, catalogue, damaged, holds, outcome, press_file, raw

from forecasting.catalogue import Catalogue
from forecasting.errors import DataError
from forecasting.sources.base import RECORD_COLUMNS, Ask, Flow
from forecasting.sources.japan_customs_press import SOURCE

ROOT = Path(__file__).resolve().parent.parent
WHOLE = Catalogue.from_table(pd.read_csv(ROOT / "data" / "catalogue.csv", dtype=str))
JULY = pd.Period("2025-07", "M")


def read(content: bytes, known: Catalogue = WHOLE) -> pd.DataFrame:
    return SOURCE.parse(raw(content, "https://www.customs.go.jp/x.xml"), known).records


@pytest.fixture(scope="module")
def july() -> pd.DataFrame:
    return read(press_file()).set_index("series")


@pytest.mark.parametrize(
    ("series", "value", "unit"),
    [
        ("jp_ru.exports.value", 34638, "mn_jpy"),
        ("jp_ru.exports.transport.motor_vehicles.cars.quantity", 17045, "units"),
        ("jp_ru.exports.transport.motor_vehicles.cars.value", 19661, "mn_jpy"),
        ("jp_ru.exports.transport.car_parts.quantity", 1792, "tonnes"),
        ("jp_ru.exports.transport.motorcycles.quantity", 1, "thousand_units"),
        ("jp_ru.exports.chemicals.value", 1418, "mn_jpy"),
        ("jp_ru.exports.chemicals.medical.quantity", 13652, "kg"),
        ("jp_ru.imports.value", 68609, "mn_jpy"),
        ("jp_ru.imports.mineral_fuels.lng.quantity", 444, "kilotonnes"),
        ("jp_ru.imports.mineral_fuels.lng.value", 38868, "mn_jpy"),
        ("jp_ru.imports.mineral_fuels.coal.quantity", 220, "kilotonnes"),
        ("jp_ru.imports.mineral_fuels.coal.value", 4312, "mn_jpy"),
        ("jp_ru.imports.mineral_fuels.crude.quantity", 25, "megalitres"),
        ("jp_ru.imports.food.fish.quantity", 10749, "tonnes"),
        ("jp_ru.imports.food.value", 12171, "mn_jpy"),
        ("jp_ru.imports.manufactured_goods.nonferrous.quantity", 4366, "tonnes"),
        ("jp_world.exports.value", 9359085, "mn_jpy"),
    ],
)
def test_figures_of_july_2025(july: pd.DataFrame, series: str, value: float, unit: str) -> None:
    row = july.loc[series]
    assert (row["value"], row["unit"], row["month"]) == (value, unit, JULY)


def test_the_embedded_figures_of_that_file_come_out_again(july: pd.DataFrame) -> None:
    embedded = pd.read_csv(ROOT / "data" / "observations.csv", dtype={"std_error": str})
    embedded = embedded[embedded["source"] == "press_2025074en.xml"].set_index("series")
    both = july.index.intersection(embedded.index)
    assert len(both) > 25
    assert (july.loc[both, "value"] == embedded.loc[both, "value"]).all()
    assert (july.loc[both, "unit"] == embedded.loc[both, "unit"]).all()


def test_a_dash_is_nothing_traded_and_an_empty_cell_no_figure(july: pd.DataFrame) -> None:
    assert july.loc["jp_ru.exports.transport.motor_vehicles.buses_trucks.quantity", "value"] == 0
    assert july.loc["jp_ru.imports.food.fruits.value", "value"] == 0
    assert "jp_ru.imports.food.vegetables.value" not in july.index


def test_records_have_the_columns_of_the_seam_and_one_row_a_series(july: pd.DataFrame) -> None:
    table = july.reset_index()
    assert list(table[list(RECORD_COLUMNS)].columns) == list(RECORD_COLUMNS)
    assert not table.duplicated(["series", "month"]).any()
    assert set(table["unit"]) == {WHOLE[one].unit for one in table["series"]}


def test_stage_and_day_stand_in_the_file() -> None:
    first = read(press_file()).iloc[0]
    assert (first["stage"], first["published"], first["dated"]) == ("provisional", date(2025, 8, 20), "printed")
    later = read(press_file(DETAILED, "August 28, 2025"))
    stages = later.groupby(later["series"].str.contains("imports"))["stage"].unique()
    assert (list(stages[False]), list(stages[True])) == (["detailed"], ["nine_digit"])


@pytest.mark.parametrize(("title", "day"), [(None, date(2025, 8, 20)), (DETAILED, date(2025, 8, 31))])
def test_without_a_day_the_rule_gives_one(title: str | None, day: date) -> None:
    made = read(press_file(**({"title": title} if title else {}), day=""))
    assert set(made["published"]) == {day}
    assert set(made["dated"]) == {"rule"}


def test_another_country_is_a_few_lines_of_catalogue() -> None:
    known = catalogue(
        ("jp_kr.exports.machinery.value", "bn_jpy", "701"), ("jp_de.imports.value", "mn_jpy"),
        ("jp_kr.exports.cars.quantity", "thousand_units", "7050301"),
    )  # fmt: skip
    rows = (("6 MACHINERY", 1, "   ", "", "123,456"), (" (CAR)", 2, " NO", "1,500", "900"))
    content = press_file(exports=rows, imports=(), area="R KOREA", areas=[("GERMANY", "242,921", "287,205")])
    made = read(content, known).set_index("series")["value"]
    assert made.to_dict() == {
        "jp_kr.exports.machinery.value": 123.456, "jp_de.imports.value": 287205, "jp_kr.exports.cars.quantity": 1.5,
    }  # fmt: skip


def test_the_same_name_is_another_code_in_the_other_direction() -> None:
    known = catalogue(("jp_ru.exports.x.value", "mn_jpy", "70503"), ("jp_ru.imports.x.value", "mn_jpy", "70503"))
    made = read(press_file(), known).set_index("series")["value"]
    assert made["jp_ru.exports.x.value"] == 19661  # motor vehicles
    assert made["jp_ru.imports.x.value"] == 0  # parts of motor vehicles


def test_ten_days_are_not_a_month() -> None:
    title = "Value of Exports and Imports July 2025 (First 10 days Provisional)"
    reading = SOURCE.parse(raw(press_file(title)), WHOLE)
    assert reading.records.empty
    assert list(reading.records.columns) == list(RECORD_COLUMNS)
    assert "part of a month" in reading.remarks[0]


def test_a_page_of_another_period_is_passed_over() -> None:
    content = press_file().replace(b"<taishokikan>July 2025", b"<taishokikan>January - July 2025")
    assert set(read(content)["series"]) == {
        f"jp_{one}.{flow}.value" for one in ("ru", "world") for flow in ("exports", "imports")
    }


def test_a_name_that_has_changed_is_said() -> None:
    rows = tuple((name.replace("LNG", "NATURAL GAS"), *rest) for name, *rest in RUSSIA_IMPORTS)
    reading = SOURCE.parse(raw(press_file(imports=rows)), WHOLE)
    assert any("jp_ru.imports.mineral_fuels.lng.value" in one for one in reading.remarks)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((b"TMT</tani><suryo>444", b"QQQ</tani><suryo>444"), "QQQ"),
        ((b"TMT</tani><suryo>444", b" NO</tani><suryo>444"), "found units"),
        ((b"<kagaku>38,868", b"<kagaku>38,86"), "expected a number"),
        ((b"<kagaku>38,868", b"<kagaku>-38,868"), "expected a number"),
        ((b"<exportkagakue>34,638", b"<exportkagakue>34,639"), "contradicts itself"),
        ((b"July 2025 (Provisional)", b"July 2025 (Guess)"), "its stage"),
        ((b"<taishoymtonen>July 2025", b"<taishoymtonen>2025"), "a month such as"),
        ((b"<hodoxml>", b'<!DOCTYPE a [<!ENTITY b "c">]><hodoxml>'), "without a document type"),
        ((b"</hodoxml>", b""), "breaks off"),
        ((b"<?xml version", b"<!DOCTYPE html><html><title>Error 503</title><x version"), "web page 'Error 503'"),
    ],
)
def test_what_is_wrong_is_refused_in_one_line(change: tuple[bytes, bytes], said: str) -> None:
    content = press_file()
    assert change[0] in content
    with pytest.raises(DataError, match="expected") as error:
        read(content.replace(*change))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@given_settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_bytes_end_in_one_line_or_in_figures_of_the_right_unit(data: st.DataObject) -> None:
    holds(outcome(SOURCE, damaged(data, press_file()), WHOLE), WHOLE)


def test_steps_ask_for_both_stages_of_every_month_and_take_no_for_an_answer() -> None:
    ask = Ask(WHOLE, ("jp_ru.exports.value",), pd.Period("2025-11", "M"), pd.Period("2026-01", "M"))
    steps, asked = SOURCE.steps(ask), []
    address = next(steps)
    while address is not None:
        asked.append(address)
        try:
            address = steps.send(None)
        except StopIteration:
            break
    assert all(one.optional for one in asked)
    assert [one.url.rpartition("/")[2] for one in asked][:3] == ["2025114e.xml", "2025115e.xml", "2025124e.xml"]
    assert asked[-1].url == "https://www.customs.go.jp/toukei/shinbun/trade-st_e/2026/2026015e.xml"


def test_it_offers_totals_of_printed_areas_and_goods_that_have_a_row() -> None:
    offered = SOURCE.offers(WHOLE)
    assert "jp_ru.imports.mineral_fuels.lng.quantity" in offered
    assert all(Flow.of(WHOLE[one]) is not None for one in offered)
    assert not SOURCE.offers(
        catalogue(("de_kz.exports.value", "usd"), ("jp_kz.exports.cars.value", "mn_jpy", "7050301"))
    )
