"""Events in a person's words: names instead of keys, one line each."""

from synapse.cli.table import clock, fit, harmless, one_line
from synapse.client.lines import dumps

Event = dict[str, object]


class Names:
    """What to call the owners of keys and boxes."""

    def __init__(self, agents: "list[dict[str, object]]" = []) -> None:  # noqa: B006 - never changed
        self._names = {str(agent["key"]): str(agent["name"]) for agent in agents}

    def learn(self, event: Event) -> None:
        """Note a name that an event gives."""
        body = event["body"]
        if event["kind"] in ("agents.joined", "agents.renamed") and isinstance(body, dict) and "key" in body:
            self._names[body["key"]] = body["name"]

    def of(self, key_or_box: object) -> str:
        """The name of a participant, also of one who is not here any more."""
        text = str(key_or_box)
        if text in self._names:
            return self._names[text]
        return text.rpartition("/")[2] if "/" in text else f"a-…{text[-4:]}" if text.startswith("a-") else text


def line(event: Event, names: Names, width: int = 0) -> str:
    """One event on one line: position, time, who, kind, what."""
    position, at = event["position"], event["at"]
    assert isinstance(at, int | float)
    start = f"{position!s:>7}  {clock(at):<11}  {names.of(event['by']):<12}  {event['kind']!s:<18}  "
    whole = start + one_line(told(event, names))
    return (fit(whole, width) if width else whole) + "\n"


def told(event: Event, names: Names) -> str:
    """What happened."""
    body, kind = event["body"], str(event["kind"])
    if not isinstance(body, dict) or not body:
        return ""  # there was nothing to say, or it was redacted
    family, _, what = kind.partition(".")
    if kind == "messages.sent":
        to = ", ".join(names.of(box) for box in body["to"])
        about = f" about {body['reply_to']}" if body.get("reply_to") else ""
        return f"{body.get('role', 'task')} to {to}: {text_of(body)} ({body['id']}{about})"
    if family == "messages":
        reason = f": {body['reason']}" if body.get("reason") else ""
        between = f"from {names.of(body.get('sender', ''))} to {names.of(body.get('box', ''))}"
        return f"{between}{reason} ({body.get('id', '')})"
    if family == "tasks":
        return _task(what, body, names)
    if family == "prompts":
        return _prompt(what, body, names)
    if kind == "agents.joined":
        port = f" on port {body['port']}" if body.get("port") else ""
        return f"{body['name']} came, a {body['type']}{port}"
    if kind == "agents.renamed":
        return f"is now {body['name']}"
    if kind == "agents.started":
        return f"{names.of(body['key'])} runs as process {body.get('child_pid', 0)}"
    if kind == "agents.spawned":
        return f"{names.of(body['key'])} was started by the hub"
    if kind == "agents.left":
        return f"{names.of(body['key'])} left ({body.get('reason') or 'stopped'})"
    if family == "external":
        return _elsewhere(what, body, names)
    if family in ("push", "webhooks"):
        return _callback(what, body)
    if kind == "agents.advertised":
        return _card(body)
    if kind == "offers.made":
        return f"offers {body['sort']}/{body['name']} x {body.get('capacity', 1)} until {clock(body.get('expires', 0))}"
    if kind == "offers.withdrawn":
        return f"offers {body['id']} no longer ({body.get('reason', 'withdrawn')})"
    if kind == "hub.started":
        return f"version {body['version']}, process {body['pid']}"
    if kind == "log.forgotten":
        tasks = sum(story.startswith("t-") for story in body.get("stories", ()))
        return f"{tasks} tasks are forgotten, with what belonged to them"
    if kind == "workspaces.named":
        return f"{body['name']} is {body['path']}"
    return dumps(body).decode().strip()


def _card(body: "dict[str, object]") -> str:
    """A capability card in one line."""
    parts = []
    for name, title in (("task_classes", "takes"), ("skills", "can")):
        words = body.get(name)
        if isinstance(words, list | tuple) and words:
            parts.append(f"{title} {', '.join(map(str, words))}")
    described = [str(body[name]) for name in ("description", "model") if body.get(name)]
    return "; ".join([*parts, *described]) or "took its card down"


def _task(what: str, body: "dict[str, object]", names: Names) -> str:
    who = f"asked of {names.of(body['box'])} by {names.of(body['requester'])}"
    id = f"({body['task']})"
    if what == "submitted":
        return f"{who}, {body.get('mode', 'notify')} {id}"
    if what == "input_required":
        return f"{who}: {body.get('question', '')} {id}"
    said = ": ".join(str(part) for part in (body.get("reason"), text_of(body)) if part)
    return f"{who}{': ' if said else ''}{said} {id}"


def _elsewhere(what: str, body: "dict[str, object]", names: Names) -> str:
    who, card = names.of(body["key"]), body.get("card")
    if what in ("added", "refreshed"):
        interface = card.get("interface") if isinstance(card, dict) else None
        at = interface.get("url", "") if isinstance(interface, dict) else ""
        return f"{who} is an agent elsewhere: {at or body.get('url', '')}"
    if what == "removed":
        return f"{who} is no agent elsewhere any more"
    if what == "context_linked":
        return f"{who} calls the conversation {body['context']} {body['remote_context']}"
    if what == "linked":
        return f"{who} has it as {body.get('remote_task') or '(it has not said)'} ({body['task']})"
    return f"{who} is told{' that it is called off' if what == 'released' else ' the answer'} ({body['task']})"


def _callback(what: str, body: "dict[str, object]") -> str:
    of = f" of {body['task']}" if "task" in body else ""
    if what in ("configured", "added"):
        return f"{body['url']} is to be called on changes{of or ' of tasks'} ({body['id']})"
    if what == "removed":
        return f"{body['id']} is not called any more{of}"
    if "event" in body:
        came = body.get("status") or body.get("error") or "no answer"
        return f"{body['id']} was called on {body['event']}{of}: {came}"
    return f"{body['id']} was told what there is{of}"


def _prompt(what: str, body: "dict[str, object]", names: Names) -> str:
    who = f"{names.of(body['agent'])} ({body['prompt']})"
    if what == "closed":
        return f"{who}: {body['outcome']}{': ' if body.get('reason') else ''}{body.get('reason', '')}"
    how = f"{'yes' if body['approved'] else 'no'} to {who}"
    choice = f" with '{body['choice']}'" if body.get("choice") else ""
    about = f": {body.get('command') or body.get('question') or ''}".rstrip(": ")
    ruled = f" by {body['rule']}" if body.get("rule") else ""
    return f"{how}{choice}{ruled}{about}"


def text_of(body: "dict[str, object]") -> str:
    """The text in a body, or a word for one that is too long to be there."""
    return str(body.get("text") or ("(a long text)" if body.get("blob") else ""))


def message(event: Event, names: Names) -> str:
    """A message as a line of talk, its text in full."""
    body, at = event["body"], event["at"]
    assert isinstance(body, dict)
    assert isinstance(at, int | float)
    to = ", ".join(names.of(box) for box in body["to"])
    role = body.get("role", "task")
    about = {"task": f" [task {body['id']}]", "note": ""}.get(str(role), f" [{role} to {body.get('reply_to')}]")
    text = harmless(text_of(body)).rstrip("\n").replace("\n", "\n    ")
    return f"{clock(at)} {names.of(body['sender'])} to {to}{about}: {text}\n"
