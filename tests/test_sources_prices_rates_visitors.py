"""Prices, exchange rates and visitors: series that stand beside the catalogue."""

from __future__ import annotations

import io
import zipfile

import answers_made as made
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.catalogue import Catalogue, Series
from forecasting.errors import DataError, SourceError
from forecasting.sources import answers, fx, jnto_visitors, world_bank_prices
from forecasting.sources.base import RECORD_COLUMNS, Address, Ask, Raw
from forecasting.units import MONEY

EMPTY = Catalogue(())
LNG, BRENT = "Liquefied natural gas, Japan", "Crude oil, Brent"
GAS, COAL = "Natural gas, Europe", "Coal, Australian"


def values(table: pd.DataFrame, series: str) -> dict[str, float]:
    rows = table[table["series"] == series]
    return dict(zip(rows["month"].astype(str), rows["value"], strict=True))


def plan(source, answer, since: str | None = None) -> list[Address]:
    start = pd.Period(since, "M") if since else None
    return made.asked(source, Ask(EMPTY, source.offers(EMPTY), start, pd.Period("2026-10", "M")), answer)


def refused(source, content: bytes, match: str, catalogue: Catalogue = EMPTY) -> None:
    with pytest.raises(DataError, match=match) as caught:
        source.parse(made.raw(content), catalogue)
    assert "\n" not in str(caught.value)


def test_declared_series_name_their_unit_and_their_publisher() -> None:
    declared = [one for module in (fx, world_bank_prices, jnto_visitors) for one in module.SOURCE.declares]
    wanted = {"fx.usd_jpy", "fx.eur_jpy", "price.lng_japan", "price.brent", "visitors.ru_to_jp"}
    assert wanted <= {one.id for one in declared}
    assert len({one.title for one in declared}) == len(declared)
    assert all(one.publisher and not one.derived for one in declared)
    for one in declared:
        held, _, each = one.unit.partition("/")
        assert one.unit == "visitors" or (held in MONEY and each), one.id


# --- Exchange rates ----------------------------------------------------------------------------------------


def test_rates_of_the_federal_reserve_and_of_the_ecb() -> None:
    for head in ("observation_date", "DATE"):
        content = made.fred_csv("EXJPUS", {"2026-06": "145.2310", "2026-07": ".", "2026-08": "147.5"}, head)
        assert fx.SOURCE.recognises(made.raw(content))
        table = fx.SOURCE.parse(made.raw(content), EMPTY).records
        assert values(table, "fx.usd_jpy") == {"2026-06": 145.231, "2026-08": 147.5}
        assert set(table["unit"]) == {"jpy/usd"}
        assert set(table["dated"]) == {"rule"}
        assert [str(one) for one in table["published"]] == ["2026-07-01", "2026-09-01"]
    euro = made.ecb_csv({"2026-07": "171.9", "2026-08": "172.104"})
    assert fx.SOURCE.recognises(made.raw(euro))
    assert values(fx.SOURCE.parse(made.raw(euro), EMPTY).records, "fx.eur_jpy") == {
        "2026-07": 171.9,
        "2026-08": 172.104,
    }


def test_a_page_in_place_of_rates_ends_the_plan() -> None:
    with pytest.raises(SourceError, match=r"id=EXJPUS: found a web page"):
        plan(fx.SOURCE, lambda at: made.raw("\n<!DOCTYPE html><html>", at.url))


def test_rates_are_asked_one_series_a_request() -> None:
    urls = [one.url for one in plan(fx.SOURCE, lambda at: None, since="2020-03")]
    assert "https://fred.stlouisfed.org/graph/fredgraph.csv?id=EXJPUS" in urls
    assert urls[-1].endswith("EXR/M.JPY.EUR.SP00.A?format=csvdata&startPeriod=2020-03")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"<!DOCTYPE html><html>", "expected CSV"),
        (made.fred_csv("DEXJPUS", {"2026-08": "147.5"}), "one of EXJPUS"),
        (made.fred_csv("EXJPUS", {"2026-08": "0"}), "rate of zero"),
        (made.fred_csv("EXJPUS", {"2026-13": "147.5"}), "first of a month"),
        (made.fred_csv("EXJPUS", {"2027-03": "147.5"}), "had not begun"),
        (made.fred_csv("EXJPUS", {"2026-08": "abc"}), "expected a number"),
        (made.ecb_csv({"2026-08": "1.08"}, "GBP"), "JPY"),
        (made.ecb_csv({"2026-08": "1.7"}).replace(b",A,0,", b",A,2,"), "multiple"),
        (made.ecb_csv({"2026-08": "171"}).replace(b"SP00,A,", b"SP00,E,"), "no average"),
    ],
)
def test_rates_that_cannot_be_are_refused(content: bytes, match: str) -> None:
    refused(fx.SOURCE, content, match)


# --- Prices ------------------------------------------------------------------------------------------------

PRICES = {
    "1960M01": {GAS: 0.4, BRENT: 1.63},
    "2026M06": {GAS: 17.2, BRENT: 70.1, COAL: 120.5, LNG: 11.7},
    "2026M07": {GAS: 18.06, BRENT: 71.0, COAL: 130.0, LNG: 13.85},
    "2026M08": {GAS: 21.11, BRENT: 72.25, COAL: 135.2, LNG: 13.94},
}
PINK = made.pink_sheet(PRICES)


def test_prices_by_name_with_their_units_and_no_price_where_there_is_none() -> None:
    source = world_bank_prices.SOURCE
    assert source.recognises(made.raw(PINK))
    table = source.parse(made.raw(PINK), EMPTY).records
    assert tuple(table.columns) == RECORD_COLUMNS
    assert values(table, "price.brent") == {"1960-01": 1.63, "2026-06": 70.1, "2026-07": 71.0, "2026-08": 72.25}
    assert values(table, "price.lng_japan") == {"2026-06": 11.7, "2026-07": 13.85, "2026-08": 13.94}
    assert values(table, "price.coal_australia")["2026-08"] == 135.2
    assert dict(table[["series", "unit"]].drop_duplicates().to_numpy()) == {
        "price.brent": "usd/barrels", "price.coal_australia": "usd/tonnes", "price.gas_europe": "usd/mmbtu",
        "price.lng_japan": "usd/mmbtu",
    }  # fmt: skip


def test_the_last_two_months_of_gas_are_estimates_and_its_final_figure_is_known_later() -> None:
    table = world_bank_prices.SOURCE.parse(made.raw(PINK), EMPTY).records
    gas = table[table["series"] == "price.lng_japan"]
    assert list(gas["stage"]) == ["latest", "provisional", "provisional"]
    assert [str(one) for one in gas["published"]] == ["2026-09-02", "2026-08-02", "2026-09-02"]
    assert set(table[table["series"] != "price.lng_japan"]["stage"]) == {"latest"}


def test_the_workbook_is_found_on_its_page() -> None:
    page = (
        '<a class=x href="https://thedocs.worldbank.org/en/doc/74e8-0050012026/related/CMO-Historical-Data-Monthly.xlsx">'
        'Monthly prices</a> <a href="/related/CMO-Historical-Data-Annual.xlsx">Annual</a><br><a>none</a>'
    )
    found = plan(world_bank_prices.SOURCE, lambda at: made.raw(PINK if "xlsx" in at.url else page, at.url))
    assert found[1].url.endswith("0050012026/related/CMO-Historical-Data-Monthly.xlsx")
    with pytest.raises(DataError, match="found 0 links"):
        plan(world_bank_prices.SOURCE, lambda at: made.raw("<p>moved</p>", at.url))
    with pytest.raises(SourceError, match=r"xlsx: found a web page.*by hand"):
        plan(world_bank_prices.SOURCE, lambda at: made.raw(page, at.url))


def test_prices_in_another_layout_are_refused() -> None:
    units = made.PINK_NAMES
    refused(world_bank_prices.SOURCE, made.pink_sheet(PRICES, {**units, LNG: "($/mt)"}), r"'\$/mt', expected \$/mmbtu")
    twice = made.pink_sheet(PRICES, names={"Natural gas, US": "Natural gas, Europe **"})
    refused(world_bank_prices.SOURCE, twice, "2 columns are named 'Natural gas, Europe'")
    refused(world_bank_prices.SOURCE, made.pink_sheet(PRICES, names={LNG: "LNG, Japan"}), "0 columns are named")
    refused(
        world_bank_prices.SOURCE, made.pink_sheet({**PRICES, "2026 Sep": {LNG: 1.0}}), "row 11 begins with '2026 Sep'"
    )
    refused(world_bank_prices.SOURCE, made.pink_sheet({**PRICES, "2026M09": {LNG: "#N/A"}}), "expected a number")
    refused(world_bank_prices.SOURCE, made.pink_sheet({"2026M09": {LNG: 0}}), "price of zero")
    refused(world_bank_prices.SOURCE, made.pink_sheet({"2027M09": {LNG: 9}}), "had not begun")
    refused(world_bank_prices.SOURCE, made.pink_sheet({}), "no row of the first 20")
    refused(world_bank_prices.SOURCE, made.pink_sheet({"2026M09": {}}), "holds no price")
    in_yen = Catalogue((Series("price.brent", "Brent", "jpy/barrels"),))
    refused(world_bank_prices.SOURCE, PINK, "mend the catalogue", in_yen)


# --- Visitors ----------------------------------------------------------------------------------------------

YEARS = {
    2019: {"総数": [2_689_339, 2_604_322], "韓国": [779_383, 715_804], "ロシア": [7_123, 7_024]},
    2026: {
        "総数": [3_781_629, 3_258_491, 3_497_755, 3_442_100],
        "アジア計": [1, 2],
        "韓国": [967_100, 847_300, 691_700, 721_600],
        "中東地域": [3, 4],
        "イスラエル": [1_000, 1_100],
        "ロシア": [15_100, 14_321, "…", 20_100],
    },
}
VISITORS = made.jnto_workbook(YEARS, estimates=[(2026, 4)])


def test_visitors_by_nationality_whatever_the_columns() -> None:
    source = jnto_visitors.SOURCE
    assert source.recognises(made.raw(VISITORS))
    table = source.parse(made.raw(VISITORS), EMPTY).records
    assert values(table, "visitors.ru_to_jp") == {
        "2019-01": 7123.0, "2019-02": 7024.0, "2026-01": 15100.0, "2026-02": 14321.0, "2026-04": 20100.0,
    }  # fmt: skip
    # The name carries its reading in the file, as Excel keeps it.
    assert values(table, "visitors.kr_to_jp")["2019-01"] == 779_383.0
    assert values(table, "visitors.world_to_jp")["2026-04"] == 3_442_100.0
    assert set(table["unit"]) == {"visitors"}


def test_estimates_are_those_in_italics() -> None:
    table = jnto_visitors.SOURCE.parse(made.raw(VISITORS), EMPTY).records
    russia = table[table["series"] == "visitors.ru_to_jp"].iloc[-2:]
    assert list(russia["stage"]) == ["latest", "provisional"]
    assert [str(one) for one in russia["published"]] == ["2026-05-15", "2026-05-15"]


def test_the_visitors_workbook_is_found_by_the_text_of_its_link() -> None:
    page = """<li><a href="/statistics/data/_files/20260819_1615-6.pdf">国籍/月別 訪日外客数（2003年～2026年）</a></li>
      <li><a href="/statistics/data/_files/20260819_1615-5.xlsx"><b>国籍／月別</b> 訪日外客数（2003年～）</a></li>
      <li><a href="/statistics/data/_files/other.xlsx">月次推計値</a></li>"""
    found = plan(jnto_visitors.SOURCE, lambda at: made.raw(VISITORS if "xlsx" in at.url else page, at.url))
    assert found[1].url == "https://www.jnto.go.jp/statistics/data/_files/20260819_1615-5.xlsx"
    with pytest.raises(DataError, match="found 0 links"):
        plan(jnto_visitors.SOURCE, lambda at: made.raw(page.replace("国籍", ""), at.url))


def test_visitors_in_another_layout_are_refused() -> None:
    rows = YEARS[2019]
    refused(jnto_visitors.SOURCE, made.jnto_workbook({2019: {**rows, "ロシア": [7.5]}}), "whole persons")
    refused(jnto_visitors.SOURCE, made.jnto_workbook({2019: {**rows, "ロシア ": [7]}}), "two rows ロシア")
    refused(jnto_visitors.SOURCE, made.jnto_workbook({2019: {"ロシア": ["many"]}}), "expected a number")
    refused(jnto_visitors.SOURCE, made.jnto_workbook({2019: {"Russia": [7]}}), "holds no visitors")
    renamed = made.repacked(VISITORS, {"xl/workbook.xml": lambda text: text.replace('name="2019"', 'name="2018"')})
    refused(jnto_visitors.SOURCE, renamed, "sheet 2018 is not headed 2018年")
    parts = {"xl/sharedStrings.xml": lambda text: text.replace("<t>3月</t>", "<t>3月期</t>")}
    refused(jnto_visitors.SOURCE, made.repacked(VISITORS, parts), "no header 1月")
    refused(jnto_visitors.SOURCE, PINK, "no sheet")


# --- Laws ------------------------------------------------------------------------------------------------

MONTHS = [f"{year}M{month:02d}" for year in (1977, 2025, 2026) for month in range(1, 10)]
A_PRICE = st.one_of(st.sampled_from(["…", "..", None]), st.floats(0.01, 1e4, allow_subnormal=False))


@settings(max_examples=30)
@given(st.dictionaries(st.sampled_from(MONTHS), A_PRICE, min_size=1), st.randoms(use_true_random=False))
def test_prices_that_are_read_are_those_that_stand_there(prices: dict[str, object], order) -> None:
    months = sorted(prices)
    order.shuffle(months)
    content = made.pink_sheet({month: {LNG: prices[month], BRENT: 50.0} for month in months})
    table = world_bank_prices.SOURCE.parse(made.raw(content), EMPTY).records
    expected = {month.replace("M", "-"): price for month, price in prices.items() if isinstance(price, float)}
    assert values(table, "price.lng_japan") == pytest.approx(expected, rel=1e-11)
    estimates = table["month"][(table["series"] == "price.lng_japan") & (table["stage"] == "provisional")]
    assert sorted(map(str, estimates)) == sorted(expected)[-2:]


A_COUNT = st.one_of(st.sampled_from([None, "-", "…"]), st.integers(0, 10**7))


@settings(max_examples=30)
@given(st.sampled_from([2003, 2019, 2020, 2025]), st.lists(A_COUNT, max_size=12), st.sets(st.integers(1, 12)))
def test_visitors_that_are_read_are_those_that_stand_there(year: int, counts: list[object], italic: set[int]) -> None:
    content = made.jnto_workbook({year: {"総数": [1], "ロシア": counts}}, [(year, month) for month in italic])
    table = jnto_visitors.SOURCE.parse(made.raw(content), EMPTY).records
    expected = {f"{year}-{at:02d}": count for at, count in enumerate(counts, start=1) if isinstance(count, int)}
    assert values(table, "visitors.ru_to_jp") == expected
    rows = table[table["series"] == "visitors.ru_to_jp"]
    for month, stage in zip(rows["month"], rows["stage"], strict=True):
        assert stage == ("provisional" if month.month in italic else "latest")


# --- Workbooks from outside --------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [world_bank_prices.SOURCE, jnto_visitors.SOURCE])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"PK\x03\x04" + bytes(500), b"<html>", b"\xd0\xcf\x11\xe0"])
def test_what_is_no_workbook_is_refused(source, content: bytes) -> None:
    assert not source.recognises(made.raw(content))
    refused(source, content, "found")


def test_a_workbook_that_would_not_fit_is_refused_before_it_is_unpacked() -> None:
    made_up = io.BytesIO()
    with zipfile.ZipFile(made_up, "w", zipfile.ZIP_DEFLATED) as archive, zipfile.ZipFile(io.BytesIO(PINK)) as real:
        for one in real.namelist():
            archive.writestr(one, real.read(one))
        archive.writestr("xl/media/large.bin", bytes(answers.UNPACKED))
    assert len(made_up.getvalue()) < 200_000
    refused(world_bank_prices.SOURCE, made_up.getvalue(), "MB unpacked")


def test_a_document_type_is_refused() -> None:
    bomb = '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb">]>'
    parts = {"xl/sharedStrings.xml": lambda text: bomb + text}
    refused(world_bank_prices.SOURCE, made.repacked(PINK, parts), "document type")


def test_a_sheet_that_says_it_is_endless_is_read_to_a_bound() -> None:
    parts = {
        "xl/worksheets/sheet1.xml": lambda text: text.replace('<row r="7"', '<row r="1048000"').replace(
            "A7", "A1048000"
        )
    }
    reading = made.read_or_refused(world_bank_prices.SOURCE, made.raw(made.repacked(PINK, parts)), EMPTY)
    assert reading is None or len(reading.records) <= 13


@settings(max_examples=60)
@given(st.sampled_from([PINK, VISITORS]), st.integers(0, 20_000), st.binary(max_size=6), st.integers(0, 40))
def test_damaged_workbooks_end_in_records_or_one_line(good: bytes, at: int, piece: bytes, cut: int) -> None:
    raw = made.raw(made.damaged(good, at, piece, cut))
    for source in (world_bank_prices.SOURCE, jnto_visitors.SOURCE):
        made.read_or_refused(source, raw, EMPTY)


INSIDE = ["xl/worksheets/sheet1.xml", "xl/sharedStrings.xml", "xl/styles.xml", "xl/workbook.xml"]


@settings(max_examples=60)
@given(
    st.sampled_from(INSIDE), st.integers(0, 20_000), st.text("<>/=\"'0123456789aM年月 ", max_size=6), st.integers(0, 20)
)
def test_damage_inside_the_parts_of_a_workbook(part: str, at: int, piece: str, cut: int) -> None:
    def damage(text: str) -> str:
        place = at % (len(text) + 1)
        return text[:place] + piece + text[place + cut :]

    for good, source in ((PINK, world_bank_prices.SOURCE), (VISITORS, jnto_visitors.SOURCE)):
        reading = made.read_or_refused(source, made.raw(made.repacked(good, {part: damage})), EMPTY)
        if reading is not None:
            units = {one.id: one.unit for one in source.declares}
            assert all(units[row["series"]] == row["unit"] for _, row in reading.records.iterrows())


RATES = made.fred_csv("EXJPUS", {"2026-06": "145.2", "2026-07": ".", "2026-08": "147.5"})
EURO = made.ecb_csv({"2026-07": "171.9", "2026-08": "172.104"})


@given(st.sampled_from([RATES, EURO]), st.integers(0, 400), st.binary(max_size=6), st.integers(0, 20))
def test_damaged_rates_end_in_records_or_one_line(good: bytes, at: int, piece: bytes, cut: int) -> None:
    reading = made.read_or_refused(fx.SOURCE, made.raw(made.damaged(good, at, piece, cut)), EMPTY)
    if reading is not None:
        assert (reading.records["value"] > 0).all()


# --- Which file is whose -----------------------------------------------------------------------------------


def test_every_file_is_recognised_by_one_source_only() -> None:
    from forecasting.sources import comtrade, estat_api, imf_imts

    files: dict[object, bytes] = {
        estat_api.SOURCE: made.estat_json([]),
        comtrade.SOURCE: made.comtrade_json([made.comtrade_row()]),
        imf_imts.SOURCE: made.imf_csv([]),
        fx.SOURCE: RATES,
        world_bank_prices.SOURCE: PINK,
        jnto_visitors.SOURCE: VISITORS,
    }
    for owner, content in files.items():
        assert [one for one in files if one.recognises(made.raw(content))] == [owner]
    junk = (b"", b"{", b"\xff\xfe\x00", b"month,series\n", b"PK", b'{"a":1}', b'"', b"a\x00b\n")
    assert not any(one.recognises(Raw(bytes_, "", made.FETCHED)) for one in files for bytes_ in junk)
