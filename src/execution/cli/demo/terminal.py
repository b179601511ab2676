"""The demo on a terminal: a live screen while it runs, lines before and after."""

import logging
from collections import deque
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from execution.cli.demo.plain import PATIENCE_SECONDS, summary_lines
from execution.cli.demo.proof import Check
from execution.cli.demo.run import Scene
from execution.cli.demo.view import HEIGHT_MIN, WIDTH_MIN, Look, frame

if TYPE_CHECKING:
    from rich.status import Status

WARNINGS_MAX: Final = 20


def fits(console: Console) -> bool:
    """Whether the live screen can be shown there."""
    return (
        console.is_terminal
        and not console.is_dumb_terminal
        and console.width >= WIDTH_MIN
        and console.height >= HEIGHT_MIN
    )


class TerminalScreen(logging.Handler):
    """`run.Screen` on a terminal. As a log handler it keeps the screen whole:

    warnings show in its second line, and once more when it is gone.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console
        self._status: Status | None = None
        self._live: Live | None = None
        self._look = Look(console.width, console.height, ascii_only=console.options.ascii_only)
        self._warnings: deque[str] = deque(maxlen=WARNINGS_MAX)

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps a warning for later."""
        self._look.warning = f"{record.levelname.lower()}: {record.getMessage()}"
        self._warnings.append(self._look.warning)

    def starting(self, seconds: float) -> None:
        """A line that moves."""
        if self._status is None:
            self._status = self._console.status("")
            self._status.start()
        waited = f" {seconds:.0f} s" if seconds >= 1 else ""
        late = seconds >= PATIENCE_SECONDS and self._look.warning
        what = late or "starting Redis, symbol-service and execution-service"
        self._status.update(f"{what}{waited}")

    def started(self, scene: Scene) -> None:
        """Opens the live screen."""
        self._end_status()
        self._console.print(scene.ready.line(), soft_wrap=True, highlight=False)
        # What kept it from starting is over.
        self._look.warning = ""
        self._warnings.clear()
        self._live = Live(
            console=self._console, screen=True, auto_refresh=False, vertical_overflow="crop"
        )
        self._live.start()

    def frame(self, scene: Scene, now: float) -> None:
        """Draws a frame, on the screen as large as it is now."""
        if self._live is None:
            return
        self._look.width, self._look.height = self._console.size
        self._look.remember(scene.feeds)
        self._live.update(frame(scene, self._look, now), refresh=True)

    def summary(self, scene: Scene, now: float, checks: list[Check]) -> None:
        """The whole summary, on the screen as it was before."""
        self.close()
        for line in summary_lines(scene, now, checks):
            style = "green" if line.startswith("  ok") else ""
            style = "bold red" if line.startswith("  FAILED") else style
            self._console.print(Text(line, style=style), soft_wrap=True)

    def close(self) -> None:
        """Leaves the live screen; tells what went wrong meanwhile."""
        self._end_status()
        live, self._live = self._live, None
        if live is not None:
            live.stop()
        while self._warnings:
            self._console.print(Text(self._warnings.popleft(), style="yellow"), soft_wrap=True)

    def _end_status(self) -> None:
        status, self._status = self._status, None
        if status is not None:
            status.stop()
