"""How far the hub's own calls go, and who makes them: as the settings say when it starts."""

from synapse import settings
from synapse.a2a.callbacks import Caller, Patience
from synapse.a2a.outgoing import Outgoing
from synapse.hub.addresses import Reach
from synapse.hub.loop import Hub
from synapse.hub.push import reach


def allow(hub: Hub, near: bool) -> None:
    """Where may be called: this machine, while the hub itself is only here (`near`), public addresses, and what is set."""
    place = hub.place
    place.push = Reach(
        loopback=near, private=settings.value("push.allow_private") is True, lifted_by="push.allow_private"
    )
    place.webhooks = Reach(
        loopback=near, private=settings.value("webhooks.allow_private") is True, lifted_by="webhooks.allow_private"
    )


def caller(hub: Hub) -> Caller:
    """Calls those who want to hear of tasks."""
    timeout, retries = settings.value("webhooks.timeout"), settings.value("webhooks.retries")
    assert isinstance(timeout, float)
    assert isinstance(retries, int)
    return Caller(
        hub,
        Outgoing(lambda: reach(hub, hub.place.push)),
        Outgoing(lambda: reach(hub, hub.place.webhooks)),
        Patience(timeout=timeout, retries=retries),
    )
