// SPDX-License-Identifier: Apache-2.0

// The receiving half of the demo: two programs that exchange messages through a queue in shared memory, started in
// either order. This one verifies every message. Then it returns what it gets, for the producer to measure round trips.
//
//   consumer & producer

#include "demo.hpp"
#include "progress.hpp"

#include <vector>

namespace {

/// What was received, against what should have been: the messages from 0 to `count`, once each and in this order.
class verification {
public:
    explicit verification(std::uint64_t count) : seen_(count) {}

    void add(const Message& message) {
        if (message.id >= seen_.size() || message != make_message(message.id)) {
            ++different_;
            return;
        }
        if (seen_[message.id]) {
            ++doubled_;
            return;
        }
        seen_[message.id] = true;
        ++received_;
        if (message.id != next_) ++out_of_order_;
        next_ = message.id + 1;
    }

    [[nodiscard]] std::uint64_t received() const { return received_; }
    [[nodiscard]] std::uint64_t lost() const { return seen_.size() - received_; }
    [[nodiscard]] bool passed() const { return lost() + doubled_ + out_of_order_ + different_ == 0; }

    void report() const {
        std::printf("%ju messages received and verified: %ju lost, %ju doubled, %ju out of order, %ju different\n",
                    std::uintmax_t{received_}, std::uintmax_t{lost()}, std::uintmax_t{doubled_},
                    std::uintmax_t{out_of_order_}, std::uintmax_t{different_});
    }

private:
    std::vector<bool> seen_;
    std::uint64_t next_ = 0;
    std::uint64_t received_ = 0;
    std::uint64_t doubled_ = 0;
    std::uint64_t out_of_order_ = 0;
    std::uint64_t different_ = 0;
};

Message receive(message_queue& queue, std::chrono::seconds patience) {
    Message message{};
    wait_patiently([&](auto time) { return queue.pop_wait_for(message, time); }, patience,
                   "no message has come from the producer");
    return message;
}

bool receive_all(message_queue& queue, const demo_arguments& arguments) {
    verification verified(arguments.count);
    Message message = receive(queue, start_patience);
    const auto start = std::chrono::steady_clock::now();
    {
        progress_line progress(arguments.count);
        for (std::uint64_t i = 1; message.id != end_id; ++i) {
            verified.add(message);
            message = receive(queue, arguments.patience);
            if (i % 4096 == 0) {
                throw_if_stopped();
                progress.show(verified.received());
            }
        }
    }
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    const double rate = static_cast<double>(verified.received()) / time.count();
    verified.report();
    std::printf("one way: %.2f s, %.1f million messages/s of %zu bytes\n", time.count(), rate / 1e6, sizeof(Message));
    std::fflush(stdout);  // before the producer's report
    return verified.passed();
}

void reply_to_all(queue_pair& queues, std::chrono::seconds patience) {
    for (std::uint64_t i = 0;; ++i) {
        if (i % 1024 == 0) throw_if_stopped();
        const Message message = receive(queues.messages, patience);
        if (message.id == end_id) return;
        wait_patiently([&](auto time) { return queues.replies.push_wait_for(message, time); }, patience,
                       "the producer has not taken a reply");
    }
}

}  // namespace

int main(int argc, char** argv) {
    demo_arguments arguments;
    CLI::App app("Receives and verifies the producer's messages, then returns what it gets.", "consumer");
    add_common(app, arguments);
    CLI11_PARSE(app, argc, argv);

    return run_to_exit_code("consumer", [&] {
        queue_pair queues(arguments.queue);
        const bool passed = receive_all(queues.messages, arguments);
        reply_to_all(queues, arguments.patience);
        return passed ? 0 : 1;
    });
}
