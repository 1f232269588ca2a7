// SPDX-License-Identifier: Apache-2.0

#include "bridge/stream_consumer.hpp"

#include "bridge/record_file.hpp"

#include "text/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <limits>

namespace promisqs_tool {

namespace {

using std::chrono::nanoseconds;

[[noreturn]] void raise_unusable(const stream_consumer& of, const std::string& what) {
    throw nats_problem(
        fmt::format("consumer \"{}\" of stream \"{}\" {}", printable(of.name), printable(of.stream), what),
        exit_code::wrong_use);
}

// Answers come from outside. A member of another type counts as missing.
std::int64_t number_in(const json& object, const char* key) {
    const auto found = object.find(key);
    if (found == object.end() || !found->is_number_integer()) return 0;
    return found->is_number_unsigned() && found->get<std::uint64_t>() > std::numeric_limits<std::int64_t>::max()
               ? std::numeric_limits<std::int64_t>::max()
               : found->get<std::int64_t>();
}
std::string text_in(const json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}
json object_in(const json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_object() ? *found : json::object();
}

std::string of_consumer(const char* what, const std::string& stream, const std::string& consumer) {
    return fmt::format("CONSUMER.{}.{}.{}", what, stream, consumer);
}

json new_consumer(const in_options& wanted) {
    const auto ack_wait = std::chrono::duration_cast<nanoseconds>(std::chrono::duration<double>(wanted.ack_wait));
    json config{{"durable_name", wanted.consumer},
                {"deliver_policy", "all"},
                {"ack_policy", "explicit"},
                {"ack_wait", ack_wait.count()},
                {"max_ack_pending", wanted.window},
                {"replay_policy", "instant"},
                {"max_deliver", -1}};
    if (!wanted.subject.empty()) config["filter_subject"] = wanted.subject;
    return {{"stream_name", wanted.stream}, {"config", config}};
}

json info_of_consumer(const nats_connection& on, const in_options& wanted) {
    try {
        return on.ask(of_consumer("INFO", wanted.stream, wanted.consumer));
    } catch (const jetstream_error& error) {
        if (error.error() != JSConsumerNotFoundErr) throw;
    }
    return on.ask(of_consumer("DURABLE.CREATE", wanted.stream, wanted.consumer), new_consumer(wanted));
}

void check_kind(const stream_consumer& found, const json& config, const in_options& wanted) {
    if (!text_in(config, "deliver_subject").empty())
        raise_unusable(found, "is a push consumer; the bridge needs a pull consumer. Give another --consumer");
    if (const std::string policy = text_in(config, "ack_policy"); policy != "explicit")
        raise_unusable(found, fmt::format("has the ack policy \"{}\"; the bridge needs \"explicit\". Give another "
                                          "--consumer",
                                          printable(policy)));
    if (const std::int64_t most = number_in(config, "max_deliver"); most > 0)
        raise_unusable(found,
                       fmt::format("delivers a message {} times at most (max_deliver), and then never again: what "
                                   "a bridge holds that is ended would be lost. The bridge needs -1. Give "
                                   "another --consumer",
                                   most));
    const std::string filter = text_in(config, "filter_subject");
    if (!wanted.subject.empty() && filter != wanted.subject)
        raise_unusable(found, fmt::format("gets messages of subject \"{}\", not \"{}\". Give another --consumer, or "
                                          "leave --subject out",
                                          printable(filter.empty() ? ">" : filter), printable(wanted.subject)));
}

// "2026-11-26T22:14:39.184166489Z", with up to nine digits behind the point. 0: it is no such time.
std::int64_t nanoseconds_of(const std::string& text) {
    std::tm time{};
    int parsed = 0;
    constexpr int fields = 6;
    constexpr int first_year = 1900;
    if (std::sscanf(text.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d%n", &time.tm_year, &time.tm_mon, &time.tm_mday,  // NOLINT
                    &time.tm_hour, &time.tm_min, &time.tm_sec, &parsed) != fields)
        return 0;
    time.tm_year -= first_year;
    time.tm_mon -= 1;
    std::int64_t result = static_cast<std::int64_t>(::timegm(&time)) * 1'000'000'000;
    auto at = static_cast<std::size_t>(parsed);
    if (at >= text.size() || text[at] != '.') return result;
    std::int64_t unit = 100'000'000;
    for (++at; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, unit /= 10)
        result += unit * (text[at] - '0');
    return result;
}

// A limit of the server's, where 0 and less stand for none.
std::uint64_t limited(std::uint64_t wanted, std::int64_t limit) {
    return limit > 0 ? std::min(wanted, static_cast<std::uint64_t>(limit)) : wanted;
}

}  // namespace

stream_consumer find_consumer(const nats_connection& on, const in_options& wanted, const std::string& stream_created,
                              std::uint64_t message_size) {
    if (wanted.consumer.find_first_of(" \t\r\n.*>/\\") != std::string::npos || wanted.consumer.empty())
        throw nats_problem(fmt::format("expected the name of a consumer, without dots, spaces, * and >, found \"{}\"",
                                       printable(wanted.consumer)),
                           exit_code::wrong_use);
    const json consumer = info_of_consumer(on, wanted);
    const json config = object_in(consumer, "config");
    constexpr nanoseconds default_wait = std::chrono::seconds(30);
    constexpr nanoseconds longest_request = std::chrono::seconds(5);
    const std::int64_t ack_wait = number_in(config, "ack_wait");
    const std::int64_t most_expires = number_in(config, "max_expires");
    stream_consumer found{
        .stream = wanted.stream,
        .name = wanted.consumer,
        .stream_created = nanoseconds_of(stream_created),
        .created = nanoseconds_of(text_in(consumer, "created")),
        .ack_wait = ack_wait > 0 ? nanoseconds(ack_wait) : default_wait,
        .window = limited(wanted.window, number_in(config, "max_ack_pending")),
        .batch = 0,
        .expires = most_expires > 0 ? std::min(nanoseconds(most_expires), longest_request) : longest_request,
        .floor = floor_in(consumer)};
    // A server cuts off a client that does not read as much as it is sent.
    constexpr std::uint64_t most_bytes = std::uint64_t{16} << 20;
    found.window = std::min(found.window, std::max<std::uint64_t>(2, most_bytes / message_size));
    // Two requests are under way, so that the next messages come while these are being pushed.
    found.batch = limited(std::max<std::uint64_t>(1, found.window / 2), number_in(config, "max_batch"));
    check_kind(found, config, wanted);
    return found;
}

ack_floor floor_in(const json& info) {
    const json floor = object_in(info, "ack_floor");
    const std::int64_t sequence = number_in(floor, "stream_seq");
    const std::int64_t time = nanoseconds_of(text_in(floor, "last_active"));
    if (sequence <= 0 || time <= 0) return {};
    return {static_cast<std::uint64_t>(sequence), time};
}

std::uint64_t pending_in(const json& info) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(0, number_in(info, "num_ack_pending")));
}

bool is_another(const json& info, const stream_consumer& than) {
    const std::int64_t created = nanoseconds_of(text_in(info, "created"));
    return created != 0 && !is_same_consumer(created, than.created);
}

std::string info_request(const stream_consumer& of) { return of_consumer("INFO", of.stream, of.name); }

bool is_drained(const nats_connection& on, const stream_consumer& of) {
    const json info = on.ask(info_request(of));
    return number_in(info, "num_pending") == 0 && number_in(info, "num_ack_pending") == 0;
}

}  // namespace promisqs_tool
