// SPDX-License-Identifier: Apache-2.0

// Handles in a forked child.

#include "support/catch.hpp"
#include "support/names.hpp"
#include "support/process.hpp"
#include "support/raw_object.hpp"
#include "support/skip.hpp"

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/os/file.hpp>
#include <promisqs/queue.hpp>

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using promisqs_test::forked;
using promisqs_test::raw_object;
using promisqs_test::scoped_name;
using promisqs_test::signal_pipe;
using promisqs_test::wait_for;
using queue = promisqs::shmem_queue<std::uint32_t>;

namespace layout = promisqs::detail::layout;

namespace {

bool is_locked(const raw_object& object, std::int64_t byte) {
    return promisqs::detail::os::byte_is_locked(object.descriptor(), byte);
}

std::uint32_t pid_of_entry(const raw_object& object, std::size_t i) {
    std::uint32_t pid = 0;
    std::memcpy(&pid, &object.read().at(layout::participants_offset + i * 128 + 4), sizeof pid);
    return pid;
}
std::uint64_t process_of_entry(const raw_object& object, std::size_t i) {
    std::uint64_t process = 0;
    std::memcpy(&process, &object.read().at(layout::participants_offset + i * 128 + 24), sizeof process);
    return process;
}

}  // namespace

TEST_CASE("the entries of a process have its number, those of a forked child have another one") {
    const scoped_name name("numbers");
    auto first = queue::create(name, 8);
    auto second = queue::open(name);
    REQUIRE(first.push(1));
    REQUIRE(second.push(2));

    CHECK(wait_for(forked([&] { return first.push(3) ? 0 : 1; })) == 0);

    const raw_object object(name.path());
    CHECK(process_of_entry(object, 0) != 0);
    CHECK(process_of_entry(object, 1) == process_of_entry(object, 0));
    CHECK(process_of_entry(object, 2) != 0);
    CHECK(process_of_entry(object, 2) != process_of_entry(object, 0));
}

TEST_CASE("entries of a killed process with many handles are found dead beside those of a living one") {
    const scoped_name name("many");
    auto q = queue::create(name, 8, {.participants = 100});
    std::vector<queue> living;
    for (int i = 0; i < 40; ++i) {
        living.push_back(queue::open(name));
        REQUIRE(living.back().try_push(7) != promisqs::status::closed);
    }
    CHECK(wait_for(forked([&] {
              std::vector<queue> handles;
              for (int i = 0; i < 30; ++i) {
                  handles.push_back(queue::open(name));
                  static_cast<void>(handles.back().try_push(7));
              }
              ::kill(::getpid(), SIGKILL);
              return 0;
          })) != 0);

    CHECK(q.recover().participants_removed == 30);
    CHECK(q.stats().participants.size() == 40);
    for (const auto& one : q.stats().participants) CHECK(one.alive);
}

TEST_CASE("the handles of a forked child just work, beside the parent's") {
    const scoped_name name("works");
    auto q = queue::create(name, 8);
    REQUIRE(q.push(1));  // the parent is registered

    const ::pid_t pid = forked([&] {
        if (q.pop() != 1U) return 1;
        return q.push(2) && q.push(3) ? 0 : 2;
    });

    CHECK(wait_for(pid) == 0);
    CHECK(q.pop() == 2U);
    CHECK(q.pop() == 3U);
}

TEST_CASE("parent and child are different participants, with locks of their own") {
    const scoped_name name("entries");
    auto q = queue::create(name, 8);
    REQUIRE(q.push(1));
    const raw_object object(name.path());
    const signal_pipe ready;
    const signal_pipe go;

    const ::pid_t pid = forked([&] {
        if (!q.push(2)) return 1;
        ready.send();
        go.wait();
        return 0;
    });
    ready.wait();

    CHECK(pid_of_entry(object, 0) == static_cast<std::uint32_t>(::getpid()));
    CHECK(pid_of_entry(object, 1) == static_cast<std::uint32_t>(pid));
    CHECK(is_locked(object, layout::participants_byte));
    CHECK(is_locked(object, layout::participants_byte + 1));
    ::kill(pid, SIGKILL);
    wait_for(pid);
    CHECK(is_locked(object, layout::participants_byte));
    CHECK_FALSE(is_locked(object, layout::participants_byte + 1));
    go.send();
}

TEST_CASE("a child does not keep the locks of a parent that was killed") {
    const scoped_name name("parent");
    const signal_pipe parent_ready;
    const signal_pipe child_ready;
    const signal_pipe go;
    const auto keeps = queue::create(name, 8);
    const raw_object object(name.path());

    const ::pid_t parent = forked([&] {
        auto q = queue::open(name);
        if (!q.push(1)) return 1;
        const ::pid_t child = ::fork();
        if (child == 0) {
            child_ready.send();  // it has used nothing yet
            go.wait();
            const bool done = q.push(2);
            child_ready.send();
            ::_exit(done ? 0 : 1);
        }
        parent_ready.send();
        go.wait();
        return 0;
    });
    parent_ready.wait();
    child_ready.wait();
    CHECK(is_locked(object, layout::participants_byte));
    ::kill(parent, SIGKILL);
    wait_for(parent);

    CHECK_FALSE(is_locked(object, layout::participants_byte));
    go.send();
    child_ready.wait();
    auto q = keeps;
    CHECK(q.pop() == 1U);
    CHECK(q.pop() == 2U);
}

TEST_CASE("a child is a user in its own right: the queue stays until both are out") {
    const scoped_name name("both");
    std::optional<queue> q = queue::create(name, 8);
    const signal_pipe go;

    const ::pid_t pid = forked([&] {
        go.wait();
        if (!name.exists() || !q->push(5)) return 1;
        q.reset();
        return name.exists() ? 2 : 0;  // it was the last
    });
    q.reset();
    CHECK(name.exists());
    go.send();

    CHECK(wait_for(pid) == 0);
    CHECK_FALSE(name.exists());
}

TEST_CASE("a child that ends without closing leaves the queue to its parent, which removes it") {
    const scoped_name name("silent");
    std::optional<queue> q = queue::create(name, 8);
    CHECK(wait_for(forked([&] { return q->push(1) ? 0 : 1; })) == 0);
    CHECK(q->pop() == 1U);
    q.reset();
    CHECK_FALSE(name.exists());
}

TEST_CASE("a child's child works too") {
    const scoped_name name("grandchild");
    auto q = queue::create(name, 8);
    REQUIRE(q.push(1));
    const int status = wait_for(forked([&] {
        if (!q.push(2)) return 1;
        return wait_for(forked([&] { return q.push(3) && q.pop() == 1U ? 0 : 1; }));
    }));
    CHECK(status == 0);
    CHECK(q.pop() == 2U);
    CHECK(q.pop() == 3U);
}

TEST_CASE("forks in the midst of other threads' traffic disturb neither side") {
    const scoped_name name("traffic");
    auto q = queue::create(name, 16);
    std::atomic<bool> over{false};
    std::atomic<std::uint64_t> pushed{0};
    std::atomic<std::uint64_t> popped{0};
    std::thread producer([&] {
        while (!over.load()) pushed += q.push(1) ? 1U : 0U;
    });
    std::thread consumer([&] {
        while (!over.load()) popped += q.pop().has_value() ? 1U : 0U;
    });

    const scoped_name other_name("traffic-other");
    auto other = queue::create(other_name, 1000);
    for (std::uint32_t i = 0; i < 50; ++i) {
        const ::pid_t pid = forked([&] { return other.push(i) ? 0 : 1; });
        CHECK(wait_for(pid) == 0);
        CHECK(other.pop() == i);
    }
    over = true;
    producer.join();
    consumer.join();

    CHECK(pushed == popped + q.size());
}

TEST_CASE("a child without a descriptor of its own gets a clear error, and holds no lock of its parent") {
    const scoped_name name("descriptors");
    auto q = queue::create(name, 8);
    REQUIRE(q.push(1));
    const raw_object object(name.path());
    ::rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    ::rlimit none = before;
    none.rlim_cur = 3;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);

    const ::pid_t pid = forked([&] {
        try {
            static_cast<void>(q.push(2));
        } catch (const promisqs::queue_error& error) {
            return error.code() == promisqs::errc::system_failure ? 0 : 1;
        }
        return 2;
    });
    const int status = wait_for(pid);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);

    CHECK(status == 0);
    CHECK(q.pop() == 1U);
    CHECK(is_locked(object, layout::participants_byte));
}

TEST_CASE("a child that has given up its privileges can still recover") {
    if (::getuid() != 0) return;  // there are none to give up
    const scoped_name name("privileges");
    auto q = queue::create(name, 8);
    wait_for(forked([&] { return q.push_with([](std::uint32_t&) { ::_exit(0); }) ? 1 : 2; }));
    REQUIRE(q.push(5));

    const ::pid_t pid = forked([&] {
        if (::setuid(65534) != 0) return 3;
        return q.pop() == 5U ? 0 : 1;
    });

    CHECK(wait_for(pid) == 0);
}

TEST_CASE("a child that is forked while its parent claims does not go on with that") {
    using namespace std::chrono_literals;
    const scoped_name name("fork-claim");
    auto q = queue::create(name, 4, {.max_deaths = 1});
    REQUIRE(q.push(1));
    wait_for(forked([&] { return q.pop_with([](const std::uint32_t&) { ::_exit(0); }) ? 1 : 2; }));
    const signal_pipe go;
    ::pid_t child = -1;
    q.on_dropped([&](const std::uint32_t&) {  // called by a look for the dead, within the call
        child = ::fork();
        if (child == 0) go.wait();
    });

    const auto claim = [&] {
        auto held = q.claim_some_wait_for(1, 200ms);
        while (child == -1) held = q.claim_some_wait_for(1, 200ms);
        return held;
    };
    try {
        const auto held = claim();
        if (child == 0) ::_exit(1);
        CHECK(held.empty());
    } catch (const promisqs::queue_error& error) {
        if (child != 0) throw;
        const auto own = q.claim_some(1);
        ::_exit(error.code() == promisqs::errc::in_callable && own.held() == 1 && own[0] == 2 ? 0 : 2);
    }
    REQUIRE(q.push(2));
    go.send();

    CHECK(wait_for(child) == 0);
    CHECK(q.recover().messages_to_redeliver == 1);
    CHECK(q.pop() == 2U);
}

TEST_CASE("a child that starts another program leaves the queue to its parent, which removes it") {
    const scoped_name name("fork-exec");
    std::optional<queue> q = queue::create(name, 8);
    const signal_pipe go;
    const signal_pipe has_started;
    const ::pid_t pid = forked([&] {
        if (!q->push(3)) return 1;
        // It says that it runs, and ends when this process lets it.
        ::dup2(std::stoi(go.reader()), 0);
        ::dup2(std::stoi(has_started.writer()), 1);
        ::execlp("sh", "sh", "-c", "echo; head -c1 > /dev/null", static_cast<char*>(nullptr));
        return 2;
    });
    has_started.wait();
    CHECK(q->pop() == 3U);
    q.reset();
    CHECK_FALSE(name.exists());
    go.send();
    wait_for(pid);
}

TEST_CASE(
    "a process that changes its root directory after it has opened a queue, and its child, go on, and remove it") {
    SKIP_UNLESS(::geteuid() == 0, "only root can change its root directory");
    const scoped_name name("chroot");
    CHECK(wait_for(forked([&] {
              std::optional<queue> q = queue::create(name, 8);
              if (!q->push(1) || ::chroot("/usr") != 0 || ::chdir("/") != 0) return 1;
              if (!q->is_named()) return 2;
              const ::pid_t child = ::fork();
              if (child == 0) ::_exit(q->pop() == 1U && q->push(2) ? 0 : 1);
              if (wait_for(child) != 0) return 3;
              if (q->pop() != 2U) return 4;
              q.reset();
              return 0;
          })) == 0);
    CHECK_FALSE(name.exists());
}

TEST_CASE("where /proc is not mounted, queues are made, opened, shared with children and removed all the same") {
    const scoped_name name("no-proc");
    const int status = wait_for(forked([&] {
        if (::unshare(CLONE_NEWNS) != 0) return 77;
        if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 77;
        if (::mount("none", "/proc", "tmpfs", 0, nullptr) != 0) return 77;
        std::optional<queue> q = queue::create(name, 8);
        auto other = queue::open(name);
        if (!q->push(1) || other.pop() != 1U) return 1;
        const ::pid_t child = ::fork();
        if (child == 0) ::_exit(q->push(2) ? 0 : 1);
        return wait_for(child) == 0 && q->pop() == 2U ? 0 : 2;
    }));
    SKIP_UNLESS(status != 77, "this process may not mount anything");
    CHECK(status == 0);
    CHECK_FALSE(name.exists());
}

TEST_CASE("a process that has given up its privileges ends its queue, though it may not remove the name") {
    SKIP_UNLESS(::geteuid() == 0, "there are no privileges to give up");
    const scoped_name name("setuid");
    CHECK(wait_for(forked([&] {
              std::optional<queue> q = queue::create(name, 8);
              if (!q->push(1) || ::setuid(65534) != 0) return 1;
              if (q->pop() != 1U || !q->push(2)) return 2;
              q.reset();
              return 0;
          })) == 0);
    CHECK(queue::open_or_create(name, 8).created());
}

TEST_CASE("a child whose parent may not open the file any more gets an error that says so") {
    SKIP_UNLESS(::geteuid() == 0, "there are no privileges to give up");
    const scoped_name name("setuid-fork");
    auto q = queue::create(name, 8);
    CHECK(wait_for(forked([&] {
              if (::setuid(65534) != 0) return 1;
              return wait_for(forked([&] {
                  try {
                      static_cast<void>(q.push(1));
                  } catch (const promisqs::queue_error& error) {
                      return std::string(error.what()).find("privileges") != std::string::npos ? 0 : 2;
                  }
                  return 3;
              }));
          })) == 0);
}

TEST_CASE("a program started from this one does not inherit the queue") {
    const scoped_name name("exec");
    const auto q = queue::create(name, 8);
    const std::string command = "ls -l /proc/self/fd | grep -q " + name.str();
    CHECK(std::system(command.c_str()) != 0);
}
