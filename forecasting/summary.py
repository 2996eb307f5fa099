"""What the data hold, one line per series: span, gaps, stages, and how the derived ones are made."""

from __future__ import annotations

from collections import Counter

import pandas as pd

from forecasting.catalogue import Catalogue, Series
from forecasting.observations import terms_of, wide

SUMMARY_COLUMNS = (
    "series", "title", "unit", "first", "last", "months", "gaps", "stages", "headline", "formula",
)  # fmt: skip
WORDS = {
    "sum": "{0} + {1}",
    "difference": "{0} − {1}",
    "ratio": "{0} / {1}",
    "rest": "{0} less its listed parts",
}


def summarise(observations: pd.DataFrame, catalogue: Catalogue) -> pd.DataFrame:
    """One row of SUMMARY_COLUMNS per catalogued or stored series; without data ``months`` is 0."""
    stored = dict(zip(observations["series"].astype(str), observations["unit"].astype(str), strict=True))
    whole = catalogue.with_plain(stored)
    known = wide(observations).notna() if stored else pd.DataFrame(index=pd.PeriodIndex([], freq="M"))
    stages = {str(one): Counter(rows["stage"]) for one, rows in observations.groupby("series")}
    rows = [_row(entry, _known(entry, known, whole), stages.get(entry.id), whole) for entry in whole.values()]
    return pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS))


def _known(entry: Series, known: pd.DataFrame, catalogue: Catalogue) -> pd.Series:
    """In which months the series is known (T); a derived one where all its terms are."""
    if entry.id in known.columns:
        return known[entry.id]
    terms = terms_of(entry, catalogue)
    at = pd.Series(bool(terms), index=known.index)
    for term in terms:
        at &= _known(catalogue[term], known, catalogue)
    return at


def _row(entry: Series, at: pd.Series, stages: Counter | None, catalogue: Catalogue) -> dict:
    months = list(at.index[at])
    span = (months[-1] - months[0]).n + 1 if months else 0
    return {
        "series": entry.id,
        "title": entry.title,
        "unit": entry.unit,
        "first": str(months[0]) if months else "",
        "last": str(months[-1]) if months else "",
        "months": len(months),
        "gaps": span - len(months),
        "stages": ", ".join(f"{count} {stage}" for stage, count in stages.most_common()) if stages else "",
        "headline": entry.headline,
        "formula": in_words(entry),
    }


def in_words(entry: Series) -> str:
    """The formula of a derived series; empty for a stored one."""
    return WORDS[entry.formula].format(*entry.terms) if entry.derived else ""
