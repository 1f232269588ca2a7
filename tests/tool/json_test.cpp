// SPDX-License-Identifier: Apache-2.0

// Messages as JSON and back: what each kind of field becomes, that nothing is lost, and what does not fit.

#include "support/catch.hpp"
#include "tool/messages.hpp"

#include <promisqs/element.hpp>
#include <promisqs/schema.hpp>

#if __has_include(<boost/describe/class.hpp>)
#include <boost/describe/class.hpp>
#endif

#include <array>
#include <bit>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <string_view>
#include <vector>

using promisqs_test::bytes_of;
using promisqs_test::json_of;
using promisqs_test::message;
using promisqs_test::message_of;
using promisqs_test::messages_of;
using promisqs_test::refusal_of;
using namespace std::string_literals;

namespace {

enum class colour : std::int8_t { red = -3, green = 2 };

struct level {
    double price;
    std::uint32_t count;
    bool firm;
};

struct order {
    std::uint64_t id;
    colour tint;
    std::array<char, 8> symbol;
    std::array<level, 2> levels;
    std::int16_t grid[2][3];
};
#if defined(BOOST_DESCRIBE_CXX14)
BOOST_DESCRIBE_STRUCT(level, (), (price, count, firm))
BOOST_DESCRIBE_STRUCT(order, (), (id, tint, symbol, levels, grid))
#endif

// What it says of itself where Boost.Describe is there.
constexpr std::string_view described_order =
    "{id:u64@0 tint:enum<i8>@8 symbol:char[8]@9 "
    "levels:{price:f64@0 count:u32@8 firm:bool@12}:16:8[2]@24 grid:i16[2][3]@56}:72:8";

struct plain_inner {
    float a;
    std::int64_t b;
};
struct plain {
    std::uint16_t x;
    std::array<plain_inner, 2> y;
};

order some_order() {
    order one{};
    one.id = 18446744073709551615U;
    one.tint = colour::red;
    one.symbol = {'A', 'B', 'C'};
    one.levels = {level{101.25, 7, true}, level{-0.5, 0, false}};
    one.grid[0][1] = -32768;
    one.grid[1][2] = 32767;
    return one;
}

constexpr std::string_view some_order_line =
    R"({"id":18446744073709551615,"tint":-3,"symbol":"ABC",)"
    R"("levels":[{"price":101.25,"count":7,"firm":true},{"price":-0.5,"count":0,"firm":false}],)"
    R"("grid":[[0,-32768,0],[0,0,32767]]})";

template <class T>
std::string line_of(const T& value) {
    return json_of(promisqs::element_type_of<T>(), {bytes_of(value)});
}

struct sample {
    std::string schema;
    message bytes;
    std::string json;
};

// Both ways.
void check(const sample& one) {
    CAPTURE(one.schema, one.json);
    CHECK(json_of(one.schema, one.bytes) == one.json);
    CHECK(message_of(one.schema, one.json) == one.bytes);
}

message text_bytes(std::string_view text) {
    const auto* const first = reinterpret_cast<const std::byte*>(text.data());
    return {first, first + text.size()};
}

}  // namespace

TEST_CASE("a described struct is an object with the names of its fields") {
#if defined(BOOST_DESCRIBE_CXX14)
    CHECK(promisqs::schema_of<order>.text == described_order);
#endif
    const auto type = promisqs::parse_element_type(described_order);
    const std::string line = std::string(some_order_line) + "\n";
    CHECK(json_of(type, {bytes_of(some_order())}) == line);
    const auto read = messages_of(type, line, 1);
    REQUIRE(read.size() == 1);
    CHECK(json_of(type, read) == line);
}

TEST_CASE("a plain struct is an object with the numbers of its fields") {
    const plain one{7, {plain_inner{0.1F, -1}, plain_inner{2, 3}}};
    const std::string line = R"({"0":7,"1":[{"0":0.1,"1":-1},{"0":2.0,"1":3}]})";
    CHECK(line_of(one) == line + "\n");
    const auto read = messages_of(promisqs::element_type_of<plain>(), line, 1);
    REQUIRE(read.size() == 1);
    CHECK(json_of(promisqs::element_type_of<plain>(), read) == line + "\n");
}

TEST_CASE("fields may come in any order, with any space between them") {
    const auto bytes = message_of("{a:u8@0 b:u8@1}:2:1", " { \"b\" : 2 ,\t\"a\":1 } \r");
    CHECK(bytes == message{std::byte{1}, std::byte{2}});
}

TEST_CASE("a lone value is a line of its own") {
    check({"u32", bytes_of(std::uint32_t{7}), "7"});
    check({"u16[3]", bytes_of(std::array<std::uint16_t, 3>{1, 2, 65535}), "[1,2,65535]"});
    check({"char[4]", text_bytes("ab\0\0"s), R"("ab")"});
    check({"bool", bytes_of(true), "true"});
}

TEST_CASE("integers are exact to the last bit") {
    check({"u64", bytes_of(std::numeric_limits<std::uint64_t>::max()), "18446744073709551615"});
    check({"i64", bytes_of(std::numeric_limits<std::int64_t>::min()), "-9223372036854775808"});
    check({"i64", bytes_of(std::numeric_limits<std::int64_t>::max()), "9223372036854775807"});
    check({"u64", bytes_of((std::uint64_t{1} << 53) + 1), "9007199254740993"});
    check({"i8", bytes_of(std::int8_t{-128}), "-128"});
    check({"i32", bytes_of(std::numeric_limits<std::int32_t>::min()), "-2147483648"});
    check({"char16", bytes_of(std::uint16_t{0xD800}), "55296"});
    check({"char32", bytes_of(std::uint32_t{0x1F600}), "128512"});
    check({"wchar32", bytes_of(std::uint32_t{0xFFFFFFFF}), "4294967295"});
    check({"enum<u8>", bytes_of(std::uint8_t{255}), "255"});
    check({"enum<i32>", bytes_of(std::int32_t{-1}), "-1"});
}

TEST_CASE("integers of 128 bits are strings of digits") {
    const std::uint64_t ones = ~std::uint64_t{0};
    const auto halves = [](std::uint64_t low, std::uint64_t high) { return bytes_of(std::array{low, high}); };
    check({"u128", halves(ones, ones), R"("340282366920938463463374607431768211455")"});
    check({"i128", halves(0, std::uint64_t{1} << 63), R"("-170141183460469231731687303715884105728")"});
    check({"i128", halves(ones, ones >> 1), R"("170141183460469231731687303715884105727")"});
    CHECK(message_of("i128", "-5") == halves(ones - 4, ones));
    CHECK(refusal_of("i128", R"("170141183460469231731687303715884105728")").find("128 bits") != std::string::npos);
    CHECK(refusal_of("u128", R"("340282366920938463463374607431768211456")").find("128 bits") != std::string::npos);
    CHECK(refusal_of("u128", R"("-1")").find("0 or more") != std::string::npos);
    CHECK(refusal_of("u128", R"("")").find("0 or more") != std::string::npos);
}

TEST_CASE("floating-point numbers are written in as few digits as lead back to them") {
    check({"f64", bytes_of(0.1), "0.1"});
    check({"f64", bytes_of(1.0), "1.0"});
    check({"f64", bytes_of(-0.0), "-0.0"});
    check({"f64", bytes_of(1e300), "1e+300"});
    check({"f64", bytes_of(std::numeric_limits<double>::max()), "1.7976931348623157e+308"});
    check({"f64", bytes_of(std::numeric_limits<double>::denorm_min()), "5e-324"});
    check({"f32", bytes_of(0.1F), "0.1"});
    check({"f32", bytes_of(16777216.0F), "16777216.0"});
    check({"f32", bytes_of(std::numeric_limits<float>::max()), "3.4028235e+38"});
    check({"f32", bytes_of(-std::numeric_limits<float>::denorm_min()), "-1e-45"});
    check({"f16", bytes_of(std::uint16_t{0x3C00}), "1.0"});
    check({"f16", bytes_of(std::uint16_t{0x7BFF}), "6.55e+04"});
    check({"bf16", bytes_of(std::uint16_t{0xBF80}), "-1.0"});
    CHECK(message_of("f64", "3") == bytes_of(3.0));
    CHECK(message_of("f32", "-3") == bytes_of(-3.0F));
    CHECK(message_of("f64", "18446744073709551616") == bytes_of(0x1p64));
}

TEST_CASE("what is no finite number survives, with its sign and its bits") {
    check({"f64", bytes_of(std::numeric_limits<double>::infinity()), R"("Infinity")"});
    check({"f64", bytes_of(-std::numeric_limits<double>::infinity()), R"("-Infinity")"});
    check({"f64", bytes_of(std::uint64_t{0x7FF8000000000000}), R"("NaN")"});
    check({"f64", bytes_of(std::uint64_t{0x7FF0000000000001}), R"("NaN:0x7ff0000000000001")"});
    check({"f64", bytes_of(std::uint64_t{0xFFF8000000000000}), R"("NaN:0xfff8000000000000")"});
    check({"f32", bytes_of(std::uint32_t{0x7FC00000}), R"("NaN")"});
    check({"f32", bytes_of(std::uint32_t{0xFFA00001}), R"("NaN:0xffa00001")"});
    check({"f32", bytes_of(-std::numeric_limits<float>::infinity()), R"("-Infinity")"});
    check({"f16", bytes_of(std::uint16_t{0x7C00}), R"("Infinity")"});
    check({"bf16", bytes_of(std::uint16_t{0x7FC1}), R"("NaN:0x7fc1")"});
}

TEST_CASE("every number of 16 bits survives") {
    const std::string format = GENERATE("f16", "bf16");
    const auto type = promisqs::parse_element_type(format);
    std::vector<message> all;
    for (unsigned bits = 0; bits < 65536; ++bits) all.push_back(bytes_of(static_cast<std::uint16_t>(bits)));
    CHECK((messages_of(type, json_of(type, all), all.size()) == all));
}

TEST_CASE("formats that JSON has no numbers for, and opaque bytes, are hexadecimal digits") {
    check({"f128", bytes_of(std::array<std::uint64_t, 2>{1, 0x3FFF000000000000}),
           R"("0100000000000000000000000000ff3f")"});
    check({"f80", bytes_of(std::array<std::uint64_t, 2>{std::uint64_t{1} << 63, 0x3FFF}), R"("0000000000000080ff3f")"});
    check({"opaque:3:1", text_bytes("\x00\xAB\xff"s), R"("00abff")"});
    check({"{data:opaque:2:1[2]@0}:4:1", text_bytes("\x01\x02\x03\x04"), R"({"data":["0102","0304"]})"});
    CHECK(message_of("opaque:2:1", R"("aBCd")") == text_bytes("\xab\xcd"));
}

TEST_CASE("texts are strings, whatever they hold") {
    check({"char[8]", text_bytes("\"\\/\n\x01\x7f\0\0"s), R"("\"\\/\n\u0001\u007f")"});
    check({"char[6]", text_bytes("gr\xc3\xbcn\0"s), "\"gr\xc3\xbcn\""});
    check({"char[4]", text_bytes("a\0b\0"s), R"("a\u0000b")"});
    check({"char[3]", text_bytes("\xff\xfe\0"s), R"({"hex":"fffe"})"});
    check({"char[2][3]", text_bytes("ab\0\xff\0\0"s), R"(["ab",{"hex":"ff"}])"});
    check({"char", text_bytes("x"), R"("x")"});
    check({"char", text_bytes("\0"s), R"("")"});
    check({"char8[2]", text_bytes("hi"), R"("hi")"});
    CHECK(message_of("char[3]", R"({"hex":"4142"})") == text_bytes("AB\0"s));
    // Nothing in it moves a terminal's cursor, or turns its text round.
    CHECK(json_of("char[6]", text_bytes("\xc2\x9bm\xe2\x80\xae")) == R"("\u009bm\u202e")");
}

TEST_CASE("arrays of nothing, and aggregates of nothing, have their brackets") {
    check({"{a:u8[0]@0 b:{}:1:1@0 c:u8@1}:2:1", text_bytes("\0\x05"s), R"({"a":[],"b":{},"c":5})"});
}

TEST_CASE("padding becomes zero") {
    CHECK(message_of("{a:u8@0 b:u32@4}:8:4", R"({"a":255,"b":1})") == text_bytes("\xff\0\0\0\x01\0\0\0"s));
}

namespace {

/// A type made by chance, and messages of it, with zeroes where nothing is.
class random_type {
public:
    explicit random_type(std::uint32_t seed) : random_(seed) { text_ = aggregate(0).text; }

    [[nodiscard]] promisqs::element_type type() const { return promisqs::parse_element_type(text_); }

    [[nodiscard]] message some_message() {
        const promisqs::element_fields fields(text_);
        message bytes(fields.type().size);
        for (const promisqs::field& one : fields.list()) fill(bytes, one, 0, one.offset);
        return bytes;
    }

private:
    struct made {
        std::string text;
        std::uint64_t size;
        std::uint64_t alignment;
    };

    std::uint32_t below(std::uint32_t limit) { return static_cast<std::uint32_t>(random_() % limit); }

    made base(unsigned depth) {
        static constexpr std::array<std::string_view, 25> words{
            "bool", "char", "i8",   "i16",   "i32",      "i64",       "i128",      "u8",  "u16",
            "u32",  "u64",  "u128", "char8", "char16",   "char32",    "wchar32",   "f16", "bf16",
            "f32",  "f64",  "f80",  "f128",  "enum<u8>", "enum<i64>", "enum<char>"};
        if (depth < 3 && below(4) == 0) return aggregate(depth + 1);
        if (below(8) == 0) {
            const std::uint64_t size = 1 + below(9);
            return {"opaque:" + std::to_string(size) + ":1", size, 1};
        }
        const std::string word(words.at(below(words.size())));
        const auto type = promisqs::parse_element_type(word);
        return {word, type.size, type.alignment};
    }

    made aggregate(unsigned depth) {
        std::string text = "{";
        std::uint64_t size = 0;
        std::uint64_t alignment = 1;
        const unsigned count = 1 + below(6);
        for (unsigned i = 0; i < count; ++i) {
            made one = base(depth);
            for (std::uint32_t extents = below(3); extents > 0; --extents) {
                const std::uint64_t extent = below(4);
                one.text += "[" + std::to_string(extent) + "]";
                one.size *= extent;
            }
            size = (size + one.alignment - 1) / one.alignment * one.alignment;
            const std::string name = below(2) == 0 ? "" : "f" + std::to_string(i) + ":";
            text += (i == 0 ? "" : " ") + name + one.text + "@" + std::to_string(size);
            size += one.size;
            alignment = std::max(alignment, one.alignment);
        }
        size = std::max<std::uint64_t>(1, (size + alignment - 1) / alignment) * alignment;
        return {text + "}:" + std::to_string(size) + ":" + std::to_string(alignment), size, alignment};
    }

    void fill(message& bytes, const promisqs::field& one, std::size_t extent, std::uint64_t at) {
        if (extent < one.extents.size()) {
            for (std::uint64_t i = 0; i < one.extents[extent].count; ++i) {
                fill(bytes, one, extent + 1, at + i * one.extents[extent].stride);
            }
            return;
        }
        const std::uint64_t size = one.type == "f80" ? 10 : one.size;  // the rest is padding
        const unsigned kind = below(4);                                // of numbers: also special ones
        for (std::uint64_t i = 0; i < size; ++i) {
            const std::uint32_t byte = kind == 0 ? 0 : kind == 1 ? 255 : below(256);
            bytes[at + i] = static_cast<std::byte>(one.kind == promisqs::field_kind::boolean ? byte & 1 : byte);
        }
    }

    std::mt19937 random_;
    std::string text_;
};

}  // namespace

TEST_CASE("messages of any type come back from JSON as they were") {
    for (std::uint32_t seed = 1; seed <= 60; ++seed) {
        random_type made(seed);
        std::vector<message> messages;
        for (int i = 0; i < 50; ++i) messages.push_back(made.some_message());
        CAPTURE(made.type().text);
        const std::string lines = json_of(made.type(), messages);
        CHECK((messages_of(made.type(), lines, messages.size()) == messages));
    }
}

TEST_CASE("a value that does not fit is named, with what was expected and found") {
    struct misfit {
        std::string schema;
        std::string line;
        std::string said;
    };
    const std::string inner = "{p:{q:u8[2]@0 r:char[3]@2}:5:1[2]@0 s:f32@12}:16:4";
    const auto misfits = std::to_array<misfit>({
        {"u8", "256", "the message: expected an integer from 0 to 255, found 256"},
        {"u8", "-1", "expected an integer from 0 to 255, found -1"},
        {"i8", "128", "expected an integer from -128 to 127, found 128"},
        {"i8", "-129", "expected an integer from -128 to 127, found -129"},
        {"i64", "9223372036854775808", "to 9223372036854775807, found 9223372036854775808"},
        {"i64", "-9223372036854775809", "from -9223372036854775808"},
        {"u64", "18446744073709551616", "found 18446744073709551616"},
        {"u8", "1.0", "an integer from 0 to 255, found 1.0"},
        {"u8", "\"1\"", "found \"1\""},
        {"u8", "true", "found true"},
        {"u8", "null", "found null"},
        {"u8", "[1]", "found an array"},
        {"u8", "{}", "found an object"},
        {"bool", "1", "expected true or false, found 1"},
        {"f32", "1e39", "expected a number that f32 has"},
        {"f16", "65520", "expected a number that f16 has"},
        {"f64", "\"nan\"", "found \"nan\""},
        {"f64", "\"NaN:0x7ff0000000000000\"", "expected a number that f64 has"},
        {"f32", "\"NaN:0x17fc00000\"", "expected a number that f32 has"},
        {"f64", "1e999", "number overflow"},
        {"char[3]", "\"abcd\"", "expected a text of at most 3 bytes, found \"abcd\""},
        {"char[3]", R"({"hex":"4142434"})", "a text of at most 3 bytes"},
        {"char[3]", R"({"hex":"zz"})", "a text of at most 3 bytes"},
        {"char[3]", R"({"hex":{"hex":"41"}})", "found an object"},
        {"char[3]", R"({})", "found an object without \"hex\""},
        {"char[3]", R"({"text":"41"})", "found a field \"text\""},
        {"opaque:2:1", "\"abc\"", "expected a string of 4 hexadecimal digits, found \"abc\""},
        {"opaque:2:1", "\"abcg\"", "expected a string of 4 hexadecimal digits"},
        {"u8[2]", "[1]", "expected an array of 2, found one of 1"},
        {"u8[2]", "[1,2,3]", "expected an array of 2, found more"},
        {"u8[2]", "7", "expected an array of 2, found 7"},
        {"u8[2][2]", "[[1,2],[3]]", "the field \"[1]\": expected an array of 2, found one of 1"},
        {inner, R"({"p":[{"q":[1,2],"r":""},{"q":[1,999],"r":""}],"s":1})", "the field \"p[1].q[1]\": expected"},
        {inner, R"({"p":[{"q":[1,2],"r":""},{"q":[1,2]}],"s":1})",
         "the field \"p[1].r\": expected a text of at most 3"},
        {inner, R"({"p":[{"q":[1,2],"r":""},{"q":[1,2],"r":"","t":0}],"s":1})",
         "the field \"p[1]\": expected the fields \"q\", \"r\", found a field \"t\""},
        {inner, R"({"p":[{"q":[1,2],"q":[1,2]}],"s":1})",
         "the field \"p[0].q\": expected one value, found another one"},
        {inner, "{\"x\x1b[31m\":1}", "expected JSON"},
        {inner, R"({"x\u001b[31m":1})", "the message: expected the fields \"p\", \"s\", found a field \"x\\x1b[31m\""},
        {"u8", "1 2", "byte 3: expected JSON"},
        {"u8[1]", "[", "byte 2: expected JSON"},
        {"u8", "nul", "expected JSON"},
        {"char[9]", "\"\xff\"", "expected JSON"},
    });
    for (const misfit& one : misfits) {
        CAPTURE(one.schema, one.line);
        const std::string said = refusal_of(one.schema, one.line + "\n");
        CAPTURE(said);
        CHECK(said.find("standard input, line 1: ") != std::string::npos);
        CHECK(said.find("; 0 messages were pushed") != std::string::npos);
        CHECK(said.find(one.said) != std::string::npos);
        CHECK(said.find('\x1b') == std::string::npos);
    }
}

TEST_CASE("brackets without end are an error, not a crash") {
    const std::string deep(1000000, '[');
    CHECK(refusal_of("u8[2][2]", deep).find("found an array") != std::string::npos);
    CHECK(refusal_of("{a:u8@0}:1:1", "{\"a\":" + deep).find("found an array") != std::string::npos);
}

TEST_CASE("a type of which the fields lie on each other is shown as bytes, and nothing is pushed into it") {
    promisqs_test::queue_of queue("{a:u8[4]@0 b:u8[4]@0}:4:1");
    queue.push(text_bytes("\x01\x02\x03\x04"));
    const auto popped = promisqs_test::run_tool({"pop", queue.name()});
    CHECK(popped.exit == 0);
    CHECK(popped.out == "\"01020304\"\n");
    CHECK(popped.err.find("expected fields that do not overlap") != std::string::npos);
    const auto pushed = promisqs_test::run_tool({"push", queue.name()}, "\"01020304\"");
    CHECK(pushed.exit == 5);
    CHECK(pushed.err.find("nothing is pushed") != std::string::npos);
    CHECK(queue->empty());
}

TEST_CASE("a type whose description would take for ever is shown as bytes") {
    std::string deep = "u8";
    for (int i = 0; i < 100; ++i) deep.insert(0, "{").append("@0}:1:1");
    std::string extents = "u8";
    for (int i = 0; i < 100000; ++i) extents += "[1]";
    const std::string endless = "{a:{}:0:1[99999999999]@0 b:u8@0}:1:1";
    const std::string twice = "{a:u8@0 a:u8[0]@0}:1:1";
    for (const std::string& schema : {deep, extents, endless, twice}) {
        promisqs_test::queue_of queue(schema);
        queue.push(text_bytes("\x07"));
        const auto popped = promisqs_test::run_tool({"pop", queue.name()});
        CAPTURE(schema.substr(0, 100), popped.err);
        CHECK(popped.exit == 0);
        CHECK(popped.out == "\"07\"\n");
        CHECK(popped.err.find("can't be used") != std::string::npos);
    }
}

TEST_CASE("minus zero keeps its sign in a float, with a point or without one") {
    for (const char* const text : {"-0", "-0.0", "-0e5"}) {
        CAPTURE(text);
        CHECK(message_of("f64", text) == bytes_of(-0.0));
        CHECK(message_of("f32", text) == bytes_of(-0.0F));
        CHECK(message_of("f16", text) == bytes_of(std::uint16_t{0x8000}));
    }
    CHECK(message_of("i32", "-0") == bytes_of(std::int32_t{0}));
    CHECK(message_of("f64", "0") == bytes_of(0.0));
}

TEST_CASE("a byte of value 0 does not end a line") {
    CHECK(refusal_of("u8",
                     "5\0"
                     "6\n"s)
              .find("byte 2: expected JSON, found a byte of value 0") != std::string::npos);
    CHECK(refusal_of("u8", "5\0\n"s).find("byte 2") != std::string::npos);
}
