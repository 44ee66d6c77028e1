"""Which settings there are: each declared once, as data. Quick commands import this: nothing heavy here."""

import os

from synapse.errors import BadRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST = 1 << 20  # bytes of a settings file
_WORDS = {
    "true": True, "yes": True, "on": True, "1": True,
    "false": False, "no": False, "off": False, "0": False,
}  # fmt: skip
_CALLED = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", tuple: "a list of texts"}


class Setting:
    """One key: what it takes, what it is when nobody has chosen, and who may choose.

    `project`: a project's file may set it too. `environ`: the variables that set it, the first that is set counts;
    `!NAME` is one whose presence means false. `least` and `most` bound a number; `choices` a text or a list's items;
    `patterns`: its items are regular expressions.
    """

    __slots__ = ("choices", "default", "environ", "help", "key", "kind", "least", "most", "patterns", "project")

    def __init__(
        self,
        key: str,
        kind: "type[bool] | type[int] | type[float] | type[str] | type[tuple[str, ...]]",
        default: object,
        help: str,
        *,
        project: bool = False,
        environ: "tuple[str, ...]" = (),
        choices: "tuple[str, ...]" = (),
        patterns: bool = False,
        least: "float | None" = None,
        most: "float | None" = None,
    ) -> None:
        self.key = key
        self.kind: type = kind
        self.default = default  # None: whoever reads it decides
        self.help = help
        self.project = project
        self.environ = environ or ("SYNAPSE_" + key.replace(".", "_").upper(),)
        self.choices = choices
        self.patterns = patterns
        self.least = least
        self.most = most

    def checked(self, value: object) -> object:
        """A value as it stands in TOML, in our type; ValueError says what it must be."""
        if self.kind is tuple and isinstance(value, list):
            value = tuple(value)
        if self.kind is float and type(value) is int:
            value = float(value)
        if type(value) is not self.kind or not self._fits(value):
            raise ValueError(f"must be {self.takes()}")
        return value

    def of_text(self, text: str) -> object:
        """A value written as one word (a variable, a word of the command line); ValueError says what it must be."""
        value: object = text
        if self.kind is bool:
            value = _WORDS.get(text.strip().lower())
        elif self.kind is tuple:
            value = [each.strip() for each in text.split(",") if each.strip()]
        elif self.kind is not str:
            try:
                value = self.kind(text) if text.isascii() and "_" not in text else None
            except (ValueError, OverflowError):
                value = None
        return self.checked(value)

    def takes(self) -> str:
        """What it takes, in words."""
        if self.choices:
            listed = ", ".join(self.choices)
            return f"a list of {listed}" if self.kind is tuple else f"one of {listed}"
        if self.patterns:
            return "a list of regular expressions"
        said = _CALLED[self.kind]
        if self.least is not None and self.most is not None:
            return f"{said} from {self.least:.0f} to {self.most:.0f}"
        return said if self.least is None else f"{said}, {self.least:.0f} or more"

    def told_by(self, environ: "Mapping[str, str]") -> "tuple[str, object] | None":
        """The variable that sets it and the value; None when none is set (or to nothing). BadRequest when it is wrong."""
        for name in self.environ:
            text = environ.get(name.lstrip("!"), "")
            if text and name.startswith("!"):
                return name[1:], False
            if text:
                try:
                    return name, self.of_text(text)
                except ValueError as error:
                    raise BadRequest("bad_setting", f"{name} is {text[:40]!r}: it {error}.", variable=name) from None
        return None

    def _fits(self, value: object) -> bool:
        if isinstance(value, tuple):
            if not self.choices:
                texts = all(type(item) is str and item and item.isprintable() for item in value)
                return texts and not (self.patterns and any(map(_is_no_pattern, value)))
            return bool(value) and all(type(item) is str and item in self.choices for item in value)
        if isinstance(value, str):
            return value in self.choices if self.choices else bool(value) and value.isprintable()
        if isinstance(value, bool):
            return True
        assert isinstance(value, int | float)
        above = self.least is None or value >= self.least
        return above and value <= (float("1e15") if self.most is None else self.most)  # not-a-number is neither


def _is_no_pattern(text: str) -> bool:
    import re  # slow, and only for whoever has such a setting

    try:
        re.compile(text)
    except re.error:
        return True
    return False


COLUMNS = ("ID", "NAME", "TYPE", "ROLE", "STATUS", "CURRENT", "TRANSPORT", "WORKING_DIR", "SKILL_SET", "EDITING_FILE")

# What is added at start by plugins, and nothing else, is why this can grow.
_DECLARED = {
    setting.key: setting
    for setting in (
        Setting("hub.host", str, "127.0.0.1", "The address that the hub listens on."),
        Setting("hub.port", int, 8876, "The hub's port.", environ=("SYNAPSE_PORT",), least=1, most=65535),
        Setting("hub.rate", float, 2000.0, "Changes a second that one participant may make; 0: no limit.", least=0),
        Setting("hub.burst", float, 4000.0, "Changes that one participant may make at once.", least=0),
        Setting("hub.max_clients", int, 4096, "How many connections the hub takes at once.", least=1, most=1_000_000),
        Setting(
            "hub.max_per_host", int, 1024, "How many connections the hub takes from one other machine.", least=1,
            most=1_000_000,
        ),
        Setting("hub.agent_ports", bool, True, "Each agent is reached on a port of its own, too, not only below /agents/."),
        Setting(
            "hub.log_level", str, "info", "How much the hub's log says.", choices=("debug", "info", "warning", "error")
        ),
        Setting(
            "a2a.flow", str, "auto",
            "How `send` goes without --wait, --notify or --silent: auto (as --notify), roundtrip (--wait), oneway (--silent).",
            project=True, choices=("auto", "roundtrip", "oneway"),
        ),
        Setting("list.columns", tuple, COLUMNS, "The columns of `synapse list`.", project=True, choices=COLUMNS),
        Setting(
            "long_message.threshold", int, None, "Characters from which a text goes by file; else as the profile says.",
            least=0,
        ),
        Setting("long_message.ttl", float, 3600.0, "Seconds that the file of a long text is kept.", least=0),
        Setting("detach_key", str, "ctrl-\\", "The key that leaves an agent running and comes back to the shell."),
        Setting(
            "setup.ask", bool, True, "Does `run` ask for a name, a role and skills?",
            environ=("SYNAPSE_SETUP_ASK", "!SYNAPSE_NO_SETUP"),
        ),
        Setting(
            "attention.stalled_after", float, 300.0,
            "Seconds after which work that does not go on is shown by `synapse waiting`.", least=0,
        ),
        Setting(
            "external.patience", float, 300.0,
            "Seconds for which an agent elsewhere that cannot be reached is tried again, before its task fails.", least=0,
        ),
        Setting(
            "agents.save_prompt", bool, True, "Does `run` offer to save a named agent when it ends?",
            environ=("SYNAPSE_AGENT_SAVE_PROMPT_ENABLED",),
        ),
        Setting(
            "notify.desktop", bool, True, "Are you told on the desktop (notify-send, terminal-notifier) that something waits?"
        ),
        Setting(
            "notify.terminal", str, "osc9", "How the terminals you look at are told that something waits, if at all.",
            choices=("osc9", "osc777", "off"),
        ),
        Setting("notify.after", float, 5.0, "Seconds that something must wait before you are told.", least=0),
        Setting(
            "approvals.mode", str, "ask",
            "Who answers agents' permission dialogs: you (ask), or your rules where they are sure; docs/attention.md.",
            choices=("ask", "allow-list", "deny-list"),
        ),
        Setting(
            "approvals.allow", tuple, (), "With allow-list: regular expressions of commands that are approved.",
            patterns=True,
        ),
        Setting(
            "approvals.deny", tuple, (), "With deny-list: regular expressions of commands that wait for you.",
            patterns=True,
        ),
        Setting(
            "approval_mode", str, "required",
            "Before an agent that a person starts in a terminal is told who it is: required asks, auto does not.",
            choices=("required", "auto"),
        ),
        Setting(
            "instructions.enabled", bool, True,
            "Is an agent told, when it is first ready, who it is and how to reach the others?",
        ),
        *(
            Setting(
                f"profiles.{name}.resume_flags", tuple, (),
                f"Words with which {name} goes on with a conversation, and is told nothing; else as the profile says.",
            )
            for name in ("claude", "gemini", "codex", "opencode", "copilot", "qwen")
        ),
        Setting("history.enabled", bool, True, "May what was asked and answered be searched? Else its words are not indexed."),
        Setting("history.keep_days", float, 0.0, "Finished tasks are forgotten after so many days; 0: never.", least=0),
        Setting(
            "history.max_size_mb", float, 0.0,
            "The oldest finished tasks are forgotten when all take more than so many megabytes; 0: never.", least=0,
        ),
        Setting(
            "history.prices", tuple, (),
            "What a million tokens cost, for `synapse history stats`: `input=3`, or of one profile `claude.output=15`.",
        ),
        Setting(
            "push.allow_private", bool, False,
            "May those who asked for a task be called in private networks, too, when it changes (A2A push)?",
        ),
        Setting("webhooks.allow_private", bool, False, "May webhooks lead into private networks, too?"),
        Setting(
            "webhooks.timeout", float, 10.0, "Seconds that a webhook or a push may take to answer.", least=1, most=60
        ),
        Setting(
            "webhooks.retries", int, 3, "How often a webhook or a push that failed is called again: after 1 s, 2 s, 4 s.",
            least=0, most=10,
        ),
        Setting("plugins.disabled", tuple, (), "Plugins that the hub and the commands leave out, by name."),
    )
}  # fmt: skip

# Variables of the systems before this one that chose separate files: they are accepted and have no effect.
WITHOUT_EFFECT = (
    "SYNAPSE_CANVAS_DB_PATH", "SYNAPSE_EXTERNAL_REGISTRY_DIR", "SYNAPSE_FILE_SAFETY_DB_PATH", "SYNAPSE_HISTORY_DB_PATH",
    "SYNAPSE_LONG_MESSAGE_DIR", "SYNAPSE_REGISTRY_DIR", "SYNAPSE_REPLY_TARGET_DIR", "SYNAPSE_SHARED_MEMORY_DB_PATH",
    "SYNAPSE_TASK_BOARD_DB_PATH", "SYNAPSE_UDS_DIR",
)  # fmt: skip


def declare(plugin: str, added: "tuple[Setting, ...]") -> None:
    """Add a plugin's settings, in place of those that it had; ValueError when one is not as it should be."""
    others = {key: one for key, one in _DECLARED.items() if not key.startswith(f"plugins.{plugin}.")}
    variables = {name.lstrip("!") for one in others.values() for name in one.environ}
    for one in added:
        name = one.key.removeprefix(f"plugins.{plugin}.")
        if name == one.key or not all(part.isidentifier() for part in name.split(".")):
            raise ValueError(f"its setting {one.key!r} is not called plugins.{plugin}.NAME")
        if one.kind not in _CALLED:
            raise ValueError(f"its setting {one.key} is a {one.kind.__name__}, not one of bool, int, float, str, tuple")
        if one.key in others:
            raise ValueError(f"its setting {one.key!r} is there twice")
        if one.default is not None:
            try:
                one.checked(one.default)
            except ValueError as error:
                raise ValueError(f"its setting {one.key} is {one.default!r} by default: it {error}") from None
        for variable in (name.lstrip("!") for name in one.environ):
            if not variable.startswith("SYNAPSE_") or variable in variables:
                raise ValueError(f"the variable {variable} of {one.key} is not its own: SYNAPSE_... of a new name")
            variables.add(variable)
        others[one.key] = one
    _DECLARED.clear()
    _DECLARED.update(others)


def find(key: str) -> Setting:
    """The setting of a key; BadRequest with a suggestion when there is none."""
    setting = _DECLARED.get(key)
    if setting is None:
        raise BadRequest("unknown_setting", f"There is no setting {key[:80]!r}{nearest(key)}", key=key[:80])
    return setting


def declared() -> "tuple[Setting, ...]":
    """All settings, in the order in which they are shown."""
    return tuple(_DECLARED.values())


def nearest(key: str) -> str:
    """The end of a sentence about a key that is not there: what may be meant, or where to look."""
    from difflib import get_close_matches

    near = get_close_matches(key[:80].lower(), list(_DECLARED), n=1)
    return f": did you mean '{near[0]}'?" if near else ": `synapse config show` lists them."


def near_variables(environ: "Mapping[str, str]" = os.environ) -> "list[tuple[str, str]]":
    """Variables that look like a setting's misspelt, with the name that may be meant."""
    from difflib import get_close_matches

    names = [name.lstrip("!") for setting in _DECLARED.values() for name in setting.environ]
    found = []
    for name in sorted(environ):
        if name.startswith("SYNAPSE_") and name not in names and name not in WITHOUT_EFFECT:
            near = get_close_matches(name, names, n=1, cutoff=0.9)
            found += [(name, near[0])] if near else []
    return found
