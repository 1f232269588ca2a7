#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the tree of headers: which folder includes which, where each name lives, and how long files and lines are.
Also that the map of headers in CONTRIBUTING.md names those that there are.

Run it: tests/headers/check.py [root of the repository]. Prints each violation, and ends with 1 if there is one.
"""

import pathlib
import re
import sys

MOST_COLUMNS = 120
MOST_LINES = 300

# Headers that may be longer, and why.
LONGER = {
    "queue.hpp": "it is the reference documentation",
}

PUBLIC = {"queue", "claimed_messages", "untyped_queue", "wait_any", "ready_event", "inspector", "inspection", "options",
          "status", "error", "stats", "element", "schema", "version"}

# Public headers that are nothing but types, which every folder may use.
PLAIN = {"options", "status", "error", "stats", "inspection", "element"}

# What a folder of include/promisqs/detail may include, beside itself, `layout` and the plain public headers.
FOLDERS = {
    "protocol": set(),
    "os": set(),
    "lifecycle": {"os"},
    "schema": set(),
    "queue": {"lifecycle", "os", "protocol"},
    "inspection": {"lifecycle", "os", "protocol", "queue"},
}
# Other headers beside layout.hpp, and the folders that may use them.
BESIDE_LAYOUT = {"raise": {"os", "lifecycle", "queue", "inspection"}}  # it makes errors, for folders that throw
# Says what compilers will do, before anything else is parsed: every public header includes it first, and no other does.
FIRST = "platform"
# `schema` stands alone, but for errors. `protocol` throws nothing, so it has no use for them.
NO_PLAIN = {"schema": PLAIN - {"error"}, "protocol": {"error"}}
NO_LAYOUT = {"schema"}

# A public header includes public ones and detail/queue; these include more.
PUBLIC_EXTRA = {"element": {"schema", "layout"}, "schema": {"schema"}, "inspector": {"inspection"}}

# What `protocol` must not know: the system, the clock, Boost, exceptions, threads.
NOT_IN_PROTOCOL = re.compile(
    r"#\s*include\s*<(?:boost/|sys/|linux/|unistd\.h|fcntl\.h|signal\.h|pthread\.h|time\.h|chrono|ctime|exception|"
    r"stdexcept|system_error|thread|mutex|condition_variable|stop_token)"
    r"|\b(?:throw|try|catch)\b|std::chrono|boost::")
# Boost is for `os`, which maps memory, and for `schema`, which describes types.
MAY_USE_BOOST = {"os", "schema"}

# `always_inline` and `cold` are macros in many programs; `__cold__` is in none.
PLAIN_ATTRIBUTE = re.compile(r"\bgnu::(?!__)\w+")

# Exchanging a byte takes a library (libatomic) on RISC-V, unless the program is compiled with -pthread.
BYTE_ATOMIC = re.compile(r"\batomic<\s*(?:bool|(?:signed |unsigned )?char|std::u?int8_t|std::byte)\s*>|\batomic_flag\b")

STANDARD = re.compile(r"^\s*#\s*include\s*<([a-z_0-9]+)>", re.M)
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.M)


def without_comments(text):
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.S)


def place(header):
    """Where a header is: "" for public ones, else its folder in detail/. For one beside layout.hpp, its own name."""
    if header.parts[0] != "detail":
        return ""
    return header.stem if len(header.parts) == 2 else header.parts[1]


def may_include(header, other):
    here, there = place(header), place(other)
    name = other.stem
    if here == "":
        return there in {"", "queue", FIRST} or there in PUBLIC_EXTRA.get(header.stem, set())
    if there == "":
        return (here in FOLDERS or here in BESIDE_LAYOUT) and name in PLAIN - NO_PLAIN.get(here, set())
    if there == "layout":
        return here in FOLDERS and here not in NO_LAYOUT
    if there in BESIDE_LAYOUT:
        return here in BESIDE_LAYOUT[there]
    return here == there or there in FOLDERS.get(here, set())


def namespaces(text):
    """The namespaces that a header opens, from the outermost: those within others have a name of more parts."""
    found = []
    open_at = []  # depth of braces at which each one that is open was opened, and its name
    depth = 0
    for token in re.finditer(r"(?:inline )?namespace\s+([\w:]+)\s*\{|[{}]", without_literals(text)):
        if token[0] == "}":
            depth -= 1
            if open_at and open_at[-1][0] == depth:
                open_at.pop()
            continue
        if token[1]:
            name = "::".join([outer for _, outer in open_at] + [token[1]])
            found.append(name)
            open_at.append((depth, token[1]))
        depth += 1
    return found


def without_literals(text):
    return re.sub(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'', '""', without_comments(text))


def namespace_fits(header, name):
    here = place(header)
    if here == "":
        return name == "promisqs" or name == "promisqs::detail" or name.startswith("promisqs::detail::")
    if here == "layout":
        return name == "promisqs::detail::layout"
    if here == "os" and name == "promisqs::detail::os":
        return True
    return name == "promisqs::detail"


def check_header(base, path, complain):
    header = path.relative_to(base)
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if len(line) > MOST_COLUMNS:
            complain(f"{path}:{number}: a line of {len(line)} columns, where {MOST_COLUMNS} are the most")
    if len(lines) > MOST_LINES and str(header) not in LONGER:
        complain(f"{path}: {len(lines)} lines, where {MOST_LINES} are the most")
    if len(header.parts) == 1 and header.stem not in PUBLIC:
        complain(f"{path}: not one of the public headers")
    if header.parts[0] == "detail" and place(header) not in {"layout", FIRST, *BESIDE_LAYOUT, *FOLDERS}:
        complain(f"{path}: no folder for it is known")

    code = without_comments(text)
    if place(header) == "" and INCLUDE.findall(code)[:1] != [f"promisqs/detail/{FIRST}.hpp"]:
        complain(f"{path}: does not include promisqs/detail/{FIRST}.hpp first")
    if place(header) == FIRST:
        return  # what it includes on purpose does not exist
    for name in INCLUDE.findall(code):
        if not name.startswith("promisqs/"):
            if name.startswith("boost/") and place(header) not in MAY_USE_BOOST:
                complain(f"{path}: includes {name}, but Boost is only for {', '.join(sorted(MAY_USE_BOOST))}")
            continue
        other = pathlib.PurePosixPath(name).relative_to("promisqs")
        if not (base / other).exists():
            complain(f"{path}: includes {name}, which does not exist")
        elif not may_include(header, other):
            complain(f"{path}: must not include {name}")
    if place(header) == "protocol":
        for found in NOT_IN_PROTOCOL.finditer(without_literals(text)):
            complain(f"{path}: has \"{found[0]}\", but the protocol knows no system, clock, Boost or exception")
    for found in PLAIN_ATTRIBUTE.finditer(code):
        complain(f"{path}: has {found[0]}, where gnu::__{found[0][5:]}__ is meant: its name may be a macro")
    for found in BYTE_ATOMIC.finditer(code):
        complain(f"{path}: has {found[0]}, but an atomic byte needs libatomic on RISC-V")
    for name in namespaces(text):
        if not namespace_fits(header, name):
            complain(f"{path}: opens the namespace {name}, which does not fit its folder")


def check_users(root, complain):
    """Examples, and code in the README, use the public headers only."""
    internal = re.compile(r'#\s*include\s*[<"]promisqs/detail/')
    for path in sorted((root / "examples").rglob("*")):
        if path.suffix in {".cpp", ".hpp"}:
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                if internal.search(line):
                    complain(f"{path}:{number}: an example includes an internal header")
    readme = root / "README.md"
    in_code = False
    for number, line in enumerate(readme.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```"):
            in_code = not in_code
        elif in_code and internal.search(line):
            complain(f"{readme}:{number}: code in the README includes an internal header")


def check_list(root, headers, complain):
    """CMakeLists.txt lists every header, for installation and so that each is compiled alone."""
    path = root / "CMakeLists.txt"
    listed = re.findall(r"^\s*(include/promisqs/\S+\.hpp)\s*$", path.read_text(encoding="utf-8"), re.M)
    there = [str(header.relative_to(root)) for header in headers]
    for name in sorted(set(there) - set(listed)):
        complain(f"{path}: does not list {name}")
    for name in sorted(set(listed) - set(there)):
        complain(f"{path}: lists {name}, which does not exist")
    if len(listed) != len(set(listed)):
        complain(f"{path}: lists a header twice")
    if "VERIFY_INTERFACE_HEADER_SETS" not in path.read_text(encoding="utf-8"):
        complain(f"{path}: no longer has each header compiled alone (VERIFY_INTERFACE_HEADER_SETS)")


def check_first(base, headers, complain):
    """platform.hpp names all standard headers, for programs with macros that these don't stand."""
    path = base / "detail" / f"{FIRST}.hpp"
    named = set(STANDARD.findall(path.read_text(encoding="utf-8"))) if path.exists() else set()
    for header in headers:
        for name in sorted(set(STANDARD.findall(header.read_text(encoding="utf-8"))) - named - {"version"}):
            complain(f"{header}: includes <{name}>, which {path.name} does not")


def check_map(root, headers, complain):
    """CONTRIBUTING.md names every header of the library, and no header that does not exist."""
    path = root / "CONTRIBUTING.md"
    there = [f"/{header.relative_to(root)}" for folder in ("include", "tests", "bench", "examples")
             for header in (root / folder).rglob("*.hpp")]
    named = set(re.findall(r"[\w./-]*\w\.hpp\b", path.read_text(encoding="utf-8")))
    for name in sorted(named):
        if not any(header.endswith(f"/{name}") for header in there):
            complain(f"{path}: names {name}, which does not exist")
    names = {name.rpartition("/")[2] for name in named}
    for header in headers:
        if header.name not in names:
            complain(f"{path}: does not name {header.relative_to(root)}")


def violations(root):
    found = []
    base = root / "include" / "promisqs"
    headers = sorted(base.rglob("*.hpp"))
    if not headers:
        found.append(f"{base}: no headers")
    for path in headers:
        check_header(base, path, found.append)
    for name in sorted(LONGER):
        path = base / name
        if not path.exists() or len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES:
            found.append(f"{path}: needs no exception for its length")
    for name in sorted(PUBLIC):
        if not (base / f"{name}.hpp").exists():
            found.append(f"{base}: has no {name}.hpp")
    check_users(root, found.append)
    check_list(root, headers, found.append)
    check_first(base, headers, found.append)
    check_map(root, headers, found.append)
    return found


def main():
    here = pathlib.Path(__file__).resolve().parent.parent.parent
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here
    found = violations(root)
    for one in found:
        print(one)
    print(f"{len(found)} violations" if found else "the headers are in order")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
