// SPDX-License-Identifier: Apache-2.0

#include "inspect/queue_json.hpp"

#include "inspect/stalls.hpp"
#include "inspect/struct_text.hpp"

#include <fmt/format.h>

#include <chrono>
#include <optional>
#include <string_view>

namespace promisqs_tool {

namespace {

double seconds_of(std::chrono::nanoseconds time) { return std::chrono::duration<double>(time).count(); }

double seconds_of(std::chrono::system_clock::time_point time) {
    return std::chrono::duration<double>(time.time_since_epoch()).count();
}

json json_of(const std::optional<promisqs::held_messages>& held) {
    if (!held) return nullptr;
    return {{"first", held->first}, {"count", held->count}, {"at_least_seconds", seconds_of(held->at_least)}};
}

json json_of(const std::optional<promisqs::stall>& stalled) {
    if (!stalled) return nullptr;
    json result{{"message", stalled->message}, {"at_least_seconds", seconds_of(stalled->at_least)}};
    if (stalled->by) result["by"] = {{"process", stalled->by->process}, {"thread", stalled->by->thread}};
    return result;
}

json json_of(const participant_view& one) {
    const auto& look = one.look;
    return {{"process", look.who.process},
            {"process_name", one.process_name},
            {"thread", look.who.thread},
            {"thread_name", one.thread_name},
            {"pushes", look.last_push.has_value()},
            {"pops", look.last_pop.has_value()},
            {"sole_producer", look.sole_producer},
            {"sole_consumer", look.sole_consumer},
            {"since", seconds_of(look.who.since)},
            {"state", to_string(one.state)},
            {"pushing", json_of(look.push)},
            {"popping", json_of(look.pop)}};
}

json json_of(const promisqs::options& made) {
    return {{"permissions", fmt::format("{:04o}", made.permissions)},
            {"lifetime", made.life == promisqs::lifetime::keep ? "keep" : "last-close"},
            {"participants", made.participants},
            {"max_deaths", made.max_deaths},
            {"single_producer", made.single_producer},
            {"single_consumer", made.single_consumer}};
}

json json_of(const promisqs::queue_stats& stats) {
    return {{"size", stats.size},
            {"capacity", stats.capacity},
            {"pushed", stats.pushed},
            {"popped", stats.popped},
            {"tombstones", stats.tombstones},
            {"redelivered", stats.redelivered},
            {"dropped", stats.dropped},
            {"closed", stats.closed},
            {"being_recovered", stats.being_recovered},
            {"consumers_wait_for", json_of(stats.head)},
            {"producers_wait_for", json_of(stats.tail)}};
}

json layout_of(const promisqs::queue_facts& facts) {
    return {{"version", facts.layout_version},    {"slots_offset", facts.slots_offset},
            {"slot_stride", facts.slot_stride},   {"payload_offset", facts.payload_offset},
            {"stamp_offset", facts.stamp_offset}, {"segment_size", facts.segment_size}};
}

std::string_view word_of(promisqs::field_kind kind) {
    switch (kind) {
        case promisqs::field_kind::boolean: return "boolean";
        case promisqs::field_kind::signed_integer: return "signed integer";
        case promisqs::field_kind::unsigned_integer: return "unsigned integer";
        case promisqs::field_kind::floating_point: return "floating point";
        case promisqs::field_kind::text: return "text";
        case promisqs::field_kind::opaque: return "opaque";
        case promisqs::field_kind::aggregate: return "aggregate";
    }
    return "unknown";
}

json fields_json(const promisqs::element_fields& fields) {
    json all = json::array();
    for (const promisqs::field& one : fields.list()) {
        json extents = json::array();
        for (const auto& extent : one.extents) extents.push_back({{"count", extent.count}, {"stride", extent.stride}});
        all.push_back({{"path", one.path},
                       {"kind", word_of(one.kind)},
                       {"type", one.type},
                       {"enum", one.is_enum},
                       {"offset", one.offset},
                       {"size", one.size},
                       {"extents", extents}});
    }
    return all;
}

json element_json(const promisqs::queue_facts& facts) {
    json element{{"size", facts.element_size},
                 {"alignment", facts.element_alignment},
                 {"schema", facts.schema},
                 {"schema_fingerprint", fmt::format("{:016x}", facts.schema_fingerprint)},
                 {"name_fingerprint", fmt::format("{:016x}", facts.name_fingerprint)}};
    try {
        if (const auto fields = fields_of(facts)) {
            element["struct"] = struct_text(*fields);
            element["fields"] = fields_json(*fields);
        }
    } catch (const promisqs::schema_error&) {
        // More fields than can be listed.
    }
    return element;
}

}  // namespace

json json_of(const queue_look& seen) {
    json all{{"name", seen.name}, {"state", to_string(seen.finding.state)}, {"what", seen.finding.what}};
    if (seen.file) {
        all["file"] = {{"bytes", seen.file->size},
                       {"owner", user_name(seen.file->owner)},
                       {"permissions", fmt::format("{:04o}", seen.file->permissions)}};
    }
    if (!seen.facts || !seen.stats) return all;
    all["created"] = seconds_of(seen.facts->created_at);
    all["creator"] = seen.facts->creator;
    all["options"] = json_of(seen.facts->created_with);
    all["layout"] = layout_of(*seen.facts);
    all["element"] = element_json(*seen.facts);
    all["totals"] = json_of(*seen.stats);
    all["participants"] = json::array();
    for (const auto& one : seen.participants) all["participants"].push_back(json_of(one));
    all["held_up"] = json::array();
    for (const hold_up& one : hold_ups(*seen.stats, seen.participants))
        all["held_up"].push_back({{"waited_for", one.is_waited_for}, {"sentence", one.sentence}});
    return all;
}

}  // namespace promisqs_tool
