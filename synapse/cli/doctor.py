"""`doctor`: is everything as it should be, and what to do where it is not."""

from synapse.cli.command import AS_JSON, Command, Option
from synapse.cli.table import coloured, harmless, write
from synapse.client.lines import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from synapse.cli.checks import Check

_COLOURS = {"ok": "32", "warn": "33", "fail": "31"}


def doctor(*, fix: bool, as_json: bool) -> int:
    """Look at everything, a line each; with --fix repair first what is safe to repair. 1 when something failed."""
    checks = all_checks()
    repaired: list[tuple[str, str]] = []
    if fix:
        repaired = [_repaired(check) for check in checks if check.repair is not None]
        checks = all_checks() if repaired else checks
    failed = sum(check.state == "fail" for check in checks)
    warned = sum(check.state == "warn" for check in checks)
    if as_json:
        told = [
            {"name": c.name, "state": c.state, "said": c.said, "next": c.next, "fixable": bool(c.repair)}
            for c in checks
        ]
        write(dumps({"checks": told, "repaired": repaired, "failed": failed, "warned": warned}).decode())
    else:
        for what, outcome in repaired:
            write(f"{outcome}: {harmless(what, '')}\n")
        write("".join(_lines(check) for check in checks))
        write(f"\n{len(checks)} checks, {failed} failed, {warned} warnings.\n")
    return int(failed > 0)


def all_checks() -> "list[Check]":
    """Every check, made now; one that cannot look has failed."""
    from synapse.cli import checks, checks_plugins, checks_running, checks_webhooks
    from synapse.errors import SynapseError

    found: list[Check] = []
    for look in (*checks.ALL, *checks_running.ALL, *checks_plugins.ALL, *checks_webhooks.ALL):
        name = look.__name__.replace("_", " ")
        try:
            found += look()
        except SynapseError as error:
            found.append(checks.Check(name, checks.FAIL, error.sentence))
        except OSError as error:
            found.append(checks.Check(name, checks.FAIL, f"it cannot be looked at: {error}."))
    return found


def _repaired(check: "Check") -> "tuple[str, str]":
    """What was wrong, and what became of it."""
    assert check.repair is not None
    try:
        check.repair()
    except OSError as error:
        return check.said, f"cannot be repaired ({error.strerror or error})"
    return check.said, "repaired"


def _lines(check: "Check") -> str:
    state = f"{check.state:<5}"
    if coloured():
        state = f"\x1b[{_COLOURS[check.state]}m{state}\x1b[0m"
    line = f"{state} {check.name:<12} {harmless(check.said, '')}\n"
    if not check.next:
        return line
    also = " (or `synapse doctor --fix`)" if check.repair is not None else ""
    return f"{line}{'':18} {harmless(check.next.rstrip('.'), '')}{also}\n"


COMMANDS = (
    Command(
        "doctor", doctor, "Check that everything works, and say what to do where it does not.",
        Option("--fix", flag=True, help="Repair what is safe to repair: rights, sockets of a hub that is gone."),
        AS_JSON, example="synapse doctor",
    ),
)  # fmt: skip
