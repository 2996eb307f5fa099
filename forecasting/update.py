"""The journeys of official data: fetch what is new, read files by hand, say what was revised and who differs."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pandas as pd

from forecasting import store, vintage_store, vintages
from forecasting.catalogue import Catalogue, Series
from forecasting.compute import Progress, silent
from forecasting.errors import DataError, ForecastingError, UnreachableError
from forecasting.sources import archives
from forecasting.sources.base import FLOWS, Address, Ask, Flow, Raw, Source
from forecasting.sources.japan_customs import page_title
from forecasting.sources.registry import SOURCES, source
from forecasting.sources.wording import shown
from forecasting.toml_table import MONTH

Get = Callable[[Address], Raw | None]
Connect = Callable[[Source], Get]
Told = Callable[[str, int, int | None], None]
BACK_MONTHS = 24
"""How far an update looks back: a year is fixed in the March after it, so that no revision lies further."""
LARGEST = 500_000_000
FETCHED = "fetched.json"


# --- Update ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Came:
    """What came of one source: files read, and rows by what they say (``vintages.KINDS``); ``error`` if it failed.

    ``unreachable``: it failed because no connection could be opened.
    """

    source: str
    files: int = 0
    last: str = ""
    rows: Mapping[str, int] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    skipped: str = ""
    error: str = ""
    unreachable: bool = False


@dataclass(frozen=True)
class Updated:
    """What came of every source, and the records that were added (with ``kind``).

    ``replaced`` are months that another source's figure stands for now, in catalogue units: series, month, was, now,
    unit, stage, source.
    """

    came: tuple[Came, ...]
    added: pd.DataFrame
    replaced: pd.DataFrame

    @property
    def failed(self) -> tuple[str, ...]:
        return tuple(one.source for one in self.came if one.error)

    @property
    def offline(self) -> bool:
        """Whether nothing came because no source that was asked could be reached at all."""
        asked = [one for one in self.came if not one.skipped]
        return bool(asked) and all(one.unreachable and not one.files for one in asked)


@dataclass
class _Read:
    """Records of one source as they come, file by file."""

    source: Source
    catalogue: Catalogue
    now: datetime
    records: list[pd.DataFrame] = field(default_factory=list)
    remarks: dict[str, None] = field(default_factory=dict)

    def take(self, folder: Path, raw: Raw) -> None:
        """Keep the bytes, then read them; DataError where they are not what they claim."""
        vintage_store.keep_raw(folder, raw.content, ending_of(raw.content))
        reading = self.source.parse(raw, self.catalogue)
        strange = set(reading.records["source"]) - {self.source.name}
        if strange:
            raise DataError(f"{raw.address}: {self.source.name} gave records of {min(strange)}: its module is wrong.")
        vintage_store.stamped(reading.records, self.now, self.catalogue, raw.address)
        self.records.append(reading.records)
        self.remarks |= dict.fromkeys(reading.remarks)


def update(
    names: Sequence[str], since: str | None, now: datetime, connect: Connect, progress: Progress = silent
) -> Updated:
    """Ask these sources (none: all that need no key that is missing) for what is new; add it as one part.

    A source that fails does not stop the others, and what it gave before it failed is kept. ``since`` is the first
    month asked for, BACK_MONTHS before ``now`` by default.
    """
    folder = _project()
    asked = [source(one) for one in dict.fromkeys(names or SOURCES)]
    catalogue = vintage_store.with_declared(store.read_catalogue(folder), [one.name for one in asked])
    first = pd.Period(now, "M") - BACK_MONTHS if since is None else _month(since, pd.Period(now, "M"))
    read, came = [], []
    for at, one in enumerate(asked):
        progress(at, len(asked))
        key = os.environ.get(one.key, "") if one.key else ""
        if one.key and not key and not getattr(one, "key_optional", False):
            why = f"it needs a key: set {one.key}"
            came.append(Came(one.name, error=why) if names else Came(one.name, skipped=why))
            continue
        ask = Ask(catalogue, one.offers(catalogue), first, pd.Period(now, "M") - 1, key)
        mine, outcome = _fetched(folder, one, ask, now, connect)
        read.append(mine)
        came.append(outcome)
    progress(len(asked), len(asked))
    done = _added(folder, read, came, now, catalogue)
    _note(folder, [one.source for one in came if not one.error and not one.skipped], now)
    return done


def _project() -> Path:
    """The data folder, if it may grow: the one inside the installed package may not."""
    folder = store.data_folder()
    if folder == store.PACKAGE / "embedded":
        raise DataError(
            "Updates are kept in a project, and there is no project here: set TRADECAST_HOME to a folder whose data/"
            " holds catalogue.csv, observations.csv and sources.toml, or run inside one."
        )
    return folder


def _month(text: str, latest: pd.Period) -> pd.Period:
    if not MONTH.fullmatch(text):
        raise DataError(f"--since {text!r} is not a month: write it as 2024-01.")
    month = pd.Period(text, "M")
    if month > latest:
        raise DataError(f"--since {month} lies in the future: take a month until {latest}.")
    return month


def _fetched(folder: Path, one: Source, ask: Ask, now: datetime, connect: Connect) -> tuple[_Read, Came]:
    from forecasting.sources.fetching import gather

    read, files = _Read(one, ask.catalogue, now), 0
    if not ask.series:
        return read, Came(one.name, skipped="no series of the catalogue is one of its")
    try:
        for raw in gather(one, ask, connect(one)):
            read.take(folder, raw)
            files += 1
    except ForecastingError as error:
        return read, Came(one.name, files, error=str(error), unreachable=isinstance(error, UnreachableError))
    if not files:
        return read, Came(one.name, error="it gave no file that is one of its: the publisher may have moved it")
    return read, Came(one.name, files)


def _added(folder: Path, read: Sequence[_Read], came: Sequence[Came], now: datetime, catalogue: Catalogue) -> Updated:
    """Everything that was read as one part; what it says by source."""
    tables = [table for one in read for table in one.records if len(table)]
    carried = vintages.carried(store.read_stored_observations(folder))
    records = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(vintages.COLUMNS[:-1]))
    kept = vintage_store.history(folder, tuple(records["series"].unique()))
    added = vintage_store.append(folder, records, now, catalogue, carried)
    replaced = _replaced(pd.concat([carried, kept], ignore_index=True), added, folder, catalogue)
    counts = added.groupby(["source", "kind"]).size() if len(added) else pd.Series(dtype=int)
    last = records.groupby("source")["month"].max() if len(records) else pd.Series(dtype=object)
    remarks = {one.source.name: tuple(one.remarks) for one in read}
    told = [
        Came(
            one.source, one.files, str(last.get(one.source, "")),
            {kind: int(counts.get((one.source, kind), 0)) for kind in vintages.KINDS},
            remarks.get(one.source, ()), one.skipped, one.error, one.unreachable,
        )
        for one in came
    ]  # fmt: skip
    return Updated(tuple(told), added, replaced)


def _replaced(kept: pd.DataFrame, added: pd.DataFrame, folder: Path, catalogue: Catalogue) -> pd.DataFrame:
    """Months known before for which an added figure of another source stands now, and is not the same."""
    other = added[added["kind"] == "other source"]
    kept = kept[kept["series"].isin(set(other["series"]))]
    both = pd.concat([kept, added.loc[added["series"].isin(set(other["series"])), list(vintages.COLUMNS)]])
    precedence = vintage_store.read_precedence(folder)
    was, now = (
        vintages.observations_of(vintages.known_on(of, None, precedence, catalogue), catalogue) for of in (kept, both)
    )
    merged = was[["series", "month", "value"]].rename(columns={"value": "was"}).merge(now, on=["series", "month"])
    keys = pd.MultiIndex.from_frame(other[["series", "month", "source"]])
    changed = pd.MultiIndex.from_frame(merged[["series", "month", "source"]]).isin(keys)
    found = merged[changed & (merged["was"] != merged["value"]).to_numpy()]
    columns = ["series", "month", "was", "now", "unit", "stage", "source"]
    return found.rename(columns={"value": "now"})[columns].reset_index(drop=True)


def _note(folder: Path, names: Iterable[str], now: datetime) -> None:
    """When each source was last asked without an error."""
    told = {**_notes(folder), **dict.fromkeys(names, now.isoformat(timespec="seconds"))}
    path = folder / vintage_store.RAW / FETCHED
    with contextlib.suppress(OSError, DataError):  # the figures are kept already
        path.parent.mkdir(parents=True, exist_ok=True)
        store.write_bytes(json.dumps(told, indent=1, sort_keys=True).encode(), path)


def _notes(folder: Path) -> dict[str, str]:
    try:
        return dict(json.loads((folder / vintage_store.RAW / FETCHED).read_bytes()))
    except (OSError, ValueError, TypeError):
        return {}


def online(told: Told = lambda address, done, whole: None) -> Connect:
    """The real world: a polite client for each source, which remembers what has not changed."""
    from forecasting.sources.fetching import Client

    folder = store.data_folder()
    unopened: set[str] = set()

    def connect(one: Source) -> Get:
        return Client(
            one.hosts,
            memory=store.cache_folder() / "fetched",
            kept=lambda digest: vintage_store.raw_bytes(folder, digest),
            progress=told,
            unopened=unopened,
        ).get

    return connect


def ending_of(content: bytes) -> str:
    """The ending that raw bytes get: what they look like."""
    head = content[:300].lstrip(b"\xef\xbb\xbf \r\n\t")
    looks = ((b"PK\x03\x04", "zip"), (b"<?xml", "xml"), (b"<", "html"), (b"{", "json"), (b"[", "json"))
    return next((ending for start, ending in looks if head.startswith(start)), "csv")


# --- Ingest ----------------------------------------------------------------------------------------------


def ingest(files: Sequence[Path], name: str | None, now: datetime) -> Updated:
    """Read files given by hand, each by the source whose layout it has; all of them are added, or none."""
    folder = _project()
    among = [source(one) for one in ([name] if name else SOURCES)]
    catalogue = vintage_store.with_declared(store.read_catalogue(folder), [one.name for one in among])
    read: dict[str, _Read] = {}
    counts: dict[str, int] = {}
    for path in files:
        raw = Raw(_content(path), path.name, now)
        one = _recognised(raw, among, name)
        mine = read.setdefault(one.name, _Read(one, catalogue, now))
        mine.take(folder, raw)
        if not len(mine.records[-1]):
            mine.remarks[f"{raw.address}: no published figure of a series in data/catalogue.csv is in it."] = None
        counts[one.name] = counts.get(one.name, 0) + 1
    return _added(folder, list(read.values()), [Came(one, many) for one, many in counts.items()], now, catalogue)


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST:
            raise DataError(f"{path} is larger than {LARGEST:,} bytes: no publisher's file is; name another.")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


def _recognised(raw: Raw, among: Sequence[Source], name: str | None) -> Source:
    found = next((one for one in among if one.recognises(raw)), None)
    if found is None and name:
        raise DataError(
            f"{raw.address} is no file of {name} ({among[0].title}): leave --source out to try all sources."
        )
    if found is None:
        raise DataError(f"{raw.address} {_unknown(raw, among)}")
    return found


def _unknown(raw: Raw, among: Sequence[Source]) -> str:
    """What bytes that no source has may be instead, and what to do."""
    title = page_title(raw.content)
    if not raw.content.strip():
        return "is empty: fetch it again."
    if title is not None:
        return f"is the web page {shown(title)}, not a file of figures: save the file that the page links to."
    unpack = " Of ZIP files only those of e-Stat are read: unpack others." if archives.is_zip(raw.content) else ""
    known = "; ".join(one.title for one in among)
    return f"has a layout that no source has; known are: {known}.{unpack}"


# --- Sources ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Offer:
    """A source as a user sees it: how many series it can fill, its key, and what is kept of it."""

    name: str
    title: str
    series: int
    key: str
    asked: str
    last: str
    rows: int
    licence: str
    attribution: str


def offers() -> tuple[Offer, ...]:
    """Every source: what it offers, whether its key is there, when it was last asked and the last month kept of it."""
    folder = store.data_folder()
    catalogue = store.read_catalogue(folder)
    kept = {row["source"]: row for row in vintage_store.last_seen(folder).to_dict("records")}
    asked = _notes(folder)
    found = []
    for name in SOURCES:
        one = source(name)
        there = kept.get(name, {"month": "", "rows": 0})
        found.append(
            Offer(
                name, one.title, len(one.offers(vintage_store.with_declared(catalogue, [name]))), _key(one),
                asked.get(name, "")[:10], str(there["month"]),
                int(there["rows"]), one.licence, vintage_store.attribution(name),
            )
        )  # fmt: skip
    return tuple(found)


def _key(one: Source) -> str:
    if not one.key:
        return "needs no key"
    there = "is set" if os.environ.get(one.key) else "is not set"
    return f"key {one.key} {'(optional) ' if getattr(one, 'key_optional', False) else ''}{there}"


# --- Revisions and disagreement --------------------------------------------------------------------------


@dataclass(frozen=True)
class Revised:
    """How one series was revised: its releases (``vintages.releases``), the tests by stage, and what to say of them."""

    entry: Series
    released: pd.DataFrame
    tests: tuple[vintages.Revisions, ...]
    remarks: tuple[str, ...]
    source_line: str


def revisions(series: str) -> Revised:
    """The revisions of one series as far as vintages of it are kept."""
    folder, _, entry, records = _stored(series)
    released = vintages.releases(records, vintage_store.read_precedence(folder))
    tests = vintages.revisions(released)
    remarks = []
    again = int((released.groupby("month").size() > 1).sum()) if len(released) else 0
    if not again:
        remarks.append("Of no month more than one release is kept: nothing can be said of revisions yet.")
    for one in tests:
        if one.months < vintages.BIAS_MONTHS:
            remarks.append(f"{one.stage}: {one.months} revised months are too few for a test of bias"
                           f" ({vintages.BIAS_MONTHS} are needed).")  # fmt: skip
        elif one.news_p != one.news_p:
            remarks.append(f"{one.stage}: too few months with a year before them to tell news from noise"
                           f" ({vintages.NEWS_MONTHS} are needed).")  # fmt: skip
    return Revised(entry, released, tests, tuple(remarks), _lines(records))


@dataclass(frozen=True)
class Compared:
    """What sources say of one series (months × sources, catalogue units), which one stands (by month), and why."""

    entry: Series
    values: pd.DataFrame
    standing: pd.Series
    why: str
    remarks: tuple[str, ...]
    source_line: str


def compare(series: str) -> Compared:
    """All sources of one series side by side, and its mirror: what the partner says of the same flow."""
    folder, catalogue, entry, records = _stored(series)
    precedence = vintage_store.read_precedence(folder)
    rates = _rates(folder, catalogue, precedence)
    values = vintages.side_by_side(records, entry, precedence, rates)
    remarks = []
    lost = sorted(set(records["source"]) - set(values.columns))
    if lost:
        remarks.append(f"Left out, because no exchange rate of those months is kept: {', '.join(lost)}"
                       " (tradecast data update fx).")  # fmt: skip
    if (mirror := mirror_of(entry)) in catalogue:
        theirs = _records(folder, mirror)
        other = vintages.side_by_side(theirs, Series(mirror, mirror, entry.unit), precedence, rates)
        values = values.join(other.add_prefix("mirror: "), how="outer")
        records = pd.concat([records, theirs])
        remarks.append(f"The mirror is {mirror}: exports are counted without, imports with freight and insurance.")
    standing = vintages.known_on(records[records["series"] == series], None, precedence, catalogue)
    why = "Stands: a figure before an estimate; then the order of sources in data/sources.toml; then the later stage."
    chosen = standing.set_index("month")["source"]
    return Compared(entry, values, chosen, why, tuple(remarks), _lines(records))


def mirror_of(entry: Series) -> str:
    """The id of the same flow as the partner reports it; nothing for what is no flow between two countries."""
    flow = Flow.of(entry)
    if flow is None or "world" in (flow.reporter, flow.partner):
        return ""
    other = FLOWS[1 - FLOWS.index(flow.flow)]
    return ".".join(filter(None, (f"{flow.partner}_{flow.reporter}", other, flow.commodity, flow.measure)))


def _stored(series: str) -> tuple[Path, Catalogue, Series, pd.DataFrame]:
    folder = store.data_folder()
    catalogue = vintage_store.described(folder, store.read_catalogue(folder))
    chosen = catalogue.select([series])
    entry = catalogue[chosen[0]]
    if len(chosen) > 1:
        raise DataError(f"{series!r} matches {len(chosen)} series: name one, such as {chosen[0]}.")
    if entry.derived:
        raise DataError(f"{entry.id} is computed, never published: ask for {' or '.join(entry.terms)}.")
    return folder, catalogue, entry, _records(folder, entry.id)


def _records(folder: Path, series: str) -> pd.DataFrame:
    carried = vintages.carried(store.read_stored_observations(folder))
    return pd.concat([carried[carried["series"] == series], vintage_store.history(folder, [series])], ignore_index=True)


def _rates(folder: Path, catalogue: Catalogue, precedence: vintages.Precedence) -> dict[str, pd.Series]:
    ids = [one for one in catalogue if one.startswith("fx.")]
    known = vintages.known_on(vintage_store.history(folder, ids), None, precedence, catalogue)
    return {str(one): rows.set_index("month")["value"] for one, rows in known.groupby("series")}


def _lines(records: pd.DataFrame) -> str:
    names = dict.fromkeys(one for one in records["source"] if one != vintages.ARTICLES)
    return " ".join(dict.fromkeys(vintage_store.attribution(one) for one in names))
