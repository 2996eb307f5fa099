"""What a partitioned panel holds: every partition is read once, and a sample is drawn that all learn from.

The survey keeps of each partition its digest, and of each series a number and a kind; the sample takes of every kind
its share by these numbers alone, the same however the panel is cut up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from forecasting import partitions
from forecasting.compute import Crew, Lost
from forecasting.errors import DataError, ForecastingError
from forecasting.models.boosting import often_zero
from forecasting.panel import Panel
from forecasting.partition_request import MEMORY_LIMIT, Request, Watch
from forecasting.partitions import Folder, Partition

SHARE_OF_MEMORY = 0.4
"""Of a worker's memory limit that reading its partition may take."""
YEARS = 12  # kinds of series by years of history, five years each


@dataclass(frozen=True)
class Surveyed:
    """What one partition holds: a 64-bit number and a kind a series, months; what its finished result says, if any."""

    name: str
    digest: str = ""
    ids: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.uint64))
    kinds: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.uint8))
    ends: Mapping[int, int] = field(default_factory=dict)
    refused: int = 0
    first_refused: str = ""
    key: str = ""
    said: Mapping[str, Any] = field(default_factory=dict)
    trouble: str = ""


@dataclass(frozen=True)
class Survey:
    """All partitions together: number, kind and partition of every series that can be used."""

    partitions: tuple[Surveyed, ...]
    ids: np.ndarray
    kinds: np.ndarray
    at: np.ndarray
    ends: Mapping[int, int]
    refused: int

    @classmethod
    def of(cls, surveyed: Sequence[Surveyed]) -> Survey:
        """Of partitions in order; DataError where none holds a series that can be used or one stands in two."""
        troubles = [one.trouble for one in surveyed if one.trouble]
        if len(troubles) == len(surveyed):
            raise DataError(troubles[0])
        ends: dict[int, int] = {}
        for one in surveyed:
            for month, count in one.ends.items():
                ends[month] = ends.get(month, 0) + count
        if not ends:
            first = next((one.first_refused for one in surveyed if one.first_refused), "they are empty.")
            raise DataError(f"No partition holds a series that can be forecast; the first reason is {first}")
        at = np.repeat(np.arange(len(surveyed)), [len(one.ids) for one in surveyed])
        found = cls(
            tuple(surveyed),
            np.concatenate([one.ids for one in surveyed]), np.concatenate([one.kinds for one in surveyed]), at, ends,
            sum(one.refused for one in surveyed),
        )  # fmt: skip
        found._refuse_twice()
        return found

    @property
    def series(self) -> int:
        """How many series there are, refused ones included."""
        return len(self.ids) + self.refused

    @property
    def last(self) -> pd.Period:
        """The last month of any series."""
        return pd.Period(ordinal=max(self.ends), freq="M")

    def _refuse_twice(self) -> None:
        order = np.argsort(self.ids, kind="stable")
        same = np.flatnonzero(self.ids[order][1:] == self.ids[order][:-1])
        if len(same):
            first, second = (self.partitions[self.at[order[same[0] + more]]].name for more in (0, 1))
            raise DataError(
                f"{len(same):,} series stand in more than one partition, one of them in {first} and in {second}:"
                " keep all months of a series in one file."
            )

    def chosen(self, most: int) -> np.ndarray:
        """Places of at most so many series: of every kind its share, by their numbers alone."""
        if len(self.ids) <= most:
            return np.arange(len(self.ids))
        order = np.lexsort((self.ids, self.kinds))
        _, first, counts = np.unique(self.kinds[order], return_index=True, return_counts=True)
        rank = np.arange(len(order)) - np.repeat(first, counts)
        share = np.empty(len(order))
        share[order] = rank / np.repeat(counts, counts)
        return np.sort(np.lexsort((self.ids, share))[:most])


# --- Surveying -------------------------------------------------------------------------------------------


def survey(request: Request, names: Sequence[str], workers: Crew, watch: Watch) -> Survey:
    """Every partition in order; DataError where no series can be used or one stands twice.

    One that gave trouble is looked at once more, because all learn from all of them.
    """
    found = dict(_looks(request, names, workers, watch))
    found |= _looks(request, [one for one in names if found[one].trouble], workers, watch)
    return Survey.of([found[one] for one in names])


def _looks(request: Request, names: Sequence[str], workers: Crew, watch: Watch) -> Iterator[tuple[str, Surveyed]]:
    tasks = [_Look(request.data, request.out, one, request.as_of, request.where.memory_limit) for one in names]
    for done, (at, found) in enumerate(workers.each(_look, tasks), start=1):
        one = Surveyed(names[at], trouble=f"{names[at]}: {found.why}.") if isinstance(found, Lost) else found
        if request.fail_fast and (wrong := one.trouble or one.first_refused):
            raise DataError(f"Stopped by --fail-fast: {wrong}")
        watch("Reading", done, len(tasks))
        yield one.name, one


@dataclass(frozen=True)
class _Look:
    data: Folder
    out: Folder
    name: str
    as_of: pd.Period | None
    memory_limit: int | None


def _look(task: _Look) -> Surveyed:
    """Read a partition once: its digest, its series, and whether its result is there."""
    try:
        content = task.data.read(task.name)
        _refuse_too_large(content, task.name, task.memory_limit)
        part = _until(partitions.parse(content, task.name), task.as_of)
    except ForecastingError as error:
        return Surveyed(task.name, trouble=str(error))
    except MemoryError:
        return Surveyed(task.name, trouble=f"{task.name} needs more memory than --memory-limit: make it smaller.")
    said = _finished(task.out, task.name)
    ends, counts = (
        np.unique(Panel(part.y).last_known().map(lambda one: one.ordinal), return_counts=True)
        if len(part.series)
        else ((), ())
    )
    return Surveyed(
        task.name, partitions.digest_of(content), _numbers(part.series), _kinds(part.y),
        dict(zip(map(int, ends), map(int, counts), strict=True)), len(part.refused),
        next((f"{task.name}: {one} {why}." for one, why in part.refused.items()), ""),
        str(said.get("key", "")), said,
    )  # fmt: skip


def _finished(out: Folder, name: str) -> dict[str, Any]:
    """What a result that is there, whole to the last byte, says of itself; empty where there is none."""
    try:
        return partitions.unpacked(out.read(name)) or {}
    except DataError:
        return {}


def _refuse_too_large(content: bytes, name: str, limit: int | None) -> None:
    rows = partitions.rows_of(content, name)
    most = int(SHARE_OF_MEMORY * (limit or MEMORY_LIMIT) / partitions.BYTES_A_ROW)
    if rows > most:
        raise DataError(
            f"{name} has {rows:,} rows, more than the {most:,} that a worker of {(limit or MEMORY_LIMIT) >> 20:,} MiB"
            " reads: write smaller partitions, or raise --memory-limit."
        )


def _until(part: Partition, month: pd.Period | None) -> Partition:
    if month is None or part.y.empty:
        return part
    y = part.y.loc[:month]
    there = y.columns[y.notna().any()]
    gone = {str(one): f"has no value until {month}" for one in y.columns.difference(there)}
    return replace(part, y=y[there], refused={**part.refused, **gone})


def _numbers(series: Sequence[str]) -> np.ndarray:
    """A 64-bit number of each id, the first of its SHA-256: what samples are drawn by."""
    return np.array([int.from_bytes(hashlib.sha256(one.encode()).digest()[:8], "big") for one in series], np.uint64)


def _kinds(y: pd.DataFrame) -> np.ndarray:
    """Kind of each series (n): by five years of history, and often zero or not."""
    months = y.notna().sum().to_numpy()
    return (2 * np.minimum(months // 60, YEARS) + often_zero(y)).astype(np.uint8)


# --- Drawing the sample ----------------------------------------------------------------------------------


def draw(request: Request, found: Survey, workers: Crew, watch: Watch) -> pd.DataFrame:
    """The series that are learned from (T × n), in the order of their ids."""
    chosen = found.chosen(request.study.sample)
    tasks = []
    for at in np.unique(found.at[chosen]):
        ids = found.ids[chosen[found.at[chosen] == at]]
        one = found.partitions[at]
        tasks.append(_Pick(request.data, one.name, one.digest, frozenset(map(int, ids)), request.as_of))
    pieces = []
    for done, (_, piece) in enumerate(workers.each(_pick, tasks), start=1):
        if isinstance(piece, Lost):
            raise ForecastingError(f"The sample is not whole, {piece.why}: run the same command again.")
        pieces.append(piece)
        watch("Drawing a sample", done, len(tasks))
    y = pd.concat(pieces, axis=1).sort_index()
    y = y.reindex(pd.period_range(y.index[0], found.last, freq="M"))
    return y[sorted(y.columns)]


@dataclass(frozen=True)
class _Pick:
    data: Folder
    name: str
    digest: str
    ids: frozenset[int]
    as_of: pd.Period | None


def _pick(task: _Pick) -> pd.DataFrame:
    part = as_surveyed(task.data, task.name, task.digest, task.as_of)[0]
    return part.y.loc[:, [int(one) in task.ids for one in _numbers(part.series)]]


def as_surveyed(data: Folder, name: str, digest: str, as_of: pd.Period | None) -> tuple[Partition, int]:
    """The partition until ``as_of``, and how many bytes it has; DataError where it was changed since the survey."""
    content = data.read(name)
    if partitions.digest_of(content) != digest:
        raise DataError(f"{name} was changed while it was read: run the same command again.")
    return _until(partitions.parse(content, name), as_of), len(content)
