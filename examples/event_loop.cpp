// SPDX-License-Identifier: Apache-2.0

// A queue in an event loop of Boost.Asio, beside a timer: the loop sleeps until there is a message or the timer is due.
// The producer is a thread here, and could be any program.

#include <promisqs/queue.hpp>
#include <promisqs/ready_event.hpp>

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <thread>

namespace {

namespace asio = boost::asio;
using queue = promisqs::shmem_queue<std::uint64_t>;

constexpr std::uint64_t count = 1000;

class consumer {
public:
    consumer(asio::io_context& loop, const queue& source)
        : queue_(source), event_(source), descriptor_(loop, event_.descriptor()), timer_(loop) {}
    consumer(const consumer&) = delete;
    consumer& operator=(const consumer&) = delete;
    ~consumer() { descriptor_.release(); }  // it belongs to the event

    void start() {
        wait_for_messages();
        tick();
    }
    [[nodiscard]] bool has_all() const { return sum_ == count * (count + 1) / 2; }

private:
    void wait_for_messages() {
        descriptor_.async_wait(asio::posix::stream_descriptor::wait_read, [this](const auto& error) {
            if (error) return;
            std::uint64_t number = 0;
            promisqs::status last{};
            while ((last = queue_.try_pop(number)) == promisqs::status::ok) sum_ += number;
            if (last == promisqs::status::closed) {
                finished_ = true;
                timer_.cancel();
                return;
            }
            event_.rearm();
            wait_for_messages();
        });
    }

    void tick() {
        timer_.expires_after(std::chrono::milliseconds(10));
        timer_.async_wait([this](const auto& error) {
            if (error || finished_) return;  // a handler that is due already can't be cancelled
            std::printf("so far: %llu\n", static_cast<unsigned long long>(sum_));
            tick();
        });
    }

    queue queue_;
    promisqs::ready_event<std::uint64_t> event_;
    asio::posix::stream_descriptor descriptor_;
    asio::steady_timer timer_;
    std::uint64_t sum_ = 0;
    bool finished_ = false;
};

}  // namespace

int main() {
    auto numbers = queue::create("promisqs-event-loop-" + std::to_string(::getpid()), 64);
    std::jthread producer([&numbers] {
        for (std::uint64_t i = 1; i <= count; ++i) {
            if (i % 100 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
            if (numbers.push_wait(i) != promisqs::status::ok) return;
        }
        numbers.close();
    });
    asio::io_context loop;
    consumer all(loop, numbers);
    all.start();
    loop.run();
    std::puts(all.has_all() ? "all messages, each once" : "messages are missing");
    return all.has_all() ? 0 : 1;
}
