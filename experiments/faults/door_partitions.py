"""The door of partitioned panels: damaged Parquet bytes, tables of every type whose truth is known, and whole runs."""

from __future__ import annotations

import io
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from door_checks import WrongAnswerError, check_line
from door_mutations import FIGURES, WORDS, mutated

from forecasting import partition_request, partitioned
from forecasting.compute import Where
from forecasting.experiments_file import Contender
from forecasting.lessons import Study
from forecasting.models.naive import Naive
from forecasting.partitions import Folder, Partition, parse

ZONES = ("Asia/Tokyo", "America/New_York", "Pacific/Kiritimati", "UTC", "+09:00", "-11:00")
STUDY = Study((Contender("naive", Naive()),), horizon=2, paths=100, seed=0)
NAMES = ("a.parquet", "b c.parquet", "é.parquet", "sub/d.parquet", "%2e%2e.parquet", "x\x1b[31m.parquet", "A.PARQUET",
         "#?.parquet", "[a].parquet")  # fmt: skip


@dataclass
class Truth:
    """Rows that are written (series, month as its ordinal, value, unit), parents, and the series to be refused."""

    rows: list[tuple[str, int, float, str]] = field(default_factory=list)
    wrong: set[str] = field(default_factory=set)
    two_units: set[str] = field(default_factory=set)
    infinite: set[str] = field(default_factory=set)
    parents: dict[str, str] = field(default_factory=dict)

    @property
    def above(self) -> list[str]:
        """The parent beside each row."""
        return [self.parents.get(one[0], "") for one in self.rows]


def partition(folder: Path, random: Random) -> None:
    """One input: bytes, a table or a panel."""
    kind = random.random()
    if kind < 0.45:
        _consistent(parse(_damaged(random), "p.parquet"))
    elif kind < 0.96:
        truth = invented(random)
        _true(parse(_written(truth, random), "p.parquet"), truth)
    else:
        _whole(folder / "panel", random)


def _damaged(random: Random) -> bytes:
    content = _plain(invented(random))
    return mutated(content, random, ("series", "month", "value", "unit", "parent"), [_plain(invented(random))])


# --- Tables ------------------------------------------------------------------------------------------------


def invented(random: Random, prefix: str = "") -> Truth:
    """Up to five series, some with two values for a month, two units, an infinite value or too few months."""
    truth = Truth()
    for at in range(random.randint(1, 5)):
        series = f"{prefix}s{at}" if random.random() < 0.8 else prefix + random.choice((*WORDS, *FIGURES)) + str(at)
        unit = random.choice(("t", "mn_jpy", "", "\x1b[31m", "a" * 2_000))
        first = random.choice((480, 600, -840, 2759)) + random.randint(0, 20)
        rows = [
            (series, month, _value(random), unit)
            for month in range(first, first + random.choice((1, 2, 12, 30, 60)))
            if random.random() < 0.97
        ]
        mishap = random.random()
        if rows and mishap < 0.08:
            rows.append((series, rows[-1][1], rows[-1][2] + 1, unit))
            truth.wrong.add(series)
        elif len(rows) > 1 and mishap < 0.16:
            rows[-1] = (*rows[-1][:3], unit + "x")
            truth.two_units.add(series)
        elif rows and mishap < 0.2:
            rows[0] = (series, rows[0][1], math.inf, unit)
            truth.infinite.add(series)
        truth.rows += rows
    random.shuffle(truth.rows)
    if random.random() < 0.4:
        names = sorted({one[0] for one in truth.rows})
        for one in names:
            up = random.choice((*names, names[0], "", "nobody", *random.sample((*WORDS, *FIGURES), 2), "x" * 2_000))
            truth.parents[one] = up
    return truth


def _value(random: Random) -> float:
    return random.choice((float(random.randint(0, 100)), round(random.uniform(0, 1e6), 2), 0.0, -1.0, 1e300))


def _plain(truth: Truth) -> bytes:
    months = pd.PeriodIndex.from_ordinals([one[1] for one in truth.rows], freq="M")
    columns = {
        "series": [one[0].replace("\ud7ff", "") for one in truth.rows],
        "month": months.to_timestamp().date,
        "value": [one[2] for one in truth.rows],
        "unit": [one[3] for one in truth.rows],
        **({"parent": [one.replace("\ud7ff", "") for one in truth.above]} if truth.parents else {}),
    }
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def _written(truth: Truth, random: Random) -> bytes:
    """The table with columns of any type and name, some of which cannot be read."""
    names = {one: one if random.random() < 0.9 else random.choice(other) for one, other in OTHER_NAMES.items()}
    columns = [
        (names["series"], _series(truth, random)),
        (names["month"], _months(truth, random)),
        (names["value"], _values(truth, random)),
        (names["unit"], pa.array([one[3] for one in truth.rows], pa.string())),
    ]
    if truth.parents:
        above = pa.array([one or None for one in truth.above], pa.string())
        columns.append(("parent", above.dictionary_encode() if random.random() < 0.3 else above))
    if random.random() < 0.1:
        columns.append((random.choice(("x", "value", "unit", "ds", "\x1b[2J")), _odd(len(truth.rows), random)))
    if names["unit"] == "unit":
        truth.wrong |= truth.two_units
    truth.wrong |= truth.infinite
    if random.random() < 0.3:
        random.shuffle(columns)
    table = pa.Table.from_arrays([one for _, one in columns], names=[name for name, _ in columns])
    buffer = io.BytesIO()
    size = random.choice((1, 7, 10_000))
    pq.write_table(table, buffer, row_group_size=size, compression=random.choice(("zstd", "snappy", "none", "gzip")))
    return buffer.getvalue()


OTHER_NAMES = {
    "series": ("unique_id", "Series", "id", ""),
    "month": ("ds", "MONTH", "date", "month "),
    "value": ("y", "values", "\x00"),
    "unit": ("units", "Unit"),
}


def _series(truth: Truth, random: Random) -> pa.Array:
    plain = pa.array([one[0] for one in truth.rows], pa.string())
    kind = random.random()
    if kind < 0.6:
        return plain
    if kind < 0.95:
        return plain.cast(random.choice((pa.large_string(), pa.binary(), pa.dictionary(pa.int32(), pa.string()))))
    return _odd(len(plain), random)


def _months(truth: Truth, random: Random) -> pa.Array:
    months = [pd.Period(ordinal=one[1], freq="M") for one in truth.rows]
    days = [one.start_time.to_pydatetime() for one in months]
    kind = random.random()
    if kind < 0.35:
        types = (pa.date32(), pa.date64(), *(pa.timestamp(unit) for unit in ("s", "ms", "us", "ns")))
        return pa.array(days, random.choice(types))
    if kind < 0.55:
        zone = random.choice(ZONES)
        return pa.array([_local(one, zone) for one in days], pa.timestamp(random.choice(("s", "us", "ns")), zone))
    if kind < 0.9:
        form = random.choice(("%Y-%m", "%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S.%f"))
        texts = pa.array([f"{one.year:04}{one.strftime(form)[-len(one.strftime(form)) + 4 :]}" for one in days])
        return texts.dictionary_encode() if random.random() < 0.3 else texts
    if kind < 0.95 and days:
        spoilt = [str(one) for one in months]
        spoilt[random.randrange(len(spoilt))] = random.choice((*FIGURES, "2024-1", "٢٠٢٤-05", "2024-05x", "2024-05-32"))
        return pa.array(spoilt)
    return _odd(len(days), random)


def _local(day: datetime, zone: str) -> int:
    """Seconds since 1970 of that midnight on the wall."""
    if zone[0] in "+-":
        hours = int(zone[:3])
        return int((day - datetime(1970, 1, 1)).total_seconds()) - 3600 * hours
    return int(day.replace(tzinfo=ZoneInfo(zone)).timestamp())


def _values(truth: Truth, random: Random) -> pa.Array:
    values = [one[2] for one in truth.rows]
    whole = all(math.isfinite(one) and one == int(one) and abs(one) < 1e9 for one in values)
    if whole and random.random() < 0.5:
        kind = random.choice((pa.int64(), pa.int32(), pa.decimal128(20, 3), pa.decimal256(40, 2)))
        return pa.array([Decimal(int(one)) if pa.types.is_decimal(kind) else int(one) for one in values], kind)
    if random.random() < 0.05:
        truth.infinite.clear()
        return _odd(len(values), random)
    return pa.array(values, pa.float64())


def _odd(n: int, random: Random) -> pa.Array:
    """A column of a type that nobody expects there."""
    made: tuple[Any, ...] = (
        lambda: pa.nulls(n),
        lambda: pa.array([[1, 2]] * n, pa.list_(pa.int64())),
        lambda: pa.array([{"a": 1}] * n, pa.struct([("a", pa.int64())])),
        lambda: pa.array([b"\xff\xfe"] * n, pa.binary()),
        lambda: pa.array([True] * n, pa.bool_()),
        lambda: pa.array([1] * n, pa.duration("s")),
        lambda: pa.array([1] * n, pa.time32("s")),
        lambda: pa.array([2**62] * n, pa.int64()).view(pa.timestamp("us")),
        lambda: pa.array([None, *[1.5] * max(n - 1, 0)][:n], pa.float64()),
        lambda: pa.array(["x"] * n, pa.string()),
        lambda: pa.array([2**63] * n, pa.uint64()),
        lambda: pa.array(np.full(n, 1.5, dtype=np.float16), pa.float16()),
    )
    return random.choice(made)()


# --- What must hold ----------------------------------------------------------------------------------------


def _consistent(part: Partition) -> None:
    if set(part.series) & set(part.refused) or set(part.units) != set(part.series):
        raise WrongAnswerError("a series read and refused, or without a unit")
    if np.isinf(part.y.to_numpy()).any() or not part.y.columns.is_unique:
        raise WrongAnswerError("values or series that cannot be")
    for why in part.refused.values():
        check_line(why)


def _true(part: Partition, truth: Truth) -> None:
    """What was read is what was written, in its unit; nothing is missing without a word."""
    _consistent(part)
    if read := truth.wrong & set(part.series):
        raise WrongAnswerError(f"read {sorted(read)[0]!r} that contradicts itself")
    written: dict[str, dict[int, float]] = {}
    units: dict[str, str] = {}
    for series, month, value, unit in truth.rows:
        written.setdefault(series, {})[month] = value
        units[series] = unit
    _compare(part, written, units, truth.parents)


def _compare(
    part: Partition, written: Mapping[str, Mapping[int, float]], units: Mapping[str, str], parents: Mapping[str, str]
) -> None:
    if not set(part.series) | set(part.refused) <= set(written):
        return  # another column named the series
    if set(part.series) | set(part.refused) != set(written):
        raise WrongAnswerError("a series went missing")
    for one in part.series:
        found = part.y[one].dropna()
        have = {int(month.ordinal): float(value) for month, value in found.items()}
        if have != written[one] and set(have.values()) != {1.5} and set(have.values()) != {float(2**63)}:
            raise WrongAnswerError(f"{len(have)} of {len(written[one])} values of a series, or other ones")
        if part.units[one] not in (units[one], ""):
            raise WrongAnswerError(f"unit {part.units[one]!r} of a series in {units[one]!r}")
        if part.parents.get(one, "") != parents.get(one, ""):
            raise WrongAnswerError(f"parent {part.parents.get(one)!r} of a series below {parents.get(one)!r}")


# --- Whole runs --------------------------------------------------------------------------------------------


def _whole(folder: Path, random: Random) -> None:
    """Few partitions under strange names, some damaged: every series is forecast or named."""
    shutil.rmtree(folder, ignore_errors=True)
    data, out = Folder(str(folder / "in")), Folder(str(folder / "out"))
    truths = {}
    for at, name in enumerate(random.sample(NAMES, random.randint(1, 3))):
        truth = invented(random, prefix=f"p{at}" if random.random() < 0.95 else "")
        content = _plain(truth) if random.random() < 0.7 else _written(truth, random)
        truths[name] = truth
        data.write(name, mutated(content, random) if random.random() < 0.15 else content)
    if random.random() < 0.2:
        out.write(random.choice(NAMES), mutated(_plain(invented(random)), random))
    summary = partitioned.run(partition_request.Request(STUDY, data, out, seconds=5.0, where=Where()))
    for why in summary.failures["why"]:
        check_line(str(why))
    lost = {one.name for one in summary.lost}
    done = [one for one in out.partitions() if one not in lost]
    written = sum(pq.read_table(io.BytesIO(out.read(one)))["series"].to_pandas().nunique() for one in done)
    named = int((summary.failures["series"] != "").sum())
    if written != summary.total("forecast") or written + named < summary.total("series"):
        raise WrongAnswerError(f"{written} forecasts, {named} named, {summary.total('series')} series")
    sums = pd.read_csv(folder / "out" / partitioned.SUMS_FILE, keep_default_na=False)
    untied = sums[sums["why"] != ""]
    for why in untied["why"]:
        check_line(str(why))
    for name in set(done) & set(truths):
        table = pq.read_table(io.BytesIO(out.read(name))).to_pandas()
        _adds_up(table, truths[name].parents, set(untied.loc[untied["partition"] == name, "series"]))


def _adds_up(table: pd.DataFrame, parents: Mapping[str, str], untied: set[str]) -> None:
    """No parent that is said to be the sum of its parts is less than they are."""
    for _, cells in table.groupby(["kind", "period"]):
        mean = cells.set_index("series")["mean"]
        parts = mean.groupby(mean.index.map(lambda one: parents.get(one, ""))).sum()
        for parent in set(parts.index) & set(mean.index) - untied:
            if parts[parent] > mean[parent] * (1 + 1e-9) + 1e-9:
                raise WrongAnswerError(f"parts of {parts[parent]} in a parent of {mean[parent]}")
