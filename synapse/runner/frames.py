"""What runner and viewer say to each other on the private socket: one type byte, a length, a payload."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

PROTOCOL = 1
LARGEST = 4 << 20
_HEAD = struct.Struct(">BI")
_HELLO = struct.Struct(">HHHB")
_SIZE = struct.Struct(">HH")
_STATUS = struct.Struct(">i")
_WATCH, _OWNER = 1, 2

# A viewer says:
HELLO = ord("h")  # who it is, first and once
INPUT = ord("i")  # bytes as its terminal gave them
RESIZE = ord("r")  # columns, rows
CONTINUE = ord("c")  # it was stopped with the child and is in the foreground again
LEAVE = ord("d")  # a signal ends it: how must it leave its terminal now?
WHERE = ord("w")  # in place of a hello: who looks, and from where

# The runner says:
OUTPUT = ord("o")  # bytes for its terminal
UNDO = ord("u")  # the bytes that undo the terminal modes in force from here on; kept by the viewer for its end
STOP = ord("s")  # the child was stopped: stop as well
EXIT = ord("x")  # the child has ended: its status, and `exited`, `stopped`, `killed` or `terminal_closed`
GOODBYE = ord("g")  # this viewer is detached: an exit status and the reason
NOTE = ord("n")  # one line to show for a moment
PLACES = ord("p")  # the answer to WHERE: the places of all viewers, whoever typed last first


class Hello(NamedTuple):
    """A viewer introduces itself; `owner` is `synapse run`'s own, whose loss ends the agent.

    `place` says in which terminal it is, for whoever wants to go there; the runner only keeps it.
    """

    columns: int
    rows: int
    watch: bool = False
    owner: bool = False
    detach_key: str = "ctrl-\\"
    version: str = ""
    protocol: int = PROTOCOL
    place: str = ""

    def encode(self) -> bytes:
        flags = _WATCH * self.watch | _OWNER * self.owner
        head = _HELLO.pack(self.protocol, self.columns, self.rows, flags)
        return frame(HELLO, head + f"{self.detach_key}\0{self.version}\0{self.place}".encode())

    @classmethod
    def decode(cls, payload: bytes) -> "Hello":
        """ValueError for anything that is not one."""
        if len(payload) < _HELLO.size:
            raise ValueError("a hello that is too short")
        protocol, columns, rows, flags = _HELLO.unpack_from(payload)
        key, version, place, *_ = [*payload[_HELLO.size :].decode().split("\0", 2), "", ""]
        return cls(columns, rows, bool(flags & _WATCH), bool(flags & _OWNER), key, version, protocol, place)


def frame(kind: int, payload: bytes = b"") -> bytes:
    return _HEAD.pack(kind, len(payload)) + payload


class Frames:
    """Bytes as they come in, frames as they are complete."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """ValueError at a frame over 4 MiB: the other side speaks something else."""
        self._rest += data
        start = 0
        while len(self._rest) - start >= _HEAD.size:
            kind, length = _HEAD.unpack_from(self._rest, start)
            if length > LARGEST:
                raise ValueError(f"a frame of {length} bytes")
            end = start + _HEAD.size + length
            if len(self._rest) < end:
                break
            yield kind, bytes(self._rest[start + _HEAD.size : end])
            start = end
        del self._rest[:start]


def encode_size(columns: int, rows: int) -> bytes:
    return _SIZE.pack(columns, rows)


def decode_size(payload: bytes) -> tuple[int, int]:
    """ValueError if it is none."""
    if len(payload) != _SIZE.size:
        raise ValueError("not a size")
    columns, rows = _SIZE.unpack(payload)
    return columns, rows


def encode_end(status: int, reason: str = "") -> bytes:
    """The payload of EXIT and GOODBYE; a status below zero is a signal's number."""
    return _STATUS.pack(status) + reason.encode()


def decode_end(payload: bytes) -> tuple[int, str]:
    return _STATUS.unpack_from(payload)[0], payload[_STATUS.size :].decode()


def encode_places(places: list[str]) -> bytes:
    return "".join(f"{place}\0" for place in places).encode()


def decode_places(payload: bytes) -> list[str]:
    return payload.decode("utf-8", "replace").split("\0")[:-1]
