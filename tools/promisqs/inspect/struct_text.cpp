// SPDX-License-Identifier: Apache-2.0

#include "inspect/struct_text.hpp"

#include "text/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace promisqs_tool {

namespace {

using promisqs::field;
using promisqs::field_kind;

constexpr std::size_t most_lines = 4096;
constexpr int deepest = 32;

std::string_view cpp_name(std::string_view word) {
    static constexpr std::array<std::pair<std::string_view, std::string_view>, 23> names{
        {{"bool", "bool"},         {"char", "char"},         {"i8", "std::int8_t"},    {"i16", "std::int16_t"},
         {"i32", "std::int32_t"},  {"i64", "std::int64_t"},  {"i128", "__int128"},     {"u8", "std::uint8_t"},
         {"u16", "std::uint16_t"}, {"u32", "std::uint32_t"}, {"u64", "std::uint64_t"}, {"u128", "unsigned __int128"},
         {"char8", "char8_t"},     {"char16", "char16_t"},   {"char32", "char32_t"},   {"wchar16", "wchar_t"},
         {"wchar32", "wchar_t"},   {"f16", "_Float16"},      {"bf16", "__bf16"},       {"f32", "float"},
         {"f64", "double"},        {"f80", "long double"},   {"f128", "__float128"}}};
    const auto* const found =
        std::find_if(names.begin(), names.end(), [&](const auto& one) { return one.first == word; });
    return found == names.end() ? std::string_view("std::byte") : found->second;
}

std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) { return (value + unit - 1) / unit * unit; }

// NAME#VERSION, and the space behind it, at the beginning of a schema; nothing if there is none.
std::string_view first_name(std::string_view schema) {
    const std::size_t space = schema.find(' ');
    const std::size_t number = schema.find('#');
    if (space == schema.npos || number == 0 || number > space) return {};
    const std::string_view digits = schema.substr(number + 1, space - number - 1);
    const bool is_version = !digits.empty() && digits.find_first_not_of("0123456789") == digits.npos;
    return is_version && schema.find('{') > space ? schema.substr(0, space) : std::string_view();
}

// A name for the element's type in C++: the last part of the schema's name.
std::string identifier_of(std::string_view schema) {
    std::string_view name = first_name(schema);
    name = name.substr(0, name.find('#'));
    const std::size_t last = name.find_last_of(".:-");
    if (last != name.npos) name.remove_prefix(last + 1);
    if (name.empty()) return "message";
    return name.front() >= '0' && name.front() <= '9' ? fmt::format("message_{}", name) : std::string(name);
}

class struct_writer {
public:
    explicit struct_writer(const promisqs::element_fields& fields) : fields_(fields) {}

    std::string run() {
        const field root = fields_.root();
        const std::string name = identifier_of(fields_.type().text);
        if (root.kind != field_kind::aggregate) return alias(root, name);
        aggregate(root, root.extents.empty() ? name : "item", 0);
        lines_.back().code += ';';
        if (!root.extents.empty()) put(0, fmt::format("using {} = {};", name, array_type(root, "item")), {});
        return text();
    }

private:
    struct line {
        std::string code;
        std::string comment;
    };
    /// How far the fields of an aggregate have been laid out.
    struct layout {
        std::uint64_t at = 0;
        bool is_packed = false;
        std::uint64_t alignment = 1;  // of the aggregate
        unsigned gaps = 0;
    };

    struct placement {
        bool is_shown;  // false: in a comment
        bool is_packed;
        std::string alignment;  // "alignas(64) ", or nothing
        std::string comment;
    };

    void put(int depth, std::string code, std::string comment) {
        if (lines_.size() == most_lines) {
            lines_.push_back({"// more fields than are shown here: promisqs show --json lists them", {}});
        }
        if (lines_.size() > most_lines) return;
        lines_.push_back({std::string(static_cast<std::size_t>(depth) * 4, ' ') + std::move(code), std::move(comment)});
    }

    static std::string type_of(const field& one) {
        return one.kind == field_kind::opaque ? "std::byte" : std::string(cpp_name(one.type));
    }
    // A schema may have as many extents as fit into it.
    static std::string array_type(const field& one, const std::string& inner) {
        std::string all;
        for (std::size_t i = 0; i < one.extents.size(); ++i) all += "std::array<";
        all += inner;
        for (std::size_t i = one.extents.size(); i-- > 0;) all += fmt::format(", {}>", one.extents[i].count);
        return all;
    }
    std::string alias(const field& root, const std::string& name) {
        if (root.kind == field_kind::opaque) {
            put(0, fmt::format("struct alignas({}) {} {{", root.alignment, name), {});
            put(1, fmt::format("std::byte unknown[{}];", fields_.type().size), "opaque");
            put(0, "};", {});
        } else if (root.is_enum) {
            put(0, fmt::format("enum class item : {} {{}};", type_of(root)), {});
            put(0, fmt::format("using {} = {};", name, array_type(root, "item")), {});
        } else {
            put(0, fmt::format("using {} = {};", name, array_type(root, type_of(root))), {});
        }
        return text();
    }

    // Leaves the last line without what follows the brace.
    void aggregate(const field& of, const std::string& name, int depth, const std::string& prefix = {}) {
        const auto members = fields_.children(of);
        layout here = plan(of, members);
        std::string head = "struct ";
        if (here.is_packed) head += "[[gnu::packed]] ";
        if (is_over_aligned(of, members, here)) head += fmt::format("alignas({}) ", of.alignment);
        put(depth, fmt::format("{}{}{} {{", prefix, head, name),
            fmt::format("{} bytes, aligned to {}", of.size, of.alignment));
        for (const field& one : members) member(of, one, here, depth + 1);
        const std::uint64_t natural = round_up(here.at, here.alignment);
        const bool is_empty_struct = members.empty() && of.size == 1;
        if (of.size != natural && !is_empty_struct) {
            gap(depth + 1, here, of.size);
        } else if (natural != here.at) {
            put(depth + 1, padding(natural - here.at), {});
        }
        put(depth, "}", {});
    }

    static std::string padding(std::uint64_t bytes) {
        return bytes == 1 ? "// 1 byte of padding" : fmt::format("// {} bytes of padding", bytes);
    }
    static layout plan(const field& of, const std::vector<field>& members) {
        layout result;
        result.alignment = of.alignment;
        for (const field& one : members) {
            result.is_packed =
                result.is_packed || (one.offset - of.offset) % one.alignment != 0 || one.alignment > of.alignment;
        }
        return result;
    }
    static bool is_over_aligned(const field& of, const std::vector<field>& members, const layout& here) {
        if (of.alignment == 1) return false;
        return here.is_packed || std::none_of(members.begin(), members.end(),
                                              [&](const field& one) { return one.alignment == of.alignment; });
    }
    void gap(int depth, layout& here, std::uint64_t end) {
        if (end <= here.at) return;
        put(depth, fmt::format("std::byte unused_{}[{}];", here.gaps++, end - here.at), "not described by the schema");
        here.at = end;
    }

    void member(const field& of, const field& one, layout& here, int depth) {
        const std::uint64_t offset = one.offset - of.offset;
        const std::uint64_t bytes = bytes_of(of, one);
        placement where{bytes != 0 && offset >= here.at, here.is_packed, {}, fmt::format("offset {}", offset)};
        if (where.is_shown) {
            const std::uint64_t natural = here.is_packed ? here.at : round_up(here.at, one.alignment);
            const std::uint64_t wider = natural == offset ? 0 : wider_alignment(of, one, here, offset);
            if (wider != 0) where.alignment = fmt::format("alignas({}) ", wider);
            if (natural != offset && wider == 0) gap(depth, here, offset);
            if (offset != here.at) put(depth, padding(offset - here.at), {});
            here.at = offset + bytes;
        } else {
            where.comment += bytes == 0 ? ", takes no room" : ", in the place of another field";
        }
        declare(of, one, depth, where);
    }
    // An alignment that moves a field to its offset; 0: there is none.
    static std::uint64_t wider_alignment(const field& of, const field& one, const layout& here, std::uint64_t offset) {
        if (here.is_packed) return 0;
        for (std::uint64_t wider = 2 * one.alignment; wider <= of.alignment; wider *= 2) {
            if (round_up(here.at, wider) == offset) return wider;
        }
        return 0;
    }
    // Of all values, if it is an array.
    static std::uint64_t bytes_of(const field& of, const field& one) {
        return one.extents.size() > of.extents.size()
                   ? one.extents[of.extents.size()].count * one.extents[of.extents.size()].stride
                   : one.size;
    }

    void declare(const field& of, const field& one, int depth, const placement& where) {
        const bool is_number = one.name.find_first_not_of("0123456789") == one.name.npos;
        const std::string name = is_number ? "field_" + one.name : printable(one.name);
        std::string declared = name;
        for (std::size_t i = of.extents.size(); i < one.extents.size(); ++i)
            declared += fmt::format("[{}]", one.extents[i].count);
        if (one.kind == field_kind::aggregate && where.is_shown && depth <= deepest) {
            aggregate(one, name + "_type", depth, where.alignment);
            if (lines_.size() > most_lines) return;
            lines_.back().code += fmt::format(" {};", declared);
            lines_.back().comment = where.comment;
            return;
        }
        std::string code = where.alignment + type_of(one) + ' ';
        if (one.is_enum) code = where.alignment + fmt::format("enum class {}_type : {} {{}} ", name, type_of(one));
        if (one.kind == field_kind::aggregate || one.kind == field_kind::opaque) {
            code = "std::byte ";
            if (!where.alignment.empty())
                code = where.alignment + code;
            else if (!where.is_packed && one.alignment != 1)
                code = fmt::format("alignas({}) {}", one.alignment, code);
            declared += fmt::format("[{}]", one.size);
        }
        const std::string_view what = one.kind == field_kind::opaque      ? ", opaque"
                                      : one.kind == field_kind::aggregate ? ", a struct"
                                                                          : "";
        put(depth, fmt::format("{}{}{};", where.is_shown ? "" : "// ", code, declared),
            fmt::format("{}{}", where.comment, what));
    }

    [[nodiscard]] std::string text() const {
        std::size_t width = 0;
        for (const line& one : lines_) {
            if (!one.comment.empty()) width = std::max(width, std::min<std::size_t>(columns_of(one.code), 60));
        }
        std::string all;
        for (const line& one : lines_) {
            all += one.code;
            const std::size_t columns = columns_of(one.code);
            if (!one.comment.empty())
                all += std::string(2 + (columns < width ? width - columns : 0), ' ') + "// " + one.comment;
            all += '\n';
        }
        return all;
    }

    const promisqs::element_fields& fields_;
    std::vector<line> lines_;
};

}  // namespace

std::string struct_text(const promisqs::element_fields& fields) { return struct_writer(fields).run(); }

std::string type_name(std::string_view schema) {
    constexpr std::size_t longest = 30;
    std::string_view name = first_name(schema);
    if (name.empty()) name = schema;
    if (name.starts_with("opaque:")) {
        const std::string_view size = name.substr(7, name.find(':', 7) - 7);
        if (size.size() < longest) return fmt::format("opaque {} B", printable(size));
    }
    if (name.size() <= longest) return printable(name);
    return printable(name.substr(0, longest - 3)) + "...";
}

}  // namespace promisqs_tool
