"""Presence: the difference, told to those who want to know who comes, goes and changes."""

from msgspec import Struct, json

from synapse.hub.agents import Agents
from synapse.hub.looking import Presence, presence_of
from synapse.hub.loop import Hub


class _Frame(Struct):
    params: Presence
    method: str = "presence"
    jsonrpc: str = "2.0"


class Presences:
    """Sends one participant's presence when it has changed; nobody is ever sent the whole roster."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        hub.on_presence.append(self.changed)

    def changed(self, key: str) -> None:
        """Tell those who watch how this participant is now."""
        hub = self._hub
        watching = [s for s in (*hub.sessions, *hub.sessions.runners()) if s.presence and not s.closed]
        if not watching:
            return
        agent = hub.state.get(Agents).get(key)
        if agent is None:
            return
        frame = json.encode(_Frame(presence_of(hub, agent)))
        for session in watching:
            hub.outbox.tell(hub.head, lambda position, what, session=session: session.push(what), frame)  # type: ignore[misc]
