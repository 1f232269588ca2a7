// SPDX-License-Identifier: Apache-2.0

// What a schema text says at run time: fields, where they lie, and their values; and texts that are none.

#include "support/catch.hpp"

#include <promisqs/schema.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#if __has_include(<boost/describe/class.hpp>)
#include <boost/describe/class.hpp>
#endif

namespace {

using promisqs::element_fields;
using promisqs::element_type_of;
using promisqs::field;
using promisqs::field_kind;
using promisqs::field_value;
using promisqs::schema_error;

enum class side : std::uint8_t { buy, sell };
enum class flag : bool { off, on };
enum class letter : char { a = 'a' };
struct nothing {};
struct level {
    double price;
    std::uint32_t count;
};
struct quote {
    std::uint64_t id;
    std::array<char, 12> symbol;
    side which;
    std::array<level, 3> levels;
    std::int16_t grid[2][3];
    bool is_firm;
};
struct scalars {
    bool a;
    char b;
    std::int8_t c;
    std::uint8_t d;
    std::int16_t e;
    std::uint16_t f;
    std::int32_t g;
    std::uint32_t h;
    std::int64_t i;
    std::uint64_t j;
    float k;
    double l;
    char16_t m;
    char32_t n;
    wchar_t o;
    flag p;
    letter q;
};
struct with_opaque {
    std::uint8_t a;
    std::optional<std::uint32_t> b;
    nothing c;
    long double d;
};
#if defined(__GNUC__)
struct [[gnu::packed]] packed_fields {
    char a;
    double b;
    std::uint16_t c;
};
#endif
struct alignas(64) over_aligned {
    char a;
    alignas(16) std::uint64_t b[2];
};
struct outer {
    quote quotes[2][2];
    over_aligned last;
};

template <class T>
element_fields fields_of() {
    return element_fields(promisqs::schema_of<T>.text);
}

template <class T>
std::span<std::byte> bytes_of(T& one) {
    return std::as_writable_bytes(std::span(&one, 1));
}

template <class Action>
std::string error_of(Action action) {
    try {
        action();
    } catch (const schema_error& error) {
        return error.what();
    }
    return {};
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

template <class T>
void check_round_trip() {
    const promisqs::element_type expected = element_type_of<T>();
    CAPTURE(expected.text);
    CHECK(promisqs::parse_element_type(expected.text) == expected);
}

}  // namespace

TEST_CASE("a type from its text is the type that the compiler sees") {
    check_round_trip<bool>();
    check_round_trip<char>();
    check_round_trip<std::uint8_t>();
    check_round_trip<std::int64_t>();
    check_round_trip<float>();
    check_round_trip<long double>();
#if defined(__SIZEOF_INT128__)
    check_round_trip<promisqs::detail::int128>();
#endif
    check_round_trip<side>();
    check_round_trip<flag>();
    check_round_trip<letter>();
    check_round_trip<std::byte>();
    check_round_trip<nothing>();
    check_round_trip<level>();
    check_round_trip<quote>();
    check_round_trip<scalars>();
    check_round_trip<with_opaque>();
    check_round_trip<over_aligned>();
    check_round_trip<outer>();
    check_round_trip<std::array<quote, 7>>();
    check_round_trip<std::array<std::array<std::uint8_t, 3>, 2>>();
    check_round_trip<std::optional<int>>();
    check_round_trip<std::array<std::optional<int>, 3>>();
#if defined(__GNUC__)
    check_round_trip<packed_fields>();
#endif
}

TEST_CASE("fields lie where the compiler has them") {
    const auto fields = fields_of<quote>();
    CHECK(fields.at("0").offset == offsetof(quote, id));
    CHECK(fields.at("1").offset == offsetof(quote, symbol));
    CHECK(fields.at("2").offset == offsetof(quote, which));
    CHECK(fields.at("3").offset == offsetof(quote, levels));
    CHECK(fields.at("4").offset == offsetof(quote, grid));
    CHECK(fields.at("5").offset == offsetof(quote, is_firm));
    CHECK(fields.at("3[2].1").offset == offsetof(quote, levels) + 2 * sizeof(level) + offsetof(level, count));
    CHECK(fields.at("4[1][2]").offset == offsetof(quote, grid) + 5 * sizeof(std::int16_t));
    CHECK(fields.root().size == sizeof(quote));
    const auto large = fields_of<outer>();
    CHECK(large.at("0[1][0].3[1].0").offset == 2 * sizeof(quote) + offsetof(quote, levels) + sizeof(level));
    CHECK(large.at("1.1[1]").offset == offsetof(outer, last) + offsetof(over_aligned, b) + 8);
#if defined(__GNUC__)
    CHECK(fields_of<packed_fields>().at("1").offset == 1);
    CHECK(fields.at("3").alignment == alignof(level));
    CHECK(large.at("1").alignment == alignof(over_aligned));
#endif
}

TEST_CASE("the list has each value once, with its arrays") {
    const auto list = fields_of<quote>().list();
    REQUIRE(list.size() == 7);
    CHECK(list[0].path == "0");
    CHECK(list[0].type == "u64");
    CHECK(list[0].extents.empty());
    CHECK(list[1].kind == field_kind::text);
    CHECK(list[1].extents == std::vector<promisqs::field_extent>{{12, 1}});
    CHECK(list[2].is_enum);
    CHECK(list[2].kind == field_kind::unsigned_integer);
    CHECK(list[3].path == "3[].0");
    CHECK(list[3].name == "0");
    CHECK(list[3].kind == field_kind::floating_point);
    CHECK(list[3].extents == std::vector<promisqs::field_extent>{{3, sizeof(level)}});
    CHECK(list[5].path == "4");
    CHECK(list[5].extents == std::vector<promisqs::field_extent>{{2, 6}, {3, 2}});
    CHECK(list[6].kind == field_kind::boolean);
    CHECK(fields_of<std::array<std::uint32_t, 4>>().list().at(0).extents.size() == 1);
    CHECK(fields_of<nothing>().list().empty());
    CHECK(fields_of<outer>().list().at(3).path == "0[][].3[].0");
}

TEST_CASE("children are the fields of an aggregate") {
    const auto fields = fields_of<quote>();
    const auto top = fields.children(fields.root());
    REQUIRE(top.size() == 6);
    CHECK(top[3].kind == field_kind::aggregate);
    CHECK(fields.children(top[0]).empty());
    const auto inner = fields.children(top[3]);
    REQUIRE(inner.size() == 2);
    CHECK(inner[1].path == "3[].1");
    CHECK(fields.children(fields.at("3[1]")).at(1).path == "3[1].1");
    CHECK(fields.children(fields.at("3[1]")).at(1).offset == fields.at("3[1].1").offset);
}

TEST_CASE("names lead to fields, and so do numbers") {
    const element_fields fields("acme.order#3 {id:u64@0 price:acme::money#2 i64@8 opaque:opaque:8:8@16}:24:8");
    CHECK(fields.list().at(1).path == "price");
    CHECK(fields.list().at(2).path == "opaque");
    CHECK(fields.list().at(2).kind == field_kind::opaque);
    CHECK(fields.at("price").offset == 8);
    CHECK(fields.at("1").offset == 8);
    CHECK(fields.at("1").name == "price");
    CHECK(fields.type().name_fingerprint != 0);
    CHECK(fields.type().fingerprint == element_fields("{u64@0 i64@8 opaque:8:8@16}:24:8").type().fingerprint);
}

#if defined(BOOST_DESCRIBE_CXX14)
namespace {
struct described_level {
    double price;
    std::uint32_t count;
};
BOOST_DESCRIBE_STRUCT(described_level, (), (price, count))
struct described_quote {
    std::uint64_t id;
    std::array<described_level, 3> levels;
};
BOOST_DESCRIBE_STRUCT(described_quote, (), (id, levels))
}  // namespace

TEST_CASE("the names of a described type are the compiler's") {
    check_round_trip<described_quote>();
    const auto fields = fields_of<described_quote>();
    CHECK(fields.list().at(2).path == "levels[].count");
    described_quote one{7, {{{1.5, 1}, {2.5, 2}, {3.5, 3}}}};
    CHECK(fields.get(bytes_of(one), "levels[2].price") == field_value(3.5));
    fields.set(bytes_of(one), "levels[1].count", std::uint64_t{9});
    CHECK(one.levels[1].count == 9);
}
#endif

namespace {
struct named_element {
    int a;
};
struct array_of_named {
    std::array<named_element, 2> all;
};
}  // namespace
template <>
struct promisqs::schema_name<named_element> {
    static constexpr std::string_view name = "test::element";
    static constexpr std::uint32_t version = 7;
};
template <>
struct promisqs::schema_name<std::array<named_element, 3>> {
    static constexpr std::string_view name = "test::three";
    static constexpr std::uint32_t version = 1;
};

TEST_CASE("a name is known where the text tells whose it is") {
    check_round_trip<named_element>();
    check_round_trip<array_of_named>();
    check_round_trip<std::array<named_element, 3>>();  // two names
    const auto array = element_type_of<std::array<named_element, 2>>();
    CHECK(array.name_fingerprint == 0);
    CHECK(promisqs::parse_element_type(array.text) == array);
}

TEST_CASE("values come out as they were put in") {
    scalars one{};
    const auto fields = fields_of<scalars>();
    const auto both = [&](const char* path, const field_value& value) {
        CAPTURE(path);
        fields.set(bytes_of(one), path, value);
        CHECK(fields.get(bytes_of(one), path) == value);
    };
    both("0", true);
    both("0", false);
    both("1", std::string("x"));
    both("1", std::string());
    both("2", std::int64_t{-128});
    both("3", std::uint64_t{255});
    both("4", std::int64_t{-32768});
    both("5", std::uint64_t{65535});
    both("6", std::int64_t{std::numeric_limits<std::int32_t>::min()});
    both("7", std::uint64_t{std::numeric_limits<std::uint32_t>::max()});
    both("8", std::numeric_limits<std::int64_t>::min());
    both("8", std::numeric_limits<std::int64_t>::max());
    both("9", std::numeric_limits<std::uint64_t>::max());
    both("10", static_cast<double>(std::numeric_limits<float>::max()));
    both("10", std::numeric_limits<double>::infinity());
    both("11", std::numeric_limits<double>::denorm_min());
    both("12", std::uint64_t{0xFFFF});
    both("13", std::uint64_t{0x10FFFF});
    both("15", true);
    both("16", std::uint64_t{'b'});
    CHECK(one.c == -128);
    CHECK(one.j == std::numeric_limits<std::uint64_t>::max());
    CHECK(one.q == letter{'b'});
    fields.set(bytes_of(one), "10", std::numeric_limits<double>::quiet_NaN());
    CHECK(std::isnan(one.k));
    fields.set(bytes_of(one), "11", std::int64_t{-3});
    CHECK(one.l == -3.0);
    fields.set(bytes_of(one), "8", std::uint64_t{5});
    CHECK(one.i == 5);
    fields.set(bytes_of(one), "9", std::int64_t{5});
    CHECK(one.j == 5);
}

TEST_CASE("a value that does not fit is refused, and nothing is written") {
    scalars one{};
    std::memset(&one, 0x55, sizeof one);
    const std::string before(sizeof one, 0x55);
    const auto fields = fields_of<scalars>();
    const auto refused = [&](const char* path, const field_value& value, std::string_view expected) {
        const std::string error = error_of([&] { fields.set(bytes_of(one), path, value); });
        CAPTURE(path, error, expected);
        CHECK(has(error, std::string("promisqs field \"") + path + "\": expected "));
        CHECK(has(error, expected));
        CHECK(std::string_view(reinterpret_cast<const char*>(&one), sizeof one) == before);
    };
    refused("0", std::int64_t{1}, "true or false, found 1");
    refused("1", std::string("xy"), "a text of at most 1 bytes, found 2 bytes");
    refused("2", std::int64_t{128}, "an integer from -128 to 127, found 128");
    refused("2", std::int64_t{-129}, "found -129");
    refused("3", std::int64_t{-1}, "an integer from 0 to 255, found -1");
    refused("3", std::uint64_t{256}, "found 256");
    refused("3", 1.0, "an integer from 0 to 255");
    refused("3", std::string("1"), "found 1 bytes");
    refused("8", std::numeric_limits<std::uint64_t>::max(), "9223372036854775807");
    refused("9", std::numeric_limits<std::int64_t>::min(), "an integer from 0 to 18446744073709551615");
    refused("10", 1e300, "a number that f32 has");
    refused("11", true, "a number that f64 has, found true");
    refused("11", (std::int64_t{1} << 53) + 1, "a number that f64 has");
}

TEST_CASE("arrays of characters are texts, and other arrays and aggregates are bytes") {
    quote one{};
    const auto fields = fields_of<quote>();
    fields.set(bytes_of(one), "1", std::string("Baker"));
    CHECK(std::string(one.symbol.data()) == "Baker");
    CHECK(fields.get(bytes_of(one), "1") == field_value("Baker"));
    CHECK(fields.get(bytes_of(one), "1[0]") == field_value("B"));
    fields.set(bytes_of(one), "1", std::string("x"));
    CHECK(one.symbol == std::array<char, 12>{'x'});
    CHECK(has(error_of([&] { fields.set(bytes_of(one), "1", std::string(13, 'x')); }), "at most 12 bytes"));
    one.grid[1][0] = 0x4241;
    CHECK(fields.get(bytes_of(one), "4[1]") == field_value(std::string("AB\0\0\0\0", 6)));
    fields.set(bytes_of(one), "4", std::string(12, '\1'));
    CHECK(one.grid[0][2] == 0x0101);
    CHECK(std::get<std::string>(fields.get(bytes_of(one), "3[1]")).size() == sizeof(level));
    CHECK(std::get<std::string>(fields.get(bytes_of(one), "")).size() == sizeof(quote));
    CHECK(has(error_of([&] { fields.set(bytes_of(one), "4", std::string(11, 'x')); }), "expected 12 bytes"));
    const auto opaque = fields_of<with_opaque>();
    with_opaque other{};
    opaque.set(bytes_of(other), "1", std::string(8, 'y'));
    CHECK(opaque.get(bytes_of(other), "1") == field_value(std::string(8, 'y')));
    CHECK(std::get<std::string>(opaque.get(bytes_of(other), "3")).size() == sizeof(long double));
}

TEST_CASE("16-bit floats of both formats are read and rounded") {
    const element_fields fields("{f16@0 bf16@2}:4:2");
    std::array<std::byte, 4> bytes{};
    const auto bits = [&](std::size_t at) {
        std::uint16_t result = 0;
        std::memcpy(&result, bytes.data() + at, 2);
        return result;
    };
    const auto store = [&](const char* path, double value) { fields.set(bytes, path, value); };
    store("0", 1.0);
    CHECK(bits(0) == 0x3C00);
    store("0", 65504.0);
    CHECK(bits(0) == 0x7BFF);
    store("0", 65519.9);
    CHECK(bits(0) == 0x7BFF);
    CHECK(has(error_of([&] { store("0", 65520.0); }), "a number that f16 has"));
    store("0", 0x1p-24);
    CHECK(bits(0) == 1);
    store("0", 0x1p-25);  // half-way to 0, which is even
    CHECK(bits(0) == 0);
    store("0", 0x1.8p-24);
    CHECK(bits(0) == 2);
    store("0", 0x1.ffcp-15 + 0x1p-30);
    CHECK(bits(0) == 0x0400);
    store("0", -0.0);
    CHECK(bits(0) == 0x8000);
    store("0", -std::numeric_limits<double>::infinity());
    CHECK(bits(0) == 0xFC00);
    store("0", 1e-300);
    CHECK(bits(0) == 0);
    store("1", 1.0);
    CHECK(bits(2) == 0x3F80);
    for (const char* path : {"0", "1"}) {
        for (unsigned i = 0; i <= 0xFFFF; ++i) {
            const auto wanted = static_cast<std::uint16_t>(i);
            std::memcpy(bytes.data() + (*path == '0' ? 0 : 2), &wanted, 2);
            const double value = std::get<double>(fields.get(bytes, path));
            store(path, value);
            const std::uint16_t found = bits(*path == '0' ? 0 : 2);
            if (std::isnan(value) ? !std::isnan(std::get<double>(fields.get(bytes, path))) : found != wanted) {
                FAIL(path << ": " << i << " became " << found);
            }
        }
    }
}

TEST_CASE("a path that leads nowhere is an error that says how far it led") {
    const auto fields = fields_of<quote>();
    const auto error = [&](const char* path) { return error_of([&] { static_cast<void>(fields.at(path)); }); };
    CHECK(has(error("6"), "number below 6, found \"6\""));
    CHECK(has(error("x"), "found \"x\""));
    CHECK(has(error("3.0"), "expected an index: \"3\" is an array"));
    CHECK(has(error("3[3].0"), "an index from 0 to 2"));
    CHECK(has(error("3[].0"), "an index from 0 to 2"));
    CHECK(has(error("3[1"), "and ']'"));
    CHECK(has(error("3[99999999999999999999999999]"), "an index from 0 to 2"));
    CHECK(has(error("0[0]"), "is no array"));
    CHECK(has(error("0.1"), "\"0\" has no fields"));
    CHECK(has(error("3[1]0"), "expected '.'"));
    CHECK(has(error("."), "found \"\""));
    CHECK(has(error("3[1]."), "found \"\""));
    quote one{};
    CHECK(has(error_of([&] { static_cast<void>(promisqs::get(bytes_of(one), fields.list().at(3))); }),
              "an index in each"));
    CHECK(has(error_of([&] { static_cast<void>(fields.get(bytes_of(one).first(8), "1")); }), "found 8"));
}

TEST_CASE("a text that is no schema is refused, at the byte at which it goes wrong") {
    const auto error = [](std::string_view text) { return error_of([&] { element_fields{text}; }); };
    for (const char* text : {"",
                             " ",
                             "u",
                             "u7",
                             "U8",
                             "u8 ",
                             "u08",
                             "u8[",
                             "u8[]",
                             "u8[1",
                             "u8[01]",
                             "u8[-1]",
                             "u8[1]]",
                             "{",
                             "{}",
                             "{}:",
                             "{}:1",
                             "{}:1:",
                             "{}:1:3",
                             "{}:1:0",
                             "{u8}:1:1",
                             "{u8@}:1:1",
                             "{u8@0",
                             "{u8@0 }:1:1",
                             "{u8@0  u8@1}:2:1",
                             "{u8@0,u8@1}:2:1",
                             "{u8@0u8@1}:2:1",
                             "opaque",
                             "opaque:",
                             "opaque:1",
                             "opaque:1:",
                             "opaque:x:1",
                             "enum",
                             "enum<",
                             "enum<u8",
                             "enum<u9>",
                             "enum<f32>",
                             "enum<{}:1:1>",
                             "enum<enum<u8>>",
                             "a#",
                             "a#1",
                             "a#1 ",
                             "#1 u8",
                             "a#x u8",
                             "x:u8",
                             "{x:}:1:1",
                             "{:u8@0}:1:1",
                             "{u8@1}:1:1",
                             "{u64@0}:7:1",
                             "{u8[3]@0}:2:1",
                             "140737488355329",
                             "u8[140737488355329]",
                             "u8[16777216][16777216]",
                             "u8[99999999999999999999999]",
                             "{u8@140737488355329}:1:1",
                             "\xff",
                             "{\xff\xfe}"}) {
        CAPTURE(text);
        const std::string what = error(text);
        CHECK(has(what, "promisqs schema: expected "));
        for (const char c : what) CHECK((c >= ' ' && c <= '~'));
    }
    CHECK(error("{u8@0 u9@1}:2:1") == "promisqs schema: expected a type at byte 6, found \"u9@1}:2:1\"");
    CHECK(has(error(std::string_view("u8\0u8", 5)), "at byte 2, found \"?u8\""));
    CHECK(has(error(std::string((1U << 20) + 1, 'u')), "at most 1048576 bytes"));
}

TEST_CASE("an element has a size, and an alignment that a queue can have") {
    using promisqs::opaque_element_type;
    using promisqs::parse_element_type;
    CHECK(opaque_element_type(24, 8).text == "opaque:24:8");
    CHECK(opaque_element_type(24, 8).fingerprint == 0);
    CHECK(parse_element_type("u16[3]").size == 6);
    CHECK(parse_element_type("u16[3]").alignment == 2);
    for (const char* text : {"u8[0]", "opaque:0:1", "opaque:8192:8192", "opaque:12:8", "{u64@0}:12:8"}) {
        CAPTURE(text);
        CHECK_THROWS_AS(parse_element_type(text), schema_error);
    }
    CHECK_THROWS_AS(opaque_element_type(8, 3), schema_error);
}

namespace {

// Uses all that a text says, if it is a schema: under a sanitizer, anything wrong is found.
void use(std::string_view text) {
    try {
        const element_fields fields(text);
        const std::uint64_t size = fields.type().size;
        std::vector<std::byte> message(size < 4096 ? static_cast<std::size_t>(size) : 0);
        std::size_t count = 0;
        for (const field& one : fields.list()) {
            if (one.offset > size) FAIL("a field lies behind its element");
            if (++count > 100) continue;
            std::string path = one.path;
            for (auto at = path.find("[]"); at != path.npos; at = path.find("[]", at)) path.replace(at, 2, "[0]");
            try {
                const field found = fields.at(path);
                promisqs::set(message, found, promisqs::get(message, found));
            } catch (const schema_error&) {}  // an empty array; a message left out; two fields of a name
        }
    } catch (const schema_error&) {}
}

}  // namespace

TEST_CASE("hostile texts take no more than their length, and nothing breaks") {
    const std::size_t most = element_fields::most_text;
    const auto repeated = [&](std::string_view part, std::size_t size) {
        std::string text;
        while (text.size() + part.size() <= size) text += part;
        return text;
    };
    use(repeated("{", most));
    use(repeated("a#1 ", most));
    use(repeated("a", most));
    use(repeated("[1]", most));
    use("u8" + repeated("[1]", most - 2));
    use("u8" + repeated("[0]", most - 2));
    use("{" + repeated("u8@0 ", most - 20) + "u8@0}:1:1");
    use("{" + repeated("{}:1:1@0 ", most - 20) + "u8@0}:1:1");
    use("{" + repeated("a:", most - 20) + "u8@0}:1:1");
    const std::size_t depth = most / 11;
    use(repeated("{", depth) + "u8@0" + repeated("}:1:1@0", depth * 7 - 2));  // the last "@0" is missing
    use(repeated("{", depth) + "u8@0" + repeated("}:1:1@0", depth * 7 - 7) + "}:1:1");
    use(repeated("{a:", most / 20) + "u8@0" + repeated("}:1:1[1]@0", most / 20 / 3 * 10 - 10) + "}:1:1");
    use("{" + std::string(most / 2, 'x') + ":{" + repeated("u8@0 ", most / 2 - 60) + "u8@0}:1:1@0}:1:1");
    use("{u8[140737488355328]@0 u8[140737488355328]@0}:140737488355328:1");
    use("{u8@0}:1:1[1000000][1000000]");
}

TEST_CASE("texts that differ from a schema in any byte break nothing") {
    std::mt19937 random(20261126);
    const std::array<std::string, 4> texts{
        "acme.order#3 {id:u64@0 levels:acme::level#2 {price:f64@0 count:u32@8}:16:8[2]@8 name:char[12]@40}:56:8",
        std::string(promisqs::schema_of<outer>.text), std::string(promisqs::schema_of<scalars>.text),
        std::string(promisqs::schema_of<with_opaque>.text)};
    const std::string_view letters = "{}[]<>:@# .0123456789abcdefghiou8\xff\0";
    for (int i = 0; i < 20'000; ++i) {
        std::string text = texts[random() % texts.size()];
        for (auto changes = random() % 3 + 1; changes != 0; --changes) {
            const std::size_t at = random() % text.size();
            switch (random() % 4) {
                case 0: text[at] = letters[random() % letters.size()]; break;
                case 1: text.erase(at, random() % 5); break;
                case 2: text.insert(at, 1, letters[random() % letters.size()]); break;
                default: text.insert(at, text.substr(random() % text.size(), random() % 20)); break;
            }
            if (text.empty()) text = "u8";
        }
        use(text);
    }
}
