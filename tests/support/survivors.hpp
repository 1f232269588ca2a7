// SPDX-License-Identifier: Apache-2.0
#pragma once

// Survivors that only wait: processes that wait for messages, or for room, each in one way, and make no other call of
// the queue. So nothing but the wait itself can find out what a dead participant has left. They tell of all that they
// get.

#include "account.hpp"
#include "process.hpp"

#include <promisqs/detail/protocol/role.hpp>
#include <promisqs/queue.hpp>
#include <promisqs/wait_any.hpp>

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace promisqs_test {

/// One way to wait. A consumer's call fills `messages`, a producer's call pushes them.
struct waiting_call {
    using queue = numbered_queue;
    using status = promisqs::status;

    const char* name;
    promisqs::detail::role whose;
    std::size_t most;  // messages of one call
    /// \param quiet  another queue, in which nothing moves
    /// \param count  how many messages were moved, if the answer is `ok`
    status (*make)(queue& q, const queue& quiet, std::span<numbered> messages, std::size_t& count);
};

inline const waiting_call& waiting_call_named(const std::string& name) {
    using promisqs::status;
    using promisqs::detail::role;
    using q_ref = numbered_queue&;
    using quiet_ref = const numbered_queue&;
    using all_of = std::span<numbered>;
    using count_ref = std::size_t&;
    static const std::vector<waiting_call> all{
        {"pop_wait", role::consumer, 1,
         [](q_ref q, quiet_ref, all_of m, count_ref n) { return n = 1, q.pop_wait(m.front()); }},
        {"pop_wait_with", role::consumer, 1,
         [](q_ref q, quiet_ref, all_of m, count_ref n) {
             return n = 1, q.pop_wait_with([&](const numbered& slot) { m.front() = slot; });
         }},
        {"pop_some_wait", role::consumer, 3,
         [](q_ref q, quiet_ref, all_of m, count_ref n) {
             n = q.pop_some_wait(m);
             return n > 0 ? status::ok : status::closed;
         }},
        {"wait_any", role::consumer, 1,
         [](q_ref q, quiet_ref quiet, all_of m, count_ref n) {
             static_cast<void>(promisqs::wait_any(quiet, q));
             return n = 1, q.try_pop(m.front());
         }},
        {"push_wait", role::producer, 1,
         [](q_ref q, quiet_ref, all_of m, count_ref n) { return n = 1, q.push_wait(m.front()); }},
        {"push_wait_with", role::producer, 1,
         [](q_ref q, quiet_ref, all_of m, count_ref n) {
             return n = 1, q.push_wait_with([&](numbered& slot) { slot = m.front(); });
         }},
        {"push_some_wait", role::producer, 2,
         [](q_ref q, quiet_ref, all_of m, count_ref n) {
             n = q.push_some_wait(m);
             return n > 0 ? status::ok : status::closed;
         }},
        {"push_all_wait", role::producer, 2,
         [](q_ref q, quiet_ref, all_of m, count_ref n) { return n = m.size(), q.push_all_wait(m); }},
    };
    const auto found = std::ranges::find_if(all, [&](const waiting_call& one) { return one.name == name; });
    if (found == all.end()) throw std::logic_error("there is no waiting call " + name);
    return *found;
}

/// The consumer that gets a message with this number, or a greater one, need not wait any more.
inline constexpr std::uint64_t last_number = std::uint64_t{1} << 40;
/// Told by a producer, or by another process, that is done.
inline constexpr std::uint64_t no_last_number = last_number << 1;
/// In place of the number of a message that was not whole.
inline constexpr std::uint64_t torn_number = std::uint64_t{1} << 39;

/// What survivors tell. A message, popped or pushed, is told with `ok`.
struct told {
    std::uint32_t who;
    promisqs::status answer;
    std::uint64_t number;
};

/// By which survivors tell.
class report_pipe {
public:
    report_pipe() {
        if (::pipe(ends_) != 0) throw std::runtime_error("no pipe");
    }
    report_pipe(const report_pipe&) = delete;
    report_pipe& operator=(const report_pipe&) = delete;
    ~report_pipe() {
        ::close(ends_[0]);
        ::close(ends_[1]);
    }

    void tell(const told& what) const {
        if (::write(ends_[1], &what, sizeof what) != sizeof what) throw std::runtime_error("nobody listens");
    }
    /// False: nothing was told for so long that the survivors must hang. It says nothing about how long they may take.
    [[nodiscard]] bool hear(told& what) const {
        constexpr int longest = 50'000;  // milliseconds
        ::pollfd one{ends_[0], POLLIN, 0};
        int ready = 0;
        while ((ready = ::poll(&one, 1, longest)) < 0 && errno == EINTR) {}
        return ready == 1 && ::read(ends_[0], &what, sizeof what) == sizeof what;
    }
    /// Whether something was told that was not heard.
    [[nodiscard]] bool has_more() const {
        ::pollfd one{ends_[0], POLLIN, 0};
        return ::poll(&one, 1, 0) == 1;
    }

private:
    int ends_[2] = {-1, -1};
};

/// The state of a process, as the kernel shows it: S if it sleeps.
inline char state_of(::pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(file, text);
    const auto end_of_name = text.rfind(") ");
    return end_of_name == std::string::npos ? 'Z' : text.at(end_of_name + 2);
}

/// A process that waits. It begins when it is told to; it is killed when the object goes.
class survivor {
public:
    /// \param number  of a producer: that of its first message
    survivor(const std::string& queue, const std::string& quiet, const waiting_call& how, std::uint32_t who,
             std::uint64_t number, const promisqs::wait_policy& policy, const report_pipe& reports)
        : how_(how), number_(number), pid_(forked([&] { return run(queue, quiet, who, policy, reports); })) {}
    survivor(const survivor&) = delete;
    survivor& operator=(const survivor&) = delete;
    ~survivor() {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        wait_for(pid_);
    }

    [[nodiscard]] const waiting_call& how() const noexcept { return how_; }
    /// What a producer pushes.
    [[nodiscard]] numbers pushes() const {
        numbers result;
        for (std::size_t i = 0; i < how_.most; ++i) result.push_back(number_ + i);
        return result;
    }
    void begin() const { go_.send(); }
    /// Until it sleeps, has ended, or is stopped. Only for one whose policy is to sleep.
    void await_sleep() const {
        for (char state = 'R'; state != 'S' && state != 'T' && state != 'Z'; state = state_of(pid_)) ::sched_yield();
    }
    void stop() const { ::kill(pid_, SIGSTOP); }
    void go_on() const { ::kill(pid_, SIGCONT); }
    /// Waits for its end; its exit status.
    int finish() noexcept { return pid_ > 0 ? wait_for(std::exchange(pid_, 0)) : 0; }

private:
    int run(const std::string& name, const std::string& quiet_name, std::uint32_t who,
            const promisqs::wait_policy& policy, const report_pipe& reports) const {
        auto q = numbered_queue::open(name);
        q.set_wait_policy(policy);
        const auto quiet = numbered_queue::open(quiet_name);
        std::array<numbered, 4> room{};
        const std::span<numbered> messages(room.data(), how_.most);
        for (std::size_t i = 0; i < messages.size(); ++i) messages[i] = numbered::make(number_ + i);
        go_.wait();
        for (;;) {
            std::size_t count = 0;
            const auto answer = how_.make(q, quiet, messages, count);
            const bool done = answer == promisqs::status::ok;
            bool last = how_.whose == promisqs::detail::role::producer;
            for (std::size_t i = 0; done && i < count; ++i) {
                const std::uint64_t number = messages[i].whole() ? messages[i].number : torn_number;
                reports.tell({who, answer, number});
                last = last || number >= last_number;
            }
            const bool again = answer == promisqs::status::empty || answer == promisqs::status::would_block;
            if (!done && !again) reports.tell({who, answer, 0});
            if (done && how_.whose == promisqs::detail::role::producer) reports.tell({who, answer, no_last_number});
            if (last || (!done && !again)) return 0;
        }
    }

    const waiting_call& how_;
    std::uint64_t number_;
    signal_pipe go_;
    ::pid_t pid_;
};

/// Survivors of one queue, and what they have told. Another process may tell by the same pipe: the last one's `who`
/// plus 1.
class survivors {
public:
    survivors(std::string queue, std::string quiet) : queue_(std::move(queue)), quiet_(std::move(quiet)) {}

    void add(const waiting_call& how, const promisqs::wait_policy& policy) {
        const std::uint64_t number = fresh_number();
        for (std::size_t i = 1; i < how.most; ++i) fresh_number();
        const auto who = static_cast<std::uint32_t>(all_.size());
        all_.push_back(std::make_unique<survivor>(queue_, quiet_, how, who, number, policy, reports_));
        over_.push_back(false);
    }
    /// They begin to wait; returns once they sleep, as far as there is nothing for them.
    void begin() const {
        for (const auto& one : all_) one->begin();
        await_sleep();
    }
    void await_sleep() const {
        for (const auto& one : all_) one->await_sleep();
    }

    void stop() const {
        for (const auto& one : all_) one->stop();
    }
    void go_on() const {
        for (const auto& one : all_) one->go_on();
    }

    [[nodiscard]] std::size_t size() const noexcept { return all_.size(); }
    [[nodiscard]] const survivor& operator[](std::size_t i) const { return *all_.at(i); }
    [[nodiscard]] const report_pipe& reports() const noexcept { return reports_; }
    /// What they have popped, or pushed.
    [[nodiscard]] const numbers& moved() const noexcept { return moved_; }
    /// What another process has told.
    [[nodiscard]] const numbers& others() const noexcept { return others_; }
    [[nodiscard]] bool are_over() const { return std::ranges::find(over_, false) == over_.end(); }
    [[nodiscard]] bool is_over(std::size_t i) const { return over_.at(i); }

    /// Hears one report.
    void hear(const std::string& awaited) {
        told one{};
        expect(reports_.hear(one),
               "survivors that wait hang: they have moved " + text_of(moved_) + ", awaited " + awaited);
        expect(one.number != torn_number, "a torn message");
        if (one.answer == promisqs::status::ok) {
            if (one.number < last_number) (one.who < size() ? moved_ : others_).push_back(one.number);
        } else {
            expect(one.answer == promisqs::status::closed, "a wait ended with " + std::string(to_string(one.answer)));
        }
        const bool last = one.answer != promisqs::status::ok || one.number >= last_number;
        if (one.number >= last_number && one.number != no_last_number) last_taken_ = one.number;
        if (last && one.who < size()) over_[one.who] = true;
        if (last && one.who >= size()) others_over_ = true;
    }
    /// Until they, or another process, have moved all of these.
    void await(const numbers& owed) {
        for (const std::uint64_t number : owed) {
            while (!holds(moved_, number) && !holds(others_, number)) hear(text_of(owed));
        }
    }
    /// Until all have been told that it is the end.
    void await_ends() {
        while (!are_over()) hear("the end");
    }
    /// Gives each of the consumers its last message, one after the other. If `other`, to another process, too, unless it
    /// has told by now that it needs none.
    void end(numbered_queue& q, bool other = false) {
        const auto all_over = [&] { return are_over() && (!other || others_over_); };
        for (std::uint64_t i = 0;; ++i) {
            while (reports_.has_more()) hear("the last message");
            if (all_over()) return;
            while (!q.push(numbered::make(last_number + i))) ::sched_yield();  // they are about to make room
            while (last_taken_ != last_number + i && !all_over()) hear("the last message");
            // The other one needed none, and had not told so yet.
            if (last_taken_ != last_number + i) expect(drain(q).size() == 1, "the last message is gone");
        }
    }
    /// They have ended well, and have told nothing more.
    void finish() {
        for (const auto& one : all_) expect(one->finish() == 0, "a survivor failed");
        expect(!reports_.has_more(), "survivors got something more");
    }

private:
    std::string queue_;
    std::string quiet_;
    report_pipe reports_;
    std::vector<std::unique_ptr<survivor>> all_;
    std::vector<bool> over_;
    bool others_over_ = false;
    std::uint64_t last_taken_ = 0;
    numbers moved_;
    numbers others_;
};

}  // namespace promisqs_test
