"""What holds of every registered source: its description, and that no bytes can surprise it."""

from __future__ import annotations

import re
from functools import cache

import answers_made as made
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting import vintages
from forecasting.catalogue import Catalogue, Series
from forecasting.sources import comtrade, estat_api, fx, imf_imts, jnto_visitors, world_bank_prices
from forecasting.sources.base import RECORD_COLUMNS, Source
from forecasting.sources.declared import with_declared
from forecasting.sources.registry import SOURCES, source

CATALOGUE = with_declared(
    Catalogue(
        (
            Series("jp_ru.exports.value", "exports", "mn_jpy"),
            Series("jp_ru.exports.cars.value", "cars", "mn_jpy", pc_code="7050301", hs_code="8703"),
            Series("jp_ru.exports.cars.quantity", "cars", "units", pc_code="7050301", hs_code="8703"),
        )
    )
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
