"""What of an old settings.json is a setting here, under which key."""

from typing import Any

import msgspec

from synapse import settings
from synapse.cli.config import written
from synapse.errors import BadRequest
from synapse.settings.declared import WITHOUT_EFFECT, declared
from synapse.settings.reading import Wrong, content


def known(file: str) -> "tuple[dict[str, object], list[str]]":
    """The settings in an old file, and sentences about the rest; BadRequest when it is no such file."""
    try:
        tree: Any = msgspec.json.decode(content(file))
    except Wrong as error:
        raise BadRequest("bad_file", f"{error}.") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest("bad_file", f"{file} is no JSON: {error}.") from None
    if not isinstance(tree, dict):
        raise BadRequest("bad_file", f"{file} is no settings file: it holds no object.")
    found: dict[str, object] = {}
    left: list[str] = []
    for name, value in tree.items():
        if name == "env" and isinstance(value, dict):
            _variables(value, found, left)
        elif isinstance(value, dict) and value:
            for inner, each in value.items():
                _one(f"{name}.{inner}", each, found, left)
        else:
            _one(name, value, found, left)
    return found, left


def _one(key: str, value: object, found: "dict[str, object]", left: "list[str]") -> None:
    if not any(setting.key == key for setting in declared()):
        left.append(f"{key[:80]}: no setting of this version")
        return
    try:
        found[key] = settings.find(key).checked(value)
    except ValueError as error:
        left.append(f"{key}: it {error}")


def _variables(env: "dict[str, object]", found: "dict[str, object]", left: "list[str]") -> None:
    for name, value in env.items():
        if value == "":
            continue  # the old file lists variables that are not set so
        text = value if isinstance(value, str) else written(value)
        setting = next((one for one in declared() if name in one.environ or f"!{name}" in one.environ), None)
        if setting is None:
            effect = "it has no effect here" if name in WITHOUT_EFFECT else "no setting of this version"
            left.append(f"env.{name[:80]}: {effect}")
            continue
        try:
            told = setting.told_by({name: text})
        except BadRequest as error:
            left.append(error.sentence.rstrip("."))
            continue
        if told is not None:
            found[setting.key] = told[1]
