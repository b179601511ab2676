"""A server that speaks the protocol of Redis and says whatever the test wants."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import hiredis

Command = list[bytes]
Speak = Callable[[Command], bytes]


class ScriptedRedis:
    """Answers each command with what `speak` says; remembers all of them."""

    def __init__(self, speak: Speak) -> None:
        self._speak = speak
        self.commands: list[Command] = []
        self.connections = 0
        self.chunks: list[int] = []
        """How many commands came with each piece of data."""
        self.port = 0

    def count(self, name: bytes) -> int:
        """How often a command was sent."""
        return sum(command[0] == name for command in self.commands)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        parser = hiredis.Reader()
        try:
            while data := await reader.read(1 << 20):
                parser.feed(data)
                found = 0
                while (command := parser.gets()) is not False:
                    found += 1
                    self.commands.append(command)
                    writer.write(self._speak(command))
                self.chunks.append(found)
                await writer.drain()
        except ConnectionError:
            pass  # the client may go whenever it likes
        writer.close()


@asynccontextmanager
async def scripted_redis(speak: Speak) -> AsyncIterator[ScriptedRedis]:
    scripted = ScriptedRedis(speak)
    server = await asyncio.start_server(scripted.serve, "127.0.0.1", 0)
    scripted.port = server.sockets[0].getsockname()[1]
    async with server:
        yield scripted


def commits_answered(*answers: bytes) -> Speak:
    """A healthy server, but for what it says to commits: these in turn, the last for ever."""
    left = list(answers)

    def speak(command: Command) -> bytes:
        if command[0] != b"EVALSHA":
            return b"+OK\r\n"
        return left.pop(0) if len(left) > 1 else left[0]

    return speak
