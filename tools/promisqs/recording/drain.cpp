// SPDX-License-Identifier: Apache-2.0

// `promisqs record --drain`: what has been popped is written before more is popped. A kill loses at most the messages
// of one pop, and a disk that is full none.

#include "recording/session.hpp"

#include "participate/joined_queue.hpp"
#include "system/exit_code.hpp"
#include "system/interruption.hpp"
#include "system/output.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>

namespace promisqs_tool {

namespace {

class drain {
public:
    explicit drain(const record_request& request)
        : queue_(request.queue),
          session_(request, facts_now(request, queue_->type(), queue_->capacity())),
          writer_(session_.writer()) {}

    void run() {
        for (;;) {
            if (const auto why = session_.reason_to_end()) return finish(*why);
            reserve();
            const auto deadline = session_.next_look();
            if (const std::uint64_t count = pop(deadline); count != 0) {
                writer_.add(number_, count, session_.time());
                number_ += count;
                write();
            } else if (record_session::clock::now() < deadline && !is_interrupted()) {
                return finish("the queue was closed and empty");
            }
            session_.show_progress([this] { return queue_->size(); });
        }
    }

private:
    [[nodiscard]] std::uint64_t pop(record_session::clock::time_point deadline) {
        const std::uint64_t most = std::min(writer_.free(), session_.wanted());
        return queue_->pop_some_wait_until(writer_.room(most), deadline, interruption());
    }

    void reserve() {
        try {
            writer_.reserve();
        } catch (const failure& error) {
            throw failure(error.code(),
                          fmt::format("{}; {}; the other messages are in the queue", error.what(), session_.give_up()));
        }
    }

    void finish(const std::string& why) {
        try {
            session_.finish(why);
        } catch (const output_closed&) {
            throw failure(
                exit_code::broken,
                fmt::format("the reader of {} has gone; wrote {} messages, popped from the queue, of which it "
                            "may have read a part only",
                            session_.file_name(), writer_.messages()));
        }
    }

    void write() {
        try {
            writer_.flush();
        } catch (const output_closed&) {
            raise_unwritten(exit_code::broken, fmt::format("the reader of {} has gone", session_.file_name()));
        } catch (const failure& error) {
            raise_unwritten(error.code(), error.what());
        }
    }

    [[noreturn]] void raise_unwritten(exit_code code, const std::string& why) {
        const std::uint64_t count = writer_.unwritten().size() / queue_->element_size();
        const std::uint64_t returned = give_back();
        throw failure(code,
                      fmt::format("{}; recorded {} messages; of {} more that had been popped, {} are in the queue "
                                  "again, behind the others, and {} are lost",
                                  why, writer_.messages(), count, returned, count - returned));
    }

    // Pushes what could not be written, as far as there is room now. Nobody may be there to make room.
    [[nodiscard]] std::uint64_t give_back() noexcept {
        std::span<const std::byte> left = writer_.unwritten();
        std::uint64_t done = 0;
        try {
            while (!left.empty()) {
                const std::uint64_t pushed = queue_->push_some(left);
                if (pushed == 0) break;
                done += pushed;
                left = left.subspan(pushed * queue_->element_size());
            }
        } catch (const std::exception&) {  // the queue has a single producer, which is another one
        }
        return done;
    }

    joined_queue queue_;
    record_session session_;
    recording_writer& writer_;
    std::uint64_t number_ = 0;  // of the next message: a pop does not tell the queue's own numbers
};

}  // namespace

void record_drain(const record_request& request) { drain(request).run(); }

}  // namespace promisqs_tool
