"""Who may call, and how much at once: decided before any work is done."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from execution._order import UnderWay
from execution.errors import Overloaded, PermissionDenied, StartupError, Unauthenticated

_EVERY_USER: Final = "*"
_TOKENS_FILE_BYTES_MAX: Final = 1_048_576


@dataclass(slots=True)
class Call:
    """What a servicer may know of the call it answers; no transport in it.

    Not frozen: one is made for every call with a deadline, and takes less than half so.
    """

    deadline_ns: int | None = None
    """On the monotonic clock; None: the caller waits for ever."""
    users: frozenset[str] | None = None
    """Users the caller may act for; None: any."""

    def require_user(self, user_id: str) -> None:
        """Raises `PermissionDenied` unless the caller may act for the user."""
        if self.users is not None and user_id not in self.users:
            raise PermissionDenied(f"the credentials of this call are not valid for user {user_id}")


class Tokens:
    """Bearer tokens and the users each may act for.

    Only digests are kept, so that no dump of this process shows a token.
    """

    def __init__(self, users_by_token: Mapping[str, frozenset[str] | None]) -> None:
        self._users = {_digest(token): users for token, users in users_by_token.items()}

    @classmethod
    def load(cls, file: Path) -> "Tokens":
        """Reads `{"TOKEN": ["user", ...] or "*"}`. Raises `StartupError`."""
        try:
            if file.stat().st_size > _TOKENS_FILE_BYTES_MAX:
                raise StartupError(f"--auth-tokens {file}: larger than 1 MiB")
            content = json.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise StartupError(f"--auth-tokens {file}: {error.strerror}") from error
        except ValueError as error:
            raise StartupError(f"--auth-tokens {file}: not JSON") from error
        if not isinstance(content, dict) or not content:
            raise StartupError(f'--auth-tokens {file}: must be {{"TOKEN": ["user"] or "*"}}')
        return cls({token: _users(users, file) for token, users in content.items()})

    def users(self, authorization: str | None) -> frozenset[str] | None:
        """The users of an `authorization` header. Raises `Unauthenticated`."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("send metadata authorization: Bearer TOKEN")
        digest = _digest(token)
        if digest not in self._users:
            raise Unauthenticated("the bearer token is not known to this service")
        return self._users[digest]


class InFlight(UnderWay):
    """Counts the calls under way; refuses one too many at once."""

    def refuse(self) -> NoReturn:
        """Raises `Overloaded`."""
        raise Overloaded(f"{self.limit} orders are under way; retry later")

    def __enter__(self) -> None:
        self.enter()

    def __exit__(self, *_: object) -> None:
        self.leave()


def _users(users: object, file: Path) -> frozenset[str] | None:
    if users == _EVERY_USER:
        return None
    if isinstance(users, list) and users and all(isinstance(user, str) for user in users):
        return frozenset(users)
    raise StartupError(f'--auth-tokens {file}: users must be a list of names or "*"')


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
