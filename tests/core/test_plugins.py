"""The loader: each plugin is asked once, everything that it gives is checked, and one that fails is left out alone."""

import logging
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from synapse import (
    Background,
    Change,
    Column,
    Extension,
    Fact,
    Guard,
    Permission,
    Reaction,
    Route,
    Section,
    Setting,
    Verb,
    hookimpl,
    plugins,
    setting,
)
from synapse.hookspecs import GROUP, NAMES
from synapse.hub.agents import Agents
from synapse.hub.core import VERBS
from synapse.hub.facts import CORE
from synapse.plugins import fitness, watch
from synapse.settings import declared
from synapse.verb import Request, Shape, query, read
from tests.core.toys import AddReply, Lines, Pad, add, module, pad


class Point:
    """An entry point that gives something, or fails."""

    dist = None

    def __init__(self, name: str, gives: Any) -> None:
        self.name, self.value, self._gives = name, "nowhere", gives

    def load(self) -> Any:
        if isinstance(self._gives, BaseException):
            raise self._gives
        return self._gives


def failure(**hooks: Any) -> str:
    return plugins.of("pad", pad(**hooks)).failure


def raises() -> Any:
    raise LookupError("not today")


def ends() -> Any:
    raise SystemExit(3)


def half() -> Any:
    yield add
    raise LookupError("half way")


def test_a_plugin_that_is_in_order_gives_what_its_hooks_return() -> None:
    plugin = plugins.of("pad", pad())
    assert plugin.works, plugin.failure
    assert [verb.owner for verb in plugin.verbs] == ["pad"] * 4
    assert plugin.hooks == ("synapse_facts", "synapse_projections", "synapse_tables", "synapse_verbs")


@pytest.mark.parametrize("error", [ImportError("no such thing"), SystemExit(2), ZeroDivisionError(), SyntaxError("?")])
def test_one_that_cannot_be_imported_is_left_out_and_the_rest_is_there(error: BaseException) -> None:
    points: Any = [Point("bad", error), Point("pad", pad())]
    bad, good = plugins.load(points=points)
    assert not bad.works
    assert bad.failure
    assert (bad.verbs, good.works) == ((), True)


@pytest.mark.parametrize("hook", [name.removeprefix("synapse_") for name in NAMES])
@pytest.mark.parametrize(
    "wrong",
    [raises, ends, half, 5, [object()], "text"],
    ids=["raises", "ends", "half", "number", "objects", "text"],
)
def test_each_hook_is_contained(hook: str, wrong: Any) -> None:
    if hook == "verbs" and wrong is half:
        wrong = lambda: iter([add, raises()])  # noqa: E731
    said = failure(**{hook: wrong})
    assert f"synapse_{hook}" in said


def test_a_text_in_place_of_several_names_is_refused_and_does_not_guard_its_letters() -> None:
    guard = Guard("messages.send", lambda call, request: None)  # type: ignore[arg-type]
    assert "a text is its letters" in failure(guards=lambda: [guard])


def test_a_verb_that_does_not_say_what_it_takes_or_answers_is_refused_by_its_name() -> None:
    def look(call: Any, request: Any) -> Any:
        """Look."""

    for declare, wanted in ((read, "what it takes"), (query, "what it takes")):
        with pytest.raises(ValueError, match=rf"pad\.look does not say {wanted}"):
            declare("pad.look")(look)
    look.__annotations__["request"] = Request
    with pytest.raises(ValueError, match=r"pad\.look does not say what it answers: a query is annotated"):
        query("pad.look")(look)


def test_a_hook_that_returns_nothing_says_so() -> None:
    assert "returns NoneType" in failure(verbs=lambda: None)


def test_a_hook_of_another_signature_or_name_is_refused() -> None:
    assert "PluginValidationError" in failure(verbs=lambda config: ())
    assert "PluginValidationError" in failure(verbz=())
    assert "none of the hooks" in plugins.of("pad", object()).failure
    made = module()
    made.synapse_verbs = hookimpl(wrapper=True)(half)  # type: ignore[attr-defined]
    assert "wrapper" in plugins.of("pad", made).failure


class Strange(Fact, frozen=True):
    kind = "other.happened"


class Nameless(Fact, frozen=True):
    pass


def verb(name: str = "pad.more", **more: Any) -> Verb:
    values = {
        "shape": Shape.CHANGE, "permission": Permission.WRITE, "request": Change, "reply": AddReply, "summary": "Do.",
        "run": lambda call, request: None,
    }  # fmt: skip
    return Verb(name=name, **{**values, **more})


async def waits(call: Any, request: Any) -> None:
    """Async."""


class Small(Lines):
    name = "pad_small"


class Other(Lines):
    name = "other"


@pytest.mark.parametrize(
    ("hook", "gives", "said"),
    [
        ("facts", (Strange,), "does not begin with 'pad.'"),
        ("facts", (Nameless,), "a Fact with its kind"),
        ("verbs", (add, add), "is there twice"),
        ("verbs", (verb("agents.list"),), "does not begin with 'pad.'"),
        ("verbs", (verb("pad.x", shape=Shape.SESSION),), "is about a connection"),
        ("verbs", (verb("pad.x", tables=("pad",)),), "cannot read the tables pad"),
        ("verbs", (verb("pad.x", shape=Shape.QUERY, tables=("agents",)),), "tables agents"),
        ("verbs", (verb("pad.x", shape=Shape.WAIT),), "is no Wait"),
        ("projections", (Pad,), "a class was returned"),
        ("projections", (Pad(), Pad()), "is there twice"),
        ("tables", (Other(),), "is not called 'pad'"),
        ("tables", (Lines(), Small()), "lies within its table"),
        ("settings", (Setting("plugins.other.x", int, 1, "X."),), "is not called plugins.pad.NAME"),
        ("settings", (Setting("plugins.pad.x", int, "many", "X."),), "must be a whole number"),
        ("profiles", (Path("/nonexistent"),), "no profiles (*.toml) in /nonexistent"),
        ("routes", (Route("GET", "/other", "pad.lines"),), "below /pad"),
        ("routes", (Route("LOOK", "/pad", "pad.lines"),), "below /pad"),
    ],
)
def test_what_a_plugin_gives_is_its_own_and_holds_together(hook: str, gives: Any, said: str) -> None:
    assert said in failure(**{hook: gives})


def test_the_other_hooks_may_ask_for_a_setting_that_the_plugin_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(declared, "_DECLARED", dict(declared._DECLARED))
    monkeypatch.setenv("SYNAPSE_PLUGINS_PAD_TITLE", "Notes")
    made = pad(
        settings=(Setting("plugins.pad.title", str, "Pad", "What it is called."),),
        sections=lambda: (Section(str(setting("plugins.pad.title")), "pad.lines"),),
    )
    plugin = plugins.of("pad", made)
    assert plugin.works, plugin.failure
    assert [section.title for section in plugin.sections] == ["Notes"]
    assert dict(plugins.contributions(plugin))["settings"] == ["plugins.pad.title"]


def test_an_async_verb_is_refused() -> None:
    assert "is async" in failure(verbs=(verb("pad.x", run=waits),))


@pytest.mark.parametrize("name", ["Pad", "my_pad", "9pad", "", "pad.x"])
def test_a_name_is_small_letters_and_digits(name: str) -> None:
    assert "small letters" in plugins.of(name, module(sections=())).failure


def fitted(name: str = "pad", **hooks: Any) -> str:
    plugin = plugins.of(name, pad(**hooks) if name == "pad" else module(**hooks))
    assert plugin.works, plugin.failure
    fitness.fit([plugin], VERBS, [fact.kind for fact in CORE], [Agents.name])
    return plugin.failure


@pytest.mark.parametrize("name", ["agents", "messages", "hub", "log", "cursors", "plugins"])
def test_a_plugin_named_like_a_part_of_the_core_is_left_out(name: str) -> None:
    assert "the core has" in fitted(name, sections=())


@pytest.mark.parametrize(
    ("hooks", "said"),
    [
        ({"guards": (Guard(frozenset({"agents.list"}), print),)}, "changes nothing"),
        (
            {"guards": (Guard(frozenset({"messages.sned"}), print),)},
            "guards messages.sned, which is not there: did you mean messages.send?",
        ),
        ({"guards": (Guard(frozenset({"pad.addd"}), print),)}, "did you mean pad.add?"),
        ({"guards": (Guard(frozenset({"send"}), print),)}, "guards send, which is not there"),
        ({"routes": (Route("GET", "/pad", "pad.nothing"),)}, "not there"),
        ({"routes": (Route("GET", "/pad", "pad.done"),)}, "not there"),
        ({"routes": (Route("GET", "/pad/{page}", "pad.lines"),)}, "names page"),
        ({"sections": (Section("Pad", "pad.add"),)}, "no reading verb"),
        ({"columns": (Column("Pad", "history.show"),)}, "needs task"),
        ({"routes": (Route("GET", "/pad", "pad.lines"),), "sections": (Section("Pad", "pad.lines"),)}, ""),
        ({"guards": (Guard(frozenset({"messages.send", "board.add"}), print),)}, ""),
    ],
)
def test_what_refers_to_something_that_is_not_there_is_left_out(hooks: Any, said: str) -> None:
    found = fitted(**hooks)
    assert said in found
    assert bool(said) == bool(found)


def test_a_guard_of_another_plugin_counts_when_that_one_is_there() -> None:
    other = plugins.of("pad", pad())
    for there, verb_, wrong in (
        ([other], "pad.add", ""),
        ([other], "pad.nothing", "not there"),
        ([], "pad.nothing", ""),
    ):
        mine = plugins.of("mine", module(guards=(Guard(frozenset({verb_}), print),)))
        fitness.fit([mine, *there], VERBS, [fact.kind for fact in CORE], [Agents.name])
        assert (wrong in mine.failure, bool(mine.failure)) == (True, bool(wrong))


def test_a_disabled_plugin_is_not_even_imported() -> None:
    points: Any = [Point("bad", AssertionError("was imported"))]
    [plugin] = plugins.load(("bad",), points)
    assert (plugin.enabled, plugin.works, plugin.failure) == (False, False, "")


def test_the_command_line_asks_only_for_what_it_needs() -> None:
    points: Any = [Point("pad", pad(projections=raises))]
    [plugin] = plugins.load(points=points, hooks=("synapse_commands", "synapse_extensions"))
    assert plugin.works
    assert (plugin.verbs, "synapse_verbs" in plugin.hooks) == ((), True)


def test_a_slow_import_is_named(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "SLOW_START", 0.0)
    plugins.of("pad", pad())
    assert "pad took" in caplog.text


def test_what_ends_the_program_does_not_and_what_is_slow_is_named(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "SLOW", -1.0)
    with pytest.raises(RuntimeError, match="tried to end the program"):
        watch.watched("pad", "pad.add", ends)()
    assert "the plugin pad held the hub" in caplog.text


def test_the_first_of_a_name_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [EntryPoint("b", "one", GROUP), EntryPoint("a", "x", GROUP), EntryPoint("b", "two", "x")]
    monkeypatch.setattr(plugins, "entry_points", lambda group: found)
    assert [(point.name, point.value) for point in plugins.found()] == [("a", "x"), ("b", "one")]


def test_everything_of_a_plugin_is_told_by_name() -> None:
    async def run(ask: Any) -> None:
        """Nothing."""

    plugin = plugins.of(
        "pad",
        pad(
            reactions=(Reaction(frozenset({"pad.added"}), lambda call: ()),),
            guards=(Guard(frozenset({"messages.send"}), print),),
            routes=(Route("GET", "/pad", "pad.lines"),),
            sections=(Section("Pad", "pad.lines"),),
            columns=(Column("PAD", "pad.lines"),),
            background=(Background("watch", run),),
            extensions=(Extension("send", (), print),),
        ),
    )
    told = {what: names for what, names in plugins.contributions(plugin) if names}
    assert told == {
        "verbs": ["pad.add", "pad.lines", "pad.stored"], "kinds": ["pad.added", "pad.done"], "projections": ["pad"],
        "tables": ["pad"], "guards": ["messages.send"], "reactions": ["pad.added"], "routes": ["GET /pad"],
        "sections": ["Pad"], "columns": ["PAD"], "background": ["watch"],
    }  # fmt: skip


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
