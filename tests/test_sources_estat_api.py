"""e-Stat's API: what is asked for, and what its answers mean."""

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
from forecasting.sources.base import RECORD_COLUMNS, Ask
from forecasting.sources.estat_api import SOURCE

RU, KR, US = "50224", "50103", "50304"
SECTIONS = [f"{digit}0000000" for digit in range(10)]
CARS, REFERENCE = "70503010", "70000000"
CATALOGUE = Catalogue(
    (
        Series("jp_ru.exports.value", "total", "mn_jpy"),
        Series("jp_ru.exports.cars.value", "cars", "mn_jpy", pc_code="7050301", hs_code="8703"),
        Series("jp_ru.exports.cars.quantity", "cars", "units", pc_code="7050301", hs_code="8703"),
        Series("jp_ru.exports.others.value", "others", "mn_jpy", pc_code="8+9"),
        Series("jp_ru.imports.lng.quantity", "LNG", "kilotonnes", pc_code="3050103"),
        Series("jp_ru.imports.lng.value", "LNG", "mn_jpy", pc_code="3050103"),
    )
)
# Adding another pair or good is this: no code.
KOREA = Series("jp_kr.exports.machinery.value", "Japan's exports to Korea: machinery, value", "mn_jpy", pc_code="701")


def parsed(content: bytes, catalogue: Catalogue = CATALOGUE) -> pd.DataFrame:
    return SOURCE.parse(made.raw(content), catalogue).records


def values(table: pd.DataFrame, series: str) -> dict[str, float]:
    rows = table[table["series"] == series]
    return dict(zip(rows["month"].astype(str), rows["value"], strict=True))


def reference(year: int = 2025, until: int = 7) -> list[dict[str, str]]:
    return made.estat_cells(REFERENCE, US, year, dict.fromkeys(range(1, until + 1), (0, 900_000_000)))


def cars() -> list[dict[str, str]]:
    """Cars to Russia in 2025: golden figures of July, nothing at all in May."""
    months = {1: (10_000, 11_000_500), 5: (0, 0), 6: (15_000, "18,000,000"), 7: (17_045, 19_661_000)}
    return made.estat_cells(CARS, RU, 2025, months, "ＮＯ")


def test_golden_figures_come_in_the_units_of_the_catalogue() -> None:
    table = parsed(made.estat_json([*reference(), *cars()]))
    assert tuple(table.columns) == RECORD_COLUMNS
    assert values(table, "jp_ru.exports.cars.value")["2025-07"] == 19661.0
    assert values(table, "jp_ru.exports.cars.quantity")["2025-07"] == 17045.0
    assert values(table, "jp_ru.exports.cars.value")["2025-01"] == 11000.5
    lng = made.estat_cells("30501030", RU, 2025, {7: (444_123, 38_868_000)}, "MT")
    imports = parsed(made.estat_json([*reference(), *lng], table="0003425296", flow="輸入"))
    assert values(imports, "jp_ru.imports.lng.quantity")["2025-07"] == 444.123
    assert values(imports, "jp_ru.imports.lng.value")["2025-07"] == 38868.0


def test_months_to_come_are_absent_and_a_month_without_trade_is_zero() -> None:
    found = values(parsed(made.estat_json([*reference(until=8), *cars()])), "jp_ru.exports.cars.value")
    assert list(found) == [f"2025-{month:02d}" for month in range(1, 9)]
    # August is out, as the reference shows: nothing went to Russia. September is not.
    assert found["2025-05"] == found["2025-08"] == 0.0


def test_the_total_is_the_sum_of_all_sections() -> None:
    parts = [made.estat_cells(code, RU, 2025, {7: (0, 1_000_000 * (at + 1))}) for at, code in enumerate(SECTIONS[:9])]
    cells = [*reference(), *(cell for part in parts for cell in part)]
    table = parsed(made.estat_json(cells, asked=[*SECTIONS, CARS]))
    assert values(table, "jp_ru.exports.value")["2025-07"] == 45_000.0
    assert values(table, "jp_ru.exports.others.value")["2025-07"] == 9_000.0


@pytest.mark.parametrize(
    ("asked", "first", "next_key"), [(SECTIONS[:9], 1, None), (SECTIONS, 1, 100_001), (SECTIONS, 100_001, None)]
)
def test_a_sum_of_which_a_part_may_be_missing_is_left_out(asked, first, next_key) -> None:
    parts = [made.estat_cells(code, RU, 2025, {7: (0, 1_000_000)}) for code in SECTIONS[:9]]
    cells = [*reference(), *(cell for part in parts for cell in part)]
    reading = SOURCE.parse(made.raw(made.estat_json(cells, asked=asked, first=first, next_key=next_key)), CATALOGUE)
    assert "jp_ru.exports.value" not in set(reading.records["series"])
    assert any("left out" in one for one in reading.remarks)


def test_a_withheld_part_makes_no_sum_and_a_dash_no_figure() -> None:
    parts = [made.estat_cells(code, RU, 2025, {7: (0, 1_000)}) for code in SECTIONS[:9]]
    parts.append(made.estat_cells(SECTIONS[9], RU, 2025, {7: (0, "***")}))
    table = parsed(made.estat_json([*reference(), *(cell for part in parts for cell in part)], asked=SECTIONS))
    assert "2025-07" not in values(table, "jp_ru.exports.value")
    dash = made.estat_cells(CARS, RU, 2025, {6: ("-", "-"), 7: (1, 2)}, "NO")
    assert "2025-06" not in values(parsed(made.estat_json([*reference(), *dash])), "jp_ru.exports.cars.value")


def test_one_value_alone_comes_without_a_list() -> None:
    one = {"@cat01": CARS, "@area": RU, "@time": "2025000000", "@cat02": "140", "@unit": "千円", "$": "5000"}
    assert values(parsed(made.estat_json(one)), "jp_ru.exports.cars.value") == {"2025-01": 5.0}


def test_stages_are_those_of_the_title_else_of_the_calendar() -> None:
    cells = [*reference(), *cars()]
    titled = parsed(made.estat_json(cells, note="(輸出 1-6月：確報、7月：速報)"))
    assert dict(zip(titled["month"].astype(str), titled["stage"], strict=True)) == {
        **{f"2025-{month:02d}": "detailed" for month in range(1, 7)}, "2025-07": "provisional",
    }  # fmt: skip
    assert set(parsed(made.estat_json(cells, note="（確定）"))["stage"]) == {"fixed"}
    assert set(parsed(made.estat_json(cells, updated="2026-04-01"))["stage"]) == {"fixed"}
    assert set(parsed(made.estat_json(cells))["stage"]) == {"detailed"}
    lng = made.estat_cells("30501030", RU, 2025, {6: (1, 1), 7: (1, 1)}, "MT")
    imports = parsed(made.estat_json([*reference(), *lng], table="0003425296", flow="輸入"))
    assert list(imports["stage"][imports["month"] == pd.Period("2025-07")].unique()) == ["nine_digit"]
    assert list(imports["stage"][imports["month"] == pd.Period("2025-06")].unique()) == ["detailed"]


def test_the_day_is_that_of_the_table_and_never_before_the_month_was_over() -> None:
    table = parsed(made.estat_json([*reference(), *cars()], updated="2025-07-15"))
    said = dict(zip(table["month"].astype(str), table["published"].astype(str), strict=True))
    assert said["2025-06"] == "2025-07-15"
    assert table["published"][table["month"] == pd.Period("2025-07")].isna().all()
    assert set(table["dated"][table["month"] == pd.Period("2025-07")]) == {"seen"}


def refused(content: bytes, match: str, catalogue: Catalogue = CATALOGUE) -> None:
    with pytest.raises(DataError, match=match) as caught:
        parsed(content, catalogue)
    assert "\n" not in str(caught.value)


def test_another_unit_another_table_and_other_meanings_are_refused() -> None:
    cells = [*reference(), *cars()]
    refused(made.estat_json(cells).replace("千円".encode(), "百万円".encode(), 1), "百万円.*千円")
    refused(
        made.estat_json(cells, table="0003425293", flow="", span="").replace("概況品別".encode(), b""), "0003425293"
    )
    refused(made.estat_json(cells, flow="輸入"), "not known as")
    refused(made.estat_json(cells).replace("7月_金額".encode(), "8月_金額".encode()), "cat02 260.*value of month 7")
    refused(made.estat_json(cells).replace("7月_金額".encode(), "7月_数量".encode()), "cat02 260")
    hs = [{**cell, "@cat01": "870323919"} for cell in cells]
    refused(made.estat_json(hs), "codes of 8")
    refused(made.estat_json([*cells, {**cells[-1], "$": "7"}]), "second time")
    later = made.estat_cells(CARS, RU, 2027, {1: (1, 1)}, "NO")
    refused(made.estat_json([*reference(), *later]), "2027-01, which had not begun")


def test_units_that_cannot_be_turned_are_refused_by_name() -> None:
    tonnes = Catalogue((Series("jp_ru.exports.cars.quantity", "cars", "tonnes", pc_code="7050301"),))
    refused(made.estat_json([*reference(), *cars()]), "units.*mend the unit", tonnes)
    strange = made.estat_json([*reference(), *made.estat_cells(CARS, RU, 2025, {7: (1, 1)}, "GT")])
    refused(strange, "GT")
    reading = SOURCE.parse(
        made.raw(made.estat_json([*reference(), *made.estat_cells(CARS, RU, 2025, {7: (1, 1)})])), CATALOGUE
    )
    assert "jp_ru.exports.cars.quantity" not in set(reading.records["series"])
    assert any("no unit" in one for one in reading.remarks)


def test_a_series_in_dollars_gets_yen_beside_it() -> None:
    catalogue = Catalogue((Series("jp_ru.exports.cars.value", "cars", "mn_usd", pc_code="7050301"),))
    assert set(parsed(made.estat_json([*reference(), *cars()]), catalogue)["unit"]) == {"mn_jpy"}


def test_refusals_of_the_service_say_what_to_do_and_never_the_key() -> None:
    bad = made.estat_refusal(100, "認証に失敗しました。アプリケーションIDを確認して下さい。")
    address = "https://api.e-stat.go.jp/rest/3.0/app/json/getStatsData?appId=0123secret&statsDataId=0003425295"
    with pytest.raises(SourceError, match=r"status 100.*ESTAT_APP_ID") as caught:
        SOURCE.parse(made.raw(bad, address), CATALOGUE)
    assert "0123secret" not in str(caught.value)
    nothing = made.estat_refusal(1, "正常に終了しましたが、該当データはありませんでした。")
    assert SOURCE.recognises(made.raw(nothing))
    assert SOURCE.parse(made.raw(nothing), CATALOGUE).records.empty
    refused(b"<html><body>maintenance</body></html>", "web page")


# --- Requests ----------------------------------------------------------------------------------------------


def ask(catalogue: Catalogue = CATALOGUE, since: str = "2019-05", until: str = "2026-10", key: str = "id") -> Ask:
    return Ask(catalogue, SOURCE.offers(catalogue), pd.Period(since, "M"), pd.Period(until, "M"), key)


def queries(wanted: Ask, answer) -> list[dict[str, str]]:
    found = made.asked(SOURCE, wanted, answer)
    assert {urlsplit(one.url).netloc for one in found} <= set(SOURCE.hosts)
    return [{name: text[0] for name, text in parse_qs(urlsplit(one.url).query).items()} for one in found]


def whole(address) -> object:
    return made.raw(made.estat_json([]), address.url)


def test_tables_are_chosen_by_direction_and_years() -> None:
    found = [(one["statsDataId"], one["cdTime"][:4], one["cdTime"][-10:-6]) for one in queries(ask(), whole)]
    assert found == [
        ("0003313967", "2019", "2020"), ("0003425295", "2021", "2025"), ("0004049327", "2026", "2026"),
        ("0003313968", "2019", "2020"), ("0003425296", "2021", "2025"), ("0004049328", "2026", "2026"),
    ]  # fmt: skip
    exports, imports = queries(ask(), whole)[0], queries(ask(), whole)[-1]
    assert set(exports["cdArea"].split(",")) == {RU, US}
    assert {CARS, REFERENCE, *SECTIONS} == set(exports["cdCat01"].split(","))
    assert {"30501030", REFERENCE} == set(imports["cdCat01"].split(","))


def test_pages_follow_the_next_key_and_never_turn_in_a_circle() -> None:
    def answer(address) -> object:
        first = "startPosition" not in address.url
        return made.raw(made.estat_json(reference(), next_key=100_001 if first else None), address.url)

    found = queries(ask(since="2026-01"), answer)
    assert [one.get("startPosition") for one in found] == [None, "100001", None, "100001"]
    with pytest.raises(DataError, match="next page"):
        queries(ask(since="2026-01"), lambda at: made.raw(made.estat_json(reference(), next_key=7), at.url))


def test_a_request_never_asks_for_more_cells_than_a_page_holds() -> None:
    partners = ("kr", "cn", "tw", "mn", "hk", "vn", "th", "sg", "my", "bn", "ph", "id", "kh", "la", "in", "ru", "de")
    goods = [f"70{digit}{other}" for digit in range(1, 10) for other in range(1, 10)]
    many = Catalogue(
        tuple(Series(f"jp_{p}.exports.g{code}.value", code, "mn_jpy", pc_code=code) for p in partners for code in goods)
    )
    asked_for: set[tuple[str, str, str]] = set()
    for one in queries(ask(many, since="2016-01"), whole):
        codes, areas, years = (one[name].split(",") for name in ("cdCat01", "cdArea", "cdTime"))
        assert len(codes) * len(areas) * len(years) * 27 <= 100_000
        assert US in areas
        assert REFERENCE in codes
        asked_for |= {(code, area, year[:4]) for code in codes for area in areas for year in years}
    wanted = {(code.ljust(8, "0"), f"50{n}", y) for code in goods for n in ("103", "224") for y in ("2016", "2026")}
    assert wanted <= asked_for


def test_later_years_are_looked_up_and_otherwise_asked_of_the_last_table() -> None:
    lists = {
        True: made.estat_list(
            [("0005000001", "輸出", "2027年"), ("0005000002", "輸入", "2027年"), ("1", "輸出", "2028年")]
        ),
        False: made.estat_list([]),
    }

    def tables(known: bool) -> list[str]:
        def answer(address) -> object:
            listing = "getStatsList" in address.url
            return made.raw(lists[known] if listing else made.estat_json([]), address.url)

        return [
            f"{one['statsDataId']} {one['cdTime']}"
            for one in queries(ask(since="2026-05", until="2027-03"), answer)[1:]
        ]

    assert tables(True)[:2] == ["0004049327 2026000000", "0005000001 2027000000"]
    assert tables(False)[0] == "0004049327 2026000000,2027000000"


def test_without_an_id_it_says_where_to_get_one() -> None:
    with pytest.raises(DataError, match="ESTAT_APP_ID"):
        next(SOURCE.steps(ask(key="")))


def test_a_refused_request_ends_the_plan() -> None:
    with pytest.raises(SourceError, match="status 100"):
        queries(ask(), lambda at: made.raw(made.estat_refusal(100, "認証に失敗しました。"), at.url))


def test_another_pair_is_a_line_of_catalogue() -> None:
    catalogue = Catalogue((KOREA,))
    assert SOURCE.offers(catalogue) == (KOREA.id,)
    one = queries(ask(catalogue, since="2025-01", until="2025-12"), whole)
    assert [(q["statsDataId"], q["cdArea"], q["cdCat01"]) for q in one] == [
        ("0003425295", f"{KR},{US}", f"{REFERENCE},70100000")
    ]
    table = parsed(made.estat_json([*reference(), *made.estat_cells("70100000", KR, 2025, {7: (0, 2_500)})]), catalogue)
    assert values(table, KOREA.id)["2025-07"] == 2.5


# --- Laws ------------------------------------------------------------------------------------------------

UNITS = {
    "NO": "units", "TNO": "thousand_units", "MNO": "mn_units", "KG": "kg", "MT": "tonnes", "TMT": "kilotonnes",
    "L": "litres", "KL": "kl", "TKL": "megalitres",
}  # fmt: skip


@given(st.sampled_from(sorted(UNITS)), st.sampled_from(sorted(made.SIZES)), st.integers(1, 10**9))
def test_a_quantity_is_converted_exactly_or_refused(unit: str, wanted: str, amount: int) -> None:
    catalogue = Catalogue((Series("jp_ru.exports.cars.quantity", "cars", wanted, pc_code="7050301"),))
    content = made.estat_json([*reference(), *made.estat_cells(CARS, RU, 2025, {7: (amount, 1)}, unit)])
    expected = made.converted(amount, UNITS[unit], wanted)
    reading = made.read_or_refused(SOURCE, made.raw(content), catalogue)
    assert (reading is None) == (expected is None)
    if reading is not None and expected is not None:
        row = reading.records.iloc[-1]
        assert (row["value"], row["unit"]) == (pytest.approx(float(expected), rel=1e-11), wanted)


FIGURES = st.one_of(st.just("-"), st.just(0), st.integers(1, 10**10))


@given(st.lists(FIGURES, min_size=1, max_size=12), st.integers(1, 12))
def test_what_is_read_is_what_stands_there(figures: list[int | str], published: int) -> None:
    months = {at: (0, figure) for at, figure in enumerate(figures, start=1)}
    table = parsed(made.estat_json([*reference(until=published), *made.estat_cells(CARS, RU, 2025, months)]))
    last = max([published, *(at for at, (_, figure) in months.items() if figure not in ("-", 0))])
    expected = {at: months.get(at, (0, 0))[1] for at in range(1, last + 1)}
    assert values(table, "jp_ru.exports.cars.value") == {
        f"2025-{at:02d}": pytest.approx(figure / 1000) for at, figure in expected.items() if figure != "-"
    }


# --- Damage ------------------------------------------------------------------------------------------------

GOOD = made.estat_json([*reference(), *cars()], asked=[CARS, REFERENCE])


@given(st.integers(0, len(GOOD)), st.binary(max_size=6), st.integers(0, 40))
def test_damaged_bytes_end_in_records_or_one_line(at: int, piece: bytes, cut: int) -> None:
    raw = made.raw(made.damaged(GOOD, at, piece, cut))
    SOURCE.recognises(raw)
    reading = made.read_or_refused(SOURCE, raw, CATALOGUE)
    if reading is not None:
        assert set(reading.records["unit"]) <= {"mn_jpy", "units"}
        assert (reading.records["value"] >= 0).all()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.data(), JSON)
def test_any_branch_may_be_anything(data, other) -> None:
    tree = json.loads(made.estat_json([*reference(), *cars()][:30]))
    node, way = tree, []
    while isinstance(node, dict | list) and node and (not way or data.draw(st.integers(0, 4))):
        key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        way.append((node, key))
        node = node[key]
    way[-1][0][way[-1][1]] = other
    reading = made.read_or_refused(SOURCE, made.raw(json.dumps(tree)), CATALOGUE)
    assert reading is None or tuple(reading.records.columns) == RECORD_COLUMNS


def test_json_without_end_is_no_traceback() -> None:
    refused(b'{"GET_STATS_DATA":' + b"[" * 200_000, "damaged JSON")
    refused(b'{"GET_STATS_DATA": ' + b"9" * 5000 + b"}", "damaged JSON")
