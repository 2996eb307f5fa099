"""The report as one HTML page that needs no network: markup, style, data and scripts under a strict security policy."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources

from forecasting.report import Content
from forecasting.report_page import live
from forecasting.report_page.elements import Charts, Markup, data_block, el
from forecasting.report_page.sections import backtest, changes, figures, forecast, method, scenarios
from forecasting.report_page.words import month_words, period_words
from forecasting.workflow import Request

SCRIPTS = ("charts.js", "impose.js", "page.js")
STYLE = "page.css"
NAMES = {
    "headline": "Next quarter",
    "series": "Series",
    "scenarios": "What if",
    "changes": "What changed",
    "backtest": "Track record",
    "data": "Figures",
    "method": "Method",
}


def html(content: Content, request: Request) -> str:
    """The page; the same content gives the same bytes. ``request`` is what the content was gathered with."""
    charts = Charts()
    packed = live.payload(content, request)
    carried = _carried(packed)
    parts = {
        "headline": forecast.next_quarter(content, charts),
        "series": forecast.every_series(content, charts),
        "scenarios": scenarios.what_if(content, carried),
        "changes": changes.what_changed(content),
        "backtest": backtest.track_record(content, charts),
        "data": figures.figures(content),
        "method": method.method(content, carried),
    }
    shown = {name: part for name, part in parts.items() if part is not None}
    scripts = [_static(one) for one in SCRIPTS]
    style = _static(STYLE)
    title = _title(content)
    links = el("nav", el("ul", [el("li", el("a", NAMES[one], href=f"#{one}")) for one in shown]), aria_label="Sections")
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=_policy(scripts, style)),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="referrer", content="no-referrer"),
        el("title", title),
        Markup(f"<style>{style}</style>"),
    )
    body = el(
        "body",
        el("a", "To the numbers", href="#headline", class_="skip"),
        el("header", el("div", el("h1", title), el("p", _made_from(content), class_="meta"))),
        links,
        el("main", *shown.values()),
        el(
            "footer",
            el("div", el("p", content.outlook.source_line), el("p", f"Data vintage {content.outlook.vintage}.")),
        ),
        data_block("charts", charts.specs),
        data_block("live-data", packed) if packed else None,
        *(Markup(f"<script>{one}</script>") for one in scripts),
        data_source=content.outlook.source_line,
    )
    return f"<!DOCTYPE html>\n{el('html', head, body, lang='en')}\n"


def _title(content: Content) -> str:
    when = f": {period_words(str(content.headline['period'].iloc[0]))}" if len(content.headline) else ""
    return f"Trade forecast{when}" if content.dataset.embedded else f"Forecast of {content.dataset.source}{when}"


def _made_from(content: Content) -> str:
    last = max(content.outlook.forecast.cutoff)
    return (
        f"{len(content.cards)} series, forecast by {content.models} from figures published until {month_words(last)}."
    )


def _carried(packed: dict[str, object]) -> str:
    """How the live numbers may differ from the command's."""
    if not packed:
        return ""
    held, of = packed["paths"], packed["of_paths"]
    same = f"all {of:,} futures of the forecast" if held == of else f"{held:,} of the {of:,} futures of the forecast"
    return f"The page carries {same}, rounded to 16 bits, so that its live numbers agree with the command's" + (
        " to about one part in ten thousand." if held == of else " but for the futures left out."
    )


def _policy(scripts: list[str], style: str) -> str:
    """Nothing may be loaded and no script run but those written here."""
    allowed = " ".join(_hash(one) for one in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_hash(style)}; img-src blob: data:;"
        " base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _static(name: str) -> str:
    text = resources.files(__package__).joinpath("static", name).read_text(encoding="utf-8")
    assert "</s" not in text, "it would end its own element"
    return text
