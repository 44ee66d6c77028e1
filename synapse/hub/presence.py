"""Presence: the difference, told to those who want to know who comes, goes and changes."""

from msgspec import Struct, json

from synapse.event import Event
from synapse.hub.agents import Agents
from synapse.hub.facts import Joined, Left, Renamed
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
        hub.on_publish.append(self._published)

    def _published(self, position: int, events: list[Event]) -> None:
        if self._hub.sessions.watching:
            for event in events:
                if isinstance(event.body, (Joined, Left, Renamed)):
                    self.changed(event.body.key)

    def changed(self, key: str) -> None:
        """Tell those who watch how this participant is now."""
        hub = self._hub
        watching = hub.sessions.watching
        if hub.suspended or not watching:
            return
        presence = self._presence(key)
        if presence is None:
            return
        frame = json.encode(_Frame(presence))
        for session in watching:
            hub.outbox.tell(hub.head, lambda position, what, session=session: session.push(what), frame)  # type: ignore[misc]

    def _presence(self, key: str) -> Presence | None:
        agents = self._hub.state.get(Agents)
        agent, gone = agents.get(key), agents.gone.get(key)
        if agent is not None:
            return presence_of(self._hub, agent)
        if gone is None:
            return None
        return Presence(
            name=gone.name,
            type=gone.type,
            id=gone.id,
            workspace=gone.workspace,
            presence="GONE",
            since=self._hub.last_at,
        )
