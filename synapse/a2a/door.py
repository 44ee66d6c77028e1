"""One agent's endpoint, as the server mounts it: both bindings, the card, and the simple paths below one base URL."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from aiohttp import hdrs, web

from synapse.a2a import card as cards
from synapse.a2a import rest, simple, wire
from synapse.a2a.card import MAX_AGE, Place
from synapse.a2a.errors import A2AError
from synapse.a2a.feed import Feeds
from synapse.a2a.handlers import Call, Handlers
from synapse.a2a.jsonrpc import JsonRpc
from synapse.a2a.refusal import FORM, JSONRPC, REST
from synapse.errors import NotFound, Unavailable
from synapse.hub.agents import CLIENT, PERSON, Agent, Agents
from synapse.hub.core import Core
from synapse.hub.mailbox import Mailbox
from synapse.hub.tasks import Tasks

Answer = Callable[[web.Request, Call], Awaitable[web.StreamResponse]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_TENANT = "/{tenant}"


Asker = Callable[[web.Request, str, dict[str, Any]], Awaitable[bytes]]  # asks a verb as whoever sends a request


@dataclass(frozen=True, slots=True)
class Addressed:
    """Whom a request is for, and the URL that it was asked under. `agent` is None while it is away."""

    box: str
    target: str
    agent: Agent | None
    place: Place


class A2ADoor:
    """All agents' endpoints; `addressed(request)` says which one a request is for."""

    def __init__(self, core: Core, ask: Asker) -> None:
        self._core = core
        self._ask = ask
        self._handlers = Handlers(Feeds(core))

    def add_to(self, router: web.UrlDispatcher, prefix: str, addressed: Callable[[web.Request], Addressed]) -> None:
        """Its paths below a prefix; those with a tenant in front come last (A2A 1.0 §11.2: it is tolerated)."""
        extended = lambda request: self._card(addressed(request))  # noqa: E731
        jsonrpc = JsonRpc(self._handlers, extended)
        binding = rest.Rest(self._handlers, extended)
        plain = simple.Simple(self._handlers, self._status)
        shared = {("GET", "/tasks"): plain.list, ("GET", "/tasks/{id}"): plain.get}
        add = router.add_route
        for path in {prefix, prefix + "/"} - {""}:
            add("POST", path, self._asked(addressed, jsonrpc.answer, JSONRPC))
        for name in ("agent-card.json", "agent.json"):
            told = self._told_card(addressed, old=name == "agent.json")
            add("GET", f"{prefix}/.well-known/{name}", told)
            add("HEAD", f"{prefix}/.well-known/{name}", told)
        for method, path, answer in plain.routes():
            add(method, prefix + path, self._asked(addressed, answer))
        for front in ("", _TENANT):
            for method, path, answer in binding.routes():
                other = shared.get((method, path)) if not front else None
                chosen = _by_header(answer, simple.told(other)) if other else answer
                add(method, prefix + front + path, self._asked(addressed, chosen, "" if other else REST))

    def _asked(self, addressed: Callable[[web.Request], Addressed], answer: Answer, form: str = "") -> Handler:
        async def asked(request: web.Request) -> web.StreamResponse:
            if form:
                request[FORM] = form
            to = addressed(request)

            async def ask(verb: str, parameters: dict[str, Any]) -> bytes:
                return await self._ask(request, verb, parameters)

            return await answer(request, Call(ask, to.box, to.target))

        return asked

    # -- cards

    def _card(self, to: Addressed) -> dict[str, Any]:
        if to.agent is None:
            raise A2AError("UNAVAILABLE", "The agent is not here now; what is sent to its name waits for it.")
        return cards.card(self._core.hub, to.agent, to.place)

    def _told_card(self, addressed: Callable[[web.Request], Addressed], *, old: bool) -> Handler:
        async def told(request: web.Request) -> web.StreamResponse:
            to = addressed(request)
            if to.agent is None:
                raise NotFound("agent_away", "The agent is not here now: it has no card until it is back.")
            make = cards.old_card if old or request.query.get("version") == "0.3" else cards.card
            body, tag = cards.signed(make(self._core.hub, to.agent, to.place))
            headers = {
                hdrs.ETAG: tag,
                hdrs.CACHE_CONTROL: f"max-age={MAX_AGE}",
                hdrs.LAST_MODIFIED: formatdate(max(to.agent.since, self._core.hub.place.started_at), usegmt=True),
            }
            known = request.headers.get(hdrs.IF_NONE_MATCH, "")
            if tag in known or known.strip() == "*":
                return web.Response(status=304, headers=headers)
            return web.Response(body=body, content_type="application/json", headers=headers)

        return told

    # -- how an agent is

    def _status(self, box: str) -> dict[str, Any] | None:
        """What `GET /status` tells of the agent at a box."""
        hub = self._core.hub
        agent = hub.state.get(Agents).at_box(box)
        runner = hub.sessions.runner(agent.key) if agent is not None else None
        if agent is None or (agent.wrapped and runner is None):
            return None
        current = hub.state.get(Tasks).current(agent.key)
        return {
            "agent_id": agent.id,
            "name": agent.name,
            "type": agent.type,
            "status": runner.live.status if runner is not None else "READY",
            "since": runner.live.since if runner is not None else agent.since,
            "question": runner.live.question if runner is not None else "",
            "choices": list(runner.live.choices) if runner is not None else [],
            "current_task": current.id if current is not None else "",
            "queued": hub.state.get(Mailbox).queued(box),
        }


def recovering() -> Unavailable:
    """What is said while the state is not whole: whoever is not in it may be here all the same."""
    return Unavailable("recovering", "The hub is reading its log: try again in a moment.", retry_after=1)


def addressed_by_name(core: Core, name: str, base: str, hub: str, *, secured: bool, workspace: str = "") -> Addressed:
    """Whom a name in a path means: an id, or a name that is only once in all workspaces; NotFound lists what it could be.

    Agents come first, here or away: whoever calls itself as one of them is called, in another workspace, takes no work
    from it. A `workspace` chooses between several of a name, and says nothing where it has none.
    """
    if core.hub.suspended:
        raise recovering()
    agents = core.hub.state.get(Agents)
    place = Place(base, hub, secured)
    found = [one for one in agents if one.type != PERSON and name in (one.name, one.id, one.key)]
    away = {box: kind for box, kind in agents.boxes.items() if kind != PERSON and box.rpartition("/")[2] == name}
    if any(one.takes_work for one in found) or any(kind != CLIENT for kind in away.values()):
        found = [one for one in found if one.takes_work or name == one.key]
        away = {box: kind for box, kind in away.items() if kind != CLIENT}
    exact = [one for one in found if name == one.key or name == one.id != one.name]  # a client's id is its name
    inside = [one for one in found if one.workspace == workspace] if workspace else []
    if not exact and inside and len(found) > 1:
        # the URL in its card has to mean it without the header
        place = Place(f"{hub}/agents/{inside[0].id if inside[0].takes_work else inside[0].key}", hub, secured)
        exact = inside
    elif not (exact or inside) and f"{workspace}/{name}" in away:
        return Addressed(f"{workspace}/{name}", f"{workspace}/{name}", None, place)
    exact = exact or found
    if len(exact) == 1:
        return Addressed(exact[0].box, exact[0].key, exact[0], place)
    if exact:
        choices = ", ".join(sorted(one.id if one.takes_work else one.key for one in exact))
        raise NotFound(
            "ambiguous", f"{name!r} is in several workspaces: say which by its id, {choices}, or by Synapse-Workspace."
        )
    if len(away) == 1:
        (box,) = away
        return Addressed(box, box, None, place)
    raise NotFound("no_such_agent", f"There is no agent {name[:80]!r} here: `synapse list` shows who is.")


def _by_header(protocol: Answer, plain: Answer) -> Answer:
    """One path, two shapes: who says that it speaks the protocol gets the protocol's (feature A3)."""

    async def answer(request: web.Request, call: Call) -> web.StreamResponse:
        return await (protocol if wire.speaks(request) else plain)(request, call)

    return answer
