"""Sets of installed plugins: each holds what was asked for (`requested.json`) and its packages (`site`).

A change makes a whole new set beside the one in use and puts it in its place by one rename of a link. The wheels are kept, so
that a set can be made again without a network. Everything that synapse itself is made of is fixed while pip chooses, and comes
first when it runs.
"""

import fcntl
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from synapse import paths
from synapse.cli.pip import WHEELS_ONLY, pip
from synapse.client.lines import dumps, loads
from synapse.errors import Refused, SynapseError, Unavailable
from synapse.hookspecs import GROUP


class Wanted(NamedTuple):
    """One plugin that was asked for: its distribution, what was said (a name with a version, or a kept wheel)."""

    name: str
    version: str
    spec: str


def key(name: str) -> str:
    """A distribution's name in its one form."""
    return re.sub(r"[-_.]+", "-", name).lower()


def of(point: metadata.EntryPoint, distribution: str) -> bool:
    """Is the entry point that distribution's?"""
    return point.dist is not None and key(point.dist.name) == key(distribution)


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
        return next((said for said in map(_said, sets) if said is not None), [])

    def points(self, distribution: str) -> list[str]:
        """The plugins that a distribution brings, by name."""
        site = str(self.link / "site")
        there = metadata.distributions(path=[site])
        return [p.name for d in there if key(d.name) == key(distribution) for p in d.entry_points if p.group == GROUP]

    def build(self, keep: list[Wanted], spec: str = "") -> Set:
        """Make a set of those that stay, and of what is new."""
        for folder in (self._root, self._tag, self._wheels):
            paths.make_private(str(folder))
        self._sweep()  # what one that was killed has left
        made = Path(tempfile.mkdtemp(prefix="set-", dir=self._tag))
        try:
            return self._fill(made, keep, spec)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise

    def _fill(self, made: Path, keep: list[Wanted], spec: str) -> Set:
        kept = [self._kept(one) for one in keep]
        specs = [wheel or one.spec for wheel, one in zip(kept, keep, strict=True)] + ([spec] if spec else [])
        site, report = made / "site", made / "report.json"
        site.mkdir()
        newest, wanted = "", list[Wanted]()
        if specs:
            constraints = made / "constraints.txt"
            constraints.write_text("".join(f"{name}=={version}\n" for name, version in sorted(ours().items())))
            chosen = ("--find-links", str(self._wheels), "--constraint", str(constraints), *WHEELS_ONLY)
            resolve = ("install", "--dry-run", "--report", str(report), *chosen, *specs)
            _resolved(resolve, local=all(kept) and (not spec or os.path.isabs(spec)))
            reported: Any = loads(report.read_bytes())
            found = reported["install"]
            files = self._fetch([one["download_info"]["url"] for one in found], made / "wheels")
            named = {key(one["metadata"]["name"]): one["metadata"]["version"] for one in found}
            if files:
                where = ("--no-deps", "--no-index", "--no-compile", "--target", str(site))
                pip("install", "--quiet", *where, *map(str, files))
            wanted, newest = self._described(keep, spec, site, named)
            report.unlink()
            constraints.unlink()
        (made / "requested.json").write_bytes(dumps({"plugins": [one._asdict() for one in wanted]}))
        return Set(made, wanted, newest)

    def _kept(self, one: Wanted) -> str:
        """What stays is taken from its own wheel, or of several (for several Pythons) from that which fits; "" for none."""
        there = [file for file in self._wheels.glob("*.whl") if _named(file) == (key(one.name), one.version)]
        if not there and os.path.isabs(one.spec) and not os.path.exists(one.spec):
            hint = f"`synapse plugins install` it again, or `synapse plugins remove {one.name}`"
            raise Unavailable("no_wheel", f"The wheel of {one.name} {one.version} is not there any more: {hint}.")
        return str(there[0]) if len(there) == 1 else f"{one.name}=={one.version}" if there else ""

    def _fetch(self, urls: list[str], fresh: Path) -> list[Path]:
        """The wheels that were chosen; those that are not kept yet come into `fresh`."""
        fresh.mkdir()
        files, missing = list[Path](), list[str]()
        for url in urls:
            source = Path(unquote(urlsplit(url).path))
            if url.startswith("file://") and source.parent == self._wheels:
                files.append(source)
                continue
            files.append(fresh / source.name)
            kept = self._wheels / source.name
            if url.startswith("file://") or kept.exists():
                shutil.copy2(source if url.startswith("file://") else kept, fresh)
            else:
                missing.append(url)
        if missing:
            pip("download", "--quiet", "--no-deps", *WHEELS_ONLY, "--dest", str(fresh), *missing)
        return files

    def _described(self, keep: list[Wanted], spec: str, site: Path, named: dict[str, str]) -> tuple[list[Wanted], str]:
        """What the set holds of what was asked for; Refused when what is new is no plugin."""
        there = {key(one.name): one for one in metadata.distributions(path=[str(site)])}
        wanted = [one._replace(version=named.get(key(one.name), one.version)) for one in keep]
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
        taken = {point.name for point in metadata.entry_points(group=GROUP) if not of(point, new.name)}
        others = {p.name for d in there.values() if d is not new for p in d.entry_points if p.group == GROUP}
        own = {point for one in keep for point in self.points(one.name)}
        double = set(points) & ((taken - own) | others)
        if double:
            raise Refused("name_taken", f"There is a plugin '{min(double)}' already: {new.name} cannot be it, too.")
        return [*wanted, Wanted(new.name, new.version, spec)], new.name

    def _sweep(self) -> None:
        """Take away every set but the one in use."""
        used = os.path.realpath(self.link)
        for old in self._tag.glob("set-*"):
            if os.path.realpath(old) != used or old.is_symlink():
                shutil.rmtree(old, ignore_errors=True) if not old.is_symlink() else old.unlink(missing_ok=True)

    def use(self, made: Set) -> None:
        """Put a set into use, by one rename; the one before it goes."""
        for file in (made.folder / "wheels").glob("*.whl"):
            os.replace(file, self._wheels / file.name)
        shutil.rmtree(made.folder / "wheels", ignore_errors=True)
        os.sync()  # what the link leads to must be there after a power cut
        fresh = self._tag / f"{made.folder.name}.link"
        fresh.symlink_to(made.folder.name)
        os.replace(fresh, self.link)
        self._sweep()
        sites = [str(one) for one in self._root.glob("*/current/site")]
        used = {(key(one.name), one.version) for one in metadata.distributions(path=sites)}
        for file in self._wheels.glob("*.whl"):
            if _named(file) not in used:
                file.unlink(missing_ok=True)
        from synapse.plugins import see_installed

        see_installed()


def _said(one: Path) -> list[Wanted] | None:
    """What a set was made for; when its file is damaged, the plugins that lie in it. None where there is no set."""
    try:
        content = (one / "requested.json").read_bytes()
    except OSError:
        return None
    try:
        said: Any = loads(content)
        return [Wanted(each["name"], each["version"], each["spec"]) for each in said["plugins"]]
    except (ValueError, KeyError, TypeError):
        there = [d for d in metadata.distributions(path=[str(one / "site")]) if d.entry_points.select(group=GROUP)]
        return [Wanted(d.name, d.version, f"{d.name}=={d.version}") for d in there]


def _resolved(words: tuple[str, ...], *, local: bool) -> None:
    """Have pip choose, without a network where that is enough; what is refused without one is told where there is none."""
    if not local:
        pip(*words)
        return
    try:
        pip(*words, "--no-index")
    except SynapseError as alone:
        if alone.code not in ("no_wheel", "no_such_version", "conflict", "pip_failed"):
            raise
        try:
            pip(*words)
        except Unavailable as error:
            raise (alone if (alone.code, error.code) == ("conflict", "no_network") else error) from None


def _named(wheel: Path) -> tuple[str, str]:
    """The distribution and the version that a wheel's file is of."""
    name, version, *_ = (*wheel.name.split("-"), "")
    return key(name), version


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _asked_name(spec: str) -> str:
    """The distribution that was asked for, from what was said."""
    if spec.endswith(".whl"):
        return key(os.path.basename(unquote(spec)).partition("-")[0])
    return key(re.split(r"[\[<>=!~ ]", spec)[0])


@contextmanager
def plugins_house() -> Iterator[House]:
    """The folder, for one change at a time."""
    data = paths.data_folder()
    root = os.path.join(data, "plugins")
    try:
        paths.make_private(data)
        paths.make_private(root)
        with open(os.path.join(root, "lock"), "w") as lock:
            os.chmod(lock.fileno(), 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                sentence = "Plugins are being changed by another command: try again when it is done."
                raise Refused("busy", sentence) from None
            yield House(Path(data))
    except OSError as error:
        why = error.strerror or str(error)
        raise Unavailable("storage_unavailable", f"The plugins' folder {root} cannot be written: {why}.") from None


def ours() -> dict[str, str]:
    """Every distribution that synapse runs with, but for those that were installed by us."""
    site = os.path.realpath(paths.plugin_site(paths.data_folder()))
    path = [one for one in sys.path if os.path.realpath(one or ".") != site]
    return {key(one.name): one.version for one in metadata.distributions(path=path) if one.name}
