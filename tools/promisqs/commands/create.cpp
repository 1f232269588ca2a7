// SPDX-License-Identifier: Apache-2.0

#include "command_line/values.hpp"
#include "commands/commands.hpp"
#include "participate/opening.hpp"
#include "system/interruption.hpp"
#include "system/output.hpp"
#include "system/say.hpp"
#include "text/shell.hpp"
#include "text/text.hpp"

#include <promisqs/inspector.hpp>
#include <promisqs/untyped_queue.hpp>

#include <poll.h>

#include <charconv>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>

namespace promisqs_tool {

namespace {

struct create_options {
    std::string name;
    std::optional<std::uint64_t> capacity;
    std::string schema;
    std::string like;
    std::optional<std::uint32_t> participants;
    std::optional<std::uint32_t> max_deaths;
    std::optional<bool> single_producer;
    std::optional<bool> single_consumer;
    std::string permissions;
    std::string lifetime = "keep";
    bool prefault = false;
};

std::uint32_t octal(const std::string& text) {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 8);
    if (error != std::errc() || end != text.data() + text.size())
        throw failure(exit_code::wrong_use, fmt::format("--permissions: expected an octal number, such as 0660, found "
                                                        "\"{}\"",
                                                        printable(text)));
    return value;
}

/// What is to be created.
struct plan {
    promisqs::element_type type;
    std::uint64_t capacity = 0;
    promisqs::options options;
};

plan plan_of(const create_options& wanted) {
    if (wanted.schema.empty() == wanted.like.empty())
        throw failure(exit_code::wrong_use, "expected either --schema TEXT or --like QUEUE");
    if (wanted.like.empty() && !wanted.capacity)
        throw failure(exit_code::wrong_use, "expected --capacity N beside --schema");
    plan result;
    if (wanted.like.empty()) {
        try {
            result.type = promisqs::parse_element_type(wanted.schema);
        } catch (const promisqs::schema_error& error) {
            throw failure(exit_code::wrong_use, fmt::format("--schema: {}", printable(error.what())));
        }
    } else {
        const auto model = promisqs::inspector(wanted.like).facts();
        result.type = {model.schema, model.element_size, model.element_alignment, model.schema_fingerprint,
                       model.name_fingerprint};
        result.capacity = model.capacity;
        result.options = model.created_with;
    }
    auto& options = result.options;
    result.capacity = wanted.capacity.value_or(result.capacity);
    options.participants = wanted.participants.value_or(options.participants);
    options.max_deaths = wanted.max_deaths.value_or(options.max_deaths);
    options.single_producer = wanted.single_producer.value_or(options.single_producer);
    options.single_consumer = wanted.single_consumer.value_or(options.single_consumer);
    if (!wanted.permissions.empty()) options.permissions = octal(wanted.permissions);
    options.life = wanted.lifetime == "keep" ? promisqs::lifetime::keep : promisqs::lifetime::remove_on_last_close;
    options.memory.prefault = wanted.prefault;
    return result;
}

promisqs::untyped_queue created(const std::string& name, const plan& what) {
    try {
        wait_until_unlocked(name);
        return promisqs::untyped_queue::create(name, what.capacity, what.type, what.options);
    } catch (const promisqs::queue_error& error) {
        if (error.code() != promisqs::errc::already_exists) throw;
    }
    std::string found;
    try {
        found = promisqs::inspector(name).look().what;
    } catch (const promisqs::queue_error& error) {
        found = error.what();
    }
    throw failure(exit_code::answer_is_no,
                  fmt::format("queue \"{}\": expected that there is none, found {}. Use another name, or remove it: "
                              "promisqs rm {}",
                              printable(name), printable(found), queue_argument(name)));
}

exit_code create(const create_options& wanted) {
    const plan what = plan_of(wanted);
    const auto queue = created(wanted.name, what);
    const bool is_kept = what.options.life == promisqs::lifetime::keep;
    const auto facts = promisqs::inspector(wanted.name).facts();
    standard_output().print("created \"{}\": {} messages of {} bytes, {}, {}\n", printable(wanted.name), facts.capacity,
                            facts.element_size, short_bytes(facts.segment_size),
                            is_kept ? "kept until removed" : "goes with the last process that closes it");
    standard_output().flush();
    if (is_kept) return exit_code::done;
    say("This program has it open until it is interrupted (Ctrl-C).\n");
    ::pollfd interrupted{interruption_descriptor(), POLLIN, 0};
    while (!is_interrupted()) static_cast<void>(::poll(&interrupted, 1, -1));
    say("closed it, with {} messages waiting\n", queue.size());
    return exit_code::done;
}

constexpr const char* details =
    "Creates a queue for messages of the type that a schema describes, or of another queue's type. promisqs show "
    "prints the schema of a queue.\n\n"
    "A schema is a scalar (u8 to u64, i8 to i64, f32, f64, bool, char), an array of a type (char[16], f64[2][3]), or "
    "an "
    "aggregate: {name:type@offset …}:size:alignment, with one space between fields, and offset, size and alignment in "
    "bytes, as the compiler would choose them. Aggregates can be nested, and names left out. opaque:size:alignment "
    "stands for bytes of which nothing is known. docs/schema.md in promisqs' sources has the whole grammar.\n\n"
    "The queue is kept until it is removed (promisqs rm), unless --lifetime last-close is given. Then it goes with the "
    "last process that closes it, and so this program keeps it open until it is interrupted. With --like, capacity, "
    "number of participants, max deaths, single roles and permissions are those of the other queue, unless given.\n\n"
    "If there is a queue of that name already, it stays as it is: exit code 1. "
    "If this program is killed, there is no queue, or an unfinished one, which the next create takes over.";

void add_queue_options(CLI::App& app, create_options& to) {
    app.add_option("--participants", to.participants, "The most threads that can push or pop at once; 256 by default")
        ->type_name("N")
        ->transform(whole_number(1, std::numeric_limits<std::uint32_t>::max()));
    app.add_option("--max-deaths", to.max_deaths,
                   "Drop a message once so many consumers have died with it; 3 by default, 0: never")
        ->type_name("N")
        ->transform(whole_number(0, std::numeric_limits<std::uint32_t>::max()));
    app.add_flag("--single-producer", to.single_producer, "Only one thread at a time pushes");
    app.add_flag("!--many-producers", to.single_producer, "With --like: any number of threads push");
    app.add_flag("--single-consumer", to.single_consumer, "Only one thread at a time pops");
    app.add_flag("!--many-consumers", to.single_consumer, "With --like: any number of threads pop");
    app.add_option("--permissions", to.permissions, "Of the file, in octal, whatever the umask is; 0600 by default")
        ->type_name("MODE");
    app.add_option("--lifetime", to.lifetime, "Until when it is there: keep (until removed), or last-close")
        ->check(CLI::IsMember({"keep", "last-close"}))
        ->type_name("WHEN");
    app.add_flag("--prefault", to.prefault, "Set up all its pages now");
}

}  // namespace

void add_create(program& all) {
    auto wanted = std::make_shared<create_options>();
    CLI::App& app =
        all.add({.name = "create",
                 .summary = "Create a queue, which is kept until it is removed",
                 .details = details,
                 .examples = {{"promisqs create orders --capacity 1024 --schema '{id:u64@0 price:f64@8}:16:8'",
                               "A queue of 1024 messages with two fields"},
                              {"promisqs create quotes --capacity 64 --schema "
                               "'{symbol:char[16]@0 best:{bid:f64@0 ask:f64@8}:16:8@16 count:u32@32}:40:8'",
                               "A text, an aggregate in the message, a number, and 4 bytes of padding at the end"},
                              {"promisqs create spare --like orders", "Another one of the same kind"},
                              {"promisqs create blobs --capacity 64 --schema opaque:4096:64",
                               "Messages of 4096 bytes, of which nothing else is known"}},
                 .run = [wanted] { return create(*wanted); }});
    app.add_option("NAME", wanted->name, "The queue's name: up to 254 bytes without a slash")->required();
    app.add_option("--schema", wanted->schema, "What the messages look like; needs --capacity")->type_name("TEXT");
    app.add_option("--like", wanted->like, "A queue whose type and options are to be copied")->type_name("QUEUE");
    app.add_option("--capacity", wanted->capacity, "How many messages it holds: 1 to 2^32")
        ->type_name("N")
        ->transform(whole_number(1, std::uint64_t{1} << 32));
    add_queue_options(app, *wanted);
}

}  // namespace promisqs_tool
