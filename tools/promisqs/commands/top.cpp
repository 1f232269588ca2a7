// SPDX-License-Identifier: Apache-2.0

#include "command_line/values.hpp"
#include "commands/commands.hpp"
#include "inspect/queue_watch.hpp"
#include "system/interruption.hpp"
#include "system/output.hpp"
#include "text/columns.hpp"
#include "top/lines.hpp"
#include "top/rows.hpp"
#include "top/terminal_screen.hpp"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace promisqs_tool {

namespace {

using clock = std::chrono::steady_clock;

struct top_options {
    std::vector<std::string> names;
    double interval = 1;
    std::uint64_t iterations = 0;  // 0: until interrupted
};

constexpr std::string_view reversed = "\x1b[7m";
constexpr std::string_view plain = "\x1b[0m";

const std::vector<std::string> help_lines{
    "",
    "  q             ends",
    "  up, down      select a queue; so do k, j",
    "  page up/down  select one that is farther away",
    "  s             sorts: by name, messages in, messages out, depth, stalled first",
    "  ?             this help; any key ends it",
    "",
    "  IN/S, OUT/S   messages pushed and popped in a second, since the last look",
    "  DEPTH         how full the queue is",
    "  LAST MINUTE   how full it has been, the latest on the right",
    "  PROD/CONS     threads that push/that pop; +1: one has only waited; -1: is dead",
    "",
    "  A second line says for which push or pop the others wait, by the number of the",
    "  message, and whose it is; or which one has taken a second or more.",
};

constexpr const char* details =
    "Shows each queue in a line: messages pushed and popped in a second, how full it is now and has been in the last "
    "minute, and how many threads push and pop. Where participants wait for another one, or one holds a message for a "
    "second or more, a second line says who, what, and for how long. Queues that are created appear, removed ones go.\n"
    "Takes no part in any queue, and changes nothing. q ends it, ? shows the other keys. Into a pipe or a file it "
    "prints a table each interval.\n"
    "It gives the terminal back as it was, also after a signal. Only after SIGKILL it can't: type `reset` then.";

clock::duration interval_of(const top_options& wanted) {
    return std::chrono::duration_cast<clock::duration>(std::chrono::duration<double>(wanted.interval));
}

int milliseconds_until(clock::time_point when) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(when - clock::now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, 3'600'000));
}

/// The table on a terminal.
class top_screen {
public:
    explicit top_screen(const top_options& wanted) : wanted_(wanted), watch_(wanted.names) {}

    void run() {
        for (std::uint64_t i = 0; !is_over_; ++i) {
            const auto next = clock::now() + interval_of(wanted_);
            watch_.look();
            rows_.take(watch_);
            draw();
            if (wanted_.iterations != 0 && i + 1 >= wanted_.iterations) return;
            wait_until(next);
        }
    }

private:
    void wait_until(clock::time_point next) {
        while (!is_over_) {
            switch (screen_.wait(milliseconds_until(next))) {
                case screen_event::time_is_over:
                    if (clock::now() >= next) return;
                    break;
                case screen_event::interrupted: is_over_ = true; break;
                case screen_event::resized: draw(); break;
                case screen_event::key:
                    take_keys();
                    draw();
                    break;
            }
        }
    }

    void take_keys() {
        char character = 0;
        for (key pressed = screen_.next_key(character); pressed != key::none; pressed = screen_.next_key(character)) {
            const bool ends = pressed == key::character && character == 'q';
            if (std::exchange(shows_help_, false) && !ends) continue;
            switch (pressed) {
                case key::up: move(-1); break;
                case key::down: move(1); break;
                case key::page_up: move(-page()); break;
                case key::page_down: move(page()); break;
                default: take_letter(character);
            }
        }
    }
    void take_letter(char letter) {
        switch (letter) {
            case 'q': is_over_ = true; break;
            case 'k': move(-1); break;
            case 'j': move(1); break;
            case 's': order_ = next_order(order_); break;
            case '?': shows_help_ = true; break;
            default: break;
        }
    }

    [[nodiscard]] std::ptrdiff_t page() const { return std::max<std::ptrdiff_t>(body_rows(), 2) - 1; }
    [[nodiscard]] std::ptrdiff_t body_rows() const { return static_cast<std::ptrdiff_t>(screen_.rows()) - 3; }

    static std::size_t place_of(const std::vector<const top_row*>& rows, const std::string& name) {
        const auto found = std::find_if(rows.begin(), rows.end(), [&](const auto* row) { return row->name == name; });
        return found == rows.end() ? 0 : static_cast<std::size_t>(found - rows.begin());
    }

    void move(std::ptrdiff_t by) {
        const auto rows = rows_.sorted(order_);
        if (rows.empty()) return;
        const auto now = static_cast<std::ptrdiff_t>(place_of(rows, selected_));
        const auto last = static_cast<std::ptrdiff_t>(rows.size()) - 1;
        selected_ = rows[static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(now + by, 0, last))]->name;
    }

    void draw() {
        const std::size_t columns = screen_.columns();
        const auto rows = rows_.sorted(order_);
        std::vector<std::string> lines{to_the_left(top_summary(rows), columns)};
        if (shows_help_) {
            for (const std::string& line : help_lines) lines.push_back(cut(line, columns));
        } else {
            add_table(lines, rows);
        }
        lines.resize(std::max<std::size_t>(screen_.rows(), 1) - 1);
        lines.push_back(
            cut("q ends, arrows select, s sorts (now: " + std::string(to_string(order_)) + "), ? helps", columns));
        screen_.show(lines);
    }

    void add_table(std::vector<std::string>& lines, const std::vector<const top_row*>& rows) {
        const std::size_t columns = screen_.columns();
        const top_layout widths = layout_for(columns, rows);
        lines.push_back(std::string(reversed) + to_the_left(top_heading(widths), columns) + std::string(plain));
        if (rows.empty()) {
            lines.push_back(cut("There are no queues. New ones appear here.", columns));
            return;
        }
        const std::size_t selected = place_of(rows, selected_);
        scroll_to(selected, rows);
        for (std::size_t i = first_; i < rows.size() && lines.size() < screen_.rows(); ++i) {
            auto row = top_lines(*rows[i], widths, columns);
            if (i == selected && !selected_.empty()) {
                row[0] = std::string(reversed) + to_the_left(row[0], columns) + std::string(plain);
            }
            lines.insert(lines.end(), row.begin(), row.end());
        }
    }

    // Shows the selected row whole, and changes as little as that takes. Rows have one line or two.
    void scroll_to(std::size_t selected, const std::vector<const top_row*>& rows) {
        first_ = std::min(first_, selected);
        std::ptrdiff_t room = body_rows();
        std::size_t first = selected + 1;
        while (first > first_ && (room -= rows[first - 1]->note.empty() ? 1 : 2) >= 0) --first;
        first_ = std::min(first, selected);
    }

    const top_options& wanted_;
    queue_watch watch_;
    top_rows rows_;
    terminal_screen screen_;
    std::string selected_;  // the printable name; empty: none yet
    std::size_t first_ = 0;
    top_order order_ = top_order::name;
    bool shows_help_ = false;
    bool is_over_ = false;
};

// False: interrupted.
bool sleep_until(clock::time_point when) {
    ::pollfd stop{interruption_descriptor(), POLLIN, 0};
    while (clock::now() < when) {
        if (::poll(&stop, 1, milliseconds_until(when)) > 0) return false;
    }
    return !is_interrupted();
}

void print_table(const std::vector<const top_row*>& rows) {
    output& out = standard_output();
    const std::size_t columns = out.width();
    const top_layout widths = layout_for(columns, rows);
    out.print("{}\n{}\n", cut(top_summary(rows), columns), cut(top_heading(widths), columns));
    for (const top_row* row : rows) {
        for (const std::string& line : top_lines(*row, widths, columns)) out.print("{}\n", line);
    }
    out.print("\n");
    out.flush();
}

// The first look prints nothing: there are no rates yet.
void print_tables(const top_options& wanted) {
    queue_watch watch(wanted.names);
    top_rows rows;
    auto next = clock::now() + interval_of(wanted);
    watch.look();
    rows.take(watch);
    for (std::uint64_t i = 0; (wanted.iterations == 0 || i < wanted.iterations) && sleep_until(next); ++i) {
        next = std::max(next + interval_of(wanted), clock::now());
        watch.look();
        rows.take(watch);
        print_table(rows.sorted(top_order::name));
    }
}

exit_code watch_queues(const top_options& wanted) {
    use_locale();
    if (standard_output().is_terminal()) {
        top_screen(wanted).run();
    } else {
        print_tables(wanted);
    }
    return exit_code::done;
}

}  // namespace

void add_top(program& all) {
    auto wanted = std::make_shared<top_options>();
    CLI::App& app =
        all.add({.name = "top",
                 .summary = "Watch queues live: rates, depth, who is blocked",
                 .details = details,
                 .examples = {{"promisqs top", "All queues that this user may read"},
                              {"promisqs top orders quotes --interval 0.2", "Two of them, five times a second"},
                              {"promisqs top -n 1 | cat", "One table, with the rates of one second"}},
                 .run = [wanted] { return watch_queues(*wanted); }});
    app.add_option("NAME", wanted->names, std::string(name_help) + "; none: all");
    app.add_option("--interval", wanted->interval, "The time between two looks, 0.05 to 3600")
        ->type_name("SECONDS")
        ->transform(seconds_between(0.05, 3600))
        ->capture_default_str();
    app.add_option("-n,--iterations", wanted->iterations, "How many tables to show; 0: until it is ended")
        ->type_name("COUNT")
        ->transform(whole_number(0))
        ->capture_default_str();
}

}  // namespace promisqs_tool
