// SPDX-License-Identifier: Apache-2.0

#include "codec/json_reader.hpp"

#include "codec/value_reader.hpp"
#include "text/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstring>

namespace promisqs_tool {

namespace {

constexpr std::size_t most_shown = 60;

// What was found, for an error's text.
std::string shown_text(std::string_view text) {
    const std::string cut(text.substr(0, most_shown));
    const bool is_whole = cut.size() == text.size();
    return fmt::format("\"{}\"{}", printable(cut), is_whole ? "" : fmt::format("… ({} bytes)", text.size()));
}

}  // namespace

json_reader::json_reader(std::shared_ptr<const message_plan> plan) : plan_(std::move(plan)), seen_(plan_->nodes()) {}

void json_reader::read(std::string_view text, std::span<std::byte> message) {
    std::fill(message.begin(), message.end(), std::byte{0});
    message_ = message.data();
    open_.clear();
    // The parser takes it for the end of the text.
    if (const std::size_t zero = text.find('\0'); zero != text.npos)
        throw misfit(fmt::format("byte {}: expected JSON, found a byte of value 0", zero + 1));
    nlohmann::json::sax_parse(text.data(), text.data() + text.size(), this);
}

json_reader::place json_reader::next_place() {
    if (open_.empty()) return {&plan_->root(), 0, message_};
    level& around = open_.back();
    if (is_in_hex()) return around.of;
    if (!around.of.is_array()) return {around.field, 0, around.of.at + around.field->offset};
    const plan_extent extent = plan_->extents(*around.of.field)[around.of.extent];
    if (around.count == extent.count) {
        open_.pop_back();
        refuse(fmt::format("an array of {}", extent.count), "more");
    }
    return {around.of.field, around.of.extent + 1, around.of.at + extent.stride * around.count++};
}

bool json_reader::is_in_hex() const {
    return !open_.empty() && !open_.back().of.is_array() && open_.back().of.field->form == value_form::text;
}

bool json_reader::null() { refuse_at(next_place(), "null"); }

bool json_reader::boolean(bool value) {
    const place to = next_place();
    if (to.is_array() || to.field->form != value_form::boolean) refuse_at(to, value ? "true" : "false");
    *to.at = static_cast<std::byte>(value);
    return true;
}

bool json_reader::number_integer(std::int64_t value) {
    const place to = next_place();
    const auto bits = static_cast<std::uint64_t>(value);
    // The parser reports only what has a minus as an integer with a sign, so 0 is "-0". It has a sign in a float.
    const bool fits = !to.is_array() && ((value == 0 && store_number(to.field->form, to.at, "-0.0")) ||
                                         store_integer(to.field->form, to.at, value < 0, bits));
    if (!fits) refuse_at(to, value == 0 ? "-0" : std::to_string(value));
    return true;
}

bool json_reader::number_unsigned(std::uint64_t value) {
    const place to = next_place();
    if (to.is_array() || !store_integer(to.field->form, to.at, false, value)) refuse_at(to, std::to_string(value));
    return true;
}

bool json_reader::number_float(double value, const std::string& digits) {
    const place to = next_place();
    if (!to.is_array() && to.field->form == value_form::f64) {
        std::memcpy(to.at, &value, sizeof value);
    } else if (to.is_array() || !store_number(to.field->form, to.at, digits)) {
        refuse_at(to, digits.substr(0, most_shown));
    }
    return true;
}

bool json_reader::string(std::string& value) {
    const place to = next_place();
    const bool fits = !to.is_array() &&
                      (is_in_hex() ? store_hex_text(*to.field, to.at, value) : store_string(*to.field, to.at, value));
    if (!fits) refuse_at(to, shown_text(value));
    return true;
}

bool json_reader::binary(std::vector<std::uint8_t>& /*value*/) { refuse_at(next_place(), "binary data"); }

bool json_reader::start_object(std::size_t /*count*/) {
    const place to = next_place();
    const bool may_be = to.field->form == value_form::aggregate || to.field->form == value_form::text;
    if (to.is_array() || !may_be || is_in_hex()) refuse_at(to, "an object");
    const auto first = seen_.begin() + to.field->first_child;
    std::fill(first, first + to.field->children, false);
    open_.push_back({to, 0, nullptr});
    return true;
}

bool json_reader::key(std::string& name) {
    level& object = open_.back();
    const plan_node& of = *object.of.field;
    object.field = nullptr;  // until it is known
    if (of.form == value_form::text) {
        if (name != "hex" || object.count++ != 0) refuse_key(of, name);
        return true;
    }
    const auto fields = plan_->children(of);
    const bool is_next = object.count < fields.size() && fields[object.count].name == name;
    const plan_node* const found = is_next ? &fields[object.count] : plan_->find(of, name);
    if (found == nullptr) refuse_key(of, name);
    object.field = found;
    const std::uint32_t number = plan_->number_of(*found);
    if (seen_[number]) refuse("one value", "another one");
    seen_[number] = true;
    ++object.count;
    return true;
}

bool json_reader::end_object() {
    level& object = open_.back();
    const plan_node& of = *object.of.field;
    if (of.form == value_form::text && object.count == 0) refuse_at(object.of, "an object without \"hex\"");
    if (of.form == value_form::aggregate && object.count != of.children) {
        std::uint32_t missing = of.first_child;
        while (seen_[missing]) ++missing;
        object.field = &plan_->node(missing);
        refuse_at({object.field, 0, nullptr}, "no such field");
    }
    open_.pop_back();
    return true;
}

bool json_reader::start_array(std::size_t /*count*/) {
    const place to = next_place();
    if (!to.is_array()) refuse_at(to, "an array");
    open_.push_back({to, 0, nullptr});
    return true;
}

bool json_reader::end_array() {
    const level ended = open_.back();
    open_.pop_back();
    if (ended.count != plan_->extents(*ended.of.field)[ended.of.extent].count) {
        refuse_at(ended.of, fmt::format("one of {}", ended.count));
    }
    return true;
}

std::string json_reader::path() const {
    std::string result;
    for (const level& one : open_) {
        if (one.of.is_array()) {
            result += fmt::format("[{}]", one.count == 0 ? 0 : one.count - 1);
        } else if (one.field != nullptr) {
            result += (result.empty() ? "" : ".") + one.field->name;
        }
    }
    return result;
}

void json_reader::refuse(std::string_view expected, std::string_view found) const {
    const std::string path = this->path();
    const std::string where = path.empty() ? "the message" : fmt::format("the field \"{}\"", printable(path));
    throw misfit(fmt::format("{}: expected {}, found {}", where, expected, found));
}

void json_reader::refuse_at(const place& to, std::string_view found) const {
    if (!to.is_array()) refuse(expected_of(*to.field), found);
    refuse(fmt::format("an array of {}", plan_->extents(*to.field)[to.extent].count), found);
}

void json_reader::refuse_key(const plan_node& object, std::string_view name) const {
    constexpr std::size_t most_names = 10;
    std::string names;
    for (const plan_node& one : plan_->children(object).first(std::min<std::size_t>(object.children, most_names))) {
        names += fmt::format("{}\"{}\"", names.empty() ? "" : ", ", printable(one.name));
    }
    if (object.children > most_names) names += fmt::format(" and {} more", object.children - most_names);
    if (object.form == value_form::text) names = "\"hex\", once,";
    refuse(names.empty() ? "no fields" : "the fields " + names, fmt::format("a field {}", shown_text(name)));
}

void json_reader::refuse_text(std::size_t position, std::string_view why) {
    why.remove_prefix(std::min(why.find("] ") + 2, why.size()));  // nlohmann's number of the error
    if (why.starts_with("parse error at")) why.remove_prefix(std::min(why.find(": ") + 2, why.size()));
    throw misfit(fmt::format("byte {}: expected JSON: {}", position, printable(why.substr(0, 200))));
}

}  // namespace promisqs_tool
