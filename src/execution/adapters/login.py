"""The first words on a fresh connection to Redis: who we are, and which database."""

from hiredis import ReplyError

from execution.adapters.redis_replies import redis_error
from execution.adapters.redis_url import RedisAddress
from execution.adapters.wire import Connection, pack


async def log_in(connection: Connection, address: RedisAddress, client_name: str) -> None:
    """Says who we are. Raises `Unavailable` if Redis refuses it, and `ConnectionLost`."""
    where = f"Redis at {address}"
    if address.password:
        login = (address.username, address.password) if address.username else (address.password,)
        await expect(connection, where, "AUTH", *login)
    if address.database:
        await expect(connection, where, "SELECT", str(address.database))
    # Only for the operator's eyes in CLIENT LIST; may be forbidden.
    await connection.ask(pack("CLIENT", "SETNAME", client_name))


async def expect(connection: Connection, where: str, *arguments: str) -> None:
    """Runs a command that has to succeed. Raises `Unavailable` and `ConnectionLost`.

    No argument but the first is named in the error: one may be a password.
    """
    reply = await connection.ask(pack(*arguments))
    if isinstance(reply, ReplyError):
        raise redis_error(f"{reply}", f"{where}, {arguments[0]}")
