"""`hook` and `permit`: what a program's hooks run, to report to its runner, and to ask whether a command may be run."""

from synapse.cli.command import Argument, Command


def hook(*, event: "str | None", report: "str | None") -> int:
    """Says nothing and never fails: it must not disturb the program."""
    from synapse.client.hook import tell

    return tell([word for word in (event, report) if word is not None])


def permit() -> int:
    """Answers a request for a permission, or says nothing: then the person is asked."""
    from synapse.client.permit import main

    return main()


COMMANDS = (
    Command(
        "hook",
        hook,
        "Report what a program's hook says to its runner; prints nothing, always succeeds.",
        Argument("event", help="The event's name.", required=False),
        Argument("report", help="A JSON object; else it is read from standard input.", required=False),
        example="echo '{}' | synapse hook Stop",
        quick=True,
    ),
    Command(
        "permit",
        permit,
        "Answer a program's request for a permission: yes to talking to the hub, else nothing.",
        example="synapse permit < request.json",
        quick=True,
    ),
)
