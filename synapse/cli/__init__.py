"""The command line. `GROUPS` says which file a command lives in, so that one command loads one file."""

GROUPS = {
    "send": "messages",
    "reply": "messages",
    "interrupt": "messages",
    "broadcast": "messages",
    "inbox": "inbox",
    "wait": "inbox",
    "listen": "listen",
    "who": "looking",
    "list": "looking",
    "status": "looking",
    "state": "looking",
    "events": "events",
    "history": "history",
    "serve": "serve",
    "hub": "serve",
    "restart": "serve",
    "backup": "offline",
    "run": "agents",
    "start": "agents",
    "stop": "agents",
    "kill": "agents",
    "attach": "agents",
    "rename": "agents",
    "logs": "logs",
    "config": "config",
    "init": "init",
    "reset": "init",
    "doctor": "doctor",
    "demo": "demo",
    "_runner": "agents",
    "_demo-agent": "agents",
}

# The subjects of the help; a name that begins with `_` is for our own processes and is not shown.
SECTIONS = {
    "Talk": ("send", "reply", "interrupt", "broadcast", "inbox", "wait", "listen"),
    "Look": ("who", "list", "status", "state", "history", "events", "logs"),
    "Agents": ("run", "start", "attach", "stop", "kill", "rename"),
    "Settings": ("config", "init", "reset", "doctor"),
    "The hub": ("serve", "hub", "restart", "backup", "demo"),
}
