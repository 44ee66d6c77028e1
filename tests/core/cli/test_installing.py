"""`plugins install`: real wheels, the real pip, and an index on loopback; what cannot be taken is refused and changes
nothing."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from synapse.cli.plugin_sets import House, Wanted
from tests.e2e.hubs import ROOT, SYNAPSE, HubProcess, until
from tests.packaging.boxes import may_mount

PLUGIN = """
from synapse import AS_JSON, Command, hookimpl, write


def said(as_json: bool) -> None:
    write("{text}\\n")


@hookimpl
def synapse_commands():
    return (Command("{name}", said, "Say so.", AS_JSON, example="synapse {name}"),)
"""


def wheel(
    folder: Path, name: str, *, version: str = "1.0", code: str = "", plugin: str = "", needs: tuple[str, ...] = (),
    tag: str = "py3-none-any",
) -> Path:  # fmt: skip
    """A wheel with one module of its name; `plugin` is the entry point's name."""
    package = name.replace("-", "_")
    info = f"{package}-{version}.dist-info"
    files = {
        f"{package}.py": code or PLUGIN.format(name=plugin or "x", text=f"{name} {version}"),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        + "".join(f"Requires-Dist: {one}\n" for one in needs),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    if plugin:
        files[f"{info}/entry_points.txt"] = f"[synapse.plugins]\n{plugin} = {package}\n"
    record = "".join(f"{path},,\n" for path in files) + f"{info}/RECORD,,\n"
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / f"{package}-{version}-{tag}.whl"
    with zipfile.ZipFile(made, "w") as archive:
        for path, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(path, text)
    return made


class Home(HubProcess):
    """A data folder of its own, whose pip knows no index but the test's."""

    def __init__(self) -> None:
        super().__init__()
        self.env |= {
            "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1",
            "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": "", "HOME": str(self.data),
            "SYNAPSE_WORKSPACE": "default",
        }  # fmt: skip

    def run(self, *words: str, status: int = 0) -> str:
        done = subprocess.run(
            [*SYNAPSE, *words], env=self.env, capture_output=True, text=True, timeout=90, check=False, cwd=self.data
        )
        assert done.returncode == status, (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def names(self) -> list[str]:
        return [one["name"] for one in json.loads(self.run("plugins", "list", "--json"))["plugins"]]

    def sets(self) -> list[Path]:
        return sorted((self.data / "plugins" / str(sys.implementation.cache_tag)).glob("set-*"))


pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def home() -> Iterator[Home]:
    made = Home()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What `plugins install` of synapse-hello leaves: installed once, and copied by the tests that begin with it."""
    first = Home()
    try:
        first.run("plugins", "install", str(wheel(tmp_path_factory.mktemp("hello"), "synapse-hello", plugin="hello")))
        yield first.data / "plugins"
    finally:
        first.close()


@pytest.fixture
def hello(home: Home, furnished: Path) -> Home:
    """A home that has synapse-hello 1.0."""
    shutil.copytree(furnished, home.data / "plugins", symlinks=True)
    return home


@pytest.fixture
def index(tmp_path: Path, home: Home) -> Iterator[Path]:
    """A package index on loopback: a folder for each project, with its wheels."""
    root = tmp_path / "index"

    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(root))  # type: ignore[arg-type]

        def log_message(self, *args: object) -> None:
            pass

    root.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    home.env["PIP_INDEX_URL"] = f"http://127.0.0.1:{server.server_port}"
    home.env["PIP_TRUSTED_HOST"] = "127.0.0.1"
    try:
        yield root
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_wheel_is_installed_used_renewed_and_removed_without_a_network(hello: Home, tmp_path: Path) -> None:
    assert hello.run("hello") == "synapse-hello 1.0\n"
    hello.run("plugins", "install", str(wheel(tmp_path, "synapse-other", plugin="other")))
    told = json.loads(
        hello.run("plugins", "install", str(wheel(tmp_path, "synapse-hello", version="1.1", plugin="hello")), "--json")
    )
    assert (told["version"], told["plugins"], told["failures"]) == ("1.1", ["hello"], {})
    assert hello.run("hello") == "synapse-hello 1.1\n"
    assert hello.run("other") == "synapse-other 1.0\n"
    assert {"hello", "other", "memory"} <= set(hello.names())
    hello.run("plugins", "remove", "hello")
    assert "hello" not in hello.names()
    hello.run("hello", status=2)
    hello.run("plugins", "remove", "synapse-other")
    assert len(hello.sets()) == 1
    assert list((hello.data / "plugins" / "wheels").iterdir()) == []


def test_the_example_of_the_guide_is_built_to_a_wheel_and_installed(home: Home, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
         "--wheel-dir", str(tmp_path), str(ROOT / "docs" / "plugin-example")],
        check=True, capture_output=True, timeout=90,
    )  # fmt: skip
    [made] = tmp_path.glob("*.whl")
    home.serve("--background")
    assert "synapse restart" in home.run("plugins", "install", str(made))
    home.run("restart")
    assert home.run("tally", "bugs", "--amount", "2") == "bugs: 2\n"
    from urllib.request import urlopen

    with urlopen(f"http://127.0.0.1:{home.env['SYNAPSE_PORT']}/tally", timeout=10) as answer:
        assert json.loads(answer.read()) == {"counts": {"bugs": 2}}
    home.run("plugins", "remove", "tally")
    assert "gone, after restart" in home.run("plugins")


def test_a_name_comes_from_the_index_with_what_it_needs(home: Home, index: Path) -> None:
    wheel(index / "synapse-hello", "synapse-hello", plugin="hello", needs=("lib-greet>=2", "msgspec"))
    wheel(index / "lib-greet", "lib-greet", version="2.1", code="x = 1")
    home.run("plugins", "install", "synapse-hello")
    assert home.run("hello") == "synapse-hello 1.0\n"
    site = next(iter(home.sets())) / "site"
    assert (site / "lib_greet.py").exists()
    assert not (site / "msgspec").exists()  # that is our own
    home.env["PIP_INDEX_URL"] = "http://127.0.0.1:9/simple"
    home.run("plugins", "sync")  # every wheel was kept
    assert home.run("hello") == "synapse-hello 1.0\n"


def test_a_url_is_taken_and_one_that_is_not_there_is_refused(home: Home, index: Path) -> None:
    wheel(index / "w", "synapse-hello", plugin="hello")
    base = home.env["PIP_INDEX_URL"]
    home.run("plugins", "install", f"{base}/w/synapse_hello-1.0-py3-none-any.whl")
    assert home.run("hello") == "synapse-hello 1.0\n"
    assert "nothing at that address" in home.run("plugins", "install", f"{base}/w/no-1.0-py3-none-any.whl", status=1)


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("thing-1.0.tar.gz", "source distribution"),
        ("https://example.com/thing-1.0.zip", "source distribution"),
        (".", "is a folder"),
        ("./none-1.0-py3-none-any.whl", "There is no file"),
        ("ftp://example.com/x-1.0-py3-none-any.whl", "https://"),
        ("https://user:secret@example.com/x-1.0-py3-none-any.whl", "without a name"),
        ("git+https://example.com/x", "https://"),
        ("two words", "is no name of a package"),
        ("name; echo", "is no name of a package"),
        ("", "is no name of a package"),
        ("name @ file:///etc", "https://"),
    ],
)
def test_what_is_no_wheel_is_refused_before_anything_is_run(home: Home, what: str, sentence: str) -> None:
    assert sentence in home.run("plugins", "install", what, status=1 if "no file" in sentence else 2)
    assert home.sets() == []


def test_what_does_not_fit_is_refused_and_what_was_there_stays(hello: Home, tmp_path: Path, index: Path) -> None:
    before = hello.sets()
    broken = tmp_path / "broken-1.0-py3-none-any.whl"
    broken.write_bytes(b"no zip")
    (index / "only-source").mkdir()
    (index / "only-source" / "only_source-1.0.tar.gz").write_bytes(b"x")
    cases = {
        str(wheel(tmp_path, "synapse-abi", plugin="abi", tag="cp27-cp27m-win32")): "for another system or Python",
        str(wheel(tmp_path, "synapse-no", code="x = 1")): "is no plugin of synapse",
        str(wheel(tmp_path, "synapse-memory", plugin="memory")): "There is a plugin 'memory' already",
        str(wheel(tmp_path, "synapse-second", plugin="hello")): "There is a plugin 'hello' already",
        str(broken): "broken",
        "only-source": "no wheel",
        "not-there-at-all": "no wheel",
        "aiohttp": "part of synapse itself",
    }
    for what, sentence in cases.items():
        assert sentence in hello.run("plugins", "install", what, status=1 if what != str(broken) else 2), what
        assert hello.sets() == before, what
    assert hello.run("hello") == "synapse-hello 1.0\n"
    assert "came with synapse" in hello.run("plugins", "remove", "memory", status=1)
    assert "There is synapse-hello" in hello.run("plugins", "remove", "nothing", status=1)


def test_without_a_network_it_says_so(home: Home, tmp_path: Path) -> None:
    assert "cannot be reached" in home.run("plugins", "install", "synapse-hello", status=1)
    needing = str(wheel(tmp_path, "synapse-needing", plugin="needing", needs=("not-there>=1",)))
    assert "cannot be reached" in home.run("plugins", "install", needing, status=1)
    assert kept(home) == []


def kept(home: Home) -> list[str]:
    return sorted(path.name for path in (home.data / "plugins" / "wheels").iterdir())


def test_a_conflict_is_told_without_a_network_with_what_it_is_about(hello: Home, tmp_path: Path) -> None:
    before = hello.sets()
    told = hello.run(
        "plugins", "install", str(wheel(tmp_path, "synapse-old", plugin="old", needs=("aiohttp<1",))), status=1
    )
    assert "does not go together" in told
    assert "synapse-old 1.0 depends on aiohttp<1\n" in told
    assert "synapse has aiohttp==" in told
    assert hello.sets() == before
    assert kept(hello) == ["synapse_hello-1.0-py3-none-any.whl"]


def test_what_is_refused_leaves_no_wheel_and_not_another_one_of_that_name(hello: Home, tmp_path: Path) -> None:
    [good] = (hello.data / "plugins" / "wheels").iterdir()
    before = good.read_bytes()
    other = wheel(tmp_path / "other", "synapse-hello", plugin="memory", code="raise SystemExit")
    assert "'memory' already" in hello.run("plugins", "install", str(other), status=1)
    assert kept(hello) == [good.name]
    assert good.read_bytes() == before
    misnamed = tmp_path / "badly named.whl"
    misnamed.write_bytes(good.read_bytes())
    assert "wheel is broken" in hello.run("plugins", "install", str(misnamed), status=2)
    young = wheel(tmp_path, "synapse-young", plugin="young")
    with zipfile.ZipFile(young) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(young, "w") as archive:
        for name, content in files.items():
            more = b"Requires-Python: >=3.99\n" if name.endswith("METADATA") else b""
            archive.writestr(name, content + more)
    assert "for another Python" in hello.run("plugins", "install", str(young), status=1)
    with zipfile.ZipFile(young, "w") as archive:
        for name, content in files.items():
            archive.writestr("../../../../outside.py" if name == "synapse_young.py" else name, content)
    assert "wheel is broken" in hello.run("plugins", "install", str(young), status=2)
    assert kept(hello) == [good.name]
    assert hello.run("hello") == "synapse-hello 1.0\n"


@pytest.mark.parametrize("damage", ["", "garbage", '{"plugins": [{"x": 1}]}', "[]"])
def test_a_list_that_is_damaged_is_told_by_what_lies_in_the_set(hello: Home, damage: str) -> None:
    (hello.sets()[0] / "requested.json").write_text(damage)
    assert House(hello.data).wanted() == [Wanted("synapse-hello", "1.0", "synapse-hello==1.0")]


def test_a_set_whose_list_is_damaged_is_made_anew_from_the_wheels_that_were_kept(home: Home, tmp_path: Path) -> None:
    made = wheel(tmp_path, "synapse-hello", plugin="hello", needs=("lib-greet>=2",))
    wheel(tmp_path, "lib-greet", version="2.1", code="x = 1")
    home.env["PIP_FIND_LINKS"] = str(tmp_path)
    home.run("plugins", "install", str(made))
    home.env["PIP_FIND_LINKS"] = ""
    (home.sets()[0] / "requested.json").write_text("garbage")
    for _ in range(2):  # what was made of it is a list again
        assert home.run("plugins", "sync") == "In place: synapse-hello 1.0.\n"
    assert home.run("hello") == "synapse-hello 1.0\n"
    assert kept(home) == ["lib_greet-2.1-py3-none-any.whl", made.name]


def test_a_wheel_that_is_not_there_any_more_is_named_with_what_to_do(home: Home, tmp_path: Path) -> None:
    made = wheel(tmp_path, "synapse-hello", plugin="hello")
    home.run("plugins", "install", str(made))
    made.unlink()
    (home.data / "plugins" / "wheels" / made.name).unlink()
    told = home.run("plugins", "sync", status=1)
    assert "The wheel of synapse-hello 1.0 is not there any more" in told
    assert "`synapse plugins remove synapse-hello`" in told
    assert home.run("hello") == "synapse-hello 1.0\n"
    home.run("plugins", "remove", "hello")


def test_neither_a_pip_conf_for_environments_nor_the_current_folder_counts(home: Home, tmp_path: Path) -> None:
    for name in ("pip.py", "packaging.py", "json.py"):
        (home.data / name).write_text("raise SystemExit('taken')")  # commands run here
    conf = tmp_path / "pip.conf"
    conf.write_text("[global]\nuser = true\nrequire-virtualenv = true\n")
    home.env |= {"PIP_CONFIG_FILE": str(conf), "PIP_TARGET": str(tmp_path / "x"), "PIP_PREFIX": str(tmp_path / "y")}
    home.run("plugins", "install", str(wheel(tmp_path, "synapse-hello", plugin="hello")))
    assert home.run("hello") == "synapse-hello 1.0\n"
    assert not (tmp_path / "x").exists()


@pytest.mark.skipif(not may_mount(), reason="not run: nothing may be mounted here")
@pytest.mark.parametrize("options", ["size=60k", "nr_inodes=28", "ro"])
def test_a_disk_without_room_or_one_that_is_only_read_is_told_and_what_was_there_stays(
    hello: Home, tmp_path: Path, options: str
) -> None:
    other = wheel(tmp_path, "synapse-other", plugin="other", code=PLUGIN.format(name="other", text="x" * 20_000))
    place = tmp_path / "disk"
    place.mkdir()
    synapse = " ".join(SYNAPSE)
    mount = f"mount -t tmpfs {'' if options == 'ro' else f'-o {options}'} none {place}"
    shut = f"mount -o remount,ro {place}" if options == "ro" else "true"
    steps = (
        f"{mount} && cp -a {hello.data} {place}/data && {shut} && ! {synapse} plugins install {other} "
        f"&& {synapse} hello && find {place} -name '*other*'"
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", steps], env=hello.env | {"SYNAPSE_DATA": str(place / "data")}, capture_output=True,
        text=True, timeout=90, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "synapse-hello 1.0\n"), done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "no room" in done.stderr or "cannot be written" in done.stderr, done.stderr


def plugin_checks(home: Home) -> list[dict[str, str]]:
    found = json.loads(home.run("doctor", "--json"))["checks"]
    return [one for one in found if one["name"] == "plugins" and one["state"] != "ok"]


def test_after_an_upgrade_to_another_python_the_doctor_names_what_is_to_be_synced(hello: Home, tmp_path: Path) -> None:
    assert plugin_checks(hello) == []
    folder = hello.data / "plugins" / str(sys.implementation.cache_tag)
    folder.rename(folder.with_name("cpython-310"))
    [check] = plugin_checks(hello)
    assert check["said"] == (
        f"synapse-hello was installed, and it is not there for this Python ({sys.implementation.cache_tag})"
    )
    assert "`synapse plugins sync`" in check["next"]
    assert "`synapse plugins sync`" in hello.run("plugins", "list")
    assert json.loads(hello.run("plugins", "list", "--json"))["stale"].keys() == {"synapse-hello"}
    assert "synapse-hello" in hello.run("hello", status=2)
    hello.run("plugins", "sync")
    assert plugin_checks(hello) == []
    assert hello.run("hello") == "synapse-hello 1.0\n"
    assert (folder.with_name("cpython-310") / "current" / "site").exists()  # the other Python keeps its own


def test_what_an_upgrade_of_synapse_has_taken_from_under_a_plugin_is_named(home: Home, tmp_path: Path) -> None:
    made = wheel(tmp_path, "synapse-hello", plugin="hello", needs=("lib-greet>=2", "msgspec>=0.1"))
    wheel(tmp_path, "lib-greet", version="2.1", code="x = 1")
    home.env["PIP_FIND_LINKS"] = str(tmp_path)
    home.run("plugins", "install", str(made))
    assert plugin_checks(home) == []
    site = next(iter(home.sets())) / "site"
    for path in (site / "lib_greet.py", *(site / "lib_greet-2.1.dist-info").iterdir()):
        path.unlink()
    (site / "lib_greet-2.1.dist-info").rmdir()
    [check] = plugin_checks(home)
    assert check["said"] == "synapse-hello was installed, and it needs lib-greet, which is not here"
    home.env["PIP_FIND_LINKS"] = ""  # its wheel was kept
    home.run("plugins", "sync")
    assert plugin_checks(home) == []
    metadata = next(iter(home.sets())) / "site" / "synapse_hello-1.0.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("msgspec>=0.1", "msgspec>=99"))
    [check] = plugin_checks(home)
    assert "it needs msgspec>=99, and 0." in check["said"]


def test_a_command_whose_plugin_the_hub_has_not_taken_up_says_so(home: Home) -> None:
    home.serve("--background")
    site = home.data / "plugins" / str(sys.implementation.cache_tag) / "current" / "site"
    site.mkdir(parents=True)
    (site / "tally.py").write_text((ROOT / "docs" / "plugin-example" / "tally.py").read_text())
    info = site / "synapse_tally-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: synapse-tally\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[synapse.plugins]\ntally = tally\n")
    assert home.run("tally", "bugs", status=1) == (
        "synapse: The hub has not taken up the plugin 'tally': `synapse restart` (`synapse plugins` says more).\n"
    )
    home.run("restart")
    assert home.run("tally", "bugs") == "bugs: 1\n"


def test_one_that_does_not_work_is_told_at_once(home: Home, tmp_path: Path) -> None:
    made = wheel(tmp_path, "synapse-bad", plugin="bad", code="raise LookupError('no moon')")
    assert "no moon" in home.run("plugins", "install", str(made), status=1)
    assert "no moon" in home.run("plugins")
    home.run("plugins", "remove", "bad")


def test_two_at_once_are_one_after_the_other_and_one_that_is_killed_leaves_what_was(
    hello: Home, tmp_path: Path
) -> None:
    other = str(wheel(tmp_path, "synapse-other", plugin="other"))
    command = [*SYNAPSE, "plugins", "install", other]
    first = subprocess.Popen(
        command, env=hello.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    until(lambda: len(hello.sets()) == 2, 30)
    os.killpg(first.pid, signal.SIGSTOP)  # in the middle of it, with its lock
    assert "by another command" in hello.run("plugins", "remove", "hello", status=1)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    assert hello.run("hello") == "synapse-hello 1.0\n"
    assert len(hello.sets()) == 2
    hello.run("plugins", "install", "not-there", status=1)
    assert len(hello.sets()) == 1  # what was killed is swept, also by one that is refused
    hello.run("plugins", "install", other)
    assert hello.run("other") == "synapse-other 1.0\n"
    assert len(hello.sets()) == 1


def test_the_guide_shows_the_example_as_it_is() -> None:
    guide = (ROOT / "docs" / "plugin-author.md").read_text()
    assert (ROOT / "docs" / "plugin-example" / "tally.py").read_text() in guide


def test_a_wheel_that_is_made_anew_under_its_name_counts(home: Home, tmp_path: Path) -> None:
    sums = []
    for text in ("one", "two"):
        made = wheel(tmp_path, "synapse-hello", plugin="hello", code=PLUGIN.format(name="hello", text=text))
        sums.append(hashlib.sha256(made.read_bytes()).hexdigest())
        home.run("plugins", "install", str(made))
        assert home.run("hello") == f"{text}\n"
    assert len(set(sums)) == 2
