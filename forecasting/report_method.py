"""How a forecast is made, in words for whoever reads a report: the one list that its page and its workbook print.

Names and numbers of the code are taken from the code, so that a sentence cannot lag behind it.
"""

from __future__ import annotations

from dataclasses import dataclass

from forecasting.calibration import MIN_ORIGINS
from forecasting.models.ensemble import Ensemble


@dataclass(frozen=True)
class Fact:
    """Something that holds for every forecast: a heading, and sentences."""

    title: str
    text: str


def _listed(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


METHOD = (
    Fact(
        "What a forecast is",
        "Many possible futures (paths) of all series. Medians, intervals, totals, changes on a year earlier and chances"
        " of a fall are all counted on the same futures: as many lie above a median as below, four of five in the 80 %"
        " interval, nineteen of twenty in the 95 % one.",
    ),
    Fact(
        "Which model draws them",
        "The one asked for, else the champion of the group, else the ensemble of"
        f" {len(Ensemble().members)} models ({_listed(Ensemble().members)}). Each of these gives the same share of the"
        " ensemble's futures. The median of all of them is its median; its spread around that is, quantile by quantile,"
        f" the mean of {_listed(Ensemble().spread)} without the lowest and the highest.",
    ),
    Fact(
        "Where the width comes from",
        "Intervals are calibrated: widened or narrowed by what forecasts missed that were made in the same way from the"
        " months up to past cutoffs. Of 100 figures forecast like this about 80 should fall inside their 80 % interval"
        f" and 95 inside the 95 % one. With fewer than {MIN_ORIGINS} cutoffs to learn from, intervals are widened for"
        " that, unless many series make up for it; the remarks say what they rest on.",
    ),
    Fact(
        "How series go together",
        "Futures of series that are forecast together are paired, whole path with whole path, so that they miss"
        " together as past forecasts did.",
    ),
    Fact(
        "What always holds",
        "In every single future holds what the catalogue declares: parts add up to their total, exports and imports to"
        " trade, and a value is its quantity times its unit price. The median of a total is not the sum of medians, so"
        " that rows of medians need not add up.",
    ),
    Fact(
        "Quarters and fiscal years",
        "They are added up future by future, with the published months as they are. A fiscal year is Japan's, April to"
        " March. A unit price of a quarter or year is the ratio of totals.",
    ),
    Fact("Chance of a fall", "The probability of a fall: the share of futures below the same period a year earlier."),
    Fact(
        "Scenarios",
        "A sourced assumption changes the same futures; what is assumed of a part goes into all that holds it."
        " Differences are taken future by future: their interval says how sure the effect is if the assumption comes"
        " true, not whether it will. The median of differences is not the difference of medians.",
    ),
    Fact(
        "What it cannot know",
        "A model knows the past. A new law, war or strike, announced or not, is outside every interval; a scenario can"
        " assume it.",
    ),
)
