"""`plugins install`, `remove` and `sync`: further plugins, as wheels, in a folder of their own in the data folder."""

import os
import re
import sys
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

from synapse import paths
from synapse.cli import contributed
from synapse.cli.plugin_sets import House, Wanted, key, ours, plugins_house
from synapse.cli.table import write
from synapse.client.lines import dumps
from synapse.errors import BadRequest, NotFound, Refused, SynapseError
from synapse.hookspecs import GROUP

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\s*(\[[^\]]*\])?\s*([<>=!~][^;@]*)?\Z")
_SOURCES = (".tar.gz", ".zip", ".tgz", ".tar.bz2", ".tar.xz")


def install(what: str, *, as_json: bool) -> int:
    """Add a plugin, or bring it up to date."""
    spec = _spec(what)
    with plugins_house() as house:
        wanted = house.wanted()
        made = house.build([one for one in wanted if not _same(one, what)], spec)
        house.use(made)
    name = next(one for one in made.wanted if one.name == made.newest)
    return _told("installed", name, as_json)


def remove(name: str, *, as_json: bool) -> int:
    """Take a plugin away; what it has written stays in the log."""
    with plugins_house() as house:
        wanted = house.wanted()
        gone = [one for one in wanted if key(one.name) == key(name) or name in house.points(one.name)]
        if not gone:
            raise _not_there(name, wanted)
        house.use(house.build([one for one in wanted if one not in gone]))
    return _told("removed", gone[0], as_json)


def sync(*, as_json: bool) -> int:
    """Make the set of plugins anew for this version of synapse and Python, from what was asked for."""
    with plugins_house() as house:
        wanted = house.wanted()
        house.use(house.build(wanted))
    if as_json:
        write(dumps({"plugins": [one._asdict() for one in wanted]}).decode())
    else:
        names = ", ".join(f"{one.name} {one.version}" for one in wanted)
        write(f"In place: {names}.\n" if names else "There is nothing to bring up to date.\n")
    return 0


def stale() -> dict[str, str]:
    """What was installed and does not fit to this synapse and Python, by name, with why: `plugins sync` brings it."""
    data = paths.data_folder()
    site = paths.plugin_site(data)
    if not os.path.isdir(site):
        why = f"it is not there for this Python ({sys.implementation.cache_tag})"
        return {one.name: why for one in House(Path(data)).wanted()}
    there = [one for one in metadata.distributions(path=[site]) if one.name]
    have = ours() | {key(one.name): one.version for one in there}
    lacks = {one.name: _lack(one.requires or [], have) for one in there}
    return {name: f"it needs {lack}" for name, lack in lacks.items() if lack}


def _lack(requires: list[str], have: dict[str, str]) -> str:
    """The first of a distribution's needs that is not met; "" when all are."""
    try:
        from pip._vendor.packaging.requirements import InvalidRequirement, Requirement
    except ImportError:
        return ""  # without pip nothing can be brought up to date
    try:
        needs = [Requirement(one) for one in requires]
    except InvalidRequirement:
        return ""
    for need in needs:
        if need.marker is None or need.marker.evaluate({"extra": ""}):
            version = have.get(key(need.name))
            if version is None:
                return f"{need.name}, which is not here"
            if not need.specifier.contains(version, prereleases=True):
                return f"{need.name}{need.specifier}, and {version} is here"
    return ""


def _spec(what: str) -> str:
    """What pip is told: a wheel's path or URL, or a name with perhaps a version; BadRequest for anything else."""
    what = what.strip()
    if "://" in what:
        parts = urlsplit(what)
        if parts.scheme not in ("https", "http", "file") or "@" in parts.netloc:
            raise BadRequest("bad_plugin", "A plugin's URL is https://, http:// or file://, without a name in it.")
        _check_wheel(unquote(parts.path))
        return what if parts.scheme != "file" else unquote(parts.path)
    if what.endswith(".whl") or os.sep in what or what.endswith(_SOURCES) or what in (".", ".."):
        path = Path(what).expanduser()
        if path.is_dir():
            raise BadRequest("not_a_wheel", f"{what} is a folder: build a wheel of it (`python -m build --wheel`).")
        _check_wheel(what)
        if not path.is_file():
            raise NotFound("no_such_file", f"There is no file {what}.")
        return str(path.resolve())
    if not _NAME.match(what) or what.startswith("-"):
        raise BadRequest("bad_plugin", f"{what[:80]!r} is no name of a package, no wheel and no URL of one.")
    return what


def _check_wheel(path: str) -> None:
    if path.endswith(_SOURCES):
        raise BadRequest(
            "not_a_wheel",
            f"{os.path.basename(path)} is a source distribution, which would run its own code to be built: only wheels "
            "(.whl) are installed. Ask its author for one, or build it (`python -m build --wheel`).",
        )
    if not path.endswith(".whl"):
        raise BadRequest("not_a_wheel", f"{os.path.basename(path)[:80]} is no wheel (.whl).")


def _same(one: Wanted, what: str) -> bool:
    """Is that the plugin which is now asked for in another version?"""
    name = os.path.basename(what).partition("-")[0] if what.endswith(".whl") else re.split(r"[\[<>=!~ ]", what)[0]
    return key(one.name) == key(name)


def _not_there(name: str, wanted: list[Wanted]) -> SynapseError:
    from synapse.plugins import found

    if name in (point.name for point in found()):
        return Refused(
            "not_installed_here", f"'{name}' came with synapse: `synapse plugins disable {name}` leaves it out."
        )
    there = f" There is {', '.join(one.name for one in wanted)}." if wanted else " None was installed."
    return NotFound("no_such_plugin", f"No plugin '{name[:80]}' was installed.{there}")


def _told(done: str, one: Wanted, as_json: bool) -> int:
    """Say what was done, and what became of it: the plugin is loaded once, as the hub will."""
    from synapse.plugins import load

    points = {point.name: point for point in metadata.entry_points(group=GROUP) if _of(point, one.name)}
    with contributed.quiet():
        failures = {p.name: p.failure for p in load(points=points.values())} if done == "installed" else {}
    wrong = {name: why for name, why in failures.items() if why}
    if as_json:
        write(dumps({"done": done, **one._asdict(), "plugins": sorted(points), "failures": wrong}).decode())
    else:
        write(f"{one.name} {one.version} is {done}, from the hub's next start on: `synapse restart`.\n")
        for name, why in wrong.items():
            write(f"The plugin {name} does not work: {why}\n")
    return 1 if wrong else 0


def _of(point: metadata.EntryPoint, distribution: str) -> bool:
    return point.dist is not None and key(point.dist.name) == key(distribution)
