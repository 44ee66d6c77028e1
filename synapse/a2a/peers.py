"""Agents elsewhere: found, added, spoken to and let go, in the hub's process."""

import asyncio
import logging
from pathlib import Path
from typing import Any

from synapse import settings
from synapse.a2a.discover import fetch_card
from synapse.a2a.outgoing import Outgoing
from synapse.a2a.secrets import Secrets, check
from synapse.a2a.speaker import Speaker
from synapse.errors import BadRequest, Refused, Unavailable
from synapse.event import Event
from synapse.hub.addresses import Reach, literal, parse
from synapse.hub.agents import Agents
from synapse.hub.external import AddRequest, DiscoverRequest, FoundCard, RefreshRequest, check_wanted, registered
from synapse.hub.external_state import External, Registration
from synapse.hub.facts import Canceled, Completed, Failed, MessageAdded, Rejected
from synapse.hub.loop import Hub
from synapse.hub.push import own_ports
from synapse.hub.sessions import Session

logger = logging.getLogger(__name__)
WITHIN = 12.0  # seconds in which a card must be found
LATER = 5.0  # seconds until that is looked at again, where the hub cannot say
UNUSED_AFTER = 120.0  # seconds after which credentials that no change has named are deleted


def patience() -> float:
    """Seconds for which an agent that cannot be reached is tried again."""
    try:
        chosen = settings.value("external.patience")
    except BadRequest:
        chosen = settings.find("external.patience").default  # `synapse config show` says what is wrong
    assert isinstance(chosen, float)
    return chosen


class Peers:
    """One speaker for each agent elsewhere that is registered; what changes need of the network is fetched here."""

    def __init__(self, hub: Hub, folder: Path) -> None:
        self._hub = hub
        self._secrets = Secrets(folder)
        self._speakers: dict[str, Speaker] = {}
        self._known: dict[str, Registration] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._open = False

    def open(self) -> None:
        """Begin: take up what was left."""
        hub, self._open = self._hub, True
        hub.preparations["external.discover"] = self._discover
        hub.preparations["external.add"] = self._add
        hub.preparations["external.refresh"] = self._refresh
        hub.on_commit.append(self._committed)
        hub.on_publish.append(self._published)
        hub.on_folded.append(self._folded)
        self._agree()
        self._sweep_later(0.0)

    async def close(self) -> None:
        self._open = False
        if self._sweep is not None:
            self._sweep.cancel()
        closing = [speaker.close() for speaker in self._speakers.values()]
        self._speakers = {}
        await asyncio.gather(*closing, *self._leaving)

    # -- what changes need

    async def _discover(self, session: Session, request: DiscoverRequest) -> FoundCard:
        return FoundCard(card=await self._card(request))

    async def _add(self, session: Session, request: AddRequest) -> FoundCard:
        check_wanted(self._hub.call(session), request)
        return await self._stored(await self._card(request), request.headers)

    async def _card(self, request: DiscoverRequest) -> Any:
        urls = (request.url, *([request.origin] if request.origin else []))
        check(request.headers, urls, insecure=request.insecure)
        return await self._fetched(
            request.url, request.headers, request.origin, private=request.allow_private, insecure=request.insecure
        )

    async def _refresh(self, session: Session, request: RefreshRequest) -> FoundCard:
        _, there = registered(self._hub.call(session), request.alias)
        check(request.headers, (there.url, there.card.interface.url), insecure=there.insecure)
        kept = {} if request.headers or request.forget else await asyncio.to_thread(self._secrets.read, there.secret)
        headers = request.headers or kept
        card = await self._fetched(
            there.url, headers, there.origin, private=there.allow_private, insecure=there.insecure
        )
        if kept:
            return FoundCard(card=card, secret=there.secret, headers=there.headers)
        return await self._stored(card, request.headers)

    async def _fetched(self, url: str, headers: dict[str, str], origin: str, *, private: bool, insecure: bool) -> Any:
        client = Outgoing(lambda: self._reach(url, private))
        try:
            async with asyncio.timeout(WITHIN):
                card = await fetch_card(client, url, headers, origin)
        except TimeoutError:
            raise Unavailable("timeout", f"{url[:200]} does not show its card within {WITHIN:g} s.") from None
        except Refused as error:
            if error.code != "forbidden_address" or private:
                raise
            raise Refused(
                error.code, f"{error.sentence} --allow-private allows addresses that are not public.", **error.details
            ) from None
        finally:
            await client.close()
        check(headers, (card.interface.url,), insecure=insecure)
        self._reach(url, private).check(parse(card.interface.url).raw_host or "", parse(card.interface.url).port or 0)
        return card

    async def _stored(self, card: Any, headers: dict[str, str]) -> FoundCard:
        secret = await asyncio.to_thread(self._secrets.write, headers)
        if secret:
            self._sweep_later(UNUSED_AFTER)  # the change may be refused
        return FoundCard(card=card, secret=secret, headers=tuple(headers))

    def _reach(self, url: str, private: bool) -> Reach:
        """How far calls may go: what a person has typed as this machine is meant so, anything else must be public."""
        address = literal(parse(url).raw_host or "")
        here = address is not None and address.is_loopback
        return Reach(loopback=here or private, private=private, own=own_ports(self._hub))

    def _sweep_later(self, seconds: float) -> None:
        if self._sweep is not None:
            self._sweep.cancel()
        self._sweep = self._hub.loop.call_later(seconds, self._sweep_now)

    def _sweep_now(self) -> None:
        self._sweep = None
        if self._hub.suspended:  # not all that are registered may be in the state
            self._sweep_later(LATER)
            return
        kept = {one.secret for one in self._hub.state.get(External).registered.values()}
        self._hub.loop.run_in_executor(None, self._secrets.sweep, kept)

    # -- the registered

    def _folded(self) -> None:
        self._agree()
        for speaker in self._speakers.values():
            speaker.folded()

    def _agree(self) -> None:
        """There is one speaker for each, and none for those that are not there (any more)."""
        if not self._open:
            return
        there = self._hub.state.get(External).registered
        for key, registration in there.items():
            speaker = self._speakers.get(key)
            if speaker is None:
                self._speakers[key] = self._speaker(registration)
                self._speakers[key].look_soon()
            elif registration != self._known[key]:
                speaker.adopt(registration)
        for key in [key for key in self._speakers if key not in there]:
            leaving = self._hub.loop.create_task(self._let_go(self._speakers.pop(key), self._known[key].secret))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
        self._known = dict(there)

    def _speaker(self, there: Registration) -> Speaker:
        client = Outgoing(lambda: self._reach(there.url, there.allow_private))
        return Speaker(self._hub, there, client, self._secrets, patience)

    async def _let_go(self, speaker: Speaker, secret: str) -> None:
        await speaker.farewell()
        await asyncio.to_thread(self._secrets.delete, secret)

    def _committed(self, touched: set[str]) -> None:
        if not self._open:
            return
        there = self._hub.state.get(External).registered
        if there or self._known:
            if there != self._known:
                self._agree()
            agents = self._hub.state.get(Agents)
            for key, speaker in self._speakers.items():
                agent = agents.get(key)
                if key in touched or (agent is not None and agent.box in touched):
                    speaker.look()

    def _published(self, position: int, events: list[Event]) -> None:
        if not self._speakers or not self._open:
            return
        for event in events:
            body = event.body
            if isinstance(body, MessageAdded):
                for speaker in self._speakers.values():
                    speaker.answered(body.task)
            elif isinstance(body, Completed | Failed | Canceled | Rejected):
                for speaker in self._speakers.values():
                    speaker.over(body.task)
