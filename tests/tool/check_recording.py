#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whether read_recording.py, written from docs/recording.md alone, reads what `promisqs record` writes, and finds what
is cut short or damaged. A difference is a mistake in the reader, in the program, or in the page.

Usage: check_recording.py PATH-OF-PROMISQS PATH-OF-MAKE_QUEUE
"""

import io
import json
import os
import struct
import subprocess
import sys
import tempfile
import zlib
from typing import Any, Dict, List

sys.dont_write_bytecode = True
import read_recording  # noqa: E402  (beside this file)
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "reader"))
import queue_reader  # noqa: E402  (decodes a schema)

failures: List[str] = []


def expect(what: str, actual: Any, expected: Any) -> None:
    if actual != expected:
        failures.append(f"{what}: expected {expected!r}, got {actual!r}")


def order(number: int) -> List[Any]:
    """As make_order in make_queue.cpp."""
    return [2**63 + number, "order " + chr(ord("a") + number), 1 + number % 2, number % 3 == 0,
            [[number, -number], [100 + number, -100 - number]], [[0.5 + number, -number], [1e300, number]], 0.25,
            struct.pack("<q", number).hex()]


def record(promisqs: str, *arguments: str) -> None:
    done = subprocess.run([promisqs, "record", *arguments], capture_output=True, text=True, timeout=60)
    expect(f"exit code of record {arguments} ({done.stderr.strip()})", done.returncode, 0)


def read(path: str) -> List[Dict[str, Any]]:
    done = subprocess.run([sys.executable, "-B", read_recording.__file__, path], capture_output=True, text=True,
                          timeout=60)
    expect(f"exit code for {path} ({done.stderr.strip()})", done.returncode, 0)
    return [json.loads(line) for line in done.stdout.splitlines()]


def check_content(path: str, queue: str, first: int, first_number: int, mode: str) -> None:
    facts, *messages, ending = read(path)
    expect("ending", ending["ending"], "complete")
    expect("bytes", ending["whole_bytes"], os.path.getsize(path))
    expect("facts", [facts[key] for key in ("queue", "element_size", "element_alignment", "capacity", "mode")],
           [queue, 80, 8, 5, mode])
    expect("name fingerprint", facts["name_fingerprint"], f"{queue_reader.fnv1a('test.order#2'):016x}")
    schema = queue_reader.schema_parser(facts["schema"])
    expect("schema fingerprint", facts["schema_fingerprint"], f"{queue_reader.fnv1a(schema.plain):016x}")
    expect("numbers", [one["number"] for one in messages], [first_number + i for i in range(len(messages))])
    expect("messages", [schema.root.decode(bytes.fromhex(one["bytes"])) for one in messages],
           [order(i) for i in range(first, 8)])
    times = [one["time"] for one in messages]
    expect("times", times, sorted(times))
    if times and times[-1] > ending["time"]:
        failures.append(f"the last message, at {times[-1]}, is later than the end, at {ending['time']}")


def ending_of(content: bytes) -> str:
    try:
        return list(read_recording.lines(io.BytesIO(content)))[-1]["ending"]
    except read_recording.refusal as error:
        return str(error)


def check_damage(whole: bytes) -> None:
    for length in range(len(whole)):
        ending = ending_of(whole[:length])
        if length >= 8 and "cut short" not in ending:
            failures.append(f"cut at {length}: {ending}")
    for bit in range(len(whole) * 8):
        copy = bytearray(whole)
        copy[bit // 8] ^= 1 << bit % 8
        if ending_of(bytes(copy)) == "complete":
            failures.append(f"the flipped bit {bit} is not seen")


def gap_block(index: int) -> bytes:
    """What a tap writes that has missed messages 8 to 12."""
    payload = struct.pack("<QQ", 2**40, 5)
    head = struct.pack("<8sIIQQQQI", read_recording.block_magic, 2, 1, index, 8, 5, len(payload), zlib.crc32(payload))
    return head + struct.pack("<I", zlib.crc32(head)) + payload


def check_gap(whole: bytes) -> None:
    header = whole[:struct.unpack_from("<I", whole, 12)[0]]
    _, gap, ending = read_recording.lines(io.BytesIO(header + gap_block(0)))
    expect("a gap", gap, {"missed": 5, "number": 8, "time": 2**40})
    expect("an ending", ending["ending"], "cut short: nothing")
    expect("a gap of another index", ending_of(header + gap_block(9)),
           "damaged: a block does not follow the one before it")


def check(promisqs: str, make_queue: str, folder: str) -> None:
    queue = f"promisqs-test-{os.getpid()}-recording"
    path = os.path.join(folder, "recording")
    with subprocess.Popen([make_queue, queue], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as maker:
        expect("the queue's maker", maker.stdout and maker.stdout.readline(), "ready\n")
        record(promisqs, queue, path, "--from", "left", "-n", "5")
        check_content(path, queue, 3, 3, "tap")
        record(promisqs, queue, path, "--force", "--drain", "-n", "4")
        check_content(path, queue, 4, 0, "drain")
        maker.communicate("")
    with open(path, "rb") as file:
        whole = file.read()
    check_damage(whole)
    check_gap(whole)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        check(os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), folder)
    for failure in failures[:20]:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
