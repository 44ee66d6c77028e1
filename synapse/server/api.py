"""Every verb over HTTP: `POST /api/VERB`, reading verbs also `GET`, and the paths that plugins add."""

import asyncio
import logging
import re
from collections.abc import Iterable
from typing import Any

from aiohttp import web
from msgspec import Raw, json

from synapse.errors import Refused, SynapseError, Unavailable
from synapse.hookspecs import Route
from synapse.hub.agents import Agent
from synapse.hub.core import Core
from synapse.hub.sessions import Session
from synapse.plugins import Plugin
from synapse.server import problem
from synapse.server.access import Hello
from synapse.server.gate import Forbidden, Visitor
from synapse.server.parameters import body_of, hello_of, query_of, request_of
from synapse.verb import Permission, Shape, Verb

logger = logging.getLogger(__name__)

READING = frozenset({Shape.READ, Shape.QUERY, Shape.WAIT})
VISITOR = web.RequestKey("visitor", Visitor)
AGENT = web.RequestKey("agent", Agent)  # on whose port it was asked
REQUEST_ID = web.RequestKey("request_id", str)
POSITION = "Synapse-Position"
CORE_ROUTES = (
    Route("POST", "/spawn", "agents.spawn"),
    Route("POST", "/team/start", "agents.spawn_team"),
    Route("POST", "/webhooks", "webhooks.add"),
    Route("GET", "/webhooks", "webhooks.list"),
    Route("DELETE", "/webhooks", "webhooks.remove"),
    Route("GET", "/webhooks/deliveries", "webhooks.deliveries"),
    Route("POST", "/external/discover", "external.add"),
    Route("GET", "/external/agents", "external.list"),
    Route("DELETE", "/external/agents/{alias}", "external.remove"),
    Route("POST", "/external/agents/{alias}/send", "external.send"),
)
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_OURS = re.compile(r"/(?:api|ws|health|ready|metrics|agents|spawn|team|webhooks|external)(?:/|\Z)")


class Api:
    """Answers verbs over HTTP."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Its own paths, then those of plugins."""
        router.add_post("/api/{verb}", self.post)
        router.add_get("/api/{verb}", self.get, allow_head=False)
        self.add_routes(router)

    def add_routes(self, router: web.UrlDispatcher, *, of_agents: bool = False) -> None:
        """The paths of single verbs on the hub's port, or on those of agents: ours, then those of plugins."""
        for route in CORE_ROUTES:
            router.add_route(route.method, route.path, self._routed(route))
        for plugin in self._core.plugins:
            if plugin.works:
                self._add_routes(router, plugin, [r for r in plugin.routes if (r.agent if of_agents else r.hub)])

    def _add_routes(self, router: web.UrlDispatcher, plugin: Plugin, routes: Iterable[Route]) -> None:
        for route in routes:
            try:
                router.add_route(route.method, route.path, self._routed(route), name=None)
            except (ValueError, RuntimeError, SynapseError) as error:
                logger.error(
                    "the route %s %s of the plugin %s is left out: %s", route.method, route.path, plugin.name, error
                )

    def _routed(self, route: Route) -> Any:
        verb = self._core.verbs.get(route.verb)
        if route.method not in _METHODS:
            raise ValueError(f"the method is one of {', '.join(sorted(_METHODS))}")
        if route.method == "GET" and verb.shape not in READING:
            raise ValueError(f"{verb.name} changes something: any page could make a browser GET it")
        if _OURS.match(route.path) and route not in CORE_ROUTES:
            raise ValueError("that path is the hub's own")

        async def answer(request: web.Request) -> web.Response:
            texts = query_of(request)
            hasbody = route.method != "GET" and (request.can_read_body or route.method != "DELETE")
            body = await body_of(request) if hasbody else {}
            for name, value in request.match_info.items():
                texts[name] = [value]
            return await self._answer(request, verb, body, texts)

        return answer

    async def post(self, request: web.Request) -> web.Response:
        """One verb, its parameters in a JSON body."""
        body = await body_of(request)
        verb = self._verb(request)
        query = query_of(request)
        return await self._answer(request, verb, body, query)

    async def get(self, request: web.Request) -> web.Response:
        """One reading verb, its parameters in the query."""
        verb = self._verb(request)
        if verb.shape not in READING:
            error = Refused("wrong_method", f"{verb.name} changes something: POST it.")
            error.status = 405
            raise error
        return await self._answer(request, verb, {}, query_of(request))

    def _verb(self, request: web.Request) -> Verb:
        verb = self._core.verbs.get(request.match_info["verb"])
        if verb.lasting:
            raise Refused("needs_connection", f"{verb.name} is about a connection that stays: use the WebSocket, /ws.")
        return verb

    async def _answer(
        self, request: web.Request, verb: Verb, body: dict[str, Raw], texts: dict[str, list[str]]
    ) -> web.Response:
        visitor = request[VISITOR]
        hello = _at_home(request, hello_of(request, verb, body, texts))
        asked = request_of(verb, request, body, texts)
        position, reply = await self.ask(visitor, hello, verb, asked)
        if isinstance(reply, Exception):
            return problem.response(problem.shown(reply), request[REQUEST_ID])
        return web.Response(body=reply, content_type="application/json", headers={POSITION: str(position)})

    async def asked(self, request: web.Request, name: str, parameters: dict[str, Any]) -> bytes:
        """The reply of a verb that is asked as whoever sends a request, for doors with words of their own."""
        verb = self._core.verbs.get(name)
        hello = _at_home(request, hello_of(request, None, {}, {}))
        _, reply = await self.ask(request[VISITOR], hello, verb, verb.parse(json.encode(parameters)))
        if isinstance(reply, Exception):
            raise problem.shown(reply)
        return bytes(reply)

    async def ask(self, visitor: Visitor, hello: Any, verb: Verb, asked: Any) -> tuple[int, Any]:
        """The position that the reply to a verb was computed at, and the reply or what was refused."""
        core, session = self._core, Session()
        if core.hub.suspended:
            raise Unavailable("recovering", "The hub is reading its log: try again in a moment.")
        visitor.session(core, hello, session)
        if verb.permission is Permission.PERSON and not visitor.token and Permission.PERSON not in visitor.granted:
            raise Forbidden(
                "not_permitted", f"{verb.name} is for a person: over HTTP it needs a token with that scope."
            )
        answered: asyncio.Future[tuple[int, Any]] = asyncio.get_running_loop().create_future()

        def answer(position: int, what: Any) -> None:
            if not answered.done():
                answered.set_result((position, what))

        if verb.shape is Shape.WAIT:
            core.arrived(session)
        try:
            core.hub.ask(session, verb, asked, answer)
            return await answered
        finally:
            core.gone(session)


def _at_home(request: web.Request, hello: Hello) -> Hello:
    """Who asks on an agent's port and names no workspace means that agent's."""
    agent = request.get(AGENT)
    if agent is not None and not hello.workspace:
        hello.workspace = agent.workspace
    return hello


def verbs_of(core: Core) -> Iterable[Verb]:
    """The verbs that have a face over HTTP, by name."""
    return sorted((v for v in core.verbs if not v.internal and not v.lasting), key=lambda verb: verb.name)
