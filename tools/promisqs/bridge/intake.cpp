// SPDX-License-Identifier: Apache-2.0

#include "bridge/intake.hpp"

#include "bridge/recorded_push.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>

namespace promisqs_tool {

namespace {

bool is_done(delivery_state state) noexcept {
    return state == delivery_state::pushed || state == delivery_state::confirmed;
}

}  // namespace

intake::decision intake::decide(const delivery& of) {
    record_.update_peers();
    delivery_table table = record_.table();
    if (const auto known = decide_by_own(table, of)) return *known;
    if (is_acknowledged(of)) return {answer::duplicate, std::nullopt};
    const auto at = hold(table, of);
    if (!at) return {answer::not_now, std::nullopt};
    // Sequentially consistent, pairs with itself in another bridge: of two that hold the same message at the same time,
    // one at least sees what the other one has written. Weaker, both could miss it, and push.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const delivery_state elsewhere = state_elsewhere(of);
    if (elsewhere == delivery_state::unknown) return {answer::to_push, at};
    table.forget(*at);
    return {is_done(elsewhere) ? answer::duplicate : answer::not_now, std::nullopt};
}

// The floor can't rise before what is oldest has come again, and some servers raise it only once nothing is left that was
// delivered and not acknowledged. So there is always room for what comes again, be it what was refused here.
std::optional<delivery_table::place> intake::hold(delivery_table& table, const delivery& of) {
    if (lacks_room() && of.deliveries == 1) return std::nullopt;
    constexpr std::uint64_t long_waiting = 3;
    auto at = table.hold(of, record_.floor());
    if (!at && of.deliveries >= long_waiting) {
        at = table.hold(of, std::numeric_limits<std::uint64_t>::max());
        if (at) record_.counters().uncertain.fetch_add(1, std::memory_order_relaxed);
    }
    if (at) ++taken_;
    return at;
}

// A server that was killed can have lost all that it knew of a consumer. Then it delivers from the beginning.
bool intake::is_acknowledged(const delivery& of) const {
    const auto& peers = record_.peers();
    return record_.file().is_below_floor(of) ||
           std::any_of(peers.begin(), peers.end(), [&](const record_file& one) { return one.is_below_floor(of); });
}

std::optional<intake::decision> intake::decide_by_own(delivery_table& table, const delivery& of) const {
    const auto at = table.find(of);
    if (!at) return std::nullopt;
    if (is_done(table.state_at(*at))) return decision{answer::duplicate, at};
    table.renew(*at, of);
    return decision{answer::held, at};
}

// `held` stands for `pushing`, too.
delivery_state intake::state_elsewhere(const delivery& of) {
    delivery_state found = delivery_state::unknown;
    for (const record_file& peer : record_.peers()) {
        const delivery_state state = state_at_peer(peer, of);
        if (is_done(state)) return state;
        if (state != delivery_state::unknown) found = delivery_state::held;
    }
    return found;
}

delivery_state intake::state_at_peer(const record_file& peer, const delivery& of) {
    if (!peer.has_table()) return delivery_state::unknown;
    delivery_table table = peer.table();
    const delivery_state state = table.state_of(of);
    if (state == delivery_state::unknown || is_done(state) || peer.is_owned()) return state;
    // The other bridge is dead: it will not push it any more.
    if (!peer.is_named()) return delivery_state::unknown;
    if (!peer.lock()) return state;  // its successor comes
    constexpr std::chrono::seconds patience(5);
    record_.counters().uncertain.fetch_add(settle_pushes(queue_, peer, patience), std::memory_order_relaxed);
    const auto at = table.find(of);
    const bool is_pushed = at && is_done(table.state_at(*at));
    if (at && !is_pushed) table.forget(*at);
    peer.unlock();
    return is_pushed ? delivery_state::pushed : delivery_state::unknown;
}

}  // namespace promisqs_tool
