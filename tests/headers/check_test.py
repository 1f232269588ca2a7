#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests that check.py finds each kind of violation. Run it: tests/headers/check_test.py"""

import pathlib
import tempfile
import unittest

import check

NAMESPACES = {"layout": "promisqs::detail::layout", "": "promisqs", "os": "promisqs::detail::os"}


def header(place, body=""):
    name = NAMESPACES.get(place, "promisqs::detail")
    first = "#include <promisqs/detail/platform.hpp>\n" if place == "" else ""
    return f"#pragma once\n{first}\nnamespace {name} {{\n{body}\n}}  // namespace {name}\n"


class CheckTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.root = pathlib.Path(scratch.name)
        for name in check.PUBLIC:
            self.write(f"include/promisqs/{name}.hpp", header(""))
        self.write("include/promisqs/detail/platform.hpp", "#pragma once\n#include <chrono>\n#include <cstdint>\n#include <stdexcept>\n")
        self.write("include/promisqs/detail/layout.hpp", header("layout"))
        self.write("include/promisqs/detail/raise.hpp", "#include <promisqs/error.hpp>\n" + header("raise"))
        for folder in check.FOLDERS:
            self.write(f"include/promisqs/detail/{folder}/one.hpp", header(folder))
        for name in check.LONGER:
            place = pathlib.PurePosixPath(name).parent.name
            self.write(f"include/promisqs/{name}", header(place, "\n" * check.MOST_LINES))
        self.write("examples/one.cpp", "#include <promisqs/queue.hpp>\n")
        self.write("README.md", "```cpp\n#include <promisqs/queue.hpp>\n```\n")
        self.list_headers()
        self.map_headers()

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def add(self, name, text):
        """Puts text before what is in a file."""
        path = self.root / name
        path.write_text(text + path.read_text(encoding="utf-8"), encoding="utf-8")

    def append(self, name, text):
        path = self.root / name
        path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")

    def list_headers(self, more=""):
        names = sorted(str(path.relative_to(self.root)) for path in (self.root / "include").rglob("*.hpp"))
        listed = "".join(f"    {name}\n" for name in names)
        self.write("CMakeLists.txt", listed + more + "VERIFY_INTERFACE_HEADER_SETS\n")

    def map_headers(self):
        names = sorted(path.name for path in (self.root / "include").rglob("*.hpp"))
        self.write("CONTRIBUTING.md", "detail/layout.hpp\n" + "".join(f"  {name}  what is there\n" for name in names))

    def finds(self, *words):
        found = check.violations(self.root)
        self.assertEqual(len(found), 1, found)
        for word in words:
            self.assertIn(word, found[0])

    def finds_nothing(self):
        self.assertEqual(check.violations(self.root), [])

    def includes(self, name, included):
        self.append(f"include/promisqs/{name}.hpp", f"#include <promisqs/{included}.hpp>\n")

    def test_a_tree_in_order_passes(self):
        self.finds_nothing()

    def test_includes_that_point_down_pass(self):
        self.includes("queue", "options")
        self.includes("queue", "detail/queue/one")
        self.includes("element", "detail/schema/one")
        self.includes("element", "detail/layout")
        self.includes("detail/queue/one", "detail/lifecycle/one")
        self.includes("detail/queue/one", "detail/protocol/one")
        self.includes("detail/queue/one", "detail/raise")
        self.includes("detail/lifecycle/one", "detail/os/one")
        self.includes("detail/protocol/one", "detail/layout")
        self.includes("detail/protocol/one", "stats")
        self.includes("detail/os/one", "error")
        self.finds_nothing()

    def test_includes_that_point_up_or_aside_are_found(self):
        for name, included in [
                ("detail/protocol/one", "detail/os/one"),
                ("detail/protocol/one", "detail/queue/one"),
                ("detail/protocol/one", "detail/raise"),
                ("detail/protocol/one", "error"),
                ("detail/os/one", "detail/lifecycle/one"),
                ("detail/os/one", "detail/protocol/one"),
                ("detail/os/one", "queue"),
                ("detail/lifecycle/one", "detail/protocol/one"),
                ("detail/lifecycle/one", "detail/queue/one"),
                ("detail/schema/one", "detail/layout"),
                ("detail/schema/one", "element"),
                ("detail/schema/one", "detail/os/one"),
                ("detail/queue/one", "queue"),
                ("detail/queue/one", "detail/schema/one"),
                ("detail/layout", "detail/protocol/one"),
                ("detail/layout", "error"),
                ("detail/raise", "detail/layout"),
                ("queue", "detail/protocol/one"),
                ("queue", "detail/os/one"),
                ("options", "detail/layout"),
        ]:
            with self.subTest(f"{name} includes {included}"):
                path = self.root / f"include/promisqs/{name}.hpp"
                before = path.read_text(encoding="utf-8")
                self.includes(name, included)
                self.finds(f"{name}.hpp", f"must not include promisqs/{included}.hpp")
                path.write_text(before, encoding="utf-8")

    def test_a_public_header_that_does_not_check_the_platform_first_is_found(self):
        self.add("include/promisqs/stats.hpp", "#include <cstdint>\n")
        self.finds("stats.hpp", "does not include promisqs/detail/platform.hpp first")

    def test_a_standard_header_that_the_first_one_does_not_name_is_found(self):
        self.append("include/promisqs/stats.hpp", "#include <cstdint>\n")
        self.finds_nothing()
        self.append("include/promisqs/stats.hpp", "#include <regex>\n")
        self.finds("stats.hpp", "<regex>")

    def test_an_include_of_no_header_is_found(self):
        self.includes("queue", "detail/queue/two")
        self.finds("queue.hpp", "does not exist")

    def test_an_include_in_a_comment_is_none(self):
        self.add("include/promisqs/detail/protocol/one.hpp", "// #include <promisqs/detail/os/one.hpp>\n")
        self.finds_nothing()

    def test_what_the_protocol_must_not_know_is_found(self):
        for line in ["#include <chrono>", "#include <unistd.h>", "#include <sys/mman.h>", "#include <stdexcept>",
                     "inline void f() { throw 1; }", "using clock = std::chrono::steady_clock;"]:
            with self.subTest(line):
                self.write("include/promisqs/detail/protocol/one.hpp", header("protocol", line))
                self.finds("protocol/one.hpp", "the protocol knows no")
        self.write("include/promisqs/detail/protocol/one.hpp", header("protocol", "// to throw is for others"))
        self.finds_nothing()

    def test_an_attribute_whose_name_may_be_a_macro_is_found(self):
        self.append("include/promisqs/stats.hpp", "[[gnu::__cold__]] void f();  // gnu::cold\n")
        self.finds_nothing()
        self.append("include/promisqs/stats.hpp", "[[nodiscard, gnu::cold]] int g();\n")
        self.finds("stats.hpp", "gnu::__cold__")

    def test_an_atomic_byte_is_found(self):
        self.append("include/promisqs/stats.hpp", "std::atomic<std::uint32_t> a;  // not std::atomic<bool>\n")
        self.finds_nothing()
        self.append("include/promisqs/stats.hpp", "std::atomic<bool> b;\n")
        self.finds("stats.hpp", "an atomic byte")

    def test_boost_outside_its_folders_is_found(self):
        self.add("include/promisqs/detail/os/one.hpp", "#include <boost/interprocess/mapped_region.hpp>\n")
        self.finds_nothing()
        self.add("include/promisqs/detail/queue/one.hpp", "#include <boost/describe.hpp>\n")
        self.finds("queue/one.hpp", "boost/describe.hpp")

    def test_an_internal_header_in_an_example_is_found(self):
        self.add("examples/one.cpp", "#include <promisqs/detail/os/one.hpp>\n")
        self.finds("one.cpp:1", "an example includes")

    def test_an_internal_header_in_code_of_the_readme_is_found(self):
        self.add("README.md", "#include <promisqs/detail/os/one.hpp> is not for you\n")
        self.finds_nothing()
        self.add("README.md", "```cpp\n#include <promisqs/detail/os/one.hpp>\n```\n")
        self.finds("README.md:2", "code in the README")

    def test_a_line_that_is_too_long_is_found(self):
        self.add("include/promisqs/stats.hpp", "//" + "x" * 118 + "\n")
        self.finds_nothing()
        self.add("include/promisqs/stats.hpp", "//" + "é" * 119 + "\n")
        self.finds("stats.hpp:1", "121 columns")

    def test_a_header_that_is_too_long_is_found(self):
        self.add("include/promisqs/stats.hpp", "\n" * 300)
        self.finds("stats.hpp", "lines")

    def test_an_exception_that_is_not_needed_is_found(self):
        self.write("include/promisqs/queue.hpp", header(""))
        self.finds("queue.hpp", "needs no exception")

    def test_a_header_that_is_not_listed_is_found(self):
        self.write("include/promisqs/detail/os/two.hpp", header("os"))
        self.map_headers()
        self.finds("does not list", "os/two.hpp")

    def test_a_header_that_the_map_does_not_name_is_found(self):
        self.write("include/promisqs/detail/os/two.hpp", header("os"))
        self.list_headers()
        self.finds("CONTRIBUTING.md", "does not name", "os/two.hpp")

    def test_a_header_in_the_map_that_does_not_exist_is_found(self):
        self.add("CONTRIBUTING.md", "tickets.hpp is the glossary\n")
        self.finds("CONTRIBUTING.md", "names tickets.hpp")

    def test_a_header_in_the_map_that_lies_elsewhere_is_found(self):
        self.add("CONTRIBUTING.md", "`detail/stats.hpp`\n")
        self.finds("CONTRIBUTING.md", "names detail/stats.hpp")

    def test_a_listed_header_that_does_not_exist_is_found(self):
        self.list_headers("    include/promisqs/old.hpp\n")
        self.finds("lists include/promisqs/old.hpp")

    def test_a_header_that_is_listed_twice_is_found(self):
        self.list_headers("    include/promisqs/stats.hpp\n")
        self.finds("twice")

    def test_that_headers_are_no_longer_compiled_alone_is_found(self):
        path = self.root / "CMakeLists.txt"
        path.write_text(path.read_text(encoding="utf-8").replace("VERIFY_", ""), encoding="utf-8")
        self.finds("compiled alone")

    def test_a_public_header_too_many_or_too_few_is_found(self):
        self.write("include/promisqs/tickets.hpp", header(""))
        self.list_headers()
        self.map_headers()
        self.finds("tickets.hpp", "not one of the public headers")
        (self.root / "include/promisqs/tickets.hpp").unlink()
        (self.root / "include/promisqs/stats.hpp").unlink()
        self.list_headers()
        self.map_headers()
        self.finds("has no stats.hpp")

    def test_an_unknown_folder_is_found(self):
        self.write("include/promisqs/detail/clocks/one.hpp", header("platform"))
        self.list_headers()
        self.finds("clocks/one.hpp", "no folder")

    def test_a_namespace_that_does_not_fit_the_folder_is_found(self):
        for name, namespace in [
                ("stats", "other"),
                ("detail/layout", "promisqs::detail"),
                ("detail/protocol/one", "promisqs"),
                ("detail/protocol/one", "promisqs::detail::os"),
                ("detail/queue/one", "promisqs::detail::queue"),
                ("detail/schema/one", "std"),
        ]:
            with self.subTest(f"{name} opens {namespace}"):
                path = self.root / f"include/promisqs/{name}.hpp"
                before = path.read_text(encoding="utf-8")
                self.add(f"include/promisqs/{name}.hpp", f"namespace {namespace} {{}}\n")
                self.finds(f"{name}.hpp", f"the namespace {namespace},")
                path.write_text(before, encoding="utf-8")
        self.add("include/promisqs/stats.hpp",
                 'namespace promisqs { namespace detail { char c = \'{\'; } void f() {} }\n')
        self.finds_nothing()


if __name__ == "__main__":
    unittest.main()
