// SPDX-License-Identifier: Apache-2.0

// The struct of C++ that `promisqs show` prints: a compiler finds the schema in it that it was made from.

#include "support/catch.hpp"
#include "support/names.hpp"
#include "tool/run_tool.hpp"

#include <promisqs/schema.hpp>
#include <promisqs/untyped_queue.hpp>

#include <nlohmann/json.hpp>

#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

using promisqs_test::run_tool;
using promisqs_test::scoped_name;

namespace {

std::string struct_of(std::string_view schema) {
    const scoped_name name("struct");
    const auto q = promisqs::untyped_queue::create(name, 1, schema);
    const auto result = run_tool({"show", name.str(), "--json"});
    REQUIRE(result.exit == 0);
    return nlohmann::json::parse(result.out)["element"]["struct"];
}

std::string name_in(const std::string& text) {
    const bool is_alias = text.find("\nusing ") != text.npos || text.starts_with("using ");
    std::size_t begin = is_alias ? text.rfind("using ") + 6 : 7;
    if (!is_alias && text.starts_with("struct alignas")) begin = text.find(") ") + 2;
    if (!is_alias && text.starts_with("struct [[gnu::packed]]")) begin = text.rfind(' ', text.find(" {") - 1) + 1;
    return text.substr(begin, text.find(' ', begin) - begin);
}

struct sample {
    std::string_view schema;
    bool is_same;  ///< the struct has the same schema; else only the same size and alignment
};

constexpr sample samples[] = {
    {"u32", true},
    {"{u64@0 char[12]@8 f32@20}:24:8", true},
    {"acme.order#3 {id:u64@0 side:enum<u8>@8 px:{v:f64@0 n:i32@8}:16:8[3]@16 ok:bool@64}:72:8", true},
    {"{i8@0 i16@2 i32@4 i64@8 i128@16 u128@32 char8@48 char16@50 char32@52 f80@64 f128@80}:96:16", true},
    {"{u8@0 u64@64}:128:64", true},
    {"{u8@0 {u32[2][3]@0}:24:4[2][2]@4 {}:1:1@100}:104:4", true},
    {"{u8@0 u64@1}:9:1", true},
    {"{u8@0 {u8@0 u64@1}:9:1@1}:10:1", true},
    {"enum<i16>", true},
    {"{u32@0}:4:4[5]", true},
    {"{a:u32@0}:64:64", true},
    {"{u8@0 {u32@0 u32@64}:128:64@64 {u8@0}:1:1@192}:256:64", true},
    {"u16[3][2]", true},
    {"opaque:24:8", false},
    {"{u32@0 opaque:24:8@8 u8@32}:40:8", false},
    {"{u8@0 u8@3}:8:4", false},
};

}  // namespace

TEST_CASE("the struct that show prints has the schema that it was made from") {
    std::string source = "#include <promisqs/element.hpp>\n#include <array>\n#include <cstddef>\n#include <cstdint>\n";
    int number = 0;
    for (const sample& one : samples) {
        const std::string text = struct_of(one.schema);
        const std::string space = "s" + std::to_string(number++);
        const std::string type = space + "::" + name_in(text);
        const auto element = promisqs::parse_element_type(one.schema);
        source.append("// ").append(one.schema).append("\nnamespace ").append(space).append(" {\n");
        source.append(text).append("}\n");
        source += "static_assert(sizeof(" + type + ") == " + std::to_string(element.size) + ");\n";
        source += "static_assert(alignof(" + type + ") == " + std::to_string(element.alignment) + ");\n";
        if (one.is_same)
            source += "static_assert(promisqs::schema_of<" + type +
                      ">.fingerprint == " + std::to_string(element.fingerprint) + "U);\n";
    }
    const promisqs_test::nameless_file file(source);
    const promisqs_test::nameless_file said;
    const std::string command = PROMISQS_TOOL_COMPILER " -std=c++20 -fsyntax-only -x c++ -Wno-pedantic - </proc/" +
                                std::to_string(::getpid()) + "/fd/" + std::to_string(file.descriptor()) + " >/proc/" +
                                std::to_string(::getpid()) + "/fd/" + std::to_string(said.descriptor()) + " 2>&1";
    const int status = std::system(command.c_str());
    CAPTURE(source, said.content());
    CHECK(status == 0);
}

TEST_CASE("the struct shows names, offsets and padding") {
    CHECK(struct_of("acme.order#3 {id:u64@0 side:enum<u8>@8 u32@12 px:{v:f64@0}:8:8[3]@16}:40:8") ==
          "struct order {                                    // 40 bytes, aligned to 8\n"
          "    std::uint64_t id;                             // offset 0\n"
          "    enum class side_type : std::uint8_t {} side;  // offset 8\n"
          "    // 3 bytes of padding\n"
          "    std::uint32_t field_2;                        // offset 12\n"
          "    struct px_type {                              // 8 bytes, aligned to 8\n"
          "        double v;                                 // offset 0\n"
          "    } px[3];                                      // offset 16\n"
          "};\n");
}

TEST_CASE("a hostile schema makes no endless struct") {
    std::string deep;
    for (int i = 0; i < 200; ++i) deep += "{";
    deep += "u8@0";
    for (int i = 0; i < 200; ++i) deep += "}:1:1@0";
    deep.resize(deep.size() - 2);
    const std::string text = struct_of(deep);
    CHECK(text.find("a struct") != std::string::npos);
    std::string wide = "{";
    for (int i = 0; i < 20000; ++i) wide += (i == 0 ? "u8@" : " u8@") + std::to_string(i);
    CHECK(struct_of(wide + "}:20000:1").find("more fields than are shown") != std::string::npos);
}
