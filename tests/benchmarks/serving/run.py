"""A whole run: see that all give the same probabilities, measure, see that they still do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.benchmarks.serving import limits, measure, ours
from tests.benchmarks.serving.contestants import Contestant, Customers
from tests.benchmarks.serving.model import Trained
from tests.benchmarks.serving.ours import Production
from tests.benchmarks.serving.results import Counts, Paced, Results, Series
from tests.benchmarks.serving.scenarios import BY_ID, NAIVE, SINGLE, Scenario, scenarios
from tests.benchmarks.serving.servers import Servers

PACED_CONNECTIONS = 256
_PLAIN, _BINARY = ("ours, v1 JSON", "ours, v2 gRPC"), "ours, v2 binary"
_SATURATED_AT = 32


@dataclass(frozen=True)
class Length:
    """Rounds by the number of connections (none of it: left out), seconds of a burst, how often a start is timed."""

    rounds: Mapping[int, int]
    seconds: float
    starts: int


FULL = Length(rounds={1: 2, 8: 3, 32: 3}, seconds=3, starts=3)
QUICK = Length(rounds={8: 2, 32: 2}, seconds=1, starts=1)


@dataclass
class Run:
    """What every part of a run needs; `tell` takes a line for the person who waits."""

    length: Length
    servers: Servers
    trained: Trained
    production: Production
    customers: Customers
    found: Results
    tell: Callable[[str], None]
    asked: Counter[str] = field(default_factory=Counter)

    def scenarios(self, wanted: Sequence[str]) -> None:
        """The wanted scenarios. Raises Disagreement."""
        chosen = [one for one in scenarios(self._naive_prefix()) if one.name in wanted]
        self.tell("do all give the same probabilities?")
        taking_part = {one.name: list(self._agreeing(one)) for one in chosen}
        for scenario in chosen:
            self._measure(scenario, taking_part[scenario.name])
        self._pace(taking_part.get(SINGLE, []))
        self.found.memory_mb = {name: one.process.memory_mb() for name, one in self.servers.running.items()}
        self.tell("do all give the same probabilities still?")
        for contestants in taking_part.values():
            for contestant in contestants:
                contestant.difference()
                self._tally(contestant, len(contestant.bodies))
        self._count()

    def limits(self) -> None:
        """Empty answers to the same requests, the model in this process, and a cache beside it."""
        self.tell("limits")
        model_us = limits.model_alone(self.trained, list(self.customers.by_id.values()))
        self.found.cache = cache = limits.cache(self.production.redis, model_us[1])
        work_us = {
            (path, size): model_us[size]
            for size, paths in ((1, (*_PLAIN, "ours, v2 JSON")), (100, (*_PLAIN, _BINARY)), (1000, (*_PLAIN, _BINARY)))
            for path in paths
        }
        work_us[BY_ID, 1] = model_us[1] + cache.hit_us  # one reading of Redis at least
        self.found.limits = limits.empty_answers(self.servers.running, self.customers, work_us, self.length.seconds)

    def _naive_prefix(self) -> str:
        """Where the naive peer's faster endpoints are: coroutines, or functions in threads."""
        words = {"": "coroutines (async def)", "/sync": "functions in threads (def)"}
        rates = dict.fromkeys(words, 0.0)
        for prefix in [*words] * self.length.rounds[8]:
            entry = scenarios(prefix)[0].entries[0]
            server = self.servers.running[entry.server]
            contestant = self.customers.contestant(entry.name, server, entry.protocol, 1)
            rates[prefix] = max(rates[prefix], measure.burst(contestant, 8, self.length.seconds).rate)
        best = max(rates, key=lambda prefix: rates[prefix])
        told = ", ".join(f"{words[prefix]} {rate:.0f}/s" for prefix, rate in rates.items())
        self.found.notes.append(f"The naive peer's endpoints are {words[best]}, the faster of the two at 8: {told}.")
        return best

    def _agreeing(self, scenario: Scenario) -> Iterable[Contestant]:
        """Who gives the model's probabilities; who does not answer at all is noted. Raises Disagreement."""
        for contestant in scenario.contestants(self.servers.running, self.customers):
            place = f"{contestant.name} ({scenario.name})"
            try:
                self.found.differences[place] = contestant.difference()
            except RuntimeError as error:
                self.found.absent[place] = str(error)
            else:
                self._tally(contestant, len(contestant.bodies))
                yield contestant

    def _measure(self, scenario: Scenario, contestants: Sequence[Contestant]) -> None:
        for connections in scenario.connections:
            if connections in self.length.rounds:
                self.tell(f"{scenario.title}, {connections} at once")
                seen = measure.in_turn(contestants, connections, self.length.rounds[connections], self.length.seconds)
                self.found.series.append(Series(scenario.name, scenario.title, scenario.size, connections, seen))
                for contestant in contestants:
                    self._tally(contestant, seen[contestant.name].requests)

    def _pace(self, contestants: Sequence[Contestant]) -> None:
        """The naive peer and ours by id, at half of what each answered at most."""
        saturated = next(
            (one for one in self.found.series if (one.scenario, one.connections) == (SINGLE, _SATURATED_AT)), None
        )
        for contestant in contestants:
            if saturated is None or contestant.name not in (NAIVE, BY_ID):
                continue
            rate = saturated.measured[contestant.name].median("rate") / 2
            self.tell(f"{contestant.name}, paced at {rate:.0f} a second")
            seconds, rounds = self.length.seconds + 1, range(self.length.rounds[_SATURATED_AT])
            bursts = [measure.paced(contestant, PACED_CONNECTIONS, seconds, rate) for _ in rounds]
            self.found.paced.append(Paced(contestant.name, rate, bursts))
            self._tally(contestant, sum(burst.requests for burst in bursts))

    def _tally(self, contestant: Contestant, requests: int) -> None:
        self.asked[contestant.server.name] += contestant.size * requests

    def _count(self) -> None:
        """What ours says of itself, beside what the loaders saw."""
        for name in ("ours", "ours x2"):
            server = self.servers.running[name]
            said = ours.settled(server.http_port, server.headers)
            self.found.counts.append(Counts(name, self.asked[name], said))
        self.found.logged_rows = self.production.logged()
