"""The store: rows only added, whole or not at all, and every question answered as the pure functions answer it."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from test_vintages import CATALOGUE, DAYS, EXPORTS, HASH, IMPORTS, PRECEDENCE, ROWS, records

from forecasting import store, vintage_store, vintages
from forecasting.errors import DataError
from forecasting.vintages import COLUMNS

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
TOML = 'precedence = [["files", "press"], ["comtrade"]]\n'
NOTHING = records().iloc[:0]
BASE = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
sys.path[:0] = sys.argv[1].split("|")
from test_vintages import CATALOGUE, records
from forecasting import vintage_store
folder, start, count, name = Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
print("ready", flush=True)
for at in range(start, start + count):
    content = f"{name} {at}".encode() * 5000
    vintage_store.keep_raw(folder, content)
    rows = records({"value": at, "source": name}, {"value": at, "source": name, "month": "2024-06"})
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=at)
    vintage_store.append(folder, rows, now, CATALOGUE, rows.iloc[:0])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sources.toml").write_text(TOML)
    return tmp_path


def add(folder: Path, *rows: dict, now: datetime = NOW) -> pd.DataFrame:
    return vintage_store.append(folder, records(*rows), now, CATALOGUE, NOTHING)


def known(folder: Path, day: str | None = None) -> list[float]:
    when = None if day is None else date.fromisoformat(day)
    return vintage_store.known_on(folder, when, CATALOGUE, NOTHING)["value"].tolist()


def names(folder: Path) -> list[str]:
    return [one.name for one in vintage_store.parts(folder)]


def files(folder: Path) -> set[str]:
    return {str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file()}


# Adding


def test_rows_are_added_and_read_back_to_the_bit(folder: Path) -> None:
    rows = [
        {"value": 0.1 + 0.2, "published": "2024-06-20", "std_error": 1e-300},
        {"month": "2024-06", "value": 0.0, "stage": "latest", "raw": "b" * 64, "source": "comtrade", "dated": "seen"},
    ]
    added = add(folder, *rows)
    assert added["kind"].tolist() == ["new", "new"]
    back = vintage_store.history(folder, [IMPORTS])
    expected = records(*(one | {"seen": "2026-01-01 12:00"} for one in rows))
    pd.testing.assert_frame_equal(back.astype(object), expected.astype(object))
    assert vintage_store.history(folder, [EXPORTS]).empty


def test_nothing_new_makes_no_part_and_what_is_carried_is_not_new(folder: Path) -> None:
    add(folder, {"published": "2024-06-20"})
    before = files(folder)
    assert add(folder, {"published": "2024-06-20"}, now=datetime(2026, 5, 1, tzinfo=UTC)).empty
    carried = records({"month": "2024-06", "published": "2024-07-20"})
    again = records({"month": "2024-06", "published": "2024-07-20", "raw": "c" * 64})
    assert vintage_store.append(folder, again, NOW, CATALOGUE, carried).empty
    assert files(folder) == before


def test_a_refused_record_leaves_the_store_alone(folder: Path) -> None:
    add(folder, {})
    before = files(folder)
    with pytest.raises(DataError, match="below zero"):
        add(folder, {"month": "2024-06"}, {"month": "2024-07", "value": -1})
    assert files(folder) == before


def test_each_part_names_those_that_it_saw(folder: Path) -> None:
    for value in (1, 2, 3):
        add(folder, {"value": value}, now=datetime(2026, 1, value, tzinfo=UTC))
    first, second, third = vintage_store.parts(folder)
    assert [vintage_store._saw(one, *vintage_store._state(one)) for one in (first, second, third)] == [
        (), (first.name,), (second.name,),
    ]  # fmt: skip


def test_raw_bytes_are_kept_once_and_damaged_ones_again(folder: Path) -> None:
    path = vintage_store.keep_raw(folder, b"a,b\n", "csv")
    assert path.name.startswith(path.parent.name)
    assert vintage_store.keep_raw(folder, b"a,b\n", "csv") == path
    assert vintage_store.raw_bytes(folder, path.stem) == b"a,b\n"
    path.write_bytes(b"a,c\n")
    assert vintage_store.raw_bytes(folder, path.stem) is None
    vintage_store.keep_raw(folder, b"a,b\n", "csv")
    assert vintage_store.raw_bytes(folder, path.stem) == b"a,b\n"
    assert len(files(folder)) == 2


# Questions


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS, ROWS, DAYS)
def test_duckdb_chooses_what_pandas_chooses(
    tmp_path_factory, one: list[dict], two: list[dict], day: date | None
) -> None:
    folder = tmp_path_factory.mktemp("store")
    (folder / "sources.toml").write_text(TOML)
    carried = records(*(row | {"raw": "file.csv"} for row in one[:3]))
    tables = [records(*rows) for rows in (one[3:], two) if rows]
    for table in tables:
        if len(table):
            vintage_store.write_part(folder, table, date(2026, 1, 1))
    expected = vintages.known_on(pd.concat([carried, *tables], ignore_index=True), day, PRECEDENCE, CATALOGUE)
    found = vintage_store.known_on(folder, day, CATALOGUE, carried).sort_values(["series", "month"], ignore_index=True)
    pd.testing.assert_frame_equal(found.astype(object), expected.astype(object))


def test_only_the_series_asked_for(folder: Path) -> None:
    add(folder, {}, {"series": EXPORTS})
    carried = records({"month": "2024-06"}, {"series": EXPORTS, "month": "2024-06"})
    found = vintage_store.known_on(folder, None, CATALOGUE, carried, [EXPORTS])
    assert found["series"].tolist() == [EXPORTS, EXPORTS]


def test_a_folder_whose_name_is_a_pattern(tmp_path: Path) -> None:
    folder = tmp_path / "a[1]*?'x"
    folder.mkdir()
    (folder / "sources.toml").write_text(TOML)
    add(folder, {"value": 3})
    assert known(folder) == [3]


def test_what_is_known_of_every_source(folder: Path) -> None:
    assert vintage_store.last_seen(folder).empty
    add(folder, {}, {"month": "2024-06"}, {"source": "comtrade"})
    told = vintage_store.last_seen(folder)
    assert told[["source", "rows", "month"]].to_numpy().tolist() == [
        ["comtrade", 1, "2024-05"],
        ["press", 2, "2024-06"],
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("precedence = 1", "write lists of names"),
        ('precedence = ["fx"]', "write lists of names"),
        ('precedence = [["fx"], ["fx"]]', "names fx twice"),
        ("", "write lists of names"),
        ("precedence = [", "is not TOML"),
    ],
)
def test_a_wrong_order_of_sources_is_refused(folder: Path, text: str, said: str) -> None:
    (folder / "sources.toml").write_text(text)
    with pytest.raises(DataError, match=said):
        known(folder)


def test_the_order_of_sources_of_this_project_names_every_source() -> None:
    from forecasting.sources.registry import SOURCES

    tiers = vintage_store.read_precedence(Path(__file__).parent.parent / "data").tiers
    assert {one for tier in tiers for one in tier} == {*SOURCES, vintages.ARTICLES}


# Damage


def three(folder: Path) -> list[Path]:
    for value in (1, 2, 3):
        add(folder, {"value": value}, now=datetime(2026, 1, value, tzinfo=UTC))
    return list(vintage_store.parts(folder))


@pytest.mark.parametrize("how", ["flipped", "cut", "empty"])
def test_a_damaged_part_is_named_with_what_to_do(folder: Path, how: str) -> None:
    part = three(folder)[1]
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes({"flipped": bytes(content), "cut": bytes(content[:-9]), "empty": b""}[how])
    for ask in (
        lambda: known(folder),
        lambda: add(folder, {"value": 9}),
        lambda: vintage_store.history(folder, [IMPORTS]),
    ):
        with pytest.raises(DataError, match=f"{part.name} is damaged.*restore it from a backup") as caught:
            ask()
        assert "\n" not in str(caught.value)
    (folder / "vintages" / "given-up.txt").write_text(f"{part.name}\n")
    assert known(folder) == [3]


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_lost_part_is_noticed_also_the_newest(folder: Path, at: int) -> None:
    part = three(folder)[at]
    part.unlink()
    with pytest.raises(DataError, match=f"{part.name} is missing"):
        known(folder)
    (folder / "vintages" / "given-up.txt").write_text(f"{part.name}\n")
    assert known(folder) == [2 if at == 2 else 3]
    add(folder, {"value": 4}, now=datetime(2026, 1, 4, tzinfo=UTC))
    assert known(folder) == [4]


def test_the_only_part_lost_is_noticed_and_names_that_are_no_text_are_said(folder: Path) -> None:
    add(folder, {"value": 1})
    newest = folder / "vintages" / "newest.txt"
    assert newest.read_text().split() == names(folder)
    vintage_store.parts(folder)[0].unlink()
    with pytest.raises(DataError, match=r"is missing, newest.txt names it: restore it"):
        vintage_store.verified(folder)
    newest.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"newest.txt cannot be read as UTF-8 text"):
        vintage_store.verified(folder)


def test_killed_between_a_part_and_its_name_the_next_update_names_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(vintage_store, "_note_newest", lambda folder: None)
        add(folder, {"value": 1})
    assert known(folder) == [1]
    add(folder, {"value": 1})  # nothing new, as the same command again
    assert (folder / "vintages" / "newest.txt").read_text().split() == names(folder)


def test_a_clock_that_jumped_back_is_refused_before_an_old_figure_could_stand(folder: Path) -> None:
    add(folder, {"value": 1}, now=datetime(2026, 3, 1, tzinfo=UTC))
    before = files(folder)
    with pytest.raises(DataError, match=r"The clock says 2026-01-02 00:00.*was seen 2026-03-01 00:00: set the clock"):
        add(folder, {"value": 2}, now=datetime(2026, 1, 2, tzinfo=UTC))
    assert files(folder) == before
    add(folder, {"value": 2, "month": "2024-06"}, now=datetime(2026, 2, 28, 12, tzinfo=UTC))  # two updates at once
    assert known(folder) == [1, 2]


def test_a_file_of_another_name_or_maker_is_no_part(folder: Path) -> None:
    part = three(folder)[0]
    stranger = part.with_name("part-copy.parquet")
    stranger.write_bytes(part.read_bytes())
    with pytest.raises(DataError, match="is no part of the store"):
        known(folder)
    stranger.unlink()
    import hashlib
    import io

    buffer = io.BytesIO()
    pd.DataFrame({"a": [1]}).to_parquet(buffer)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()[:16]
    part.with_name(f"part-2026-01-01-{digest}.parquet").write_bytes(buffer.getvalue())
    with pytest.raises(DataError, match="was not written by tradecast"):
        known(folder)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"month": "2027-01"}, "2027-01, a month of the future"),
        ({"unit": "kg"}, "jp_ru.imports.value in kg"),
    ],
)
def test_a_part_that_holds_what_cannot_be_is_refused_by_name(folder: Path, row: dict, said: str) -> None:
    part = vintage_store.write_part(folder, records({}, row), date(2026, 1, 1))
    with pytest.raises(DataError, match=said) as caught:
        known(folder)
    assert part.name in str(caught.value)


def test_rows_of_a_series_that_the_catalogue_no_longer_lists_are_left_out_and_named(folder: Path) -> None:
    cheese = "jp_ru.imports.cheese.value"
    assert vintage_store.unlisted(folder, CATALOGUE) == ()
    vintage_store.write_part(folder, records({"value": 3}, {"series": cheese}), date(2026, 1, 1))
    found = vintage_store.known_on(folder, None, CATALOGUE, NOTHING)
    assert found[["series", "value"]].to_numpy().tolist() == [[IMPORTS, 3]]
    assert vintage_store.unlisted(folder, CATALOGUE) == (cheese,)
    with pytest.raises(DataError, match="is no series of the catalogue"):
        add(folder, {"series": cheese, "month": "2024-06"})


# Whatever happens while a part is written


@pytest.mark.parametrize("call", ["fsync", "replace", "write"])
def test_a_full_disk_leaves_the_store_as_it_was(folder: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    three(folder)
    before = files(folder)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    opened = os.open

    def full_for_new(path: object, flags: int, *more: object, **named: object) -> int:
        return (full if flags & os.O_CREAT else opened)(path, flags, *more, **named)  # type: ignore[return-value]

    with monkeypatch.context() as patch:
        if call == "fsync":
            patch.setattr(os, "fsync", full)
        elif call == "replace":
            patch.setattr(Path, "replace", full)
        else:
            patch.setattr(os, "open", full_for_new)
        with pytest.raises(DataError, match="was not written: No space left on device"):
            add(folder, {"value": 4}, now=datetime(2026, 1, 4, tzinfo=UTC))
        with pytest.raises(DataError, match="was not written: No space left on device"):
            vintage_store.keep_raw(folder, b"bytes")
    assert files(folder) == before
    assert known(folder) == [3]
    add(folder, {"value": 4}, now=datetime(2026, 1, 4, tzinfo=UTC))
    assert known(folder) == [4]


def test_what_a_killed_writer_left_is_never_read_and_goes_after_a_day(folder: Path) -> None:
    part = three(folder)[0]
    left = [part.with_name(f".tradecast-1-{age}.part") for age in ("old", "new")]
    for one in left:
        one.write_bytes(b"half a part")
    os.utime(left[0], (time.time() - 90_000,) * 2)
    assert known(folder) == [3]
    store._sweep.cache_clear()  # as in a new process
    add(folder, {"value": 4}, now=datetime(2026, 1, 4, tzinfo=UTC))
    assert [one.exists() for one in left] == [False, True]


def writer(folder: Path, start: int, count: int, name: str) -> subprocess.Popen:
    where = "|".join((str(Path(__file__).parent), str(Path(__file__).parent.parent)))
    words = [sys.executable, "-c", BASE, where, str(folder), str(start), str(count), name]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def test_killed_at_any_moment_the_store_is_the_old_one_or_the_new_one(folder: Path) -> None:
    moments, reached = random.Random(0), 0
    for _ in range(4):
        process = writer(folder, reached, 1000, "press")
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(moments.uniform(0.05, 0.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
        rows = vintage_store.history(folder, [IMPORTS])
        # Every update adds two rows, and they follow one another without a gap.
        assert rows["value"].value_counts().eq(2).all()
        assert sorted(rows["value"].unique()) == list(range(len(rows) // 2))
        reached = len(rows) // 2
        for path in (folder / "raw").rglob("*.bin"):
            assert vintage_store.raw_bytes(folder, path.stem) is not None
    assert reached > 0


def test_two_updates_at_once_add_both_theirs(folder: Path) -> None:
    both = [writer(folder, 0, 6, name) for name in ("press", "comtrade")]
    for process in both:
        process.communicate()
        assert process.returncode == 0
    rows = vintage_store.history(folder, [IMPORTS])
    assert rows.groupby("source")["value"].nunique().to_dict() == {"press": 6, "comtrade": 6}
    assert len(names(folder)) == 12
    assert len(vintage_store._heads(folder)) in (1, 2)
    add(folder, {"value": 99, "month": "2024-07"}, now=datetime(2026, 2, 1, tzinfo=UTC))
    assert len(vintage_store._heads(folder)) == 1


def test_the_same_rows_twice_change_nothing(folder: Path) -> None:
    rows = records({"value": 1}, {"month": "2024-06"})
    vintage_store.write_part(folder, rows, date(2026, 1, 1))
    before = vintage_store.known_on(folder, None, CATALOGUE, NOTHING)
    vintage_store.write_part(folder, rows, date(2026, 1, 1))
    assert len(names(folder)) == 2
    pd.testing.assert_frame_equal(vintage_store.known_on(folder, None, CATALOGUE, NOTHING), before)


def test_records_keep_their_columns(folder: Path) -> None:
    add(folder, {})
    assert tuple(vintage_store.history(folder, [IMPORTS]).columns) == COLUMNS
    assert vintage_store.history(folder, [IMPORTS])["raw"].tolist() == [HASH]


def test_a_list_of_what_was_given_up_that_is_no_text_is_refused(folder: Path) -> None:
    three(folder)
    (folder / "vintages" / "given-up.txt").write_bytes(b"part-\xff\xfe")
    with pytest.raises(DataError, match=r"given-up\.txt cannot be read as UTF-8 text"):
        vintage_store.parts(folder)
