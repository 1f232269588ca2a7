#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts the instructions of each kind of call, for messages of several sizes, and fails where they are more than
bounds.txt says. What makes a path longer is to be noticed, and either taken back or written down there.

    tests/instructions/check.py [--print] [CALL...]

Counts under callgrind, which repeat exactly: in one thread, by a clock of the program's own. Only the program's own
instructions count. The C library copies large messages by instructions that depend on the processor, so of these it is
counted how often it copies. The bounds are those of g++ 12 -O2 on x86-64. Other compilers are given a quarter more.

Two things are cheap in instructions and dear in time. They are looked for in the machine code, on x86-64: copies and
clearing by `rep`, and, by g++ 12, a small optional whose flag is written as a byte.

--print prints what is counted, as bounds.txt has it.
"""

import argparse
import concurrent.futures
import os
import pathlib
import platform
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
INCLUDE = HERE.parent.parent / "include"
BOUNDS = HERE / "bounds.txt"

# All occasions that a thread leaves out, once it has learnt that nothing comes, fit into the first. The second is a
# multiple of them, and of the capacity.
WARM_UP = 128
COUNTED = 1280

# Up to this size, in bytes, messages are copied without a call.
MOST_INLINE_BYTES = 256

# Without a type, only the sizes of copy.hpp's copy_sized are.
UNTYPED = {"untyped_push_try_pop"}
UNTYPED_INLINE_BYTES = {8, 16, 64}

# Where an optional is returned in registers.
RETURN_OPTIONALS = {"push_pop", "called_push_pop", "push_wait_pop_wait"}
SMALL_OPTIONALS = {"number", "8", "8,one"}

# What pop() may take more than try_pop, for messages that it copies in line.
ALIKE = {"push_pop": "push_try_pop", "called_push_pop": "called_push_try_pop"}
MOST_MORE = 25


def is_large(column):
    return column.isdigit() and int(column) > MOST_INLINE_BYTES


def is_copied_by_call(call, column):
    if call in UNTYPED:
        return column.isdigit() and int(column) not in UNTYPED_INLINE_BYTES
    return is_large(column)


class Bounds:
    """bounds.txt: for each kind of call, what it copies by calls, and the most instructions in each column."""

    def __init__(self, text):
        rows = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
        self.columns = rows[0][2:]
        self.copies = {row[0]: int(row[1]) for row in rows[1:]}
        self.most = {row[0]: dict(zip(self.columns, map(int, row[2:]))) for row in rows[1:]}
        for call, most in self.most.items():
            if len(most) != len(self.columns):
                sys.exit(f"{BOUNDS.name}: {call} has {len(most)} bounds, not {len(self.columns)}")

    def row(self, call, counts):
        return f"{call:24}{self.copies[call]:>6}" + "".join(f"{counts[column]:>9}" for column in self.columns)


class Section:
    """What callgrind has counted between the ends of two calls of `make_calls`."""

    def __init__(self, dump, program):
        self.instructions = 0
        self.copies = 0
        self.functions = set()
        lines = iter(dump.read_text(encoding="utf-8").splitlines())
        inside = False
        callee = ""
        for line in lines:
            if line.startswith("ob="):
                inside = line[3:] == str(program)
            elif line.startswith("fn="):
                function = line[3:]
                # The rest is what makes queues, and messages.
                if inside and re.search("make_calls|promisqs", function):
                    self.functions.add(function)
            elif line.startswith("cfn="):
                callee = line[4:]
            elif line.startswith("calls="):
                next(lines)  # what the callee cost
                if inside and re.search("mem(cpy|move)", callee):
                    self.copies += int(line[len("calls="):].split()[0])
            elif inside and line[:1].isdigit():
                self.instructions += int(line.split()[1])


def run(*command):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout


class Compiler:
    def __init__(self, folder):
        self.folder = folder
        self.command = [os.environ.get("CXX", "c++"), "-std=c++20", "-O2", "-I", INCLUDE]
        version = run(self.command[0], "--version").splitlines()[0]
        self.is_x86 = platform.machine() == "x86_64"
        self.is_exact = self.is_x86 and re.match(r"[cg]\+\+.* 12\.", version) is not None
        # What all programs include is parsed once.
        header = folder / "queue.hpp"
        header.write_text("#include <promisqs/queue.hpp>\n#include <promisqs/untyped_queue.hpp>\n", encoding="utf-8")
        run(*self.command, "-x", "c++-header", header, "-o", folder / "queue.hpp.gch")

    def program(self, call):
        made = self.folder / call
        run(*self.command, "-include", self.folder / "queue.hpp", "-D", f"PROMISQS_CALL={call}", HERE / "calls.cpp",
            "-Wl,-z,now", "-o", made)
        return made


def count(program):
    """By column: what was counted there."""
    out = program.with_suffix(".out")
    printed = run("valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--demangle=no", "--compress-pos=no",
                  "--compress-strings=no", "--dump-after=*make_calls*", program, WARM_UP, COUNTED)
    columns = printed.split()
    dumps = [out.with_name(f"{out.name}.{2 * i + 2}") for i in range(len(columns))]
    return {column: Section(dump, program) for column, dump in zip(columns, dumps)}


def disassembled(program):
    """By function: its instructions."""
    found = {}
    for line in run("objdump", "-d", "--no-show-raw-insn", program).splitlines():
        if name := re.fullmatch(r"[0-9a-f]+ <(.+)>:", line):
            lines = found.setdefault(name[1], [])
        elif "\t" in line:
            lines.append(line.split("\t", 1)[1])
    return found


def slow_instructions(call, program, sections, compiler):
    """What should not be in functions that were called, and in which column."""
    code = disassembled(program)
    for column, section in sections.items():
        slow = "rep (movs|stos)"
        if compiler.is_exact and call in RETURN_OPTIONALS and column in SMALL_OPTIONALS:
            slow += r"|movb +\$0x1,.*\(%rsp\)"
        for name in sorted(section.functions):
            yield from ((column, f"{name} has {line}") for line in code.get(name, []) if re.match(slow, line))


def check(call, bounds, compiler):
    """What was counted, by column; and what is wrong."""
    program = compiler.program(call)
    sections = count(program)
    counts = {column: round(section.instructions / COUNTED) for column, section in sections.items()}
    wrong = []
    for column, most in bounds.most[call].items():
        allowed = most if compiler.is_exact else most + most // 4
        if counts[column] > allowed:
            wrong.append(f"{call}, {column}: {counts[column]} instructions, at most {allowed}")
        copies = sections[column].copies / COUNTED
        expected = bounds.copies[call] if is_copied_by_call(call, column) else 0
        if copies != expected and (compiler.is_exact or is_large(column)):  # clang calls for 256 bytes, too
            wrong.append(f"{call}, {column}: the C library copies {copies:g} times")
    if compiler.is_x86:
        wrong += [f"{call}, {column}: {line}" for column, line in slow_instructions(call, program, sections, compiler)]
    return counts, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--print", action="store_true", help="print what is counted, as bounds.txt has it")
    parser.add_argument("calls", nargs="*", metavar="CALL")
    arguments = parser.parse_args()
    bounds = Bounds(BOUNDS.read_text(encoding="utf-8"))
    calls = arguments.calls or list(bounds.most)
    failures = []
    found = {}
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        compiler = Compiler(pathlib.Path(folder))
        for call, (counts, wrong) in zip(calls, pool.map(lambda one: check(one, bounds, compiler), calls)):
            if arguments.print:
                print(bounds.row(call, counts), flush=True)
            failures += wrong
            found[call] = counts
    for call, other in ALIKE.items():
        for column in bounds.columns if {call, other} <= found.keys() else []:
            more = found[call][column] - found[other][column]
            if more > MOST_MORE and not is_large(column):
                failures.append(f"{call}, {column}: {more} instructions more than {other}, at most {MOST_MORE}")
    for failure in failures:
        print(failure, file=sys.stderr)
    print(f"{len(calls)} kinds of calls: {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
