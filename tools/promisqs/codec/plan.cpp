// SPDX-License-Identifier: Apache-2.0

#include "codec/plan.hpp"

#include "system/say.hpp"
#include "text/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <iterator>
#include <limits>
#include <utility>

namespace promisqs_tool {

namespace {

constexpr std::uint32_t most_depth = 64;  // of aggregates, and of arrays
constexpr std::uint64_t most_values = std::uint64_t{1} << 24;

[[noreturn]] void refuse(const std::string& sentence) { throw promisqs::schema_error("promisqs schema: " + sentence); }

std::uint64_t times(std::uint64_t a, std::uint64_t b) {
    std::uint64_t result = 0;
    return __builtin_mul_overflow(a, b, &result) ? std::numeric_limits<std::uint64_t>::max() : result;
}
std::uint64_t plus(std::uint64_t a, std::uint64_t b) {
    std::uint64_t result = 0;
    return __builtin_add_overflow(a, b, &result) ? std::numeric_limits<std::uint64_t>::max() : result;
}

value_form form_of_integer(const promisqs::field& of) {
    const bool has_sign = of.kind == promisqs::field_kind::signed_integer;
    switch (of.size) {
        case 1: return has_sign ? value_form::i8 : value_form::u8;
        case 2: return has_sign ? value_form::i16 : value_form::u16;
        case 4: return has_sign ? value_form::i32 : value_form::u32;
        case 8: return has_sign ? value_form::i64 : value_form::u64;
        case 16: return has_sign ? value_form::i128 : value_form::u128;
        default: return value_form::hex;
    }
}

value_form form_of_float(std::string_view type) {
    if (type == "f16") return value_form::f16;
    if (type == "bf16") return value_form::bf16;
    if (type == "f32") return value_form::f32;
    if (type == "f64") return value_form::f64;
    return value_form::hex;
}

value_form form_of(const promisqs::field& of) {
    switch (of.kind) {
        case promisqs::field_kind::boolean: return value_form::boolean;
        case promisqs::field_kind::signed_integer:
        case promisqs::field_kind::unsigned_integer: return form_of_integer(of);
        case promisqs::field_kind::floating_point: return form_of_float(of.type);
        case promisqs::field_kind::text: return value_form::text;
        case promisqs::field_kind::aggregate: return value_form::aggregate;
        case promisqs::field_kind::opaque: break;
    }
    return value_form::hex;
}

// A field as if it were the element itself, so that its fields lie where they lie in it.
promisqs::field as_root(promisqs::field of) {
    of.path.clear();
    of.extents.clear();
    of.offset = 0;
    return of;
}

}  // namespace

message_plan::message_plan(const promisqs::element_fields& fields)
    : message_size_(static_cast<std::size_t>(fields.type().size)) {
    std::vector<promisqs::field> found{fields.root()};
    add_node(found.front(), 0);
    for (std::uint32_t i = 0; i < nodes_.size(); ++i) {  // they become more
        if (nodes_[i].form != value_form::aggregate) continue;
        auto inner = fields.children(as_root(std::exchange(found[i], {})));
        add_children(i, inner);
        std::move(inner.begin(), inner.end(), std::back_inserter(found));
    }
    check_work();
}

void message_plan::add_children(std::uint32_t of, const std::vector<promisqs::field>& fields) {
    if (nodes_[of].depth == most_depth) refuse(fmt::format("expected at most {} aggregates in each other", most_depth));
    nodes_[of].first_child = static_cast<std::uint32_t>(nodes_.size());
    nodes_[of].children = static_cast<std::uint32_t>(fields.size());
    for (const promisqs::field& one : fields) add_node(one, nodes_[of].depth + 1);
    sort_names(nodes_[of]);
}

void message_plan::add_node(const promisqs::field& from, std::uint32_t depth) {
    if (from.extents.size() > most_depth) refuse(fmt::format("expected at most {} extents", most_depth));
    plan_node added;
    added.form = form_of(from);
    added.first_extent = static_cast<std::uint32_t>(extents_.size());
    added.depth = depth;
    added.offset = from.offset;
    added.size = from.type == "f80" ? 10 : from.size;  // the rest is padding
    for (const promisqs::field_extent& one : from.extents) extents_.push_back({one.count, one.stride});
    if (added.form == value_form::text && !from.extents.empty()) {
        added.size = extents_.back().count;
        extents_.pop_back();
    }
    added.extents = static_cast<std::uint32_t>(extents_.size()) - added.first_extent;
    // The name may be any bytes: what is no UTF-8 is replaced, and what a terminal would obey is escaped.
    const bool escape_all = !is_printable(from.name);
    const nlohmann::json name = from.name;
    added.key = name.dump(-1, ' ', escape_all, nlohmann::json::error_handler_t::replace);
    added.name = nlohmann::json::parse(added.key).get<std::string>();
    added.key += ':';
    nodes_.push_back(std::move(added));
    by_name_.push_back(number_of(nodes_.back()));
}

void message_plan::sort_names(const plan_node& of) {
    const auto first = by_name_.begin() + of.first_child;
    const auto last = first + of.children;
    std::sort(first, last, [&](std::uint32_t a, std::uint32_t b) { return nodes_[a].name < nodes_[b].name; });
    const auto same = [&](std::uint32_t a, std::uint32_t b) { return nodes_[a].name == nodes_[b].name; };
    const auto twice = std::adjacent_find(first, last, same);
    if (twice != last) refuse(fmt::format("expected names that differ, found \"{}\" twice", nodes_[*twice].name));
}

const plan_node* message_plan::find(const plan_node& aggregate, std::string_view name) const noexcept {
    const auto first = by_name_.begin() + aggregate.first_child;
    const auto last = first + aggregate.children;
    const auto is_less = [&](std::uint32_t a, std::string_view wanted) { return nodes_[a].name < wanted; };
    const auto found = std::lower_bound(first, last, name, is_less);
    return found == last || nodes_[*found].name != name ? nullptr : &nodes_[*found];
}

// A hostile text could let many fields lie on the same bytes, or have endless arrays of nothing.
void message_plan::check_work() const {
    struct cost {
        std::uint64_t values;
        std::uint64_t bytes;
    };
    std::vector<cost> costs(nodes_.size());
    for (std::size_t i = nodes_.size(); i-- > 0;) {  // a node comes before its fields
        const plan_node& one = nodes_[i];
        cost total{1, one.form == value_form::aggregate ? 0 : one.size};
        for (std::size_t child = one.first_child; child < std::size_t{one.first_child} + one.children; ++child) {
            total.values = plus(total.values, costs[child].values);
            total.bytes = plus(total.bytes, costs[child].bytes);
        }
        for (const plan_extent& extent : extents(one)) {
            total.values = std::max<std::uint64_t>(1, times(total.values, extent.count));
            total.bytes = times(total.bytes, extent.count);
        }
        costs[i] = total;
    }
    if (costs.front().values > most_values) refuse(fmt::format("expected at most {} values", most_values));
    if (costs.front().bytes > message_size_) refuse("expected fields that do not overlap");
}

plan_found plan_for(std::string_view schema, std::uint64_t element_size) {
    std::string problem;
    try {
        const promisqs::element_fields fields(schema);
        if (fields.type().size == element_size) return {std::make_shared<message_plan>(fields), {}};
        problem =
            fmt::format("promisqs schema: expected one of {} bytes, found one of {}", element_size, fields.type().size);
    } catch (const promisqs::schema_error& error) {
        problem = error.what();
    }
    const promisqs::element_fields opaque(fmt::format("opaque:{}:1", element_size));
    return {std::make_shared<message_plan>(opaque), problem};
}

void warn_if_opaque(std::string_view queue, const plan_found& found) {
    if (found.problem.empty()) return;
    say("promisqs: the schema of queue \"{}\" can't be used, so its messages are shown as bytes: {}\n",
        printable(queue), printable(found.problem));
}

plan_found plan_of(const promisqs::inspector& queue) {
    const promisqs::queue_facts facts = queue.facts();
    plan_found found = plan_for(facts.schema, facts.element_size);
    warn_if_opaque(queue.name(), found);
    return found;
}

}  // namespace promisqs_tool
