"""WebSocket clients for load scripts: as little as a client can do, so that the processors are the hub's."""

import asyncio
import base64
import os
import socket
import struct
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))


def masked(payload: bytes) -> bytes:
    """A text frame of a client; the mask is zero, which is one like any other."""
    size = len(payload)
    if size < 126:
        return struct.pack("!BBI", 0x81, 0x80 | size, 0) + payload
    return struct.pack("!BBHI", 0x81, 0x80 | 126, size, 0) + payload


def frames(buffer: bytearray) -> list[bytes]:
    """The payloads of the whole frames from a server, taken out of the buffer."""
    found, begin, there = [], 0, len(buffer)
    while there - begin >= 2:
        size, head = buffer[begin + 1], 2
        if size == 126:
            if there - begin < 4:
                break
            size, head = struct.unpack_from("!H", buffer, begin + 2)[0], 4
        elif size == 127:
            if there - begin < 10:
                break
            size, head = struct.unpack_from("!Q", buffer, begin + 2)[0], 10
        if there - begin < head + size:
            break
        if buffer[begin] == 0x81:
            found.append(bytes(buffer[begin + head : begin + head + size]))
        begin += head + size
    del buffer[:begin]
    return found


class Socket:
    """A blocking client."""

    def __init__(self, port: int, name: str, path: str = "/ws", workspace: str = "house") -> None:
        self.name = name
        self.buffer = bytearray()
        self.ready: list[bytes] = []
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        query = f"?from={name}&workspace={workspace}" if name else ""
        self.socket.sendall(handshake(port, path + query))
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.socket.recv(65536)
        line, _, rest = head.partition(b"\r\n\r\n")
        assert b" 101 " in line, line
        self.buffer += rest
        self.count = 0
        self.sent = 0.0

    def send(self, payload: bytes) -> None:
        self.socket.sendall(masked(payload))

    def next(self) -> bytes:
        """The next frame."""
        while not self.ready:
            self.ready = frames(self.buffer)
            if not self.ready:
                part = self.socket.recv(262144)
                if not part:
                    raise ConnectionError("the hub has closed the connection")
                self.buffer += part
        return self.ready.pop(0)

    def ask(self, method: str, **params: Any) -> bytes:
        import json

        self.send(json.dumps({"jsonrpc": "2.0", "id": "ask", "method": method, "params": params}).encode())
        while True:
            frame = self.next()
            if b'"id":"ask"' in frame[:60]:
                return frame


def handshake(port: int, path: str) -> bytes:
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    ).encode()


class Reader(asyncio.Protocol):
    """A follower on a loop: counts and checks what it is told."""

    def __init__(self, hello: bytes, first: bytes, told: Any) -> None:
        self._hello, self._first, self._told = hello, first, told
        self._buffer = bytearray()
        self._open = False
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._hello)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._open:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            assert b" 101 " in self._buffer[:end], bytes(self._buffer)
            del self._buffer[: end + 4]
            self._open = True
            if self._first:
                self.transport.write(masked(self._first))
        now = time.perf_counter()
        for frame in frames(self._buffer):
            self._told(self, frame, now)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
