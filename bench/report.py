#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tables and plots of what the benchmarks found.

usage: report.py DIRECTORY

Reads compare.json, uncontended.json, uncontended_clang.json, recovery.json and numbers.json in DIRECTORY, as far as they are there,
and writes results.json (all of them), results.md, and the plots as SVG beside them; no plots without matplotlib.
"""

import copy
import json
import math
import pathlib
import re
import statistics
import sys

import goals

OURS = goals.OURS


class Cell:
    """What the repetitions of one contender found for one figure."""

    def __init__(self, values):
        self.values = values

    @property
    def median(self):
        return statistics.median(self.values)

    def text(self, scale=1.0):
        median, least, most = (number(x / scale) for x in (self.median, min(self.values), max(self.values)))
        return f"{median} [{least}, {most}]"


class Group:
    """Contenders that took turns. Only repetitions of one distance between the processors count: the one that most of them had,
    unless another one is asked for."""

    def __init__(self, found, distance=None):
        self.found = found
        self.workload = found["workload"]
        self.parameters = found["parameters"]
        self.left_out = found["left_out"]
        self.histograms = found.get("histograms_ns", {})
        distances = [r["distance"] for r in found["repetitions"] if r.get("distance", "moved") != "moved"]
        self.distance = distance or (statistics.mode(distances) if distances else None)
        self.repetitions = [r for r in found["repetitions"] if r.get("distance") == self.distance]
        if not self.repetitions:  # it moved during all of them
            self.distance = "moved"
            self.repetitions = found["repetitions"]

    def at(self, distance):
        """The same group at a distance, unless it has fewer than three repetitions there, and more at another one."""
        if distance == self.distance:
            return self
        count = sum(r.get("distance") == distance for r in self.found["repetitions"])
        return Group(self.found, distance) if distance and count >= 3 else None

    def names(self):
        return list(dict.fromkeys(name for r in self.repetitions for name in r["figures"]))

    def cell(self, contender, figure):
        values = [r["figures"][contender][figure] for r in self.repetitions if contender in r["figures"]]
        return Cell(values) if values else None

    def line_ns(self):
        lines = [x for r in self.repetitions for x in r.get("line_ns", []) if x is not None]
        return statistics.median(lines) if lines else None


class Results:
    def __init__(self, compare, uncontended, uncontended_clang, recovery, numbers):
        self.run = compare.get("run") or numbers.get("run", {})
        self.numbers = {g["workload"]: Group(g) for g in numbers.get("groups", [])}
        self.numbers_before = numbers.get("run", {}).get("before")
        self.groups = [Group(g) for g in compare.get("groups", [])]
        self.uncontended = {compiler: medians for compiler, found in (("g++", uncontended), ("clang", uncontended_clang))
                            if (medians := google_medians(found))}
        self.bytes_for_a_message = self.run.get("bytes_for_a_message", {})
        self.recovery = google_medians(recovery)

    def of(self, workload):
        return [g for g in self.groups if g.workload == workload]

    def distances(self):
        """All that were met. None, the first: what has no distance, such as what runs on one processor."""
        met = {g.distance for g in self.groups} | {r.get("distance") for g in self.groups for r in g.found["repetitions"]}
        return [None] + [d for d in ("near", "middle", "far", "unpinned") if d in met]

    def at(self, distance):
        """What was found at one distance."""
        part = copy.copy(self)
        part.groups = [g for group in self.groups if (g := group.at(distance))]
        if distance is not None:
            part.uncontended = dict.fromkeys(self.uncontended, {})
            part.bytes_for_a_message = {}
        return part

    def describe(self, distance):
        if distance is None:
            return "one processor"
        lines = [line for group in self.at(distance).groups if (line := group.line_ns())]
        return f"{distance}: a cache line crosses in {number(statistics.median(lines))} ns" if lines else distance

    def find(self, workload, **parameters):
        for group in self.of(workload):
            if all(group.parameters.get(key) == value for key, value in parameters.items()):
                return group
        return None


def google_medians(found):
    """name -> the median repetition, as Google Benchmark writes it."""
    return {b["run_name"]: b for b in found.get("benchmarks", []) if b.get("aggregate_name", "median") == "median"}


def number(x):
    """Three digits that mean something."""
    if x == 0:
        return "0"
    if abs(x) >= 100:
        return f"{round(x, 2 - int(math.floor(math.log10(abs(x))))):.0f}"
    return f"{x:.3g}"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def where(group):
    if group.distance is None:
        return ""
    text = f"{group.distance}, {len(group.repetitions)} repetitions"
    line = group.line_ns()
    return text + (f", a cache line crosses in {number(line)} ns" if line else "")


# ------------------------------------------------------------------------------------------------------------------------------ tables


def environment(run):
    keys = ["commit", "date", "cpu", "processors", "pinned_to", "line_ns", "kernel", "compiler", "flags", "boost", "repetitions"]
    rows = [(key, run.get(key)) for key in keys if key in run]
    if run.get("missing"):
        rows.append(("not installed, so not compared", ", ".join(run["missing"])))
    return table(["", ""], rows)


def latency_tables(results):
    parts = []
    for group in results.of("one_way_latency"):
        rows = []
        for name in sorted(group.names(), key=lambda n: group.cell(n, "p50_ns").median):
            cells = [group.cell(name, figure) for figure in ("p50_ns", "p99_ns", "p99.9_ns", "max_ns")]
            rows.append([name, cells[0].text()] + [number(c.median) for c in cells[1:]])
        parts.append(f"{group.parameters['size']} bytes ({where(group)}):\n\n"
                     + table(["", "p50 ns", "p99", "p99.9", "max"], rows))
    return "\n\n".join(parts)


def by_column(groups, column, figure, scale):
    """One row for each contender, one column for each group."""
    if not groups:
        return ""
    names = list(dict.fromkeys(name for g in groups for name in g.names()))
    best = {n: max(c.median for g in groups if (c := g.cell(n, figure))) for n in names}
    rows = []
    for name in sorted(names, key=lambda n: -best[n]):
        cells = [g.cell(name, figure) for g in groups]
        rows.append([name] + [c.text(scale) if c else "–" for c in cells])
    rows.append(["*distance*"] + [f"*{where(g)}*" if where(g) else "" for g in groups])
    return table([""] + [column(g) for g in groups], rows)


def streams(results, workload, column):
    return by_column(results.of(workload), column, "messages_per_s", 1e6)


def size_of(group):
    return f"{group.parameters['size']} B"


def topology_of(group):
    return f"{group.parameters.get('producers', 1)} to {group.parameters.get('consumers', 1)}"


def batch_tables(results):
    parts = []
    for size in dict.fromkeys(g.parameters["size"] for g in results.of("batches")):
        groups = [g for g in results.of("batches") if g.parameters["size"] == size]
        parts.append(f"{size} bytes:\n\n"
                     + by_column(groups, lambda g: f"batches of {g.parameters['batch']}", "messages_per_s", 1e6))
    return "\n\n".join(parts)


def wake_up_table(results):
    groups = results.of("wake_up")
    rows = []
    for name in dict.fromkeys(n for g in groups for n in g.names()):
        row = [name]
        for group in groups:
            p50, p99 = group.cell(name, "p50_ns"), group.cell(name, "p99_ns")
            row += [p50.text(1e3), number(p99.median / 1e3)] if p50 else ["–", "–"]
        rows.append(row)
    head = [""] + [h for g in groups for h in (f"{g.parameters['processors']} processor(s): p50 µs", "p99")]
    return table(head, rows) if groups else ""


def idle_table(results):
    group = results.find("idle_consumer")
    if not group:
        return ""
    return table(["", "of one processor"],
                 [(n, f"{number(group.cell(n, 'cpu_percent').median)} %") for n in group.names()])


def uncontended_tables(results):
    parts = [f"By {compiler}:\n\n{uncontended_table(found)}" for compiler, found in results.uncontended.items()]
    parts += [empty for found in results.uncontended.values() if (empty := told_empty_table(found))]
    return "\n\n".join(parts)


def told_empty_table(medians):
    rows = [[re.search(r"after_messages=(\d+)", name)[1], number(found["real_time"]), number(found["first_ns"])]
            for name, found in medians.items() if name.startswith("told_empty/")]
    rows.sort(key=lambda row: int(row[0]))
    return table(["an \"empty\", after so many messages", "ns, median of means", "the first one, ns"], rows) if rows else ""


def uncontended_table(medians):
    cells = {}
    for name, found in medians.items():
        if not name.startswith("uncontended/"):
            continue
        _, size, contender = name.split("/")[:3]
        cells.setdefault(contender, {})[size] = found["cpu_time"]
    sizes = sorted({s for row in cells.values() for s in row}, key=lambda s: 0 if s == "number" else int(s[:-1]))
    cells = dict(sorted(cells.items(), key=lambda item: item[1].get("8B", math.inf)))
    return table(["ns for push and pop"] + sizes,
                 [[c] + [number(row[s]) if s in row else "–" for s in sizes] for c, row in cells.items()]) if cells else ""


def recovery_table(results):
    rows = []
    for name, found in results.recovery.items():
        name = re.sub(r"/manual_time|/min_time:[^/]*", "", name)
        extra = [number(found[k]) if k in found else "" for k in ("p50_us", "p99_us")]
        rows.append([name, number(found["real_time"])] + extra)
    return table(["", "median µs", "p50 of single deaths", "p99"], rows) if rows else ""


# ------------------------------------------------------------------------------------------------------------------------------ ratios


def ratio_table(results):
    """A row for each measure, a column for each distance that the processors had."""
    distances = results.distances()
    columns = [goals.Measures(results.at(distance)).all for distance in distances]
    rows = []
    for row in zip(*columns):
        if any(m.found is not None for m in row):
            goal = f"{'≥' if row[0].direction == '>' else '≤'} {row[0].must:g}"
            cells = ["" if m.found is None else f"{number(m.found)}, {m.verdict()}" for m in row]
            rows.append([row[0].text, goal, f"{row[0].stretch:g}"] + cells)
    head = [results.describe(distance) for distance in distances]
    return table(["", "goal", "stretch"] + head, rows) if rows else ""


# ---------------------------------------------------------------------------------------------------------------------- at any number

# What is measured, as (text, topology, figure, unit, goal, stretch), and perhaps what it is seen beside. Less is better.
NUMBERS = (
    ("Processes that wait on one idle queue: 1", "idle/processes=1", "cpu_percent", "%", 0.05, 0.02),
    ("the same: 100", "idle/processes=100", "cpu_percent", "%", 1, 0.3),
    ("the same, threads of one process: 100", "idle/threads=100", "cpu_percent", "%", 0.5, 0.1),
    ("64 sleepers, 1000 messages/s ÷ the same with 1 sleeper", "wake_up/sleepers=64", "ratio", "", 2, 1.3),
    ("100 wait to push behind a slow `pop_with`", "behind_slow_pop_with/waiters=100", "cpu_percent", "%", 2, 0.3),
    ("100 wait to pop behind a stopped `push_with`", "behind_stopped_producer/waiters=100", "cpu_percent", "%", 2, 0.3),
    ("1000 signals/s to a process that waits", "signals/per_second=1000", "cpu_percent", "%", 1, 0.3,
     ("bare futex", "cpu_percent_of_a_bare_futex")),
    ("A push and a pop, 64 queues in turn ÷ one queue", "in_turn/queues=64", "ratio", "", 1.5, 1.1, ("Vyukov, padded", "ratio_bare")),
    ("the same, single roles", "in_turn_declared/queues=64", "ratio", "", 1.5, 1.1, ("bare ring", "ratio_bare")),
    ("A fork elsewhere in the process holds up a push by", "fork_elsewhere/queues=64", "held_up_ms", "ms", 0, 0),
    ("A producer dies in a batch of 1024: others go on after", "death_in_a_batch/slots=1024/entries=256", "others_go_on_ms", "ms", 2, 1),
    ("the same, 65,536, and as many entries", "death_in_a_batch/slots=65536/entries=65536", "others_go_on_ms", "ms", 50, 10),
    ("`recover()` with 1600 handles open", "handles=1600", "recover_ms", "ms", 5, 2),
    ("opening them", "handles=1600", "open_s", "s", 2, 0.5),
    ("Longest non-blocking call on a queue of hostile words", "hostile_words/slots=1024/entries=256", "longest_ms", "ms", 10, 2),
    ("Threads for 16 of `ready_event`", "ready_event/queues=16", "threads", "", 1, 0),
)


def numbers_table(results):
    before = "before" if any("before" in g.names() or "before" in g.left_out for g in results.numbers.values()) else None
    rows = []
    for text, topology, figure, unit, goal, stretch, *beside in NUMBERS:
        group = results.numbers.get(topology)
        if not group:
            continue
        cells = {name: group.cell(name, figure) for name in (before, OURS)}
        found = cells[OURS]
        verdict = ("stretch" if found.median <= stretch else "met" if found.median <= goal else "**missed**") if found else "**missed**"
        shown = [cells[name].text() if cells[name] else group.left_out.get(name, "–") for name in (before, OURS) if name]
        for name, other in beside:
            if found and (cell := group.cell(OURS, other)):
                shown[-1] += f"; {name} {number(cell.median)}"
        rows.append([f"{text}, {unit}" if unit else text] + shown + [f"≤ {goal:g}", f"{stretch:g}", verdict])
    if not rows:
        return ""
    head = [""] + ([f"before ({results.numbers_before})"] if before else []) + ["found", "goal", "stretch", ""]
    others = [x for g in results.numbers.values() for r in g.repetitions for f in r["figures"].values()
              if (x := f.get("others_cpu_percent")) is not None]
    noise = f"\n\nEverything else on this machine used {number(statistics.median(others))} % of a processor at the same time " \
            f"(median; at most {number(max(others))} %)." if others else ""
    return table(head, rows) + "\n\n% are parts of one processor, used by all that take part." + noise


# ------------------------------------------------------------------------------------------------------------------------------- plots

SHOWN = ["promisqs", "promisqs_stream", "promisqs_declared", "promisqs_declared_stream", "bare_ring", "bare_line", "vyukov_padded",
         "spin_lock", "atomic_queue", "boost_lockfree", "boost_message_queue", "iceoryx", "zeromq_ipc", "pipe", "unix_socket",
         "tcp_socket", "posix_mq", "dbus"]


def style(name, plot):
    index = SHOWN.index(name) if name in SHOWN else len(SHOWN)
    ours = name.startswith(OURS)
    return {"color": plot.get_cmap("tab20")(index % 20), "linewidth": 2.4 if ours else 1.2,
            "linestyle": "-" if ours else ["--", "-.", ":"][index % 3]}


def plot_latency(results, directory, plot):
    group = results.find("one_way_latency", size=8)
    if not group or not group.histograms:
        return []
    figure, axes = plot.subplots(figsize=(9, 6))
    for name in (n for n in SHOWN if n in group.histograms):
        bins = group.histograms[name]
        total = sum(count for _, count in bins)
        below, xs, ys = 0, [], []
        for lower, count in bins:
            xs.append(1 / max(1 - below / total, 1 / total))
            ys.append(lower)
            below += count
        axes.step(xs, ys, where="post", label=name, **style(name, plot))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks([2, 10, 100, 1000, 10_000, 100_000])
    axes.set_xticklabels(["50 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"])
    axes.set_xlim(1, 1e6)
    axes.set_xlabel("percentile")
    axes.set_ylabel("one way, ns")
    axes.set_title(f"Latency of 8 bytes from one process to another ({where(group)})", fontsize=10)
    return [save(figure, axes, directory, "latency.svg", plot)]


def plot_sizes(results, directory, plot):
    groups = results.of("one_to_one")
    if len(groups) < 2:
        return []
    figure, axes = plot.subplots(figsize=(9, 6))
    for name in SHOWN:
        points = [(g.parameters["size"], c.median / 1e6) for g in groups if (c := g.cell(name, "messages_per_s"))]
        if points:
            axes.plot(*zip(*points), marker="o", markersize=3, label=name, **style(name, plot))
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks([g.parameters["size"] for g in groups])
    axes.set_xticklabels([str(g.parameters["size"]) for g in groups])
    axes.set_xlabel("size of a message, bytes")
    axes.set_ylabel("million messages/s")
    axes.set_title("One producer to one consumer", fontsize=10)
    return [save(figure, axes, directory, "sizes.svg", plot)]


def plot_topologies(results, directory, plot):
    groups = results.of("topologies")
    if not groups:
        return []
    figure, axes = plot.subplots(figsize=(9, 6))
    names = list(dict.fromkeys(n for g in groups for n in g.names()))
    width = 0.8 / len(names)
    for i, name in enumerate(names):
        cells = [g.cell(name, "messages_per_s") for g in groups]
        xs = [x + i * width - 0.4 for x, c in enumerate(cells) if c]
        axes.bar(xs, [c.median / 1e6 for c in cells if c], width, label=name, color=plot.get_cmap("tab20")(i % 20))
    axes.set_yscale("log")
    axes.set_xticks(range(len(groups)))
    axes.set_xticklabels([topology_of(g) for g in groups])
    axes.set_xlabel("producers to consumers, as processes")
    axes.set_ylabel("million messages/s, 8 bytes")
    axes.set_title(f"On {results.run.get('processors', '?')} processors", fontsize=10)
    return [save(figure, axes, directory, "topologies.svg", plot)]


def plot_batches(results, directory, plot):
    groups = results.of("batches")
    if not groups:
        return []
    figure, axes = plot.subplots(figsize=(9, 6))
    for size, line in ((8, "-"), (64, "--")):
        of_size = [g for g in groups if g.parameters["size"] == size]
        for i, name in enumerate(dict.fromkeys(n for g in of_size for n in g.names())):
            points = [(g.parameters["batch"], c.median / 1e6) for g in of_size if (c := g.cell(name, "messages_per_s"))]
            axes.plot(*zip(*points), line, marker="o", markersize=3, label=f"{name}, {size} B",
                      color=plot.get_cmap("tab10")(i % 10))
    axes.set_xscale("log", base=2)
    axes.set_xlabel("messages in a batch (promisqs_single and the bare ring move single ones)")
    axes.set_ylabel("million messages/s")
    axes.set_ylim(bottom=0)
    axes.set_title("Batches, one producer to one consumer", fontsize=10)
    return [save(figure, axes, directory, "batches.svg", plot)]


def save(figure, axes, directory, name, plot):
    axes.grid(True, which="major", alpha=0.3)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.tight_layout()
    figure.savefig(directory / name, metadata={"Date": None})
    plot.close(figure)
    return name


def plots(results, directory):
    try:
        import matplotlib
    except ImportError:
        print("No plots: matplotlib is not installed (python3-matplotlib).", file=sys.stderr)
        return []
    matplotlib.use("svg")
    matplotlib.rcParams["svg.fonttype"] = "none"
    matplotlib.rcParams["svg.hashsalt"] = "promisqs"  # so that the same results make the same files
    import matplotlib.pyplot as plot
    return [name for draw in (plot_latency, plot_sizes, plot_topologies, plot_batches) for name in draw(results, directory, plot)]


# -------------------------------------------------------------------------------------------------------------------------------- main


def markdown(results, pictures):
    left_out = sorted({f"{name}: {why}" for g in results.groups for name, why in g.left_out.items()})
    left_out += [f"{topology}, {name}: {why}" for topology, g in results.numbers.items() for name, why in g.left_out.items()]
    sections = [
        ("Where and how", environment(results.run)),
        ("Goals", ratio_table(results)),
        ("At any number", numbers_table(results)),
        ("Latency, one way", latency_tables(results)),
        ("One producer to one consumer, million messages/s", streams(results, "one_to_one", size_of)),
        ("Several producers and consumers, processes, 8 bytes, million messages/s", streams(results, "topologies", topology_of)),
        ("Both on one processor, 8 bytes, million messages/s", streams(results, "on_one_processor", size_of)),
        ("Threads of one process, 8 bytes, million messages/s", streams(results, "threads", topology_of)),
        ("Messages that were made right before, million messages/s", streams(results, "fresh", size_of)),
        ("Batches, million messages/s", batch_tables(results)),
        ("Wake-up of a sleeper", wake_up_table(results)),
        ("What an idle consumer uses", idle_table(results)),
        ("Nobody in the way", uncontended_tables(results)),
        ("After a death", recovery_table(results)),
        ("Left out", "\n".join(f"- {line}" for line in left_out)),
    ]
    parts = ["Medians of the repetitions, with the least and the most in brackets.\n"]
    parts += [f"![{name[:-4]}]({name})\n" for name in pictures]
    parts += [f"## {title}\n\n{body}\n" for title, body in sections if body]
    return "\n".join(parts)


def read(path):
    if not path.exists():
        return {}
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    directory = pathlib.Path(sys.argv[1])
    parts = {name: read(directory / f"{name}.json") for name in ("compare", "uncontended", "uncontended_clang", "recovery", "numbers")}
    if not any(parts.values()):
        sys.exit(f"report.py: no results in {directory}")
    results = Results(**parts)
    with open(directory / "results.json", "w", encoding="utf-8") as file:
        json.dump(parts, file, separators=(",", ":"))
        file.write("\n")
    (directory / "results.md").write_text(markdown(results, plots(results, directory)), encoding="utf-8")


if __name__ == "__main__":
    main()
