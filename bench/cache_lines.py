# SPDX-License-Identifier: Apache-2.0
"""Cache lines, as line_transfers.py simulates them: what lies in them, and which processors have them.

Each processor has a cache of its own, without limit. A line is either one processor's, which may write to it, or is
shared by those that have read it. An access that the own cache can't serve is a miss. It is a *transfer* if the line
comes from elsewhere. It is an *upgrade* if the processor has a copy already, and only makes the others lose theirs.

Misses of one line are served one after the other, except those that read what is shared. A processor keeps a line that
another one has asked for until the request has reached it: half of the time that the line takes.

Who reads a line that its owner has written gets it as its own, and may write without a further miss. So it is on the
AMD EPYC on which the bench was run. With `migrates` false, the two share it.

Stores wait in a buffer, in order, while the processor goes on. How long a line takes varies a little, so that
processors do not march in step.
"""

import random

INFINITE = float("inf")
LINE = 64

# The bytes of an element, from slot to slot, and from slot to payload. How tickets are mapped to slots.
LAYOUTS = {
    "packed": (8, 16, 8, "next"),  # what promisqs has: four slots a line
    "swapped": (8, 16, 8, "swap"),  # a ticket's lowest bits change places, so that neighbours are in different lines
    "spread": (8, 16, 8, "far"),  # a line is used again only when all other lines have been
    "padded": (8, 64, 8, "next"),  # one slot a line
    "64at72": (64, 72, 8, "next"),
    "64at80": (64, 80, 8, "next"),
    "64at128": (64, 128, 8, "next"),
}


class Slots:
    def __init__(self, layout, capacity):
        self.size, self.stride, self.offset, self.mapping = LAYOUTS[layout]
        self.capacity = capacity
        self.each = max(1, LINE // self.stride)  # slots in a line
        self.lines = -(-capacity * self.stride // LINE)

    def index(self, ticket):
        index = ticket % self.capacity
        if self.mapping == "swap":
            low, high = index % self.each, index // self.each % self.each
            return index + (high - low) + (low - high) * self.each
        if self.mapping == "far":
            groups = self.capacity // self.each
            return index % groups * self.each + index // groups
        return index

    def stamp_line(self, index):
        return index * self.stride // LINE

    def payload_lines(self, index):
        begin = index * self.stride + self.offset
        return range(begin // LINE, (begin + self.size - 1) // LINE + 1)


class Span:
    """A time in which nobody's rights to a line change."""

    __slots__ = ("end", "owned", "written", "holders")

    def __init__(self, owned, written, holders):
        self.end = INFINITE
        self.owned = owned  # by its only holder, which may write
        self.written = written  # and has done so
        self.holders = holders  # processor: from when on


class Line:
    __slots__ = ("spans", "busy")

    def __init__(self):
        self.spans = [Span(False, False, {})]
        self.busy = 0  # until when nobody else is served


class Caches:
    """Where all lines are. Times are in nanoseconds, and never go back."""

    def __init__(self, near, far=None, cluster=None, migrates=True, seed=1):
        """A line takes `near` within a cluster of so many processors, else `far`; and up to a tenth more."""
        self.rng = random.Random(seed)
        self.near = near
        self.far = far or near
        self.cluster = cluster or 1 << 30
        self.migrates = migrates
        self.lines = {}
        self.drained = {}  # processor: when its last store is done
        self.now = 0
        self.transfers = self.upgrades = 0

    def distance(self, one, other):
        return self.near if one // self.cluster == other // self.cluster else self.far

    def access(self, who, name, write, when):
        """When a processor has a line, so that it can read it, or write to it."""
        line = self.lines.get(name)
        if line is None:
            line = self.lines[name] = Line()
        spans = line.spans
        while spans[0].end <= self.now:
            del spans[0]
        for span in spans:
            since = span.holders.get(who)
            if since is not None and (span.owned or not write):
                since = max(since, when)
                if since < span.end:
                    span.written = span.written or write
                    return since
        return self._miss(who, line, write, max(when, line.busy))

    def _miss(self, who, line, write, start):
        last = line.spans[-1]
        others = [holder for holder in last.holders if holder != who]
        if who in last.holders and not last.owned:
            self.upgrades += 1
        else:
            self.transfers += 1
        distances = [self.distance(who, other) for other in others] or [self.near]  # or from memory
        late = self.rng.uniform(1, 1.1)
        if not write and not last.owned and others:
            last.holders[who] = start + min(distances) * late
            return last.holders[who]
        taken = max(distances) * late  # all others must have lost it
        last.end = start + taken / 2
        line.busy = start + taken
        holders = {who: line.busy}
        shares = not write and others and not (self.migrates and last.written)
        if shares:
            holders[others[0]] = last.end
        line.spans.append(Span(not shares, write, holders))
        return line.busy

    def store(self, who, name, when):
        """When others can see a store that a processor makes now."""
        done = self.access(who, name, True, when)
        before = self.drained.get(who, 0)
        if before > done:  # an earlier store is not done, and the line may be lost meanwhile
            line = self.lines[name]
            if line.spans[-1].owned and who in line.spans[-1].holders:
                line.busy = max(line.busy, before)
            done = self.access(who, name, True, before)
        self.drained[who] = done
        return done
