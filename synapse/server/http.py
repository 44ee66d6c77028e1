"""The HTTP door: one application with the verbs, the WebSocket, and what says how the hub is."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web
from msgspec import json
from yarl import URL

from synapse import __version__, ids
from synapse.a2a import refusal
from synapse.a2a.card import Place
from synapse.a2a.door import A2ADoor, Addressed, addressed_by_name, recovering
from synapse.errors import BadRequest, NotFound, SynapseError
from synapse.hub.agents import Agents
from synapse.hub.core import Core
from synapse.server import openapi, problem
from synapse.server.access import Hello
from synapse.server.api import AGENT, CORE_ROUTES, REQUEST_ID, VISITOR, Api, verbs_of
from synapse.server.frames import MAX_FRAME
from synapse.server.gate import Gate, bearer, came_by, may
from synapse.server.hall import IDLE, Visit
from synapse.server.malformed import WRONG, HttpProtocol, refusal_of
from synapse.server.metrics import CONTENT_TYPE, Metrics
from synapse.server.parameters import WHO, hello_of, query_of
from synapse.server.seldom import Seldom
from synapse.server.websocket import WebSocketDoor
from synapse.verb import Permission

logger = logging.getLogger(__name__)

OPEN = frozenset({"/health", "/ready", "/metrics"})  # these tell by themselves who may ask
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_AGENTS = re.compile(r"/agents/[^/]+(?P<rest>/.*)?\Z", re.S)  # on the hub's port
_OWN_PORT = re.compile(r"(?P<rest>.*)\Z", re.S)
_HEADERS = {
    "Server": f"synapse/{__version__}",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HttpDoor:
    """Everything that is asked over HTTP."""

    def __init__(
        self, core: Core, gate: Gate, websockets: WebSocketDoor, metrics: Metrics | None, metrics_token: str = ""
    ) -> None:
        self._core = core
        self._gate = gate
        self._websockets = websockets
        self._metrics = metrics
        self._metrics_token = metrics_token
        self._page: asyncio.Future[bytes] | None = None
        self._api = Api(core)
        self._a2a = A2ADoor(core, self._api.asked)

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._guard], client_max_size=MAX_FRAME)
        app[refusal.BELOW] = _AGENTS
        router = app.router
        for path, handler in (
            ("/health", self._health),
            ("/ready", self._ready),
            ("/metrics", self._tell_metrics),
            ("/api/openapi.json", self._openapi),
            ("/ws", self._websocket),
        ):
            router.add_get(path, handler, allow_head=False)
        self._api.add_to(router)
        self._a2a.add_to(router, "/agents/{name}", self._addressed)
        app.on_response_prepare.append(_sign)
        return app

    def agent_application(self) -> web.Application:
        """What answers on the agents' own ports: one for all of them, the port says which agent is meant."""
        app = web.Application(middlewares=[self._guard, self._whose], client_max_size=MAX_FRAME)
        app[refusal.BELOW] = _OWN_PORT
        app.router.add_get("/health", self._health, allow_head=False)
        self._a2a.add_to(app.router, "", self._on_its_port)
        self._api.add_routes(app.router, of_agents=True)
        app.on_response_prepare.append(_sign)
        return app

    async def runner(self, application: web.Application) -> web.AppRunner:
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0, handler_cancellation=True)
        await runner.setup()
        return runner

    def protocols(self, server: web.Server) -> Callable[[], HttpProtocol]:
        """Makes the protocol of each connection to that server."""
        seldom = Seldom(self._core.hub.clock, logger)
        return lambda: HttpProtocol(server, self._unread, seldom, IDLE)

    def _unread(self, error: SynapseError) -> web.Response:
        """The refusal of what never became a request."""
        id = ids.short() + ids.short()
        response = self._refused(error, id)
        response.headers.update(_HEADERS)
        response.headers["X-Request-Id"] = id
        return response

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Nothing is answered before it is known who asks; whatever is refused is told in one form."""
        given = request.headers.get("X-Request-Id", "")
        id = request[REQUEST_ID] = given if _ID.match(given) else ids.short() + ids.short()
        try:
            _check_room(request)
            self._gate.check(request)
            if request.path not in OPEN:
                request[VISITOR] = await self._gate.visitor(request)
            return await handler(request)
        except web.HTTPException as error:
            return await self._told(request, problem.of_http(error), id, error.headers.get(hdrs.ALLOW, ""))
        except SynapseError as error:
            return await self._told(request, error, id)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except WRONG as error:  # its body breaks off, or is not what its head says
            return self._refused(refusal_of(error), id)
        except Exception:
            logger.exception("%s %s failed (request %s)", request.method, request.path, id)
            bug = SynapseError("internal_error", "That failed: a bug. `synapse logs hub` has it.")
            return await self._told(request, bug, id)

    @web.middleware
    async def _whose(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """A connection may outlive the agent on whose port it was made."""
        if self._core.hub.suspended:
            raise recovering()
        agent = self._core.hub.state.get(Agents).at_port(came_by(request))
        if agent is None:
            raise NotFound("agent_gone", "The agent that was reached here has left: `synapse list` shows who is here.")
        request[AGENT] = agent
        return await handler(request)

    async def _told(self, request: web.Request, error: SynapseError, id: str, allow: str = "") -> web.Response:
        """A refusal in the words of whoever asks: a client of A2A below an agent's address, or anybody else."""
        response = self._refused(error, id, allow)
        try:
            await refusal.tell(request, error, response, admitted=VISITOR in request)
        except WRONG as wrong:  # no more of its body comes
            return self._refused(refusal_of(wrong), id)
        return response

    def _refused(self, error: SynapseError, id: str, allow: str = "") -> web.Response:
        refusals = self._core.hub.refusals
        refusals[error.code] = refusals.get(error.code, 0) + 1
        response = problem.response(error, id)
        if allow:
            response.headers[hdrs.ALLOW] = allow
        if error.code in ("too_many_clients", "too_slow", "agent_gone"):
            response.force_close()
        return response

    def _addressed(self, request: web.Request) -> Addressed:
        """Whom a path below /agents/ is for."""
        name, hub = request.match_info["name"], f"{request.scheme}://{request.host}"
        secured = request[VISITOR].token
        workspace = request.query.get("workspace", "") or request.headers.get(WHO["workspace"], "")
        return addressed_by_name(self._core, name, f"{hub}/agents/{name}", hub, secured=secured, workspace=workspace)

    def _on_its_port(self, request: web.Request) -> Addressed:
        """Whom a request on an agent's own port is for."""
        agent, base = request[AGENT], URL(f"{request.scheme}://{request.host}")
        hub = base.with_port(self._core.hub.place.port)
        place = Place(str(base.origin()), str(hub.origin()), request[VISITOR].token)
        return Addressed(agent.box, agent.key, agent, place)

    async def _health(self, request: web.Request) -> web.Response:
        """The process is alive."""
        return _json(json.encode({"status": "ok", "version": __version__}))

    async def _ready(self, request: web.Request) -> web.Response:
        """The hub takes changes now."""
        hub = self._core.hub
        reason = hub.read_only or ("recovering" if hub.suspended else "")
        body = json.encode({"status": "unavailable" if reason else "ok", "reason": reason})
        return _json(body, status=503 if reason else 200)

    async def _tell_metrics(self, request: web.Request) -> web.Response:
        """What Prometheus reads: with the metrics' own token, or for who may read."""
        if self._metrics is None:
            raise web.HTTPNotFound
        if not bearer(request, self._metrics_token):
            may(await self._gate.visitor(request), Permission.READ)
        return web.Response(body=self._metrics.page(), headers={hdrs.CONTENT_TYPE: CONTENT_TYPE})

    async def _openapi(self, request: web.Request) -> web.Response:
        may(request[VISITOR], Permission.READ)
        if self._page is None:
            routes = [*CORE_ROUTES, *(r for p in self._core.plugins if p.works for r in p.routes if r.hub)]
            loop = asyncio.get_running_loop()
            self._page = loop.run_in_executor(
                self._core.hub.readers, openapi.document, list(verbs_of(self._core)), routes
            )
        return _json(await asyncio.shield(self._page))

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        query = query_of(request)
        hello: Hello = hello_of(request, None, {}, query)
        if query:
            raise BadRequest("bad_request", f"/ws takes `from` and `workspace`, not {min(query)[:80]!r}.")
        return await self._websockets.serve(request, request[VISITOR], hello)


def _check_room(request: web.Request) -> None:
    """Unavailable when the request's connection is one too many."""
    visit = request.transport.get_protocol() if request.transport is not None else None
    if isinstance(visit, Visit):
        visit.check()


def _json(body: bytes, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json")


async def _sign(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = _HEADERS["Server"]
    if REQUEST_ID in request:
        response.headers["X-Request-Id"] = request[REQUEST_ID]
