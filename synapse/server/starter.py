"""Starts the agents that the hub is asked for: each by a program of its own (`synapse _start`), a few at a time."""

import asyncio
import logging
import os
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from msgspec import DecodeError, convert, json, structs, to_builtins

from synapse import ids, paths
from synapse.errors import BadRequest, Refused, SynapseError, Unavailable, from_status
from synapse.event import Fact
from synapse.hub.agents import CLIENT, Agents
from synapse.hub.facts import Left, Spawned
from synapse.hub.joining import AgentReply, GoneRequest, wait_gone
from synapse.hub.looking import SignalRequest, signal
from synapse.hub.loop import STOPPING, Hub
from synapse.hub.sessions import Session
from synapse.hub.spawning import Begun, SpawnRequest, TeamRequest, Wanted, sum_of, wanted, wanted_team
from synapse.settings.declared import declared
from synapse.verb import Change

logger = logging.getLogger(__name__)
AT_ONCE = 4  # that start at the same time
MOST = 32  # that start or wait for their turn
WITHIN = 60.0  # seconds for one to have its turn and be started
LEAVING = 90.0  # seconds for one that is wanted no more to be undone: git comes to its end first
CLOSING = 5.0  # ... when the hub ends
TRIES = 100  # under one key, of which none came to its program's start
LONGEST = 1 << 20  # bytes of what is said of a start

Found = Begun | SynapseError
F = TypeVar("F", bound=Fact)


def environment(hub: Hub, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What a start finds in its environment: the person's, the settings, and where the hub is. Tokens, keys and what
    names an agent are the hub's own."""
    chosen = {name.lstrip("!") for setting in declared() for name in setting.environ}
    kept = {name: value for name, value in environ.items() if not name.startswith("SYNAPSE_") or name in chosen}
    data, port = hub.place.data, hub.place.port
    return kept | {
        "SYNAPSE_DATA": data,
        "SYNAPSE_PORT": str(port),
        "SYNAPSE_SOCKET": paths.hub_socket(data, port),
    }


class Starter:
    """What `agents.spawn` and `agents.spawn_team` need of the machine.

    An agent joins under a key that is made from the request's, so that a repeat finds it and no second one is started,
    also when the hub was killed in between. `umask` and `files` are what this process was allowed before it chose for
    itself (-1, 0: it did not); with `passing` the agents that were started here end with the hub.
    """

    def __init__(self, hub: Hub, *, umask: int = -1, files: int = 0, passing: bool = False) -> None:
        self._hub = hub
        self._umask = umask
        self._files = files
        self._passing = passing
        self._home = _folder()
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._count = 0
        self._under_way: dict[str, tuple[Change, asyncio.Task[Any]]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._started: set[str] = set()  # keys of agents
        self._closed = False

    def open(self) -> None:
        """Begin to start agents."""
        self._hub.preparations |= {"agents.spawn": self._spawn, "agents.spawn_team": self._spawn_team}

    async def close(self) -> None:
        """Nobody is started any more; what is not yet is undone."""
        self._closed = True
        tasks = [task for _, task in self._under_way.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        loop = asyncio.get_running_loop()
        ending = self._ending | {loop.create_task(self._end(key)) for key in self._started if self._passing}
        if ending:
            _, late = await asyncio.wait(ending, timeout=CLOSING)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _end(self, key: str) -> None:
        """End an agent, unless it has already."""
        session = Session(key="hub", system=True)
        with suppress(SynapseError):
            await self._hub.do(session, signal, SignalRequest(target=key, action="kill"))
            await self._hub.do(session, wait_gone, GoneRequest(key=key, timeout=CLOSING))

    # -- what is asked

    async def _spawn(self, session: Session, request: SpawnRequest) -> Begun:
        one = wanted(self._hub.call(session), request)

        async def work(key: str) -> Begun:
            return await self._begin(one, key, sum_of(request))

        found: Begun = await self._once("agents.spawn", session, request, 1, work)
        return found

    async def _spawn_team(self, session: Session, request: TeamRequest) -> list[Found]:
        team = wanted_team(self._hub.call(session), request)

        async def work(key: str) -> list[Found]:
            asked = sum_of(request)
            each = (self._told(one, f"{key}.{place}", asked) for place, one in enumerate(team))
            return list(await asyncio.gather(*each))

        found: list[Found] = await self._once("agents.spawn_team", session, request, len(team), work)
        return found

    async def _told(self, one: Wanted | SynapseError, key: str, asked: str) -> Found:
        """What became of one; an error is told, too."""
        try:
            return one if isinstance(one, SynapseError) else await self._begin(one, key, asked)
        except SynapseError as error:
            return error

    async def _once(
        self, verb: str, session: Session, request: Change, count: int, work: Callable[[str], Coroutine[Any, Any, Any]]
    ) -> Any:
        """Do it, unless a request under the same key is at it: then what that one gives."""
        if self._closed:
            raise STOPPING
        given = request.idempotency_key or request.idem_key
        key = ids.record_id(self._sender(session), f"{verb} {given}").hex() if given else ids.token().hex()
        first, task = self._under_way.get(key, (request, None))
        if task is None:
            self._check(verb, session, request, count)
            task = asyncio.get_running_loop().create_task(work(key))
            self._under_way[key] = request, task
            self._count += count
            task.add_done_callback(lambda task: self._done(key, count, task))
        elif first != request:
            raise _reused()
        return await asyncio.shield(task)

    def _sender(self, session: Session) -> str:
        """Who asks. A plain client is another participant in each workspace, and which of them is usual for who names
        none may be changed by the very agent that is started."""
        agent = self._hub.state.get(Agents).get(session.key)
        return agent.name if agent is not None and agent.type == CLIENT else session.key

    def _check(self, verb: str, session: Session, request: Change, count: int) -> None:
        """What may refuse it does so before anybody is started."""
        call = self._hub.call(session)
        for check in self._hub.guards.get(verb, ()):
            check(call, structs.replace(request))
        if self._count + count > MOST:
            raise Unavailable("too_many_starts", f"{self._count} agents are starting: ask again soon.", retry_after=5)

    def _done(self, key: str, count: int, task: "asyncio.Task[Any]") -> None:
        self._count -= count
        del self._under_way[key]
        if not task.cancelled():
            task.exception()  # whoever asked may have gone

    # -- one of them

    async def _begin(self, one: Wanted, key: str, asked: str) -> Begun:
        """Start one; or the one that was started under that key, as long as it is here."""
        try:
            async with asyncio.timeout(WITHIN), self._turns:
                for number in range(TRIES):
                    begun = await self._stay(f"{key}.{number}", asked)
                    if begun is None:
                        begun = await self._run(one, f"{key}.{number}", asked)
                    elif self._hub.state.get(Agents).get(begun.key) is None:
                        if await self._never_ran(begun.key):
                            continue
                        raise Refused(
                            "ended",
                            f"{begun.name} was started under this key before, and has ended: use a new key for another.",
                        )
                    if self._passing:
                        self._started.add(begun.key)
                    return begun
                raise Refused("forgotten", "Nothing that was started under this key ran: use a new key.")
        except TimeoutError:
            raise Unavailable("not_started", f"{one.profile} was not started within {WITHIN:g} s.") from None

    async def _stay(self, join_key: str, asked: str) -> Begun | None:
        """The stay that began under a key; Refused when it began for another request."""
        hub = self._hub
        position = hub.keys.find(hub.keys.sum("", join_key))
        if not position:
            return None
        await hub.flushed()
        records = await hub.loop.run_in_executor(hub.readers, hub.log.at, [position])
        if not records or not records[0].reply:
            return None
        joined = json.decode(records[0].reply, type=AgentReply)
        begun = Begun(key=joined.key, name=joined.name, id=joined.id, workspace=joined.workspace, port=joined.port)
        for body in await self._events(joined.key, Spawned):
            if body.asked != asked:
                raise _reused()
            begun.told, begun.task = True, body.task
        return begun

    async def _never_ran(self, agent: str) -> bool:
        """Has a stay ended because its program could not be started?"""
        return any(body.reason == "not_started" for body in await self._events(agent, Left))

    async def _events(self, agent: str, kind: type[F]) -> list[F]:
        """What happened in an agent's stay."""
        records = await self._hub.loop.run_in_executor(self._hub.readers, self._hub.log.story, agent)
        events = (event for record in records for event in record.events if event.kind == kind.kind)
        return [json.decode(event.body, type=kind) for event in events]

    async def _run(self, one: Wanted, join_key: str, asked: str) -> Begun:
        """Have it started by a program of its own; SynapseError says why it cannot be."""
        if not one.cwd and self._home == "/":
            raise BadRequest("no_folder", "Say in which folder it is to start: `cwd` is an absolute path.")
        told = to_builtins(one) | {"cwd": one.cwd or self._home, "join_key": join_key, "files": self._files}
        try:
            process = await asyncio.create_subprocess_exec(
                *paths.program(), "_start", stdin=PIPE, stdout=PIPE, limit=LONGEST, cwd="/", umask=self._umask,
                env=environment(self._hub), start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise Unavailable("not_started", f"No program can be started: {error.strerror}.") from None
        try:
            said = await _asked(process, told)
        finally:
            self._let_go(process)
        if "key" in said:
            return convert(said, Begun)
        if said["code"] == "key_reused" and (there := await self._stay(join_key, asked)) is not None:
            return there  # a start that a hub before this one had begun
        raise from_status(said["status"], said["code"], said["message"], said["details"])

    def _let_go(self, process: Process) -> None:
        """See its program off, which undoes what it has not come to an end with."""
        assert process.stdin is not None
        process.stdin.close()
        task = asyncio.get_running_loop().create_task(_seen_off(process))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


def _folder() -> str:
    """Where this process was started."""
    try:
        return os.getcwd()
    except OSError:
        return "/"  # that is gone


def _reused() -> Refused:
    return Refused("key_reused", "This idempotency key was used for another request: use a new key.")


async def _asked(process: Process, told: dict[str, Any]) -> dict[str, Any]:
    """What the program of a start says."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.encode(told) + b"\n")
        await process.stdin.drain()
        found: dict[str, Any] = json.decode(await process.stdout.readline(), type=dict[str, Any])
    except (OSError, ValueError, DecodeError) as error:
        logger.warning("a start ended without a word: %s", error)
        raise Unavailable("not_started", "It could not be started: a bug. `synapse logs hub` has it.") from None
    return found


async def _seen_off(process: Process) -> None:
    try:
        async with asyncio.timeout(LEAVING):
            await process.wait()
    except (TimeoutError, asyncio.CancelledError):
        logger.warning("the start of an agent does not end: process %s is killed", process.pid)
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
