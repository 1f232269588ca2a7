#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests that tools/orders finds each kind of comment that it is to find. Run it: tests/tools/orders_test.py"""

import pathlib
import subprocess
import sys
import tempfile
import unittest

ORDERS = pathlib.Path(__file__).resolve().parent.parent.parent / "tools" / "orders"

GOOD = """
namespace promisqs::detail {
struct ring {
    void publish(std::uint64_t stamp) const noexcept {
        // The slot is ours.
        // [P1] release, pairs with [C1]: whoever reads full sees the message.
        // Relaxed would show the bytes of the lap before.
        stamp_.store(stamp, std::memory_order_release);
    }
    bool claim() const noexcept {
        // [C1] acquire, pairs with [P1] and [P2]: the message is whole. Relaxed would let the copy read old bytes.
        if (stamp_.load(std::memory_order_acquire) == 0) return false;
        // [C2] release (part of seq_cst), pairs with [R1]: the intent is seen. Relaxed would hide it. seq_cst: [W1].
        return head_.compare_exchange_strong(ticket, after, std::memory_order_seq_cst, std::memory_order_relaxed);
    }
    void give_up() const {
        stamp_.store(1, std::memory_order_release);  // [P2] as [P1]
        stamp_.store(1, std::memory_order_release);  // as [P1]
        count_.store(1, std::memory_order_relaxed);
    }
    void wait() const {
        // [W1] seq_cst, pairs with [W2]: one of the two sees the other. Acquire and release would let both miss.
        word_.load(std::memory_order_seq_cst);
        // [W2] heavy barrier, pairs with [W1]: the announcement is seen. Without it, both would miss.
        heavy_barrier();
    }
};
inline void recovery::run() {
    // [R1] acquire, pairs with [C2]: its intent is seen.
    // Relaxed would rob it.
    head().load(std::memory_order_acquire);
}
}
"""


class Orders(unittest.TestCase):
    def found(self, text, *arguments):
        """What is wrong with a header, by the tool's output."""
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "detail").mkdir()
            (folder / "detail" / "ring.hpp").write_text(text, encoding="utf-8")
            command = [sys.executable, ORDERS, folder / "detail", "--index", folder / "index.md", "--documents", folder]
            result = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
            self.index = (folder / "index.md").read_text(encoding="utf-8") if (folder / "index.md").exists() else ""
            self.assertEqual(result.returncode, 1 if result.stderr else 0, result.stderr)
            return result.stderr

    def complains(self, kind, old, new):
        self.assertEqual(GOOD.count(old), 1)
        self.assertIn(f"({kind})", self.found(GOOD.replace(old, new)))

    def test_comments_as_they_should_be_pass(self):
        self.assertEqual(self.found(GOOD), "")

    def test_the_index_has_label_place_operation_partner_why_and_what_breaks(self):
        self.found(GOOD)
        self.assertIn("C1 | ring.hpp: `claim` | load acquire | [P1](#P1), [P2](#P2) | The message is whole. Relaxed would",
                      self.index)
        self.assertIn("C2 | ring.hpp: `claim` | compare exchange seq_cst | [R1](#R1); seq_cst: [W1](#W1)", self.index)
        self.assertIn("P1 | ring.hpp: `publish`<br>ring.hpp: `give_up` | store release | ", self.index)
        self.assertIn("R1 | ring.hpp: `run` | ", self.index)
        self.assertIn("W2 | ring.hpp: `wait` | barrier | ", self.index)

    def test_an_order_without_a_label_is_found(self):
        self.complains("no label", "// [P2] as [P1]", "")

    def test_a_label_that_is_defined_twice_is_found(self):
        self.complains("defined twice", "// as [P1]", "// [P2] as [P1]")

    def test_a_label_alone_is_found(self):
        self.complains("bare label", "// as [P1]", "// [P1]")

    def test_a_partner_that_is_defined_nowhere_is_found(self):
        self.complains("unknown label", "pairs with [C1]", "pairs with [C9]")

    def test_a_label_that_is_defined_nowhere_is_found_in_any_comment(self):
        self.complains("unknown label", "// The slot is ours.", "// The slot is ours, by [C9].")

    def test_a_partner_that_does_not_name_back_is_found(self):
        self.complains("partner does not name back", "pairs with [C2]", "pairs with [C1]")

    def test_two_acquires_are_no_pair(self):
        acquire = GOOD.replace("[P1] release, pairs", "[P1] acquire, pairs").replace(
            "stamp_.store(stamp, std::memory_order_release)", "stamp_.load(std::memory_order_acquire)")
        self.assertIn("(orders that do not pair)", self.found(acquire))

    def test_an_order_that_is_not_the_one_in_the_code_is_found(self):
        self.complains("another order", "stamp_.store(stamp, std::memory_order_release)",
                       "stamp_.store(stamp, std::memory_order_seq_cst)")

    def test_an_order_without_what_breaks_is_found(self):
        self.complains("does not say what breaks", "// Relaxed would rob it.", "//")

    def test_a_seq_cst_without_a_reason_is_found(self):
        self.complains("seq_cst without a reason", " seq_cst: [W1].", "")

    def test_an_access_that_spells_no_order_is_found(self):
        self.complains("order not spelt", "count_.store(1, std::memory_order_relaxed)", "count_.store(1)")

    def test_a_label_away_from_any_access_is_found(self):
        self.complains("belongs to no access", "// The slot is ours.", "// [Q1] acquire, pairs with [P1]: so.\n\n")

    def test_an_index_that_is_not_what_the_comments_give_is_found(self):
        self.assertIn("(stale index)", self.found(GOOD, "--check"))


if __name__ == "__main__":
    unittest.main()
