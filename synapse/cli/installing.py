"""`plugins install`, `remove` and `sync`: further plugins, as wheels, in a folder of their own in the data folder.

Each change makes a whole new set beside the one in use and puts it in its place by one rename of a link; a set holds what
was asked for (`requested.json`) and the packages (`site`). The wheels are kept, so that a set can be made again without
a network. Everything that synapse itself is made of is fixed while pip chooses, and comes first when it runs.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from synapse import paths
from synapse.cli import contributed
from synapse.cli.table import write
from synapse.client.lines import dumps, loads
from synapse.errors import BadRequest, NotFound, Refused, SynapseError, Unavailable
from synapse.hookspecs import GROUP

PATIENCE = 600.0  # seconds that pip may take
QUIET = ("--disable-pip-version-check", "--no-input", "--no-color", "--retries", "2", "--timeout", "15")
WHEELS_ONLY = ("--only-binary", ":all:")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\s*(\[[^\]]*\])?\s*([<>=!~][^;@]*)?\Z")
_SOURCES = (".tar.gz", ".zip", ".tgz", ".tar.bz2", ".tar.xz")


class Wanted(NamedTuple):
    """One plugin that was asked for: its distribution, what was said (a name with a version, or a kept wheel)."""

    name: str
    version: str
    spec: str


# -- the commands


def install(what: str, *, as_json: bool) -> int:
    """Add a plugin, or bring it up to date."""
    spec = _spec(what)
    with _house() as house:
        wanted = house.wanted()
        made = house.build([one for one in wanted if not _same(one, what)], spec)
        house.use(made)
    name = next(one for one in made.wanted if one.name == made.newest)
    return _told("installed", name, as_json)


def remove(name: str, *, as_json: bool) -> int:
    """Take a plugin away; what it has written stays in the log."""
    with _house() as house:
        wanted = house.wanted()
        gone = [one for one in wanted if _key(one.name) == _key(name) or name in house.points(one.name)]
        if not gone:
            raise _not_there(name, wanted)
        house.use(house.build([one for one in wanted if one not in gone]))
    return _told("removed", gone[0], as_json)


def sync(*, as_json: bool) -> int:
    """Make the set of plugins anew for this version of synapse and Python, from what was asked for."""
    with _house() as house:
        wanted = house.wanted()
        house.use(house.build(wanted))
    if as_json:
        write(dumps({"plugins": [one._asdict() for one in wanted]}).decode())
    else:
        names = ", ".join(f"{one.name} {one.version}" for one in wanted)
        write(f"In place: {names}.\n" if names else "There is nothing to bring up to date.\n")
    return 0


def stale() -> list[str]:
    """The plugins that were asked for and are not there for this Python: `plugins sync` brings them."""
    data = paths.data_folder()
    if os.path.isdir(paths.plugin_site(data)):
        return []
    return [one.name for one in House(Path(data)).wanted()]


# -- what was said


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


def _key(name: str) -> str:
    """A distribution's name in its one form."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _same(one: Wanted, what: str) -> bool:
    """Is that the plugin which is now asked for in another version?"""
    name = os.path.basename(what).partition("-")[0] if what.endswith(".whl") else re.split(r"[\[<>=!~ ]", what)[0]
    return _key(one.name) == _key(name)


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
    return point.dist is not None and _key(point.dist.name) == _key(distribution)


# -- the sets


class Set(NamedTuple):
    """A set of plugins that was made and is not in use yet."""

    folder: Path
    wanted: list[Wanted]
    newest: str


class House:
    """The folder of plugins in the data folder."""

    def __init__(self, data: Path) -> None:
        self._root = data / "plugins"
        self._tag = self._root / sys.implementation.cache_tag
        self._wheels = self._root / "wheels"
        self.link = self._tag / "current"

    def wanted(self) -> list[Wanted]:
        """What was asked for: of this Python's set, else of another's that is there."""
        sets = [self.link, *sorted(self._root.glob("*/current"), key=_age, reverse=True)]
        for one in sets:
            try:
                said: Any = loads((one / "requested.json").read_bytes())
            except (OSError, ValueError):
                continue
            return [Wanted(each["name"], each["version"], each["spec"]) for each in said["plugins"]]
        return []

    def points(self, distribution: str) -> list[str]:
        """The plugins that a distribution brings, by name."""
        site = str(self.link / "site")
        there = metadata.distributions(path=[site])
        return [p.name for d in there if _key(d.name) == _key(distribution) for p in d.entry_points if p.group == GROUP]

    def build(self, keep: list[Wanted], spec: str = "") -> Set:
        """Make a set of those that stay, and of what is new."""
        for folder in (self._root, self._tag, self._wheels):
            paths.make_private(str(folder))
        made = Path(tempfile.mkdtemp(prefix="set-", dir=self._tag))
        try:
            return self._fill(made, keep, spec)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise

    def _fill(self, made: Path, keep: list[Wanted], spec: str) -> Set:
        specs = [self._kept(one) for one in keep] + ([spec] if spec else [])
        site, report = made / "site", made / "report.json"
        site.mkdir()
        newest, wanted = "", list[Wanted]()
        if specs:
            constraints = made / "constraints.txt"
            constraints.write_text("".join(f"{name}=={version}\n" for name, version in sorted(_ours().items())))
            chosen = ("--find-links", str(self._wheels), "--constraint", str(constraints), *WHEELS_ONLY)
            resolve = ("install", "--dry-run", "--quiet", "--report", str(report), *chosen, *specs)
            local = all(os.path.isabs(one) for one in specs)
            if not (local and _try(*resolve, "--no-index")):
                _pip(*resolve)
            reported: Any = loads(report.read_bytes())
            found = reported["install"]
            self._fetch([one["download_info"]["url"] for one in found])
            named = {_key(one["metadata"]["name"]): one["metadata"]["version"] for one in found}
            files = [self._wheel(name, version) for name, version in named.items()]
            if files:
                _pip(
                    "install",
                    "--quiet",
                    "--no-deps",
                    "--no-index",
                    "--no-compile",
                    "--target",
                    str(site),
                    *map(str, files),
                )
            wanted, newest = self._described(keep, spec, site, named)
            report.unlink()
            constraints.unlink()
        (made / "requested.json").write_bytes(dumps({"plugins": [one._asdict() for one in wanted]}))
        return Set(made, wanted, newest)

    def _kept(self, one: Wanted) -> str:
        """What stays is taken from its own wheel as long as that is there."""
        try:
            return str(self._wheel(_key(one.name), one.version))
        except Unavailable:
            return one.spec

    def _fetch(self, urls: list[str]) -> None:
        """Keep the wheels that were chosen."""
        missing = []
        for url in urls:
            if url.startswith("file://"):
                source = Path(unquote(urlsplit(url).path))
                if source.parent != self._wheels:
                    shutil.copy2(source, self._wheels / source.name)
            elif not (self._wheels / os.path.basename(unquote(urlsplit(url).path))).exists():
                missing.append(url)
        if missing:
            _pip("download", "--quiet", "--no-deps", *WHEELS_ONLY, "--dest", str(self._wheels), *missing)

    def _wheel(self, name: str, version: str) -> Path:
        for file in self._wheels.glob("*.whl"):
            parts = file.name.split("-")
            if _key(parts[0]) == name and parts[1] == version:
                return file
        raise Unavailable("no_wheel", f"The wheel of {name} {version} is not there: `synapse plugins install {name}`.")

    def _described(self, keep: list[Wanted], spec: str, site: Path, named: dict[str, str]) -> tuple[list[Wanted], str]:
        """What the set holds of what was asked for; Refused when what is new is no plugin."""
        there = {_key(one.name): one for one in metadata.distributions(path=[str(site)])}
        wanted = [one._replace(version=named.get(_key(one.name), one.version)) for one in keep]
        if not spec:
            return wanted, ""
        asked = _asked_name(spec)
        new = there.get(asked)
        if new is None:
            raise Refused("comes_with_synapse", f"{asked} is part of synapse itself: there is nothing to install.")
        points = [point.name for point in new.entry_points if point.group == GROUP]
        if not points:
            raise Refused(
                "no_plugin", f"{new.name} {new.version} is no plugin of synapse: it has no entry point in '{GROUP}'."
            )
        taken = {point.name for point in metadata.entry_points(group=GROUP) if not _of(point, new.name)}
        others = {p.name for d in there.values() if d is not new for p in d.entry_points if p.group == GROUP}
        own = {point for one in keep for point in self.points(one.name)}
        double = set(points) & ((taken - own) | others)
        if double:
            raise Refused("name_taken", f"There is a plugin '{min(double)}' already: {new.name} cannot be it, too.")
        return [*wanted, Wanted(new.name, new.version, spec)], new.name

    def use(self, made: Set) -> None:
        """Put a set into use, by one rename; the one before it goes."""
        before = os.path.realpath(self.link)
        fresh = self._tag / f"{made.folder.name}.link"
        fresh.symlink_to(made.folder.name)
        os.replace(fresh, self.link)
        for old in self._tag.glob("set-*"):
            if old.name != made.folder.name:
                shutil.rmtree(old, ignore_errors=True) if old.is_dir() else old.unlink(missing_ok=True)
        used = {f"{_key(one.name)}-{one.version}" for one in metadata.distributions(path=[str(self.link / "site")])}
        for file in self._wheels.glob("*.whl"):
            name, version = file.name.split("-")[:2]
            if f"{_key(name)}-{version}" not in used and before != os.path.realpath(self.link):
                file.unlink(missing_ok=True)
        from synapse.plugins import see_installed

        see_installed()


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _asked_name(spec: str) -> str:
    """The distribution that was asked for, from what was said."""
    if spec.endswith(".whl"):
        return _key(os.path.basename(unquote(spec)).partition("-")[0])
    return _key(re.split(r"[\[<>=!~ ]", spec)[0])


@contextmanager
def _house() -> Iterator[House]:
    """The folder, for one change at a time."""
    data = paths.data_folder()
    paths.make_private(data)
    root = os.path.join(data, "plugins")
    paths.make_private(root)
    lock = os.open(os.path.join(root, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused("busy", "Plugins are being changed by another command: try again when it is done.") from None
        yield House(Path(data))
    except OSError as error:
        raise Unavailable("storage_unavailable", f"The plugins' folder {root} cannot be written: {error}.") from None
    finally:
        os.close(lock)


def _ours() -> dict[str, str]:
    """Every distribution that synapse runs with, but for those that were installed by us."""
    site = os.path.realpath(paths.plugin_site(paths.data_folder()))
    path = [one for one in sys.path if os.path.realpath(one or ".") != site]
    return {_key(one.name): one.version for one in metadata.distributions(path=path) if one.name}


# -- pip


def _command() -> list[str]:
    """pip in a process of its own: as a module, or what the frozen program has of it."""
    if getattr(sys, "frozen", False):
        return [sys.executable, "_pip"]
    return [sys.executable, "-m", "pip"]


def _run(words: tuple[str, ...]) -> "subprocess.CompletedProcess[str]":
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PIP_TARGET", "PIP_USER")}
    try:
        return subprocess.run(
            [*_command(), words[0], *QUIET, *words[1:]],
            env=env, capture_output=True, text=True, errors="replace", timeout=PATIENCE, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Unavailable("too_slow", f"pip did not end within {PATIENCE:.0f} s: nothing was changed.") from None


def _try(*words: str) -> bool:
    return _run(words).returncode == 0


def _pip(*words: str) -> None:
    done = _run(words)
    if done.returncode:
        raise _trouble(done.stderr or done.stdout)


_TROUBLES: tuple[tuple[str, type[SynapseError], str, str], ...] = (
    (r"No module named pip", Unavailable, "no_pip", "pip is not there: `python -m ensurepip` in synapse's environment."),
    (r"not a supported wheel on this platform", Refused, "wrong_platform",
     "That wheel is for another system or Python ({tag}): ask for one that fits, or for one in plain Python (py3-none-any)."),
    (r"ResolutionImpossible|conflicting dependencies|The user requested \(constraint\)|conflict is caused by",
     Refused, "conflict", "It does not go together with what synapse is made of, or with another plugin."),
    (r"from versions: none\)?", NotFound, "no_wheel",
     "There is no wheel of it for this system under that name (source distributions are not taken)."),
    (r"Could not find a version that satisfies", NotFound, "no_such_version", "No wheel of it fits."),
    (r"(404|Not Found)", NotFound, "no_such_wheel", "There is nothing at that address."),
    (r"has an invalid wheel|is invalid|Invalid wheel|BadZipFile|not a zip file|Wheel .* is invalid", BadRequest,
     "broken_wheel", "That wheel is broken: it cannot be opened."),
)  # fmt: skip
_NO_NETWORK = re.compile(
    r"NewConnectionError|NameResolutionError|Temporary failure in name resolution|Connection refused|ConnectTimeout"
    r"|Max retries exceeded|Network is unreachable|ProxyError|Connection to .* timed out"
)


def _trouble(said: str) -> SynapseError:
    """What pip's complaint means."""
    told = [line.strip() for line in said.splitlines() if re.match(r"\s*(ERROR|The conflict|    )", line)]
    more = "\n  ".join(line.removeprefix("ERROR: ")[:300] for line in told[:8])
    more = f"\n  {more}" if more else ""
    if _NO_NETWORK.search(said):
        return Unavailable("no_network", f"The package index cannot be reached: nothing was changed.{more}")
    for pattern, kind, code, sentence in _TROUBLES:
        if re.search(pattern, said):
            tag = f"{sys.implementation.cache_tag}, {sys.platform}"
            return kind(code, sentence.format(tag=f"this is {tag}") + more)
    return Unavailable("pip_failed", f"pip could not do it: nothing was changed.{more or ' ' + said[-500:]}")
