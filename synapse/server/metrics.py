"""Metrics: what Prometheus asks for, read from the hub when it asks; nothing is counted twice."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from synapse import __version__
from synapse.errors import Unavailable
from synapse.hub.agents import Agents
from synapse.hub.core import Core
from synapse.hub.looking import status_of
from synapse.hub.mailbox import Mailbox
from synapse.hub.tasks import Tasks
from synapse.log.base import Entry, Log

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)  # seconds


class Commits:
    """How long commits took, in buckets; filled by the writer's thread alone."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self.counts = [0] * (len(BOUNDS) + 1)
        self.records = 0
        self.sum = 0.0

    def watch(self, log: Log) -> None:
        """Measure each append of this log from now on."""
        append = log.append

        def measured(entries: Sequence[Entry]) -> None:
            began = self._monotonic()
            append(entries)
            took = self._monotonic() - began
            self.counts[bisect_left(BOUNDS, took)] += 1
            self.sum += took
            self.records += len(entries)

        log.append = measured  # type: ignore[method-assign]

    def buckets(self) -> list[tuple[str, float]]:
        """As Prometheus has them: how many took at most so long."""
        found, total = [], 0
        for bound, count in zip((*map(str, BOUNDS), "+Inf"), self.counts, strict=True):
            total += count
            found.append((bound, float(total)))
        return found


class HubCollector(Collector):
    """Looks at the hub at the moment of the question, on the loop."""

    def __init__(self, core: Core, commits: Commits, doors: dict[str, Callable[[], int]]) -> None:
        self._core = core
        self._commits = commits
        self._doors = doors

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        hub = self._core.hub
        yield GaugeMetricFamily("synapse_up", "1 while changes are taken.", value=float(not hub.read_only))
        yield _labelled("synapse_build", "The version that runs.", "version", {__version__: 1})
        yield GaugeMetricFamily("synapse_position", "The newest position that is stored.", value=hub.outbox.committed)
        connections = {name: count() for name, count in self._doors.items()}
        yield _labelled("synapse_connections", "Connections by door.", "door", connections)
        try:
            yield from self._state()
        except Unavailable:
            pass  # a projection is out of order, which `status` tells
        yield GaugeMetricFamily("synapse_outbox_depth", "What waits for a commit.", value=len(hub.outbox))
        refusals = CounterMetricFamily("synapse_refusals", "Refusals by code.", labels=["code"])
        for code, count in list(hub.refusals.items()):
            refusals.add_metric([code], count)
        yield refusals
        commits = self._commits
        yield HistogramMetricFamily(
            "synapse_commit_seconds", "How long a commit of the log took.", commits.buckets(), commits.sum
        )
        yield CounterMetricFamily("synapse_records", "Records that were stored.", value=commits.records)

    def _state(self) -> Iterator[Metric]:
        hub = self._core.hub
        agents, mailbox, tasks = hub.state.get(Agents), hub.state.get(Mailbox), hub.state.get(Tasks)
        present = list(agents)
        statuses = Counter(status_of(hub, agent).status for agent in present if agent.takes_work)
        yield _labelled("synapse_agents", "Agents by status.", "status", statuses)
        yield GaugeMetricFamily("synapse_participants", "Everybody who is known now.", value=len(present))
        yield GaugeMetricFamily("synapse_tasks", "Tasks that have not ended.", value=len(tasks.live))
        depths = {agents.label(box): mailbox.queued(box) for box in mailbox.boxes()}
        deepest = dict(sorted(depths.items(), key=lambda item: -item[1])[:100])
        yield _labelled("synapse_queue_depth", "Messages that wait, of the 100 longest queues.", "name", deepest)
        yield GaugeMetricFamily("synapse_queued", "Messages that wait, in all.", value=sum(depths.values()))


def _labelled(name: str, help: str, label: str, values: "Counter[str] | dict[str, int]") -> Metric:
    metric = GaugeMetricFamily(name, help, labels=[label])
    for value, number in values.items():
        metric.add_metric([value], number)
    return metric


class Metrics:
    """The page that Prometheus reads."""

    def __init__(self, core: Core, commits: Commits, doors: dict[str, Callable[[], int]]) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(HubCollector(core, commits, doors))
        ProcessCollector(registry=self._registry)

    def page(self) -> bytes:
        return generate_latest(self._registry)
