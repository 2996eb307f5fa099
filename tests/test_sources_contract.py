"""What holds of every registered source: its description, and that no bytes can surprise it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import answers_made as made
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting import update, vintage_store, vintages
from forecasting.catalogue import Catalogue, Series
from forecasting.sources import comtrade, estat_api, fx, imf_imts, jnto_visitors, world_bank_prices
from forecasting.sources.base import RECORD_COLUMNS, Address, Source
from forecasting.sources.registry import SOURCES, source

CATALOGUE = vintage_store.with_declared(
    Catalogue(
        (
            Series("jp_ru.exports.value", "exports", "mn_jpy"),
            Series("jp_ru.exports.cars.value", "cars", "mn_jpy", pc_code="7050301", hs_code="8703"),
            Series("jp_ru.exports.cars.quantity", "cars", "units", pc_code="7050301", hs_code="8703"),
        )
    ),
    list(SOURCES),
)


@cache
def files() -> dict[str, bytes]:
    cars = made.estat_cells("70503010", "50224", 2025, {6: (1, 2_000), 7: (17_045, 19_661_000)}, "NO")
    return {
        "estat_api": made.estat_json(cars),
        "comtrade": made.comtrade_json([made.comtrade_row(), made.comtrade_row(cmdCode="8703", qty=5, qtyUnitCode=5)]),
        "imf_imts": made.imf_csv([("JPN", "XG_FOB_USD", "RUS", "2025-M07", 234_567_890)]),
        "fx": made.fred_csv("EXJPUS", {"2026-08": "147.5"}),
        "world_bank_prices": made.pink_sheet({"2026M08": {"Crude oil, Brent": 72.25}}),
        "jnto_visitors": made.jnto_workbook({2026: {"ロシア": [15_100]}}),
    }


OURS = {
    one.name: one
    for one in (module.SOURCE for module in (comtrade, estat_api, fx, imf_imts, jnto_visitors, world_bank_prices))
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_says_who_publishes_on_what_terms_and_where(name: str) -> None:
    one = source(name)
    assert one.name == name
    assert all((one.title, one.publisher, one.licence, one.attribution))
    assert one.hosts
    assert all(re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", host) for host in one.hosts)
    assert one.key == "" or re.fullmatch(r"[A-Z_]+", one.key)
    assert set(one.offers(CATALOGUE)) <= set(CATALOGUE)


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("owner", sorted(OURS))
def test_a_file_is_recognised_by_the_source_that_it_is_of(name: str, owner: str) -> None:
    assert source(name).recognises(made.raw(files()[owner])) == (name == owner)


@pytest.mark.parametrize("name", SOURCES)
@settings(max_examples=25)
@given(content=st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_no_bytes_are_a_traceback(name: str, content: bytes) -> None:
    reading = made.read_or_refused(source(name), made.raw(content), CATALOGUE)
    assert reading is None or reading.records.empty


@pytest.mark.parametrize("name", SOURCES)
def test_the_file_of_another_source_is_refused_in_one_line(name: str) -> None:
    for owner, content in files().items():
        if owner != name:
            reading = made.read_or_refused(source(name), made.raw(content), CATALOGUE)
            assert reading is None or reading.records.empty


@pytest.mark.parametrize("name", sorted(OURS))
def test_records_are_such_as_the_store_keeps_and_the_same_every_time(name: str) -> None:
    one: Source = OURS[name]
    first, second = (one.parse(made.raw(files()[name]), CATALOGUE).records for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
    assert len(first)
    assert tuple(first.columns) == RECORD_COLUMNS
    assert set(first["source"]) == {name}
    assert set(first["raw"]) == {made.raw(files()[name]).digest}
    kept = first.assign(
        published=pd.to_datetime(pd.Series(first["published"])),
        seen=pd.Timestamp(made.FETCHED).tz_localize(None),
    )
    assert len(vintages.checked(kept, CATALOGUE, name)) == len(first)


# --- All the way into the store ----------------------------------------------------------------------------

DATA = Path(__file__).parent.parent / "data"
NEW_PAIRS = """jp_kr.exports.machinery.value,"Japan's exports to Korea: machinery, value",mn_jpy,,,,,,,701,84,,
de_kz.exports.cars.value,"Germany's exports to Kazakhstan: cars, value",mn_usd,,,,,,,,8703,,
"""
KEY = "0123secret"
PINK_PAGE = '<a href="https://thedocs.worldbank.org/en/doc/1/related/CMO-Historical-Data-Monthly.xlsx">Monthly</a>'
JNTO_PAGE = '<a href="/statistics/data/_files/20260819_1615-5.xlsx">国籍/月別 訪日外客数（2003年～2026年）</a>'


def published(address: Address) -> bytes | str:
    """What the publishers would send, by host."""
    url = urlsplit(address.url)
    query = {name: text[0] for name, text in parse_qs(url.query).items()}
    if url.netloc == "fred.stlouisfed.org":
        return made.fred_csv(query["id"], {"2025-07": "147.5"})
    if url.netloc == "comtradeapi.un.org":
        row = made.comtrade_row(reporterCode=276, partnerCode=398, cmdCode="8703", period="202507", primaryValue=9e6)
        asked = query["reportercode"] == "276" and query["period"] == "202507"
        return made.comtrade_json([row] if asked else [])
    if url.netloc == "api.e-stat.go.jp":
        year = int(query["cdTime"][:4])
        usual = made.estat_cells("70000000", "50304", year, {7: (0, 9)})
        return made.estat_json(
            [*usual, *made.estat_cells("70100000", "50103", year, {7: (0, 2_500_000)})],
            table=query["statsDataId"], flow="", span="", updated="2026-10-30",
        )  # fmt: skip
    return {
        "data-api.ecb.europa.eu": made.ecb_csv({"2025-07": "171.9"}),
        "api.imf.org": made.imf_csv([("JPN", "XG_FOB_USD", "RUS", "2025-M07", 234_567_890)]),
        "www.worldbank.org": PINK_PAGE,
        "thedocs.worldbank.org": files()["world_bank_prices"],
        "www.jnto.go.jp": files()["jnto_visitors"] if url.path.endswith("xlsx") else JNTO_PAGE,
    }[url.netloc]


def test_an_update_brings_all_of_them_into_the_store_and_a_second_one_nothing(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TRADECAST_HOME", str(tmp_path))
    monkeypatch.setenv("ESTAT_APP_ID", KEY)
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("catalogue.csv", "observations.csv", "sources.toml"):
        (folder / name).write_bytes((DATA / name).read_bytes())
    with (folder / "catalogue.csv").open("a", encoding="utf-8") as catalogue:
        catalogue.write(NEW_PAIRS)

    def ask() -> update.Updated:
        return update.update(
            sorted(OURS), "2025-06", made.FETCHED.replace(tzinfo=None), lambda one: lambda at: made.raw(published(at))
        )

    first = ask()
    assert [one.error for one in first.came] == [""] * len(OURS)
    found = {(row["series"], str(row["month"])): (row["value"], row["unit"]) for _, row in first.added.iterrows()}
    expected = {
        ("jp_kr.exports.machinery.value", "2025-07"): (2500.0, "mn_jpy"),
        ("de_kz.exports.cars.value", "2025-07"): (9.0, "mn_usd"),
        ("jp_ru.exports.value", "2025-07"): (234.56789, "mn_usd"),
        ("fx.usd_jpy", "2025-07"): (147.5, "jpy/usd"),
        ("fx.eur_jpy", "2025-07"): (171.9, "jpy/eur"),
        ("price.brent", "2026-08"): (72.25, "usd/barrels"),
        ("visitors.ru_to_jp", "2026-01"): (15_100.0, "visitors"),
    }
    assert expected.items() <= found.items()
    assert ask().added.empty
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(kept) > 10
    assert not [path for path in kept if KEY.encode() in path.read_bytes()]
