"""Secrets that a change brings along: kept in a blob, before the event that names it; events themselves are shown."""

import asyncio
import logging
from concurrent.futures import Future
from typing import Any

from msgspec import DecodeError, json

from synapse import ids
from synapse.errors import Unavailable
from synapse.event import Event
from synapse.hub.callback_facts import PushConfigured, PushRemoved, WebhookAdded, WebhookRemoved
from synapse.hub.loop import Hub
from synapse.hub.reading import SECRET
from synapse.log.base import Log

logger = logging.getLogger(__name__)
DROP = 30.0  # seconds until what is spent is dropped, much at once


async def keep(hub: Hub, secrets: dict[str, str]) -> str:
    """The sum of the blob that holds them now; "" when there are none. Nobody can guess what is in it from its sum."""
    if not any(secrets.values()):
        return ""
    content = SECRET + json.encode({**secrets, "": ids.token().hex()})
    hub.storing += 1
    try:
        sum = await asyncio.wrap_future(hub.writer.run(lambda log: log.put_blob(content)))
    except Exception as error:
        raise Unavailable("storage_unavailable", "The secrets could not be stored: try again.") from error
    finally:
        hub.storing -= 1
    hub.fresh_blobs[sum] = hub.clock.monotonic()  # the event that names it is still to come
    return sum


def reveal(log: Log, sum: str) -> dict[str, str]:
    """What was kept under that sum, or what is left of it; on a reader's thread."""
    content = log.blob(sum) if sum else None
    try:
        found: Any = json.decode((content or b"{}").removeprefix(SECRET))
    except DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


class Spent:
    """Drops the secrets that are needed no more, some time after that is stored; when the hub is killed in between, they
    stay."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._sums: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        hub.on_publish.append(self._published)

    def _published(self, position: int, events: list[Event]) -> None:
        for event in events:
            body = event.body
            if isinstance(body, PushConfigured | PushRemoved | WebhookAdded | WebhookRemoved) and body.spent:
                self._sums.add(body.spent)
                if self._timer is None:
                    self._timer = self._hub.loop.call_later(DROP, self.drop)

    def drop(self) -> None:
        """Drop them now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._sums and not self._hub.read_only:
            sums, self._sums = self._sums, set()
            dropping = self._hub.writer.run(lambda log: log.drop_blobs(sums))
            dropping.add_done_callback(_told)


def _told(dropping: Future[int]) -> None:
    if not dropping.cancelled() and dropping.exception() is not None:
        logger.warning("secrets that are not needed any more stay in the file: %s", dropping.exception())
