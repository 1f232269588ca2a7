// SPDX-License-Identifier: Apache-2.0
#include <promisqs/element.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <variant>

#if __has_include(<boost/describe/class.hpp>)
#include <boost/describe/class.hpp>
#endif

#include "support/catch.hpp"

// The texts below are golden: they must be the same with every compiler. (For 64-bit Linux with 80-bit long double.
// Where a type differs, so does its text.)

namespace {

using promisqs::compatible;
using promisqs::schema_of;

template <class T>
std::string text() {
    return std::string(schema_of<T>.text);
}

template <class T>
bool is_unknown() {
    return schema_of<T>.fingerprint == 0 &&
           text<T>() == "opaque:" + std::to_string(sizeof(T)) + ":" + std::to_string(alignof(T));
}

struct message {
    std::uint64_t id;
    std::array<char, 32> address;
    std::array<std::uint8_t, 256> payload;
};

struct nothing {};
struct point {
    float x, y;
};
enum class side : std::uint8_t { buy, sell };
enum class flag : bool { off, on };
enum plain_enum { plain_value };

}  // namespace

// --- derived structure -----------------------------------------------------------------------------------------------

TEST_CASE("arithmetic types are told apart by kind and size", "[schema]") {
    CHECK(text<bool>() == "bool");
    CHECK(text<char>() == "char");
    CHECK(text<signed char>() == "i8");
    CHECK(text<unsigned char>() == "u8");
    CHECK(text<std::int16_t>() == "i16");
    CHECK(text<std::uint32_t>() == "u32");
    CHECK(text<float>() == "f32");
    CHECK(text<double>() == "f64");
    CHECK(text<wchar_t>() == "wchar32");
    CHECK(text<char8_t>() == "char8");
    CHECK(text<char16_t>() == "char16");
    CHECK(text<char32_t>() == "char32");
#if defined(__x86_64__)
    CHECK(text<long double>() == "f80");
#endif
}

TEST_CASE("a float is not taken for a uint32_t", "[schema]") {
    STATIC_REQUIRE(schema_of<float>.fingerprint != schema_of<std::uint32_t>.fingerprint);
    STATIC_REQUIRE_FALSE(compatible(schema_of<float>, schema_of<std::uint32_t>));
}

TEST_CASE("integers of the same size and sign are the same, whatever C++ calls them", "[schema]") {
    CHECK(text<long>() == (sizeof(long) == 8 ? "i64" : "i32"));
    CHECK(text<long long>() == "i64");
    CHECK(text<unsigned long long>() == text<std::uint64_t>());
    STATIC_REQUIRE(schema_of<long long>.fingerprint == schema_of<std::int64_t>.fingerprint);
}

TEST_CASE("128-bit numbers are described in every language mode", "[schema]") {
#if defined(__SIZEOF_INT128__)
    CHECK(text<promisqs::detail::int128>() == "i128");
    CHECK(text<promisqs::detail::uint128>() == "u128");
#endif
#if defined(__SIZEOF_FLOAT128__)
    CHECK(text<__float128>() == "f128");
#endif
}

TEST_CASE("an enum is described by its underlying type", "[schema]") {
    CHECK(text<side>() == "enum<u8>");
    CHECK(text<flag>() == "enum<bool>");
    CHECK(text<plain_enum>() == "enum<u32>");
    CHECK(text<std::byte>() == "enum<u8>");
    STATIC_REQUIRE_FALSE(compatible(schema_of<side>, schema_of<std::uint8_t>));
}

TEST_CASE("arrays list their extents, the outermost first, and std::array counts as an array", "[schema]") {
    CHECK(text<std::uint8_t[16]>() == "u8[16]");
    CHECK(text<std::uint8_t[2][3]>() == "u8[2][3]");
    CHECK(text<std::array<std::array<std::uint8_t, 3>, 2>>() == "u8[2][3]");
    CHECK(text<std::array<std::uint8_t[3], 2>>() == "u8[2][3]");
    CHECK(text<std::array<point, 3>>() == "{f32@0 f32@4}:8:4[3]");
}

TEST_CASE("an aggregate lists its fields and their offsets", "[schema]") {
    CHECK(text<message>() == "{u64@0 char[32]@8 u8[256]@40}:296:8");
    CHECK(text<nothing>() == "{}:1:1");

    struct order {
        message its_message;
        side its_side;
        point corners[2][2];
        const long double price;
        nothing its_nothing;
        volatile char* where;
    };
    CHECK(text<order>() ==
          "{{u64@0 char[32]@8 u8[256]@40}:296:8@0 enum<u8>@296 {f32@0 f32@4}:8:4[2][2]@300 f80@336 {}:1:1@352 "
          "opaque:8:8@360}:368:16");
}

namespace {
struct with_initialisers {
    int a = 1;
    std::array<int, 3> b{1, 2, 3};
    char c[4] = "abc";
    point d{1, 2};
};
struct not_assignable {
    not_assignable& operator=(const not_assignable&) = delete;
    mutable int a;
    const int b[3];
};
struct nested {
    struct outer_part {
        struct inner_part {
            nothing c[2];
        } b;
    } a[2][2];
};
}  // namespace

TEST_CASE("initialisers, const and mutable do not matter", "[schema]") {
    CHECK(text<with_initialisers>() == "{i32@0 i32[3]@4 char[4]@16 {f32@0 f32@4}:8:4@20}:28:4");
    CHECK(text<not_assignable>() == "{i32@0 i32[3]@4}:16:4");
}

TEST_CASE("aggregates nest, also in arrays", "[schema]") {
    CHECK(text<nested>() == "{{{{}:1:1[2]@0}:2:1@0}:2:1[2][2]@0}:8:1");
}

TEST_CASE("const and volatile make no difference to a type", "[schema]") {
    CHECK(text<const message>() == text<message>());
    CHECK(text<const volatile int>() == "i32");
    CHECK(text<const std::array<const int, 2>>() == "i32[2]");
}

TEST_CASE("a megabyte of payload is described as quickly as a byte", "[schema]") {
    struct big {
        char a;
        char payload[1 << 20];
        int c;
    };
    CHECK(text<big>() == "{char@0 char[1048576]@1 i32@1048580}:1048584:4");
    CHECK(text<std::array<std::byte, 1 << 20>>() == "enum<u8>[1048576]");
}

namespace {
#if defined(__GNUC__)
struct [[gnu::packed]] packed_fields {
    char a;
    double b;
    std::uint16_t c;
};
#pragma pack(push, 2)
struct half_packed {
    char a;
    double b;
};
#pragma pack(pop)
#endif
struct with_alignas {
    char a;
    alignas(64) char b;
    alignas(4) char c;
};
struct overlapping {
    long a;
    [[no_unique_address]] nothing b;
    [[no_unique_address]] std::integral_constant<int, 1> c;
    int d;
};
struct padded {
    char a;
    int : 9;
    char b;
};
struct plain_chars {
    char a, b;
};
}  // namespace

TEST_CASE("offsets are the true ones, also of packed, aligned and overlapping fields", "[schema]") {
    CHECK(text<packed_fields>() == "{char@0 f64@1 u16@9}:11:1");
    CHECK(text<half_packed>() == "{char@0 f64@2}:10:2");
    CHECK(text<with_alignas>() == "{char@0 char@64 char@68}:128:64");
    CHECK(text<overlapping>() == "{i64@0 {}:1:1@0 {}:1:1@0 i32@8}:16:8");
    CHECK(text<padded>().starts_with("{char@0 char@3}:4:"));
    STATIC_REQUIRE(schema_of<plain_chars>.fingerprint != schema_of<padded>.fingerprint);
}

TEST_CASE("nothing but the order, kind, size and place of fields is compared", "[schema]") {
    struct other {
        unsigned long long number;
        char place[32];
        unsigned char bytes[4][64];
    };
    struct same {
        unsigned long long number;
        char place[32];
        unsigned char bytes[256];
    };
    STATIC_REQUIRE(compatible(schema_of<message>, schema_of<same>));
    STATIC_REQUIRE_FALSE(compatible(schema_of<message>, schema_of<other>));
}

namespace {
// clang-format off
#define EIGHT(name) int name##0, name##1, name##2, name##3, name##4, name##5, name##6, name##7;
struct fields63 { EIGHT(a) EIGHT(b) EIGHT(c) EIGHT(d) EIGHT(e) EIGHT(f) EIGHT(g) int h0, h1, h2, h3, h4, h5; char h6[4]; };
struct fields64 { EIGHT(a) EIGHT(b) EIGHT(c) EIGHT(d) EIGHT(e) EIGHT(f) EIGHT(g) EIGHT(h) };
struct fields65 { EIGHT(a) EIGHT(b) EIGHT(c) EIGHT(d) EIGHT(e) EIGHT(f) EIGHT(g) EIGHT(h) char i[4]; };
struct fields72 { EIGHT(a) EIGHT(b) EIGHT(c) EIGHT(d) EIGHT(e) EIGHT(f) EIGHT(g) EIGHT(h) EIGHT(i) };
#undef EIGHT
// clang-format on
}  // namespace

TEST_CASE("up to 64 fields are described, and a type of more is opaque", "[schema]") {
    std::string expected = "{";
    for (int i = 0; i < 64; ++i) expected += "i32@" + std::to_string(4 * i) + (i < 63 ? " " : "}:256:4");
    CHECK(text<fields64>() == expected);
    CHECK(text<fields63>().ends_with(" char[4]@248}:252:4"));
    CHECK(is_unknown<fields65>());
    CHECK(is_unknown<fields72>());
}

namespace here::there {
namespace {
struct hidden {
    int a;
};
}  // namespace
}  // namespace here::there

template <class T>
struct outer {
    struct inner {
        T value;
        std::array<T, 2> values;
    };
    inner inner;
};

TEST_CASE("it does not matter where a type is declared", "[schema]") {
    struct local {
        int a;
    };
    const auto lambda_local = [] {
        struct in_lambda {
            int a;
        };
        return text<in_lambda>();
    };
    CHECK(text<local>() == "{i32@0}:4:4");
    CHECK(lambda_local() == "{i32@0}:4:4");
    CHECK(text<here::there::hidden>() == "{i32@0}:4:4");
    CHECK(text<outer<short>>() == "{{i16@0 i16[2]@2}:6:2@0}:6:2");
}

// --- opaque types ----------------------------------------------------------------------------------------------------

namespace {
class with_constructor {
public:
    explicit with_constructor(int value) : value_(value) {}
    [[nodiscard]] int value() const { return value_; }

private:
    int value_;
};
class with_default {
public:
    with_default() = default;
    [[nodiscard]] int value() const { return value_; }

private:
    int value_ = 0;
};
struct explicit_default {
    explicit explicit_default() = default;
    int a = 0;
};
struct deleted_default {
    deleted_default() = delete;
    int a;
};
struct from_anything {
    from_anything() = default;
    template <class T>
    from_anything(T&&) {}  // NOLINT(bugprone-forwarding-reference-overload): it is what this type is for
    int a = 0;
};
struct from_any_copy {
    from_any_copy() = default;
    template <class T>
    from_any_copy(T) {}
    int a = 0;
};
struct move_only {
    move_only(const move_only&) = delete;
    move_only(move_only&&) = default;
    move_only() = default;
    int a = 0;
};
struct base {
    int a;
};
struct derived : base {
    int b;
};
struct derived_from_nothing : nothing {
    int b;
};
struct derived_only : base {};
union either {
    int a;
    float b;
};
int global = 0;
}  // namespace

TEST_CASE("a type that can't be taken apart is opaque", "[schema]") {
    CHECK(is_unknown<with_constructor>());
    CHECK(is_unknown<with_default>());
    CHECK(is_unknown<explicit_default>());
    CHECK(is_unknown<deleted_default>());
    CHECK(is_unknown<either>());
    CHECK(is_unknown<std::complex<double>>());
    CHECK(is_unknown<std::chrono::nanoseconds>());
    CHECK(is_unknown<std::chrono::system_clock::time_point>());
    CHECK(is_unknown<std::chrono::year_month_day>());
    CHECK(is_unknown<std::optional<int>>());
    CHECK(is_unknown<std::variant<int, float>>());
    CHECK(is_unknown<std::string_view>());
    CHECK(is_unknown<std::span<int>>());
    CHECK(is_unknown<std::span<int, 3>>());
    CHECK(is_unknown<std::reference_wrapper<int>>());
    CHECK(is_unknown<std::atomic<int>>());
    CHECK(is_unknown<std::array<int, 0>>());
    [[maybe_unused]] const auto closure = [a = 1, b = 2.0] { return a + b; };
    CHECK(is_unknown<std::remove_cv_t<decltype(closure)>>());
    [[maybe_unused]] const auto empty_closure = [] {};
    CHECK(is_unknown<std::remove_cv_t<decltype(empty_closure)>>());
}

TEST_CASE("pointers are opaque, because they mean nothing to another process", "[schema]") {
    CHECK(is_unknown<int*>());
    CHECK(is_unknown<void (*)(int)>());
    CHECK(is_unknown<int message::*>());
    CHECK(is_unknown<int (message::*)()>());
    CHECK(is_unknown<std::nullptr_t>());
}

TEST_CASE("an aggregate with base classes is opaque", "[schema]") {
    CHECK(is_unknown<derived>());
    CHECK(is_unknown<derived_from_nothing>());
    CHECK(is_unknown<derived_only>());
}

namespace {
struct bits {
    int a : 3;
    int b;
};
struct const_bits {
    const unsigned a : 3;
    const bool b : 1;
};
struct enum_bits {
    int a;
    plain_enum b : 4;
};
struct no_constructor_field {
    int a;
    with_constructor b;
};
struct has_volatile {
    int a;
    volatile int b;
};
struct tuple_like {
    int a;
};
}  // namespace
template <>
struct std::tuple_size<tuple_like> : std::integral_constant<std::size_t, 2> {};

TEST_CASE("an aggregate is opaque if one of its fields hides what it is", "[schema]") {
    CHECK(is_unknown<bits>());
    CHECK(is_unknown<const_bits>());
    CHECK(is_unknown<enum_bits>());
    CHECK(is_unknown<no_constructor_field>());
    CHECK(is_unknown<has_volatile>());
    CHECK(is_unknown<tuple_like>());
}

namespace {
struct with_reference {
    int a;
    int& b;
};
struct reference_with_initialiser {
    int a;
    int& b = global;
};
struct volatile_reference_with_initialiser {
    int a;
    volatile int& b = global;
};
struct const_reference {
    const int& a;
    int b;
};
struct const_reference_with_initialiser {
    const int& a = global;
    int b;
};
struct rvalue_reference {
    int a;
    int&& b = static_cast<int&&>(global);
};
struct array_reference {
    int a;
    const char (&b)[4] = "abc";
};
}  // namespace

TEST_CASE("an aggregate with a reference is opaque", "[schema]") {
    CHECK(is_unknown<with_reference>());
    CHECK(is_unknown<reference_with_initialiser>());
    CHECK(is_unknown<volatile_reference_with_initialiser>());
    CHECK(is_unknown<const_reference>());
    CHECK(is_unknown<const_reference_with_initialiser>());
    CHECK(is_unknown<rvalue_reference>());
    CHECK(is_unknown<array_reference>());
}

namespace {
struct anonymous_union {
    int kind;
    union {
        int i;
        float f;
    };
};
struct anonymous_union_first {
    union {
        int i;
        float f;
    };
};
struct unnamed_field {
    int a;
    struct {
        int x, y;
    } point;
};
typedef struct {  // NOLINT(modernize-use-using): as C has it
    int x, y;
} c_point;
struct named_fields {
    c_point point;
    either its_either;
    anonymous_union in;
    anonymous_union_first ins[2];
    anonymous_union_first first;
};
int may_throw() { return 1; }
struct calls_initialiser {
    c_point point;
    either its_either;
    int a = may_throw();
};
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
struct anonymous_struct {
    int kind;
    struct {
        int i;
        float f;
    };
};
struct anonymous_inside {
    int kind;
    struct {
        union {
            int i;
            float f;
        };
    };
    int after;
};
struct no_elements {
    int size;
    char data[0];
};
#pragma GCC diagnostic pop
#endif
}  // namespace

TEST_CASE("an aggregate with an anonymous union or struct is opaque, and known again around it", "[schema]") {
    CHECK(is_unknown<anonymous_union>());
    CHECK(is_unknown<anonymous_union_first>());
    CHECK(is_unknown<anonymous_struct>());
    CHECK(is_unknown<anonymous_inside>());
    CHECK(is_unknown<unnamed_field>());
    CHECK(is_unknown<no_elements>());
    CHECK(text<named_fields>() ==
          "{{i32@0 i32@4}:8:4@0 opaque:4:4@8 opaque:8:4@12 opaque:4:4[2]@20 opaque:4:4@28}:32:4");
    CHECK(text<calls_initialiser>() == "{{i32@0 i32@4}:8:4@0 opaque:4:4@8 i32@12}:16:4");
}

namespace {
struct ampersand_field {
    int a = 0;
    ampersand_field* operator&() const = delete;
};
struct opaque_fields {
    std::optional<int> optional;
    std::complex<double> complex;
    std::chrono::nanoseconds duration;
    std::chrono::year_month_day date;
    from_anything anything;
    from_any_copy copy;
    move_only its_move_only;
    ampersand_field ampersand;
    void* pointer;
    int message::*member;
    std::nullptr_t null;
    derived_only derived;
    fields65 many;
    std::array<int, 0> none;
};
struct explicit_fields {
    int a;
    explicit_default b = explicit_default();
    with_constructor c = with_constructor(1);
};
}  // namespace

TEST_CASE("a field of an opaque type leaves the aggregate around it known", "[schema]") {
    STATIC_REQUIRE(schema_of<opaque_fields>.fingerprint != 0);
    CHECK(
        text<opaque_fields>() ==
        "{opaque:8:4@0 opaque:16:8@8 opaque:8:8@24 opaque:4:2@32 opaque:4:4@36 opaque:4:4@40 opaque:4:4@44 "
        "{i32@0}:4:4@48 opaque:8:8@56 opaque:8:8@64 opaque:8:8@72 opaque:4:4@80 opaque:260:4@84 opaque:1:1@344}:352:8");
}

TEST_CASE("a field that refuses an empty initialiser makes the aggregate opaque", "[schema]") {
    CHECK(is_unknown<explicit_fields>());
}

TEST_CASE("an array is as unknown as its elements", "[schema]") {
    CHECK(text<std::array<either, 3>>() == "opaque:4:4[3]");
    STATIC_REQUIRE(schema_of<std::array<either, 3>>.fingerprint == 0);
    STATIC_REQUIRE(schema_of<either[2][3]>.fingerprint == 0);
}

#if defined(__SSE2__)
namespace {
using vector_register __attribute__((vector_size(16))) = float;
struct has_vector {
    int a;
    vector_register v;
};
}  // namespace
TEST_CASE("vector registers are opaque", "[schema]") {
    CHECK(is_unknown<vector_register>());
    CHECK(text<has_vector>() == "{i32@0 opaque:16:16@16}:32:16");
}
#endif

// --- what the user adds ----------------------------------------------------------------------------------------------

namespace {
struct price_v2 {
    std::int64_t ticks;
};
struct price_v3 {
    std::int64_t ticks;
};
struct secret {
    int a;
    int b;
};
struct quote {
    price_v2 price;
    secret its_secret;
};
union tagged {
    int a;
    float b;
};
}  // namespace
// NOLINTBEGIN(readability-identifier-naming): what schema_name asks for
template <>
struct promisqs::schema_name<price_v2> {
    static constexpr std::string_view name = "acme.price";
    static constexpr std::uint32_t version = 2;
};
template <>
struct promisqs::schema_name<price_v3> {
    static constexpr const char* name = "acme.price";
    static constexpr std::uint32_t version = 4294967295;
};
template <>
struct promisqs::schema_name<tagged> {
    static constexpr std::string_view name = "acme.tagged";
    static constexpr int version = 1;
};
// NOLINTEND(readability-identifier-naming)
template <>
inline constexpr bool promisqs::treat_as_opaque<secret> = true;

TEST_CASE("a name and its version are shown and compared", "[schema]") {
    CHECK(text<price_v2>() == "acme.price#2 {i64@0}:8:8");
    CHECK(text<price_v3>() == "acme.price#4294967295 {i64@0}:8:8");
    STATIC_REQUIRE(schema_of<price_v2>.name_fingerprint != 0);
    STATIC_REQUIRE(schema_of<price_v2>.fingerprint == schema_of<price_v3>.fingerprint);
    STATIC_REQUIRE_FALSE(compatible(schema_of<price_v2>, schema_of<price_v3>));
}

TEST_CASE("a name that only one side knows is not compared", "[schema]") {
    struct without_name {
        long long ticks;
    };
    STATIC_REQUIRE(schema_of<without_name>.name_fingerprint == 0);
    STATIC_REQUIRE(compatible(schema_of<price_v2>, schema_of<without_name>));
    STATIC_REQUIRE(compatible(schema_of<without_name>, schema_of<price_v3>));
}

TEST_CASE("a structure that only one side knows is not compared", "[schema]") {
    STATIC_REQUIRE(compatible(schema_of<std::chrono::nanoseconds>, schema_of<std::int64_t>));
    STATIC_REQUIRE(compatible(schema_of<float>, schema_of<with_constructor>));
}

TEST_CASE("a type marked as opaque is not taken apart, neither alone nor as a field", "[schema]") {
    CHECK(is_unknown<secret>());
    CHECK(text<quote>() == "{acme.price#2 {i64@0}:8:8@0 opaque:8:4@8}:16:8");
    STATIC_REQUIRE(schema_of<quote>.name_fingerprint == 0);
}

TEST_CASE("the names of fields' types do not enter the fingerprint", "[schema]") {
    struct without_name {
        struct ticks {
            long ticks;
        } price;
        tagged secret[2];
    };
    struct with_name {
        price_v2 price;
        tagged secret[2];
    };
    CHECK(text<with_name>() == "{acme.price#2 {i64@0}:8:8@0 acme.tagged#1 opaque:4:4[2]@8}:16:8");
    STATIC_REQUIRE(schema_of<with_name>.fingerprint == schema_of<without_name>.fingerprint);
}

TEST_CASE("the fingerprints are those of the documentation", "[schema]") {
    // FNV-1a, 64 bits, of "u32", of the text of Message, and of "acme.price#2"
    STATIC_REQUIRE(schema_of<std::uint32_t>.fingerprint == 0x4d2bdf193e8526d1);
    STATIC_REQUIRE(schema_of<message>.fingerprint == 0x3aa8c54917673a12);
    STATIC_REQUIRE(schema_of<price_v2>.name_fingerprint == 0x7c631b3a7973878d);
}

#if __has_include(<boost/describe/class.hpp>)
namespace described {
struct inner {
    int x, y;
};
BOOST_DESCRIBE_STRUCT(inner, (), (y, x))
struct order {
    std::uint64_t id;
    int undescribed;
    inner where[2];
    [[no_unique_address]] nothing its_nothing;
    std::array<char, 8> address;

    void method() {}
    static inline int shared = 0;
};
BOOST_DESCRIBE_STRUCT(order, (), (address, where, its_nothing, id, method, shared))
struct plain_enum {
    std::uint64_t id;
    int undescribed;
    inner where[2];
    [[no_unique_address]] nothing its_nothing;
    std::array<char, 8> address;
};
}  // namespace described

TEST_CASE("fields described with Boost.Describe are shown by name, and compared without", "[schema]") {
    CHECK(text<described::order>() ==
          "{id:u64@0 i32@8 where:{x:i32@0 y:i32@4}:8:4[2]@12 its_nothing:{}:1:1@0 address:char[8]@28}:40:8");
    STATIC_REQUIRE(schema_of<described::order>.fingerprint == schema_of<described::plain_enum>.fingerprint);
}
#endif
