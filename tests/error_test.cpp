// SPDX-License-Identifier: Apache-2.0

// Every error of creating and opening a queue, and its text.

#include "support/catch.hpp"
#include "support/expect_error.hpp"
#include "support/names.hpp"
#include "support/process.hpp"
#include "support/raw_object.hpp"

#include <promisqs/queue.hpp>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

using promisqs::errc;
using promisqs::options;
using promisqs::queue_error;
using promisqs::shmem_queue;
using promisqs_test::expect_error;
using promisqs_test::raw_object;
using promisqs_test::scoped_name;
using queue = shmem_queue<std::uint32_t>;

namespace {

// Runs an action, which must fail for want of permission, as a user without rights. 0 if it does.
template <class Action>
int denied_to_nobody(Action action) {
    return promisqs_test::wait_for(promisqs_test::forked([&] {
        if (::setuid(65534) != 0) return 1;
        try {
            action();
        } catch (const queue_error& error) {
            return error.code() == errc::no_permission && error.code() == std::errc::permission_denied ? 0 : 2;
        }
        return 3;
    }));
}

struct point {
    float x;
    float y;
};
struct named {
    std::uint32_t value;
};
struct named_otherwise {
    std::uint32_t value;
};

}  // namespace

template <>
struct promisqs::schema_name<named> {
    static constexpr std::string_view name = "test.order";
    static constexpr std::uint32_t version = 1;
};
template <>
struct promisqs::schema_name<named_otherwise> {
    static constexpr std::string_view name = "test.order";
    static constexpr std::uint32_t version = 2;
};

TEST_CASE("creating a queue that exists describes it") {
    const scoped_name name("exists");
    auto q = queue::create(name, 5, {.life = promisqs::lifetime::keep});
    REQUIRE(q.push(1));
    REQUIRE(q.push(2));

    expect_error(errc::already_exists, {name, "capacity 5", "4 bytes", "messages waiting: 2", "in use", "remove"},
                 [&] { static_cast<void>(queue::create(name, 5)); });
    { const auto closes = std::move(q); }
    expect_error(errc::already_exists, {name, "messages waiting: 2", "used by nobody"},
                 [&] { static_cast<void>(queue::create(name, 5)); });
}

TEST_CASE("opening a queue that does not exist says so") {
    const scoped_name name("missing");
    expect_error(errc::not_found, {name, "found none", "create"}, [&] { static_cast<void>(queue::open(name)); });
    CHECK_FALSE(queue::remove(name));
}

TEST_CASE("a queue of another element size is refused") {
    const scoped_name name("size");
    const auto q = queue::create(name, 5);
    const auto open = [&] { static_cast<void>(shmem_queue<std::uint64_t>::open(name)); };
    expect_error(errc::element_size_differs, {name, "u64", "8 bytes", "u32", "4 bytes"}, open);
    expect_error(errc::element_size_differs, {name},
                 [&] { static_cast<void>(shmem_queue<std::uint64_t>::open_or_create(name, 5)); });
}

TEST_CASE("a queue of another element alignment is refused") {
    struct alignas(16) wide {
        std::array<std::uint64_t, 2> value;
    };
    const scoped_name name("alignment");
    const auto q = shmem_queue<std::array<std::uint64_t, 2>>::create(name, 5);
    expect_error(errc::element_size_differs, {name, "aligned to 16", "aligned to 8"},
                 [&] { static_cast<void>(shmem_queue<wide>::open(name)); });
}

TEST_CASE("a uint32_t queue opened as float is refused, with both schemas in the message") {
    const scoped_name name("schema");
    const auto q = queue::create(name, 5);
    expect_error(errc::schema_differs, {name, "expected", "f32", "found", "u32"},
                 [&] { static_cast<void>(shmem_queue<float>::open(name)); });
    const scoped_name fields("schema-fields");
    const auto p = shmem_queue<point>::create(fields, 5);
    expect_error(errc::schema_differs, {fields, "f32@0", "f32@4", "u32[2]"},
                 [&] { static_cast<void>(shmem_queue<std::array<std::uint32_t, 2>>::open(fields)); });
}

TEST_CASE("a type that was given another version of its name is refused") {
    const scoped_name name("named");
    const auto q = shmem_queue<named>::create(name, 5);
    expect_error(errc::schema_differs, {name, "test.order"},
                 [&] { static_cast<void>(shmem_queue<named_otherwise>::open(name)); });
}

TEST_CASE("a schema that is unknown on one side is accepted if size and alignment agree") {
    struct opaque {
        explicit opaque(std::uint32_t v) : value(v) {}
        std::uint32_t value;
    };
    const scoped_name name("unknown");
    auto q = queue::create(name, 5);
    auto o = shmem_queue<opaque>::open(name);
    REQUIRE(o.push(opaque(17)));
    CHECK(q.pop() == 17U);
}

TEST_CASE("open_or_create refuses a queue of another capacity") {
    const scoped_name name("capacity");
    const auto q = queue::create(name, 5);
    expect_error(errc::capacity_differs, {name, "expected capacity 6", "found 5"},
                 [&] { static_cast<void>(queue::open_or_create(name, 6)); });
}

TEST_CASE("a queue of another layout version is refused") {
    const scoped_name name("version");
    const auto q = queue::create(name, 5);
    raw_object(name.path()).write(8, std::uint32_t{promisqs::detail::layout::version + 1});
    expect_error(errc::layout_version_differs, {name, "expected layout version 4", "found 5"},
                 [&] { static_cast<void>(queue::open(name)); });
}

TEST_CASE("an object that is not a queue is refused, and left alone") {
    const scoped_name name("foreign");
    const raw_object object(name.path());
    object.resize(100);
    const auto before = object.read();

    expect_error(errc::not_a_queue, {name, "100 bytes"}, [&] { static_cast<void>(queue::open(name)); });
    expect_error(errc::not_a_queue, {name}, [&] { static_cast<void>(queue::create(name, 5)); });
    expect_error(errc::not_a_queue, {name}, [&] { static_cast<void>(queue::open_or_create(name, 5)); });
    expect_error(errc::not_a_queue, {name}, [&] { queue::remove(name); });
    CHECK(name.exists());
    CHECK(object.read() == before);
}

TEST_CASE("a field of the header that can't be true is named") {
    struct wrong {
        const char* field;
        std::uint64_t offset;
        std::uint64_t value;
    };
    const auto planted = GENERATE(
        wrong{"lifetime", 12, 2}, wrong{"element size", 16, 0}, wrong{"element size", 16, ~std::uint64_t{0}},
        wrong{"element alignment", 24, 0}, wrong{"element alignment", 24, 3}, wrong{"element alignment", 24, 8192},
        wrong{"capacity", 32, 0}, wrong{"capacity", 32, ~std::uint64_t{0}}, wrong{"slot stride", 40, 0},
        wrong{"slot stride", 40, 8}, wrong{"payload offset", 48, 1 << 20}, wrong{"stamp offset", 52, 16},
        wrong{"slots offset", 56, 8}, wrong{"participants offset", 64, 0}, wrong{"participant count", 72, 0},
        wrong{"participant count", 72, 65537}, wrong{"participant stride", 76, 64}, wrong{"schema offset", 80, 0},
        wrong{"schema size", 88, ~std::uint64_t{0}}, wrong{"segment size", 112, 0},
        wrong{"segment size", 112, std::uint64_t{1} << 60});
    const scoped_name name("corrupt");
    const auto q = queue::create(name, 5);
    const raw_object object(name.path());
    const auto bytes = object.read();

    const bool narrow = planted.offset == 12 || planted.offset == 48 || planted.offset == 52 || planted.offset == 72 ||
                        planted.offset == 76;
    if (narrow) {
        object.write(planted.offset, static_cast<std::uint32_t>(planted.value));
    } else {
        object.write(planted.offset, planted.value);
    }

    expect_error(errc::corrupt, {name, planted.field, "expected", "found"},
                 [&] { static_cast<void>(queue::open(name)); });
}

TEST_CASE("a capacity that would put the slots outside the object is corruption") {
    const scoped_name name("too-many-slots");
    const auto q = queue::create(name, 5);
    raw_object(name.path()).write(32, std::uint64_t{6});
    expect_error(errc::corrupt, {name}, [&] { static_cast<void>(queue::open(name)); });
}

TEST_CASE("an object that was cut short is corruption") {
    const scoped_name name("short");
    { const auto q = queue::create(name, 5, {.life = promisqs::lifetime::keep}); }
    const raw_object object(name.path());
    const auto size = object.read().size();
    object.resize(size - 1);
    expect_error(errc::corrupt, {name, "segment size"}, [&] { static_cast<void>(queue::open(name)); });
    object.resize(64);
    expect_error(errc::corrupt, {name, "64"}, [&] { static_cast<void>(queue::open(name)); });
    CHECK(queue::remove(name));
}

TEST_CASE("counters that contradict the slots are reported by the call that meets them") {
    const scoped_name name("counters");
    auto q = queue::create(name, 5);
    const raw_object object(name.path());
    object.write(256, std::uint64_t{200});  // tail: no slot has this index
    object.write(384, std::uint64_t{201});
    std::uint32_t out = 0;

    expect_error(errc::corrupt, {name}, [&] { static_cast<void>(q.push(1)); });
    expect_error(errc::corrupt, {name}, [&] { static_cast<void>(q.try_push(1)); });
    expect_error(errc::corrupt, {name}, [&] { static_cast<void>(q.pop()); });
    expect_error(errc::corrupt, {name}, [&] { static_cast<void>(q.try_pop(out)); });
    expect_error(errc::corrupt, {name}, [&] { static_cast<void>(q.peek()); });
    CHECK(q.size() <= 5);
}

TEST_CASE("a name must be a name") {
    for (const std::string& name : {std::string(), std::string("."), std::string(".."), std::string("a/b"),
                                    std::string("/a"), std::string("a\0b", 3), std::string(255, 'n')}) {
        CAPTURE(name);
        expect_error(errc::invalid_name, {"expected 1 to 254 bytes"},
                     [&] { static_cast<void>(queue::create(name, 5)); });
        expect_error(errc::invalid_name, {}, [&] { static_cast<void>(queue::open(name)); });
        expect_error(errc::invalid_name, {}, [&] { static_cast<void>(queue::open_or_create(name, 5)); });
        expect_error(errc::invalid_name, {}, [&] { queue::remove(name); });
    }
}

TEST_CASE("the longest name works") {
    const scoped_name stem("longest-");
    const std::string name = stem.str() + std::string(254 - stem.str().size(), 'n');
    auto q = queue::create(name, 1);
    CHECK(q.push(1));
}

TEST_CASE("a capacity of 0 or beyond all bounds is refused") {
    const scoped_name name("bounds");
    const auto create = [&](std::uint64_t capacity) { static_cast<void>(queue::create(name, capacity)); };
    expect_error(errc::invalid_capacity, {name, "found 0"}, [&] { create(0); });
    expect_error(errc::invalid_capacity, {name, "4294967297"}, [&] { create((std::uint64_t{1} << 32) + 1); });
    expect_error(errc::invalid_capacity, {name, "smaller capacity"}, [&] {
        static_cast<void>(shmem_queue<std::array<char, 1 << 20>>::create(name, std::uint64_t{1} << 32));
    });
    CHECK_FALSE(name.exists());
}

TEST_CASE("options outside their range are refused") {
    const scoped_name name("options");
    const auto create = [&](const options& wanted) { static_cast<void>(queue::create(name, 5, wanted)); };
    expect_error(errc::invalid_options, {name, "permissions", "found 01000"}, [&] { create({.permissions = 01000}); });
    expect_error(errc::invalid_options, {name, "found 0400", "0600"}, [&] { create({.permissions = 0400}); });
    expect_error(errc::invalid_options, {name, "participants", "found 0"}, [&] { create({.participants = 0}); });
    expect_error(errc::invalid_options, {name, "65537"}, [&] { create({.participants = 65537}); });
    CHECK_FALSE(name.exists());
}

TEST_CASE("a queue larger than the shared memory is refused at once, and nothing is left") {
    const scoped_name name("too-large");
    const auto create = [&] { static_cast<void>(queue::create(name, std::uint64_t{1} << 32)); };
    expect_error(errc::no_memory, {name, "bytes of shared memory", "smaller capacity"}, create);
    CHECK_FALSE(name.exists());
    expect_error(errc::no_memory, {name},
                 [&] { static_cast<void>(queue::open_or_create(name, std::uint64_t{1} << 32)); });
    CHECK_FALSE(name.exists());
}

TEST_CASE("a queue beyond the limit to file sizes is refused, and does not end the process") {
    const scoped_name name("fsize");
    const ::rlim_t bytes = GENERATE(0U, 1U << 20);
    const int result = promisqs_test::wait_for(promisqs_test::forked([&] {
        const ::rlimit limit{bytes, bytes};
        if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 1;
        try {
            static_cast<void>(queue::create(name, 1 << 20));
        } catch (const queue_error& error) {
            return error.code() == errc::no_memory ? 0 : 2;
        }
        return 3;
    }));
    CHECK(result == 0);
    CHECK_FALSE(name.exists());
}

TEST_CASE("an object of another user that can't be removed is reported, not tried for ever") {
    if (::geteuid() != 0) return;  // only root can become another user
    const scoped_name name("sticky");
    static_cast<void>(queue::create(name, 5, {.permissions = 0666, .life = promisqs::lifetime::keep}));
    CHECK(denied_to_nobody([&] { queue::remove(name); }) == 0);
    CHECK(name.exists());
}

TEST_CASE("a queue that can't be created for want of descriptors leaves nothing behind") {
    const scoped_name name("few-descriptors");
    bool created = false;
    for (::rlim_t limit = 3; limit < 64 && !created; ++limit) {
        const int status = promisqs_test::wait_for(promisqs_test::forked([&] {
            const ::rlimit few{limit, limit};
            if (::setrlimit(RLIMIT_NOFILE, &few) != 0) return 1;
            try {
                static_cast<void>(queue::create(name, 5));
            } catch (const queue_error& error) {
                return error.code() == errc::system_failure ? 2 : 3;
            }
            return 0;
        }));
        created = status == 0;
        CHECK((created || status == 2));
        CHECK_FALSE(name.exists());
    }
    CHECK(created);
}

TEST_CASE("memory that can't be locked is refused, and nothing is left") {
    const scoped_name name("mlock");
    const int result = promisqs_test::wait_for(promisqs_test::forked([&] {
        const ::rlimit limit{4096, 4096};
        if (::setrlimit(RLIMIT_MEMLOCK, &limit) != 0) return 1;
        if (::geteuid() == 0 && ::setuid(65534) != 0) return 2;  // root is not bound by the limit
        try {
            static_cast<void>(queue::create(name, 1 << 20, {.memory = {.lock = true}}));
        } catch (const queue_error& error) {
            return error.code() == errc::no_memory &&
                           std::string(error.what()).find("RLIMIT_MEMLOCK") != std::string::npos
                       ? 0
                       : 3;
        }
        return 4;
    }));
    CHECK(result == 0);
    CHECK_FALSE(name.exists());
}

TEST_CASE("a queue of another user is refused without permission") {
    if (::geteuid() != 0) return;  // only root can become another user
    const scoped_name name("denied");
    const auto q = queue::create(name, 5);
    CHECK(denied_to_nobody([&] { static_cast<void>(queue::open(name)); }) == 0);
    CHECK(denied_to_nobody([&] { static_cast<void>(queue::create(name, 5)); }) == 0);
    CHECK(denied_to_nobody([&] { static_cast<void>(queue::open_or_create(name, 5)); }) == 0);
    CHECK(denied_to_nobody([&] { queue::remove(name); }) == 0);
    CHECK(name.exists());
}

TEST_CASE("the permissions are exactly those that were asked for, whatever the umask") {
    const scoped_name name("permissions");
    const auto mode = GENERATE(0600U, 0660U, 0666U, 0777U);
    const auto before = ::umask(077);
    const auto q = queue::create(name, 5, {.permissions = mode});
    ::umask(before);
    struct ::stat found {};
    REQUIRE(::stat(name.path().c_str(), &found) == 0);
    CHECK((found.st_mode & 07777U) == mode);
}

TEST_CASE("one thread more than there are entries is refused, and works once another has ended") {
    const scoped_name name("participants");
    auto q = queue::create(name, 5, {.participants = 1});
    std::thread([&] { CHECK(q.push(1)); }).join();
    std::thread([&] { CHECK(q.push(2)); }).join();
    CHECK(q.pop() == 1U);

    std::thread([&] {
        expect_error(errc::too_many_participants, {name, "at most 1", "options::participants"},
                     [&] { static_cast<void>(q.push(3)); });
        std::uint32_t out = 0;
        expect_error(errc::too_many_participants, {name}, [&] { static_cast<void>(q.try_pop(out)); });
        CHECK(q.peek() == 2U);  // looking takes no entry
    }).join();
}

TEST_CASE("errors compare equal to the standard conditions of the same meaning") {
    CHECK(make_error_code(errc::not_found) == std::errc::no_such_file_or_directory);
    CHECK(make_error_code(errc::already_exists) == std::errc::file_exists);
    CHECK(make_error_code(errc::no_memory) == std::errc::not_enough_memory);
    CHECK(make_error_code(errc::no_permission) == std::errc::permission_denied);
    CHECK(make_error_code(errc::invalid_name) == std::errc::invalid_argument);
    CHECK(make_error_code(errc::corrupt) != std::errc::invalid_argument);
    CHECK(std::string(promisqs::queue_category().name()) == "promisqs");
}
