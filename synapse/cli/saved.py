"""Saved agents: what to start, and who it is then, under an id. One TOML file each in the user's config folder."""

import os
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from synapse import names, settings
from synapse.errors import BadRequest, NotFound, Refused, SynapseError
from synapse.settings.declared import LARGEST


class Saved(NamedTuple):
    """A saved agent: a profile (or a program) with its arguments, and who it is."""

    id: str
    profile: str
    arguments: tuple[str, ...] = ()
    name: str = ""
    role: str = ""
    skill_set: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        """What is run."""
        return (self.profile, *self.arguments)


FIELDS = Saved._fields[1:]


def folder() -> str:
    """Where they lie: only the user's own, for a project must not say what is run."""
    return os.path.join(settings.config_folder(), "agents")


def all_saved(wrong: "list[SynapseError] | None" = None) -> list[Saved]:
    """All of them, by id, without those whose file is wrong: `wrong` hears why."""
    try:
        files = sorted(os.listdir(folder()))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise Refused("cannot_read", f"{folder()} cannot be read: {error.strerror}.") from None
    found = []
    for file in files:
        if file.endswith(".toml") and not file.startswith("."):
            try:
                found.append(read(file.removesuffix(".toml")))
            except SynapseError as error:
                if wrong is not None:
                    wrong.append(error)
    return found


def find(wanted: str) -> Saved:
    """The one of that id, else the only one of that name; NotFound says which there are."""
    id = wanted.lower()
    if _fits(id) and os.path.isfile(_path(id)):
        return read(id)
    everyone = all_saved()
    called = [saved for saved in everyone if saved.name == id]
    if len(called) == 1:
        return called[0]
    if called:
        ids = ", ".join(saved.id for saved in called)
        raise Refused("ambiguous", f"{len(called)} saved agents are called '{id}'. Say which by its id: {ids}.")
    known = ", ".join(saved.id for saved in everyone) or "none yet (`synapse agents add`)"
    raise NotFound("no_such_saved_agent", f"There is no saved agent '{wanted[:80]}'. Saved: {known}.")


def read(id: str) -> Saved:
    """The saved agent in a file; BadRequest says what is wrong in it."""
    path = _path(id)
    try:
        with open(path, "rb") as file:
            table = tomllib.loads(file.read(LARGEST).decode())
        return _typed(id, table)
    except FileNotFoundError:
        raise NotFound("no_such_saved_agent", f"There is no saved agent '{id}'.") from None
    except OSError as error:
        raise Refused("cannot_read", f"{path} cannot be read: {error.strerror}.") from None
    except BadRequest as error:
        raise BadRequest("bad_saved_agent", f"{path}: {error.sentence}") from None
    except ValueError as error:
        raise BadRequest("bad_saved_agent", f"{path}: {error}.") from None


def _typed(id: str, table: dict[str, Any]) -> Saved:
    for key, value in table.items():
        if key not in FIELDS:
            raise ValueError(f"unknown key '{key}'; there are {', '.join(FIELDS)}")
        if key == "arguments" and not (isinstance(value, list) and all(type(each) is str for each in value)):
            raise ValueError("'arguments' must be a list of texts")
        if key != "arguments" and type(value) is not str:
            raise ValueError(f"'{key}' must be a text")
    if not table.get("profile"):
        raise ValueError("'profile' is missing")
    if table.get("name"):
        table["name"] = names.check_name(table["name"])
    return Saved(names.check_name(id), **{**table, "arguments": tuple(table.get("arguments", ()))})


def write(saved: Saved, *, replace: bool) -> str:
    """Save it, whole or not at all; the file. Refused when there is one of that id, unless it is to be replaced."""
    import tomlkit

    document = tomlkit.document()
    document.add(tomlkit.comment(f"A saved agent: `synapse run --agent {saved.id}` starts it."))
    for field in FIELDS:
        value = getattr(saved, field)
        if value:
            text = tomlkit.string(value, multiline="\n" in value) if isinstance(value, str) else list(value)
            document.add(field, tomlkit.item(text))
    path = _path(saved.id)
    with _writing():
        os.makedirs(folder(), mode=0o700, exist_ok=True)
        descriptor, new = tempfile.mkstemp(prefix=".new-", dir=folder())  # 0600
        try:
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(tomlkit.dumps(document))
                file.flush()
                os.fsync(descriptor)
            if replace:
                os.replace(new, path)
            else:
                os.link(new, path)  # never in place of another that came first
        except FileExistsError:
            raise Refused(
                "there_already", f"There is a saved agent '{saved.id}': take another id, or give --replace."
            ) from None
        finally:
            with suppress(FileNotFoundError):
                os.unlink(new)
    return path


def delete(id: str) -> None:
    """Forget it; an agent that runs is not touched."""
    with _writing():
        os.unlink(_path(id))


def unused(wanted: str) -> str:
    """An id that nobody has: the wanted one, or it with a number."""
    name = number = names.fit(wanted, "agent")
    taken: set[str] = set()
    while os.path.lexists(_path(number)):  # also by a file that is wrong
        taken.add(number)
        number = names.unused(name, taken)
    return number


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Refused("cannot_write", f"{error.filename or folder()} cannot be written: {error.strerror}.") from None


def _fits(id: str) -> bool:
    try:
        return names.check_name(id) == id
    except BadRequest:
        return False


def _path(id: str) -> str:
    return os.path.join(folder(), f"{id}.toml")
