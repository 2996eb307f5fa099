"""UN Comtrade: what is asked for with and without a key, and what its rows mean."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import answers_made as made
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.catalogue import Catalogue, Series
from forecasting.errors import DataError, SourceError
from forecasting.sources.base import RECORD_COLUMNS, Ask, Reading
from forecasting.sources.comtrade import SOURCE
from forecasting.sources.countries import comtrade_code, imf_code

CATALOGUE = Catalogue(
    (
        Series("jp_ru.exports.value", "total", "mn_jpy"),
        Series("jp_ru.exports.cars.value", "cars", "mn_jpy", pc_code="7050301", hs_code="8703"),
        Series("jp_ru.exports.cars.quantity", "cars", "units", pc_code="7050301", hs_code="8703"),
        Series("jp_ru.imports.lng.quantity", "LNG", "kilotonnes", hs_code="271111"),
        Series("jp_ru.imports.crude.quantity", "crude oil", "megalitres", hs_code="2709"),
        Series("jp_ru.imports.nonferrous.value", "no HS code", "mn_jpy", pc_code="615"),
        Series("jp_ru.trade.value", "computed", "mn_jpy", formula="sum", terms=("jp_ru.exports.value",)),
    )
)
# Other pairs and the mirror are lines of catalogue: no code.
GERMANY = Series("de_kz.exports.cars.value", "Germany's exports to Kazakhstan: cars, value", "mn_usd", hs_code="8703")
MIRROR = Series("ru_jp.imports.cars.value", "Russia's imports from Japan: cars, value", "mn_usd", hs_code="8703")
KOREA = Series("jp_kr.exports.machinery.value", "Japan's exports to Korea: machinery, value", "mn_jpy", hs_code="84")


def parsed(*rows: dict[str, object], catalogue: Catalogue = CATALOGUE) -> Reading:
    return SOURCE.parse(made.raw(made.comtrade_json(rows)), catalogue)


def one(*rows: dict[str, object], catalogue: Catalogue = CATALOGUE) -> dict[str, tuple[float, str, str]]:
    table = parsed(*rows, catalogue=catalogue).records
    return {row["series"]: (row["value"], row["unit"], row["stage"]) for _, row in table.iterrows()}


def car(**more: object) -> dict[str, object]:
    return made.comtrade_row(
        **{"cmdCode": "8703", "primaryValue": 131_500_000.0, "qty": 17_045, "qtyUnitCode": 5, "netWgt": 2.2e7, **more}
    )


def test_values_are_dollars_and_stand_beside_yen() -> None:
    found = one(made.comtrade_row(primaryValue=234_567_890.0), car())
    assert found["jp_ru.exports.value"] == (234.56789, "mn_usd", "latest")
    assert found["jp_ru.exports.cars.value"] == (131.5, "mn_usd", "latest")
    assert found["jp_ru.exports.cars.quantity"] == (17_045.0, "units", "latest")
    table = parsed(car()).records
    assert tuple(table.columns) == RECORD_COLUMNS
    assert set(table["dated"]) == {"seen"}
    assert table["published"].isna().all()


def test_a_month_that_is_not_there_is_absent_and_never_zero() -> None:
    assert parsed().records.empty
    assert parsed(car(primaryValue=None, qty=None, netWgt=None)).records.empty


def test_quantities_are_never_mixed() -> None:
    assert one(car(qty=0))["jp_ru.exports.cars.value"] == (131.5, "mn_usd", "latest")
    # The number is unknown (0 beside a value); the weight is no number of cars.
    assert "jp_ru.exports.cars.quantity" not in one(car(qty=0))
    assert one(car(qty=17.045, qtyUnitCode=9))["jp_ru.exports.cars.quantity"][0] == 17_045.0
    swapped = car(qty=2.2e7, qtyUnitCode=8, altQty=17_045, altQtyUnitCode=5, isAltQtyEstimated=True)
    assert one(swapped)["jp_ru.exports.cars.quantity"] == (17_045.0, "units", "provisional")
    gas = {"flowCode": "M", "cmdCode": "271111", "netWgt": 444_123_000.0, "isNetWgtEstimated": True}
    assert one(made.comtrade_row(**gas))["jp_ru.imports.lng.quantity"] == (444.123, "kilotonnes", "provisional")
    weighed = made.comtrade_row(**gas, qty=444_000_000.0, qtyUnitCode=8, qtyUnitAbbr="kg")
    assert one(weighed)["jp_ru.imports.lng.quantity"] == (444.0, "kilotonnes", "latest")


def test_a_quantity_in_another_kind_of_unit_is_left_out_and_said() -> None:
    oil = made.comtrade_row(flowCode="M", cmdCode="2709", qty=5e7, qtyUnitCode=8, netWgt=5e7)
    reading = parsed(oil)
    assert reading.records.empty
    assert any("jp_ru.imports.crude.quantity in megalitres" in remark for remark in reading.remarks)
    assert one({**oil, "qty": 25e6, "qtyUnitCode": 7})["jp_ru.imports.crude.quantity"][0] == 25.0
    with pytest.raises(DataError, match="calls unit 8 'u'"):
        parsed({**oil, "qtyUnitAbbr": "u"})


def test_parts_of_a_flow_are_not_counted_twice() -> None:
    parts = [
        car(motCode=2100, primaryValue=1.0), car(partner2Code=276, primaryValue=2.0),
        car(mosCode="1", primaryValue=4.0),
        car(customsCode="C01", primaryValue=3.0), car(classificationCode="S3", primaryValue=5.0),
    ]  # fmt: skip
    assert one(*parts, car())["jp_ru.exports.cars.value"][0] == 131.5
    assert one(car(), car())["jp_ru.exports.cars.value"][0] == 131.5
    with pytest.raises(DataError, match="row 2 repeats '8703'"):
        parsed(car(), car(primaryValue=1.0))


def test_the_reporter_of_the_id_decides_which_side_it_is() -> None:
    catalogue = Catalogue((*CATALOGUE.entries, MIRROR, GERMANY))
    mirror = car(reporterCode=643, partnerCode=392, flowCode="M", primaryValue=120e6)
    german = car(reporterCode=276, partnerCode=398, primaryValue=9e6)
    found = one(car(), mirror, german, catalogue=catalogue)
    assert found["jp_ru.exports.cars.value"][0] == 131.5
    assert found[MIRROR.id] == (120.0, "mn_usd", "latest")
    assert found[GERMANY.id] == (9.0, "mn_usd", "latest")
    assert GERMANY.id in SOURCE.offers(catalogue)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b'{"statusCode": 429, "message": "Rate limit is exceeded. Try again in 8 s."}', "Rate limit.*COMTRADE_KEY"),
        (b'{"statusCode": 401, "message": "Access denied due to invalid subscription key."}', "Access denied"),
        (b'{"elapsedTime":"0.1 secs","count":0,"data":[],"error":"Invalid period"}', "Invalid period"),
    ],
)  # fmt: skip
def test_refusals_are_errors_with_advice(content, match) -> None:
    assert SOURCE.recognises(made.raw(content))
    with pytest.raises(SourceError, match=match):
        SOURCE.parse(made.raw(content), CATALOGUE)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b'{"elapsedTime": "0", "data": 7}', "no list of objects"),
        (b'{"elapsedTime": "0"}', "has no data"),
        (made.comtrade_json([car(period="2025")]), "expected a month"),
        (made.comtrade_json([car(freqCode="A")]), "not monthly"),
        (made.comtrade_json([car(primaryValue=-1.0)]), "not below zero"),
        (made.comtrade_json([car(primaryValue="1.5 mn")]), "expected a number"),
        (made.comtrade_json([car(reporterCode="Japan")]), "by number"),
        (made.comtrade_json([car(period="202701")]), "had not begun"),
        (b'{"elapsedTime": "0", "data": [{"primaryValue": NaN}]}', "damaged JSON"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(content, match) -> None:
    with pytest.raises(DataError, match=match) as caught:
        SOURCE.parse(made.raw(content), CATALOGUE)
    assert "\n" not in str(caught.value)


def test_a_value_in_tonnes_is_a_mistake_of_the_catalogue() -> None:
    wrong = Catalogue((Series("jp_ru.exports.value", "total", "tonnes"),))
    with pytest.raises(DataError, match=r"jp_ru.exports.value.*no money"):
        parsed(made.comtrade_row(), catalogue=wrong)


# --- Requests ----------------------------------------------------------------------------------------------


def plan(catalogue: Catalogue = CATALOGUE, since: str | None = "2025-01", key: str = "", answer=None):
    start = pd.Period(since, "M") if since else None
    wanted = Ask(catalogue, SOURCE.offers(catalogue), start, pd.Period("2026-02", "M"), key)
    return made.asked(SOURCE, wanted, answer or (lambda at: made.raw(made.comtrade_json([]), at.url)))


def query(address) -> dict[str, str]:
    return {name: text[0] for name, text in parse_qs(urlsplit(address.url).query).items()}


def test_without_a_key_one_month_a_request_newest_first() -> None:
    found = plan()
    assert [query(one)["period"] for one in found[:2]] == ["202602", "202601"]
    assert len(found) == 14
    assert found[0].url.startswith("https://comtradeapi.un.org/public/v1/preview/C/M/HS?")
    assert not found[0].headers
    first = query(found[0])
    assert {name: first[name] for name in ("reportercode", "partnerCode", "flowCode", "cmdCode")} == {
        "reportercode": "392", "partnerCode": "643", "flowCode": "M,X", "cmdCode": "2709,271111,8703,TOTAL",
    }  # fmt: skip
    assert (first["partner2Code"], first["customsCode"], first["motCode"]) == ("0", "C00", "0")


def test_with_a_key_twelve_months_a_request_and_the_key_in_a_header_only() -> None:
    found = plan(key="0123secret")
    assert [len(query(one)["period"].split(",")) for one in found] == [12, 2]
    assert all(one.headers == {"Ocp-Apim-Subscription-Key": "0123secret"} for one in found)
    assert not any("0123secret" in one.url for one in found)
    assert found[0].url.startswith("https://comtradeapi.un.org/data/v1/get/C/M/HS?")


def test_all_months_begin_with_monthly_reporting() -> None:
    assert query(plan(since=None)[-1])["period"] == "201001"


def test_no_request_can_bring_more_rows_than_the_preview_gives() -> None:
    partners = ("ru", "kr", "cn", "us", "de", "fr", "kz")
    codes = [f"{number:06d}" for number in range(870_000, 870_300)]
    many = Catalogue(
        tuple(
            Series(f"jp_{p}.{flow}.c{code}.value", code, "mn_jpy", hs_code=code)
            for p in partners
            for flow in ("exports", "imports")
            for code in codes
        )
    )
    asked = set()
    for one in plan(many, since="2026-02"):
        parts = [query(one)[name].split(",") for name in ("partnerCode", "flowCode", "cmdCode")]
        assert len(parts[0]) * len(parts[1]) * len(parts[2]) < 500
        assert len(one.url) < 2048
        asked |= {(p, f, c) for p in parts[0] for f in parts[1] for c in parts[2]}
    assert asked == {(str(comtrade_code(p)), flow, code) for p in partners for flow in "XM" for code in codes}


def test_an_answer_cut_short_ends_the_plan() -> None:
    full = made.comtrade_json([made.comtrade_row()] * 500)
    with pytest.raises(DataError, match="preview stops"):
        plan(answer=lambda at: made.raw(full, at.url))
    assert len(SOURCE.parse(made.raw(full), CATALOGUE).records) == 1


def test_other_pairs_are_lines_of_catalogue() -> None:
    catalogue = Catalogue((KOREA, GERMANY))
    found = [query(one) for one in plan(catalogue, since="2026-02")]
    assert {(q["reportercode"], q["partnerCode"], q["flowCode"], q["cmdCode"]) for q in found} == {
        ("392", "410", "X", "84"), ("276", "398", "X", "8703"),
    }  # fmt: skip
    korean = made.comtrade_row(partnerCode=410, cmdCode="84", primaryValue=2.5e9)
    assert one(korean, catalogue=catalogue)[KOREA.id] == (2500.0, "mn_usd", "latest")


def test_codes_of_countries() -> None:
    known = {
        "jp": 392,
        "ru": 643,
        "us": 842,
        "fr": 251,
        "ch": 757,
        "no": 579,
        "in": 699,
        "tw": 490,
        "kz": 398,
        "world": 0,
    }
    assert {country: comtrade_code(country) for country in known} == known
    assert (imf_code("jp"), imf_code("kz"), imf_code("world"), imf_code("xk")) == ("JPN", "KAZ", "G001", "KOS")
    assert all(comtrade_code(one) is None and imf_code(one) is None for one in ("xx", "other", "JP", "日本", "j"))


# --- Laws ------------------------------------------------------------------------------------------------

UNITS = {5: "units", 7: "litres", 8: "kg", 9: "thousand_units", 12: "kl"}


@given(st.integers(-1, 14), st.sampled_from(sorted(made.SIZES)), st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_quantity_is_converted_exactly_or_left_out(code: int, wanted: str, amount: int, weight: int) -> None:
    catalogue = Catalogue((Series("jp_ru.exports.cars.quantity", "cars", wanted, hs_code="8703"),))
    reading = parsed(car(qty=amount, qtyUnitCode=code, netWgt=weight), catalogue=catalogue)
    by_unit = made.converted(amount, UNITS[code], wanted) if code in UNITS and amount else None
    by_weight = made.converted(weight, "kg", wanted) if weight else None
    expected = by_unit if by_unit is not None else by_weight
    assert list(reading.records["value"]) == pytest.approx([] if expected is None else [float(expected)], rel=1e-11)
    assert set(reading.records["unit"]) <= {wanted}


# --- Damage ------------------------------------------------------------------------------------------------

GOOD = made.comtrade_json([made.comtrade_row(primaryValue=2.5e8), car(qtyUnitAbbr="u")])


@given(st.integers(0, len(GOOD)), st.binary(max_size=6), st.integers(0, 40))
def test_damaged_bytes_end_in_records_or_one_line(at: int, piece: bytes, cut: int) -> None:
    reading = made.read_or_refused(SOURCE, made.raw(made.damaged(GOOD, at, piece, cut)), CATALOGUE)
    if reading is not None:
        measures = reading.records["series"].str.rsplit(".", n=1).str[1]
        assert set(zip(measures, reading.records["unit"], strict=True)) <= {("value", "mn_usd"), ("quantity", "units")}


ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.lists(st.integers())


@given(st.sampled_from(sorted(car())), ANYTHING)
def test_any_cell_may_be_anything(name: str, cell: object) -> None:
    made.read_or_refused(SOURCE, made.raw(json.dumps({"elapsedTime": "0", "data": [car(**{name: cell})]})), CATALOGUE)
