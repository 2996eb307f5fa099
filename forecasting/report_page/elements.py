"""Elements of a page: text is escaped unless it was made here, so that a title with a tag in it is shown, not run."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from forecasting.units import Scale

EMPTY = ("input", "meta", "br")


class Markup(str):
    """Markup that was made by ``el`` and is not escaped again."""

    __slots__ = ()


Child = str | Markup | Iterable["Child"] | None


def el(name: str, /, *children: Child, **attributes: str | bool | int | None) -> Markup:
    """An element; ``class_`` is class, ``data_x`` data-x; attributes that are None or False are left out."""
    inside = "".join(_text(one) for one in children)
    given = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{html.escape(str(value))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    return Markup(f"<{name}{given}>" if name in EMPTY else f"<{name}{given}>{inside}</{name}>")


def _text(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return str(child)
    if isinstance(child, str):
        return html.escape(child)
    return "".join(_text(one) for one in child)


def data_block(name: str, value: Any) -> Markup:
    """A value as JSON that no text in it can leave."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(f'<script type="application/json" id="{html.escape(name)}">{text}</script>')


@dataclass(frozen=True)
class Cell:
    """A number as it is shown, and as it is copied; or the two ends of an interval, which are copied as two columns."""

    text: str
    values: tuple[float, ...] = ()


def number(text: str, value: float) -> Cell:
    """A number with what was rounded away kept to six digits."""
    return Cell(minus(text), (value,) if math.isfinite(value) else ())


def interval(scale: Scale, low: float, high: float) -> Cell:
    """An interval in the scale of its row."""
    text = f"{scale.number(low)} to {scale.number(high)}"
    return Cell(minus(text), (low * scale.factor, high * scale.factor))


def minus(text: str) -> str:
    """Numbers with the sign that is as wide as a plus."""
    return re.sub(r"-(?=\d)", "−", text)


def table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[object]], name: str) -> Markup:
    """A table with its buttons' place; columns whose cells are numbers are set right, the first cell names the row."""
    right = [any(isinstance(row[at], Cell) for row in rows) for at in range(len(columns))]
    head = el(
        "tr", [el("th", one, scope="col", class_="n" if r else None) for one, r in zip(columns, right, strict=True)]
    )
    body = [el("tr", [_cell(cell, at) for at, cell in enumerate(row)]) for row in rows]
    made = el("table", el("caption", caption), el("thead", head), el("tbody", body), id=name)
    inner = el("div", made, class_="scroll", role="region", tabindex=0, aria_label=caption)
    return el("div", inner, class_="table", data_name=name)


def _cell(cell: object, at: int) -> Markup:
    if isinstance(cell, Cell):
        kept = [f"{one:.6g}" for one in cell.values]
        ends = dict(zip(("data_v", "data_w"), kept, strict=False))
        return el("td", cell.text, class_="n", **ends)
    return el("th", str(cell), scope="row") if at == 0 else el("td", str(cell))


@dataclass
class Charts:
    """Charts by the id of their place."""

    specs: dict[str, dict[str, Any]] = field(default_factory=dict)

    def place(self, name: str, spec: dict[str, Any], summary: str, *behind: Child) -> Markup:
        """A chart's place with its title, what it shows in words, and the table behind it."""
        self.specs[name] = spec
        return el(
            "figure",
            el("figcaption", spec["title"], id=f"{name}-title"),
            el("div", class_="plot", id=name, data_summary=summary),
            el("p", class_="readout", aria_live="polite"),
            el("details", el("summary", "Figures behind this chart"), *behind) if behind else None,
            class_="chart",
        )


def section(name: str, title: str, *inside: Child) -> Markup:
    """A part of the page that the navigation leads to."""
    return el("section", el("h2", title, id=f"{name}-h"), *inside, id=name, aria_labelledby=f"{name}-h")
