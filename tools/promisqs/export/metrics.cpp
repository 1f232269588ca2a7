// SPDX-License-Identifier: Apache-2.0

#include "export/metrics.hpp"

#include "bridge/bridge_look.hpp"
#include "text/text.hpp"

#include <promisqs/version.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace promisqs_tool {

namespace {

double seconds(std::chrono::nanoseconds time) { return std::chrono::duration<double>(time).count(); }

std::string escaped(std::string_view value) {
    std::string result;
    for (const char c : value) {
        if (c == '\\' || c == '"') result += '\\';
        result += c == '\n' ? std::string_view("\\n") : std::string_view(&c, 1);
    }
    return result;
}

/// The text, a metric after the other.
class exposition {
public:
    explicit exposition(const queue_watch& seen) {
        // Printable first: what `ls` shows, and UTF-8, as the format wants it.
        for (const auto& [name, one] : seen.queues()) {
            if (one.state) queues_.push_back({escaped(printable(name)), name, &one});
        }
    }

    struct labelled {
        std::string label;
        std::string name;
        const watched_queue* queue;
    };
    [[nodiscard]] const std::vector<labelled>& queues() const noexcept { return queues_; }

    void begin(std::string_view metric, std::string_view type, std::string_view help) {
        metric_ = metric;
        fmt::format_to(std::back_inserter(text_), "# HELP {} {}\n# TYPE {} {}\n", metric, help, metric, type);
    }
    template <class Value>
    void lone(std::string_view labels, Value value) {
        fmt::format_to(std::back_inserter(text_), "{}{} {}\n", metric_, labels, value);
    }
    /// \param more  further labels, with a comma before them
    template <class Value>
    void sample(const labelled& of, std::string_view more, Value value) {
        fmt::format_to(std::back_inserter(text_), "{}{{queue=\"{}\"{}}} {}\n", metric_, of.label, more, value);
    }
    /// A sample for each queue that has figures.
    template <class ValueOf>
    void each(std::string_view metric, std::string_view type, std::string_view help, ValueOf value_of) {
        begin(metric, type, help);
        for (const labelled& one : queues_) {
            if (one.queue->has_figures()) sample(one, "", value_of(*one.queue));
        }
    }
    [[nodiscard]] std::string take() { return std::move(text_); }

private:
    std::vector<labelled> queues_;
    std::string metric_;
    std::string text_;
};

void add_states(exposition& out) {
    using enum promisqs::queue_state;
    out.begin("promisqs_queue_state", "gauge", "1 for the state that the queue is in, 0 for the others.");
    for (const auto& one : out.queues()) {
        for (const auto state : {in_use, abandoned, closed, unfinished, other_layout, corrupt, not_a_queue}) {
            const std::string label = fmt::format(",state=\"{}\"", to_string(state));
            out.sample(one, label, one.queue->state == state ? 1 : 0);
        }
    }
}

void add_participants(exposition& out) {
    out.begin("promisqs_participants", "gauge",
              "Threads that use the queue, by what they have done so far, and whether they live.");
    for (const auto& one : out.queues()) {
        if (!one.queue->has_figures()) continue;
        for (const bool alive : {true, false}) {
            const participant_counts all = count_participants(*one.queue, alive);
            const std::array<std::pair<std::string_view, std::size_t>, 4> roles{
                {{"producer", all.producers}, {"consumer", all.consumers}, {"both", all.both}, {"none", all.neither}}};
            for (const auto& [role, count] : roles) {
                out.sample(one, fmt::format(R"(,role="{}",alive="{}")", role, alive), count);
            }
        }
    }
}

void add_stalls(exposition& out) {
    out.begin("promisqs_stall_seconds", "gauge",
              "For how long, at least, consumers have waited for a push in progress, or producers for a pop; else 0.");
    const auto lasting = [](const std::optional<promisqs::stall>& one) { return one ? seconds(one->at_least) : 0; };
    for (const auto& one : out.queues()) {
        if (!one.queue->has_figures()) continue;
        out.sample(one, R"(,waiting="consumers")", lasting(one.queue->figures.head));
        out.sample(one, R"(,waiting="producers")", lasting(one.queue->figures.tail));
    }
}

double longest(const watched_queue& of, std::optional<promisqs::held_messages> promisqs::participant_look::*claim) {
    std::chrono::nanoseconds result{0};
    for (const auto& one : of.participants) {
        if (const auto& held = one.*claim) result = std::max(result, held->at_least);
    }
    return seconds(result);
}

void add_held(exposition& out) {
    out.begin("promisqs_held_seconds", "gauge",
              "For how long, at least, a participant has been in the middle of one push, or one pop; else 0.");
    for (const auto& one : out.queues()) {
        if (!one.queue->has_figures()) continue;
        out.sample(one, R"(,operation="push")", longest(*one.queue, &promisqs::participant_look::push));
        out.sample(one, R"(,operation="pop")", longest(*one.queue, &promisqs::participant_look::pop));
    }
}

void add_gauges(exposition& out) {
    using queue = watched_queue;
    out.each("promisqs_queue_messages", "gauge", "Messages that wait.",
             [](const queue& one) { return one.figures.size; });
    out.each("promisqs_queue_capacity_messages", "gauge", "The most messages that can wait.",
             [](const queue& one) { return one.figures.capacity; });
    out.each("promisqs_queue_memory_bytes", "gauge", "The size of the shared memory object.",
             [](const queue& one) { return one.bytes; });
    out.each("promisqs_queue_element_bytes", "gauge", "The size of a message.",
             [](const queue& one) { return one.element_size; });
    out.each("promisqs_queue_participants_limit", "gauge", "The most participants at once.",
             [](const queue& one) { return one.most_participants; });
    out.each("promisqs_queue_created_timestamp_seconds", "gauge", "When the queue was created, as Unix time.",
             [](const queue& one) { return seconds(one.created_at.time_since_epoch()); });
    out.each("promisqs_queue_closed", "gauge", "1 if nothing more can be pushed, else 0.",
             [](const queue& one) { return one.figures.closed ? 1 : 0; });
    out.each("promisqs_queue_being_recovered", "gauge",
             "1 while a process recovers what the dead have left, else 0. If it stays 1, that process is stopped.",
             [](const queue& one) { return one.figures.being_recovered ? 1 : 0; });
}

// A bridge, with its labels.
struct labelled_bridge {
    std::string labels;
    bridge_look look;
};

// Those that run, of the queues that were looked at. Several may do the same work, or work of the same names with two
// servers: the names of their records tell them apart.
std::vector<labelled_bridge> running_bridges(const queue_watch& seen) {
    std::vector<labelled_bridge> found;
    for (bridge_look& one : look_at_bridges()) {
        if (!one.is_alive || !seen.queues().contains(one.queue)) continue;
        const auto label = [](std::string_view text) { return escaped(printable(text)); };
        const bool is_out = one.direction == bridge_direction::out;
        std::string labels =
            fmt::format(R"({{queue="{}",direction="{}",stream="{}",{}="{}",bridge="{}"}})", label(one.queue),
                        to_string(one.direction), label(one.stream), is_out ? "subject" : "consumer", label(one.target),
                        label(std::string_view(one.record).substr(one.record.find('.') + 1)));
        found.push_back({std::move(labels), std::move(one)});
    }
    return found;
}

void add_bridges(exposition& out, const queue_watch& seen) {
    const auto all = running_bridges(seen);
    const auto add = [&](std::string_view name, std::string_view type, std::string_view help, const auto& value_of) {
        out.begin(name, type, help);
        for (const auto& [labels, look] : all) out.lone(labels, value_of(look));
    };
    using bridge = bridge_look;
    add("promisqs_bridge_in_messages_total", "counter", "Messages that the bridge has taken from where they come.",
        [](const bridge& one) { return one.in; });
    add("promisqs_bridge_out_messages_total", "counter", "Messages that have arrived where the bridge brings them.",
        [](const bridge& one) { return one.out; });
    add("promisqs_bridge_in_flight_messages", "gauge", "Messages under way: taken, and not yet done with.",
        [](const bridge& one) { return one.in_flight; });
    add("promisqs_bridge_duplicates_total", "counter", "Messages that had arrived before, and were dropped.",
        [](const bridge& one) { return one.duplicates; });
    add("promisqs_bridge_uncertain_total", "counter", "Messages that may have arrived twice.",
        [](const bridge& one) { return one.uncertain; });
    add("promisqs_bridge_errors_total", "counter", "Messages that were refused, or do not fit.",
        [](const bridge& one) { return one.errors; });
    add("promisqs_bridge_reconnects_total", "counter", "Connections after the first one.",
        [](const bridge& one) { return one.reconnects; });
    add("promisqs_bridge_connected", "gauge", "1 while the bridge is connected to a server, else 0.",
        [](const bridge& one) { return one.is_connected ? 1 : 0; });
    add("promisqs_bridge_started_timestamp_seconds", "gauge", "When the bridge was started, as Unix time.",
        [](const bridge& one) { return seconds(std::chrono::nanoseconds(one.started_at)); });
}

}  // namespace

void metrics::remember(const queue_watch& seen) {
    std::erase_if(totals_, [&](const auto& one) { return !seen.queues().contains(one.first); });
    for (const auto& [name, one] : seen.queues()) {
        if (!one.has_figures()) continue;
        totals& known = totals_[name];
        if (known.object != one.object) known = {.object = one.object};
        known.pushed = std::max(known.pushed, one.figures.pushed);
        known.popped = std::max(known.popped, one.figures.popped);
        known.tombstones = std::max(known.tombstones, one.figures.tombstones);
        known.redelivered = std::max(known.redelivered, one.figures.redelivered);
        known.dropped = std::max(known.dropped, one.figures.dropped);
    }
}

std::string metrics::text(const queue_watch& seen) {
    remember(seen);
    exposition out(seen);
    const auto add_total = [&](std::string_view name, std::string_view help, std::uint64_t totals::*which) {
        out.begin(name, "counter", help);
        for (const auto& one : out.queues()) {
            if (one.queue->has_figures()) out.sample(one, "", totals_[one.name].*which);
        }
    };
    add_total("promisqs_messages_pushed_total", "Messages pushed.", &totals::pushed);
    add_total("promisqs_messages_popped_total", "Messages popped, without those dropped.", &totals::popped);
    add_total("promisqs_messages_dropped_total", "Poison messages, which have killed too many consumers.",
              &totals::dropped);
    add_total("promisqs_messages_redelivered_total", "Messages given back, because their consumer died.",
              &totals::redelivered);
    add_total("promisqs_tombstones_total", "Places given up, because their producer died or threw.",
              &totals::tombstones);
    add_gauges(out);
    add_participants(out);
    add_stalls(out);
    add_held(out);
    add_states(out);
    add_bridges(out, seen);
    out.begin("promisqs_queues", "gauge", "Queues that were looked at.");
    out.lone("", out.queues().size());
    out.begin("promisqs_build_info", "gauge", "1; the version of the program is a label.");
    out.lone(fmt::format("{{version=\"{}.{}.{}\"}}", promisqs::version_major, promisqs::version_minor,
                         promisqs::version_patch),
             1);
    return out.take();
}

}  // namespace promisqs_tool
