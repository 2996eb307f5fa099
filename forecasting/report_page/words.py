"""Periods, shares and assumptions as people write them."""

from __future__ import annotations

import math

import pandas as pd

from forecasting.catalogue import Catalogue
from forecasting.periods import quarter_words
from forecasting.report_page.elements import minus
from forecasting.scenario import RELATIVE, Assumption, months_in_words

DOES = {
    "ban": "{size} of it is banned",
    "scale": "it changes by {size}",
    "shift": "it changes by {size} {unit} a month",
    "cap": "at most {size} {unit} a {per}",
    "floor": "at least {size} {unit} a month",
    "path": "it takes given levels",
    "growth": "it changes by {size} on a year earlier",
    "lift": "{size} of the gap to its level before {since} comes back",
}


def month_words(month: object) -> str:
    """August 2026."""
    return pd.Period(str(month), "M").strftime("%B %Y")


def period_words(label: str) -> str:
    """``2026-09`` → September 2026, ``2026Q4`` → Oct–Dec 2026, ``FY2026`` → Fiscal 2026 (Apr–Mar)."""
    if label.startswith("FY"):
        return f"Fiscal {label[2:]} (Apr–Mar)"
    return quarter_words(label) if "Q" in label else month_words(label)


def share(value: float, decimals: int = 0) -> str:
    """A share as percent; a dash where it is not known."""
    return f"{100 * value:.{decimals}f} %" if math.isfinite(value) else "–"


def title_of(series: str, catalogue: Catalogue) -> str:
    """The title of a series; the text itself where it is none."""
    return catalogue[series].title if series in catalogue else series


def assumption_words(one: Assumption, catalogue: Catalogue) -> str:
    """What is assumed of what, and on whose word."""
    unit = catalogue[one.target].unit.replace("_", " ") if one.target in catalogue else ""
    size = minus(one.size.words(one.kind in RELATIVE))
    does = DOES[one.kind].format(size=size, unit=unit, per=one.per.replace("_", " "), since=one.since)
    said = [f"{title_of(one.target, catalogue)}: {does}"]
    if one.residual.most:
        said.append(f"{one.residual.words(True)} of that still passes")
    said += [
        f"{way.share.words(True)} of what is lost goes to {title_of(way.to, catalogue)}{_later(way.lag)}"
        for way in one.reroute
    ]
    said += [
        f"{title_of(way.target, catalogue)} follows by {way.elasticity.words(False)} % a percent{_later(way.lag)}"
        for way in one.pass_through
    ]
    end = f" to {month_words(one.end)}" if one.end is not None else ""
    ramp = f", over {months_in_words(one.ramp)}" if one.ramp else ""
    return f"{'; '.join(said)}. From {month_words(one.start)}{end}{ramp}. Source: {one.source.rstrip('.')}."


def _later(lag: int) -> str:
    return f", {months_in_words(lag)} later" if lag else ""
