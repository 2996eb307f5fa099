"""The catalogue: what every series is, how it is measured, and which sums must hold."""

from __future__ import annotations

import difflib
import fnmatch
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from graphlib import CycleError, TopologicalSorter

import pandas as pd

from forecasting.errors import CatalogueError

FORMULAS = {"sum": "two or more terms", "difference": "two terms", "ratio": "two terms", "rest": "one term"}
TERMS = {"difference": 2, "ratio": 2, "rest": 1}


@dataclass(frozen=True)
class Series:
    """One measured or derived quantity.

    ``formula`` and ``terms`` declare a derived series: ``sum`` and ``difference`` of the terms, ``ratio`` of
    the first to the second (of totals, not a mean of monthly ratios), ``rest`` = the one term less its listed parts.
    ``within`` is the same flow with all partners: a scenario passes changes on to it, reconciliation does not tie it.
    ``core`` series are forecast together and reconciled first; ``headline`` ones are shown by default.
    """

    id: str
    title: str
    unit: str
    parent: str = ""
    within: str = ""
    formula: str = ""
    terms: tuple[str, ...] = ()
    core: bool = False
    headline: bool = False
    pc_code: str = ""
    hs_code: str = ""
    publisher: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        if bool(self.formula) != bool(self.terms) or self.formula not in ("", *FORMULAS):
            raise CatalogueError(
                f"{self.id}: formula {self.formula!r} with terms {' '.join(self.terms)!r} is not one of"
                f" {', '.join(FORMULAS)} with its terms: mend data/catalogue.csv."
            )
        if self.formula and len(self.terms) != TERMS.get(self.formula, len(self.terms)):
            raise CatalogueError(
                f"{self.id}: a {self.formula} has {FORMULAS[self.formula]}, found {len(self.terms)}: mend"
                " data/catalogue.csv."
            )

    @property
    def derived(self) -> bool:
        """Computed from other series, never stored."""
        return bool(self.formula)


CATALOGUE_COLUMNS = tuple(one.name for one in fields(Series))


@dataclass(frozen=True)
class Catalogue(Mapping[str, Series]):
    """All known series by id, in the order in which people want to read them."""

    entries: tuple[Series, ...]
    _by_id: dict[str, Series] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ids = [series.id for series in self.entries]
        if len(set(ids)) < len(ids):
            twice = min(one for one, count in Counter(ids).items() if count > 1)
            raise CatalogueError(f"The catalogue lists {twice} twice: keep one row per series.")
        object.__setattr__(self, "_by_id", dict(zip(ids, self.entries, strict=True)))
        for series in self.entries:
            for needed in (*series.terms, *filter(None, [series.parent, series.within])):
                if needed not in self._by_id:
                    raise CatalogueError(f"{series.id} refers to {needed}, which the catalogue does not list.")
        for series in self.entries:
            self._check_units(series)
        self._check_ends()

    def _check_units(self, series: Series) -> None:
        """What is added up as it stands has one unit; a ratio has the unit of its terms."""
        units = [self[term].unit for term in series.terms]
        if series.formula == "ratio" and series.unit != "/".join(units):
            raise CatalogueError(
                f"{series.id} is in {series.unit}, but its terms give {'/'.join(units)}: mend its unit."
            )
        wholes = series.terms if series.formula in ("sum", "rest") else ()
        for other in (*wholes, *filter(None, [series.parent])):
            if self[other].unit != series.unit:
                raise CatalogueError(
                    f"{series.id} is in {series.unit}, but {other}, with which it adds up, is in {self[other].unit}:"
                    " give both one unit."
                )

    def _check_ends(self) -> None:
        """No series rests on itself, or is a part of itself."""
        children: dict[str, list[str]] = {}
        for one in self.entries:
            if one.parent and not one.derived:
                children.setdefault(one.parent, []).append(one.id)
        rests = {
            one.id: (*one.terms, *(children.get(one.terms[0], ()) if one.formula == "rest" else ()))
            for one in self.entries
            if one.derived
        }
        within = {one.id: {*filter(None, [one.parent, one.within])} for one in self.entries}
        for one in self.entries:
            for term in one.terms if one.formula == "sum" else ():
                within[term].add(one.id)
        for graph, what in ((rests, "rests on itself"), (within, "is a part of itself")):
            try:
                TopologicalSorter(graph).prepare()
            except CycleError as error:
                way = " → ".join(error.args[1][:6])
                raise CatalogueError(f"{error.args[1][0]} {what}: {way}: mend data/catalogue.csv.") from error

    def __getitem__(self, series: str) -> Series:
        return self._by_id[series]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_id)

    def __len__(self) -> int:
        return len(self.entries)

    @classmethod
    def from_table(cls, table: pd.DataFrame) -> Catalogue:
        """Read the columns of ``CATALOGUE_COLUMNS``, all text; ``terms`` separated by blanks, flags ``yes``."""
        missing = [name for name in CATALOGUE_COLUMNS if name not in table.columns]
        if missing:
            raise CatalogueError(f"The catalogue lacks the column {missing[0]}; it has {', '.join(table.columns)}.")
        rows = table.fillna("").astype(str).to_dict("records")
        return cls(
            tuple(
                Series(
                    **{
                        **{name: str(row[name]).strip() for name in CATALOGUE_COLUMNS},
                        "terms": tuple(str(row["terms"]).split()),
                        "core": row["core"] == "yes",
                        "headline": row["headline"] == "yes",
                    }
                )
                for row in rows
            )
        )

    def children(self, series: str) -> tuple[str, ...]:
        """Stored parts whose parent is this series."""
        return tuple(one.id for one in self.entries if one.parent == series and not one.derived)

    def select(self, patterns: Iterable[str]) -> tuple[str, ...]:
        """Ids that match the ids or shell patterns, in catalogue order; unknown ones name their nearest neighbours."""
        wanted: set[str] = set()
        for pattern in patterns:
            found = [pattern] if pattern in self._by_id else fnmatch.filter(self._by_id, pattern)
            if not found:
                raise CatalogueError(self._unknown(pattern))
            wanted.update(found)
        return tuple(series for series in self if series in wanted)

    def with_plain(self, units: Mapping[str, str]) -> Catalogue:
        """The catalogue with a plain entry for every id that it does not know, in the unit given for it."""
        new = [one for one in units if one not in self._by_id]
        return Catalogue((*self.entries, *(Series(one, one, units[one] or "as given") for one in new)))

    def without_headline(self) -> Catalogue:
        """The same series, none of them shown by default."""
        return Catalogue(tuple(replace(one, headline=False) for one in self.entries))

    def _unknown(self, pattern: str) -> str:
        near = difflib.get_close_matches(pattern, list(self), n=3, cutoff=0.4)
        loose = [
            one
            for one in self
            if pattern.strip("*").lower() in one.lower() or pattern.lower() in self[one].title.lower()
        ]
        names = list(dict.fromkeys([*loose[:3], *near]))[:3]
        hint = f" Nearest: {', '.join(names)}." if names else ""
        return f"No series matches {pattern!r}.{hint} `tradecast data list` shows all {len(self)}."
