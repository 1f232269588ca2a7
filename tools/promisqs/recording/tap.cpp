// SPDX-License-Identifier: Apache-2.0

// `promisqs record` without --drain: the tap, into a file.

#include "recording/session.hpp"

#include "system/exit_code.hpp"
#include "system/interruption.hpp"
#include "system/output.hpp"
#include "system/say.hpp"

#include <promisqs/inspector.hpp>

#include <fmt/format.h>

#include <cstring>
#include <functional>
#include <optional>
#include <string>

namespace promisqs_tool {

namespace {

constexpr std::uint64_t second = 1'000'000'000;       // in nanoseconds
constexpr std::uint64_t longest_block = second / 10;  // then it is written, though more comes
constexpr std::chrono::milliseconds idle_after{5};    // then what there is, is written

class tap_recorder {
public:
    explicit tap_recorder(const record_request& request)
        : inspector_(request.queue),
          polls_(request.poll),
          facts_(facts_of_queue(request)),
          tap_(inspector_.open_tap(request.from)),
          session_(request, facts_),
          writer_(session_.writer()) {}

    void run() {
        try {
            for (;;) {
                std::optional<std::string> why = session_.reason_to_end();
                if (!why) why = step();
                if (why) return finish(*why);
                session_.show_progress([this] { return inspector_.stats().size; });
            }
        } catch (const output_closed&) {  // nobody reads any more
            say("promisqs: the reader has gone; {}\n", session_.give_up());
        } catch (const failure& error) {
            throw failure(error.code(), fmt::format("{}; {}", error.what(), session_.give_up()));
        }
    }

private:
    [[nodiscard]] recording_facts facts_of_queue(const record_request& request) const {
        promisqs::queue_facts found = inspector_.facts();
        return facts_now(request,
                         {std::move(found.schema), found.element_size, found.element_alignment,
                          found.schema_fingerprint, found.name_fingerprint},
                         found.capacity);
    }

    // Why it is to end, if it is.
    [[nodiscard]] std::optional<std::string> step() {
        const promisqs::tapped found = polls_ ? tap_.next() : tap_.next_for(idle_after);
        switch (found.event) {
            case promisqs::tap_event::message: add(found); return std::nullopt;
            case promisqs::tap_event::missed: miss(found); return std::nullopt;
            case promisqs::tap_event::ended: return "the queue was closed and empty";
            case promisqs::tap_event::lost:
                throw failure(exit_code::broken,
                              "the queue's file was cut short, or holds impossible values: see promisqs doctor");
            case promisqs::tap_event::nothing: break;
        }
        last_ = nullptr;
        flush();
        if (is_deserted()) return "the queue was removed";
        return std::nullopt;
    }

    void add(const promisqs::tapped& found) {
        // Messages of one look lie behind each other. Where that ends, the tap has looked again.
        if (last_ == nullptr || !std::less<>()(last_, found.bytes.data())) time_ = session_.time();
        last_ = found.bytes.data();
        const bool is_old = !writer_.is_empty() && time_ - writer_.first_time() >= longest_block;
        const bool follows = gap_count_ == 0 && found.number == writer_.next_number();
        if (!follows || is_old || writer_.free() == 0) flush();
        if (writer_.is_empty()) writer_.reserve();
        std::memcpy(writer_.room(1).data(), found.bytes.data(), found.bytes.size());
        writer_.add(found.number, 1, time_);
    }

    void miss(const promisqs::tapped& found) {
        if (gap_count_ == 0 || gap_begin_ + gap_count_ != found.number) {
            flush();
            gap_begin_ = found.number;
        }
        gap_count_ += found.count;
        last_ = nullptr;
    }

    void flush() {
        writer_.flush();
        if (gap_count_ == 0) return;
        writer_.reserve();
        writer_.add_gap(gap_begin_, gap_count_, time_ = session_.time());
        gap_count_ = 0;
    }

    void finish(const std::string& why) {
        flush();
        session_.finish(why);
    }

    // Whether nothing can come any more. Asked rarely.
    [[nodiscard]] bool is_deserted() {
        const std::uint64_t now = session_.time();
        if (now < next_check_) return false;
        next_check_ = now + second;
        return !inspector_.is_named() && !inspector_.look().used;
    }

    promisqs::inspector inspector_;
    bool polls_;
    recording_facts facts_;
    promisqs::tap tap_;
    record_session session_;
    recording_writer& writer_;
    const std::byte* last_ = nullptr;  // the last message of this look
    std::uint64_t time_ = 0;           // of the last look
    std::uint64_t gap_begin_ = 0;
    std::uint64_t gap_count_ = 0;  // missed, and not yet written
    std::uint64_t next_check_ = second;
};

}  // namespace

void record_tap(const record_request& request) { tap_recorder(request).run(); }

}  // namespace promisqs_tool
