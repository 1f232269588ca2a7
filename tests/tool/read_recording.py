#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints a recording of `promisqs record`, as JSON lines: what it says of itself, its messages and gaps, how it ends.

Written from docs/recording.md alone; it shares no code with the program. Python 3.9.

Usage: read_recording.py FILE|-
"""

import json
import struct
import sys
import zlib
from typing import Any, BinaryIO, Dict, Iterator, List, NamedTuple, NoReturn, Tuple

file_magic, block_magic = b"\x89PSQREC\n", b"\x89PSQBLK\n"
header_format = "<8sIIQQQQQQIIII"
block_format = "<8sIIQQQQII"
kinds = {1: "messages", 2: "gap", 3: "end"}


class refusal(Exception):
    """This is no recording, or its header is damaged."""


class cut_short(Exception):
    """The file ends before the recording does."""


class damaged(Exception):
    """What follows the last whole block is none."""


def refuse(why: str) -> NoReturn:
    raise refusal(why)


def padded(size: int) -> int:
    return -(-size // 8) * 8


class block(NamedTuple):
    kind: str
    number: int
    messages: List[bytes]
    times: List[int]  # of each message
    count: int
    time: int  # the last one


class recording_reader:
    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        fixed = file.read(80)
        if fixed[:8] != file_magic:
            refuse("no recording: it begins differently")
        if len(fixed) < 80:
            refuse("cut short: the header is not whole")
        (_, version, size, self.element_size, self.alignment, self.schema_fingerprint, self.name_fingerprint,
         self.began_at, self.capacity, mode, name_size, schema_size, _) = struct.unpack(header_format, fixed)
        if version != 1:
            refuse(f"version {version}, should be 1")
        if size > 2**20 + 1024 or size != padded(80 + name_size + schema_size + 4):
            refuse(f"damaged: a header of {size} bytes")
        rest = file.read(size - 80)
        if len(rest) < size - 80:
            refuse("cut short: the header is not whole")
        if zlib.crc32(fixed + rest[:-4]) != int.from_bytes(rest[-4:], "little"):
            refuse("damaged: the header's checksum differs")
        alignment_is_possible = 0 < self.alignment <= 4096 and self.alignment & (self.alignment - 1) == 0
        if not (0 < self.element_size <= 2**47 and alignment_is_possible and self.element_size % self.alignment == 0):
            refuse(f"damaged: elements of {self.element_size} bytes, aligned to {self.alignment}")
        if mode > 1:
            refuse(f"damaged: mode {mode}")
        self.is_drain = mode == 1
        self.queue = rest[:name_size].decode("utf-8", "backslashreplace")
        self.schema = rest[name_size:name_size + schema_size].decode("utf-8", "backslashreplace")
        self.whole_bytes = size
        self.index = self.next_number = self.last_time = 0

    def blocks(self) -> Iterator[block]:
        """All blocks, the end included. Raises cut_short or damaged where there is none."""
        while True:
            one, size = self.block()
            self.whole_bytes += size
            self.index += 1
            self.next_number = one.number + one.count
            self.last_time = one.time
            yield one
            if one.kind == "end":
                return

    def block(self) -> Tuple[block, int]:
        head = self.read(56)
        if not any(head):
            raise cut_short("zeroes")
        magic, kind, runs, index, number, count, size, payload_sum, header_sum = struct.unpack(block_format, head)
        if magic != block_magic:
            raise damaged("no block begins here")
        if zlib.crc32(head[:52]) != header_sum:
            raise damaged("the checksum of a block's header differs")
        messages_size = padded(count * self.element_size) if kind == 1 else 0
        fits = (kind in kinds and index == self.index and number >= self.next_number and number + count < 2**64
                and (count == 0) == (kind == 3) and runs >= 1 and (kind == 1 or runs == 1)
                and size == messages_size + 16 * runs)
        if not fits:
            raise damaged("a block does not follow the one before it")
        payload = self.read(size)
        if zlib.crc32(payload) != payload_sum:
            raise damaged("the checksum of a block's payload differs")
        times: List[int] = []
        last = self.last_time
        for time, many in struct.iter_unpack("<QQ", payload[messages_size:]):
            if time < last or len(times) + many > count:
                raise damaged("impossible times")
            last = time
            if kind == 1:
                times += [time] * many
        if kind == 1 and len(times) != count:
            raise damaged("impossible times")
        step = self.element_size
        messages = [payload[at:at + step] for at in range(0, count * step, step)] if kind == 1 else []
        return block(kinds[kind], number, messages, times, count, last), 56 + size

    def read(self, size: int) -> bytes:
        """So many bytes; memory grows with what is there, not with what is asked for."""
        parts = bytearray()
        while len(parts) < size:
            part = self.file.read(min(size - len(parts), 2**20))
            if not part:
                raise cut_short("a part of a block" if parts else "nothing")
            parts += part
        return bytes(parts)

    def facts(self) -> Dict[str, Any]:
        return {"queue": self.queue, "schema": self.schema, "element_size": self.element_size,
                "element_alignment": self.alignment, "schema_fingerprint": f"{self.schema_fingerprint:016x}",
                "name_fingerprint": f"{self.name_fingerprint:016x}", "began_at": self.began_at,
                "capacity": self.capacity, "mode": "drain" if self.is_drain else "tap"}


def lines(file: BinaryIO) -> Iterator[Dict[str, Any]]:
    reader = recording_reader(file)
    yield reader.facts()
    ending = "complete"
    try:
        for one in reader.blocks():
            if one.kind == "gap":
                yield {"missed": one.count, "number": one.number, "time": one.time}
            for i, message in enumerate(one.messages):
                yield {"number": one.number + i, "time": one.times[i], "bytes": message.hex()}
    except (cut_short, damaged) as error:
        ending = f"{type(error).__name__.replace('_', ' ')}: {error}"
    yield {"ending": ending, "whole_bytes": reader.whole_bytes, "time": reader.last_time}


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        with (sys.stdin.buffer if sys.argv[1] == "-" else open(sys.argv[1], "rb")) as file:
            for line in lines(file):
                print(json.dumps(line))
    except (refusal, OSError) as error:
        print(f"read_recording: {sys.argv[1]}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
