// SPDX-License-Identifier: Apache-2.0

#include "codec/json_reader.hpp"
#include "command_line/values.hpp"
#include "commands/commands.hpp"
#include "participate/joined_queue.hpp"
#include "system/input_file.hpp"
#include "system/interruption.hpp"
#include "system/line_reader.hpp"
#include "system/output.hpp"
#include "system/say.hpp"
#include "text/text.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

namespace promisqs_tool {

namespace {

struct push_options {
    std::string name;
    std::string file = "-";
    bool no_wait = false;
    double timeout = -1;

    [[nodiscard]] bool has_timeout() const noexcept { return timeout >= 0; }
};

/// Standard input, or a file.
class lines_file {
public:
    explicit lines_file(const std::string& name)
        : name_(name == "-" ? "standard input" : fmt::format("file \"{}\"", printable(name))),
          descriptor_(name == "-" ? STDIN_FILENO : open_to_read(name)) {
        if (descriptor_ >= 0) return;
        throw failure(errno == EACCES ? exit_code::not_allowed : exit_code::wrong_use,
                      fmt::format("{} can't be opened: {}", name_, std::strerror(errno)));
    }
    lines_file(const lines_file&) = delete;
    lines_file& operator=(const lines_file&) = delete;
    ~lines_file() {
        if (descriptor_ != STDIN_FILENO) ::close(descriptor_);
    }

    [[nodiscard]] int descriptor() const noexcept { return descriptor_; }
    [[nodiscard]] const std::string& name() const noexcept { return name_; }

private:
    std::string name_;
    int descriptor_;
};

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r") == line.npos; }

/// The messages of one input, pushed one by one.
class pushing {
public:
    explicit pushing(const push_options& wanted)
        : wanted_(wanted), queue_(wanted.name), reader_(plan()), message_(queue_->element_size()) {}

    exit_code run() {
        const lines_file input(wanted_.file);
        line_reader lines(input.descriptor(), input.name(), longest_line());
        while (const auto line = lines.next()) {
            if (is_blank(*line)) continue;
            read(*line, lines, input.name());
            const promisqs::status result = give();
            if (result == promisqs::status::stopped) break;
            if (result != promisqs::status::ok) return say_why_not(result);
            ++pushed_;
        }
        if (is_interrupted()) say("promisqs: interrupted; {}\n", so_far());
        return exit_code::done;
    }

private:
    // Numbers and names take more room than the bytes that they stand for.
    [[nodiscard]] std::size_t longest_line() const noexcept {
        constexpr std::size_t least = std::size_t{1} << 26;
        constexpr std::size_t of_a_byte = 64;
        const std::size_t size = std::min(message_.size(), std::numeric_limits<std::size_t>::max() / of_a_byte);
        return std::max(least, of_a_byte * size);
    }

    std::shared_ptr<const message_plan> plan() const {
        const plan_found& found = queue_.messages();
        if (found.problem.empty()) return found.plan;
        throw failure(exit_code::broken,
                      fmt::format("the schema of queue \"{}\" can't be used, so nothing is pushed: {}",
                                  printable(wanted_.name), printable(found.problem)));
    }

    void read(std::string_view line, const line_reader& lines, const std::string& input) {
        try {
            reader_.read(line, message_);
        } catch (const misfit& error) {
            throw failure(exit_code::wrong_use,
                          fmt::format("{}, line {}: {}; {}", input, lines.number(), error.what(), so_far()));
        }
    }

    promisqs::status give() {
        if (wanted_.has_timeout()) return queue_->push_wait_for(message_, seconds(wanted_.timeout), interruption());
        if (!wanted_.no_wait) return queue_->push_wait(message_, interruption());
        const promisqs::status result = queue_->try_push(message_);
        if (result != promisqs::status::would_block) return result;
        // Another one is at the same position. It may be stopped there.
        return queue_->push_wait_for(message_, std::chrono::milliseconds(50), interruption());
    }

    exit_code say_why_not(promisqs::status why) const {
        say("promisqs: queue \"{}\" {}; {}\n", printable(wanted_.name),
            why == promisqs::status::closed ? "is closed" : "has no room", so_far());
        return exit_code::answer_is_no;
    }

    [[nodiscard]] std::string so_far() const {
        return fmt::format("{} message{} pushed", pushed_, pushed_ == 1 ? " was" : "s were");
    }

    const push_options& wanted_;
    joined_queue queue_;
    json_reader reader_;
    std::vector<std::byte> message_;
    std::uint64_t pushed_ = 0;
};

constexpr const char* details =
    "Reads lines of JSON, as pop writes them, and pushes a message for each as soon as the line is there. It "
    "takes part in the queue, as any producer does, and waits for room. Every field has to be there, once, and "
    "to fit the schema. At the first line that does not fit it ends, and says why: the lines before it have been "
    "pushed, it and those behind it have not. Empty lines are skipped. Padding is zero. If it is killed, each "
    "message is there, or not; never a part of one. The queue is left where it is, even if this program was the last "
    "one to have it open.";

}  // namespace

void add_push(program& all) {
    auto wanted = std::make_shared<push_options>();
    CLI::App& app =
        all.add({.name = "push",
                 .summary = "Put messages into a queue, from lines of JSON",
                 .details = details,
                 .examples = {{"promisqs push orders orders.jsonl", "All lines of a file"},
                              {"echo '{\"id\":1,\"price\":9.5}' | promisqs push orders", "One message"},
                              {"promisqs pop orders --all | jq -c '.price = 0' | promisqs push others",
                               "Change them on the way"},
                              {"promisqs push orders --no-wait < orders.jsonl", "As many as there is room for"}},
                 .run = [wanted] { return pushing(*wanted).run(); }});
    app.add_option("NAME", wanted->name, name_help)->required();
    app.add_option("FILE", wanted->file, "Lines of JSON; standard input if it is left out, or -");
    CLI::Option* const no_wait = app.add_flag("--no-wait", wanted->no_wait, "Exit with 1 if there is no room");
    app.add_option("--timeout", wanted->timeout, "Wait up to so many seconds for room, for each message")
        ->transform(seconds_between(0, most_seconds))
        ->type_name("SECONDS")
        ->excludes(no_wait);
}

}  // namespace promisqs_tool
