// SPDX-License-Identifier: Apache-2.0

#include "bridge/recorded_push.hpp"

#include "system/interruption.hpp"

#include <poll.h>

#include <algorithm>

namespace promisqs_tool {

// A recovery counts before it makes a tombstone, and takes that back if there is none to be made. A tally that is too
// high would make a push that failed look as if it had succeeded: the message would be lost. One that is too low makes
// it come twice at most.
void note_tally(promisqs::untyped_queue& queue, const bridge_record& record) {
    const auto before = queue.stats();
    const auto after = queue.stats();
    const bool is_sure = !before.being_recovered && !after.being_recovered && before.tombstones == after.tombstones;
    const std::uint64_t known = record.tally().load(std::memory_order_relaxed);
    if (is_sure)
        record.tally().store(after.tombstones, std::memory_order_release);
    else if (after.tombstones < known)
        record.tally().store(after.tombstones, std::memory_order_release);
}

bool recover_all(promisqs::untyped_queue& queue, std::chrono::milliseconds patience) {
    const auto end = std::chrono::steady_clock::now() + patience;
    for (;;) {
        static_cast<void>(queue.recover());
        const auto found = queue.stats().participants;
        if (std::all_of(found.begin(), found.end(), [](const auto& one) { return one.alive; })) return true;
        if (std::chrono::steady_clock::now() >= end || is_interrupted()) return false;
        constexpr int pause = 5;  // milliseconds
        ::pollfd interrupted{interruption_descriptor(), POLLIN, 0};
        static_cast<void>(::poll(&interrupted, 1, pause));
    }
}

std::uint64_t settle_pushes(promisqs::untyped_queue& queue, const record_file& left,
                            std::chrono::milliseconds patience) {
    if (!left.has_table()) return 0;
    delivery_table table = left.table();
    std::uint64_t uncertain = 0;
    for (const auto at : table.unsettled()) {
        if (table.state_at(at) != delivery_state::pushing) continue;
        const bool all_known = recover_all(queue, patience);
        const std::uint64_t tally = left.header().tally.load(std::memory_order_acquire);
        const std::uint64_t now = queue.stats().tombstones;
        // Of one tombstone, it is the cause, or another producer is. Of none, it is pushed for sure.
        const bool is_pushed = all_known && now == tally;
        const bool is_certain = is_pushed || (all_known && now == tally + 1);
        if (!is_certain) ++uncertain;
        table.set(at, is_pushed ? delivery_state::pushed : delivery_state::held);
    }
    return uncertain;
}

}  // namespace promisqs_tool
