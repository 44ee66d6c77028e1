"""Owed deliveries: the head of each box, handed to the runner that can type it."""

import asyncio
import logging
from collections.abc import Collection

from msgspec import Struct, json

from synapse.hub.agents import Agents
from synapse.hub.facts import Attachment
from synapse.hub.loop import Hub
from synapse.hub.mailbox import QUEUED, URGENT, Mailbox, Message
from synapse.hub.reading import GONE, Stored, Texts, stored_message
from synapse.hub.sessions import Session
from synapse.hub.tasks import Tasks
from synapse.log.base import Log

logger = logging.getLogger(__name__)
TRY_AGAIN = 1.0  # seconds


class Deliver(Struct, kw_only=True, omit_defaults=True):
    """What a runner is given to type; `urgent` interrupts first."""

    id: str
    role: str
    text: str
    task: str = ""
    sender: str = ""
    sender_id: str = ""
    reply_expected: bool = False
    urgent: bool = False
    priority: int = 3
    attachments: tuple[Attachment, ...] = ()


class _Frame(Struct):
    method: str
    params: Deliver
    jsonrpc: str = "2.0"


class Deliveries:
    """Reads from the state who is owed what, after every commit and after every start alike."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        hub.on_commit.append(self.look)

    def look(self, touched: Collection[str]) -> None:
        """See to the boxes among the touched parties."""
        hub = self._hub
        if hub.suspended:
            return
        agents = hub.state.get(Agents)
        if len(touched) > hub.sessions.running:  # a word to many, few of whom have a terminal
            wanted, running = set(touched), [agents.get(one.runner_of) for one in hub.sessions.runners()]
            touched = [a.key for a in running if a is not None and (a.key in wanted or a.box in wanted)]
        seen: set[str] = set()
        for topic in touched:
            agent = agents.get(topic) or agents.at_box(topic)
            if agent is None or agent.key in seen:
                continue
            seen.add(agent.key)
            runner = hub.sessions.runner(agent.key)
            if runner is not None:
                self._offer(runner, agent.key, agent.box)

    def look_everywhere(self) -> None:
        self.look([runner.runner_of for runner in self._hub.sessions.runners()])

    def _offer(self, runner: Session, key: str, box: str) -> None:
        mailbox, tasks = self._hub.state.get(Mailbox), self._hub.state.get(Tasks)
        held = [mailbox.get(box, id) for id in runner.offered]
        runner.offered = {m.id for m in held if m is not None and m.state == QUEUED}
        current = tasks.current(key)
        along = mailbox.along(current.id, runner.offered) if current is not None else None
        head = along or mailbox.head(box, runner.offered)
        if head is None:
            return
        busy = (current is not None and along is None) or mailbox.typing(box) is not None
        if (busy or runner.offered) and (head.priority < URGENT or self._urgent_offered(mailbox, box, runner)):
            return
        runner.offered.add(head.id)
        self._hand_over(runner, head)

    @staticmethod
    def _urgent_offered(mailbox: Mailbox, box: str, runner: Session) -> bool:
        offered = (mailbox.get(box, id) for id in runner.offered)
        return any(m is not None and m.priority >= URGENT for m in offered)

    def _hand_over(self, runner: Session, message: Message) -> None:
        hub, position, id = self._hub, message.position, message.id

        def fetch(log: Log) -> Stored | None:
            return stored_message(Texts(log), next(iter(log.at([position])), None), id)

        def fetched(future: "asyncio.Future[Stored | None]") -> None:
            if future.cancelled() or runner.closed:
                return
            if future.exception() is not None:
                logger.error("message %s cannot be read: once more in a second", id, exc_info=future.exception())
                runner.offered.discard(id)
                hub.loop.call_later(TRY_AGAIN, self.look, [runner.runner_of])
                return
            stored = future.result()
            what = _frame(stored) if stored is not None else _without_text(message)
            runner.push(json.encode(_Frame("deliver", what)))

        def start(position: int, what: object) -> None:
            hub.loop.run_in_executor(hub.readers, fetch, hub.log).add_done_callback(fetched)

        hub.outbox.tell(hub.head, start, None)


def _without_text(message: Message) -> Deliver:
    """A message whose text was blanked while it lay in the queue: what stands behind it must not wait for ever."""
    return Deliver(
        id=message.id, role=message.role, text=GONE, task=message.task, reply_expected=bool(message.task),
        urgent=message.priority >= URGENT, priority=message.priority,
    )  # fmt: skip


def _frame(stored: Stored) -> Deliver:
    sent = stored.sent
    return Deliver(
        id=sent.id,
        role=sent.role,
        text=stored.text,
        task=sent.task,
        sender=sent.name,
        sender_id=sent.agent_id,
        reply_expected=sent.reply_expected,
        urgent=sent.priority >= URGENT,
        priority=sent.priority,
        attachments=sent.attachments,
    )
