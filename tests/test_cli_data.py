"""`tradecast data` from the command line to the last line: what is printed, at any width, and the exit code."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

DATA = Path(__file__).parent.parent / "data"
TRADE, CARS = "jp_ru.trade.value", "jp_ru.exports.transport.motor_vehicles.cars.quantity"
WIDTHS = (80, 110, 140)
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tradecast: Run) -> Run:
    """Run `tradecast data …` in this process: exit code, standard output, standard error."""
    return partial(tradecast, "data")


def words_of(text: str) -> set[str]:
    return set(text.split())


def one_line(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture(scope="module")
def stored() -> set[str]:
    return set(pd.read_csv(DATA / "observations.csv", usecols=["series"])["series"])


def user_file(path: Path, **changed: object) -> Path:
    """An invented file of cars, one value a month; ``changed`` goes by month, as ``m2024_03="-5"``."""
    months = pd.period_range("2023-01", "2026-06", freq="M").astype(str)
    rows = pd.DataFrame({"series": CARS, "month": months, "value": "18024", "unit": "units"})
    for month, value in changed.items():
        rows.loc[rows["month"] == month[1:].replace("_", "-"), "value"] = value
    rows.to_csv(path, index=False)
    return path


# List


@pytest.mark.parametrize("width", WIDTHS)
def test_list_shows_every_stored_series_unbroken(run: Run, stored: set[str], width: int) -> None:
    code, out, err = run("list", width=width)
    assert (code, err) == (0, "")
    assert len(stored) == 70
    assert stored <= words_of(out)
    assert "133 series: 70 stored, 63 computed." in out
    assert len([line for line in out.splitlines() if line.startswith("* ")]) == 17
    assert f"computed: {TRADE.replace('trade', 'exports')} + {TRADE.replace('trade', 'imports')}" in out
    assert len(re.findall(r"\d{4}-\d\d … 2026-08", out)) == 133


def test_list_of_a_pattern(run: Run) -> None:
    code, out, _ = run("list", "jp_ru.*ports.value")
    assert code == 0
    assert "2 series: 2 stored, 0 computed." in out
    assert "23 provisional, 12 implied, 11 reconstructed, 5 published in press, 5 detailed" in out


def test_list_of_a_users_file(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("list", "--data", user_file(tmp_path / "mine.csv"))
    assert code == 0
    assert CARS in words_of(out)
    assert "1 series: 1 stored, 0 computed." in out


# Show


@pytest.mark.parametrize("width", WIDTHS)
def test_show_of_a_derived_series(run: Run, width: int) -> None:
    code, out, err = run("show", TRADE, width=width)
    assert (code, err) == (0, "")
    assert out.count("omputed: jp_ru.exports.value + jp_ru.imports.value") == 1
    assert len(re.findall(r"^\d{4}-\d\d ", out, re.MULTILINE)) == 24
    assert "Source: Trade Statistics of Japan, Ministry of Finance; processed." in out


def test_show_of_all_months(run: Run) -> None:
    _, out, _ = run("show", "jp_world.exports.value", "--months", 0, width=80)
    assert len(re.findall(r"^\d{4}-\d\d ", out, re.MULTILINE)) == 572
    assert "means of the years 1979 to 2026" in out


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("jp_ru.export.valu", "Nearest: jp_ru.exports.value, "),
        ("lng", "Nearest: jp_ru.imports.mineral_fuels.lng.value, "),
        ("jp_ru.*ports.value", "matches 2 series: name one, such as jp_ru.exports.value."),
        ("", "No series matches ''"),
    ],
)
def test_show_of_none_or_two_series_is_a_mistake_in_one_line(run: Run, asked: str, said: str) -> None:
    code, out, err = run("show", asked)
    assert (code, out) == (2, "")
    assert said in err
    assert err.startswith("tradecast: ")
    assert err.count("\n") == 1


def test_show_writes_table_and_chart(run: Run, tmp_path: Path) -> None:
    table, chart = tmp_path / "a.csv", tmp_path / "a.png"
    code, _, err = run("show", TRADE, "--out", table, "--plot", chart)
    assert code == 0
    assert err == f"Written: {table}\nWritten: {chart}\n"
    rows = pd.read_csv(table)
    assert (len(rows), rows["month"].iloc[-1], set(rows["series"])) == (56, "2026-08", {TRADE})
    assert chart.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("option", ["--out", "--plot"])
def test_show_refuses_an_unknown_ending(run: Run, tmp_path: Path, option: str) -> None:
    code, out, err = run("show", TRADE, option, tmp_path / "a.doc")
    assert (code, out) == (2, "")
    assert "no known ending" in err
    assert err.count("\n") == 1


# Check


@pytest.mark.parametrize("width", WIDTHS)
def test_check_says_what_the_documents_say(run: Run, width: int) -> None:
    code, out, err = run("check", width=width)
    assert (code, err) == (0, "")
    words = (DATA.parent / "docs" / "data.md").read_text(encoding="utf-8")
    counts = {row: int(count) for row, count in re.findall(r"^\| ([a-z ]+) \| (\d+) \|$", words, re.MULTILINE)}
    assert (
        f"{counts['agree within rounding or truncation']} agree within rounding or truncation,"
        f" {counts['agree within revisions']} within revisions, {counts['conflict with the tables']} conflict,"
        f" {counts['cannot be tested']} cannot be tested; {counts['contradict one another']} contradict one another."
    ) in one_line(out)
    severities = re.findall(r"^\| (error|warning|note) \| \w+ \| (\d+) \|$", words, re.MULTILINE)
    warnings, notes = (sum(int(many) for one, many in severities if one == name) for name in ("warning", "note"))
    assert f"{warnings} warnings, {notes} note\n" in out
    verdicts = re.findall(r"^(?:troib|tass)-\d\d +(\w+)", out, re.MULTILINE)
    assert [verdicts.count(one) for one in ("agrees", "conflicts", "untestable")] == [
        counts["agree within rounding or truncation"] + counts["agree within revisions"],
        counts["conflict with the tables"],
        counts["cannot be tested"],
    ]


@pytest.mark.parametrize("width", WIDTHS)
def test_check_keeps_ids_whole(run: Run, width: int) -> None:
    _, out, _ = run("check", width=width)
    catalogue = set(pd.read_csv(DATA / "catalogue.csv", dtype=str)["id"]) | {"jp_ru.visitors.persons"}
    assert {word for word in words_of(out) if word.startswith(("jp_ru.", "jp_world."))} <= catalogue


@pytest.mark.parametrize("width", WIDTHS)
def test_check_of_a_broken_file_lists_what_is_wrong_and_fails(run: Run, tmp_path: Path, width: int) -> None:
    broken = user_file(tmp_path / "mine.csv", m2024_03="18024000", m2025_05="18024.5", m2026_01="-4")
    code, out, err = run("check", "--data", broken, "--out", tmp_path / "found.csv", width=width)
    assert code == 2
    assert f"{CARS}  2024-03" in out
    assert "read the source's unit again" in one_line(out)
    assert "18024.5 units" in out
    assert "Published facts" not in out
    written, mistake = err.splitlines()
    assert written == f"Written: {tmp_path / 'found.csv'}"
    assert mistake == "tradecast: 3 error(s) in the figures, listed above: mend them before forecasting."
    found = pd.read_csv(tmp_path / "found.csv")
    assert set(found.loc[found["severity"] == "error", "check"]) == {"slip", "fraction", "negative"}


def test_check_of_a_sound_file(run: Run, tmp_path: Path) -> None:
    code, out, err = run("check", "--data", user_file(tmp_path / "mine.csv"))
    assert (code, err) == (0, "")
    assert "1 note" in out


@pytest.mark.parametrize("command", [["list"], ["check"], ["show", CARS]])
def test_a_file_that_is_not_there(run: Run, tmp_path: Path, command: list[str]) -> None:
    code, out, err = run(*command, "--data", tmp_path / "none.csv")
    assert (code, out) == (2, "")
    assert "none.csv" in err
    assert err.count("\n") == 1


def test_a_reader_who_has_gone_is_no_error() -> None:
    code = "import sys; sys.argv = ['tradecast', 'data', 'list']; from forecasting.cli import main; main()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == (b"", 0)
