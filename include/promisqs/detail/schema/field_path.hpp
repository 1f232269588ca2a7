// SPDX-License-Identifier: Apache-2.0
#pragma once

// Fields at run time: how they are listed, and how a path leads to one.

#include <promisqs/detail/schema/field_value.hpp>
#include <promisqs/detail/schema/type_tree.hpp>
#include <promisqs/error.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace promisqs::detail {

/// One of the arrays that a field is in, or that it is.
struct field_extent {
    std::uint64_t count;
    std::uint64_t stride;  ///< bytes from one to the next

    friend bool operator==(const field_extent&, const field_extent&) = default;
};

/// A field of an element: a value, an array of values, or an aggregate.
struct located_field {
    std::string path;       ///< as `element_fields::at` takes it; `[]` stands for an index that is left open
    std::string name;       ///< the last part of it: of a field without a name, its number, counted from 0
    std::string_view type;  ///< the schema's word, such as `u32`; empty for opaque bytes and aggregates
    field_kind kind;
    bool is_enum;                       ///< then the type is the underlying one
    std::uint64_t offset;               ///< of the first value, in bytes from the beginning of the element
    std::uint64_t size;                 ///< of one value, bytes
    std::uint64_t alignment;            ///< of one value, bytes; a power of two
    std::vector<field_extent> extents;  ///< of the indices that are left open, the outermost first; none: one value
    std::uint32_t node;                 ///< for `element_fields`
};

[[noreturn, gnu::__cold__, gnu::__noinline__]] inline void raise_no_field(std::string_view path,
                                                                          const std::string& expected) {
    throw schema_error(concat({"promisqs field \"", path, "\": expected ", expected}));
}

/// The extents of a field's own array, the outermost first.
[[nodiscard]] inline std::vector<field_extent> extents_of(const type_tree& tree, const type_node& node) {
    std::vector<field_extent> result(node.extents);
    std::uint64_t stride = node.size;
    for (std::uint32_t i = node.extents; i-- > 0;) {
        result[i] = {tree.extents[node.first_extent + i], stride};
        stride *= result[i].count;
    }
    return result;
}

/// A field, by itself: neither its path nor its place is that in the element yet.
[[nodiscard]] inline located_field lone_field(const type_tree& tree, std::uint32_t index, std::uint32_t number) {
    const type_node& node = tree.nodes[index];
    std::string name(node.name);
    if (name.empty() && index != 0) name = std::to_string(number);
    return {
        name, name, node.word, node.kind, node.is_enum, node.offset, node.size, node.alignment, extents_of(tree, node),
        index};
}

/// The field number `number` of an aggregate, at node `index`.
[[nodiscard]] inline located_field child_of(const type_tree& tree, const located_field& around, std::uint32_t index,
                                            std::uint32_t number) {
    located_field result = lone_field(tree, index, number);
    std::string path = around.path;
    const std::size_t own = tree.nodes[around.node].extents;  // the brackets of other arrays are in the path
    for (std::size_t i = 0; i < own && i < around.extents.size(); ++i) path += "[]";
    if (!path.empty()) path += '.';
    result.path = path + result.name;
    result.offset += around.offset;
    result.extents.insert(result.extents.begin(), around.extents.begin(), around.extents.end());
    return result;
}

/// The room that a list of fields takes. A hostile text could have paths that take far more than itself.
class list_budget {
public:
    void charge(const located_field& one) {
        used_ += sizeof one + one.path.size() + one.name.size() + one.extents.size() * sizeof(field_extent);
        if (used_ > most) raise_no_field("", "a list of fields that takes 64 MiB at most, found a larger one");
    }

private:
    static constexpr std::size_t most = std::size_t{1} << 26;
    std::size_t used_ = 0;
};

/// The fields of an aggregate.
[[nodiscard]] inline std::vector<located_field> children_of(const type_tree& tree, const located_field& around) {
    list_budget budget;
    std::vector<located_field> result;
    const type_node& node = tree.nodes.at(around.node);
    std::uint32_t index = node.first_child;
    for (std::uint32_t i = 0; i < node.children; ++i, index = tree.nodes[index].next_sibling) {
        result.push_back(child_of(tree, around, index, i));
        budget.charge(result.back());
    }
    return result;
}

/// All fields that are no aggregates.
[[nodiscard]] inline std::vector<located_field> leaves_of(const type_tree& tree) {
    struct open_aggregate {
        located_field it;
        std::uint32_t next;  // of its fields; 0: none is left
        std::uint32_t number;
    };
    list_budget budget;
    std::vector<located_field> result;
    const located_field root = lone_field(tree, 0, 0);
    if (root.kind != field_kind::aggregate) return {root};
    std::vector<open_aggregate> open{{root, tree.nodes.front().first_child, 0}};
    while (!open.empty()) {
        open_aggregate& around = open.back();
        if (around.next == 0) {
            open.pop_back();
            continue;
        }
        const std::uint32_t index = around.next;
        located_field one = child_of(tree, around.it, index, around.number++);
        budget.charge(one);
        around.next = tree.nodes[index].next_sibling;
        if (one.kind == field_kind::aggregate) {
            open.push_back({std::move(one), tree.nodes[index].first_child, 0});
        } else {
            result.push_back(std::move(one));
        }
    }
    return result;
}

/// A path, and how far it has been read.
class path_reader {
public:
    explicit path_reader(std::string_view path) noexcept : path_(path) {}

    [[nodiscard]] bool at_end() const noexcept { return at_ == path_.size(); }
    [[nodiscard]] std::string_view path() const noexcept { return path_; }
    bool take(char c) noexcept {
        if (at_end() || path_[at_] != c) return false;
        ++at_;
        return true;
    }
    /// A name, or the number of a field.
    [[nodiscard]] std::string_view component() noexcept {
        const std::size_t end = path_.find_first_of(".[]", at_);
        const std::string_view found = path_.substr(at_, end == path_.npos ? path_.npos : end - at_);
        at_ += found.size();
        return found;
    }
    /// An index, and the bracket behind it.
    [[nodiscard]] std::uint64_t index(std::uint64_t count) {
        std::uint64_t value = 0;
        if (!to_number(component(), value) || value >= count || !take(']')) {
            raise_no_field(path_, count == 0 ? "no index: the array is empty"
                                             : "an index from 0 to " + std::to_string(count - 1) + " and ']'");
        }
        return value;
    }
    static bool to_number(std::string_view digits, std::uint64_t& value) noexcept {
        for (const char c : digits) {
            if (c < '0' || c > '9' || value > std::uint64_t{1} << 47) return false;
            value = value * 10 + static_cast<std::uint64_t>(c - '0');
        }
        return !digits.empty();
    }

private:
    std::string_view path_;
    std::size_t at_ = 0;
};

[[nodiscard]] inline located_field find_child(const type_tree& tree, const located_field& around, path_reader& path) {
    const std::string_view wanted = path.component();
    std::uint64_t number = 0;
    const bool is_number = path_reader::to_number(wanted, number);
    const type_node& node = tree.nodes[around.node];
    std::uint32_t index = node.first_child;
    for (std::uint32_t i = 0; i < node.children; ++i, index = tree.nodes[index].next_sibling) {
        const bool is_it = is_number ? i == number : !wanted.empty() && tree.nodes[index].name == wanted;
        if (is_it) return child_of(tree, around, index, i);
    }
    raise_no_field(path.path(), concat({"the name of a field, or its number below ", std::to_string(node.children),
                                        ", found \"", wanted, "\""}));
}

/// The field that a path leads to.
[[nodiscard]] inline located_field find_field(const type_tree& tree, std::string_view text) {
    path_reader path(text);
    located_field found = lone_field(tree, 0, 0);
    for (bool is_first = true; !path.at_end(); is_first = false) {
        if (path.take('[')) {
            if (found.extents.empty()) raise_no_field(text, "no index: \"" + found.path + "\" is no array");
            const field_extent outer = found.extents.front();
            const std::uint64_t i = path.index(outer.count);
            found.path += concat({"[", std::to_string(i), "]"});
            found.offset += i * outer.stride;
            found.extents.erase(found.extents.begin());
            continue;
        }
        if (!is_first && !path.take('.')) raise_no_field(text, "'.', '[' or the end behind \"" + found.path + "\"");
        if (!found.extents.empty()) raise_no_field(text, "an index: \"" + found.path + "\" is an array");
        if (found.kind != field_kind::aggregate) raise_no_field(text, "the end: \"" + found.path + "\" has no fields");
        found = find_child(tree, found, path);
    }
    return found;
}

/// How many bytes a field takes, if it has a value; throws if an index is left open.
[[nodiscard]] inline std::uint64_t bytes_in(const located_field& one) {
    std::uint64_t bytes = one.size;
    for (std::size_t i = one.extents.size(); i-- > 0; bytes *= one.extents[i].count) {
        if (one.extents[i].stride != bytes) raise_no_field(one.path, "an index in each of its brackets");
    }
    return bytes;
}

[[nodiscard]] inline std::uint64_t checked_bytes(const located_field& one, std::size_t message) {
    const std::uint64_t bytes = bytes_in(one);
    if (one.offset <= message && bytes <= message - one.offset) return bytes;
    raise_no_field(one.path, concat({"a message of at least ", std::to_string(one.offset + bytes), " bytes, found ",
                                     std::to_string(message)}));
}

/// What a value is, for an error's text.
[[nodiscard]] inline std::string shown(const field_value& value) {
    switch (value.index()) {
        case 0: return *std::get_if<bool>(&value) ? "true" : "false";
        case 1: return std::to_string(*std::get_if<std::int64_t>(&value));
        case 2: return std::to_string(*std::get_if<std::uint64_t>(&value));
        case 3: return std::to_string(*std::get_if<double>(&value));
        default: return std::to_string(std::get_if<std::string>(&value)->size()) + " bytes";
    }
}

}  // namespace promisqs::detail
