"""What every publisher's module offers: a plan of requests and a pure reading of the bytes that came back."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import pandas as pd

from forecasting.catalogue import Catalogue, Series

RECORD_COLUMNS = ("series", "month", "value", "unit", "stage", "std_error", "source", "published", "dated", "raw")
DATED = ("printed", "rule", "seen")
FLOWS = ("exports", "imports")
MEASURES = ("value", "quantity")


@dataclass(frozen=True)
class Address:
    """One request: an https address, what is expected there in words, and headers of its own.

    ``optional``: a 404 is an answer ("not out yet"), not an error; the connector is then sent None.
    """

    url: str
    expected: str
    headers: Mapping[str, str] = field(default_factory=dict)
    optional: bool = False


@dataclass(frozen=True)
class Raw:
    """Bytes as they came, where from and when (UTC)."""

    content: bytes
    address: str
    fetched: datetime

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes, in hexadecimal digits."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class Ask:
    """What to bring: these series of the catalogue, months from ``since`` (None: all) to ``until``."""

    catalogue: Catalogue
    series: tuple[str, ...]
    since: pd.Period | None
    until: pd.Period
    key: str = ""


@dataclass(frozen=True)
class Reading:
    """Records of RECORD_COLUMNS, in the catalogue's units, and in plain words what was assumed in reading them."""

    records: pd.DataFrame
    remarks: tuple[str, ...] = ()


class Source(Protocol):
    """A publisher: what it is, what to ask of it, how to recognise and read its bytes."""

    name: str
    title: str
    publisher: str
    licence: str
    attribution: str
    key: str
    hosts: tuple[str, ...]

    def offers(self, catalogue: Catalogue) -> tuple[str, ...]:
        """Ids of the catalogue that this source can fill."""

    def steps(self, ask: Ask) -> Generator[Address, Raw | None, None]:
        """The requests one after another; each is answered with what came. Files worth parsing are recognised later."""

    def recognises(self, raw: Raw) -> bool:
        """Whether these bytes are a file of this source, by their head, never by their name."""

    def parse(self, raw: Raw, catalogue: Catalogue) -> Reading:
        """The records in these bytes; DataError where they are not what they claim. Pure: no clock, no network."""


@dataclass(frozen=True)
class Flow:
    """What a catalogue entry measures: ``jp_ru.imports.mineral_fuels.lng.value`` in its parts."""

    reporter: str
    partner: str
    flow: str
    measure: str
    commodity: str
    pc_code: str
    hs_code: str

    @classmethod
    def of(cls, entry: Series) -> Flow | None:
        """The parts of a stored trade series; None for anything else."""
        pair, *middle, measure = entry.id.split(".") if entry.id.count(".") >= 2 else ("", "")
        reporter, _, partner = pair.partition("_")
        if entry.derived or not partner or not middle or middle[0] not in FLOWS or measure not in MEASURES:
            return None
        return cls(reporter, partner, middle[0], measure, ".".join(middle[1:]), entry.pc_code, entry.hs_code)

    @property
    def total(self) -> bool:
        """All goods together."""
        return not self.commodity
