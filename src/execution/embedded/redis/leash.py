"""Runs a server so that it cannot outlive the process that asked for it.

A script, not a module: it imports the standard library alone, because it is
run by `python -I -S` between the owner and the server. Two ways:

`signal` (Linux)
    The kernel is asked to SIGKILL this process when its parent dies; then it
    becomes the server, so no third process stays behind. "Parent" means the
    *thread* that started us: only a main thread may use this.

`pipe` (every POSIX system, any thread)
    This process stays as the server's parent and kills it when its standard
    input ends, which only the owner holds open. SIGTERM is passed on.

SIGKILL and not SIGTERM: it also ends a server that is stopped or hangs, and
takes nothing a client was promised, since the server writes to its append-only
file before it answers (`everysec` may lag by a second or two, as it says).

Usage: leash.py signal|pipe OWNER_PID PROGRAM ARGUMENT...
"""

import os
import signal
import sys
from types import FrameType

PR_SET_PDEATHSIG = 1
OWNER_GONE = 3


def main(way: str, owner: int, command: list[str]) -> int:
    """Runs `command` on behalf of process `owner`; the exit status if it returns."""
    os.umask(0o077)
    _forget_inherited_signals()
    if way == "pipe":
        return _hold(command)
    if _die_with_parent(owner):
        os.execv(command[0], command)  # noqa: S606 - becomes the server, no shell
    return OWNER_GONE


def _forget_inherited_signals() -> None:
    """An owner that blocks or ignores SIGTERM must not make the server deaf."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _die_with_parent(owner: int) -> bool:
    """Asks the kernel for it; False if the owner died before the kernel knew."""
    import ctypes  # noqa: PLC0415 - the other way does without

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return os.getppid() == owner


def _hold(command: list[str]) -> int:
    import subprocess  # noqa: PLC0415 - `signal` starts faster without
    import threading  # noqa: PLC0415 - as above

    servers: list[subprocess.Popen[bytes]] = []
    asked_to_end = threading.Event()

    def pass_on(_number: int, _frame: FrameType | None) -> None:
        asked_to_end.set()
        for server in servers:
            server.terminate()

    def kill_when_owner_is_gone(server: "subprocess.Popen[bytes]") -> None:
        while os.read(0, 64):
            pass
        server.kill()

    signal.signal(signal.SIGTERM, pass_on)
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, close_fds=False)  # noqa: S603 - what our owner told us to run, no shell
    servers.append(server)
    if asked_to_end.is_set():
        server.terminate()
    threading.Thread(target=kill_when_owner_is_gone, args=(server,), daemon=True).start()
    status = server.wait()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), sys.argv[3:]))
