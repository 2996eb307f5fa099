"""Draws the pictures of docs/scenarios.md from the files in it; run it in the project's folder."""

from __future__ import annotations

import argparse
import io
import re
import tomllib
from pathlib import Path

from forecasting import plot, scenarios
from forecasting.scenario import Scenario
from forecasting.scenario_file import parse
from forecasting.workflow import Request

PAGE = Path("docs/scenarios.md")
BLOCK = re.compile(r"```toml\n(.*?)```\n!\[\w+\]\(images/scenario-(\w+)\.png\)", re.DOTALL)
SHOWN = {
    "covariate": ("jp_ru.imports.mineral_fuels.lng.value",),
    "reroute": ("jp_ru.imports.mineral_fuels.lng.quantity", "jp_other.imports.mineral_fuels.lng.quantity"),
}
COLOURS = 64
HORIZON = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="ensemble")
    given = parser.parse_args()
    sources = {name: one.source for name, one in scenarios.ledger().items()}
    for text, picture in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        one = parse(tomllib.loads(text), picture, sources, text)
        path = PAGE.parent / "images" / f"scenario-{picture}.png"
        path.write_bytes(drawn(one, SHOWN.get(picture, (one.assumptions[0].target,)), given.model))
        print(f"{path}: {path.stat().st_size // 1000} kB")


def drawn(scenario: Scenario, series: tuple[str, ...], model: str) -> bytes:
    """The chart with few colours, for a small file."""
    from PIL import Image

    study = scenarios.run([scenario], Request(series=series, horizon=HORIZON), model)
    chart = plot.image(plot.scenarios(study))
    small = io.BytesIO()
    Image.open(io.BytesIO(chart)).convert("RGB").reduce(2).quantize(COLOURS).save(small, "PNG", optimize=True)
    return small.getvalue()


if __name__ == "__main__":
    main()
