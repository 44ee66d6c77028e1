"""Secrets that a change brings along: kept in a blob, before the event that names it; events themselves are shown."""

import asyncio
from typing import Any

from msgspec import DecodeError, json

from synapse import ids
from synapse.errors import Unavailable
from synapse.hub.loop import Hub
from synapse.log.base import Log


async def keep(hub: Hub, secrets: dict[str, str]) -> str:
    """The sum of the blob that holds them now; "" when there are none. Nobody can guess what is in it from its sum."""
    if not any(secrets.values()):
        return ""
    content = json.encode({**secrets, "": ids.token().hex()})
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
        found: Any = json.decode(content or b"{}")
    except DecodeError:
        return {}
    return found if isinstance(found, dict) else {}
