// SPDX-License-Identifier: Apache-2.0

// Threads on one handle, which is what the thread sanitizer can judge.

#include "support/catch.hpp"
#include "support/names.hpp"
#include "support/raw_object.hpp"
#include "support/status_text.hpp"

#include <promisqs/queue.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <random>
#include <thread>
#include <utility>
#include <vector>

using promisqs::shmem_queue;
using promisqs::status;
using promisqs_test::scoped_name;

namespace {

struct numbered {
    std::uint64_t producer;
    std::uint64_t number;
    std::array<std::uint64_t, 6> echo;  // repeats the number: a torn message shows

    static numbered make(std::uint64_t producer, std::uint64_t number) {
        numbered result{producer, number, {}};
        result.echo.fill(number * 1000 + producer);
        return result;
    }
    [[nodiscard]] bool whole() const {
        return std::ranges::all_of(echo, [&](std::uint64_t e) { return e == number * 1000 + producer; });
    }
};

// What one consumer saw, checked as it goes: whole messages, each producer's in order.
class ledger {
public:
    explicit ledger(std::uint64_t producers) : next_(producers, 0) {}

    void add(const numbered& message) {
        good_ = good_ && message.whole() && message.number >= next_.at(message.producer);
        next_.at(message.producer) = message.number + 1;
        sum_ += message.number;
        ++count_;
    }
    [[nodiscard]] bool good() const { return good_; }
    [[nodiscard]] std::uint64_t count() const { return count_; }
    [[nodiscard]] std::uint64_t sum() const { return sum_; }

private:
    std::vector<std::uint64_t> next_;
    std::uint64_t count_ = 0;
    std::uint64_t sum_ = 0;
    bool good_ = true;
};

}  // namespace

TEST_CASE("any number of threads push and pop through one handle, and every message arrives once, whole and in order") {
    const std::uint64_t capacity = GENERATE(1U, 2U, 3U, 64U, 1000U);
    constexpr std::uint64_t producers = 4;
    constexpr std::uint64_t consumers = 4;
    constexpr std::uint64_t each = 5000;
    const scoped_name name("conservation");
    auto q = shmem_queue<numbered>::create(name, capacity);
    std::atomic<std::uint64_t> taken{0};
    std::vector<ledger> ledgers(consumers, ledger(producers));
    std::vector<std::thread> threads;

    for (std::uint64_t p = 0; p < producers; ++p) {
        threads.emplace_back([&, p] {
            for (std::uint64_t i = 0; i < each; ++i) {
                while (!q.push(numbered::make(p, i))) std::this_thread::yield();
            }
        });
    }
    for (std::uint64_t c = 0; c < consumers; ++c) {
        threads.emplace_back([&, c] {
            while (taken.load() < producers * each) {
                if (const auto message = q.pop()) {
                    ledgers[c].add(*message);
                    taken.fetch_add(1);
                } else {
                    std::this_thread::yield();
                }
            }
        });
    }
    for (auto& thread : threads) thread.join();

    std::uint64_t count = 0;
    std::uint64_t sum = 0;
    for (const auto& one : ledgers) {
        CHECK(one.good());
        count += one.count();
        sum += one.sum();
    }
    CHECK(count == producers * each);
    CHECK(sum == producers * each * (each - 1) / 2);
    CHECK(q.empty());
}

TEST_CASE("threads that lose claims to each other move every message once, by attempts that do not block") {
    const std::uint64_t capacity = GENERATE(1U, 2U, 1000U);
    constexpr std::uint64_t sides = 2;
    constexpr std::uint64_t each = 20'000;
    const scoped_name name("lost-claims");
    auto q = shmem_queue<numbered>::create(name, capacity);
    std::atomic<std::uint64_t> taken{0};
    std::vector<ledger> ledgers(sides, ledger(sides));
    std::vector<std::thread> threads;

    for (std::uint64_t p = 0; p < sides; ++p) {
        threads.emplace_back([&, p] {
            for (std::uint64_t i = 0; i < each; ++i) {
                while (q.try_push(numbered::make(p, i)) != status::ok) std::this_thread::yield();
            }
        });
        threads.emplace_back([&, p] {
            for (numbered out{}; taken.load() < sides * each;) {
                const status answer = q.try_pop(out);
                if (answer == status::ok) {
                    ledgers[p].add(out);
                    taken.fetch_add(1);
                } else if (answer == status::empty) {
                    std::this_thread::yield();
                } else if (answer != status::would_block) {
                    return;  // there is nothing else that it may say
                }
            }
        });
    }
    for (auto& thread : threads) thread.join();

    CHECK(ledgers[0].good());
    CHECK(ledgers[1].good());
    CHECK(ledgers[0].count() + ledgers[1].count() == sides * each);
    CHECK(ledgers[0].sum() + ledgers[1].sum() == sides * each * (each - 1) / 2);
    CHECK(q.try_push(numbered::make(0, 0)) == status::ok);  // neither full nor closed
}

TEST_CASE("a peek in the midst of pushes and pops never returns a torn message") {
    const scoped_name name("torn");
    auto q = shmem_queue<numbered>::create(name, 2);
    std::atomic<bool> over{false};
    std::atomic<std::uint64_t> looks{0};
    std::thread producer([&] {
        for (std::uint64_t i = 0; looks.load() < 2000; ++i) static_cast<void>(q.push(numbered::make(1, i)));
        over = true;
    });
    std::thread consumer([&] {
        while (!over.load()) static_cast<void>(q.pop());
    });

    bool whole = true;
    while (!over.load()) {
        if (const auto message = q.peek()) {
            whole = whole && message->whole();
            looks.fetch_add(1);
        }
    }
    producer.join();
    consumer.join();

    CHECK(whole);
}

TEST_CASE("a thread that ends gives its entry back, and one that stays keeps the same") {
    const scoped_name name("entries");
    auto q = shmem_queue<int>::create(name, 8, {.participants = 2});
    REQUIRE(q.push(0));
    for (int i = 0; i < 10; ++i) {
        std::thread([&] {
            CHECK(q.push(i));
            CHECK(q.pop().has_value());
        }).join();
    }
    REQUIRE(q.push(0));
    const auto bytes = promisqs_test::raw_object(name.path()).read();
    CHECK(std::to_integer<int>(bytes.at(1152)) == 1);
    CHECK(std::to_integer<int>(bytes.at(1152 + 128)) == 0);
}

TEST_CASE("a closed handle gives its threads' entries back while the threads live on") {
    const scoped_name name("handles");
    const auto stays = shmem_queue<int>::create(name, 8, {.participants = 1});
    for (int i = 0; i < 10; ++i) {
        auto q = shmem_queue<int>::open(name);
        CHECK(q.push(i));
        CHECK(q.pop() == i);
    }
}

TEST_CASE("threads use copies of a handle, each its own") {
    const scoped_name name("copies");
    auto q = shmem_queue<std::uint64_t>::create(name, 16);
    std::atomic<std::uint64_t> sum{0};
    std::vector<std::thread> threads;
    for (std::uint64_t t = 0; t < 4; ++t) {
        threads.emplace_back([mine = q, &sum]() mutable {
            for (std::uint64_t i = 1; i <= 2000; ++i) {
                while (!mine.push(i)) {}
                std::optional<std::uint64_t> out;
                while (!(out = mine.pop())) {}
                sum.fetch_add(*out);
            }
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK(sum == 4 * 2000 * 2001 / 2);
}

namespace {

// Outlives this thread's list of entries, and still uses a queue when it goes.
struct late_user {
    shmem_queue<int>* queue = nullptr;
    ~late_user() {
        if (queue != nullptr) static_cast<void>(queue->push(99));
    }
};

}  // namespace

TEST_CASE("a queue can be used while a thread's last objects are destroyed") {
    const scoped_name name("late");
    auto q = shmem_queue<int>::create(name, 8, {.participants = 3});
    std::thread([&] {
        static thread_local late_user late;  // made before the entry, so destroyed after it was given back
        late.queue = &q;
        CHECK(q.push(1));
    }).join();
    CHECK(q.pop() == 1);
    CHECK(q.pop() == 99);
}

TEST_CASE("threads hold, release and give back messages in any order, and every message is had once") {
    const std::uint64_t capacity = GENERATE(1U, 3U, 64U);
    constexpr std::uint64_t messages = 4000;
    using queue = shmem_queue<numbered>;
    const scoped_name name("threads-hold");
    auto q = queue::create(name, capacity, {.max_deaths = 1});
    std::array<std::atomic<int>, messages> times{};
    std::atomic<bool> whole{true};
    std::vector<std::thread> threads;
    threads.emplace_back([&] {
        for (std::uint64_t i = 0; i < messages; ++i) {
            if (q.push_wait(numbered::make(0, i)) != status::ok) whole = false;
        }
        q.close();
    });
    for (std::uint32_t c = 0; c < 3; ++c) {
        threads.emplace_back([&, c] {
            std::minstd_rand random(c + 1);
            const auto have = [&](queue::claimed_messages& held, std::uint64_t i) {
                const numbered copy = held[i];
                if (!copy.whole()) whole = false;
                times.at(copy.number).fetch_add(1);
                held.release(i);
            };
            std::vector<queue::claimed_messages> rows;
            for (;;) {
                if (auto held = rows.empty() ? q.claim_some_wait(4) : q.claim_some(4); !held.empty()) {
                    rows.push_back(std::move(held));
                } else if (rows.empty()) {
                    return;  // the queue is closed and drained
                }
                if (rows.size() < 3 && random() % 2 == 0) continue;
                auto& row = rows.at(random() % rows.size());
                while (row.held() != 0 && random() % 8 != 0) {
                    const std::uint64_t i = random() % row.size();
                    if (row.is_held(i)) have(row, i);
                }
                std::swap(row, rows.back());
                rows.pop_back();  // gives the rest back
            }
        });
    }
    for (auto& one : threads) one.join();
    CHECK(whole);
    CHECK(std::ranges::all_of(times, [](const std::atomic<int>& one) { return one == 1; }));
    CHECK(q.is_closed());
    CHECK(q.empty());
    CHECK(q.stats().dropped == 0);
}
