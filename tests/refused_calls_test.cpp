// SPDX-License-Identifier: Apache-2.0

// A kernel that refuses a system call, as sandboxes of containers do: with ENOSYS, EPERM or EINVAL. Everything works all
// the same, or throws an error that names the cause. The filters are set in forked children, because they stay.

#include "support/refused_calls.hpp"
#include "support/catch.hpp"
#include "support/names.hpp"
#include "support/process.hpp"

#include <promisqs/queue.hpp>
#include <promisqs/ready_event.hpp>
#include <promisqs/wait_any.hpp>

#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

using namespace std::chrono_literals;
using promisqs::errc;
using promisqs::status;
using promisqs_test::forked;
using promisqs_test::refusal;
using promisqs_test::scoped_name;
using promisqs_test::wait_for;
using queue = promisqs::shmem_queue<std::uint64_t>;

namespace {

constexpr promisqs::options one_to_one{.single_producer = true, .single_consumer = true};
constexpr promisqs::wait_policy at_once_asleep{0, 0ns, 0ns};

refusal refuse_futex_waitv(int error) { return {449, error}; }
refusal refuse_membarrier(int error) { return {SYS_membarrier, error}; }

// What a child has to say: the first thing that does not work.
class verdict {
public:
    void expect(bool right, const char* what) {
        if (!right && !failed_) std::fprintf(stderr, "not as expected: %s\n", what);
        failed_ = failed_ || !right;
    }
    /// The call must throw an error of that code with that word in its text.
    template <class Action>
    void expect_error(errc code, std::string_view word, const char* what, Action action) {
        try {
            action();
            expect(false, what);
        } catch (const promisqs::queue_error& error) {
            const bool right = error.code() == code && std::string_view(error.what()).find(word) != std::string::npos;
            expect(right, right ? what : error.what());
        }
    }
    [[nodiscard]] int status() const { return failed_ ? 1 : 0; }

private:
    bool failed_ = false;
};

// Runs it in a child whose system calls are refused with each of the errors in turn.
template <class Refusal, class Body>
void each_time_refused(Refusal refuse_by, Body body) {
    if (!promisqs_test::can_refuse()) {
        WARN("skipped: this system has no seccomp");
        return;
    }
    for (const int error : {ENOSYS, EPERM, EINVAL}) {
        CAPTURE(error);
        CHECK(wait_for(forked([&] {
                  verdict found;
                  body(found,
                       [&] { found.expect(promisqs_test::refuse({refuse_by(error)}), "a seccomp filter is set"); });
                  return found.status();
              })) == 0);
    }
}

int dies_popping(queue& q) {
    return wait_for(forked([&] {
        q.pop_with([](const std::uint64_t&) { ::kill(::getpid(), SIGKILL); });
        return 1;
    }));
}

// How often this thread has given its processor up by itself, as one does that sleeps.
long sleeps() {
    ::rusage used{};
    ::getrusage(RUSAGE_THREAD, &used);
    return used.ru_nvcsw;
}

// Moves messages between two threads that both sleep again and again.
bool streams(queue& to, queue& from) {
    constexpr std::uint64_t count = 200;
    bool in_order = true;
    std::thread consumer([&] {
        for (std::uint64_t i = 0; i < count; ++i) in_order = from.pop_wait() == i && in_order;
    });
    bool pushed = true;
    for (std::uint64_t i = 0; i < count; ++i) pushed = to.push_wait(i) == status::ok && pushed;
    consumer.join();
    return pushed && in_order;
}

}  // namespace

TEST_CASE("a kernel that can't sleep on several words is no hindrance to waiting for several queues") {
    const scoped_name first_name("refused-waitv-1");
    const scoped_name second_name("refused-waitv-2");
    each_time_refused(refuse_futex_waitv, [&](verdict& found, auto refuse) {
        refuse();
        auto first = queue::create(first_name, 4);
        auto second = queue::create(second_name, 4);

        const long before = sleeps();
        // More than once, on a machine that is too busy to let it look twice.
        do found.expect(!promisqs::wait_any(first, second, 100ms), "nothing is there");
        while (sleeps() - before < 2);

        std::thread producer([&] { static_cast<void>(second.push(7)); });
        found.expect(promisqs::wait_any(first, second) == 1U, "a push is found");
        producer.join();
        found.expect(second.pop() == 7U, "it can be popped");

        found.expect(first.push(8), "a push");
        found.expect(dies_popping(first) == -SIGKILL, "a consumer dies");
        found.expect(promisqs::wait_any(second, first) == 1U, "the message of a dead consumer is found");
        found.expect(first.pop() == 8U, "it can be popped, too");

        promisqs::ready_event event(first);
        found.expect(first.push(9), "a push");
        ::pollfd watched{event.descriptor(), POLLIN, 0};
        found.expect(::poll(&watched, 1, -1) == 1, "the descriptor is readable");
    });
}

TEST_CASE("a kernel without barriers across processes is no hindrance to single roles") {
    const scoped_name name("refused-membarrier");
    each_time_refused(refuse_membarrier, [&](verdict& found, auto refuse) {
        auto before = queue::create(name, 2, one_to_one);
        before.set_wait_policy(at_once_asleep);
        refuse();
        auto after = queue::open(name);
        after.set_wait_policy(at_once_asleep);
        found.expect(streams(after, after), "both sides have no barrier");
    });
    each_time_refused(refuse_membarrier, [&](verdict& found, auto refuse) {
        auto q = queue::create(name, 2, one_to_one);
        q.set_wait_policy(at_once_asleep);
        found.expect(q.push(1) && q.pop() == 1U, "it works before");
        refuse();
        found.expect(q.try_push(2) == status::ok && q.pop_wait() == 2U, "it works when barriers are refused later");
        found.expect(!q.pop_wait_for(30ms), "an empty queue is waited for");
        q.close();
        found.expect(q.is_closed() && !q.push(1), "it is closed");
    });
}

TEST_CASE("a producer with barriers across processes and a consumer without them hear of each other") {
    const scoped_name name("refused-one-membarrier");
    auto q = queue::create(name, 2, one_to_one);
    q.set_wait_policy(at_once_asleep);
    for (const int error : {ENOSYS, EPERM, EINVAL}) {
        const ::pid_t consumer = forked([&] {
            verdict found;
            found.expect(promisqs_test::refuse({refuse_membarrier(error)}), "a seccomp filter is set");
            auto mine = queue::open(name);
            mine.set_wait_policy(at_once_asleep);
            for (std::uint64_t i = 0; i < 100; ++i) found.expect(mine.pop_wait() == i, "the next message");
            return found.status();
        });
        for (std::uint64_t i = 0; i < 100; ++i) CHECK(q.push_wait(i) == status::ok);
        CHECK(wait_for(consumer) == 0);
    }
}

TEST_CASE("a kernel that refuses locks is named as the cause, and what needs none goes on") {
    const scoped_name name("refused-locks");
    const scoped_name new_name("refused-locks-new");
    auto kept = queue::create(name, 4);
    each_time_refused(promisqs_test::refuse_locks, [&](verdict& found, auto refuse) {
        auto q = queue::open(name);
        found.expect(q.push(1), "the thread is registered");
        refuse();

        // EPERM is what systems say that forbid something.
        errc code = errc::system_failure;
        try {
            static_cast<void>(queue::open(name));
            found.expect(false, "opened without a lock");
        } catch (const promisqs::queue_error& error) {
            code = static_cast<errc>(error.code().value());
        }
        found.expect(code == errc::system_failure || code == errc::no_permission, "the code of the error");
        found.expect_error(code, "lock", "open", [&] { static_cast<void>(queue::open(name)); });
        found.expect_error(code, "lock", "create", [&] { static_cast<void>(queue::create(new_name, 4)); });
        found.expect(!new_name.exists(), "nothing is left of it");
        found.expect_error(code, "lock", "recover", [&] { static_cast<void>(q.recover()); });
        std::thread([&] {
            found.expect_error(code, "lock", "a new thread", [&] { static_cast<void>(q.push(2)); });
        }).join();

        found.expect(q.push(3) && q.pop() == 1U && q.pop() == 3U && !q.pop(), "push and pop");
        found.expect(!q.pop_wait_for(30ms), "an empty queue is waited for");
        found.expect(q.stats().pushed >= 2, "stats");
    });
    for (std::uint64_t i = 0; i < kept.capacity(); ++i) CHECK(kept.push(i));
    for (std::uint64_t i = 0; i < kept.capacity(); ++i) CHECK(kept.pop() == i);
    CHECK(kept.empty());
}

TEST_CASE("a kernel without nameless files is no hindrance to creating a queue") {
    const scoped_name name("refused-nameless");
    each_time_refused(promisqs_test::refuse_nameless_files, [&](verdict& found, auto refuse) {
        refuse();
        {
            auto q = queue::create(name, 4);
            auto other = queue::open_or_create(name, 4);
            found.expect(q.push(1) && other.pop() == 1U, "created and opened");
            found.expect_error(errc::already_exists, name, "created twice",
                               [&] { static_cast<void>(queue::create(name, 4)); });
        }
        found.expect(!name.exists(), "the last user has removed it");
        found.expect(!queue::remove(name), "there is nothing to remove");
    });
}
