"""The ledger of real measures: what a record must say, what was known when, and that the page shows the file."""

from __future__ import annotations

import copy
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting import store
from forecasting.errors import DataError
from forecasting.measures import RECORDS, Effect, Measure, known_by, parse_measures, read_measures

ROOT = Path(__file__).resolve().parent.parent
LEDGER = read_measures(ROOT / "data" / "measures.toml")
CARS = "jp_ru.exports.transport.motor_vehicles.cars.quantity"
RECORD = {
    "id": "jp-car-ban-2023-08",
    "by": "Japan",
    "title": "Cars",
    "announced": "2023-07-28",
    "effective": "2023-08",
    "ended": "",
    "hs": ["8703"],
    "source": "Reuters",
    "urls": ["https://example.org/a"],
    "record": "secondary",
    "effect": [
        {"target": CARS, "kind": "ban", "share": "60.5 %", "ramp": 1, "known": "2023-07-18", "basis": "Yomiuri"}
    ],
}


def parsed(**changes: object) -> dict[str, Measure]:
    return parse_measures({"measure": [{**RECORD, **changes}]}, "m.toml")


def with_effect(**changes: object) -> dict[str, Measure]:
    return parsed(effect=[{**RECORD["effect"][0], **changes}])


def test_a_record_is_read_cell_by_cell() -> None:
    (one,) = parsed().values()
    assert (one.by, one.record, one.hs, one.ended) == ("Japan", "secondary", ("8703",), None)
    assert one.announced == pd.Period("2023-07-28", freq="D")
    assert one.effective == one.start == pd.Period("2023-08", freq="M")
    assert one.effects == (Effect(CARS, "ban", 0.605, "Yomiuri", 1, pd.Period("2023-07-18", freq="D")),)


def test_the_start_falls_back_on_the_announcement() -> None:
    assert parsed(effective="")["jp-car-ban-2023-08"].start == pd.Period("2023-07", freq="M")
    assert parsed(effective="", announced="")["jp-car-ban-2023-08"].start is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"id": "Car ban"}, "measure 1, id is 'Car ban': use small letters"),
        ({"id": "jp-car-ban"}, "measure 1, id is 'jp-car-ban'"),
        ({"by": "Japon"}, "jp-car-ban-2023-08: by is 'Japon' (did you mean Japan?)"),
        ({"tittle": "x"}, "jp-car-ban-2023-08: tittle is no key here (did you mean title?)"),
        ({"title": " "}, "title is missing"),
        ({"record": "sen"}, "record is 'sen' (did you mean seen?): choose from seen, secondary, unsourced"),
        ({"record": "seen", "urls": []}, 'record is "seen", but urls names no page'),
        ({"source": ""}, 'record is "secondary", but source is empty'),
        ({"announced": "28 July 2023"}, "announced is '28 July 2023': write a day or a month"),
        ({"effective": "2023-02-30"}, "effective is '2023-02-30': write a day or a month that exists"),
        ({"announced": date(2023, 7, 28)}, "announced is datetime.date(2023, 7, 28): write a text in quotes"),
        ({"ended": "2023-07-31"}, "ended 2023-07-31 lies before 2023-08: swap them"),
        ({"hs": ["87.03"]}, "hs holds '87.03'"),
        ({"urls": ["www.meti.go.jp"]}, "urls holds 'www.meti.go.jp': write a whole address"),
        ({"effect": {"target": CARS}}, "effect is no list of blocks"),
    ],
)
def test_a_wrong_record_is_one_line_that_names_it(changes: dict[str, object], words: str) -> None:
    with pytest.raises(DataError) as caught:
        parsed(**changes)
    assert words in str(caught.value)
    assert str(caught.value).startswith("m.toml: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "bann"}, "kind is 'bann' (did you mean ban?)"),
        ({"shares": "1 %"}, "shares is no key here (did you mean share?)"),
        ({"share": "60"}, "share is '60': write percent as a text"),
        ({"share": 0.6}, "share is 0.6: write percent as a text"),
        ({"share": "101 %"}, "share is '101 %': a ban lies between 0% and 100%"),
        ({"share": "-1 %"}, "share is '-1 %': a ban lies between 0% and 100%"),
        ({"kind": "scale", "share": "-101 %"}, "a scale lies between -100%"),
        ({"kind": "lift", "share": "-5 %"}, "a lift lies between 0%"),
        ({"kind": "cap", "share": "5 %"}, "share is '5 %': a cap needs a number in the target's unit"),
        ({"kind": "shift", "share": float("nan")}, "a shift needs a number"),
        ({"ramp": -1}, "ramp is -1: give a whole number from 0 to 60"),
        ({"known": "2023"}, "known is '2023': write a day or a month"),
        ({"basis": ""}, "basis is missing"),
        ({"target": ""}, "target is missing"),
        ({"total": "yes"}, "total is 'yes': write true or false"),
    ],
)
def test_a_wrong_effect_is_one_line_that_names_its_record(changes: dict[str, object], words: str) -> None:
    with pytest.raises(DataError) as caught:
        with_effect(**changes)
    assert words in str(caught.value)
    assert str(caught.value).startswith("m.toml: jp-car-ban-2023-08: effect 1, ")


def test_amounts_are_kept_in_the_unit_of_the_target() -> None:
    (one,) = with_effect(kind="shift", share=-500).values()
    assert one.effects[0].share == -500.0


def test_two_of_a_name_and_a_file_without_records_are_refused() -> None:
    with pytest.raises(DataError, match="two called jp-car-ban-2023-08"):
        parse_measures({"measure": [RECORD, copy.deepcopy(RECORD)]}, "m.toml")
    with pytest.raises(DataError, match="measure needs one block per measure"):
        parse_measures({}, "m.toml")
    with pytest.raises(DataError, match=r"mesure is no key here \(did you mean measure\?\)"):
        parse_measures({"mesure": []}, "m.toml")


def test_a_day_counts_from_itself_and_a_month_from_its_end() -> None:
    ledger = parsed()
    assert known_by(ledger, date(2023, 7, 27)) == {}
    assert known_by(ledger, date(2023, 7, 28)) == ledger
    by_month = parsed(announced="2023-07")
    assert known_by(by_month, date(2023, 7, 30)) == {}
    assert known_by(by_month, date(2023, 7, 31)) == by_month
    assert list(known_by(parsed(announced=""), date(2023, 8, 31))) == ["jp-car-ban-2023-08"]
    assert known_by(parsed(announced="", effective=""), date(2100, 1, 1)) == {}


def test_a_size_from_later_figures_is_known_to_no_replay() -> None:
    (one,) = known_by(with_effect(known=""), date(2100, 1, 1)).values()
    assert one.effects == ()
    (early,) = known_by(with_effect(known="2023-09"), date(2023, 9, 29)).values()
    (later,) = known_by(with_effect(known="2023-09"), date(2023, 9, 30)).values()
    assert (len(early.effects), len(later.effects)) == (0, 1)


@given(st.dates(date(2021, 1, 1), date(2027, 1, 1)), st.dates(date(2021, 1, 1), date(2027, 1, 1)))
def test_knowledge_only_grows(one: date, other: date) -> None:
    earlier, later = (known_by(LEDGER, day) for day in sorted((one, other)))
    assert set(earlier) <= set(later)
    assert all(set(earlier[name].effects) <= set(later[name].effects) for name in earlier)
    assert known_by(later, min(one, other)) == earlier


def test_every_target_of_the_ledger_is_in_the_catalogue() -> None:
    catalogue = store.read_catalogue(ROOT / "data")
    targets = {effect.target for one in LEDGER.values() for effect in one.effects}
    assert CARS in targets
    assert all(catalogue.select([target]) for target in targets)


def test_no_size_of_the_ledger_is_older_than_a_month_before_its_measure() -> None:
    """A share read long before an act would belong to another one."""
    pairs = [(one, effect) for one in LEDGER.values() for effect in one.effects if effect.known is not None]
    assert len(pairs) >= 5
    assert all((one.start - effect.known.asfreq("M")).n <= 1 for one, effect in pairs)


def test_the_ban_of_august_2023_was_known_in_july_with_its_size() -> None:
    known = known_by(LEDGER, date(2023, 7, 31))
    ban = known["jp-export-ban-cars-2023-08"]
    assert {effect.target for effect in ban.effects} == {CARS, "jp_ru.exports.value"}
    assert not any(one.start > pd.Period("2023-08", freq="M") for one in known.values())


# --- The page that shows the file ------------------------------------------------------------------------


def record_row(one: Measure) -> str:
    days = ("–" if day is None else str(day) for day in (one.announced, one.effective, one.ended))
    return f"| `{one.id}` | {one.title} | {' | '.join(days)} | {one.record} |"


def effect_row(one: Measure, effect: Effect) -> str:
    size = f"{effect.kind} {100 * effect.share:g} %" + (" of the total" if effect.total else "")
    known = "hindsight" if effect.known is None else str(effect.known)
    return f"| `{one.id}` | `{effect.target}` | {size} | {effect.ramp} | {known} | {effect.basis} |"


def test_the_page_shows_every_record_and_effect_as_it_stands_in_the_file() -> None:
    page = (ROOT / "docs" / "measures.md").read_text(encoding="utf-8")
    rows = [record_row(one) for one in LEDGER.values()]
    rows += [effect_row(one, effect) for one in LEDGER.values() for effect in one.effects]
    assert [row for row in page.splitlines() if row.startswith("| `")] == rows
    counts = ", ".join(f"{sum(one.record == kind for one in LEDGER.values())} {kind}" for kind in RECORDS)
    assert f"{len(LEDGER)} records: {counts}." in page


@pytest.mark.parametrize("day", ["0000-01", "0001-01-01", "9999-12", "٢٠٢٤-05"])
def test_a_day_outside_of_all_timestamps_is_refused(day: str) -> None:
    with pytest.raises(DataError, match=r"announced is .*write a day or a month that exists"):
        parse_measures({"measure": [RECORD | {"announced": day}]}, "measures.toml")
