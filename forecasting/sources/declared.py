"""Series that are not trade and that sources declare themselves: exchange rates, prices, visitors.

They stand beside the catalogue and not in it, because the catalogue lists what the project carries figures of.
"""

from __future__ import annotations

from forecasting.catalogue import Catalogue, Series
from forecasting.sources import fx, jnto_visitors, world_bank_prices


def declared() -> tuple[Series, ...]:
    """All of them, in the order of their sources."""
    return tuple(one for module in (fx, world_bank_prices, jnto_visitors) for one in module.SOURCE.declares)


def with_declared(catalogue: Catalogue) -> Catalogue:
    """The catalogue and the declared series that it does not list itself."""
    return Catalogue((*catalogue.entries, *(one for one in declared() if one.id not in catalogue)))
