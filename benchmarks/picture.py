"""The picture of the README: peers side by side, log scale, as SVG without any library."""

import math
from pathlib import Path

PANELS = ("L1", "L20", "L1000")
TITLES = {
    "L1": "one level",
    "L20": "20 levels, half taken, limit",
    "L1000": "1000 levels, all taken; the Book asked again and again",
}
BARS = (
    ("C", "plain C loop", "#8a8f98"),
    ("sweep", "kernel, first time asked", "#0b7a4b"),
    ("buy", "Book.buy", "#0b7a4b"),
    ("fill", "Book.fill", "#0b7a4b"),
    ("tuple", "Book.walk", "#0b7a4b"),
    ("nautilus average", "nautilus, average only", "#b4552d"),
    ("nautilus fill", "nautilus, simulated fill", "#b4552d"),
    ("numba", "numba", "#3b6ea5"),
    ("numpy", "numpy", "#3b6ea5"),
    ("python", "Python loop", "#3b6ea5"),
)
WIDTH, LEFT, ROW, TOP = 720, 190, 19, 34
DECADES = (1.0, 1e6)  # ns


def draw(path: Path, medians: dict[str, float]) -> None:
    """Writes the picture of these medians (ns) to `path`."""
    parts: list[str] = []
    y = TOP
    for panel in PANELS:
        parts.append(text(8, y + 13, f"{panel}: {TITLES[panel]}", weight="bold"))
        y += ROW
        for key, label, colour in BARS:
            if (taken := medians.get(f"{panel} {key}")) is None:
                continue
            parts.append(text(LEFT - 8, y + 13, label, anchor="end"))
            parts.append(
                f'<rect x="{LEFT}" y="{y + 3}" width="{along(taken):.1f}" height="{ROW - 5}" '
                f'fill="{colour}"/>'
            )
            parts.append(text(LEFT + along(taken) + 6, y + 13, readable(taken)))
            y += ROW
        y += 12
    height = y + 20
    frame = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">'
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>'
    )
    title = text(8, 18, "One order against one book, time a call (log scale)", weight="bold")
    foot = text(
        8, height - 8, "One run, one machine, median. Ratios travel, absolute times do not."
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([frame, grid(height), title, *parts, foot, "</svg>", ""]))


def along(taken: float) -> float:
    low, high = (math.log10(end) for end in DECADES)
    share = (math.log10(max(taken, DECADES[0])) - low) / (high - low)
    return (WIDTH - LEFT - 70) * min(share, 1.0)


def grid(height: int) -> str:
    lines = []
    for power in range(int(math.log10(DECADES[1])) + 1):
        x = LEFT + along(10.0**power)
        lines.append(
            f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{height - 26}" stroke="#e3e5e8"/>'
        )
    return "".join(lines)


def text(x: float, y: float, content: str, *, anchor: str = "start", weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}" font-weight="{weight}" '
        f'fill="#24292f">{content}</text>'
    )


def readable(taken: float) -> str:
    return f"{taken:,.1f} ns" if taken < 100 else f"{taken:,.0f} ns"
