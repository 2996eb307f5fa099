"""The time series: what is published, what is zero, whose columns they are, and how files are found."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as given_settings
from hypothesis import strategies as st
from japan_customs_bytes import catalogue, commodity_file, damaged, holds, outcome, raw, totals_file

from forecasting.catalogue import Catalogue
from forecasting.errors import DataError
from forecasting.sources.base import Address, Ask, Raw
from forecasting.sources.japan_customs import COUNTRIES
from forecasting.sources.japan_customs_series import SOURCE, region

ROOT = Path(__file__).resolve().parent.parent
WHOLE = Catalogue.from_table(pd.read_csv(ROOT / "data" / "catalogue.csv", dtype=str))
WORLD = {"1988/01": (2187613965, 1796164853), "2026/03": (10981365626, 10350131403), "2026/04": (0, 0)}
REGION = {
    "2026/01": (900, 800, 30_000, 50_000, 5, 6),
    "2026/02": (900, 800, 0, 60_000, 7, 0),
    "2026/03": (900, 800, 0, 0, 8, 9),
    "2026/04": (0, 0, 0, 0, 0, 0),
}
EXPORTED = (
    ("１．食料品", "'0'+'1'", ""), ("自動車", "'70503'", "NO"), ("（乗用車）", "'7050301'", "NO"),
    ("部分品", "'70505'", "KG"),
)  # fmt: skip
CELLS = {
    "1988/01": (2187613965, None, 14091115, 501624, 474842954, 400867, 389944534, 97843, 81402774),
    "2026/03": (10981365626, None, 90, 0, 0, 400, 500, None, None),
    "2026/04": (None,) * 9,
}


def read(content: bytes, known: Catalogue = WHOLE) -> dict[tuple[str, str], float]:
    table = SOURCE.parse(raw(content, "https://www.customs.go.jp/d.csv"), known).records
    return {(row.series, str(row.month)): row.value for row in table.itertuples()}


def test_world_totals_in_thousand_yen_become_million() -> None:
    made = read(totals_file(WORLD))
    assert made["jp_world.exports.value", "1988-01"] == 2187613.965
    assert made["jp_world.imports.value", "2026-03"] == 10350131.403


def test_trailing_zeros_are_months_not_yet_published() -> None:
    assert not [one for one in read(totals_file(WORLD)) if one[1] == "2026-04"]


def test_a_country_that_lags_its_area_ends_where_it_ends_and_true_zeros_stay() -> None:
    content = totals_file(REGION, ("224", "245"), "中東欧・ロシア等", "C&E EUROPE")
    known = catalogue(
        ("jp_ru.exports.value", "mn_jpy"), ("jp_ru.imports.value", "mn_jpy"), ("jp_cz.imports.value", "mn_jpy")
    )
    made = read(content, known)
    assert made["jp_ru.exports.value", "2026-01"] == 30
    assert made["jp_ru.exports.value", "2026-02"] == 0  # imports came in: nothing was exported
    assert ("jp_ru.exports.value", "2026-03") not in made
    assert made["jp_cz.imports.value", "2026-02"] == 0
    assert made["jp_cz.imports.value", "2026-03"] == 0.009
    assert len(made) == 7
    remarks = SOURCE.parse(raw(content), known).remarks
    assert any("ru ends at 2026-02" in one for one in remarks)


def test_the_total_of_an_area_is_nobodys() -> None:
    assert not read(totals_file({"2026/01": (900, 800)}, (), "中東", "MIDDLE EAST"))


def test_commodities_are_pairs_of_quantity_and_value() -> None:
    made = read(commodity_file(EXPORTED, CELLS))
    assert made["jp_world.exports.value", "1988-01"] == 2187613.965
    assert made["jp_world.exports.transport.motor_vehicles.cars.quantity", "1988-01"] == 400867
    assert made["jp_world.exports.transport.motor_vehicles.cars.value", "1988-01"] == 389944.534
    assert made["jp_world.exports.transport.car_parts.quantity", "1988-01"] == 97843
    assert made["jp_world.exports.transport.motor_vehicles.quantity", "2026-03"] == 0


# Codes and units of d61ma.csv in the order in which they stand there, and the cells of January 1988 that we carry.
IMPORTED = (
    "0+1", "0", "1", "007:MT", "003:MT", "009:MT", "01103:KG", "01101:KG", "2+4", "2", "4", "20701", "21505:MT",
    "21501:MT", "20307:MT", "3", "30301:KL", "30303", "3030301:KL", "3050103:MT", "3050101:MT", "30101:MT",
    "3010105:MT", "5", "50101", "507:KG", "6", "613:MT", "615:MT", "617", "609", "611", "605", "701", "70101:MT",
    "7010505:NO", "7010507:KG", "703", "70311", "7031103:NO", "70304:KG", "70305", "70301", "70307", "7030703:NO",
    "70313", "705", "70501:NO", "70503", "70505", "8+9", "8", "9", "81101", "807", "803:KG", "805:KG",
)  # fmt: skip
JANUARY = {
    "007": (111239, 70714044), "30301": (17052423, 245924423), "3050103": (2804719, 65249807),
    "3050101": (927334, 19445235), "30101": (8839145, 56539497),
}  # fmt: skip


def test_the_embedded_figures_of_january_1988_come_out_again() -> None:
    embedded = pd.read_csv(ROOT / "data" / "observations.csv", dtype={"std_error": str})
    embedded = embedded[embedded["month"] == "1988-01"].set_index("series")
    goods = [
        ("品名", "'" + code.replace("+", "'+'") + "'", unit) for code, _, unit in (x.partition(":") for x in IMPORTED)
    ]
    cells = [cell for one in IMPORTED for cell in JANUARY.get(one.partition(":")[0], (None, None))]
    table = SOURCE.parse(raw(commodity_file(goods, {"1988/01": (1796164853, *cells)}, "輸入")), WHOLE).records
    made = table.set_index("series")
    assert len(made) == 11
    assert (made["unit"] == embedded.loc[made.index, "unit"]).all()
    assert made["value"].to_dict() == embedded.loc[made.index, "value"].to_dict()


def test_a_dash_is_no_figure() -> None:
    made = read(commodity_file(EXPORTED, CELLS))
    assert ("jp_world.exports.transport.car_parts.value", "2026-03") not in made
    assert not [one for one in made if one[1] == "2026-04"]


def test_a_code_belongs_to_its_direction() -> None:
    known = catalogue(("jp_world.exports.x.value", "mn_jpy", "70503"), ("jp_world.imports.x.value", "mn_jpy", "70503"))
    cells = {"2026/01": (9000, 1, 2000)}
    goods = (("自動車の部分品", "'70503'", "KG"),)
    assert set(read(commodity_file(goods, cells, "輸入"), known)) == {("jp_world.imports.x.value", "2026-01")}


def test_sums_of_codes_and_files_of_a_country() -> None:
    known = catalogue(("jp_ru.imports.raw.value", "mn_jpy", "2+4"), ("jp_ru.imports.wood.value", "mn_jpy", "20701"))
    goods = (("２．原料品", "'2'+'4'", ""), ("原材料", "'2'", ""), ("木材", "'20701'", ""))
    content = commodity_file(goods, {"2026/01": (9000, None, 3000, None, 2500, None, 2000)}, "輸入", "ロシア")
    made = read(content, known)
    assert made == {("jp_ru.imports.raw.value", "2026-01"): 3.0, ("jp_ru.imports.wood.value", "2026-01"): 2.0}


def test_a_series_of_a_file_with_no_unit_is_not_guessed() -> None:
    known = catalogue(
        ("jp_world.exports.food.quantity", "tonnes", "0+1"), ("jp_world.exports.food.value", "mn_jpy", "0+1")
    )
    assert {one[0] for one in read(commodity_file(EXPORTED, CELLS), known)} == {"jp_world.exports.food.value"}


@pytest.mark.parametrize(
    ("content", "changes", "said"),
    [
        (commodity_file(EXPORTED, CELLS), {"単位：KG": "単位：GT"}, "found 'GT'"),
        (commodity_file(EXPORTED, CELLS), {"単位：KG": "単位：NO"}, "found units"),
        (commodity_file(EXPORTED, CELLS), {"(千円)": "(百万円)"}, "千円"),
        (commodity_file(EXPORTED, CELLS), {"金額,数量 ,": "金額,金額,"}, "layout has changed"),
        (commodity_file(EXPORTED, CELLS), {"（輸出）": "（輸入）"}, "one direction"),
        (commodity_file(EXPORTED, CELLS), {"Years/Months": "Month"}, "Years/Months"),
        (commodity_file(EXPORTED, CELLS), {"400867 ": "4008x67 "}, "expected a number"),
        (commodity_file(EXPORTED, CELLS), {"1988/01": "1988/13"}, "expected a month"),
        (commodity_file(EXPORTED, CELLS), {"1988/01": "2026/03"}, "expected a month after"),
        (commodity_file(EXPORTED, CELLS), {"'70503'": "'7050301'"}, "found two"),
        (totals_file(WORLD), {"Exp-Total": "Export"}, "found 'Export'"),
        (totals_file(WORLD), {"千円": "百万円", "a thousand yen": "million yen"}, "thousand yen"),
        (totals_file({"2026/01": (0, 0)}), {}, "months with figures"),
    ],
)
def test_what_is_wrong_is_refused_in_one_line(content: bytes, changes: dict[str, str], said: str) -> None:
    for old, new in changes.items():
        assert old.encode("cp932") in content
        content = content.replace(old.encode("cp932"), new.encode("cp932"))
    refused = outcome(SOURCE, content, WHOLE)
    assert isinstance(refused, str)
    assert said in refused
    assert "\n" not in refused


@given_settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_bytes_end_in_one_line_or_in_figures_of_the_right_unit(data: st.DataObject) -> None:
    content = data.draw(st.sampled_from([totals_file(WORLD), commodity_file(EXPORTED, CELLS)]))
    holds(outcome(SOURCE, damaged(data, content), WHOLE), WHOLE)


@given_settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 10**12), min_size=6, max_size=6), st.integers(0, 3))
def test_every_figure_comes_out_once_and_a_thousandth_of_it(cells: list[int], unpublished: int) -> None:
    months = {f"2026/{at + 1:02d}": (cells[at], cells[at + 3]) for at in range(3)}
    months |= {f"2026/{at + 4:02d}": (0, 0) for at in range(unpublished)}
    held = [at for at in range(3) if cells[at] or cells[at + 3]]
    if not held:
        return
    made = read(totals_file(months))
    expected = {("jp_world.exports.value", f"2026-{at + 1:02d}"): cells[at] / 1000 for at in range(max(held) + 1)}
    expected |= {("jp_world.imports.value", f"2026-{at + 1:02d}"): cells[at + 3] / 1000 for at in range(max(held) + 1)}
    assert made == pytest.approx(expected)


def walk(series: tuple[str, ...], answers: dict[str, bytes], known: Catalogue = WHOLE) -> list[Address]:
    ask = Ask(known, series, None, pd.Period("2026-08", "M"))
    steps, asked, answer = SOURCE.steps(ask), [], None
    try:
        address = next(steps)
        while True:
            asked.append(address)
            name = address.url.rpartition("/")[2]
            answer = Raw(answers[name], address.url, raw(b"").fetched) if name in answers else None
            address = steps.send(answer)
    except StopIteration:
        return asked


def test_steps_know_the_files_of_totals_and_of_the_world() -> None:
    asked = walk(("jp_ru.exports.value", "jp_world.imports.value", "jp_world.imports.food.fish.value"), {})
    assert [one.url.rpartition("/")[2] for one in asked] == ["d41ma.csv", "d42ma006.csv", "d61ma.csv"]


def test_files_of_a_country_are_found_by_their_first_line() -> None:
    index = b"".join(b"<a href='data/%s.csv'>x</a>" % one for one in (b"d52ma006", b"d52ma021", b"d62ma022"))
    russia = commodity_file(EXPORTED, CELLS, area="ロシア")[:512]
    china = commodity_file(EXPORTED, CELLS, area="中国")[:512]
    answers = {"time_e.htm": index, "d52ma021.csv#head": china, "d62ma022.csv#head": russia}
    series = ("jp_ru.exports.machinery.value", "jp_ru.imports.food.fish.value")
    asked = walk(series, answers)
    assert [one.url.rpartition("/")[2] for one in asked] == [
        "time_e.htm", "d52ma021.csv#head", "d62ma022.csv#head", "d52ma022.csv", "d62ma022.csv",
    ]  # fmt: skip
    assert asked[1].headers == {"Range": "bytes=0-511"}
    assert not SOURCE.recognises(Raw(russia, asked[1].url, raw(b"").fetched))


def test_a_web_page_in_place_of_a_file_is_said() -> None:
    with pytest.raises(DataError, match=r"d41ma\.csv.*web page 'Maintenance'"):
        walk(("jp_world.imports.value",), {"d41ma.csv": b"<html><head><title>Maintenance</title>"})


def test_every_country_has_an_area() -> None:
    assert {region(one) for one in COUNTRIES} <= {"001", "002", "003", "004", "005", "006", "007", "008"}
    assert [region(one) for one in ("ru", "us", "kr", "ae", "de", "au", "za", "br")] == [
        "006", "003", "001", "007", "005", "002", "008", "004",
    ]  # fmt: skip
    assert len(set(COUNTRIES.values())) == len(COUNTRIES)


def test_recognised_by_the_head_of_the_bytes() -> None:
    assert SOURCE.recognises(raw(totals_file(WORLD), "anything.txt"))
    assert SOURCE.recognises(raw(commodity_file(EXPORTED, CELLS)))
    assert not SOURCE.recognises(raw(b"month,value\n2026/01,3\n"))
