#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints what is in a promisqs queue, as JSON, without taking part in it.

Written from docs/layout.md and docs/schema.md alone; it shares no code with the library. Linux, 64 bits, Python 3.9.
The object is only read and no lock is taken: run it at any time, beside any number of producers and consumers.

Usage: queue_reader.py NAME|PATH        (an argument with a slash is a path; NAME stands for /dev/shm/NAME)
"""

import fcntl
import json
import math
import mmap
import os
import re
import struct
import sys
from typing import Any, Callable, Dict, List, NamedTuple, NoReturn, Tuple

header_format = "<8sII4QII2QII6QIII"
header_names = """magic layout_version lifetime element_size element_alignment capacity slot_stride payload_offset
    stamp_offset slots_offset participants_offset participant_count participant_stride schema_offset schema_size
    schema_fingerprint name_fingerprint segment_size created_at creator_pid max_deaths single_roles""".split()
tail_at, head_at, participants_at, participant_stride = 256, 384, 1152, 128
lock_initialising, lock_users, lock_participants = 2**48, 2**48 + 1, 2**48 + 16
no_ticket = 2**64 - 1
states = {0: "being pushed", 1: "full", 2: "tombstone"}


def state_name(state: int) -> str:
    """Messages that came back: deaths * 32 + times handed back * 2 + whether somebody has it again."""
    if state in states:
        return states[state]
    return f"reserved: {state}" if state > 255 else "retaken" if state & 1 else "orphan"


class refusal(Exception):
    """This is no queue, or a damaged one. The text begins with the field that says so."""


def refuse(field: str, why: str) -> NoReturn:
    raise refusal(f"{field.replace('_', ' ')}: {why}")


def fnv1a(text: str) -> int:
    result = 14695981039346656037
    for byte in text.encode():
        result = (result ^ byte) * 1099511628211 % 2**64
    return result or 1


# --- the schema: from its text to a function that decodes an element ---

number = "(0|[1-9][0-9]{0,19})"
encodings = {"char": "utf-8", "char8": "utf-8", "char16": "utf-16-le", "char32": "utf-32-le",
             "wchar16": "utf-16-le", "wchar32": "utf-32-le"}
floats = {"f16": "<e", "bf16": "<f", "f32": "<f", "f64": "<d"}  # a bf16 is the upper half of an f32


def finite(value: float) -> Any:
    return value if math.isfinite(value) else str(value)  # JSON has no word for infinity


class decoder(NamedTuple):
    size: int
    decode: Callable[[bytes], Any]
    is_text: bool = False  # arrays of it are strings


class schema_parser:
    """One pass over the grammar. `plain` becomes the text without names, from which the fingerprint is made."""

    def __init__(self, text: str) -> None:
        self.text, self.position, self.plain = text, 0, ""
        self.names: List[str] = []
        self.root = self.type()
        self.need("$")

    def take(self, pattern: str, is_name: bool = False) -> Any:
        found = re.compile(pattern).match(self.text, self.position)
        if found:
            self.position = found.end()
            self.plain += "" if is_name else found[0]
        return found

    def need(self, pattern: str) -> Any:
        return self.take(pattern) or refuse("schema text", f"not understood from {self.text[self.position:]!r} on")

    def type(self) -> decoder:
        while name := self.take("([^ #{]+#[0-9]+) ", is_name=True):
            self.names.append(name[1])
        if self.take("{"):
            result = self.aggregate()
        elif opaque := self.take(f"opaque:{number}:{number}"):
            result = decoder(int(opaque[1]), bytes.hex)
        elif self.take("enum<"):
            result = self.scalar(characters=False)
            self.need(">")
        else:
            result = self.scalar()
        for extent in reversed(re.findall("[0-9]+", self.need(rf"(\[{number}\])*")[0])):  # the outermost is the first
            result = self.array(result, int(extent))
        return result

    def scalar(self, characters: bool = True) -> decoder:
        kind = self.need("bool|bf16|f(16|32|64|80|128)|[iu](8|16|32|64|128)|char(8|16|32)?|wchar(16|32)")[0]
        size = int(re.sub("[a-z]", "", kind) or 8) // 8
        if kind in encodings and characters:
            return decoder(size, lambda data: data.decode(encodings[kind], "backslashreplace"), is_text=True)
        if kind in floats:
            padding = bytes(2) if kind == "bf16" else b""
            return decoder(size, lambda data: finite(struct.unpack(floats[kind], padding + data)[0]))
        if kind[0] == "f":  # f80, padded to 16 bytes on x86-64, and f128: as they lie there
            return decoder(16, bytes.hex)
        if kind == "bool":
            return decoder(1, any)
        return decoder(size, lambda data: int.from_bytes(data, "little", signed=kind[0] == "i"))

    def array(self, element: decoder, extent: int) -> decoder:
        def decode(data: bytes) -> Any:
            if element.is_text:
                return element.decode(data).split("\0")[0]
            return [element.decode(data[i * element.size:][:element.size]) for i in range(extent)]
        return decoder(extent * element.size, decode)

    def aggregate(self) -> decoder:
        """A dict where the fields have names, otherwise a list."""
        fields: List[Tuple[str, int, decoder]] = []
        while not self.take("}"):
            if fields:
                self.need(" ")
            name = self.take(r"([^\W\d]\w*):(?![0-9:])", is_name=True)
            field = self.type()
            fields.append((name[1] if name else "", int(self.need(f"@{number}")[1]), field))
        size = int(self.need(f":{number}:{number}")[1])
        if any(offset + field.size > size for _, offset, field in fields):
            refuse("schema text", f"a field ends behind its aggregate: {self.text!r}")

        def decode(data: bytes) -> Any:
            values = [field.decode(data[offset:offset + field.size]) for _, offset, field in fields]
            names = [name for name, _, _ in fields]
            return dict(zip(names, values)) if any(names) else values
        return decoder(size, decode)


# --- the object ---


def is_locked(descriptor: int, byte: int) -> bool:
    """Asks whether somebody is in the way of an exclusive lock; takes none."""
    flock = "hhqqi4x"  # type, whence, start, length, pid: struct flock of 64-bit Linux
    query = struct.pack(flock, fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
    return struct.unpack(flock, fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, query))[0] != fcntl.F_UNLCK


def check_header(header: Dict[str, Any], object_size: int) -> None:
    """Refuses whatever no creator writes. Each derived field is computed again, from fields checked before it."""
    def check(field: str, low: int, high: int, origin: str = "") -> int:
        if not low <= header[field] <= high:
            refuse(field, f"{header[field]}, should be {low}" + (f" to {high}" if low != high else "") + origin)
        return header[field]

    def round_up(value: int, multiple: int) -> int:
        return -(-value // multiple) * multiple

    check("layout_version", 4, 4)
    check("lifetime", 0, 1)
    size, alignment = check("element_size", 1, 2**47), check("element_alignment", 1, 4096)
    if alignment & (alignment - 1):
        refuse("element_alignment", f"{alignment} is no power of two")
    payload, stamp = (0, round_up(size, 8)) if size < 256 else (max(64, alignment), 0)
    check("payload_offset", payload, payload, " by element size and element alignment")
    check("stamp_offset", stamp, stamp, " by element size")
    unit = 8 if size <= 32 or 56 < size < 256 else 64
    stride = round_up(max(payload + size, stamp + 8), max(alignment, unit))
    check("slot_stride", stride, stride, " by element size and element alignment")
    check("participants_offset", participants_at, participants_at)
    check("participant_stride", participant_stride, participant_stride)
    schema = participants_at + check("participant_count", 1, 65536) * participant_stride
    check("schema_offset", schema, schema, " by participant count")
    slots = round_up(schema + check("schema_size", 1, 2**20), max(128, alignment))
    check("slots_offset", slots, slots, " by schema offset, schema size and element alignment")
    end = slots + check("capacity", 1, 2**32) * stride
    check("segment_size", end, end, " by slots offset, capacity and slot stride")
    check("segment_size", 1, min(2**47, object_size), ": no more than the object has")
    check("max_deaths", 0, 7)
    check("single_roles", 0, 3)


class queue_reader:
    def __init__(self, path: str) -> None:
        self.file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        size = os.fstat(self.file).st_size
        maker = "somebody is making it" if is_locked(self.file, lock_initialising) else "abandoned by its creator"
        if size < participants_at:
            refuse("object size", f"{size}, too small; " + (f"unfinished: {maker}" if size == 0 else "no queue"))
        self.memory = mmap.mmap(self.file, size, access=mmap.ACCESS_READ)
        magic = self.memory[:8]  # before all the rest, which is there once this is
        if magic != b"\x89PROMISQ":
            unfinished = magic in (bytes(8), b"vPROMISQ")
            refuse("magic", magic.hex(" ") + (f"; unfinished: {maker}" if unfinished else "; no queue"))
        self.header: Dict[str, Any] = dict(zip(header_names, struct.unpack_from(header_format, self.memory)))
        check_header(self.header, size)
        self.capacity: int = self.header["capacity"]
        self.index_bits = max(8, self.capacity.bit_length() + 1)
        self.closed_bit = 2**(self.index_bits - 1)
        begin = self.header["schema_offset"]
        self.text = self.memory[begin:begin + self.header["schema_size"]].decode("utf-8", "backslashreplace")
        schema = schema_parser(self.text)
        self.element, plain, names = schema.root, schema.plain, schema.names
        if self.element.size != self.header["element_size"]:
            refuse("element_size", f"{self.header['element_size']}, should be {self.element.size} by the schema text")
        self.fingerprint = 0 if plain.startswith("opaque:") else fnv1a(plain)  # arrays of opaque ones included
        if self.header["schema_fingerprint"] != self.fingerprint:
            refuse("schema_fingerprint", f"{self.header['schema_fingerprint']:016x}, should be {self.fingerprint:016x}")
        if self.header["name_fingerprint"] not in (0, *map(fnv1a, names[:1])):
            refuse("name_fingerprint", f"{self.header['name_fingerprint']:016x} is of no name in the schema text")

    def load(self, offset: int) -> int:
        # CPython copies 8 aligned bytes at once. That loads stay in their order is up to the processor: x86 keeps it.
        return struct.unpack_from("<Q", self.memory, offset)[0]

    def place(self, ticket: int) -> Dict[str, Any]:
        lap, index = divmod(ticket, 2**self.index_bits)
        return {"ticket": ticket, "lap": lap, "index": index}

    def head_and_tail(self) -> Tuple[Dict[str, Any], Dict[str, Any], int]:
        """Both, as they were while head stood still; and the number of tickets between them."""
        head = self.load(head_at)
        while True:
            tail, again = self.load(tail_at), self.load(head_at)
            if head == again:
                break
            head = again
        self.closed = bool(tail & self.closed_bit)
        tail &= ~self.closed_bit
        ends = {"head": self.place(head), "tail": self.place(tail)}
        for name, end in ends.items():
            if end["index"] >= self.capacity:
                refuse(name, f"index {end['index']} is not below the capacity, {self.capacity}")
        laps = (ends["tail"]["lap"] - ends["head"]["lap"]) % 2**(64 - self.index_bits)
        waiting = laps * self.capacity + ends["tail"]["index"] - ends["head"]["index"]
        if not 0 <= waiting <= self.capacity:
            refuse("tail", f"{tail} is not 0 to {self.capacity} messages ahead of head, {head}")
        return ends["head"], ends["tail"], waiting

    def message(self, ticket: int) -> Dict[str, Any]:
        where = self.place(ticket)
        slot = self.header["slots_offset"] + where["index"] * self.header["slot_stride"]
        payload, stamp_at = slot + self.header["payload_offset"], slot + self.header["stamp_offset"]
        stamp = self.load(stamp_at)
        copy = self.memory[payload:payload + self.header["element_size"]]
        if self.load(stamp_at) != stamp or stamp >> self.index_bits != where["lap"]:
            return {**where, "state": "gone"}  # popped meanwhile; the copy may be of two messages
        state = stamp % 2**self.index_bits
        value = {"value": self.element.decode(copy)} if state == 1 or state in range(4, 256) else {}
        return {**where, "state": state_name(state), **value}

    def messages(self, head: Dict[str, Any], waiting: int) -> List[Dict[str, Any]]:
        laps_and_indices = [divmod(head["index"] + i, self.capacity) for i in range(waiting)]
        return [self.message((head["lap"] + lap << self.index_bits) % 2**64 + index) for lap, index in laps_and_indices]

    def returned(self, tail: Dict[str, Any]) -> List[Dict[str, Any]]:
        """Messages that are to be delivered again, or are being so: somewhere in the last lap before the tail."""
        first = tail["lap"] - 1
        places = [divmod(tail["index"] + i, self.capacity) for i in range(self.capacity)]
        found = [self.message((first + lap << self.index_bits) % 2**64 + index) for lap, index in places]
        return [one for one in found if one["state"] in ("orphan", "retaken")]

    def participants(self) -> List[Dict[str, Any]]:
        """The entries that are taken, or whose lock is held: a thread is about to take or to give back such a one."""
        result = []
        for entry in range(self.header["participant_count"]):
            occupied, pid, tid, push, pop = struct.unpack_from(
                "<III20xQ8xQ", self.memory, participants_at + entry * participant_stride)
            lock_held = is_locked(self.file, lock_participants + entry)
            if occupied or lock_held:
                result.append({"entry": entry, "pid": pid, "tid": tid,
                               "occupied": bool(occupied), "lock_held": lock_held,
                               "push_intent": None if push == no_ticket else self.place(push),
                               "pop_intent": None if pop == no_ticket else self.place(pop)})
        return result

    def document(self) -> Dict[str, Any]:
        head, tail, waiting = self.head_and_tail()
        fingerprints = {name: f"{self.header[name]:016x}" for name in ("schema_fingerprint", "name_fingerprint")}
        return {"header": {**self.header, "magic": self.header["magic"].hex(" "), **fingerprints},
                "schema": {"text": self.text, "fingerprint": f"{self.fingerprint:016x}"},
                "head": head, "tail": tail, "waiting": waiting, "closed": self.closed, "returned": self.returned(tail),
                "locks": {"initialising": is_locked(self.file, lock_initialising),
                          "users": is_locked(self.file, lock_users)},
                "participants": self.participants(),
                "messages": self.messages(head, waiting)}


def main() -> int:
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    path = sys.argv[1] if "/" in sys.argv[1] else "/dev/shm/" + sys.argv[1]
    try:
        print(json.dumps(queue_reader(path).document(), indent=2))
    except (refusal, OSError, RecursionError) as error:
        print(f"queue_reader: {path}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
