"""A randomized model of the way from events to tables, which drives the sink's real fold and import decisions.

Two sources, two exports, in some histories replays beside them, mappers and sinks that are killed, frozen and woken
again between any two actions, envelopes repeated with other cuts and outcomes, transactions and POSTs whose outcome is
unknown. In the end each event must be in exactly one place for each export, and for each replay of it. `test_model.py`
runs it; `python tests/unit/sink/model.py SECONDS [FIRST_SEED]` runs it for long, and `... model.py trace SEED` prints
one history.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from itertools import count

from model_mapper import Mapper
from model_sink import Fenced, Shell
from model_world import MAX_EVENTS, MS_A_STEP, World

MAX_STEPS = 3_000
MAX_ZOMBIES = 3
AFTERMATH_STEPS = 100


class Simulation:
    """One seed's history: who acts when, who dies, and when the faults end."""

    def __init__(self, seed: int, *, tracing: bool = False) -> None:
        self.world = World(seed, tracing=tracing)
        choose = self.world.random
        self.chaos_steps = choose.choice((100, 200, 400))
        self.death = choose.choice((0.01, 0.02, 0.04))
        """Chance for each step that a process dies or freezes."""
        self.mappers = [Mapper(self.world, 0), Mapper(self.world, 1)]
        self.frozen_mappers: list[Mapper] = []
        self.sink: Shell | None = Shell(self.world, "S0")
        self.frozen_sinks: list[Shell] = []
        self.awake = False
        self.steps = 0
        self._sinks = 1

    def run(self) -> list[str]:
        """The violations of this history."""
        while not self.world.violations and not (
            self.steps % 16 == 0 and self.settled() and not self.wake_the_frozen()
        ):
            self.steps += 1
            self.world.now_ms += MS_A_STEP if self.world.chaos else 5 * MS_A_STEP
            if self.steps == self.chaos_steps:
                self.world.chaos = False
                self.world.tell("--- no more faults")
            if self.steps > MAX_STEPS:
                self.world.violated("STUCK after %d steps", self.steps)
            elif not self.world.chaos:
                self.finish()
            elif not self.disturb():
                self.act()
        if not self.world.violations:
            self.world.judge()
        return self.world.violations

    def disturb(self) -> bool:
        """Sometimes: an event, a new revision, a process that dies or freezes."""
        choose, world = self.world.random, self.world
        luck = choose.random()
        if luck < self.death / 2:
            self.replace_mapper(choose.randrange(2))
        elif luck < self.death:
            self.replace_sink()
        elif luck < self.death + 0.08:
            if sum(map(len, world.events)) < MAX_EVENTS:
                choose.choice(world.events).append(choose.random() < 0.15)
        elif luck < self.death + 0.1:
            world.replace_mapping(choose.choice(list(world.exports)))
        elif luck < self.death + 0.15:
            world.ask_for_retry()
        elif world.replaying and luck < self.death + 0.18:
            world.begin_replay()
        else:
            return False
        return True

    def replace_mapper(self, partition: int) -> None:
        if self.world.random.random() < 0.6:
            self.frozen_mappers = [*self.frozen_mappers, self.mappers[partition]][-MAX_ZOMBIES:]
        self.world.mapper_generation[partition] += 1
        self.mappers[partition] = Mapper(self.world, partition)
        self.world.tell("mapper of source %d is replaced", partition)

    def replace_sink(self) -> None:
        frozen = self.sink is not None and self.world.random.random() < 0.7
        if self.sink is not None and frozen:
            self.frozen_sinks = [*self.frozen_sinks, self.sink][-MAX_ZOMBIES:]
        self.world.sink_generation += 1
        self.world.tell("the sink is %s", "frozen" if frozen else "killed")
        self.start_sink()

    def start_sink(self) -> None:
        self.sink = Shell(self.world, f"S{self._sinks}")
        self._sinks += 1

    def act(self) -> None:
        """One action of one process or of Storage."""
        choose = self.world.random
        luck = choose.random()
        if luck < 0.05:
            self.world.run_job()
            self.world.take_command()
            self.deliver_late()
        elif luck < 0.25:
            choose.choice(self.mappers).step()
        elif luck < 0.3 and self.frozen_mappers:
            choose.choice(self.frozen_mappers).step()
        elif luck < 0.5 and self.frozen_sinks:
            self.step_frozen_sink(choose.choice(self.frozen_sinks))
        elif self.sink is not None:
            self.step_sink(self.sink)

    def finish(self) -> None:
        """Without faults: everybody who is awake goes on with what is left to do."""
        self.world.run_job()
        self.world.take_command()
        self.deliver_late()
        self.world.random.choice(self.mappers).step()
        for _ in range(4):
            if self.sink is not None:
                self.step_sink(self.sink)

    def deliver_late(self) -> None:
        """A POST that was delayed arrives."""
        if self.world.network and self.world.random.random() < 0.3:
            self.world.post(*self.world.network.pop(0))

    def step_sink(self, sink: Shell) -> None:
        """The rightful owner: when fenced, its group membership still holds, so it starts again (rule 11)."""
        try:
            sink.step()
        except Fenced:
            self.world.tell("%s is fenced", sink.name)
            self.on_fenced()

    def on_fenced(self) -> None:
        self.start_sink()

    def step_frozen_sink(self, sink: Shell) -> None:
        try:
            sink.step()
        except Fenced:
            self.world.tell("%s is fenced and gone", sink.name)
            self.frozen_sinks.remove(sink)

    def wake_the_frozen(self) -> bool:
        """Once, when all is done: those who are still frozen do what they had in mind. Whether there were any."""
        frozen = [*self.frozen_mappers, *self.frozen_sinks]
        if self.awake or not frozen:
            return False
        self.awake = True
        self.world.tell("--- the frozen wake")
        for _ in range(AFTERMATH_STEPS):
            if self.frozen_sinks:
                self.step_frozen_sink(self.world.random.choice(self.frozen_sinks))
            if self.frozen_mappers:
                self.world.random.choice(self.frozen_mappers).step()
        return True

    def settled(self) -> bool:
        """Whether faults are over and all work is done, by everybody who is still awake."""
        return not self.world.chaos and self.world.quiet() and self.sink is not None and self.sink.done()


def simulate(seed: int) -> list[str]:
    """Run one history; its violations, none if every rule holds."""
    return Simulation(seed).run()


def _watch(seconds: float, first_seed: int) -> int:
    end = time.monotonic() + seconds
    kinds: Counter[str] = Counter()
    seeds = 0
    for seed in count(first_seed):
        violations = simulate(seed)
        seeds += 1
        if violations:
            kinds.update({text.split()[0] for text in violations})
            sys.stdout.write(f"seed {seed}: {violations[:4]}\n")
        if time.monotonic() > end:
            break
    sys.stdout.write(f"{seeds} seeds from {first_seed}: {sum(kinds.values())} violations {dict(kinds)}\n")
    return 1 if kinds else 0


def _trace(seed: int) -> int:
    simulation = Simulation(seed, tracing=True)
    violations = simulation.run()
    sys.stdout.write("\n".join([*(simulation.world.trace or []), *violations, ""]))
    return 1 if violations else 0


if __name__ == "__main__":
    if sys.argv[1] == "trace":
        sys.exit(_trace(int(sys.argv[2])))
    sys.exit(_watch(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
