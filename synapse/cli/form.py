"""The form of `synapse config`: the settings with numbers; one is chosen, told what it takes, and written."""

import sys

from synapse import settings
from synapse.cli.config import here, set_, source_of, unset, written
from synapse.cli.contributed import declare_settings
from synapse.cli.errors import say
from synapse.cli.table import table, write
from synapse.errors import Refused, SynapseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from synapse.settings.declared import Setting
    from synapse.settings.reading import Loaded


def fill_in() -> int:
    """Ask for one setting after the other until nothing is answered; each is written at once."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Refused(
            "no_terminal",
            "The form needs a terminal: `synapse config show` prints what is set, `synapse config set KEY VALUE` changes it.",
        )
    declare_settings()
    while True:
        loaded = _shown()
        word = _asked("\nWhich one? Its number or its key; Enter ends: ")
        if not word:
            return int(bool(loaded.problems))
        try:
            _change(_meant(word), loaded)
        except SynapseError as error:
            say(f"{error.sentence}\n".encode("utf-8", "replace"))


def _shown() -> "Loaded":
    from synapse.settings.declared import declared
    from synapse.settings.reading import load

    loaded = load(here())
    rows = []
    for number, setting in enumerate(declared(), 1):
        one = loaded.values[setting.key]
        rows.append((str(number), setting.key, written(one.value) or "-", one.scope))
    write("\n" + table(("NO", "KEY", "VALUE", "SCOPE"), rows, keep=("NO", "KEY")))
    for sentence in (*loaded.problems, *loaded.refused, *loaded.absent):
        say(f"{sentence}\n".encode("utf-8", "replace"))
    return loaded


def _meant(word: str) -> "Setting":
    from synapse.settings.declared import declared

    there = declared()
    if word.isascii() and word.isdigit() and 1 <= int(word) <= len(there):
        return there[int(word) - 1]
    return settings.find(word)


def _change(setting: "Setting", loaded: "Loaded") -> None:
    """Ask what it is to be until that is right or nothing, and for whom where a project may have its own."""
    one = loaded.values[setting.key]
    source = f" ({source_of(one)})" if one.source else ""
    write(f"\n{setting.key}: {setting.help}\n  takes {setting.takes()}; now {written(one.value) or '-'}{source}\n")
    while True:
        word = _asked("New value (Enter: as it is, -: not set any more): ")
        if word in ("", "-"):
            break
        try:
            setting.of_text(word)
            break
        except ValueError as error:
            say(f"It {error}.\n".encode())
    if not word:
        return
    scope = _scope() if setting.project else "user"
    if word == "-":
        unset(setting.key, scope=scope)
    else:
        set_(setting.key, word, scope=scope)


def _scope() -> str:
    while True:
        word = _asked("For you everywhere (user), this project (project), or you in it (local)? [user] ") or "user"
        if word in settings.SCOPES:
            return word


def _asked(question: str) -> str:
    """One line of the person's; an end of input is nothing."""
    write(question)
    line = sys.stdin.readline()
    if not line:
        write("\n")
    return line.strip()
