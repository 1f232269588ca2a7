#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whether queue_reader.py, written from the documentation alone, sees in a queue what make_queue has put there, and
refuses damaged ones. A difference is a mistake in the reader, in the library, or in docs/layout.md and docs/schema.md.

Usage: check.py PATH-OF-MAKE_QUEUE
"""

import json
import os
import struct
import subprocess
import sys
import tempfile
from typing import Any, Dict, List, Tuple

sys.dont_write_bytecode = True
import queue_reader  # noqa: E402  (beside this file)

reader = [sys.executable, "-B", queue_reader.__file__]
schema_text = ("test.order#2 {u64@0 char[12]@8 enum<u8>@20 bool@21 i16[2][2]@22 {f64@0 i32@8}:16:8[2]@32 f32@64 "
               "opaque:8:8@72}:80:8")
failures: List[str] = []


def expect(what: str, actual: Any, expected: Any) -> None:
    if actual != expected:
        failures.append(f"{what}: expected {expected!r}, got {actual!r}")


def read(queue: str) -> Dict[str, Any]:
    done = subprocess.run([*reader, queue], capture_output=True, text=True, timeout=60)
    expect(f"exit code for {queue} ({done.stderr.strip()})", done.returncode, 0)
    return json.loads(done.stdout) if done.returncode == 0 else {}


def place(ticket: int, lap: int, index: int) -> Dict[str, int]:
    return {"ticket": ticket, "lap": lap, "index": index}


def order(number: int) -> List[Any]:
    """As make_order in make_queue.cpp."""
    return [2**63 + number, "order " + chr(ord("a") + number), 1 + number % 2, number % 3 == 0,
            [[number, -number], [100 + number, -100 - number]], [[0.5 + number, -number], [1e300, number]], 0.25,
            struct.pack("<q", number).hex()]


waiting_places = [place(4, 0, 4), place(256, 1, 0), place(257, 1, 1), place(258, 1, 2)]
waiting = [{**where, "state": "full", "value": order(4 + i)} for i, where in enumerate(waiting_places)]


def check_queue(name: str, pid: int) -> None:
    seen = read(name)
    if not seen:
        return
    header = seen["header"]
    expected = {"magic": "89 50 52 4f 4d 49 53 51", "layout_version": 4, "lifetime": 1, "element_size": 80,
                "element_alignment": 8, "capacity": 5, "slot_stride": 88, "payload_offset": 0, "stamp_offset": 80,
                "participants_offset": 1152, "participant_count": 3, "participant_stride": 128, "schema_offset": 1536,
                "schema_size": len(schema_text), "slots_offset": 1664, "segment_size": 1664 + 5 * 88,
                "creator_pid": pid, "max_deaths": 3, "single_roles": 0}
    expect("header", {field: header[field] for field in expected}, expected)
    expect("schema text", seen["schema"]["text"], schema_text)
    expect("schema fingerprint", header["schema_fingerprint"], seen["schema"]["fingerprint"])
    expect("name fingerprint", header["name_fingerprint"], f"{queue_reader.fnv1a('test.order#2'):016x}")
    expect("head", seen["head"], place(4, 0, 4))
    expect("tail", seen["tail"], place(259, 1, 3))
    expect("waiting", seen["waiting"], 4)
    expect("closed", seen["closed"], False)
    expect("returned", seen["returned"], [])
    expect("locks", seen["locks"], {"initialising": False, "users": True})
    participant = {"occupied": True, "lock_held": True, "pid": pid, "tid": pid}
    expect("participants", seen["participants"],
           [{"entry": 0, **participant, "push_intent": place(258, 1, 2), "pop_intent": None},
            {"entry": 1, **participant, "push_intent": None, "pop_intent": place(3, 0, 3)}])
    expect("messages", seen["messages"], waiting)


def check_refusals(whole: bytes, folder: str) -> None:
    def changed(offset: int, layout: str, value: Any) -> bytes:
        copy = bytearray(whole)
        struct.pack_into(layout, copy, offset, value)
        return bytes(copy)

    def check(field: str, damaged: bytes) -> None:
        path = os.path.join(folder, "damaged")
        with open(path, "wb") as file:
            file.write(damaged)
        done = subprocess.run([*reader, path], capture_output=True, text=True, timeout=60)
        expect(f"exit code with a damaged {field}", done.returncode, 1)
        expect(f"output with a damaged {field}", done.stdout, "")
        if field not in done.stderr or "Traceback" in done.stderr:
            failures.append(f"a damaged {field} is not named: {done.stderr.strip()}")

    cases: List[Tuple[str, int, str, Any]] = [
        ("magic", 0, "B", 0x88), ("unfinished", 0, "B", 0x76), ("unfinished", 0, "<Q", 0),
        ("layout version", 8, "<I", 2), ("lifetime", 12, "<I", 2),
        ("element size", 16, "<Q", 0), ("element size", 16, "<Q", 79), ("element size", 16, "<Q", 160),
        ("element alignment", 24, "<Q", 0), ("element alignment", 24, "<Q", 24), ("element alignment", 24, "<Q", 8192),
        ("capacity", 32, "<Q", 0), ("capacity", 32, "<Q", 6), ("capacity", 32, "<Q", 2**32 + 1),
        ("slot stride", 40, "<Q", 96), ("payload offset", 48, "<I", 8), ("stamp offset", 52, "<I", 0),
        ("slots offset", 56, "<Q", 1792), ("participants offset", 64, "<Q", 1280),
        ("participant count", 72, "<I", 0), ("participant count", 72, "<I", 4),
        ("participant count", 72, "<I", 65537), ("participant stride", 76, "<I", 64), ("schema offset", 80, "<Q", 1664),
        ("schema size", 88, "<Q", 0), ("schema size", 88, "<Q", 2**20 + 1), ("schema size", 88, "<Q", 129),
        ("schema text", 88, "<Q", len(schema_text) - 1), ("schema fingerprint", 96, "<Q", 1),
        ("schema fingerprint", 1536 + schema_text.index("f32"), "3s", b"u32"),
        ("schema text", 1536 + schema_text.index("{"), "s", b"("), ("name fingerprint", 104, "<Q", 1),
        ("segment size", 112, "<Q", 2096), ("max deaths", 132, "<I", 8), ("single roles", 136, "<I", 4),
        ("tail", 256, "<Q", 1 << 8 | 5), ("tail", 256, "<Q", 3),
        ("tail", 256, "<Q", 2 << 8), ("head", 384, "<Q", 0xFF), ("tail", 384, "<Q", 1 << 8 | 4)]
    for field, offset, layout, value in cases:
        check(field, changed(offset, layout, value))
    check("object size", b"")
    check("object size", whole[:1000])
    check("segment size", whole[:-1])

    # Closed, and with one message that came back in the slot that head has passed.
    path = os.path.join(folder, "returned")
    copy = bytearray(whole)
    struct.pack_into("<Q", copy, 256, 1 << 8 | 3 | 1 << 7)
    struct.pack_into("<Q", copy, 1664 + 3 * 88 + 80, 2 * 32)
    with open(path, "wb") as file:
        file.write(copy)
    seen = read(path)
    if seen:
        expect("closed, after it was closed", seen["closed"], True)
        expect("tail, after it was closed", seen["tail"], place(259, 1, 3))
        returned = [(one["ticket"], one["state"]) for one in seen["returned"]]
        expect("returned, after two deaths", returned, [(3, "orphan")])

    # Nobody holds a lock on a copy; a tombstone is no damage, and neither is one that its producer is still filling.
    path = os.path.join(folder, "copy")
    stamp_at, stamps = 1664 + 80, [1 << 8 | 2, 1 << 8, 2 << 8]
    copy = bytearray(whole)
    for i, stamp in enumerate(stamps):
        struct.pack_into("<Q", copy, stamp_at + i * 88, stamp)
    with open(path, "wb") as file:
        file.write(copy)
    seen = read(path)
    if seen:
        expect("locks of a copy", seen["locks"], {"initialising": False, "users": False})
        expect("participants of a copy", [one["lock_held"] for one in seen["participants"]], [False, False])
        expect("states", [one["state"] for one in seen["messages"]], ["full", "tombstone", "being pushed", "gone"])
        expect("values", [one.get("value") for one in seen["messages"]], [order(4), None, None, None])


def check_schemas() -> None:
    """What the queue above has none of."""
    for text, fingerprint in (("u32", 0x4D2BDF193E8526D1), ("{u64@0 char[32]@8 u8[256]@40}:296:8", 0x3AA8C54917673A12),
                              ("acme.price#2", 0x7C631B3A7973878D)):
        expect(f"fingerprint of {text}", queue_reader.fnv1a(text), fingerprint)
    described = queue_reader.schema_parser("acme.order#3 {id:acme.id#1 u64@0 opaque:f64@8 rest:opaque:2:1[2]@16}:24:8")
    expect("text without names", described.plain, "{u64@0 f64@8 opaque:2:1[2]@16}:24:8")
    expect("fields with names", described.root.decode(struct.pack("<Qd4B4x", 7, -1.5, 1, 2, 3, 4)),
           {"id": 7, "opaque": -1.5, "rest": ["0102", "0304"]})
    for text, data, value in (("bf16", "c03f", 1.5), ("f16", "003e", 1.5), ("f64", "000000000000f07f", "inf"),
                              ("i8", "ff", -1), ("u128", "01" + "00" * 14 + "80", 2**127 + 1), ("enum<char>", "41", 65),
                              ("char[2][3]", "616200636465", ["ab", "cde"]), ("char16[2]", "61006200", "ab"),
                              ("{}:1:1", "00", [])):
        expect(f"{text} of {data}", queue_reader.schema_parser(text).root.decode(bytes.fromhex(data)), value)


def main() -> int:
    name = f"promisqs-test-{os.getpid()}-reader"
    path = "/dev/shm/" + name
    with subprocess.Popen([sys.argv[1], name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as maker:
        try:
            if maker.stdout.readline() != "ready\n":
                raise RuntimeError("make_queue did not get ready")
            check_queue(name, maker.pid)
            with open(path, "rb") as file:
                whole = file.read()
            with tempfile.TemporaryDirectory() as folder:
                check_refusals(whole, folder)
            check_schemas()
        finally:
            maker.stdin.close()  # it removes the queue and ends
            try:
                expect("exit code of make_queue", maker.wait(timeout=30), 0)
            except subprocess.TimeoutExpired:
                failures.append("make_queue does not end")
                maker.kill()
            if os.path.exists(path):
                failures.append(f"{path} was left behind")
                os.unlink(path)
    for failure in failures:
        print(failure, file=sys.stderr)
    print(f"{len(failures)} differences")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
