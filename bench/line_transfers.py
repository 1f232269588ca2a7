#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Simulates a queue on up to 128 processors, and counts how often cache lines move.

cache_lines.py says how caches are modelled. A processor does one thing after the other, except that stores wait in a
buffer. A locked instruction waits until that buffer is empty. --ahead fetches lines before they are needed.

Not modelled: caches that are too small, links that are too narrow, the neighbour of a line that some processors fetch
along with it, hyper-threads, more threads than processors, sleeping. Misses of a line are served in the order in which
they come. Real processors overlap more, so they are faster: compare layouts, not figures with those of a machine.

    bench/line_transfers.py --pairs 1,4,16 --layouts packed,padded
    bench/line_transfers.py --layouts 64at72,64at128 --near 60 --far 230 --cluster 8
"""

import argparse
import heapq
import random
import sys

from cache_lines import LAYOUTS, Caches, Slots

TAIL, HEAD = -1, -2  # two words, each in a line of that name; all others are stamps
HIT, LOCKED, PAUSE = 1, 3, 26  # ns; a pause as measured on an AMD EPYC


class Participant:
    """A thread. Its methods are generators, which yield what the processor is to do."""

    def __init__(self, simulation, who, counter):
        self.simulation, self.who, self.counter = simulation, who, counter
        self.options, self.slots = simulation.options, simulation.slots
        self.last_idle = None
        self.patience = 1
        self.rng = random.Random(self.options.seed * 1000 + who)

    def look(self, ticket):
        """How the slot of a ticket is: 0, ready; less, not yet; more, no longer. And which one it is."""
        index = self.slots.index(ticket)
        stamp = yield "look", self.slots.stamp_line(index), index
        return stamp - ticket - (self.counter == HEAD), index

    def attempt(self):
        """As in ring_claims.hpp: a look at the counter and at a slot, one claim, one copy, one stamp."""
        ticket = yield "read", self.counter, self.counter
        state, index = yield from self.look(ticket)
        if state != 0:
            return False
        yield "work", HIT  # the intent, in a line of its own
        if (yield "claim", self.counter, self.counter, ticket) != ticket:
            yield "work", HIT
            yield from self.lose()
            return False
        yield from self.move(ticket, index)
        return True

    def move(self, ticket, index):
        self.patience = max(1, self.patience // 2)
        yield "copy", self.slots.payload_lines(index), self.counter == TAIL
        stamp = ticket + (1 if self.counter == TAIL else self.slots.capacity)
        yield "store", self.slots.stamp_line(index), index, stamp
        yield "work", HIT  # the wait word, which nobody writes while nobody sleeps

    def lose(self):
        self.simulation.lost += 1
        if self.options.back_off:
            self.patience = min(self.patience * 2, self.options.back_off)
            yield "work", self.rng.randint(1, self.patience) * PAUSE

    def moved(self):
        """How far the counter has come since the last call."""
        now = yield "read", self.counter, self.counter
        before, self.last_idle = self.last_idle, now
        return 1 if before is None else now - before

    def blocked(self):
        """As `resolve_push` and `resolve_pop` in ring.hpp: whether the other role has to do something first."""
        ticket = yield "read", self.counter, self.counter
        state, _ = yield from self.look(ticket)
        if state < 0:
            other = HEAD if self.counter == TAIL else TAIL
            yield "read", other, other
        return state < 0

    def waiting(self):
        """As `push_wait` and `pop_wait` with the policy `balanced`, while nobody sleeps."""
        if (yield from self.attempt()):
            return
        if (yield from self.moved()) > 1:
            yield "work", 64 * PAUSE
        while True:
            for _ in range(128):
                yield "work", PAUSE
                if (yield from self.attempt()):
                    return
            if (yield from self.attempt()):
                return
            yield from self.blocked()

    def polled(self):
        """As `push` and `pop` in a loop, with a pause between two calls."""
        while True:
            if (yield from self.attempt()):
                return
            if (yield from self.moved()) != 0:
                for _ in range(16):
                    yield "work", PAUSE
                    if (yield from self.attempt()):
                        return
            while not (yield from self.blocked()):
                if (yield from self.attempt()):
                    return
            yield "work", PAUSE

    def textbook_moves(self, most):
        """Moves so many messages, or fewer if the queue is full, or empty. Tries again at once after a lost claim."""
        done = 0
        while done < most:
            ticket = yield "read", self.counter, self.counter
            while True:
                state, index = yield from self.look(ticket)
                if state < 0:
                    return done
                if state > 0:
                    break
                found = yield "claim", self.counter, self.counter, ticket
                if found == ticket:
                    yield from self.move(ticket, index)
                    done += 1
                    break
                yield from self.lose()
                ticket = found
        return done

    def textbook(self):
        while (yield from self.textbook_moves(1)) == 0:
            yield "work", PAUSE

    def ticket(self):
        """A claim that can't be lost: a ticket by fetch-and-add, and then a wait for its slot."""
        ticket = yield "add", self.counter, self.counter
        while True:
            state, index = yield from self.look(ticket)
            if state == 0:
                break
            yield "work", PAUSE
        yield from self.move(ticket, index)

    def fill_and_drain(self):
        """All threads push, as the textbook has it, until the queue is full. Then all pop until it is empty."""
        moved = yield from self.textbook_moves(self.slots.capacity)
        if self.counter == HEAD:
            self.simulation.popped += moved
        self.simulation.arrived += 1
        threads = self.simulation.threads
        due = -(-self.simulation.arrived // threads) * threads
        while self.simulation.arrived < due:
            yield "work", HIT
        self.counter = HEAD if self.counter == TAIL else TAIL

    def run(self):
        call = getattr(self, self.options.call)
        yield "work", self.rng.uniform(0, 1000)
        while True:
            yield from call()
            if self.counter == HEAD and call != self.fill_and_drain:
                self.simulation.popped += 1
            yield "work", self.rng.uniform(0, 2 * self.options.work or 2)


class Simulation:
    def __init__(self, options, layout, producers, consumers):
        self.options = options
        self.slots = Slots(layout, options.capacity)
        self.caches = Caches(options.near, options.far, options.cluster, options.migrates, options.seed)
        self.words = {TAIL: 0, HEAD: 0, **{self.slots.index(i): i for i in range(options.capacity)}}
        self.popped = self.lost = self.arrived = self.sequence = 0
        self.threads = producers + consumers
        self.events = []
        # Producers and consumers take turns, so that each cluster has some of both.
        roles = sorted([(i, TAIL) for i in range(producers)] + [(i, HEAD) for i in range(consumers)])
        for who, (_, counter) in enumerate(roles):
            self.schedule(0, Participant(self, who, counter).run(), who, ("work", 0))

    def schedule(self, when, thread, who, action):
        self.sequence += 1
        heapq.heappush(self.events, (when, self.sequence, thread, who, action))

    def step(self):
        """Completes the next action, and begins the one that its thread wants then."""
        now, _, thread, who, action = heapq.heappop(self.events)
        self.caches.now = now
        kind = action[0]
        if kind == "visible":
            self.words[action[1]] = action[2]
            return
        if kind == "again":
            self.begin(now, thread, who, action[1])
            return
        found = self.words[action[2]] if kind in ("read", "look", "claim", "add") else None
        if kind == "add" or (kind == "claim" and found == action[3]):
            self.words[action[2]] += 1
        self.begin(now, thread, who, thread.send(found))

    def begin(self, now, thread, who, action):
        kind = action[0]
        access = self.caches.access
        if kind == "work":
            end = now + action[1]
        elif kind in ("read", "look"):
            end = access(who, action[1], False, now) + HIT
            for ahead in range(self.options.ahead if kind == "look" else 0):
                access(who, (action[1] + ahead + 1) % self.slots.lines, False, now)
        elif kind in ("claim", "add"):
            drained = self.caches.drained.get(who, 0)
            if drained > now:
                self.schedule(drained, thread, who, ("again", action))
                return
            end = access(who, action[1], True, now) + LOCKED
        elif kind == "copy" and action[2]:
            for line in action[1]:
                self.caches.store(who, line, now)
            end = now + HIT * len(action[1])
        elif kind == "copy":
            end = max(access(who, line, False, now) for line in action[1]) + HIT * len(action[1])
        else:
            visible = self.caches.store(who, action[1], now)
            self.schedule(visible, None, who, ("visible", action[2], action[3]))
            end = now + HIT
        self.schedule(end, thread, who, action)

    def counts(self):
        return self.caches.now, self.popped, self.caches.transfers, self.caches.upgrades, self.lost

    def measure(self, messages):
        """Million messages/s; and per message: transfers, upgrades, lost claims. A fifth more goes by before."""
        while self.popped < messages // 5:
            self.step()
        before = self.counts()
        while self.popped < before[1] + messages:
            self.step()
        took, moved, *rest = (now - then for now, then in zip(self.counts(), before))
        return [moved / took * 1000, *(each / moved for each in rest)]


def arguments(given=None):
    def numbers(text):
        return [int(each) for each in text.split(",")]

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=numbers, default=[1, 2, 4, 8, 16, 32, 64], help="threads a role")
    parser.add_argument("--layouts", default="packed,swapped,spread,padded", help="of " + ", ".join(LAYOUTS))
    parser.add_argument("--call", default="waiting",
                        choices=["waiting", "polled", "textbook", "ticket", "fill_and_drain"])
    parser.add_argument("--capacity", type=int, default=1024, help="slots, from 2 on; for swapped and spread, 16")
    parser.add_argument("--near", type=float, default=60, help="ns that a line takes")
    parser.add_argument("--far", type=float, help="the same between clusters")
    parser.add_argument("--cluster", type=int, help="processors in a cluster; all, if not given")
    parser.add_argument("--sharing", dest="migrates", action="store_false", help="see cache_lines.py")
    parser.add_argument("--ahead", type=int, default=0, help="lines to fetch behind the one that is looked at")
    parser.add_argument("--work", type=float, default=0, help="ns between two calls of a thread, on average")
    parser.add_argument("--back-off", type=int, default=0,
                        help="pauses at most after a lost claim, twice as many each time; promisqs makes none")
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(given)


def main():
    options = arguments()
    print("| threads a role | layout | million/s | transfers | upgrades | lost claims |")
    print("|---:|---|---:|---:|---:|---:|", flush=True)
    for pairs in options.pairs:
        for layout in options.layouts.split(","):
            consumers = 0 if options.call == "fill_and_drain" else pairs
            found = Simulation(options, layout, pairs, consumers).measure(options.messages)
            print(f"| {pairs} | {layout} | " + " | ".join(f"{each:.2f}" for each in found) + " |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
