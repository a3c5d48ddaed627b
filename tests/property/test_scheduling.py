"""Clusters under any order of placements and releases, and the measure by which machines are chosen."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mainspring.compute.scheduling.cluster import Cluster
from mainspring.compute.scheduling.demands import WHOLE, Demand, Machine, Spot
from mainspring.compute.scheduling.fragments import Mix
from mainspring.compute.scheduling.placements import descend, find_at_random, fit_best

TYPES = ("A", "B")

machines = st.lists(
    st.tuples(st.integers(0, 8000), st.integers(0, 64), st.integers(0, 4), st.sampled_from(TYPES)),
    min_size=1,
    max_size=6,
).map(lambda found: [Machine(f"m{number}", *each) for number, each in enumerate(found)])

cores, memory, types = st.integers(0, 3000), st.integers(0, 16), st.sampled_from(((), ("A",), TYPES))
shares = st.tuples(cores, memory, st.just(1), st.sampled_from((1, 190, 500, 810, 999)), types, st.just(1))
wholes = st.tuples(cores, memory, st.integers(0, 4), st.just(WHOLE), types, st.integers(1, 3))
demands = st.one_of(shares, wholes).map(lambda found: Demand(*found))


class Placements(RuleBasedStateMachine):
    """A cluster beside a count of what was given, which knows nothing of how the cluster keeps its machines."""

    @precondition(lambda self: not hasattr(self, "cluster"))
    @rule(machines=machines, typical=st.lists(demands, max_size=5), fits=st.booleans())
    def begin(self, machines, typical, fits):
        self.machines = {each.name: each for each in machines}
        self.score = fit_best(machines) if fits else descend(Mix.of(typical))
        self.cluster = Cluster(machines, self.score)
        self.held = {}
        self.drained = set()
        self.number = 0

    @precondition(lambda self: hasattr(self, "cluster"))
    @rule(demand=demands)
    def place(self, demand):
        spots = self.cluster.find(demand)
        best = self.list_best(demand)
        if spots is None:
            assert len(best) < demand.nodes
            return
        assert len(best) >= demand.nodes
        found = [next(score for score, name, devices in best if (name, devices) == spot) for spot in spots]
        assert found == [score for score, *_ in best][: demand.nodes], "not the best machines"
        assert not {spot.machine for spot in spots} & self.drained
        self.number += 1
        self.cluster.place(str(self.number), demand, spots)
        self.held[str(self.number)] = (demand, spots)

    @precondition(lambda self: hasattr(self, "cluster") and self.held)
    @rule(data=st.data())
    def release(self, data):
        run_id = data.draw(st.sampled_from(sorted(self.held)))
        self.cluster.release(run_id)
        self.cluster.release(run_id)
        del self.held[run_id]

    @precondition(lambda self: hasattr(self, "cluster"))
    @rule(data=st.data(), drained=st.booleans())
    def drain(self, data, drained):
        name = data.draw(st.sampled_from(sorted(self.machines)))
        self.cluster.drain(name, drained=drained)
        (self.drained.add if drained else self.drained.discard)(name)

    @precondition(lambda self: hasattr(self, "cluster") and self.held)
    @rule(data=st.data())
    def refuse_twice(self, data):
        run_id = data.draw(st.sampled_from(sorted(self.held)))
        with pytest.raises(ValueError, match="cannot be placed"):
            self.cluster.place(run_id, *self.held[run_id])

    @invariant()
    def gives_no_more_than_there_is(self):
        if not hasattr(self, "cluster"):
            return
        total = 0
        for free in self.cluster:
            machine = self.machines[free.machine.name]
            given = [
                (demand, spot) for demand, spots in self.held.values() for spot in spots if spot.machine == machine.name
            ]
            assert free.cpu_milli == machine.cpu_milli - sum(demand.cpu_milli for demand, _ in given) >= 0
            assert free.memory_bytes == machine.memory_bytes - sum(demand.memory_bytes for demand, _ in given) >= 0
            for device in range(machine.gpus):
                taken = sum(demand.gpu_milli for demand, spot in given if device in spot.devices)
                assert free.devices[device] == WHOLE - taken >= 0
                total += taken
        assert self.cluster.allocated_gpu_milli == total

    def list_best(self, demand):
        """Rank every machine anew."""
        found = []
        for number, free in enumerate(self.cluster):
            if free.holds(demand):
                score, devices = min((self.score(free, demand, each), each) for each in free.list_choices(demand))
                found.append((score, number, free.machine.name, devices))
        return [(score, name, devices) for score, _, name, devices in sorted(found)]


TestPlacements = Placements.TestCase


@given(st.lists(demands, max_size=8), st.integers(0, 9000), st.lists(st.integers(0, WHOLE), max_size=4))
def test_no_more_is_stranded_than_is_free_and_none_of_what_fits(typical, cpu_milli, devices):
    stranded = Mix.of(typical).strand("A", cpu_milli, devices)
    assert -1e-6 <= stranded <= sum(devices) + 1e-6


@given(st.integers(1, 4), st.integers(0, 5000), st.integers(0, 5000))
def test_what_one_kind_of_run_cannot_use_is_stranded(gpus, cores, free_cores):
    times = min(4 // gpus, free_cores // cores if cores else 4)
    stranded = Mix({Demand(cores, gpus=gpus): 3.0}).strand("", free_cores, [WHOLE] * 4)
    assert stranded == pytest.approx((4 - times * gpus) * WHOLE)


def test_who_asks_for_no_device_strands_none_that_could_be_had_and_spares_the_machines_that_have_some():
    mix = Mix({Demand(4000, gpus=1): 1.0, Demand(4000): 5.0})
    cluster = Cluster([Machine("gpu", 8000, gpus=2), Machine("cpu", 8000)], descend(mix))
    assert cluster.find(Demand(4000)) == (Spot("cpu"),)


def test_a_part_of_a_device_goes_where_another_part_was_taken():
    mix = Mix({Demand(1000, gpus=1): 1.0, Demand(1000, gpus=1, gpu_milli=500): 1.0})
    cluster = Cluster([Machine("one", 64_000, gpus=4)], descend(mix))
    half = Demand(1000, gpus=1, gpu_milli=500)
    for run_id in ("a", "b"):
        spots = cluster.find(half)
        assert spots == (Spot("one", (0,)),)
        cluster.place(run_id, half, spots)
    assert cluster.find(half) == (Spot("one", (1,)),)


@given(machines, demands, st.integers())
def test_chance_chooses_only_what_holds_the_run(machines, demand, seed):
    cluster = Cluster(machines, fit_best(machines))
    demand = demand._replace(nodes=1)
    spots = find_at_random(cluster, demand, Random(seed))
    assert (spots is None) == (not cluster.could_hold(demand))
    if spots is not None:
        cluster.place("run", demand, spots)


def test_many_kinds_of_demand_and_many_changes_are_forgotten_and_found_again():
    machines = [Machine(f"m{number}", 10**9, gpus=0) for number in range(3)]
    cluster = Cluster(machines, fit_best(machines))
    for number in range(1500):
        demand = Demand(number)
        cluster.place(str(number), demand, cluster.find(demand))
    for number in range(1500):
        cluster.release(str(number))
    for _ in range(4000):
        cluster.place("again", Demand(1), cluster.find(Demand(1)))
        cluster.release("again")
    assert cluster.find(Demand(0)) is not None
    assert all(free.cpu_milli == 10**9 for free in cluster)
