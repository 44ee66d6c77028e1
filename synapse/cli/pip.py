"""pip in a process of its own, and what its complaints mean."""

import os
import re
import subprocess
import sys

from synapse.errors import BadRequest, NotFound, Refused, SynapseError, Unavailable

PATIENCE = 600.0  # seconds that pip may take
QUIET = ("--disable-pip-version-check", "--no-input", "--no-color", "--retries", "2", "--timeout", "15")
WHEELS_ONLY = ("--only-binary", ":all:")


def _command() -> list[str]:
    """pip in a process of its own: as a module, or what the frozen program has of it."""
    if getattr(sys, "frozen", False):
        return [sys.executable, "_pip"]
    return [sys.executable, "-P", "-m", "pip"]  # a pip.py of the current folder is none


_OTHERWISE = ("PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_REPORT")  # what would put things elsewhere
_OURS = {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"}  # stronger than what a person's pip.conf says for environments


def _run(words: tuple[str, ...]) -> "subprocess.CompletedProcess[str]":
    env = {name: value for name, value in os.environ.items() if name not in _OTHERWISE} | _OURS
    try:
        return subprocess.run(
            [*_command(), words[0], *QUIET, *words[1:]],
            env=env, capture_output=True, text=True, errors="replace", timeout=PATIENCE, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Unavailable("too_slow", f"pip did not end within {PATIENCE:.0f} s: nothing was changed.") from None


def pip(*words: str) -> None:
    """Have pip do it; what it complains of is raised in our words."""
    done = _run(words)
    if done.returncode:
        raise _trouble(done.stderr or done.stdout, done.stdout)


_TROUBLES: tuple[tuple[str, type[SynapseError], str, str], ...] = (
    (r"No module named pip", Unavailable, "no_pip", "pip is not there: `python -m ensurepip` in synapse's environment."),
    (r"Error\b.*(No space left on device|Disk quota exceeded)", Unavailable, "storage_unavailable",
     "There is no room for it on the disk: nothing was changed."),
    (r"Error\b.*(Read-only file system|Permission denied)", Unavailable, "storage_unavailable",
     "A folder that it needs cannot be written: nothing was changed."),
    (r"requires a different Python", Refused, "wrong_python", "It is for another Python ({tag})."),
    (r"not a supported wheel on this platform", Refused, "wrong_platform",
     "That wheel is for another system or Python ({tag}): ask for one that fits, or for one in plain Python (py3-none-any)."),
    (r"ResolutionImpossible|conflicting dependencies|The user requested \(constraint\)|conflict is caused by",
     Refused, "conflict", "It does not go together with what synapse is made of, or with another plugin."),
    (r"from versions: none\)?", NotFound, "no_wheel",
     "There is no wheel of it for this system under that name (source distributions are not taken)."),
    (r"Could not find a version that satisfies", NotFound, "no_such_version", "No wheel of it fits."),
    (r"(404|Not Found)", NotFound, "no_such_wheel", "There is nothing at that address."),
    (r"has an invalid wheel|is invalid|not a valid wheel filename|outside the target directory|Invalid wheel|BadZipFile"
     r"|not a zip file|Wheel .* is invalid", BadRequest, "broken_wheel", "That wheel is broken."),
)  # fmt: skip
_NO_NETWORK = re.compile(
    r"NewConnectionError|NameResolutionError|Temporary failure in name resolution|Connection refused|ConnectTimeout"
    r"|Max retries exceeded|Network is unreachable|ProxyError|Connection to .* timed out"
)


_PINNED = re.compile(r"The user requested \(constraint\)")
_TELLS = re.compile(r"\s*ERROR: (?!ResolutionImpossible)|    \S.*( depends on | requested )")


def _trouble(said: str, explained: str = "") -> SynapseError:
    """What pip's complaint means; it explains a conflict where it tells its progress."""
    lines = [line for line in (said + explained).splitlines() if _TELLS.match(line)]
    if "Traceback (most recent call last)" in said:
        lines = said.rstrip().splitlines()[-1:]
    told = dict.fromkeys(_PINNED.sub("synapse has", line.strip().removeprefix("ERROR: ")) for line in lines)
    more = "".join(f"\n  {line[:300]}" for line in list(told)[:8])
    if _NO_NETWORK.search(said):
        return Unavailable("no_network", f"The package index cannot be reached: nothing was changed.{more}")
    for pattern, kind, code, sentence in _TROUBLES:
        if re.search(pattern, said):
            tag = f"{sys.implementation.cache_tag}, {sys.platform}"
            return kind(code, sentence.format(tag=f"this is {tag}") + more)
    return Unavailable("pip_failed", f"pip could not do it: nothing was changed.{more or ' ' + said[-500:]}")
