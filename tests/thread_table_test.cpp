// SPDX-License-Identifier: Apache-2.0

// How a thread finds its entries in many queues, and gives them back when it ends.

#include "support/catch.hpp"
#include "support/expect_error.hpp"
#include "support/names.hpp"
#include "support/process.hpp"

#include <promisqs/detail/os/process.hpp>
#include <promisqs/detail/queue/thread_cache.hpp>
#include <promisqs/queue.hpp>

#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using promisqs_test::child;
using promisqs_test::forked;
using promisqs_test::scoped_name;
using promisqs_test::wait_for;
using queue = promisqs::shmem_queue<std::uint32_t>;

namespace {

// More than a thread's table has places.
constexpr std::uint32_t many = 3 * promisqs::detail::known_table().size() + 1;

class many_queues {
public:
    explicit many_queues(const std::string& what, const promisqs::options& wanted = {}) {
        for (std::uint32_t i = 0; i < many; ++i) {
            names_.emplace_back(what + std::to_string(i));
            all_.push_back(queue::create(names_.back(), 4, wanted));
        }
    }
    [[nodiscard]] queue& operator[](std::uint32_t i) { return all_[i]; }
    [[nodiscard]] const scoped_name& name(std::uint32_t i) const { return names_[i]; }
    [[nodiscard]] auto begin() { return all_.begin(); }
    [[nodiscard]] auto end() { return all_.end(); }

    /// Whether a message goes through each of them, one after the other.
    [[nodiscard]] bool work(std::uint32_t number) {
        for (std::uint32_t i = 0; i < many; ++i) {
            if (!all_[i].push(number + i)) return false;
        }
        for (std::uint32_t i = 0; i < many; ++i) {
            if (all_[i].pop() != number + i) return false;
        }
        return true;
    }

private:
    std::deque<scoped_name> names_;
    std::vector<queue> all_;
};

}  // namespace

TEST_CASE("a thread that knows any number of queues uses them without a lock, memory or a system call") {
    const bool single = GENERATE(false, true);
    many_queues all("no-calls", {.single_producer = single, .single_consumer = single});
    const ::pid_t pid = forked([&] {
        if (!all.work(0)) return 1;
        const promisqs::detail::os::process_lock no_fork;  // what a fork elsewhere in the process holds meanwhile
        // Of all system calls only read, write and this exit are left; others kill.
        if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) return 2;
        bool good = true;
        for (std::uint32_t round = 1; round <= 3; ++round) good = good && all.work(1000 * round);
        ::syscall(SYS_exit, good ? 0 : 3);
        return 4;
    });
    CHECK(wait_for(pid) == 0);
}

TEST_CASE("a thread has one entry in a queue, however many others it uses between") {
    many_queues all("one-entry", {.participants = 2});
    REQUIRE(all.work(0));
    REQUIRE(all.work(1));
    for (auto& q : all) CHECK(q.stats().participants.size() == 1);

    std::thread([&] {
        CHECK(all.work(2));
        for (auto& q : all) CHECK(q.stats().participants.size() == 2);
    }).join();

    for (auto& q : all) CHECK(q.stats().participants.size() == 1);
    CHECK(all.work(3));
}

TEST_CASE("a forked child that uses many queues has entries of its own, and leaves its parent's alone") {
    many_queues all("fork");
    REQUIRE(all.work(0));

    const ::pid_t pid = forked([&] {
        if (!all.work(1) || !all.work(2)) return 1;
        for (auto& q : all) {
            if (q.stats().participants.size() != 2) return 2;
        }
        return 0;
    });

    CHECK(wait_for(pid) == 0);
    CHECK(all.work(3));
}

TEST_CASE("many queues used inside a callable do not bring back the entry that it hides, nor lose it") {
    many_queues all("callable");
    REQUIRE(all.work(0));
    auto& claimed = all[0];
    const auto use_others = [&] {
        for (std::uint32_t i = 1; i < many; ++i) {
            REQUIRE(all[i].push(i));
            REQUIRE(all[i].pop() == i);
        }
        promisqs_test::expect_error(promisqs::errc::in_callable, {all.name(0)},
                                    [&] { static_cast<void>(claimed.push(1)); });
    };

    REQUIRE(claimed.push_with([&](std::uint32_t& message) {
        use_others();
        message = 7;
    }));
    CHECK(claimed.pop_with([&](std::uint32_t message) {
        use_others();
        CHECK(message == 7);
    }));

    CHECK(claimed.stats().participants.size() == 1);
    CHECK(all.work(1));
}

TEST_CASE("queues that are opened, used and closed for ever take no more and more of a thread's memory") {
    const scoped_name kept_name("ever-kept"), name("ever");
    auto kept = queue::create(kept_name, 4);
    std::size_t most = 0;
    std::thread([&] {
        CHECK(kept.push(1));
        for (std::uint32_t i = 0; i < 5 * many; ++i) {
            auto q = queue::create(name, 4);
            CHECK(q.push(i));
            CHECK(q.pop() == i);
            most = std::max(most, promisqs::detail::records_of_thread->of_queues.size());
        }
        CHECK(kept.pop() == 1U);
        CHECK(kept.stats().participants.size() == 1);
    }).join();
    CHECK(most <= many);
}

TEST_CASE("a thread that remembers a closed queue does not take another one for it") {
    const scoped_name name("closed-one"), next_name("next-one");
    std::optional<queue> q = queue::create(name, 4);
    std::atomic<int> step = 0;
    const auto await = [&](int wanted) {
        for (int at = step; at < wanted; at = step) step.wait(at);
    };
    const auto go_to = [&](int next) {
        step = next;
        step.notify_all();
    };
    std::thread remembers([&] {
        CHECK(q->push(1));
        go_to(1);
        await(2);
        CHECK(q->push(2));
        CHECK(q->pop() == 2U);
        CHECK(q->stats().participants.size() == 1);
    });
    await(1);
    q.reset();
    q = queue::create(next_name, 4);  // has the closed one's place
    go_to(2);
    remembers.join();
    CHECK(q->stats().participants.empty());
}

namespace {

// Uses a queue when it goes, so perhaps after the thread has given its entries back.
struct last_user {
    queue* used = nullptr;
    ~last_user() {
        if (used != nullptr) static_cast<void>(used->push(1));
    }
};

}  // namespace

TEST_CASE("a thread's last objects may use a queue, each for the first time, and leave no entry behind") {
    const scoped_name first_name("last-1"), second_name("last-2"), third_name("last-3");
    auto first = queue::create(first_name, 4, {.participants = 1});
    auto second = queue::create(second_name, 4, {.participants = 1});
    auto third = queue::create(third_name, 4, {.participants = 1});
    for (int times = 0; times < 2; ++times) {
        std::thread([&] {
            static thread_local last_user uses_first_again, uses_second, uses_third;
            uses_first_again.used = &first;
            uses_second.used = &second;
            uses_third.used = &third;
            CHECK(first.push(0));
        }).join();
    }
    CHECK(first.size() == 4);
    CHECK(second.size() == 2);
    CHECK(third.size() == 2);
    for (const queue* q : {&first, &second, &third}) CHECK(q->stats().participants.empty());
}

TEST_CASE("where other libraries have taken all thread keys, entries are given back, and the keys left alone") {
    const scoped_name name("keys");
    auto q = queue::create(name, 4);
    std::vector<::pthread_key_t> keys;
    for (::pthread_key_t key{}; ::pthread_key_create(&key, nullptr) == 0;) keys.push_back(key);
    REQUIRE_FALSE(keys.empty());

    std::thread([&] {
        CHECK(q.push(1));
        for (const ::pthread_key_t key : keys) CHECK(::pthread_getspecific(key) == nullptr);
    }).join();

    for (const ::pthread_key_t key : keys) ::pthread_key_delete(key);
    CHECK(q.stats().participants.empty());
    CHECK(q.pop() == 1U);
}

namespace {

// ARGUMENTS: the queue's name, "push" or "pop", "static" or "local"
const promisqs_test::role exits_in_callable("thread-table-exits", [](const promisqs_test::arguments& args) {
    static std::optional<queue> at_exit;  // closed by `exit`
    std::optional<queue> local = queue::open(args.at(0));
    queue& q = args.at(2) == "static" ? at_exit.emplace(std::move(*local)) : *local;
    if (args.at(1) == "push") static_cast<void>(q.push_with([](std::uint32_t&) { std::exit(0); }));
    static_cast<void>(q.pop_with([](std::uint32_t) { std::exit(0); }));
    return 1;
});

}  // namespace

TEST_CASE("a program that exits inside a callable leaves a queue as one that was killed there does") {
    const scoped_name name("exits");
    auto q = queue::create(name, 2);
    const std::string what = GENERATE("push", "pop");
    const std::string handle = GENERATE("static", "local");
    if (what == "pop") REQUIRE(q.push(1));

    CHECK(child("thread-table-exits", {name.str(), what, handle}).wait() == 0);

    REQUIRE(q.push_wait(2) == promisqs::status::ok);
    if (what == "pop") {
        const auto first = q.pop_wait(), second = q.pop_wait();
        CHECK(first.value_or(0) + second.value_or(0) == 3U);
    } else {
        CHECK(q.pop_wait() == 2U);
    }
    static_cast<void>(q.recover());
    CHECK(q.stats().participants.size() == 1);
    CHECK(q.push(3));
    CHECK(q.push(4));
}

namespace {

// Threads that join a queue one by one, and stay.
class joining_threads {
public:
    explicit joining_threads(queue& joined) : joined_(joined) {}
    joining_threads(const joining_threads&) = delete;
    joining_threads& operator=(const joining_threads&) = delete;
    ~joining_threads() {
        end_ = true;
        end_.notify_all();
        for (auto& thread : threads_) thread.join();
    }
    void add() {
        std::atomic<bool> joined = false;
        threads_.emplace_back([&] {
            static_cast<void>(joined_.push(0));
            joined = true;
            joined.notify_one();
            end_.wait(false);
        });
        joined.wait(false);
    }

private:
    queue& joined_;
    std::atomic<bool> end_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace

TEST_CASE("the entries of a process lie side by side, though threads of several processes join in turn") {
    const scoped_name name("neighbours");
    auto q = queue::create(name, 128, {.participants = 256});
    constexpr std::size_t each = 32;
    const promisqs_test::signal_pipe to_child;
    const promisqs_test::signal_pipe to_parent;
    const ::pid_t pid = forked([&] {
        joining_threads mine(q);
        for (std::size_t i = 0; i < each; ++i) {
            to_child.wait();
            mine.add();
            to_parent.send();
        }
        to_child.wait();
        return 0;
    });
    joining_threads mine(q);
    for (std::size_t i = 0; i < each; ++i) {
        mine.add();
        to_child.send();
        to_parent.wait();
    }

    const auto all = q.stats().participants;
    REQUIRE(all.size() == 2 * each);
    std::size_t runs = 1;
    for (std::size_t i = 1; i < all.size(); ++i) runs += all[i].process != all[i - 1].process ? 1U : 0U;
    CHECK(runs <= 12);  // each is as large as all before it
    to_child.send();
    CHECK(wait_for(pid) == 0);
}

TEST_CASE("a table is filled to its last entry, by whichever process") {
    const scoped_name name("last-entry");
    auto q = queue::create(name, 16, {.participants = 7});
    const promisqs_test::signal_pipe to_child;
    const promisqs_test::signal_pipe to_parent;
    const ::pid_t pid = forked([&] {
        joining_threads mine(q);
        for (int i = 0; i < 3; ++i) {
            to_child.wait();
            mine.add();
            to_parent.send();
        }
        to_child.wait();
        return 0;
    });
    joining_threads mine(q);
    for (int i = 0; i < 3; ++i) {
        mine.add();
        to_child.send();
        to_parent.wait();
    }
    CHECK(q.push(1));
    CHECK(q.stats().participants.size() == 7);
    std::thread([&] {
        promisqs_test::expect_error(promisqs::errc::too_many_participants, {"at most 7"},
                                    [&] { static_cast<void>(q.push(2)); });
    }).join();
    to_child.send();
    CHECK(wait_for(pid) == 0);
}
