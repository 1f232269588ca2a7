// SPDX-License-Identifier: Apache-2.0

#include "system/progress.hpp"

#include "system/say.hpp"
#include "text/text.hpp"

#include <unistd.h>

#include <utility>

namespace promisqs_tool {

namespace {

constexpr std::chrono::milliseconds interval{500};

}  // namespace

progress::progress(std::string verb)
    : verb_(std::move(verb)),
      is_terminal_(::isatty(STDERR_FILENO) == 1),
      last_(clock::now()),
      next_(last_ + interval) {}

void progress::write(clock::time_point now, const state& found) {
    const double seconds = std::chrono::duration<double>(now - last_).count();
    const auto rate = static_cast<std::uint64_t>(static_cast<double>(found.messages - last_messages_) / seconds);
    // The line ends by clearing what was longer before.
    say("\r{} {} messages, {}/s, {}; {} of {} wait\x1b[K", verb_, short_count(found.messages), short_count(rate),
        short_bytes(found.bytes), short_count(found.depth), short_count(found.capacity));
    is_shown_ = true;
    last_ = now;
    next_ = now + interval;
    last_messages_ = found.messages;
}

void progress::clear() {
    if (!is_shown_) return;
    say("\r\x1b[K");
    is_shown_ = false;
}

}  // namespace promisqs_tool
