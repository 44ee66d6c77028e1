"""Rules: permissions that the person's own settings approve by themselves; each time, an event says by which rule."""

import asyncio
import logging

from synapse.errors import BadRequest, SynapseError
from synapse.hub.approving import AnswerReply, decide, standing
from synapse.hub.loop import Call, Hub
from synapse.hub.policy import Policy, of
from synapse.hub.prompts import Prompts
from synapse.hub.sessions import Live, Session
from synapse.settings.reading import load
from synapse.verb import Change, change

logger = logging.getLogger(__name__)


class RuleRequest(Change, kw_only=True):
    """`rule` approves the command that the question of this id was about when it was judged."""

    id: str
    command: str
    rule: str


@change("prompts.rule", internal=True, anonymous=True)
def by_rule(call: Call, request: RuleRequest) -> AnswerReply:
    """Approve a question by a rule of the person's settings."""
    agent, live = standing(call, request.id)
    if live.yes < 0 or live.command != request.command:
        return AnswerReply(id=request.id, agent=agent.name, position=call.reached)  # it is another one by now
    name = request.rule.partition(":")[0]
    return decide(call, agent, live, live.yes, approved=True, name=name, rule=request.rule)


def policy() -> Policy:
    """The policy that the person has chosen, in their own file or environment; where anything is wrong, it asks.

    Reads files: not for the loop.
    """
    try:
        loaded = load()
        loaded.check()
        mode, allow, deny = (loaded.values[f"approvals.{name}"].value for name in ("mode", "allow", "deny"))
        assert isinstance(mode, str)
        assert isinstance(allow, tuple)
        assert isinstance(deny, tuple)
        return of(mode, allow, deny)
    except (BadRequest, ValueError) as error:
        logger.warning("the rules for permissions are not used: %s", error)
        return Policy()


class Rules:
    """Looks at each new permission once, beside the loop, and approves what a rule is sure of."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._session = Session(key="hub", system=True)
        self._seen: dict[str, str] = {}  # agent -> its last question that was judged
        self._answered: set[str] = set()  # agents that a rule has answered and that have done nothing else since
        self._judging: set[asyncio.Task[None]] = set()
        hub.on_presence.append(self.look)

    def look(self, key: str) -> None:
        """Somebody is otherwise: does it ask for something new?"""
        runner = self._hub.sessions.runner(key)
        live = runner.live if runner is not None else None
        if live is None or live.status != "WAITING":
            self._answered.discard(key)
        if key in self._answered:
            return  # it was pressed and still asks: that is for a person
        if live is None or not (live.prompt and live.approvable and live.command and live.yes >= 0):
            if live is None or not live.prompt:
                self._seen.pop(key, None)
            return
        if self._seen.get(key) == live.prompt or self._hub.state.get(Prompts).get(live.prompt) is not None:
            return
        self._seen[key] = live.prompt
        task = self._hub.loop.create_task(self._judge(key, live))
        self._judging.add(task)
        task.add_done_callback(self._judging.discard)

    async def _judge(self, key: str, live: Live) -> None:
        rule = await asyncio.to_thread(lambda: policy().rule(live.command))
        if not rule:
            return
        self._answered.add(key)
        try:
            await self._hub.do(self._session, by_rule, RuleRequest(id=live.prompt, command=live.command, rule=rule))
        except SynapseError as error:
            logger.info("%s is not approved by a rule: %s", live.prompt, error)

    def close(self) -> None:
        for task in self._judging:
            task.cancel()
