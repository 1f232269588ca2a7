// SPDX-License-Identifier: Apache-2.0

// The making of a queue: no half-made one is ever seen, its creator may take its time, others of a group may take it
// over, systems may refuse calls.

#include "support/catch.hpp"
#include "support/expect_error.hpp"
#include "support/names.hpp"
#include "support/process.hpp"
#include "support/raw_object.hpp"
#include "support/refused_calls.hpp"
#include "support/skip.hpp"
#include "support/users.hpp"

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/lifecycle/create.hpp>
#include <promisqs/detail/lifecycle/validation.hpp>
#include <promisqs/detail/os/birth.hpp>
#include <promisqs/queue.hpp>

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using promisqs::errc;
using promisqs::lifetime;
using promisqs::queue_error;
using promisqs::detail::os::lock_kind;
using promisqs_test::another_member;
using promisqs_test::become;
using promisqs_test::can_refuse;
using promisqs_test::child;
using promisqs_test::expect_error;
using promisqs_test::forked;
using promisqs_test::one_member;
using promisqs_test::raw_object;
using promisqs_test::refuse;
using promisqs_test::role;
using promisqs_test::scoped_name;
using promisqs_test::signal_pipe;
using promisqs_test::wait_for;
using queue = promisqs::shmem_queue<std::uint32_t>;

namespace layout = promisqs::detail::layout;

namespace {

// Arguments: name, pipe to report on, pipe to wait for. Makes an object, as a creator does, stands still, and then
// makes a queue of it.
const role slow("creation-slow-creator", [](const promisqs_test::arguments& args) {
    auto made = promisqs::detail::segment::make(args.at(0), 0600);
    if (!made) return 1;
    signal_pipe::send(std::stoi(args.at(1)));
    signal_pipe::wait(std::stoi(args.at(2)));
    promisqs::detail::queue_request request{args.at(0), {4, 4, promisqs::schema_of<std::uint32_t>}, 8, {}};
    request.plan = promisqs::detail::check_request(request);
    const auto joined = promisqs::detail::build_or_end(std::move(*made), request);
    signal_pipe::send(std::stoi(args.at(1)));
    signal_pipe::wait(std::stoi(args.at(2)));
    return 0;
});

// Leaves what a creator leaves that is killed right after it has given its object the name.
int leave_unfinished(const std::string& name, std::uint32_t permissions) {
    return promisqs::detail::segment::make(name, permissions) ? 0 : 1;
}

struct ::stat status_of(const scoped_name& name) {
    struct ::stat result {};
    REQUIRE(::stat(name.path().c_str(), &result) == 0);
    return result;
}

bool left_temporary_objects(::pid_t pid) {
    const std::string beginning = std::string(promisqs::detail::temporary_prefix) + std::to_string(pid) + "-";
    for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
        if (entry.path().filename().string().starts_with(beginning)) return true;
    }
    return false;
}

// What a process comes to that does this while the system refuses these calls: 0, or the code of its error.
int with_refusals(std::initializer_list<promisqs_test::refusal> calls, const std::function<void()>& act,
                  std::string_view word = {}) {
    const ::pid_t pid = forked([&] {
        if (!refuse(calls)) return 97;
        try {
            act();
        } catch (const queue_error& error) {
            if (std::string_view(error.what()).find(word) == std::string_view::npos) {
                std::fprintf(stderr, "does not say \"%s\": %s\n", std::string(word).c_str(), error.what());
                return 96;
            }
            return error.code().value();
        }
        return 0;
    });
    const int result = wait_for(pid);
    CHECK_FALSE(left_temporary_objects(pid));
    return result;
}

constexpr int code_of(errc code) { return static_cast<int>(code); }

}  // namespace

// What is seen of a creation

TEST_CASE("an object is locked, marked and has its permissions when it gets its name") {
    const scoped_name name("birth");
    const ::mode_t before = ::umask(077);
    auto made = promisqs::detail::segment::make(name.str(), 0664);
    ::umask(before);
    REQUIRE(made.has_value());
    const raw_object seen(name.path());
    std::uint64_t word = 0;
    CHECK(promisqs::detail::os::read_word(seen.descriptor(), word));
    CHECK(word == layout::unfinished_magic);
    CHECK((status_of(name).st_mode & 0777U) == 0664U);
    CHECK(promisqs::detail::os::byte_is_locked(seen.descriptor(), layout::initialising_byte));
    CHECK_FALSE(promisqs::detail::segment::make(name.str(), 0600).has_value());  // the name is taken
}

TEST_CASE("others wait for a creator as long as it lives, also while it is stopped") {
    const scoped_name name("slow");
    const signal_pipe ready;
    const signal_pipe go;
    child creator("creation-slow-creator", {name.str(), ready.writer(), go.reader()});
    ready.wait();
    ::kill(creator.pid(), SIGSTOP);
    int status = 0;
    REQUIRE(::waitpid(creator.pid(), &status, WUNTRACED) == creator.pid());

    std::atomic<int> done{0};
    std::vector<std::thread> others;
    others.emplace_back([&] {
        CHECK_FALSE(queue::open_or_create(name, 8).created());
        ++done;
    });
    others.emplace_back([&] {
        CHECK(queue::open(name).capacity() == 8);
        ++done;
    });
    others.emplace_back([&] {
        expect_error(errc::already_exists, {name, "in use"}, [&] { static_cast<void>(queue::create(name, 8)); });
        ++done;
    });
    for (int i = 0; i < 1000; ++i) std::this_thread::yield();
    CHECK(done == 0);
    ::kill(creator.pid(), SIGCONT);
    for (int i = 0; i < 1000; ++i) std::this_thread::yield();
    CHECK(done == 0);
    go.send();
    ready.wait();
    for (auto& other : others) other.join();

    CHECK(done == 3);
    go.send();
    CHECK(creator.wait() == 0);
    CHECK_FALSE(name.exists());
}

TEST_CASE("what a dead creator has left is taken over at once, and open says what it is") {
    const scoped_name name("dead");
    REQUIRE(wait_for(forked([&] { return leave_unfinished(name.str(), 0600); })) == 0);
    expect_error(errc::unfinished, {name, "died", "open_or_create"}, [&] { static_cast<void>(queue::open(name)); });
    auto q = queue::open_or_create(name, 8);
    CHECK(q.created());
    CHECK(q.push(1));
}

// Members of a group, who may not remove each other's objects: /dev/shm is sticky.

TEST_CASE("another member of the group takes over what a dead creator has left, in place") {
    SKIP_UNLESS(promisqs_test::may_become_others(), "only root can become other users");
    const scoped_name name("group");
    const bool empty = GENERATE(false, true);
    REQUIRE(wait_for(forked([&] {
                if (!become(one_member)) return 2;
                if (!empty) return leave_unfinished(name.str(), 0660);
                const raw_object object(name.path());  // as something else may leave it
                return ::fchmod(object.descriptor(), 0660);
            })) == 0);
    const auto before = status_of(name);

    CHECK(wait_for(forked([&] {
              if (!become(another_member)) return 2;
              auto q = queue::create(name, 8, {.permissions = 0660, .life = lifetime::keep});
              return q.created() && q.push(5) ? 0 : 1;
          })) == 0);

    CHECK(status_of(name).st_ino == before.st_ino);
    auto q = queue::open(name);
    CHECK(q.pop() == 5U);
    CHECK(q.capacity() == 8);
}

TEST_CASE("a creation in place that fails leaves nothing but the name, for the next one") {
    SKIP_UNLESS(promisqs_test::may_become_others(), "only root can become other users");
    const scoped_name name("group-fails");
    REQUIRE(wait_for(forked([&] { return become(one_member) ? leave_unfinished(name.str(), 0660) : 2; })) == 0);
    CHECK(wait_for(forked([&] {
              if (!become(another_member)) return 2;
              try {
                  static_cast<void>(queue::create(name, std::uint64_t{1} << 32));
              } catch (const queue_error& error) {
                  return error.code() == errc::no_memory ? 0 : 1;
              }
              return 3;
          })) == 0);
    CHECK(status_of(name).st_blocks <= 8);  // one page
    CHECK(queue::open_or_create(name, 8).created());
}

TEST_CASE("the last one out ends a queue that it may not remove, and the next one starts over") {
    SKIP_UNLESS(promisqs_test::may_become_others(), "only root can become other users");
    const scoped_name name("group-last");
    REQUIRE(wait_for(forked([&] {
                if (!become(one_member)) return 2;
                auto q = queue::create(name, 100'000, {.permissions = 0660});
                ::_exit(q.push(1) ? 0 : 1);
            })) == 0);
    CHECK(wait_for(forked([&] {
              if (!become(another_member)) return 2;
              { const auto q = queue::open(name); }
              try {
                  static_cast<void>(queue::open(name));
              } catch (const queue_error& error) {
                  return error.code() == errc::unfinished ? 0 : 3;
              }
              return 4;
          })) == 0);
    CHECK(status_of(name).st_blocks <= 8);
    CHECK(wait_for(forked([&] {
              if (!become(another_member)) return 2;
              const auto q = queue::open_or_create(name, 8, {.permissions = 0660});
              return q.created() && q.empty() && q.capacity() == 8 ? 0 : 1;
          })) == 0);
}

// Systems that refuse calls

TEST_CASE("where no nameless file can be had or named, creation does the same by a temporary name") {
    SKIP_UNLESS(can_refuse(), "no seccomp here");
    const scoped_name name("refused");
    const int error = GENERATE(EOPNOTSUPP, EISDIR, EINVAL, ENOSYS, EPERM, ENOENT);
    const auto creation = [&] {
        auto q = queue::create(name, 8, {.permissions = 0640});
        if ((status_of(name).st_mode & 0777U) != 0640U || status_of(name).st_nlink != 1) throw std::runtime_error("");
        if (!q.push(1) || queue::open(name).pop() != 1U) throw std::runtime_error("");
    };
    CHECK(with_refusals({promisqs_test::refuse_nameless_files(error)}, creation) == 0);
    CHECK(with_refusals({promisqs_test::refuse_names_for_nameless(error)}, creation) == 0);
}

TEST_CASE("temporary names that killed creators have left are removed by the next creator, those of living ones not") {
    SKIP_UNLESS(can_refuse(), "no seccomp here");
    const std::string prefix =
        "/dev/shm/" + std::string(promisqs::detail::temporary_prefix) + std::to_string(::getpid());
    const raw_object dead(prefix + "-dead");
    const raw_object alive(prefix + "-alive");
    REQUIRE(alive.lock(layout::initialising_byte, lock_kind::exclusive));
    const scoped_name name("swept");
    const auto creation = [&] { static_cast<void>(queue::create(name, 8)); };
    CHECK(with_refusals({promisqs_test::refuse_nameless_files(EOPNOTSUPP)}, creation) == 0);
    CHECK(::access((prefix + "-dead").c_str(), F_OK) != 0);
    CHECK(::access((prefix + "-alive").c_str(), F_OK) == 0);
    ::unlink((prefix + "-alive").c_str());
}

TEST_CASE("a system that refuses what a creation needs is named as the cause, and nothing is left") {
    SKIP_UNLESS(can_refuse(), "no seccomp here");
    const scoped_name name("refusing");
    const auto creation = [&] { static_cast<void>(queue::open_or_create(name, 8)); };
    const int failed = code_of(errc::system_failure);
    CHECK(with_refusals({promisqs_test::refuse_locks(EINVAL)}, creation, "lock a byte of it: Invalid") == failed);
    CHECK(with_refusals({promisqs_test::refuse_locks(ENOLCK)}, creation, "lock a byte of it: No locks") == failed);
    CHECK(with_refusals({{SYS_fallocate, ENOSYS}}, creation, "reserve") == failed);
    CHECK(with_refusals({{SYS_fallocate, ENOSPC}}, creation, "smaller capacity") == code_of(errc::no_memory));
    CHECK(with_refusals({{SYS_linkat, EPERM}}, creation, "give it its name") == code_of(errc::no_permission));
    CHECK(with_refusals({{SYS_linkat, EIO}}, creation, "give it its name") == failed);
    CHECK(with_refusals({{SYS_fchmod, EIO}}, creation, "set its permissions") == failed);
    CHECK(with_refusals({{SYS_pwrite64, EIO}}, creation, "first 8 bytes") == failed);
    CHECK(with_refusals({{SYS_openat, EIO, 2, O_CREAT, O_CREAT}, promisqs_test::refuse_nameless_files(EIO)}, creation,
                        "create it") == failed);
    CHECK_FALSE(name.exists());
}

TEST_CASE("a name that begins like temporary ones is refused") {
    expect_error(errc::invalid_name, {".promisqs-x", "at the beginning"},
                 [] { static_cast<void>(queue::create(".promisqs-x", 8)); });
}

TEST_CASE("a process without address space for the queue gets a clear error, and leaves nothing") {
    const scoped_name name("address-space");
    CHECK(wait_for(forked([&] {
              const ::rlimit limit{128U << 20, 128U << 20};
              if (::setrlimit(RLIMIT_AS, &limit) != 0) return 1;
              try {
                  static_cast<void>(queue::create(name, 1 << 24));
              } catch (const queue_error& error) {
                  return std::string(error.what()).find("RLIMIT_AS") != std::string::npos ? 0 : 2;
              }
              return 3;
          })) == 0);
    CHECK_FALSE(name.exists());
}

// What a process may ask of a queue that it finds

TEST_CASE("a handle says whether it has created the queue") {
    const scoped_name name("created");
    const auto first = queue::open_or_create(name, 8);
    const auto copy = first;
    CHECK(first.created());
    CHECK(copy.created());
    CHECK_FALSE(queue::open_or_create(name, 8).created());
    CHECK_FALSE(queue::open(name).created());
}
