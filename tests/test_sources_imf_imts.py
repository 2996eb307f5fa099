"""IMF trade by partner: totals in dollars, months chosen here."""

from __future__ import annotations

import answers_made as made
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.catalogue import Catalogue, Series
from forecasting.errors import DataError
from forecasting.sources.base import RECORD_COLUMNS, Ask
from forecasting.sources.imf_imts import SOURCE

CATALOGUE = Catalogue(
    (
        Series("jp_ru.exports.value", "exports", "mn_jpy"),
        Series("jp_ru.imports.value", "imports", "mn_jpy"),
        Series("jp_ru.exports.cars.value", "cars", "mn_jpy", hs_code="8703"),
        Series("kr_cn.exports.value", "Korea's exports to China, value", "mn_usd"),
        Series("de_world.imports.value", "Germany's imports, value", "mn_usd"),
    )
)
ROWS = [
    ("JPN", "XG_FOB_USD", "RUS", "2025-M07", 234_567_890),
    ("JPN", "MG_CIF_USD", "RUS", "2025-M07", "4.64E8"),
    ("JPN", "XG_FOB_USD", "RUS", "2025", 2_800_000_000),
    ("JPN", "XG_FOB_USD", "RUS", "2025-M08", ""),
    ("KOR", "XG_FOB_USD", "CHN", "2025-M07", 11_500_000_000),
    ("KOR", "TBG_USD", "CHN", "2025-M07", 1),
]


def records(content: bytes) -> pd.DataFrame:
    return SOURCE.parse(made.raw(content), CATALOGUE).records


def test_totals_in_dollars_beside_yen_and_no_month_that_is_not_there() -> None:
    table = records(made.imf_csv(ROWS))
    assert tuple(table.columns) == RECORD_COLUMNS
    found = {(row["series"], str(row["month"])): (row["value"], row["unit"]) for _, row in table.iterrows()}
    assert found == {
        ("jp_ru.exports.value", "2025-07"): (234.56789, "mn_usd"),
        ("jp_ru.imports.value", "2025-07"): (464.0, "mn_usd"),
        ("kr_cn.exports.value", "2025-07"): (11_500.0, "mn_usd"),
    }


def test_one_request_a_reporter_with_all_its_partners() -> None:
    ask = Ask(CATALOGUE, SOURCE.offers(CATALOGUE), None, pd.Period("2026-08", "M"))
    found = made.asked(SOURCE, ask, lambda at: made.raw(made.imf_csv(ROWS), at.url))
    assert [one.url.partition("IMTS/+/")[2] for one in found] == [
        "JPN.MG_CIF_USD+XG_FOB_USD.RUS.M", "KOR.XG_FOB_USD.CHN.M", "DEU.MG_CIF_USD.G001.M",
    ]  # fmt: skip
    assert all("sdmx.data+csv" in one.headers["Accept"] for one in found)
    assert "jp_ru.exports.cars.value" not in SOURCE.offers(CATALOGUE)


def test_a_day_of_publication_is_used_where_it_is_given() -> None:
    table = records(made.imf_csv(ROWS, UPDATE_DATE="2025-10-28"))
    assert set(table["dated"]) == {"printed"}
    assert set(table["published"].astype(str)) == {"2025-10-28"}
    assert set(records(made.imf_csv(ROWS))["dated"]) == {"seen"}


@pytest.mark.parametrize("scale", ["0", "Units"])
def test_plain_dollars(scale: str) -> None:
    assert len(records(made.imf_csv(ROWS, SCALE=scale))) == 3


def test_a_scale_of_millions_is_believed_only_where_it_cannot_be_true() -> None:
    assert records(made.imf_csv(ROWS, SCALE="Millions"))["value"].max() == 11_500.0
    for scale, rows in (("Millions", [(*ROWS[0][:4], 234.6)]), ("Billions", ROWS), ("3", ROWS)):
        with pytest.raises(DataError, match="SCALE says"):
            records(made.imf_csv(rows, SCALE=scale))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"<html></html>", "web page"),
        (made.imf_csv([(*ROWS[0][:3], "2025-M13", 1)]), "expected a month"),
        (made.imf_csv([(*ROWS[0][:4], "n/k")]), "expected a number"),
        (made.imf_csv([(*ROWS[0][:4], -5)]), "not below zero"),
        (made.imf_csv([(*ROWS[0][:4], 2e12)]), "more than any two countries trade"),
        (made.imf_csv(ROWS, UNIT="EUR"), "expected USD"),
        (made.imf_csv([ROWS[0], (*ROWS[0][:4], 7)]), "given twice"),
        (made.imf_csv(ROWS).replace(b"OBS_VALUE", b"VALUE"), "OBS_VALUE"),
        (made.imf_csv(ROWS) + b"a,b\n", "2 cells"),
        (b"", "has not one column"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(content: bytes, match: str) -> None:
    with pytest.raises(DataError, match=match) as caught:
        records(content)
    assert "\n" not in str(caught.value)


GOOD = made.imf_csv(ROWS, SCALE="Units", UNIT="USD")


@given(st.integers(0, len(GOOD)), st.binary(max_size=6), st.integers(0, 40))
def test_damaged_bytes_end_in_records_or_one_line(at: int, piece: bytes, cut: int) -> None:
    reading = made.read_or_refused(SOURCE, made.raw(made.damaged(GOOD, at, piece, cut)), CATALOGUE)
    if reading is not None:
        assert set(reading.records["unit"]) <= {"mn_usd"}
        assert (reading.records["value"] <= 1e6).all()
