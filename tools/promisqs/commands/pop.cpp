// SPDX-License-Identifier: Apache-2.0

#include "codec/json_writer.hpp"
#include "command_line/values.hpp"
#include "commands/commands.hpp"
#include "participate/joined_queue.hpp"
#include "system/interruption.hpp"
#include "system/output.hpp"
#include "system/say.hpp"
#include "text/text.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>

namespace promisqs_tool {

namespace {

struct pop_options {
    std::string name;
    std::uint64_t count = 1;
    bool all = false;
    bool wait = false;
    double timeout = -1;

    [[nodiscard]] bool has_timeout() const noexcept { return timeout >= 0; }
};

/// Makes one attempt, or waits, as wanted.
template <class Use>
promisqs::status take(promisqs::untyped_queue& from, const pop_options& wanted, Use&& use) {
    if (wanted.has_timeout()) return from.pop_wait_with_for(use, seconds(wanted.timeout), interruption());
    if (wanted.wait) return from.pop_wait_with(use, interruption());
    const promisqs::status result = from.try_pop_with(use);
    if (result != promisqs::status::would_block) return result;
    // Another one is at the same position. It may be stopped there.
    return from.pop_wait_with_for(use, std::chrono::milliseconds(50), interruption());
}

// Why no more was popped.
std::string_view reason(promisqs::status why) {
    switch (why) {
        case promisqs::status::closed: return "it is closed, and no message is left";
        case promisqs::status::timed_out: return "the time is over";
        case promisqs::status::stopped: return "interrupted";
        default: return "no message waits";
    }
}

/// Lines on standard output, each whole or not there at all, where that is a file.
class line_writer {
public:
    line_writer() {
        struct ::stat found {};
        if (::fstat(STDOUT_FILENO, &found) != 0 || !S_ISREG(found.st_mode)) return;
        is_file_ = true;
        const bool appends = (::fcntl(STDOUT_FILENO, F_GETFL) & O_APPEND) != 0;
        end_ = appends ? found.st_size : ::lseek(STDOUT_FILENO, 0, SEEK_CUR);
    }

    /// Writes what is in the buffer.
    void write(output& out) {
        const auto size = static_cast<::off_t>(out.buffer().size());
        try {
            out.flush();
        } catch (...) {
            cut_back(size);
            throw;
        }
        end_ += size;
    }

private:
    // Takes a part of a line back, if it is what the file ends with.
    void cut_back(::off_t size) const noexcept {
        struct ::stat found {};
        if (!is_file_ || ::fstat(STDOUT_FILENO, &found) != 0) return;
        const bool is_last = found.st_size == ::lseek(STDOUT_FILENO, 0, SEEK_CUR);
        if (!is_last || found.st_size <= end_ || found.st_size >= end_ + size) return;
        if (::ftruncate(STDOUT_FILENO, end_) == 0) static_cast<void>(::lseek(STDOUT_FILENO, end_, SEEK_SET));
    }

    bool is_file_ = false;
    ::off_t end_ = 0;  // of the last whole line
};

exit_code pop(const pop_options& wanted) {
    joined_queue queue(wanted.name);
    warn_if_opaque(wanted.name, queue.messages());
    const json_writer writer(queue.messages().plan);
    output& out = standard_output();
    line_writer lines;
    const std::uint64_t most = wanted.all ? std::numeric_limits<std::uint64_t>::max() : wanted.count;
    std::uint64_t popped = 0;
    promisqs::status last = promisqs::status::ok;
    while (popped < most && last == promisqs::status::ok) {
        if (is_interrupted()) {
            last = promisqs::status::stopped;
            break;
        }
        try {
            last = take(*queue, wanted, [&](std::span<const std::byte> message) {
                writer.append(out.buffer(), message);
                out.buffer().push_back('\n');
                lines.write(out);  // if it can't, the message goes back
            });
        } catch (const output_interrupted&) {
            last = promisqs::status::stopped;
        }
        if (last == promisqs::status::ok) ++popped;
    }
    const bool is_stopped = last == promisqs::status::stopped;
    if (popped == 0 || is_stopped) {
        say("promisqs: queue \"{}\": {}; popped {}\n", printable(wanted.name), reason(last), popped);
    }
    return popped != 0 || is_stopped ? exit_code::done : exit_code::answer_is_no;
}

constexpr const char* details =
    "Takes the oldest messages and writes each as a line of JSON. It takes part in the queue, as any consumer "
    "does. A message leaves the queue once its line is written. If the line can't be written, or the program is "
    "killed before, another consumer gets the message. If it is killed right after, another consumer may get it, "
    "too. While the reader of the lines does not read, the message keeps its place in the queue, and producers may "
    "have to wait for it. The queue is left where it is, even if this program was the last one to have it open. Exit "
    "code 1: there was no message.";

}  // namespace

void add_pop(program& all) {
    auto wanted = std::make_shared<pop_options>();
    CLI::App& app = all.add(
        {.name = "pop",
         .summary = "Take messages out of a queue, as lines of JSON",
         .details = details,
         .examples = {{"promisqs pop orders", "The oldest message"},
                      {"promisqs pop orders --all > orders.jsonl", "All that wait, into a file"},
                      {"promisqs pop orders -n 5 --timeout 2", "Five, waiting up to 2 seconds for each"},
                      {"promisqs pop orders --all --wait | jq .price", "All that come, until the queue is closed"}},
         .run = [wanted] { return pop(*wanted); }});
    app.add_option("NAME", wanted->name, name_help)->required();
    CLI::Option* const count = app.add_option("-n,--count", wanted->count, "How many messages (1)")
                                   ->type_name("N")
                                   ->transform(whole_number(1));
    app.add_flag("--all", wanted->all, "All, until the queue is empty; with --wait, until it is closed")
        ->excludes(count);
    app.add_flag("--wait", wanted->wait, "Wait for messages");
    app.add_option("--timeout", wanted->timeout, "Wait up to so many seconds for each message")
        ->transform(seconds_between(0, most_seconds))
        ->type_name("SECONDS");
}

}  // namespace promisqs_tool
