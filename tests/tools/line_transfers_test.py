#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests that bench/line_transfers.py counts what can be counted by hand. Run it: tests/tools/line_transfers_test.py"""

import pathlib
import subprocess
import sys
import unittest

BENCH = pathlib.Path(__file__).resolve().parent.parent.parent / "bench"
sys.path.insert(0, str(BENCH))
sys.dont_write_bytecode = True

from cache_lines import LAYOUTS, Caches, Slots  # noqa: E402
from line_transfers import HEAD, TAIL, Participant, Simulation, arguments  # noqa: E402

CAPACITY = 1024


def in_turns(layout, *options):
    """Transfers and upgrades per message, if the producer fills the queue, the consumer empties it, and so on."""
    simulation = Simulation(arguments([*options]), layout, 0, 0)
    participants = [Participant(simulation, 0, TAIL), Participant(simulation, 1, HEAD)]

    def run(participant):
        def moves():
            moved = yield from participant.textbook_moves(CAPACITY)
            simulation.popped += moved

        simulation.schedule(simulation.caches.now, moves(), participant.who, ("work", 0))
        while simulation.events:
            try:
                simulation.step()
            except StopIteration:
                pass

    for participant in participants:  # everything comes from memory
        run(participant)
    before = simulation.caches.transfers, simulation.caches.upgrades
    for participant in participants:
        run(participant)
    assert simulation.popped == 4 * CAPACITY
    return ((simulation.caches.transfers - before[0]) / CAPACITY, (simulation.caches.upgrades - before[1]) / CAPACITY)


class OneLine(unittest.TestCase):
    def setUp(self):
        self.caches = Caches(60)

    def access(self, who, write):
        """What an access takes, and moves."""
        caches = self.caches
        caches.now += 10000
        before = caches.transfers, caches.upgrades
        took = caches.access(who, "line", write, caches.now) - caches.now
        return took > 0, caches.transfers - before[0], caches.upgrades - before[1]

    def test_a_processor_alone_misses_once(self):
        self.assertEqual(self.access(0, True), (True, 1, 0))
        for write in (True, False, True):
            self.assertEqual(self.access(0, write), (False, 0, 0))

    def test_each_turn_of_a_ping_pong_is_one_transfer(self):
        for turn in range(10):
            self.assertEqual(self.access(turn % 2, True), (True, 1, 0))

    def test_what_was_written_comes_with_the_right_to_write(self):
        self.access(0, True)
        self.assertEqual(self.access(1, False), (True, 1, 0))
        self.assertEqual(self.access(1, True), (False, 0, 0))
        self.assertEqual(self.access(0, False), (True, 1, 0))

    def test_where_reads_share_a_write_makes_the_others_lose_their_copies(self):
        self.caches = Caches(60, migrates=False)
        self.access(0, True)
        self.assertEqual(self.access(1, False), (True, 1, 0))
        self.assertEqual(self.access(0, False), (False, 0, 0))
        self.assertEqual(self.access(1, True), (True, 0, 1))
        self.assertEqual(self.access(0, False), (True, 1, 0))

    def test_misses_of_one_line_come_one_after_the_other(self):
        ends = [self.caches.access(who, "line", True, 0) for who in range(8)]
        for first, second in zip(ends, ends[1:]):
            self.assertGreaterEqual(second, first + 60)

    def test_only_a_line_from_another_cluster_is_far(self):
        self.caches = Caches(60, far=600, cluster=2)
        self.access(0, True)
        for who, least, most in ((1, 60, 66), (2, 600, 660), (3, 60, 66)):
            self.caches.now += 10000
            took = self.caches.access(who, "line", True, self.caches.now) - self.caches.now
            self.assertTrue(least <= took <= most, took)

    def test_a_write_waits_for_the_farthest_copy(self):
        self.caches = Caches(60, far=600, cluster=2, migrates=False)
        for who in (0, 1, 2):
            self.access(who, False)
        self.caches.now += 10000
        self.assertGreaterEqual(self.caches.access(0, "line", True, self.caches.now) - self.caches.now, 600)

    def test_stores_become_visible_in_order(self):
        self.caches.access(0, "near", True, 0)
        far = self.caches.store(0, "missing", 1000)
        self.assertGreaterEqual(self.caches.store(0, "near", 1000), far)


class Layouts(unittest.TestCase):
    def test_each_ticket_of_a_lap_has_a_slot_of_its_own(self):
        for layout in LAYOUTS:
            slots = Slots(layout, CAPACITY)
            self.assertEqual(sorted(slots.index(ticket) for ticket in range(CAPACITY)), list(range(CAPACITY)), layout)

    def test_neighbours_share_a_line_only_where_they_are_packed(self):
        shared = {}
        for layout in ("packed", "swapped", "spread", "padded"):
            slots = Slots(layout, CAPACITY)
            lines = [slots.stamp_line(slots.index(ticket)) for ticket in range(CAPACITY)]
            shared[layout] = sum(one == other for one, other in zip(lines, lines[1:]))
        self.assertEqual(shared, {"packed": CAPACITY * 3 // 4, "swapped": 0, "spread": 0, "padded": 0})

    def test_a_payload_lies_where_its_layout_says(self):
        self.assertEqual(list(Slots("64at72", CAPACITY).payload_lines(1)), [1, 2])
        self.assertEqual(list(Slots("64at128", CAPACITY).payload_lines(1)), [2, 3])
        self.assertEqual(list(Slots("packed", CAPACITY).payload_lines(5)), [1])


class Queues(unittest.TestCase):
    def measure(self, layout, producers, consumers, *options):
        return Simulation(arguments([*options]), layout, producers, consumers).measure(2000)

    def test_in_turns_each_line_moves_there_and_back(self):
        self.assertEqual(in_turns("padded"), (2, 0))
        self.assertEqual(in_turns("packed"), (0.5, 0))
        self.assertEqual(in_turns("swapped"), (0.5, 0))
        self.assertEqual(in_turns("64at128"), (4, 0))
        self.assertEqual(in_turns("64at72"), (2.25, 0))

    def test_where_reads_share_each_side_needs_an_upgrade_too(self):
        self.assertEqual(in_turns("padded", "--sharing"), (2, 2))
        self.assertEqual(in_turns("packed", "--sharing"), (0.5, 0.5))

    def test_one_thread_that_does_both_moves_no_line(self):
        rate, transfers, upgrades, lost = self.measure("packed", 1, 0, "--call", "fill_and_drain")
        self.assertEqual((transfers, upgrades, lost), (0, 0, 0))
        self.assertGreater(rate, 20)

    def test_only_several_of_one_role_lose_claims(self):
        for call in ("waiting", "polled", "textbook"):
            self.assertEqual(self.measure("padded", 1, 1, "--call", call)[3], 0, call)
            self.assertGreater(self.measure("padded", 4, 1, "--call", call)[3], 0.1, call)
        self.assertEqual(self.measure("padded", 4, 4, "--call", "ticket")[3], 0)

    def test_backing_off_loses_fewer_claims(self):
        without, with_it = (self.measure("packed", 4, 4, "--back-off", most)[3] for most in ("0", "64"))
        self.assertLess(with_it, without / 2)

    def test_the_smallest_queue_works(self):
        self.assertGreater(self.measure("padded", 2, 2, "--capacity", "2")[0], 0)

    def test_no_more_is_popped_than_was_pushed_nor_more_kept_than_there_is_room_for(self):
        for call in ("waiting", "polled", "textbook"):
            simulation = Simulation(arguments(["--call", call, "--capacity", "8"]), "padded", 3, 3)
            simulation.measure(500)
            self.assertTrue(0 <= simulation.words[TAIL] - simulation.words[HEAD] <= 8, call)
            self.assertLessEqual(simulation.popped, simulation.words[HEAD])
            self.assertGreater(simulation.popped, 500)

    def test_one_seed_gives_one_result(self):
        results = [self.measure("packed", 2, 2, "--seed", seed) for seed in ("1", "1", "2")]
        self.assertEqual(results[0], results[1])
        self.assertNotEqual(results[0], results[2])


class Program(unittest.TestCase):
    def test_it_prints_a_row_for_each_layout_and_number(self):
        command = [sys.executable, "-B", BENCH / "line_transfers.py", "--pairs", "1,2", "--layouts", "packed,padded"]
        result = subprocess.run([*command, "--messages", "200"], capture_output=True, text=True, check=True)
        rows = [[cell.strip() for cell in line.split("|")[1:3]] for line in result.stdout.splitlines()[2:]]
        self.assertEqual(rows, [["1", "packed"], ["1", "padded"], ["2", "packed"], ["2", "padded"]])


if __name__ == "__main__":
    unittest.main()
