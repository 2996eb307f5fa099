"""Who is part of whom: what moves when one series does."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from forecasting.catalogue import Catalogue, Series
from forecasting.units import conversion


@dataclass(frozen=True)
class Relations:
    """Parts, wholes and pairs (value and quantity of a good) among ``series``, as the catalogue declares them."""

    catalogue: Catalogue
    series: tuple[str, ...]

    def above(self, series: str) -> dict[str, float]:
        """Wholes that hold this series, by how many of their units one of its units is."""
        return self._above.get(series, {})

    def below(self, series: str) -> tuple[str, ...]:
        """Every part, and the parts of parts."""
        return tuple(one for one in self.series if series in self.above(one))

    def parts(self, series: str) -> tuple[str, ...]:
        """Parts that are in no other part."""
        inside = self.below(series)
        return tuple(one for one in inside if not set(self.above(one)) & set(inside))

    def partner(self, series: str) -> str:
        """The quantity of this value, or the value of this quantity; an empty text where there is none."""
        for value, quantity in self._pairs:
            if series in (value, quantity):
                return quantity if series == value else value
        return ""

    def family(self, series: str) -> frozenset[str]:
        """What moves in the same proportion: a series, its parts, and the partners of them all; of a price, prices."""
        entry = self.catalogue.get(series)
        if entry and entry.formula == "ratio":
            values = {entry.terms[0], *self.below(entry.terms[0])}
            values |= {one.id for one in self._computed if one.formula == "difference" and one.terms[0] in values}
            return frozenset(one.id for one in self._computed if one.formula == "ratio" and one.terms[0] in values)
        found: set[str] = set()
        waiting = [series]
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                waiting += [*self.below(one), *filter(None, [self.partner(one)])]
        left = {one.id for one in self._computed if one.formula in ("difference", "rest") and one.terms[0] in found}
        return frozenset(found | left)

    def topmost(self, series: tuple[str, ...]) -> tuple[str, ...]:
        """These without the ones that are moved by another of them anyway, and without prices among amounts."""
        prices = {one for one in series if self.catalogue[one].formula == "ratio"}
        series = tuple(one for one in series if one not in prices) or series
        kept: list[str] = []
        for one in sorted(series, key=lambda at: (-len(self.family(at)), not at.endswith(".quantity"))):
            if not any(one in self.family(other) for other in kept):
                kept.append(one)
        return tuple(one for one in series if one in kept)

    @cached_property
    def _above(self) -> dict[str, dict[str, float]]:
        holders: dict[str, list[tuple[str, float]]] = {one: [] for one in self.catalogue}
        for entry in self.catalogue.values():
            if entry.parent:
                holders[entry.id].append((entry.parent, 1.0))
            if entry.within:
                holders[entry.id].append((entry.within, conversion(entry.unit, self.catalogue[entry.within].unit)))
            for term in entry.terms if entry.formula == "sum" else ():
                holders[term].append((entry.id, 1.0))
        there = set(self.series)

        def climbed(one: str) -> dict[str, float]:
            found: dict[str, float] = {}
            for whole, by in holders[one]:
                for upper, more in {whole: 1.0, **climbed(whole)}.items():
                    found.setdefault(upper, by * more)
            return found

        return {one: {whole: by for whole, by in climbed(one).items() if whole in there} for one in self.catalogue}

    @cached_property
    def _computed(self) -> tuple[Series, ...]:
        return tuple(one for one in self.catalogue.values() if one.derived)

    @cached_property
    def _pairs(self) -> tuple[tuple[str, str], ...]:
        ratios = (entry.terms for entry in self.catalogue.values() if entry.formula == "ratio")
        return tuple((value, quantity) for value, quantity in ratios if {value, quantity} <= set(self.series))
