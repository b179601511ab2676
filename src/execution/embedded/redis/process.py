"""A server process on a leash: when we are gone, however we went, so is it."""

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

_LEASH = Path(__file__).with_name("leash.py")


class LeashedProcess:
    """Starts `command` under `leash.py`, in a session of its own.

    Ctrl-C in our terminal is not for the server: it would be gone before we
    have drained. What it prints goes to the file descriptor `log`; it inherits
    `inherit`. Processes forked from us without exec hold the leash of a `pipe`
    too, and have to end for it to end.

    Nothing to await in here, so it works in every event loop and in none.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        directory: Path,
        log: int,
        inherit: Sequence[int] = (),
    ) -> None:
        way = _way_that_fits()
        theirs: int | None = None
        self._leash: int | None = None
        if way == "pipe":
            theirs, self._leash = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - a binary we found, no shell
                [sys.executable, "-I", "-S", str(_LEASH), way, str(os.getpid()), *command],
                stdin=subprocess.DEVNULL if theirs is None else theirs,
                stdout=log,
                stderr=log,
                cwd=directory,
                pass_fds=inherit,
                start_new_session=True,
            )
        except BaseException:
            self._let_go()
            raise
        finally:
            if theirs is not None:
                os.close(theirs)

    def wait(self) -> int:
        """Blocks until it ended; its exit status, as `subprocess` has it.

        May be called from another thread. Call `kill` after it all the same.
        """
        return self._process.wait()

    def poll(self) -> int | None:
        """Its exit status if it has ended."""
        return self._process.poll()

    def terminate(self) -> None:
        """Asks it to end in order; nothing if it has ended."""
        self._process.terminate()

    def kill(self) -> None:
        """Ends it at once if it has not ended, and gives up the leash."""
        if self._leash is None:
            self._process.kill()
        else:
            self._let_go()

    def _let_go(self) -> None:
        leash, self._leash = self._leash, None
        if leash is not None:
            os.close(leash)


def _way_that_fits() -> Literal["signal", "pipe"]:
    """`signal` is tied to the thread that starts the process, and only Linux has it."""
    on_main_thread = threading.current_thread() is threading.main_thread()
    return "signal" if sys.platform == "linux" and on_main_thread else "pipe"
