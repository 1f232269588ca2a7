// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "recording/format.hpp"
#include "recording/writer.hpp"
#include "system/output_file.hpp"
#include "system/progress.hpp"

#include <promisqs/inspection.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace promisqs_tool {

/// What `promisqs record` was asked for.
struct record_request {
    std::string queue;
    std::string file;
    bool drain = false;
    bool overwrite = false;
    bool poll = false;
    promisqs::tap_start from = promisqs::tap_start::now;
    std::optional<std::uint64_t> most;   ///< messages
    std::optional<double> seconds;       ///< to go on for
    std::optional<std::uint64_t> batch;  ///< messages
};

/// A recording that is being made: the file, the clock, and when it is to end.
class record_session {
public:
    using clock = std::chrono::steady_clock;

    /// Makes the file, and begins.
    record_session(const record_request& request, const recording_facts& facts);

    [[nodiscard]] recording_writer& writer() noexcept { return writer_; }

    /// For messages.
    [[nodiscard]] const std::string& file_name() const noexcept { return file_.name(); }

    /// Nanoseconds since the beginning.
    [[nodiscard]] std::uint64_t time() const noexcept { return time_of(clock::now()); }
    [[nodiscard]] std::uint64_t time_of(clock::time_point now) const noexcept {
        return static_cast<std::uint64_t>(std::chrono::nanoseconds(now - began_).count());
    }

    /// Why it is to end now, if it is: "it was interrupted".
    [[nodiscard]] std::optional<std::string> reason_to_end() const;
    /// How many more messages are wanted, beside those in the block.
    [[nodiscard]] std::uint64_t wanted() const noexcept;
    /// When to ask again, at the latest.
    [[nodiscard]] clock::time_point next_look() const noexcept;

    /// \param depth  how many messages wait
    void show_progress(const std::function<std::uint64_t()>& depth);

    /// Ends the recording in good order, and says what it holds.
    ///
    /// \param why  it ends: "until " comes before it
    void finish(const std::string& why);
    /// Ends it in good order, if that is possible. What it holds, as a sentence.
    [[nodiscard]] std::string give_up() noexcept;

private:
    [[nodiscard]] std::string summary() const;

    output_file file_;
    bool is_tap_;
    std::uint64_t capacity_;
    std::optional<std::uint64_t> most_;
    clock::time_point began_;
    clock::time_point end_;
    recording_writer writer_;
    progress progress_;
};

/// What a recording of this queue says of itself.
[[nodiscard]] recording_facts facts_now(const record_request& request, promisqs::element_type type,
                                        std::uint64_t capacity);

/// How many messages are written at once.
[[nodiscard]] std::uint64_t batch_of(const record_request& request, std::uint64_t element_size) noexcept;

/// Records what passes, without taking part.
void record_tap(const record_request& request);

/// Takes messages out, and records them.
void record_drain(const record_request& request);

}  // namespace promisqs_tool
