"""Credentials for agents elsewhere: each in a file of its own that nobody else may read, never in the log.

What is written here is sent to one origin alone, in the headers that its owner named.
"""

import os
import re
from collections.abc import Container, Mapping
from pathlib import Path

from msgspec import DecodeError, json

from synapse import ids
from synapse.errors import BadRequest, Refused, Unavailable
from synapse.hub.addresses import header, literal, parse

MOST, LONGEST = 10, 8192  # headers, and characters of one
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,80}\Z")
_ID = re.compile(r"[0-9a-f]{32}\Z")
_OURS = frozenset({
    "accept", "accept-encoding", "a2a-version", "connection", "content-encoding", "content-length", "content-type", "expect",
    "host", "keep-alive", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade", "user-agent",
})  # fmt: skip


def check(headers: Mapping[str, str], urls: tuple[str, ...], *, insecure: bool) -> None:
    """BadRequest when these cannot be sent as headers, Refused when they would travel in clear."""
    if len(headers) > MOST:
        raise BadRequest("bad_header", f"{len(headers)} headers: up to {MOST} go along.")
    for name, value in headers.items():
        if not _NAME.match(name) or name.lower() in _OURS:
            raise BadRequest(
                "bad_header", f"{name[:80]!r} is no header for credentials: Authorization or X-API-Key are."
            )
        if not value or len(value) > LONGEST:
            raise BadRequest("bad_header", f"The {name} is empty or longer than {LONGEST} characters.")
        header(name, value)
    for url in urls if headers and not insecure else ():
        where = parse(url)
        address = literal(where.raw_host or "")
        if where.scheme == "http" and not (address is not None and address.is_loopback):
            raise Refused(
                "in_clear",
                f"Everybody on the way to {where.raw_host} could read the credentials: use https, or --insecure.",
            )


class Secrets:
    """A folder of files, each holding the headers of one agent elsewhere."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, headers: Mapping[str, str]) -> str:
        """Store them, and give the name of their file; "" for none."""
        if not headers:
            return ""
        id = ids.token().hex()
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(self._folder / id, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(file, "wb") as writing:
                writing.write(json.encode(dict(headers)))
                writing.flush()
                os.fsync(writing.fileno())
        except OSError as error:
            raise Unavailable("storage_unavailable", f"The credentials cannot be stored: {error.strerror}.") from None
        return id

    def read(self, id: str) -> dict[str, str]:
        """The headers of a file; none when it is gone."""
        if not _ID.match(id):
            return {}
        try:
            return json.decode((self._folder / id).read_bytes(), type=dict[str, str])
        except (OSError, DecodeError):
            return {}

    def delete(self, id: str) -> None:
        if _ID.match(id):
            (self._folder / id).unlink(missing_ok=True)

    def sweep(self, kept: Container[str]) -> None:
        """Delete what belongs to nobody."""
        for path in self._folder.glob("*") if self._folder.is_dir() else ():
            if _ID.match(path.name) and path.name not in kept:
                path.unlink(missing_ok=True)
