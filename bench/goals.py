# SPDX-License-Identifier: Apache-2.0
"""What the queue is measured by: ratios of medians of the same group, with goals that were set before they were reached."""

import dataclasses

OURS = "promisqs"
RATE = "messages_per_s"
P50 = "p50_ns"


@dataclasses.dataclass
class Measure:
    text: str
    found: float | None
    direction: str  # ">": more is better; "<": less
    must: float
    stretch: float

    def verdict(self):
        better = (lambda limit: self.found >= limit) if self.direction == ">" else (lambda limit: self.found <= limit)
        return "stretch" if better(self.stretch) else "met" if better(self.must) else "**missed**"


def ratio(group, figure, one, other):
    if not group:
        return None
    first, second = group.cell(one, figure), group.cell(other, figure)
    return first.median / second.median if first and second and second.median else None


def best(group, figure, names):
    cells = [(c.median, n) for n in names if (c := group.cell(n, figure))] if group else []
    return max(cells)[1] if cells else None


class Measures:
    """All of them, at one distance between the processors. What was not measured there has nothing in `found`."""

    def __init__(self, results):
        self.results = results
        self.all = []
        for part in (self.uncontended, self.streams, self.latencies, self.declared, self.batches, self.topologies,
                     self.one_processor, self.memory, self.in_place, self.waiting, self.other_ways, self.robustness,
                     self.wake_ups):
            part()

    def add(self, text, found, direction, must, stretch):
        self.all.append(Measure(text, found, direction, must, stretch))

    def one_to_one(self, size, one, other):
        return ratio(self.results.find("one_to_one", size=size), RATE, one, other)

    def one_way(self, size, one, other):
        return ratio(self.results.find("one_way_latency", size=size), P50, one, other)

    def uncontended_ratio(self, found, kind, one, other):
        first, second = found.get(f"uncontended/{kind}/{one}"), found.get(f"uncontended/{kind}/{other}")
        return first["cpu_time"] / second["cpu_time"] if first and second else None

    def uncontended(self):
        for compiler, found in self.results.uncontended.items():
            for call, how in (("", "inlined"), ("_called", "not inlined")):
                for kind in ("number", "8B", "16B", "24B", "64B", "256B", "1024B"):
                    name = kind if kind == "number" else f"{kind[:-1]} B"
                    self.add(f"uncontended, {name}, {how}, {compiler}: `push` + `pop()` ÷ `push` + `try_pop`",
                             self.uncontended_ratio(found, kind, f"promisqs_pop{call}", f"promisqs{call}"), "<", 1.05, 1.0)
            for size in (8, 64):
                self.add(f"uncontended, {size} B, {compiler}: `untyped_queue` ÷ `shmem_queue`",
                         self.uncontended_ratio(found, f"{size}B", "promisqs_untyped", OURS), "<", 1.3, 1.1)
            for size, must, stretch in ((8, 1.15, 1.0), (64, 1.0, 0.95), (1024, 1.0, 0.95), (8192, 0.9, 0.85)):
                self.add(f"uncontended, {size} B, {compiler}: `push` + `try_pop` ÷ vyukov_padded",
                         self.uncontended_ratio(found, f"{size}B", OURS, "vyukov_padded"), "<", must, stretch)

    def streams(self):
        for one, call in (("promisqs_polled", "`try_pop`"), ("promisqs_pop", "`pop()`")):
            for other, must, stretch in (("bare_ring", 1.0, 1.3), ("vyukov_padded", 1.0, 1.1), ("spin_lock", 7, 10)):
                self.add(f"one to one, 8 B, polled by {call} ÷ {other}", self.one_to_one(8, one, other), ">", must, stretch)
            for size, must, stretch in ((64, 0.95, 1.2), (256, 1.0, 1.2), (1024, 1.1, 1.5), (8192, 0.95, 1.1)):
                self.add(f"one to one, {size} B, polled by {call} ÷ bare_ring", self.one_to_one(size, one, "bare_ring"),
                         ">", must, stretch)

    def latencies(self):
        for one, call in (("promisqs_polled", "`try_pop`"), ("promisqs_pop", "`pop()`")):
            for size, other, must, stretch in ((8, "bare_line", 1.1, 1.0), (64, "vyukov_padded", 1.05, 1.0),
                                               (1024, "vyukov_padded", 1.0, 0.95), (8192, "vyukov_padded", 1.0, 0.95)):
                self.add(f"p50 one way, {size} B, polled by {call} ÷ {other}", self.one_way(size, one, other), "<", must, stretch)
            self.add(f"p50 one way, 8 B, polled by {call} ÷ waiting", self.one_way(8, one, OURS), "<", 1.3, 1.05)

    def declared(self):
        for size, must, stretch in ((8, 3, 4), (64, 1.5, 2)):
            self.add(f"declared one to one, {size} B, `stream` ÷ bare_ring",
                     self.one_to_one(size, "promisqs_declared_stream", "bare_ring"), ">", must, stretch)

    def batches(self):
        for size, must, stretch in ((8, 4, 6), (64, 1.4, 2.4)):
            ones, many = (self.results.find("batches", size=size, batch=batch) for batch in (1, 32))
            self.add(f"batches of 1, {size} B ÷ single messages", ratio(ones, RATE, OURS, "promisqs_single"), ">", 0.9, 1.0)
            self.add(f"batches of 32, {size} B ÷ bare_ring", ratio(many, RATE, OURS, "bare_ring"), ">", must, stretch)

    def topologies(self):
        for producers, consumers in ((2, 2), (4, 4), (4, 1), (1, 4)):
            group = self.results.find("topologies", producers=producers, consumers=consumers)
            other = best(group, RATE, ["vyukov_packed", "vyukov_padded"])
            self.add(f"{producers} to {consumers}, 8 B, by attempts ÷ textbook ring", ratio(group, RATE, OURS, other), ">", 1.0, 1.2)
        four = self.results.find("topologies", producers=4, consumers=4)
        libraries = ["atomic_queue", "boost_lockfree", "boost_message_queue", "boost_message_queue_waiting", "posix_mq_waiting",
                     "rte_ring", "spin_lock"]
        ours, other = best(four, RATE, [OURS, "promisqs_waiting", "promisqs_friendly_waiting"]), best(four, RATE, libraries)
        self.add("4 to 4, 8 B, the best way to wait ÷ the best of the libraries", ratio(four, RATE, ours, other), ">", 1.2, 3)
        slowest = four.cell(ours, "slowest_window_of_median") if ours else None
        self.add("4 to 4, slowest 25 ms ÷ median", slowest.median if slowest else None, ">", 0.0, 0.3)

    def one_processor(self):
        group = self.results.find("on_one_processor")
        peers = [n for n in group.names() if not n.endswith("_waiting") and n != OURS] if group else []
        self.add("both on one processor, default policy ÷ the best of those that yield",
                 ratio(group, RATE, "promisqs_waiting", best(group, RATE, peers)), ">", 0.95, 1.0)
        ours = best(group, RATE, [OURS, "promisqs_waiting", "promisqs_friendly_waiting"])
        self.add("both on one processor, the best way to wait ÷ pipe", ratio(group, RATE, ours, "pipe_waiting"), ">", 25, 35)

    def memory(self):
        for size, must, stretch in ((8, 16, 16), (64, 80, 72)):
            self.add(f"bytes for a message of {size}", self.results.bytes_for_a_message.get(str(size)), "<", must, stretch)

    def in_place(self):
        for size, must, stretch in ((1024, 1.0, 1.2), (8192, 1.2, 1.8)):
            self.add(f"made and used in place ÷ copied, {size} B",
                     ratio(self.results.find("fresh", size=size), RATE, "promisqs_in_place", OURS), ">", must, stretch)

    def waiting(self):
        for one, how in ((OURS, "waiting"), ("promisqs_stream", "waiting, `stream`")):
            for other, must, stretch in (("bare_ring", 1.5, 2), ("vyukov_padded", 3, 4), ("spin_lock", 10, 15)):
                self.add(f"one to one, 8 B, {how} ÷ {other}", self.one_to_one(8, one, other), ">", must, stretch)
        for one, how, must, stretch in (("promisqs_latency", "`lowest_latency`", 0.6, 0.75), ("promisqs_stream", "`stream`", 0.9, 1.2)):
            self.add(f"one to one, 64 B, waiting, {how} ÷ bare_ring", self.one_to_one(64, one, "bare_ring"), ">", must, stretch)
        for other, must, stretch in (("bare_line", 1.9, 1.6), ("vyukov_padded", 0.8, 0.7)):
            self.add(f"p50 one way, 8 B, waiting ÷ {other}", self.one_way(8, "promisqs_latency", other), "<", must, stretch)
        way = self.results.find("one_way_latency", size=8)
        cells = [way.cell("promisqs_latency", figure) for figure in ("p99_ns", P50)] if way else [None]
        self.add("p99 ÷ p50, 8 B, waiting", cells[0].median / cells[1].median if all(cells) else None, "<", 2, 1.7)

    def other_ways(self):
        for other, must, stretch in (("spin_lock", 2, 2.5), ("iceoryx", 12, 15), ("pipe", 200, 250), ("unix_socket", 280, 340),
                                     ("tcp_socket", 370, 450), ("dbus", 1000, 1300)):
            self.add(f"p50 one way, 8 B, {other} ÷ promisqs", self.one_way(8, other, "promisqs_latency"), ">", must, stretch)

    def robustness(self):
        for size, must, stretch in ((64, 0.97, 0.99), (8, 0.88, 0.97)):
            self.add(f"ring ÷ the same without intents, {size} B", self.one_to_one(size, "ring", "ring_without_intents"),
                     ">", must, stretch)
        self.add("p50 of the ring ÷ the same without intents, 8 B", self.one_way(8, "ring", "ring_without_intents"), "<", 1.06, 1.0)
        self.add("ring ÷ the same without looking for sleepers, 8 B", self.one_to_one(8, "ring", "ring_without_sleepers"),
                 ">", 0.85, 0.97)

    def wake_ups(self):
        for processors, must, stretch in (("one", 1.15, 1.05), ("two", 1.1, 1.0)):
            group = self.results.find("wake_up", processors=processors)
            text = f"wake-up on {processors} processor" + ("s" if processors == "two" else "")
            self.add(f"{text}, asleep at once ÷ bare_futex", ratio(group, P50, "promisqs_at_once_asleep", "bare_futex"), "<", must, stretch)
            self.add(f"{text}, having looked first ÷ bare_futex_after_looking",
                     ratio(group, P50, OURS, "bare_futex_after_looking"), "<", must, stretch)
