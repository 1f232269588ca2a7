// SPDX-License-Identifier: Apache-2.0

// The making of a queue: no half-made one is ever seen, its creator may take its time, others of a group may take it
// over, systems may refuse calls. And what a process may ask of a queue that it finds.

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
#include <promisqs/detail/os/memory_limit.hpp>
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
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using promisqs::abandoned_queue;
using promisqs::errc;
using promisqs::lifetime;
using promisqs::options;
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

// Leaves a queue of capacity 8 with a message in it, whose users were killed.
void abandon(const scoped_name& name, const options& wanted = {}) {
    CHECK(wait_for(forked([&] {
              auto q = queue::create(name, 8, wanted);
              ::_exit(q.push(7) ? 0 : 1);
              return 2;
          })) == 0);
    REQUIRE(name.exists());
}

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

TEST_CASE("a member that may not remove an unused queue starts it over in place, past others that are opening it") {
    SKIP_UNLESS(promisqs_test::may_become_others(), "only root can become other users");
    const scoped_name name("group-start-over");
    REQUIRE(wait_for(forked([&] {
                if (!become(one_member)) return 2;
                auto q = queue::create(name, 50, {.permissions = 0660, .life = lifetime::keep});
                return q.push(1) ? 0 : 1;
            })) == 0);
    const auto before = status_of(name);
    const signal_pipe go;
    std::vector<::pid_t> pids;
    for (int i = 0; i < 8; ++i) {
        pids.push_back(forked([&] {
            if (!become(another_member)) return 2;
            go.wait();
            for (int round = 0; round < 200; ++round) {
                auto q = queue::open_or_create(
                    name, 50, {.permissions = 0660, .life = lifetime::keep, .abandoned = abandoned_queue::start_over});
                if (!q.push(2)) return 3;
                if (q.pop() != 2U) return 4;
            }
            return 0;
        }));
    }
    for (int i = 0; i < 8; ++i) go.send();
    for (const ::pid_t pid : pids) CHECK(wait_for(pid) == 0);
    CHECK(status_of(name).st_ino == before.st_ino);
    CHECK(queue::open(name).empty());
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
    // Locked before it has such a name: another creator may look at any moment.
    const scoped_name hidden("alive");
    const raw_object alive(hidden.path());
    REQUIRE(alive.lock(layout::initialising_byte, lock_kind::exclusive));
    REQUIRE(::link(hidden.path().c_str(), (prefix + "-alive").c_str()) == 0);
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

// Control groups

TEST_CASE("the limit to a process's memory is the least of its groups and those that they are in") {
    namespace os = promisqs::detail::os;
    const std::string root = "/tmp/promisqs-test-" + std::to_string(::getpid()) + "-groups";
    const auto put = [&](const std::string& path, const std::string& text) {
        std::filesystem::create_directories(root + path.substr(0, path.rfind('/')));
        std::ofstream(root + path) << text;
    };
    put("/a/memory.max", "300\n");
    put("/a/b/memory.max", "max\n");
    put("/a/b/c/memory.max", "400\n");
    put("/memory/d/memory.limit_in_bytes", "500\n");
    put("/memory/memory.limit_in_bytes", "9223372036854771712\n");
    CHECK(os::limit_of_groups("0::/a/b/c\n", root) == 300);
    CHECK(os::limit_of_groups("0::/\n", root) == os::no_limit);
    CHECK(os::limit_of_groups("2:cpu:/a\n4:hugetlb,memory:/d/e\n0::/x\n", root) == 500);
    CHECK(os::limit_of_groups("1:memory:/x/y", root) == 9223372036854771712U);
    CHECK(os::limit_of_groups("nonsense\n\n:\n", root) == os::no_limit);
    CHECK(os::limit_of_groups("", root) == os::no_limit);
    std::filesystem::remove_all(root);
}

TEST_CASE("a queue larger than the limit of its control group is refused, and does not end the process") {
    const std::string group = "/sys/fs/cgroup/memory/promisqs-test-" + std::to_string(::getpid());
    std::error_code failed;
    SKIP_UNLESS(std::filesystem::create_directory(group, failed), "this process may not make a control group");
    std::ofstream(group + "/memory.limit_in_bytes") << (64U << 20);
    const scoped_name name("limited");
    CHECK(wait_for(forked([&] {
              std::ofstream(group + "/cgroup.procs") << ::getpid() << std::flush;
              if (promisqs::detail::os::memory_limit() != 64U << 20) return 0;  // no such groups here, or swap space
              try {
                  static_cast<void>(queue::create(name, 1 << 24));
              } catch (const queue_error& error) {
                  return error.code() == errc::no_memory ? 0 : 1;
              }
              return 2;
          })) == 0);
    CHECK_FALSE(name.exists());
    std::filesystem::remove(group, failed);
}

// What a process may ask of a queue that it finds

TEST_CASE("a handle says whether it has created the queue") {
    const scoped_name name("created");
    const auto first = queue::open_or_create(name, 8);
    const auto copy = first;  // NOLINT(performance-unnecessary-copy-initialization): it is what is tested
    CHECK(first.created());
    CHECK(copy.created());
    CHECK_FALSE(queue::open_or_create(name, 8).created());
    CHECK_FALSE(queue::open(name).created());
}

TEST_CASE("a handle says what options the queue really has") {
    const scoped_name name("actual");
    const options made{
        .permissions = 0640, .life = lifetime::keep, .participants = 9, .max_deaths = 5, .single_producer = true};
    const auto first = queue::create(name, 8, made);
    const auto second = queue::open_or_create(name, 8, {.memory = {.prefault = true}});
    for (const auto& q : {first, second}) {
        const options& found = q.actual_options();
        CHECK(found.permissions == 0640);
        CHECK(found.life == lifetime::keep);
        CHECK(found.participants == 9);
        CHECK(found.max_deaths == 5);
        CHECK(found.single_producer);
        CHECK_FALSE(found.single_consumer);
    }
    CHECK(second.actual_options().memory.prefault);
    CHECK_FALSE(first.actual_options().memory.prefault);
}

TEST_CASE("a queue with other options is an error for a process that is strict, which names them") {
    const scoped_name name("strict");
    const options made{.permissions = 0640, .participants = 9, .max_deaths = 5, .single_producer = true};
    const auto q = queue::create(name, 8, made);
    options wanted = made;
    wanted.strict = true;
    CHECK_FALSE(queue::open_or_create(name, 8, wanted).created());
    const auto expect_differs = [&](auto change, std::initializer_list<std::string_view> words) {
        options other = wanted;
        change(other);
        expect_error(errc::options_differ, words, [&] { static_cast<void>(queue::open_or_create(name, 8, other)); });
        other.strict = false;
        CHECK(queue::open_or_create(name, 8, other).capacity() == 8);
    };
    expect_differs([](options& o) { o.permissions = 0600; }, {"options::permissions", "0600", "0640"});
    expect_differs([](options& o) { o.life = lifetime::keep; }, {"options::life"});
    expect_differs([](options& o) { o.participants = 10; }, {"options::participants to be 10", "found 9"});
    expect_differs([](options& o) { o.max_deaths = 0; }, {"options::max_deaths to be 0", "found 5"});
    expect_differs([](options& o) { o.single_producer = false; }, {"options::single_producer"});
    expect_differs([](options& o) { o.single_consumer = true; }, {"options::single_consumer"});
}

TEST_CASE("start_over gives an empty queue in place of one that nobody uses") {
    const scoped_name name("start-over");
    const options fresh{.abandoned = abandoned_queue::start_over};
    SECTION("its users were killed") {
        abandon(name);
        auto q = queue::open_or_create(name, 8, fresh);
        CHECK(q.created());
        CHECK(q.empty());
    }
    SECTION("it was closed, and kept") {
        {
            auto q = queue::create(name, 8, {.life = lifetime::keep});
            q.close();
        }
        auto q = queue::open_or_create(name, 8, fresh);
        CHECK_FALSE(q.is_closed());
        CHECK(q.push(1));
    }
    SECTION("it has another type and capacity") {
        abandon(name);
        const auto q = promisqs::shmem_queue<double>::open_or_create(name, 5, fresh);
        CHECK(q.capacity() == 5);
    }
    SECTION("its creator died over it") {
        REQUIRE(wait_for(forked([&] { return leave_unfinished(name.str(), 0600); })) == 0);
        CHECK(queue::open_or_create(name, 8, fresh).created());
    }
    SECTION("there is none") { CHECK(queue::open_or_create(name, 8, fresh).created()); }
}

TEST_CASE("start_over leaves a queue alone that somebody uses, and one of another layout") {
    const scoped_name name("in-use");
    const options fresh{.abandoned = abandoned_queue::start_over};
    {
        auto user = queue::create(name, 8);
        REQUIRE(user.push(3));
        auto q = queue::open_or_create(name, 8, fresh);
        CHECK_FALSE(q.created());
        CHECK(q.pop() == 3U);
    }
    abandon(name);
    raw_object(name.path()).write(offsetof(layout::header, fields.layout_version), layout::version + 1);
    expect_error(errc::layout_version_differs, {name},
                 [&] { static_cast<void>(queue::open_or_create(name, 8, fresh)); });
    CHECK(name.exists());
}

TEST_CASE("of many that start over at once, one makes the queue, all share it, and nobody sees what was there") {
    const scoped_name name("start-over-race");
    constexpr unsigned processes = 8;
    for (int round = 0; round < 50; ++round) {
        abandon(name, {.life = lifetime::keep});
        const signal_pipe go;
        const signal_pipe opened;
        const signal_pipe leave;
        std::vector<::pid_t> pids;
        for (unsigned i = 0; i < processes; ++i) {
            pids.push_back(forked([&] {
                go.wait();
                auto q =
                    queue::open_or_create(name, 8, {.life = lifetime::keep, .abandoned = abandoned_queue::start_over});
                for (const std::uint32_t message : q) {
                    if (message == 7) return 2;
                }
                opened.send();
                leave.wait();
                return q.created() ? 1 : 0;
            }));
        }
        for (unsigned i = 0; i < processes; ++i) go.send();
        for (unsigned i = 0; i < processes; ++i) opened.wait();
        for (unsigned i = 0; i < processes; ++i) leave.send();
        int created = 0;
        for (const ::pid_t pid : pids) {
            const int status = wait_for(pid);
            CHECK((status == 0 || status == 1));
            created += status;
        }
        CHECK(created == 1);
        CHECK(queue::remove(name));
    }
}

TEST_CASE("create says of a queue that nobody uses what waits in it and what to do") {
    const scoped_name name("unused");
    abandon(name);
    expect_error(errc::already_exists, {name, "messages waiting: 1", "used by nobody", "open", "start_over", "remove"},
                 [&] { static_cast<void>(queue::create(name, 8)); });
    CHECK(queue::open(name).pop() == 7U);
}

TEST_CASE("a handle notices that the name no longer leads to its queue") {
    const scoped_name name("lost-name");
    auto q = queue::create(name, 8);
    CHECK(q.is_named());
    REQUIRE(::unlink(name.path().c_str()) == 0);  // as by `rm`, or systemd
    CHECK_FALSE(q.is_named());
    const auto another = queue::create(name, 8);
    CHECK_FALSE(q.is_named());
    CHECK(another.is_named());
    CHECK(q.push(1));  // it still works
}
