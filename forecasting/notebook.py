"""How objects show themselves in a notebook: short tables and pictures as HTML, all text from data escaped.

The HTML has no script, no link and no style sheet: it looks alike in Jupyter, VS Code and an exported page.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence

MOST_ROWS = 20
"""More rows are counted, not shown."""


def block(title: str, *parts: str, note: str = "") -> str:
    """A heading (plain text), parts that are HTML already, and a note (plain text) in small letters."""
    below = f"<p style='font-size:smaller;opacity:.75'>{html.escape(note)}</p>" if note else ""
    return f"<div><p><b>{html.escape(title)}</b></p>{''.join(parts)}{below}</div>"


def table(head: Sequence[str], rows: Iterable[Sequence[object]], words: int = 1) -> str:
    """Cells as plain text under a head; the first ``words`` columns are words, the others numbers set to the right."""
    cells = [[str(one) for one in row] for row in rows]
    sides = ["left" if at < words else "right" for at in range(len(head))]
    shown = [_row("td", row, sides) for row in cells[:MOST_ROWS]]
    more = f"<p>and {len(cells) - MOST_ROWS} more</p>" if len(cells) > MOST_ROWS else ""
    return f"<table><thead>{_row('th', head, sides)}</thead><tbody>{''.join(shown)}</tbody></table>{more}"


def _row(tag: str, cells: Sequence[str], sides: Sequence[str]) -> str:
    inside = (
        f"<{tag} style='text-align:{side}'>{html.escape(one)}</{tag}>" for one, side in zip(cells, sides, strict=True)
    )
    return f"<tr>{''.join(inside)}</tr>"


def picture(png: bytes, alt: str) -> str:
    """A PNG in the page itself, with words for who cannot see it."""
    data = base64.b64encode(png).decode()
    return f"<img style='max-width:100%' alt='{html.escape(alt, quote=True)}' src='data:image/png;base64,{data}'>"
