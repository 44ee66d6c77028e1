"""`external add`, `list`, `show`, `send`, `answer`, `refresh`, `remove`: agents elsewhere as targets like any other."""

from synapse.cli.command import AS_JSON, COMMON, FROM, NO_START, WORKSPACE, Argument, Command, Option, text_of, utf8
from synapse.cli.messages import ATTACH, MODES, PRIORITY, TEXT
from synapse.cli.secretfile import secret_in
from synapse.cli.table import one_line, since, table, write
from synapse.client.blocking import Client
from synapse.client.lines import dumps
from synapse.errors import BadRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LARGEST = 64 * 1024  # bytes of a file with a credential


def list_external(*, all: bool, as_json: bool, sender: "str | None", workspace: "str | None", no_start: bool) -> int:
    """The agents elsewhere that are targets here."""
    with Client(sender or "", workspace or "", start=not no_start) as client:
        found = client.call("external.list", workspace="*" if all else "").get("agents") or []
    assert isinstance(found, list)
    if as_json:
        write(dumps(found).decode())
    elif found:
        heads = (*(("WORKSPACE",) if all else ()), "ALIAS", "STATUS", "SPEAKS", "ENDPOINT", "QUEUED", "DESCRIPTION")
        rows = [(*((one["workspace"],) if all else ()), *_row(one)) for one in found]
        write(table(heads, rows, keep=("ALIAS", "STATUS", "ENDPOINT")))
    else:
        write("No agents elsewhere: `synapse external add URL` adds one.\n")
    return 0


def _row(one: "dict[str, Any]") -> "tuple[str, ...]":
    return (
        str(one["alias"]), str(one["status"]), _speaks(one), str(one["endpoint"]), str(one["queued"] or ""),
        one_line(str(one["description"])),
    )  # fmt: skip


def _speaks(one: "dict[str, Any]") -> str:
    return f"{one['binding']} {one['protocol']}{', streams' if one['streaming'] else ''}"


def add(
    url: str,
    *,
    alias: "str | None",
    token_file: "str | None",
    header: "tuple[str, ...]",
    origin: "str | None",
    allow_private: bool,
    insecure: bool,
    look: bool,
    as_json: bool,
    sender: "str | None",
    workspace: "str | None",
    no_start: bool,
) -> int:
    """Make an agent elsewhere a target; with --look only tell what its card says."""
    if look and alias:
        raise BadRequest("only_looking", "--look adds nothing: leave out --alias.")
    asked: dict[str, object] = {
        "url": url, "headers": _headers(token_file, header), "origin": origin or "", "allow_private": allow_private,
        "insecure": insecure,
    }  # fmt: skip
    with Client(sender or "", workspace or "", start=not no_start) as client:
        if look:
            found = client.change("external.discover", **asked)
        else:
            found = client.change("external.add", alias=alias or "", **asked)
    if as_json:
        write(dumps(found).decode())
    elif look:
        write(_card(found))
    else:
        name = found["alias"]
        write(f"{name} is a target now ({_speaks(found)} at {found['endpoint']}): synapse send {name} ...\n")
    return 0


def _headers(token_file: "str | None", given: "tuple[str, ...]") -> "dict[str, str]":
    """Credentials as headers; their values come from files, for others may see the words of a command."""
    headers = {"Authorization": f"Bearer {secret_in(token_file, LARGEST)}"} if token_file else {}
    for one in given:
        name, colon, value = one.partition(":")
        name, value = name.strip(), value.strip()
        if not (name and colon and value.startswith("@") and len(value) > 1):
            raise BadRequest(
                "bad_header",
                f"--header {name[:40]!r}: write 'NAME: @FILE'; a value here could be seen by others in `ps`.",
            )
        if name.lower() in (there.lower() for there in headers):
            raise BadRequest("bad_header", f"The header {name} is given twice.")
        headers[name] = secret_in(value[1:], LARGEST)
    return headers


def show(alias: str, *, as_json: bool, sender: "str | None", workspace: "str | None", no_start: bool) -> int:
    """What an agent elsewhere says it is, and how it is."""
    with Client(sender or "", workspace or "", start=not no_start) as client:
        found = client.call("external.show", alias=alias)
    write(dumps(found).decode() if as_json else _shown(found))
    return 0


def _shown(found: "dict[str, Any]") -> str:
    tasks = f", {found['tasks']} task{'s' if found['tasks'] > 1 else ''}" if found["tasks"] else ""
    queued = f", {found['queued']} queued" if found["queued"] else ""
    lines = [f"{found['alias']}: {found['status']}{tasks}{queued}, here for {since(found['since'])}"]
    lines += [f"  sends along  {', '.join(found['headers'])}"] if found["headers"] else []
    switches = [name for name in ("allow_private", "insecure") if found[name]]
    lines += [f"  switches     {', '.join(switches)}"] if switches else []
    return "\n".join(lines) + "\n" + _card(found)


def _card(found: "dict[str, Any]") -> str:
    lines = [
        f"  name         {one_line(found['name'])} {one_line(found['version'])}".rstrip(),
        f"  description  {one_line(found['description'])}",
        f"  card         {found['url']}",
        f"  speaks       {_speaks(found)} at {found['endpoint']}",
    ]
    lines += [f"  wants        {', '.join(found['security'])}"] if found.get("security") else []
    for skill in found.get("skills") or []:
        tags = f" [{', '.join(skill['tags'])}]" if skill.get("tags") else ""
        lines.append(f"  skill        {one_line(skill['name'])}: {one_line(skill.get('description', ''))}{tags}")
    return "\n".join(lines) + "\n"


def send(alias: str, text: "str | None", **options: object) -> int:
    """Send work to an agent elsewhere: `synapse send ALIAS` for whoever has that name."""
    from synapse.cli.messages import send as send_to

    sender, workspace = options["sender"], options["workspace"]
    with Client(str(sender or ""), str(workspace or ""), start=not options["no_start"]) as client:
        found = client.call("external.show", alias=alias)
    target = f"{found['workspace']}/{found['alias']}"
    return send_to(target, text, to=None, named=None, **options)


def answer(
    task: str,
    text: "str | None",
    *,
    message_file: "str | None",
    stdin: bool,
    as_json: bool,
    sender: "str | None",
    workspace: "str | None",
    no_start: bool,
) -> int:
    """Answer what a task asks back: the agent elsewhere goes on with it."""
    said = text_of(utf8(text, "The text") if text is not None else None, message_file, stdin)
    if not said.strip():
        raise BadRequest("no_text", "There is nothing to answer: the text is empty.")
    with Client(sender or "", workspace or "", start=not no_start) as client:
        told = client.change("tasks.say", task=task, text=said)
    write(
        dumps(told).decode()
        if as_json
        else f"told: {told['task_id']}; `synapse wait {told['task_id']}` waits for its end\n"
    )
    return 0


def refresh(
    alias: str,
    *,
    token_file: "str | None",
    header: "tuple[str, ...]",
    forget: bool,
    as_json: bool,
    sender: "str | None",
    workspace: "str | None",
    no_start: bool,
) -> int:
    """Read the card again; with new credentials, or (--forget) with none."""
    headers = _headers(token_file, header)
    if forget and headers:
        raise BadRequest("two_wishes", "--forget takes the credentials away: leave out the new ones.")
    with Client(sender or "", workspace or "", start=not no_start) as client:
        found = client.change("external.refresh", alias=alias, headers=headers, forget=forget)
    write(dumps(found).decode() if as_json else _shown(found))
    return 0


def remove(alias: str, *, as_json: bool, sender: "str | None", workspace: "str | None", no_start: bool) -> int:
    """Let go of an agent elsewhere: its tasks are called off, its credentials deleted."""
    with Client(sender or "", workspace or "", start=not no_start) as client:
        gone = client.change("external.remove", alias=alias)
    write(dumps(gone).decode() if as_json else f"{gone['alias']} is no target any more\n")
    return 0


_ALIAS = Argument("alias", help="What it is called here.")
_HERE = (AS_JSON, FROM, WORKSPACE, NO_START)
_CREDENTIALS = (
    Option("--token-file", help="A file with a token, sent as `Authorization: Bearer ...`.", metavar="FILE"),
    Option(
        "--header", many=True, help="A header and the file that holds its value; may be given several times.",
        metavar="'NAME: @FILE'",
    ),
)  # fmt: skip
COMMANDS = (
    Command(
        "external", list_external, "Agents elsewhere (A2A) that are targets here; as `external list`.",
        Option("--all", flag=True, help="Of every workspace."), *_HERE, example="synapse external",
    ),
    Command(
        "external list", list_external, "The agents elsewhere that are targets here, and how they are.",
        Option("--all", flag=True, help="Of every workspace."), *_HERE, example="synapse external list --json",
    ),
    Command(
        "external add", add, "Make an A2A agent elsewhere a target like any other.",
        Argument("url", help="Where it is, or where its card lies."),
        Option("--alias", help="What it is called here; else after the name on its card."),
        *_CREDENTIALS,
        Option("--origin", help="Where its interface may lie beside the URL's own scheme, host and port.", metavar="URL"),
        Option("--allow-private", flag=True, help="It may be in a private network."),
        Option("--insecure", flag=True, help="Send the credentials in clear, if it has no https."),
        Option("--look", flag=True, help="Add nothing, only tell what its card says."), *_HERE,
        example="synapse external add https://agents.example.com/review --alias reviewer --token-file ~/review.token",
    ),
    Command(
        "external show", show, "What an agent elsewhere says it is and can do, and how it is.", _ALIAS, *_HERE,
        example="synapse external show reviewer",
    ),
    Command(
        "external send", send, "Send work to an agent elsewhere; as `synapse send ALIAS`.", _ALIAS, *TEXT, ATTACH,
        PRIORITY, *MODES, *COMMON, example='synapse external send reviewer "review this" --attach auth.py --wait',
    ),
    Command(
        "external answer", answer, "Answer what an agent elsewhere asks back, so that it goes on with the task.",
        Argument("task", help="The task's id, from `synapse waiting`."), *TEXT, *_HERE,
        example='synapse external answer t-01M7XQCXHHAGM20MQW5N3H0VJV "the second one"',
    ),
    Command(
        "external refresh", refresh, "Read the card of an agent elsewhere again; with other credentials, if given.",
        _ALIAS, *_CREDENTIALS, Option("--forget", flag=True, help="Send no credentials any more."), *_HERE,
        example="synapse external refresh reviewer --header 'X-API-Key: @review.key'",
    ),
    Command(
        "external remove", remove, "Let go of an agent elsewhere; its credentials are deleted.", _ALIAS, *_HERE,
        example="synapse external remove reviewer",
    ),
)  # fmt: skip
