"""The texts that tell agents how to work with others: those that come with the program, and those put in their place."""

import os

from synapse import settings
from synapse.errors import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BUILT_IN = os.path.join(os.path.dirname(__file__), "texts")
DEFAULT = "default.md"
LARGEST = 64 << 10  # bytes of a text


class Text:
    """One text: its file's name, whose it is (`project`, `user` or `built-in`), and where it lies."""

    __slots__ = ("file", "path", "scope")

    def __init__(self, file: str, scope: str, path: str) -> None:
        self.file = file
        self.scope = scope
        self.path = path

    def read(self) -> str:
        """What it says, as it stands; Refused when it is no text."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe there must not hold us up
            with open(descriptor, "rb") as opened:
                content = opened.read(LARGEST + 1)
            if len(content) > LARGEST:
                raise Refused("bad_text", f"{self.path} is larger than {LARGEST >> 10} kB: say it shorter.")
            return content.decode().strip() + "\n"
        except (OSError, UnicodeDecodeError) as error:
            raise Refused("bad_text", f"{self.path} cannot be read as text: {error}.") from None


def folders(project: str) -> "dict[str, str]":
    """Where texts lie, the strongest first."""
    user = os.path.join(settings.config_folder(), "instructions")
    return {"project": os.path.join(project, ".synapse", "instructions"), "user": user, "built-in": BUILT_IN}


def texts(project: str) -> "list[Text]":
    """Of each file the one that counts, in the order of their names."""
    found: dict[str, Text] = {}
    for scope, folder in folders(project).items():
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            if name.endswith(".md") and name not in found and _may(scope, project, os.path.join(folder, name)):
                found[name] = Text(name, scope, os.path.join(folder, name))
    return [found[name] for name in sorted(found)]


def _may(scope: str, project: str, path: str) -> bool:
    """Is it a file, and of a project one that lies in it? A link may lead to what nobody else should read."""
    inside = os.path.realpath(path).startswith(os.path.join(os.path.realpath(project), ""))
    return os.path.isfile(path) and (scope != "project" or inside)


def text_for(names: "Iterator[str] | tuple[str, ...]", project: str) -> Text:
    """The text of an agent: that of its name, else of its profile, else the default."""
    known = {text.file: text for text in texts(project)}
    return next((known[f"{name}.md"] for name in names if f"{name}.md" in known), known[DEFAULT])


def fill(text: str, agent: "Mapping[str, object]") -> str:
    """The text with `{{agent_name}}`, `{{agent_id}}`, `{{port}}`, `{{role}}` and `{{workspace}}`; others stay as they are."""
    values = {"agent_name": "name", "agent_id": "agent_id", "port": "port", "role": "role", "workspace": "workspace"}
    for mark, key in values.items():
        if agent.get(key) is not None:
            text = text.replace("{{" + mark + "}}", str(agent[key]))
    return text


def write_templates(folder: str) -> "list[str]":
    """Put the texts that come with the program where they may be changed; those that are there stay."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    written = []
    for name in sorted(os.listdir(BUILT_IN)):
        path = os.path.join(folder, name)
        if name.endswith(".md") and not os.path.lexists(path):
            with open(path, "x", encoding="utf-8") as opened:
                opened.write(Text(name, "built-in", os.path.join(BUILT_IN, name)).read())
            written.append(path)
    return written
