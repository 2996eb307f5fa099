"""Who is part of whom: what moves when one series does."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from forecasting.catalogue import Catalogue, Series
from forecasting.units import conversion


@dataclass(frozen=True)
class Relations:
    """Parts, wholes and pairs (value and quantity of a good) among ``series``, as the catalogue declares them."""

    catalogue: Catalogue
    series: tuple[str, ...]

    def holds(self, series: str) -> bool:
        """Whether it is one of these series."""
        return series in self._there

    def above(self, series: str) -> dict[str, float]:
        """Wholes that hold this series, by how many of their units one of its units is."""
        return self._above.get(series, {})

    def below(self, series: str) -> tuple[str, ...]:
        """Every part, and the parts of parts."""
        return self._below.get(series, ())

    def fillings(self, series: str) -> tuple[dict[str, float], ...]:
        """The two ways in which a whole is made up: of its own parts, and of what single partners hold of it.

        Each names the topmost ones, by how many units of the whole one of their units is. The two overlap.
        """
        inside = self.below(series)
        own = [one for one in inside if series in self._own[one]]
        held = [one for one in inside if series not in self._own[one]]
        return tuple(
            {one: self.above(one)[series] for one in group if self.above(one).keys().isdisjoint(group)}
            for group in (own, held)
        )

    def partner(self, series: str) -> str:
        """The quantity of this value, or the value of this quantity; an empty text where there is none."""
        entry = self.catalogue.get(series)
        if entry and entry.formula in ("difference", "rest"):
            return self._twins.get((entry.formula, tuple(self.partner(term) for term in entry.terms)), "")
        return self._partners.get(series, "")

    def family(self, series: str) -> frozenset[str]:
        """What moves in the same proportion: a series, its parts, and the partners of them all; of a price, prices."""
        if series not in self._families:
            self._families[series] = self._family(series)
        return self._families[series]

    def scaled(self, series: str) -> frozenset[str]:
        """What is multiplied when this series is: its family; of a price, the values too."""
        entry = self.catalogue.get(series)
        if entry and entry.formula == "ratio":
            return self.family(series) | self._valued(entry.terms[0])
        return self.family(series)

    def moved(self, series: str, alone: bool = False) -> frozenset[str]:
        """Everything that has other values after an assumption on this series; ``alone``: after one adds to it only."""
        scaled = frozenset({series, self.partner(series)} - {""}) if alone else self.scaled(series)
        roots = {self._root(one) for one in scaled}
        amounts = scaled | roots | {whole for one in roots for whole in self.above(one)}
        if alone:
            amounts |= {left for one in roots for left in self._left.get(one, ())}
        prices = {
            price.id
            for one in amounts
            for price in self._priced.get(one, ())
            if not scaled.issuperset(price.terms) and amounts.intersection(price.terms)
        }
        return frozenset(amounts | prices)

    def assumable(self, series: str) -> bool:
        """Whether it is clear what moves with it: of a balance it is not, of what others have of a whole it is."""
        entry = self.catalogue[series]
        return entry.formula != "difference" or entry.terms[0] in self.above(entry.terms[1])

    def topmost(self, series: tuple[str, ...]) -> tuple[str, ...]:
        """These without what is moved by another of them anyway, without prices among amounts, and without balances."""
        series = tuple(one for one in series if self.assumable(one))
        prices = {one for one in series if self.catalogue[one].formula == "ratio"}
        series = tuple(one for one in series if one not in prices) or series
        kept: set[str] = set()
        covered: set[str] = set()
        for one in sorted(series, key=lambda at: (-len(self.family(at)), not at.endswith(".quantity"))):
            if one not in covered:
                kept.add(one)
                covered |= self.family(one)
        return tuple(one for one in series if one in kept)

    def _family(self, series: str) -> frozenset[str]:
        entry = self.catalogue.get(series)
        if entry and entry.formula == "ratio":
            values = self._valued(entry.terms[0])
            return frozenset(one.id for value in values for one in self._priced.get(value, ()) if one.terms[0] == value)
        found: set[str] = set()
        waiting = [series]
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                waiting += [*self.below(one), *filter(None, [self.partner(one)])]
        return frozenset(found | {left for one in found for left in self._left.get(one, ())})

    def _valued(self, value: str) -> frozenset[str]:
        """Values that a price of this one multiplies."""
        values = {value, *self.below(value)}
        return frozenset(values | {left for one in values for left in self._left.get(one, ())})

    def _root(self, series: str) -> str:
        """The series that really changes when this one does: of what is left of another, that other."""
        entry = self.catalogue.get(series)
        return entry.terms[0] if entry and entry.formula in ("difference", "rest") else series

    @cached_property
    def _there(self) -> frozenset[str]:
        return frozenset(self.series)

    @cached_property
    def _above(self) -> dict[str, dict[str, float]]:
        return self._climbed(
            {
                one.id: [*self._holders(one), *([(one.within, self._units_within(one))] if one.within else [])]
                for one in self.catalogue.values()
            }
        )

    @cached_property
    def _own(self) -> dict[str, dict[str, float]]:
        """Wholes above, of the same partner."""
        return self._climbed({one.id: list(self._holders(one)) for one in self.catalogue.values()})

    def _holders(self, entry: Series) -> Iterator[tuple[str, float]]:
        if entry.parent:
            yield entry.parent, 1.0
        for total in self._sums.get(entry.id, ()):
            yield total, 1.0

    def _units_within(self, entry: Series) -> float:
        return conversion(entry.unit, self.catalogue[entry.within].unit)

    def _climbed(self, holders: Mapping[str, Collection[tuple[str, float]]]) -> dict[str, dict[str, float]]:
        known: dict[str, dict[str, float]] = {}

        def climbed(one: str) -> dict[str, float]:
            if one not in known:
                found: dict[str, float] = {}
                for whole, by in holders[one]:
                    for upper, more in {whole: 1.0, **climbed(whole)}.items():
                        found.setdefault(upper, by * more)
                known[one] = found
            return known[one]

        return {
            one: {whole: by for whole, by in climbed(one).items() if whole in self._there} for one in self.catalogue
        }

    @cached_property
    def _below(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {}
        for one in self.series:
            for whole in self.above(one):
                found.setdefault(whole, []).append(one)
        return {whole: tuple(parts) for whole, parts in found.items()}

    @cached_property
    def _families(self) -> dict[str, frozenset[str]]:
        return {}

    @cached_property
    def _sums(self) -> dict[str, list[str]]:
        """Totals that name a series as a term."""
        found: dict[str, list[str]] = {}
        for entry in self.catalogue.values():
            for term in entry.terms if entry.formula == "sum" else ():
                found.setdefault(term, []).append(entry.id)
        return found

    @cached_property
    def _left(self) -> dict[str, list[str]]:
        """What others leave of a series: differences and rests of it."""
        found: dict[str, list[str]] = {}
        for entry in self.catalogue.values():
            if entry.formula in ("difference", "rest") and self.assumable(entry.id):
                found.setdefault(entry.terms[0], []).append(entry.id)
        return found

    @cached_property
    def _priced(self) -> dict[str, list[Series]]:
        """Prices that a series is a term of."""
        found: dict[str, list[Series]] = {}
        for entry in self.catalogue.values():
            for term in entry.terms if entry.formula == "ratio" else ():
                found.setdefault(term, []).append(entry)
        return found

    @cached_property
    def _partners(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for entry in self.catalogue.values():
            if entry.formula == "ratio" and self._there.issuperset(entry.terms):
                value, quantity = entry.terms
                found.setdefault(value, quantity)
                found.setdefault(quantity, value)
        return found

    @cached_property
    def _twins(self) -> dict[tuple[str, tuple[str, ...]], str]:
        """Differences and rests by what they are of."""
        return {
            (entry.formula, entry.terms): entry.id
            for entry in self.catalogue.values()
            if entry.formula in ("difference", "rest")
        }
