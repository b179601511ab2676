"""Draws what service_report.py measured: orders a second and CPU an order, side by side.

python benchmarks/service_report.py --json build/service.json
python benchmarks/service_picture.py build/service.json [--picture docs/service.svg]
"""

import argparse
import json
from pathlib import Path
from typing import Any

from picture import LEFT, ROW, TOP, WIDTH, text

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "service.svg"
PANELS = (
    ("per_second", "orders/s, 64 calls in flight, server on one core", "{:,.0f}"),
    ("cpu_us", "CPU of the server an order", "{:,.1f} µs"),
)
COLOURS = {"serve": "#0b7a4b", "empty": "#8a8f98", "bare": "#8a8f98", "C++": "#b4552d"}
"""By the first word of a name: ours, what does nothing, and others."""
LABEL_ROOM = 90


def draw(path: Path, contenders: list[dict[str, Any]]) -> None:
    """Writes the picture of these contenders (`figures.Contender`) to `path`."""
    parts: list[str] = []
    y = TOP
    for key, title, form in PANELS:
        shown = [one for one in contenders if one[key]]
        longest = max(one[key] for one in shown)
        parts.append(text(8, y + 13, title, weight="bold"))
        y += ROW
        for one in shown:
            width = (WIDTH - LEFT - LABEL_ROOM) * one[key] / longest
            colour = COLOURS.get(one["name"].split()[0].rstrip(","), "#3b6ea5")
            parts.append(text(LEFT - 8, y + 13, one["name"], anchor="end"))
            parts.append(
                f'<rect x="{LEFT}" y="{y + 3}" width="{width:.1f}" height="{ROW - 5}" '
                f'fill="{colour}"/>'
            )
            parts.append(text(LEFT + width + 6, y + 13, form.format(one[key])))
            y += ROW
        y += 12
    height = y + 20
    frame = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">'
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>'
    )
    title = text(8, 18, "Market orders, each committed to Redis before its answer", weight="bold")
    foot = text(
        8, height - 8, "One run, one machine, medians. Ratios travel, absolute rates do not."
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([frame, title, *parts, foot, "</svg>", ""]))


def main() -> None:
    """Reads the report, draws."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path, help="what service_report.py --json has written")
    parser.add_argument("--picture", type=Path, default=PICTURE, help="where it is written")
    options = parser.parse_args()
    draw(options.picture, json.loads(options.report.read_text())["contenders"])
    print(f"picture: {options.picture}")


if __name__ == "__main__":
    main()
