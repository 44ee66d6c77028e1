"""The policy for permissions: which commands the person's own rules approve, and what no rule ever does.

Only ever approves for certain: whatever cannot be read, taken apart or told apart waits for the person.
"""

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

ASK, ALLOW_LIST, DENY_LIST = "ask", "allow-list", "deny-list"
MODES = (ASK, ALLOW_LIST, DENY_LIST)
LONGEST = 1900  # characters of a command: a longer one may have been cut off

_SHELL = r"(?:(?:ba|z|da|k|c|tc|fi|a)?sh|python[\d.]*|perl|ruby|node|php|osascript)\b"
_SHELLS = rf"(?<![\w.-]){_SHELL}"
_BEGINS = r"(?:^|[;&|\n(]|\b(?:time|command|exec|nohup|do|then|else)\b)\s*+"  # of a command
_SECRETS = (
    r"(?:^|[/\s=:@'\"])\.(?:env\b|ssh\b|aws\b|gnupg\b|netrc\b|npmrc\b|pypirc\b|kube\b|docker/config|git-credentials\b|pgpass\b)"
    r"|\bid_(?:rsa|dsa|ecdsa|ed25519)\b|/etc/(?:shadow|sudoers|gshadow)|/proc/\S*/environ|\.(?:pem|p12|pfx|keychain(?:-db)?)\b"
    r"|credential|secret|passw(?:or)?d|private[-_]?key|api[-_]?key|auth\s+token|access[-_]?token|http-token|\w_token\b"
)


def _then(*words: str) -> str:
    """One word behind the other within a command, and anything of it behind them. What follows the first of each is looked
    at once: no command takes long, whatever is in it."""
    found = r"(?:^|[;&|\n])"
    for word in words:
        found += rf"(?>[^;&|\n]*?\b(?:{word})\b)"
    return rf"{found}[^;&|\n]*"


# What waits for the person whatever the rules say. Searched in the command as it stands and with its quotes taken away.
FLOOR: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (why, re.compile(pattern, re.IGNORECASE))
    for why, pattern in (
        ("removes folders", _then("rm") + r"\s-(?:\w*r|-recursive|-no-preserve)|\brmdir\b|\s-delete\b|\bshred\b"),
        ("becomes another user", r"\b(?:sudo|doas|pkexec|run0|runas|su)\b"),
        ("runs what it downloads or makes up", rf"\|\s*(?:\w+=\S*\s+)*(?:\w+\s+)?(?:\S*/)?{_SHELLS}|\beval\b|\bxargs\b"),
        ("runs what it downloads or makes up", _then(_SHELLS) + r"(?:<\(|\$\(|`|<<)|\b(?:source|\.)\s+<\("),
        ("runs code that is given in a word", _then(_SHELLS) + r"\s-\w*[ce]\b|--eval\b"),
        ("overwrites what others have", _then("git", "push") + r"(?:\s-\w*[fd]|\s--(?:force|mirror|delete)|\s\+)"),
        ("throws work away", _then("git", "reset") + r"--hard|" + _then("git", "clean") + r"\s-\w*f"),
        ("throws work away", _then("git") + r"\bfilter-\w+"),
        ("reads secrets", _SECRETS),
        ("shows the environment", rf"{_BEGINS}(?:env|printenv|set|export -p)\s*(?:$|[;&|\n>)])"),
        ("writes to disks", r"\b(?:mkfs|fdisk|parted|wipefs|diskutil)\b|\bof=/dev/|>\s*/dev/(?!null\b|std|tty\b)"),
        ("changes rights widely", _then("ch(?:mod|own|grp)") + r"\s-\w*R|" + _then("chmod") + r"(?:\+s|\b[24]\d{3}\b|777)"),
        ("touches the system", r"\b(?:shutdown|reboot|halt|poweroff|systemctl|launchctl|crontab|iptables|visudo)\b"),
        ("ends processes", r"\bkill\b|\bpkill\b|\bkillall\b"),
        ("changes what shells run", r"\.(?:bash\w+|zsh\w+|zprofile|profile)\b|authorized_keys|/etc/|\.git/hooks"),
        ("publishes", r"\b(?:npm|yarn|pnpm|cargo|poetry|uv|flit)\s+publish\b|\btwine\s+upload\b|\bgh\s+release\b"),
        ("opens the machine", r"--privileged\b|docker\.sock|-v\s+/:|/dev/tcp/|" + _then("nc") + r"\s-\w*[elc]"),
        ("changes these rules", _then("synapse") + r"\b(?:approve|reject|config|init|reset|serve|restart|kill|stop)\b"),
        ("changes these rules", r"synapse/settings|SYNAPSE_\w+\s*=|\bsynapse\.db\b"),
        ("hides what it does", r"\$\{?IFS|\$'|\(\s*\)\s*\{|\\x[0-9a-f]{2}|" + _then("base64|xxd") + r"\s-+\w*[dDr]"),
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Policy:
    """The person's rules: a mode, and regular expressions over commands."""

    mode: str = ASK
    allow: tuple[re.Pattern[str], ...] = ()
    deny: tuple[re.Pattern[str], ...] = ()

    def rule(self, command: str) -> str:
        """The rule by which a command is approved; "" when it waits for the person."""
        if (
            self.mode == ASK
            or not command.strip()
            or len(command) > LONGEST
            or not _plain(command)
            or below_floor(command)
        ):
            return ""
        parts = list(_parts(command))
        if not all(parts):
            return ""
        if self.mode == DENY_LIST:
            texts = {*_readings(command), *parts}
            denied = any(pattern.search(text) for pattern in self.deny for text in texts)
            return "" if denied else "approvals.mode: deny-list"
        found = [next((pattern for pattern in self.allow if pattern.fullmatch(part)), None) for part in parts]
        if None in found:
            return ""
        return f"approvals.allow: {', '.join(dict.fromkeys(repr(one.pattern) for one in found if one))}"


def of(mode: str, allow: Iterable[str], deny: Iterable[str]) -> Policy:
    """The policy of some settings; ValueError when one of the expressions is none."""
    try:
        return Policy(mode, tuple(re.compile(one) for one in allow), tuple(re.compile(one) for one in deny))
    except re.error as error:
        raise ValueError(f"{error.pattern!r} is no regular expression: {error}") from None


def below_floor(command: str) -> str:
    """Why no rule approves the command; "" when one may."""
    readings = _readings(command)
    return next((why for why, pattern in FLOOR for text in readings if pattern.search(text)), "")


def _readings(command: str) -> tuple[str, ...]:
    """The command as it may be meant: a line end on a screen may be one, or a line that was too long for it."""
    wholes = {command, command.replace("\n", " "), command.replace("\n", "")}
    return tuple({reading for whole in wholes for reading in (whole, re.sub(r"[\\'\"]", "", whole))})


def _plain(command: str) -> bool:
    """Only what can be seen: no control or invisible characters."""
    return all(sign.isprintable() or sign in "\n\t" for sign in command)


def _parts(command: str) -> Iterator[str]:
    """The single commands of a line, their quotes taken away; "" in place of what cannot be told for certain."""
    if any(sign in command for sign in ("`", "$(", "<(", ">(", "<<", "${", "\\\n")):
        yield ""
        return
    lexer = shlex.shlex(command, posix=True, punctuation_chars=";&|<>()\n")
    lexer.whitespace, lexer.commenters, lexer.whitespace_split = " \t", "", True
    words: list[str] = []
    try:
        tokens = list(lexer)
    except ValueError:  # a quote that is not closed
        yield ""
        return
    place = 0
    while place < len(tokens):
        token = tokens[place]
        place += 1
        if token and set(token) <= set(";&|\n"):
            yield from _joined(words, ends=token)
            words = []
        elif token and set(token) <= set("<>&|()\n;"):
            target = tokens[place] if place < len(tokens) else ""
            place += 1
            if token not in (">", ">>", ">&", "&>", "<") or target not in ("/dev/null", "1", "2"):
                yield ""  # it writes a file, or is a group of commands
        elif words or not token.startswith(("$", "~", "{", "!", "-")):
            words.append(token)
        else:
            yield ""
    yield from _joined(words, ends="")


def _joined(words: list[str], ends: str) -> Iterator[str]:
    """One command; in the background, or none where there must be one, it is not certain."""
    if ends.strip("\n") not in ("", ";", "&&", "||", "|", "|&"):
        yield ""
    elif words:
        yield " ".join(words)
    elif ends.strip("\n"):
        yield ""
