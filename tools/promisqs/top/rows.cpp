// SPDX-License-Identifier: Apache-2.0

#include "top/rows.hpp"

#include "inspect/blocked.hpp"
#include "text/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace promisqs_tool {

namespace {

using seconds_of = std::chrono::duration<double>;

// A second in which the count went down, because a claimed message was given up, counts as one without any.
double rate(std::uint64_t before, std::uint64_t now, double seconds) {
    return now > before ? static_cast<double>(now - before) / seconds : 0;
}

std::string users_of(const watched_queue& of) {
    if (of.state == promisqs::queue_state::closed) return "closed";
    const participant_counts alive = count_participants(of, true);
    const participant_counts dead = count_participants(of, false);
    const std::size_t all_dead = dead.producers + dead.consumers + dead.both + dead.neither;
    std::string text = of.state == promisqs::queue_state::abandoned
                           ? "none"
                           : fmt::format("{}/{}", alive.producers + alive.both, alive.consumers + alive.both);
    if (alive.neither > 0) text += fmt::format("+{}", alive.neither);
    if (all_dead > 0) text += fmt::format(" -{}", all_dead);
    return text;
}

double in_of(const top_row& row) { return row.in.value_or(-1); }
double out_of(const top_row& row) { return row.out.value_or(-1); }

}  // namespace

void minute_trace::add(double fraction, std::chrono::steady_clock::time_point now) {
    const std::int64_t second = std::chrono::floor<std::chrono::seconds>(now.time_since_epoch()).count();
    const double part = std::clamp(fraction, 0.0, 1.0);
    const auto level = static_cast<std::uint8_t>(empty + static_cast<unsigned>(std::ceil(part * (full - empty))));
    constexpr auto all = static_cast<std::int64_t>(seconds);
    // Seconds between two looks were like the second look.
    for (std::int64_t one = std::max(latest_ < 0 ? second : latest_ + 1, second - all + 1); one <= second; ++one) {
        levels_[static_cast<std::size_t>(one % all)] = level;
    }
    std::uint8_t& last = levels_[static_cast<std::size_t>(second % all)];
    last = std::max(last, level);
    latest_ = second;
}

unsigned minute_trace::level(std::size_t column, std::size_t columns) const {
    unsigned highest = unknown;
    for (std::size_t i = column * seconds / columns; i < (column + 1) * seconds / columns; ++i) {
        // i seconds after the oldest one, which lies right after the latest one.
        const std::size_t place = (static_cast<std::size_t>(latest_ + 1) + i) % seconds;
        highest = std::max<unsigned>(highest, levels_[place]);
    }
    return highest;
}

std::string_view to_string(top_order order) noexcept {
    switch (order) {
        case top_order::name: return "name";
        case top_order::in: return "messages in";
        case top_order::out: return "messages out";
        case top_order::depth: return "depth";
        case top_order::stalled: return "stalled first";
    }
    return "name";
}

top_order next_order(top_order order) noexcept {
    return order == top_order::stalled ? top_order::name : static_cast<top_order>(static_cast<int>(order) + 1);
}

void top_rows::fill(remembered& into, const std::string& name, const watched_queue& from) {
    top_row& row = into.row;
    row.problem = printable(from.problem);
    row.in.reset();
    row.out.reset();
    row.note = who_blocks(name, from);
    row.is_stalled = is_stalled(from);
    if (!from.has_figures()) {
        into.object = 0;
        return;
    }
    const promisqs::queue_stats& figures = from.figures;
    const double passed = seconds_of(from.looked_at - into.when).count();
    if (into.object == from.object && passed > 0) {
        row.in = rate(into.pushed, figures.pushed, passed);
        row.out = rate(into.popped, figures.popped, passed);
    } else {
        row.trace = {};
    }
    into.object = from.object;
    into.when = from.looked_at;
    into.pushed = figures.pushed;
    into.popped = figures.popped;
    row.size = figures.size;
    row.capacity = figures.capacity;
    row.users = users_of(from);
    row.trace.add(row.fullness(), from.looked_at);
}

void top_rows::take(const queue_watch& seen) {
    std::erase_if(all_, [&](const auto& one) { return !seen.queues().contains(one.first); });
    for (const auto& [name, found] : seen.queues()) {
        remembered& known = all_[name];
        if (known.row.name.empty()) known.row.name = printable(name);
        fill(known, name, found);
    }
}

std::vector<const top_row*> top_rows::sorted(top_order order) const {
    std::vector<const top_row*> rows;
    rows.reserve(all_.size());
    for (const auto& one : all_) rows.push_back(&one.second.row);
    const auto by = [&](auto value) {
        std::stable_sort(rows.begin(), rows.end(), [&](const auto* a, const auto* b) { return value(*a) > value(*b); });
    };
    switch (order) {
        case top_order::name: break;
        case top_order::in: by(in_of); break;
        case top_order::out: by(out_of); break;
        case top_order::depth: by([](const top_row& row) { return row.problem.empty() ? row.fullness() : -1; }); break;
        case top_order::stalled: by([](const top_row& row) { return 2 * row.is_stalled + !row.note.empty(); }); break;
    }
    return rows;
}

}  // namespace promisqs_tool
