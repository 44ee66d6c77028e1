"""Following the log through hubs that come and go: no event is missed, none is shown twice."""

import os
import time

from synapse.cli.errors import say
from synapse.client.blocking import Client
from synapse.errors import BadRequest, Refused, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

WHOLE = 1 << 30  # an index behind that of every event of a record
Address = tuple[int, int]
Event = dict[str, object]


class Follower:
    """Events behind an address, now and from now on.

    `as_name`, `workspace`, `start` are the client's; only the first connection may start a hub: later on it waits for
    the next one. `after` is the address of the last event that was seen, None for only what is new.
    """

    def __init__(self, as_name: str, workspace: str, *, start: bool, mine: bool, kinds: "tuple[str, ...]") -> None:
        self._caller = (as_name, workspace)
        self._start = start
        self._ask = {"mine": mine, "kinds": kinds}
        self.after: Address | None = None

    def connect(self) -> Client:
        """The first connection."""
        return Client(*self._caller, start=self._start)

    def events(self, client: Client) -> "Iterator[Event]":
        """The events, for ever; `client` is the first connection."""
        first = True
        while True:
            try:
                self._subscribe(client)
                first = False
                yield from self._fresh(client)
            except Unavailable:
                if first:
                    raise
            client.close()
            say(b"synapse: the connection to the hub is lost; coming back when one answers.\n")
            client = self._again()

    def _subscribe(self, client: Client) -> None:
        position, index = self.after or (-1, WHOLE)
        reply = client.call("events.follow", after=position if index == WHOLE else max(0, position - 1), **self._ask)
        if self.after is None:
            reached = reply["after"]
            assert isinstance(reached, int)
            self.after = (reached, WHOLE)

    def _fresh(self, client: Client) -> "Iterator[Event]":
        for frame in client.notifications():
            if frame["method"] == "event":
                event = frame["params"]
                assert self.after is not None
                if address_of(event) > self.after:
                    yield event
                    self.after = address_of(event)

    def _again(self) -> Client:
        """A connection to the next hub, whenever it comes."""
        pause = 0.05
        while True:
            client = Client(*self._caller, start=False)
            try:
                client.call("hub.status")
            except Unavailable:
                client.close()
                time.sleep(pause)
                pause = min(1.0, pause * 1.5)
            else:
                return client


def address_of(event: Event) -> Address:
    """Where an event lies in the log."""
    position, index = event["position"], event["index"]
    assert isinstance(position, int)
    assert isinstance(index, int)
    return position, index


class Cursor:
    """An address kept in a file: `position.index` of the last event that was shown, or `position` for a whole record."""

    def __init__(self, path: str) -> None:
        self._path = path

    def read(self) -> "Address | None":
        """Where to go on; None when the file is not there or empty."""
        try:
            with open(self._path, encoding="utf-8", errors="replace") as file:
                text = file.read(100).strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Refused("bad_cursor", f"{self._path} cannot be read: {error.strerror}.") from None
        return address(text, f"{self._path} holds no cursor ('position' or 'position.index')") if text else None

    def write(self, at: Address) -> None:
        """Remember an address, whole or not at all."""
        position, index = at
        unfinished = f"{self._path}.unfinished"
        try:
            with open(unfinished, "w", encoding="utf-8") as file:
                file.write(f"{position}\n" if index == WHOLE else f"{position}.{index}\n")
            os.replace(unfinished, self._path)
        except OSError as error:
            raise Refused("bad_cursor", f"{self._path} cannot be written: {error.strerror}.") from None


def address(
    text: str, wrong: str = "--after: 'position' or 'position.index', as `synapse events` shows them"
) -> Address:
    """An address from its text."""
    position, point, index = text.partition(".")
    if not (position.isascii() and position.isdigit()) or (point and not (index.isascii() and index.isdigit())):
        raise BadRequest("bad_cursor", f"{wrong}: {text[:40]!r}.")
    return int(position), int(index) if point else WHOLE


def kinds_of(text: "str | None") -> "tuple[str, ...]":
    """`tasks.*,messages.sent` as its parts."""
    return tuple(kind.strip() for kind in (text or "").split(",") if kind.strip())
