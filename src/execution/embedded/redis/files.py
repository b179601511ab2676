"""The data dir of the embedded Redis: its lock, state file, log, socket and port.

::

    DATA_DIR/            0700
      redis.lock         flock: held by the owner and by the server it started
      redis.json         where the live server listens; after a stop, where it did
      redis.log          what the server says
      redis.sock         its unix socket, elsewhere if this path is too long
      appendonlydir/     the data
"""

import contextlib
import fcntl
import json
import os
import socket
import stat
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from execution.embedded.redis.errors import EmbeddedRedisError

SOCKET_PATH_BYTES_MAX = 103
"""The least of the systems we run on (macOS: 104 with the final NUL)."""
LOG_BYTES_MAX = 4 << 20
PORTS = range(16384, 32768)
"""Below the ports that systems give to outgoing connections: while the server
restarts, a client that knocks at its port could be given that very port."""


@dataclass(frozen=True, slots=True)
class ServerState:
    """Where the server of a data dir listens."""

    port: int
    unix_socket: Path
    pid: int | None = None
    """None: it was stopped, the addresses are for the next one."""


class DataDir:
    """The files of one embedded Redis. Nothing is made or written before `create`."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.log = self.path / "redis.log"
        self.lock = DirLock(self.path / "redis.lock")
        self._state = self.path / "redis.json"

    def create(self) -> None:
        """Makes the folder, private to the user, if it is not there.

        Raises `EmbeddedRedisError` if it cannot.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise EmbeddedRedisError(f"cannot make the data dir {self.path}: {error}") from error

    def read_state(self) -> ServerState | None:
        """What the last owner wrote; None if nothing, or not about this folder."""
        try:
            state = json.loads(self._state.read_bytes())
            if state["data_dir"] != str(self.path):
                return None  # a copied folder: the original's server may be live there
            return ServerState(int(state["port"]), Path(state["unix_socket"]), state["pid"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def write_state(self, state: ServerState) -> None:
        """Replaces the state file in one step."""
        draft = self._state.with_suffix(".json.new")
        content = {
            "data_dir": str(self.path),
            "pid": state.pid,
            "port": state.port,
            "unix_socket": str(state.unix_socket),
        }
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(content, indent=1) + "\n")
        draft.replace(self._state)

    def choose_socket(self, remembered: Path | None) -> Path:
        """Inside the data dir if that fits, else in a private folder for temporary files."""
        inside = self.path / "redis.sock"
        if len(os.fsencode(inside)) <= SOCKET_PATH_BYTES_MAX:
            return inside
        if remembered is not None and _make_private(remembered.parent):
            return remembered
        name = "execution-redis-"
        parent = tempfile.gettempdir()
        if len(os.fsencode(parent)) + len(name) + len("/random12/redis.sock") > (
            SOCKET_PATH_BYTES_MAX
        ):
            parent = "/tmp"  # noqa: S108 - mkdtemp makes a folder of our own in it
        return Path(tempfile.mkdtemp(prefix=name, dir=parent)) / "redis.sock"

    def remove_socket(self, unix_socket: Path) -> None:
        """After the server ended: the socket, and its folder if we made one."""
        unix_socket.unlink(missing_ok=True)
        if unix_socket.parent != self.path:
            with contextlib.suppress(OSError):  # not empty: then it is no longer ours alone
                unix_socket.parent.rmdir()

    def choose_port(self, remembered: int | None) -> int:
        """A free loopback port, the same for the same data dir whenever it can be.

        It may be taken before the server binds it: the caller has to be ready
        for that.
        """
        if remembered is not None and port_is_free(remembered):
            return remembered
        first = zlib.crc32(os.fsencode(self.path))
        for offset in range(len(PORTS)):
            port = PORTS[(first + offset) % len(PORTS)]
            if port_is_free(port):
                return port
        raise EmbeddedRedisError(f"no free port from {PORTS[0]} to {PORTS[-1]} on 127.0.0.1")

    def remove_leftovers(self) -> None:
        """What a server leaves that was killed while it rewrote its data; for the lock's holder.

        Nothing ever reads them, and each can be as large as the data.
        """
        for leftover in self.path.glob("temp-rewriteaof-*.aof"):
            leftover.unlink(missing_ok=True)

    def open_log(self) -> int:
        """The log's file descriptor, for appending; a long log is put aside."""
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES_MAX:
            self.log.replace(self.log.with_suffix(".log.old"))
        return os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


class DirLock:
    """An flock, one holder at a time.

    It belongs to the open file, not to the process: who inherits `fd` holds it
    too. The server does, so that the lock is free only when no server writes
    into the folder any more, whoever was killed in whatever order.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds it."""
        return self._fd is not None

    @property
    def fd(self) -> int:
        """The open file that carries the lock, for a child to inherit."""
        if self._fd is None:
            raise RuntimeError("the lock is not held")
        return self._fd

    def try_acquire(self) -> bool:
        """Takes the lock if it is free; True if it is held now."""
        if self._fd is not None:
            return True
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise EmbeddedRedisError(f"cannot write into the data dir: {error}") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            if isinstance(error, BlockingIOError):
                return False
            raise EmbeddedRedisError(f"cannot lock {self._path}: {error}") from error
        self._fd = fd
        return True

    def release(self) -> None:
        """Gives it up; never removes the file, or two could hold two locks of one name."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def port_is_free(port: int) -> bool:
    """Whether a server could bind this loopback TCP port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _make_private(folder: Path) -> bool:
    """Makes the folder if it is not there; True if only this user can enter it."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError:
        return False
    return (
        stat.S_ISDIR(status.st_mode)
        and status.st_uid == os.geteuid()
        and stat.S_IMODE(status.st_mode) == 0o700
    )
