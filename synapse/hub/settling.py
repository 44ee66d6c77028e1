"""Noting what became of calls: the hub's own change, many at once."""

from msgspec import Struct

from synapse.hub.callback_facts import PushSettled, WebhookSettled
from synapse.hub.callbacks import Callbacks
from synapse.hub.loop import Call
from synapse.hub.tasks import Tasks
from synapse.verb import Change, Reply, change

AT_ONCE = 200  # of one record


class Outcome(Struct, frozen=True, kw_only=True):
    """What became of telling a change: `hook` is a webhook's id, or "" where `config` is a push configuration's."""

    task: str
    position: int
    hook: str = ""
    config: str = ""
    event: str = ""
    status: int = 0
    attempts: int = 1
    error: str = ""


class SettleRequest(Change, kw_only=True):
    outcomes: tuple[Outcome, ...]


class SettleReply(Reply, kw_only=True):
    position: int


@change("callbacks.settle", internal=True, anonymous=True)
def settle(call: Call, request: SettleRequest) -> SettleReply:
    """Note what was told or given up, so that it is not told again."""
    callbacks, last = call.state(Callbacks), {}
    for outcome in request.outcomes:
        if outcome.config:
            last[outcome.task, outcome.config] = outcome.position
        elif outcome.position in _owed(callbacks, outcome):
            fact = WebhookSettled(
                id=outcome.hook,
                task=outcome.task,
                position=outcome.position,
                event=outcome.event,
                status=outcome.status,
                attempts=outcome.attempts,
                error=outcome.error,
            )
            call.emit(fact, outcome.task, "")
    for (task, id), position in last.items():
        config = callbacks.configs.get(task, {}).get(id)
        if config is not None and any(owed <= position for owed in config.owed):
            over = task not in call.state(Tasks).live and config.owed[-1] <= position
            call.emit(PushSettled(task=task, id=id, position=position, over=over), task, "")
    return SettleReply(position=call.reached)


def _owed(callbacks: Callbacks, outcome: Outcome) -> list[int]:
    hook = callbacks.hooks.get(outcome.hook)
    return hook.owed.get(outcome.task, []) if hook is not None else []
