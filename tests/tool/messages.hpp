// SPDX-License-Identifier: Apache-2.0
#pragma once

// Messages on their way through the program: bytes to JSON by `promisqs pop`, JSON to bytes by `promisqs push`.

#include "support/names.hpp"
#include "tool/run_tool.hpp"

#include <promisqs/untyped_queue.hpp>

#include <cstddef>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace promisqs_test {

using message = std::vector<std::byte>;

template <class T>
[[nodiscard]] message bytes_of(const T& value) {
    message bytes(sizeof value);
    std::memcpy(bytes.data(), &value, sizeof value);
    return bytes;
}

/// A queue of these elements, for one test.
class queue_of {
public:
    explicit queue_of(const promisqs::element_type& type, std::uint64_t capacity = 8)
        : name_("tool"), queue_(promisqs::untyped_queue::create(name_, capacity, type)) {}
    explicit queue_of(std::string_view schema, std::uint64_t capacity = 8)
        : queue_of(promisqs::parse_element_type(schema), capacity) {}

    [[nodiscard]] const std::string& name() const noexcept { return name_.str(); }
    promisqs::untyped_queue* operator->() noexcept { return &queue_; }

    void push(std::span<const std::byte> one) {
        if (!queue_.push(one)) throw std::runtime_error("the queue is full");
    }
    [[nodiscard]] message pop() {
        message one(queue_.element_size());
        if (!queue_.pop(one)) throw std::runtime_error("the queue is empty");
        return one;
    }

private:
    scoped_name name_;
    promisqs::untyped_queue queue_;
};

/// What `promisqs pop` makes of messages: a line each.
[[nodiscard]] inline std::string json_of(const promisqs::element_type& type, const std::vector<message>& messages) {
    queue_of queue(type, messages.size());
    for (const message& one : messages) queue.push(one);
    const tool_result result = run_tool({"pop", queue.name(), "--all"});
    if (result.exit != 0 || !result.err.empty()) throw std::runtime_error("pop: " + result.err);
    return result.out;
}
[[nodiscard]] inline std::string json_of(std::string_view schema, const message& one) {
    std::string line = json_of(promisqs::parse_element_type(schema), {one});
    if (line.empty() || line.back() != '\n') throw std::runtime_error("pop has written no line");
    line.pop_back();
    return line;
}

/// What `promisqs push` makes of lines.
[[nodiscard]] inline std::vector<message> messages_of(const promisqs::element_type& type, std::string_view lines,
                                                      std::uint64_t count) {
    queue_of queue(type, count);
    const tool_result result = run_tool({"push", queue.name(), "--no-wait"}, lines);
    if (result.exit != 0 || !result.err.empty()) throw std::runtime_error("push: " + result.err);
    std::vector<message> messages;
    while (!queue->empty()) messages.push_back(queue.pop());
    return messages;
}
[[nodiscard]] inline message message_of(std::string_view schema, std::string_view line) {
    return messages_of(promisqs::parse_element_type(schema), line, 1).at(0);
}

/// What `promisqs push` says of a line that does not fit. Throws if it has pushed it.
[[nodiscard]] inline std::string refusal_of(std::string_view schema, std::string_view line) {
    queue_of queue(schema);
    const tool_result result = run_tool({"push", queue.name()}, line);
    if (result.exit != 2 || !queue->empty()) throw std::runtime_error("push has taken it: " + std::string(line));
    return result.err;
}

}  // namespace promisqs_test
