"""Writes the generated part of docs/settings.md from the declarations: `python -m synapse.settings.page`."""

from pathlib import Path

from synapse.settings.declared import WITHOUT_EFFECT, Setting, declared

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
BEGIN, END = "<!-- generated: python -m synapse.settings.page -->", "<!-- end of the generated part -->"


def generated() -> str:
    """The tables of the settings and of the variables without effect."""
    lines = ["| key | takes | default | what it is | variable | project |", "|---|---|---|---|---|---|"]
    lines += [_row(setting) for setting in declared() if not setting.key.startswith("plugins.")]
    without = ", ".join(f"`{name}`" for name in WITHOUT_EFFECT)
    return "\n".join([*lines, "", f"Accepted without effect: {without}.", ""])


def _row(setting: Setting) -> str:
    usual = ", ".join(setting.default) if isinstance(setting.default, tuple) else setting.default
    said = f"{usual:g}" if isinstance(usual, float) else str(usual).lower() if isinstance(usual, bool) else usual
    cells = (
        f"`{setting.key}`", setting.takes(), "" if said is None else f"`{said}`", setting.help,
        ", ".join(f"`{name.lstrip('!')}`{' (false when set)' if name.startswith('!') else ''}" for name in setting.environ),
        "yes" if setting.project else "",
    )  # fmt: skip
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def page(old: str) -> str:
    """The page with its generated part made anew."""
    before, _, rest = old.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{generated()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
