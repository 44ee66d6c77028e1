"""Tokens: secrets with scopes, from options, a file and the environment."""

import hmac
import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from synapse.errors import BadRequest, Refused
from synapse.server.access import EVERYTHING
from synapse.verb import Permission

SHORTEST = 8  # characters
USUAL = frozenset({Permission.READ, Permission.WRITE})
_SCOPES = {permission.value: permission for permission in Permission}
_LIKE_SCOPES = re.compile(r"[A-Za-z+,]*\Z")
_YES, _NO = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True, slots=True, repr=False)
class Token:
    """One secret and what its bearer may do."""

    secret: bytes
    scopes: frozenset[Permission]


def parse(text: str, otherwise: frozenset[Permission]) -> Token:
    """`SECRET`, or `read+write:SECRET` with scopes before it."""
    words, colon, secret = text.strip().partition(":")
    listed = words.split("+")
    if colon and all(word in _SCOPES for word in listed):
        scopes = frozenset(_SCOPES[word] for word in listed)
    elif colon and _LIKE_SCOPES.match(words):
        wrong = next(word for word in listed if word not in _SCOPES)
        every = "+".join(_SCOPES)
        raise BadRequest(
            "unknown_scope",
            f"Unknown scope {wrong[:40]!r}; scopes are {', '.join(_SCOPES)}, joined by '+'. If the colon belongs to the "
            f"secret, say the scopes before it: {every}:SECRET.",
        )
    else:
        secret, scopes = text.strip(), otherwise
    if not secret:
        raise BadRequest("bad_token", "The token is empty: is the variable that it comes from set?")
    if len(secret) < SHORTEST or not secret.isascii() or not secret.isprintable() or " " in secret:
        raise BadRequest("bad_token", f"A token is at least {SHORTEST} visible ASCII characters, without blanks.")
    return Token(secret.encode(), scopes)


class Tokens:
    """All tokens of a hub; `local` says whether this user needs none over loopback."""

    def __init__(self, tokens: Iterable[Token] = (), *, local: bool = True) -> None:
        self._tokens = tuple(tokens)
        self.local = local

    def __bool__(self) -> bool:
        return bool(self._tokens)

    def scopes(self, secret: str) -> frozenset[Permission] | None:
        """What the bearer of a secret may do; None when nobody has it. Takes as long for any wrong one."""
        given, found = secret.encode("utf-8", "surrogateescape"), None
        for token in self._tokens:
            if hmac.compare_digest(given, token.secret):
                found = token.scopes
        return found

    def plus(self, token: Token) -> "Tokens":
        return Tokens((*self._tokens, token), local=self.local)


def gather(given: str | Iterable[str] = (), file: str = "", environ: Mapping[str, str] = os.environ) -> Tokens:
    """From `--token`, `--token-file`, and SYNAPSE_API_KEYS, SYNAPSE_ADMIN_KEY, SYNAPSE_AUTH_ENABLED, ..._ALLOW_LOCALHOST."""
    several = ([given] if given else []) if isinstance(given, str) else given
    tokens = [parse(text, EVERYTHING) for text in several]
    tokens += [parse(line, EVERYTHING) for line in _lines(file)] if file else []
    enabled = _said(environ, "SYNAPSE_AUTH_ENABLED")
    if enabled is not False:
        keys = environ.get("SYNAPSE_API_KEYS", "").strip()
        named = [parse(key, USUAL) for key in keys.split(",") if key.strip()]
        if keys and not named:
            raise BadRequest("bad_token", f"SYNAPSE_API_KEYS holds no token, but {keys[:20]!r}: unset it.")
        tokens += named
        if environ.get("SYNAPSE_ADMIN_KEY", "").strip():
            tokens.append(parse(environ["SYNAPSE_ADMIN_KEY"], EVERYTHING))
    if enabled and not tokens:
        raise Refused(
            "token_needed", "SYNAPSE_AUTH_ENABLED is set and there is no key: set SYNAPSE_API_KEYS, or --token."
        )
    return Tokens(tokens, local=_said(environ, "SYNAPSE_ALLOW_LOCALHOST") is not False)


def _said(environ: Mapping[str, str], name: str) -> bool | None:
    word = environ.get(name, "").strip().lower()
    if word and word not in _YES | _NO:
        raise BadRequest("bad_setting", f"{name} is {word[:20]!r}: use true or false.")
    return word in _YES if word else None


def _lines(path: str) -> list[str]:
    """One token a line; `#` begins a comment. A file that others may read is refused."""
    try:
        with open(path, encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            lines = [line.strip() for line in file.read(1 << 16).splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise Refused("no_token_file", f"{path} cannot be read: {error}.") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Refused("open_token_file", f"Others may read {path}: `chmod 600` it.")
    found = [line for line in lines if line and not line.startswith("#")]
    if not found:
        raise Refused("no_token", f"{path} holds no token.")
    return found
