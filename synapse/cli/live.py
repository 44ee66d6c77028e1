"""The live table of `synapse list`: follows the hub, jumps to agents, ends them. Needs textual: loaded only when shown."""

import asyncio
import signal
import subprocess
import time
from contextlib import suppress
from typing import ClassVar, Protocol

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.css.query import NoMatches
from textual.events import Event, Key, Resize
from textual.screen import ModalScreen
from textual.timer import Timer
from textual.widgets import DataTable, Footer, Input, Static

from synapse import paths
from synapse.cli.agent_rows import EMPTY, KEEP, cells, heads_of, matches
from synapse.cli.live_feed import Feed, News, Row, here
from synapse.cli.table import COLOURS, fit, harmless, layout, one_line, since
from synapse.client.blocking import identity
from synapse.errors import SynapseError

NAMED = {"32": "green", "36": "cyan", "33": "yellow", "34": "blue", "31": "red", "2": "dim"}
FRAME = 5  # cells beside the columns: the row's number, and the bar that shows where a long table is
MOST_WAITING = 3
LOW = 10  # rows of a terminal that are taken by the table first
JUMP_WITHIN = 10.0  # seconds


class Going(Protocol):
    """How a person gets to an agent's terminal."""

    async def jump(self, key: str) -> bool:
        """Bring the window in which the agent is shown to the front; False where that is not possible."""

    def attach(self, key: str) -> str:
        """Show the agent in this terminal, until it is detached; what is to be said then. What is typed before it is
        shown does not reach it."""


class Commands:
    """By the commands `jump` and `attach`."""

    async def jump(self, key: str) -> bool:
        process = await asyncio.create_subprocess_exec(
            *paths.program(), "jump", key,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            return await asyncio.wait_for(process.wait(), JUMP_WITHIN) == 0
        except TimeoutError:
            process.kill()
            await process.wait()
            return False

    def attach(self, key: str) -> str:
        kept = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTSTP, signal.SIGCONT)}
        try:
            done = subprocess.run([*paths.program(), "attach", "--fresh", key], check=False, stderr=subprocess.PIPE)
        finally:
            for number, handler in kept.items():
                signal.signal(number, handler)
        return done.stderr.decode("utf-8", "replace").strip()


class Sure(ModalScreen[str]):
    """Asks whether an agent is to end: `stop`, `kill`, or nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss('stop')", "end it"),
        Binding("f", "dismiss('kill')", "at once"),
        Binding("n,escape,q,enter", "dismiss('')", "leave it"),
    ]

    def __init__(self, name: str) -> None:
        super().__init__()
        self._whom = name

    def compose(self) -> ComposeResult:
        yield Static(
            f"End {self._whom}?\n\ny  in its own way first   f  at once   n  leave it", id="sure", markup=False
        )


class Table(DataTable[Text]):
    """Enter goes to the agent; a click only chooses it."""

    def action_select_cursor(self) -> None:
        self.app.action_jump()  # type: ignore[attr-defined]


class LiveList(App[int]):
    """The agents, as they are."""

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen, Static, DataTable, Input, Footer, Toast { color: ansi_default; background: ansi_default; }
    DataTable { height: 1fr; }
    DataTable > .datatable--header { background: ansi_default; color: ansi_default; text-style: bold; }
    DataTable > .datatable--cursor, DataTable:focus > .datatable--cursor {
        background: ansi_default; color: ansi_default; text-style: reverse;
    }
    #top { height: 1; text-style: bold; }
    #waiting { height: auto; color: ansi_cyan; }
    #chosen { height: auto; max-height: 3; border-top: solid ansi_bright_black; }
    #empty { height: 1fr; padding: 1 2; display: none; }
    #filter { height: 1; border: none; padding: 0; display: none; }
    Sure { align: center middle; background: ansi_default; }
    #sure { width: auto; height: auto; padding: 1 3; border: round ansi_red; background: ansi_default; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(number), f"choose({number})", show=False) for number in range(1, 10)),
        Binding("enter,j", "jump", "jump"),
        Binding("K", "kill", "end"),
        Binding("slash", "filter", "filter"),
        Binding("escape", "clear", "clear", show=False),
        Binding("q", "quit", "quit"),
        Binding("ctrl+c", "quit", show=False, priority=True),
    ]

    def __init__(self, feed: Feed, *, place: str, columns: object, all: bool, going: Going) -> None:
        super().__init__(ansi_color=True)
        self._feed = feed
        self._place = place
        self._columns = columns
        self._all = all
        self._going = going
        self._news = News()
        self._away = False
        self._shown: list[Row] = []  # what is in the table, in its order
        self._form: object = None  # what the table was built for
        self._texts: list[tuple[str, ...]] = []
        self._heads: tuple[str, ...] = ()
        self._ticking: Timer | None = None
        self._going_there = False
        self._back_at = 0.0  # when the person came back from an agent's terminal

    def compose(self) -> ComposeResult:
        yield Static(id="top", markup=False)
        yield Table(cursor_type="row", cursor_foreground_priority="renderable", id="agents")
        yield Static(EMPTY, id="empty", markup=False)
        yield Static(id="chosen", markup=False)
        yield Static(id="waiting", markup=False)
        yield Input(placeholder="words that the row must hold; Esc shows all", id="filter")
        yield Footer()

    def on_mount(self) -> None:
        self._ticking = self.set_interval(1.0, self._draw, pause=True)
        self._feed.on_news = self._learn
        self._feed.on_away = self._miss
        self.run_worker(self._feed.run(), exit_on_error=True)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.exit, 128 + number)
        self._draw()

    def on_unmount(self) -> None:
        self._feed.close()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)

    # -- what the hub tells

    def _learn(self, news: News) -> None:
        self._news, self._away = news, False
        self._draw()

    def _miss(self) -> None:
        self._away = True
        self._draw()

    def on_resize(self, event: Resize) -> None:
        self.call_after_refresh(self._draw)

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        with suppress(NoMatches):
            self._draw_chosen()

    # -- drawing

    @property
    def _is_low(self) -> bool:
        return self.size.height < LOW

    @property
    def _table(self) -> Table:
        return self.query_one("#agents", Table)

    def _draw(self) -> None:
        if len(self.screen_stack) > 1:
            return  # somebody is asked: what has changed is drawn afterwards
        with suppress(NoMatches):  # it is being closed, one part after another
            self._draw_parts()

    def _draw_parts(self) -> None:
        words = self.query_one("#filter", Input).value
        self._shown = [row for row in self._news.rows if matches(row, words)]
        self._heads = heads_of(self._columns, all=self._all, added=self._news.added)
        self._draw_table()
        self._draw_top(words)
        self._draw_chosen()
        waiting = self.query_one("#waiting", Static)
        lines = [self._waits(each) for each in self._news.waiting]
        most = 1 if self._is_low else MOST_WAITING
        more = [f"… and {len(lines) - most} more: `synapse waiting`"] if len(lines) > most and not self._is_low else []
        waiting.update("\n".join([*lines[:most], *more]))
        waiting.display = bool(lines)
        if self._ticking is not None:
            running = lines or any(row.get("task_received_at") for row in self._news.rows)
            (self._ticking.resume if running else self._ticking.pause)()

    def _draw_top(self, words: str) -> None:
        of = len(self._news.rows)
        count = f"{len(self._shown)} of {of}" if words else str(of)
        where = "all workspaces" if self._all else self._place
        state = "   the hub is gone; waiting for the next one" if self._away else ""
        top = Text(f"synapse  {where}  {count} {'agent' if of == 1 else 'agents'}")
        top.append(state, "red")
        self.query_one("#top", Static).update(top)

    def _draw_table(self) -> None:
        lines = [cells(row, self._heads) for row in self._shown]
        texts = [tuple(map(one_line, line)) for line in lines]
        titles = tuple(head.upper() for head in self._heads)
        order, widths, _ = layout([titles, *texts], KEEP, max(1, self.size.width - FRAME - 2))
        form = ([row["key"] for row in self._shown], order, widths, titles)
        table = self._table
        if form != self._form:
            self._rebuild(table, titles, order, widths, texts)
            self._form = form
        else:
            for at, (new, old) in enumerate(zip(texts, self._texts, strict=True)):
                for column, place in enumerate(order):
                    if new[place] != old[place]:
                        cell = self._cell(titles[place], new[place], widths[column])
                        table.update_cell(self._shown[at]["key"], titles[place], cell)
        self._texts = texts
        table.display, self.query_one("#empty").display = bool(self._shown), not self._shown

    def _rebuild(
        self, table: Table, titles: tuple[str, ...], order: list[int], widths: list[int],
        texts: list[tuple[str, ...]],
    ) -> None:  # fmt: skip
        kept, at = self._chosen_key(), table.cursor_row
        table.clear(columns=True)
        table.add_column("", width=1, key="#")
        for place, width in zip(order, widths, strict=True):
            table.add_column(Text(fit(titles[place], width), "bold"), width=width, key=titles[place])
        for number, (row, text) in enumerate(zip(self._shown, texts, strict=True), 1):
            line = [self._cell(titles[place], text[place], width) for place, width in zip(order, widths, strict=True)]
            table.add_row(Text(str(number) if number < 10 else "", "dim"), *line, key=row["key"])
        keys = [row["key"] for row in self._shown]
        if keys:
            table.move_cursor(row=keys.index(kept) if kept in keys else min(max(at, 0), len(keys) - 1))

    @staticmethod
    def _cell(title: str, text: str, width: int) -> Text:
        style = NAMED.get(COLOURS.get(text, ""), "") if title == "STATUS" else ""
        return Text(fit(text, width), style, no_wrap=True)

    def _draw_chosen(self) -> None:
        """The row with the cursor, in full."""
        row = self._chosen()
        chosen = self.query_one("#chosen", Static)
        chosen.display = row is not None and not self._is_low
        if row is None:
            return
        first = [row["agent_id"], row["agent_type"], row["role"], row["skill_set"], row["working_dir"]]
        current = cells(row, ("CURRENT",))[0]
        queued = f"{row['queued']} waiting in its queue" if row.get("queued") else ""
        lines = ["  ".join(filter(None, map(one_line, first))), "  ".join(filter(None, (one_line(current), queued)))]
        width = max(1, self.size.width)
        chosen.update("\n".join(fit(line, width) for line in lines if line))

    def _waits(self, item: Row) -> str:
        choices = f" [{' / '.join(item['choices'])}]" if item.get("choices") else ""
        text = f"waits for you: {item['agent']} ({item['kind']}, {since(item['since'])}): {item['what']}{choices}"
        return fit(one_line(text), max(1, self.size.width))

    def _chosen_key(self) -> str:
        table = self._table
        if not table.row_count or not table.is_valid_row_index(table.cursor_row):
            return ""
        return str(table.coordinate_to_cell_key((table.cursor_row, 0)).row_key.value)  # type: ignore[arg-type]

    def _chosen(self) -> Row | None:
        key = self._chosen_key()
        return next((row for row in self._shown if row["key"] == key), None)

    # -- what a person does

    async def on_event(self, event: Event) -> None:
        """Keys act one after another, each on what those before it made: also when many come at once."""
        if (
            not isinstance(event, Key)
            or event.is_forwarded
            or event.key == "ctrl+c"
            or (not self._going_there and event.time >= self._back_at and not await self._acted(event))
        ):
            await super().on_event(event)

    async def _acted(self, event: Key) -> bool:
        """Do at once what a key means to the table or to the filter; False when it is somebody else's."""
        if len(self.screen_stack) > 1:
            return False
        field = self.query_one("#filter", Input)
        if self.focused is field and event.key == "enter":
            self._filtered()
        elif self.focused is field and event.is_printable and event.character:
            field.insert_text_at_cursor(event.character)
        elif found := self.screen.active_bindings.get(event.key):
            return await self.run_action(found.binding.action, found.node)
        else:
            return False
        return True

    def action_choose(self, number: int) -> None:
        if number <= self._table.row_count:
            self._table.move_cursor(row=number - 1)

    def action_jump(self) -> None:
        row = self._chosen()
        if row is not None and not self._going_there:
            self._going_there = True  # what is typed from now on is meant for neither the table nor the agent
            self.run_worker(self._go(row))

    async def _go(self, row: Row) -> None:
        try:
            await self._jump(row)
        finally:
            self._going_there, self._back_at = False, time.monotonic()

    async def _jump(self, row: Row) -> None:
        if await self._going.jump(row["key"]):
            self.notify(f"{row['name']} is in front", timeout=2)
            return
        with self.suspend():
            said = self._going.attach(row["key"])
        self.refresh(layout=True)
        if said:
            self.notify(harmless(said.splitlines()[-1]), timeout=4, markup=False)

    def action_kill(self) -> None:
        row = self._chosen()
        if row is None:
            return

        def answered(action: str | None) -> None:
            if action:
                self.run_worker(self._end(row, action))
            self._draw()

        self.push_screen(Sure(str(row["name"])), answered)

    async def _end(self, row: Row, action: str) -> None:
        try:
            await self._feed.signal(row["key"], action)
        except SynapseError as error:
            self.notify(error.sentence, severity="error")

    def action_filter(self) -> None:
        field = self.query_one("#filter", Input)
        field.display = True
        self.screen.set_focus(field)

    def action_clear(self) -> None:
        field = self.query_one("#filter", Input)
        field.value = ""
        self._filtered()

    def on_input_changed(self, event: Input.Changed) -> None:
        self._draw()

    def _filtered(self) -> None:
        """The filter is written: the keys are the table's again, which shows what it lets through."""
        field = self.query_one("#filter", Input)
        self._draw()
        self.screen.set_focus(self._table)
        field.display = bool(field.value)

    async def action_quit(self) -> None:
        self.exit(0)


def show(place: str, *, sender: str, workspace: str, all: bool, columns: object) -> int:
    """The live table of the hub that answers here, until it is left; its exit status."""
    hello = identity(sender, workspace)
    feed = Feed(hello, here(hello), all=all)
    app = LiveList(feed, place=place, columns=columns, all=all, going=Commands())
    status = app.run()
    return app.return_code or status or 0
