"""How it is made, with settings and remarks."""

from __future__ import annotations

from forecasting.report import Content
from forecasting.report_method import METHOD
from forecasting.report_page.elements import Markup, el, section, table


def method(content: Content, carried: str) -> Markup:
    """The facts of every forecast, then what this one was made with."""
    words = [line for fact in METHOD for line in (el("h3", fact.title), el("p", fact.text))]
    settings = content.settings
    told = [
        ["Model", str(settings["model"])],
        ["Futures drawn", f"{settings['paths']:,}"],
        ["Seed", str(settings["seed"])],
        ["Months ahead", str(len(content.outlook.forecast.months))],
        ["Data vintage", content.outlook.vintage],
    ]
    return section(
        "method",
        "How it is made",
        words,
        el("p", carried) if carried else None,
        table(
            "Settings: the same settings and figures give the same page, byte for byte",
            ["Setting", "Value"],
            told,
            "method-settings",
        ),
        el("h3", "Remarks"),
        el("ul", [el("li", one) for one in content.remarks]) if content.remarks else el("p", "None."),
    )
