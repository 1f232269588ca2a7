// SPDX-License-Identifier: Apache-2.0

#include "recording/session.hpp"

#include "system/exit_code.hpp"
#include "system/interruption.hpp"
#include "system/output.hpp"
#include "system/say.hpp"
#include "text/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace promisqs_tool {

namespace {

constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();
constexpr double longest = 100.0 * 365 * 86400;  // seconds

record_session::clock::time_point end_of(const record_request& request, record_session::clock::time_point began) {
    const std::chrono::duration<double> time(std::min(request.seconds.value_or(longest), longest));
    return began + std::chrono::duration_cast<std::chrono::nanoseconds>(time);
}

}  // namespace

recording_facts facts_now(const record_request& request, promisqs::element_type type, std::uint64_t capacity) {
    const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
    return {request.queue, std::move(type), capacity,
            static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(since_1970).count()),
            request.drain ? recording_mode::drain : recording_mode::tap};
}

std::uint64_t batch_of(const record_request& request, std::uint64_t element_size) noexcept {
    constexpr std::uint64_t usual_bytes = std::uint64_t{1} << 16;
    const std::uint64_t usual = std::max<std::uint64_t>(usual_bytes / element_size, 1);
    return std::clamp<std::uint64_t>(request.batch.value_or(usual), 1,
                                     std::max(most_block_bytes / element_size, usual));
}

record_session::record_session(const record_request& request, const recording_facts& facts)
    : file_(request.file, request.overwrite),
      is_tap_(facts.mode == recording_mode::tap),
      capacity_(facts.capacity),
      most_(request.most),
      began_(clock::now()),
      end_(end_of(request, began_)),
      writer_(file_, facts, batch_of(request, facts.type.size)),
      progress_("recorded") {}

std::optional<std::string> record_session::reason_to_end() const {
    if (is_interrupted()) return "it was interrupted";
    if (wanted() == 0) return "it had as many as were wanted";
    if (clock::now() >= end_) return "its time was over";
    return std::nullopt;
}

std::uint64_t record_session::wanted() const noexcept {
    if (!most_) return unlimited;
    const std::uint64_t have = writer_.messages() + writer_.count();
    return *most_ - std::min(have, *most_);
}

record_session::clock::time_point record_session::next_look() const noexcept {
    constexpr std::chrono::milliseconds at_least_so_often{500};
    return std::min(clock::now() + at_least_so_often, end_);
}

void record_session::show_progress(const std::function<std::uint64_t()>& depth) {
    progress_.show(clock::now(), [&] {
        return progress::state{writer_.messages(), writer_.bytes(), depth(), capacity_};
    });
}

std::string record_session::summary() const {
    const auto took = clock::now() - began_;
    std::string text = fmt::format("recorded {} messages ({}) in {}", writer_.messages(), short_bytes(writer_.bytes()),
                                   short_time(took));
    if (is_tap_) text += writer_.missed() == 0 ? ", missed none" : fmt::format(", missed {}", writer_.missed());
    return text;
}

void record_session::finish(const std::string& why) {
    writer_.end(time());
    file_.close();
    progress_.clear();
    const std::string text = fmt::format("{}, until {}\n", summary(), why);
    if (file_.is_standard_output()) {
        say("promisqs: {}", text);
    } else {
        standard_output().write(text);
    }
}

std::string record_session::give_up() noexcept {
    try {
        writer_.end(time());
    } catch (const std::exception&) {  // readers see that the end is missing
    }
    return summary();
}

}  // namespace promisqs_tool
