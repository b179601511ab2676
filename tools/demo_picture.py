"""Writes docs/demo.svg: one frame of a real demo, for the README.

`python tools/demo_picture.py` runs the demo for some seconds and draws the
frame it ended with, as a terminal of that size would show it.
"""

import argparse
import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme

from execution.cli.demo.proof import Check
from execution.cli.demo.run import DemoConfig, Scene, demo
from execution.cli.demo.view import Look, frame
from execution.cli.running import run

PICTURE = Path(__file__).parents[1] / "docs" / "demo.svg"
SECONDS = 33.0
"""Long enough for a full sparkline, and on the first page of positions."""
SIZE = (100, 30)
THEME = TerminalTheme(
    (13, 17, 23),
    (201, 209, 217),
    [
        (72, 79, 88),
        (248, 81, 73),
        (63, 185, 80),
        (210, 153, 34),
        (31, 80, 150),
        (188, 140, 255),
        (57, 197, 207),
        (240, 246, 252),
    ],
)


class PictureScreen:
    """`run.Screen` that keeps the last frame."""

    def __init__(self, width: int, height: int) -> None:
        self._look = Look(width, height)
        self._console = Console(
            file=io.StringIO(), width=width, height=height, record=True, force_terminal=True
        )
        self._last: tuple[Scene, float] | None = None

    def starting(self, seconds: float) -> None:
        """Nothing to draw yet."""

    def started(self, scene: Scene) -> None:
        """Nothing to draw yet."""

    def frame(self, scene: Scene, now: float) -> None:
        """Takes the frame's prices, and draws it if it stays the last."""
        self._look.remember(scene.feeds)
        self._last = (scene, now)

    def summary(self, scene: Scene, now: float, checks: list[Check]) -> None:
        """Draws the end, if the proof holds."""
        broken = [check.line() for check in checks if not check.ok]
        if broken:
            sys.exit("\n".join(broken))
        self._console.print(frame(scene, self._look, now), end="")

    def close(self) -> None:
        """Nothing is open."""

    def svg(self) -> str:
        """The picture."""
        svg = self._console.export_svg(title="execution-service demo", theme=THEME)
        # Whoever shows the picture fetches no fonts from elsewhere: name those that are there.
        svg = re.sub(r"@font-face \{.*?\}\s*|<!--.*?-->\s*", "", svg, flags=re.DOTALL)
        return svg.replace("Fira Code,", "ui-monospace, Menlo, Consolas, DejaVu Sans Mono,")


def main() -> None:
    """Runs the demo and writes the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--to", type=Path, default=PICTURE)
    arguments = parser.parse_args()
    screen = PictureScreen(*SIZE)
    run(demo(DemoConfig(seconds=arguments.seconds), screen))
    arguments.to.parent.mkdir(exist_ok=True)
    arguments.to.write_text(screen.svg(), encoding="utf-8")
    print(f"wrote {arguments.to}")


if __name__ == "__main__":
    main()
