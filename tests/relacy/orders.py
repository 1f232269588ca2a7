# SPDX-License-Identifier: Apache-2.0
"""Reads the memory orders of a header, and the comments that explain them.

tools/orders checks them and makes docs/memory-orders.md; tests/relacy/weaken weakens them. An order that is not relaxed
is explained by a comment above its statement, or at the end of one of the statement's lines:

    // [C2] acquire, pairs with [P3]: once the stamp says full, the producer's copy is visible here.
    // Relaxed would let the copy below read the previous lap's bytes.

    [LABEL] ORDER, pairs with [X] and [Y]: WHY. WHAT BREAKS     a label of its own
    [LABEL] as [X], WHAT IS DIFFERENT                           the same order and partners, for the same reason
    as [X]                                                      one more place of X

ORDER names one or more of relaxed, acquire, release, acq_rel, seq_cst, barrier. WHAT BREAKS is a sentence that begins
with the weaker order: "Relaxed would …", "Acquire and release would …", "Without it, … would …", "Weaker: …". An order
that is part of seq_cst for another reason says "release (part of seq_cst)", and "seq_cst: [X]" for that reason.
"""

import collections
import pathlib
import re

ORDERS = ("relaxed", "acquire", "release", "acq_rel", "seq_cst", "barrier")
LABEL = r"\[([A-Z]\d+)\]"
ORDER = rf"\b({'|'.join(ORDERS)})\b"
TOKENS = r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|^[ \t]*#[^\n]*|\[\[.*?\]\]'
SPELT = r"std::memory_order(?:_|::)(\w+)|\b__ATOMIC_(\w+)"
UNSPELT = r"\.\s*(?:load|store|exchange|fetch_\w+|compare_exchange_\w+)\("

# An order in the code. `kind` is load, store or change; `statement` its first and last line, counted from 0.
Access = collections.namedtuple("Access", "file function call failing kind order begin end line statement")
# A comment that explains one. `label` is None if it only says "as [X]".
Entry = collections.namedtuple("Entry", "label orders partners same_as breaks text file line")


class Header:
    """The accesses and the entries of one header, and which entry belongs to which access."""

    def __init__(self, path, name):
        self.name = name
        self.text = pathlib.Path(path).read_text(encoding="utf-8")
        self.code = without_comments(self.text)
        self.functions = function_names(self.code)
        self.accesses = [self._access(match) for match in re.finditer(SPELT, self.code)]
        self.unspelt = [self._line(m.start()) for m in re.finditer(UNSPELT, self.code) if not self._spells(m.end())]
        self.comments = list(comment_lines(self.text, self.code))
        self.blocks = comment_blocks(self.comments)
        self.entries = [entry for block in self.blocks for entry in entries_of(block, name)]
        self._entries_of = self._attach()

    def entry_of(self, access):
        """The entry that explains an access, or None."""
        return self._entries_of.get(access)

    def function_at(self, line):
        """The function that the code after a line belongs to."""
        begin = sum(len(text) + 1 for text in self.code.split("\n")[:line])
        rest = len(self.code[begin:]) - len(self.code[begin:].lstrip())
        return self.functions[min(begin + rest, len(self.functions) - 1)]

    def mentions(self):
        """Every label in every comment, with its line."""
        return [(label, line) for line, _, text in self.comments for label in re.findall(LABEL, text)]

    def _line(self, position):
        return self.code.count("\n", 0, position)

    def _spells(self, position):
        depth, end = 1, position
        while depth and end < len(self.code):
            depth += {"(": 1, ")": -1}.get(self.code[end], 0)
            end += 1
        return re.search(r"memory_order|__ATOMIC_", self.code[position:end])

    def _access(self, match):
        call, after = call_around(self.code, match.start())
        operation = re.split(r"[.]|->", call)[-1]
        failing = operation.startswith("compare_exchange") and after == 0 and self._is_second_order(match.start())
        known = re.search(r"(?:^|_)(load|store)(?:_n)?$", operation)
        kind = "load" if failing else known.group(1) if known else "change"
        order = (match.group(1) or match.group(2)).lower()
        begin = max(self.code.rfind(stop, 0, match.start()) for stop in ";{}") + 1
        begin += len(self.code[begin:]) - len(self.code[begin:].lstrip())
        end = min(at for at in (self.code.find(stop, match.end()) for stop in ";{}") if at >= 0)
        return Access(self.name, self.functions[match.start()], call, failing, kind, order, match.start(), match.end(),
                      self._line(match.start()), (self._line(begin), self._line(end)))

    def _is_second_order(self, position):
        return re.search(r"(?:memory_order\w*(?:::\w+)?)\s*,\s*$", self.code[:position]) is not None

    def _attach(self):
        attached = {}
        by_statement = collections.defaultdict(list)
        for access in self.accesses:
            by_statement[access.statement].append(access)
        for (first, last), accesses in by_statement.items():
            entries = [e for b in self.blocks for e in entries_of(b, self.name) if explains(b, first, last)]
            wanted = [a for a in accesses if not a.failing and a.order != "relaxed"] or accesses[:1]
            if len(entries) == 1:
                attached.update((access, entries[0]) for access in wanted)
            elif len(entries) == len(wanted):
                attached.update(zip(wanted, entries))
            for access in accesses:
                if access.failing and len(wanted) == 1 and wanted[0] in attached:
                    attached.setdefault(access, attached[wanted[0]])
        return attached


def headers_in(directory):
    """All headers below a directory."""
    directory = pathlib.Path(directory)
    return [Header(path, path.relative_to(directory).as_posix()) for path in sorted(directory.rglob("*.hpp"))]


def without_comments(text):
    """The text with comments, strings and attributes blanked out, every character where it was."""

    def blank(match):
        return re.sub(r"[^\n]", " ", match.group())

    return re.sub(TOKENS, blank, text, flags=re.S | re.M)


def comment_lines(text, code):
    """Each comment that begins with two strokes: its line, whether it has the line to itself, and its text."""
    lines = code.split("\n")
    for match in re.finditer(TOKENS, text, flags=re.S | re.M):
        if match.group().startswith("//") and not match.group().startswith("///"):
            line = text.count("\n", 0, match.start())
            yield line, not lines[line].strip(), match.group()[2:].strip()


def comment_blocks(comments):
    """Comments on lines of their own that follow each other are one block; one behind code is a block, too."""
    blocks = []
    for line, alone, text in comments:
        if alone and blocks and blocks[-1][-1][:2] == (line - 1, True):
            blocks[-1].append((line, alone, text))
        else:
            blocks.append([(line, alone, text)])
    return blocks


def explains(block, first, last):
    """Whether a block stands above, or in, a statement of these lines."""
    return block[-1][0] == first - 1 and block[-1][1] or first <= block[0][0] <= last


def entries_of(block, file):
    """The entries that begin in a block; each goes on to the next one, or to the end of the block."""
    found = []
    for line, _, text in block:
        begins = re.match(rf"{LABEL} (?:(?:light |heavy )?{ORDER}|as {LABEL})", text)
        if begins:
            found.append([begins.group(1), line, text])
        elif not found and re.match(rf"as {LABEL}", text):
            found.append([None, line, text])
        elif not found and re.fullmatch(rf"{LABEL}\.?", text):
            found.append([None, line, "bare " + text])
        elif found:
            found[-1][2] += " " + text
    return [entry_from(label, line, text, file) for label, line, text in found]


def entry_from(label, line, text, file):
    head = re.split(r":(?: |$)", text, maxsplit=1)[0]
    same_as = re.search(rf"\b(?:as|bare) {LABEL}", head if label else text)
    pairs = re.search(r"\bpairs with (.*?)(?:, as \[|$)", head)
    sentences = re.split(r"(?<=[.!?]) (?=[A-Z\[]|seq_cst)", text)
    weaker = r"(?:[^.]*: )?(Weaker: .*|(?:Relaxed|Acquire|Release|Acq_rel|Anything weaker|Without it)\b.*\bwould\b.*)"
    breaks = [m.group(1) for m in (re.match(weaker, s) for s in sentences) if m]
    orders = re.findall(ORDER, head.partition("pairs with")[0])
    return Entry(label, orders, re.findall(LABEL, pairs.group(1)) if pairs else [],
                 same_as.group(1) if same_as else None, " ".join(breaks), text, file, line)


def function_names(code):
    """For each position, the innermost named function around it."""
    names = [""] * len(code)
    stack = []
    begin = 0
    current = ""
    literal = r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\''  # a brace in one is none
    code = re.sub(literal, lambda found: " " * len(found[0]), code)
    for i, character in enumerate(code):
        if character == "{":
            stack.append(current)
            head = re.sub(r"template\s*<[^{]*?>\s*\n|__attribute__\(\(.*?\)\)\)?", "", code[begin:i])
            named = re.search(r"(?:^|[\s&*:~])(\w+)\s*\(", head)
            in_type = re.search(r"\b(?:class|struct|namespace|enum)\b[^()]*$", head)
            if current == "" and named and not in_type and "=" not in head.split("(")[0]:
                current = named.group(1)
            begin = i + 1
        elif character == "}":
            current = stack.pop()
            begin = i + 1
        elif character == ";":
            begin = i + 1
        names[i] = current
    return names


def call_around(code, position):
    """The call whose argument begins here: its text up to the parenthesis, and how many arguments follow this one."""
    depth, i = 0, position - 1
    while not (depth == 0 and code[i] == "("):
        depth += {")": 1, "(": -1}.get(code[i], 0)
        i -= 1
    end = i
    i -= 1
    while True:  # back over the expression that is called
        while code[i].isspace() and (code[i + 1 :].lstrip()[0] == "."):
            i -= 1
        if code[i] in ")]":
            depth = 0
            while True:
                depth += {")": 1, "]": 1, "(": -1, "[": -1}.get(code[i], 0)
                i -= 1
                if depth == 0:
                    break
        elif code[i].isalnum() or code[i] in "_.":
            i -= 1
        else:
            break
    depth, j, after = 0, position, 0
    while not (depth == 0 and code[j] == ")"):
        depth += {"(": 1, ")": -1}.get(code[j], 0)
        after += depth == 0 and code[j] == ","
        j += 1
    return re.sub(r"\s+", "", code[i + 1 : end]), after
