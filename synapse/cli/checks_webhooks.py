"""What `doctor` asks the hub about webhooks: are those told who want to hear?"""

from synapse.cli.checks import OK, WARN, Check
from synapse.cli.checks_running import hub_socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


def webhooks() -> "Iterator[Check]":
    """Webhooks whose newest call failed; nothing where there are none."""
    from synapse.client.blocking import Client
    from synapse.client.starting import answers

    if not answers(hub_socket()):
        return
    with Client(start=False, url="") as client:
        hooks = client.call("webhooks.list").get("webhooks") or []
        made = client.call("webhooks.deliveries").get("deliveries") or [] if hooks else []
    assert isinstance(hooks, list)
    assert isinstance(made, list)
    newest: dict[str, dict[str, Any]] = {}
    for call in made:
        if call["outcome"] != "waiting":
            newest.setdefault(call["webhook"], call)
    failing = {id: call for id, call in newest.items() if call["outcome"] == "failed"}
    for hook in hooks:
        call = failing.get(hook["id"])
        if call is not None:
            why = call["error"] or f"it answers {call['status']}"
            waiting = f", {hook['waiting']} calls wait" if hook["waiting"] else ""
            url = hook["url"].partition("?")[0]  # the rest may be secret, and this is shown to others
            yield Check("webhooks", WARN, f"{url} was not told of {call['task']}: {why}{waiting}",
                        f"`synapse webhooks deliveries {hook['id']}` shows more, `webhooks remove` ends it.")  # fmt: skip
    if hooks and not failing:
        yield Check("webhooks", OK, f"{len(hooks)}, and nobody was called in vain lately")


ALL = (webhooks,)
