"""What the store of vintages costs when it is large: the panel as of a day out of ten million records.

    python experiments/benchmarks/vintages.py [--series 5000] [--months 200] [--vintages 10] [--parts 20]

Each question is a process of its own: CPU seconds (user + system), wall seconds and peak resident memory. The records
are invented: every series has a value for every month, revised a month apart, a tenth as large each time.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from forecasting import store, vintage_store, vintages
from forecasting.catalogue import Catalogue, Series

FIRST = pd.Period("2009-01", "M")
DAY = date(2020, 7, 1)
STAGES = ("provisional", "nine_digit", "detailed", "revised", "fixed")


def main() -> None:
    given = arguments()
    if given.question:
        ask(given)
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "sources.toml").write_text('precedence = [["japan_customs_press"]]\n')
        began = time.process_time()
        for part in range(given.parts):
            vintage_store.write_part(folder, invented(given, part), date(2026, 1, 1) + timedelta(days=part))
        size = sum(one.stat().st_size for one in vintage_store.parts(folder)) / 1e6
        count = given.series * given.months * given.vintages
        spent = time.process_time() - began
        print(f"{count:,} records in {given.parts} parts, {size:.0f} MB, written in {spent:.0f} CPU s")
        print(f"{'question':34}{'rows':>10}{'CPU s':>8}{'wall s':>8}{'peak MiB':>10}")
        for question in QUESTIONS:
            words = [sys.executable, __file__, "--question", question, "--folder", place, "--series", str(given.series)]
            print(subprocess.run(words, capture_output=True, text=True, check=True).stdout, end="")


def arguments() -> argparse.Namespace:
    words = argparse.ArgumentParser(description=__doc__)
    for name, default in (("series", 5000), ("months", 200), ("vintages", 10), ("parts", 20)):
        words.add_argument(f"--{name}", type=int, default=default)
    words.add_argument("--question", default="", help=argparse.SUPPRESS)
    words.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return words.parse_args()


def invented(given: argparse.Namespace, part: int) -> pd.DataFrame:
    """The records of some months: every series, every vintage."""
    months = range(part, given.months, given.parts)
    rng = np.random.default_rng(part)
    shape = (len(months), given.vintages, given.series)
    month, vintage, series = (one.ravel() for one in np.indices(shape))
    known = (FIRST + 1).to_timestamp() + pd.to_timedelta(30.44 * (np.array(months)[month] + vintage), unit="D")
    return pd.DataFrame(
        {
            "series": np.array(names(given.series), dtype=object)[series],
            "month": pd.PeriodIndex.from_ordinals(FIRST.ordinal + np.array(months)[month], freq="M"),
            "value": np.exp(rng.normal(8.0, 1.0, shape)).ravel(),
            "unit": "mn_jpy",
            "stage": np.array(STAGES, dtype=object)[np.minimum(vintage, len(STAGES) - 1)],
            "std_error": np.nan,
            "source": "japan_customs_press",
            "published": known.floor("D").astype("datetime64[us]"),
            "dated": "printed",
            "raw": "0" * 64,
            "seen": pd.Timestamp("2026-01-01"),
        }
    )


def names(count: int) -> list[str]:
    return [f"jp_ru.imports.s{one:05d}.value" for one in range(count)]


# --- Questions -------------------------------------------------------------------------------------------


def ask(given: argparse.Namespace) -> None:
    catalogue = Catalogue(tuple(Series(one, one, "mn_jpy") for one in names(given.series)))
    began = time.monotonic()
    rows = QUESTIONS[given.question](given.folder, catalogue)
    used = resource.getrusage(resource.RUSAGE_SELF)
    wall = time.monotonic() - began
    cpu = used.ru_utime + used.ru_stime
    # The peak that getrusage tells is that of the parent too.
    peak = int(next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line).split()[1])
    print(f"{given.question:34}{rows:>10,}{cpu:>8.1f}{wall:>8.1f}{peak / 1024:>10,.0f}")


def start(folder: Path, catalogue: Catalogue) -> int:
    return 0


def check(folder: Path, catalogue: Catalogue) -> int:
    return len(vintage_store.verified(folder))


def as_of(series: int | None) -> Callable[[Path, Catalogue], int]:
    def question(folder: Path, catalogue: Catalogue) -> int:
        wanted = None if series is None else list(catalogue)[:series]
        carried = vintages.carried(store.read_stored_observations(store.data_folder())).iloc[:0]
        return len(vintage_store.known_on(folder, DAY, catalogue, carried, wanted))

    return question


def one_series(folder: Path, catalogue: Catalogue) -> int:
    return len(vintage_store.history(folder, list(catalogue)[:1]))


QUESTIONS: dict[str, Callable[[Path, Catalogue], int]] = {
    "start (imports only)": start,
    "bytes of all parts verified": check,
    "panel of 1,000 series as of a day": as_of(1000),
    "panel of all series as of a day": as_of(None),
    "every record of one series": one_series,
}


if __name__ == "__main__":
    main()
