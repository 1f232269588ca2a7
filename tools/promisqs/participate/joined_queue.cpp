// SPDX-License-Identifier: Apache-2.0

#include "participate/joined_queue.hpp"

#include "codec/json_writer.hpp"
#include "text/text.hpp"

#include <promisqs/inspector.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <utility>
#include <vector>

namespace promisqs_tool {

namespace {

// Never closed, as if the program had been killed.
std::vector<std::unique_ptr<promisqs::untyped_queue>>& left_open() {
    static auto& all = *new std::vector<std::unique_ptr<promisqs::untyped_queue>>;
    return all;
}

}  // namespace

joined_queue::joined_queue(const std::string& name)
    : was_used_(promisqs::inspector(name).look().used),
      queue_(std::make_unique<promisqs::untyped_queue>(promisqs::untyped_queue::open(name))),
      messages_(plan_for(queue_->type().text, queue_->element_size())) {
    queue_->on_dropped([name = printable(name), writer = json_writer(messages_.plan)](auto message) {
        fmt::memory_buffer line;
        writer.append(line, message);
        fmt::print(stderr, "promisqs: queue \"{}\": dropped a message, as too many consumers have died with it: {}\n",
                   name, std::string_view(line.data(), line.size()));
    });
}

joined_queue::~joined_queue() {
    if (was_used_) return;
    left_open().push_back(std::move(queue_));
}

std::chrono::nanoseconds seconds(double number) {
    constexpr double most = 366 * 86400.0;
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
        std::chrono::duration<double>(std::clamp(number, 0.0, most)));
}

}  // namespace promisqs_tool
