// SPDX-License-Identifier: Apache-2.0
#pragma once

// Reads a schema text, by the grammar of docs/schema.md. The text may come from shared memory, and be anything. So it
// is read once, from left to right, without recursion. Time and memory grow with its length alone. Every number is
// limited before anything is computed with it.

#include <promisqs/detail/schema/describe.hpp>
#include <promisqs/detail/schema/type_tree.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace promisqs::detail {

/// What is wrong with a text.
struct schema_failure {
    std::size_t at;
    std::string_view expected;
};

class schema_reader {
public:
    /// The largest number in a text.
    static constexpr std::uint64_t most = std::uint64_t{1} << 47;

    explicit schema_reader(std::string_view text) noexcept : text_(text) {}

    /// \return  whether the text is a schema; if not, `failure()` says why not
    [[nodiscard]] bool read_all(type_tree& tree) {
        tree_ = &tree;
        if (!read_types() || (at_ != text_.size() && !fail("the end of the text"))) return false;
        const type_node& root = tree.nodes.front();
        tree.fingerprint = root.kind == field_kind::opaque ? 0 : plain_.fingerprint();
        // Of an array with one name, the text does not tell whether it is the array's or the element's.
        if (names_of_root_ == 2 || (names_of_root_ == 1 && root.extents == 0)) {
            schema_writer name;
            name.put(name_of_root_);
            tree.name_fingerprint = name.fingerprint();
        }
        return true;
    }
    [[nodiscard]] const schema_failure& failure() const noexcept { return failure_; }

private:
    bool read_types() {
        begin_node();
        for (;;) {
            if (!read_names()) return false;
            if (take('{')) {
                node().kind = field_kind::aggregate;
                if (peek() != '}') {
                    begin_node();
                    read_field_name();
                    continue;
                }
            } else if (!read_simple()) {
                return false;
            }
            bool next = false;
            if (!finish_types(next)) return false;
            if (!next) return true;
            begin_node();
            read_field_name();
        }
    }

    // Behind a type without fields, or before the end of one with them: reads on to the next field, or to the end.
    bool finish_types(bool& next) {
        for (;;) {
            if (node().kind == field_kind::aggregate && !read_end_of_aggregate()) return false;
            if (!read_extents()) return false;
            if (current_ == 0) return true;
            if (!read_offset()) return false;
            current_ = node().parent;
            if (take(' ')) {
                next = true;
                return true;
            }
            if (peek() != '}') return fail("a space and another field, or '}'");
        }
    }

    [[nodiscard]] type_node& node() noexcept { return tree_->nodes[current_]; }

    // The field behind the last one of the current node; or the root.
    void begin_node() {
        const auto index = static_cast<std::uint32_t>(tree_->nodes.size());
        tree_->nodes.emplace_back();
        tree_->nodes.back().parent = current_;
        if (index != 0) {
            type_node& around = node();
            (around.children == 0 ? around.first_child : tree_->nodes[around.last_child].next_sibling) = index;
            around.last_child = index;
            ++around.children;
        }
        current_ = index;
    }

    void read_field_name() noexcept {
        std::size_t end = at_;
        while (end < text_.size() && (is_letter(text_[end]) || (end != at_ && is_digit(text_[end])))) ++end;
        if (end == at_ || end + 1 >= text_.size() || text_[end] != ':') return;
        if (text_[end + 1] == ':' || is_digit(text_[end + 1])) return;  // of a type's name, or of an opaque type
        node().name = text_.substr(at_, end - at_);
        at_ = end + 1;
    }

    // The names of the type: NAME#VERSION and a space, for each.
    bool read_names() {
        for (;;) {
            std::size_t end = at_;
            while (end < text_.size() && is_of_name(text_[end])) ++end;
            if (end == at_ || end == text_.size() || text_[end] != '#') return true;
            const std::size_t begin = std::exchange(at_, end + 1);
            std::uint64_t version = 0;
            if (!read_number(version, false)) return false;
            if (peek() != ' ') return fail("a space behind the type's name and version");
            if (current_ == 0 && ++names_of_root_ == 1) name_of_root_ = text_.substr(begin, at_ - begin);
            ++at_;
        }
    }

    bool read_simple() {
        const std::string_view word = read_word();
        if (word == "opaque") return read_sizes();
        node().is_enum = word == "enum";
        if (!node().is_enum) return set_scalar(word);
        if (!take('<')) return fail("'<' behind \"enum\"");
        if (!set_scalar(read_word())) return false;
        if (node().kind == field_kind::floating_point) return fail("an integer's type");
        if (node().kind == field_kind::text) node().kind = field_kind::unsigned_integer;
        return take('>') || fail("'>'");
    }
    [[nodiscard]] std::string_view read_word() noexcept {
        const std::size_t begin = at_;
        while (at_ < text_.size() && ((text_[at_] >= 'a' && text_[at_] <= 'z') || is_digit(text_[at_])))
            put(text_[at_++]);
        return text_.substr(begin, at_ - begin);
    }
    bool set_scalar(std::string_view word) {
        for (const scalar_type& one : scalar_types) {
            if (one.word != word) continue;
            node().kind = one.kind;
            node().word = one.word;
            node().size = node().alignment = one.size;
            return true;
        }
        at_ -= word.size();
        return fail("a type");
    }

    bool read_end_of_aggregate() {
        if (!take('}')) return fail("'}'");
        if (!read_sizes()) return false;
        return node().end <= node().size || fail("a size that its fields fit into");
    }
    // ":SIZE:ALIGNMENT"
    bool read_sizes() {
        type_node& here = node();
        if (!take(':')) return fail("':' and a size");
        if (!read_number(here.size)) return false;
        if (!take(':')) return fail("':' and an alignment");
        if (!read_number(here.alignment)) return false;
        return std::has_single_bit(here.alignment) || fail("an alignment that is a power of two");
    }
    bool read_extents() {
        type_node& here = node();
        here.total = here.size;
        here.first_extent = static_cast<std::uint32_t>(tree_->extents.size());
        while (take('[')) {
            std::uint64_t extent = 0;
            if (!read_number(extent)) return false;
            if (!take(']')) return fail("']'");
            if (extent != 0 && here.total > most / extent) return fail("an array of 2^47 bytes at most");
            here.total *= extent;
            tree_->extents.push_back(extent);
            ++here.extents;
        }
        return true;
    }
    bool read_offset() {
        type_node& here = node();
        if (!take('@')) return fail("'@' and an offset");
        if (!read_number(here.offset)) return false;
        type_node& around = tree_->nodes[here.parent];
        const std::uint64_t end = here.offset + here.total;
        if (end > around.end) around.end = end;
        return true;
    }

    bool read_number(std::uint64_t& number, bool is_plain = true) {
        const std::size_t begin = at_;
        number = 0;
        for (; at_ < text_.size() && is_digit(text_[at_]); ++at_) {
            number = number * 10 + static_cast<std::uint64_t>(text_[at_] - '0');
            if (number > most) return fail("a number of 2^47 at most");
            if (is_plain) put(text_[at_]);
        }
        const bool is_one = at_ != begin && (text_[begin] != '0' || at_ == begin + 1);
        return is_one || fail("a number without a leading zero");
    }

    static constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
    // Of identifiers; those of other languages are UTF-8.
    static constexpr bool is_letter(char c) noexcept {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80;
    }
    static constexpr bool is_of_name(char c) noexcept {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_' || c == '.' || c == ':' ||
               c == '-';
    }

    [[nodiscard]] char peek() const noexcept { return at_ < text_.size() ? text_[at_] : '\0'; }
    bool take(char c) noexcept {
        if (at_ == text_.size() || text_[at_] != c) return false;
        ++at_;
        put(c);
        return true;
    }
    void put(char c) noexcept { plain_.put(c); }
    bool fail(std::string_view expected) noexcept {
        failure_ = {at_, expected};
        return false;
    }

    std::string_view text_;
    std::size_t at_ = 0;
    schema_writer plain_;  // the text without names
    std::string_view name_of_root_;
    std::size_t names_of_root_ = 0;
    type_tree* tree_ = nullptr;
    std::uint32_t current_ = 0;
    schema_failure failure_{};
};

}  // namespace promisqs::detail
