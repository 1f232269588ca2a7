// SPDX-License-Identifier: Apache-2.0

// The ring under weak memory: its own code, on relacy's words.

#include "runner.hpp"

namespace promisqs_test {
namespace {

template <unsigned Producers, unsigned Consumers, std::uint64_t Capacity, std::uint64_t Each>
struct messages_pass : suite<messages_pass<Producers, Consumers, Capacity, Each>, Producers + Consumers> {
    void run(unsigned index) {
        participant& self = everybody[index];
        if (index < Producers) {
            for (std::uint64_t i = 1; i <= Each; ++i) numbers.push_for_sure(self, index * Each + i);
            return;
        }
        std::array<std::uint64_t, Producers> last{};
        while (numbers.total < Producers * Each) {
            std::uint64_t number = 0;
            if (numbers.pop(self, number) == outcome::ok) {
                RL_ASSERT(number > last[(number - 1) / Each]);  // each producer's messages in order
                last[(number - 1) / Each] = number;
            } else {
                yield();
            }
        }
    }
    void in_the_end() { numbers.drain(everybody[0]); }

    number_ring<Capacity> numbers;
    std::array<participant, Producers + Consumers> everybody;
};

// Producers give claims up, and consumers requeue messages.
template <unsigned Producers, unsigned Consumers, std::uint64_t Capacity, std::uint64_t Each>
struct messages_come_back : suite<messages_come_back<Producers, Consumers, Capacity, Each>, Producers + Consumers> {
    void run(unsigned index) {
        participant& self = everybody[index];
        if (index < Producers) {
            for (std::uint64_t i = 1; i <= Each; ++i) push_or_give_up(self, index * Each + i);
            ++producers_done;
            return;
        }
        unsigned requeues = 2;
        while (producers_done < Producers || numbers.total < wanted) {
            claim made;
            if (numbers.take(self, made) != outcome::ok) {
                yield();
                continue;
            }
            const std::uint64_t number = numbers.element(made).use();
            if (requeues != 0 && any_of(2) == 0) {
                --requeues;
                RL_ASSERT(numbers.ring.requeue(self, made));
            } else {
                numbers.ring.release(made);
                numbers.delivered(number);
            }
        }
    }
    void push_or_give_up(participant& self, std::uint64_t number) {
        if (any_of(2) == 0) RL_ASSERT(numbers.ring.size() <= Capacity);  // also beside tombstones and orphans
        if (any_of(3) != 0) {
            ++wanted;
            numbers.push_for_sure(self, number);
            return;
        }
        claim made;
        while (!numbers.ring.claim_push(self, made)) {
            static_cast<void>(numbers.honest(numbers.ring.resolve_push(self)));
            yield();
        }
        if (any_of(2) == 0) numbers.element(made).fill(99);
        numbers.ring.give_up(made);
    }
    void in_the_end() { numbers.drain(everybody[0]); }

    number_ring<Capacity> numbers;
    std::array<participant, Producers + Consumers> everybody;
    unsigned producers_done = 0;
    std::uint64_t wanted = 0;
};

// One producer closes the ring while another one pushes. The consumers leave when they are told that all is over.
struct the_end_is_the_end : suite<the_end_is_the_end, 4> {
    static constexpr std::uint64_t capacity = 2;

    void run(unsigned index) {
        participant& self = everybody[index];
        if (index == 0) {
            numbers.push_for_sure(self, 1);
            note(debug_info(where::current())).store(1);
            numbers.ring.close();
            RL_ASSERT(numbers.push(self, 2) == outcome::closed);
        } else if (index == 1) {
            for (std::uint64_t number = 3; number <= 4; ++number) {
                outcome result = outcome::in_progress;
                while (result != outcome::ok && result != outcome::closed) {
                    result = numbers.push(self, number);
                    if (result != outcome::ok) yield();
                }
            }
        } else {
            consume(self);
        }
    }
    void consume(participant& self) {
        for (bool requeued = false;;) {
            if (numbers.ring.closed()) RL_ASSERT(note(debug_info(where::current())).load() == 1);
            claim made;
            const outcome result = numbers.take(self, made);
            if (result == outcome::closed) break;
            if (result != outcome::ok) {
                yield();
                continue;
            }
            const std::uint64_t number = numbers.element(made).use();
            if (!requeued && any_of(2) == 0) {
                requeued = true;
                RL_ASSERT(numbers.ring.requeue(self, made));
            } else {
                numbers.ring.release(made);
                numbers.delivered(number);
            }
        }
        for (std::uint64_t i = 0; i < numbers.most_numbers; ++i) RL_ASSERT(numbers.pushed[i] == numbers.popped[i]);
    }
    void in_the_end() { numbers.drain(everybody[0]); }

    number_ring<capacity> numbers;
    std::array<participant, 4> everybody;
    rl::var<std::uint64_t> note{0};
};

// One thread pushes and pops by turns, or requeues, so that at no time more than one message is there.
template <std::uint64_t Messages>
struct one_at_a_time : suite<one_at_a_time<Messages>, 2> {
    static constexpr std::uint64_t capacity = 2;

    void run(unsigned index) {
        if (index == 0) {
            for (std::uint64_t i = 1; i <= Messages; ++i) {
                RL_ASSERT(numbers.push(everybody[0], i) == outcome::ok);
                claim made;
                RL_ASSERT(numbers.take(everybody[0], made) == outcome::ok);
                if (any_of(2) == 0) {
                    RL_ASSERT(numbers.ring.requeue(everybody[0], made));
                    RL_ASSERT(numbers.take(everybody[0], made) == outcome::ok);
                }
                const std::uint64_t number = numbers.element(made).use();
                numbers.ring.release(made);
                numbers.delivered(number);
            }
        } else {
            for (unsigned i = 0; i < 3; ++i) {
                RL_ASSERT(!numbers.ring.full());
                RL_ASSERT(numbers.ring.size() <= std::min(Messages, capacity));
            }
        }
    }
    void in_the_end() { numbers.drain(everybody[0]); }

    number_ring<capacity> numbers;
    std::array<participant, 2> everybody;
};

// What is peeked is whole, and never what was popped before. Messages that were requeued are not in order.
template <std::uint64_t Capacity, unsigned Requeues>
struct peeks_are_whole : suite<peeks_are_whole<Capacity, Requeues>, 3> {
    static constexpr std::uint64_t messages = 3;

    void run(unsigned index) {
        participant& self = everybody[index];
        if (index == 0) {
            for (std::uint64_t i = 1; i <= messages; ++i) numbers.push_for_sure(self, i);
        } else if (index == 1) {
            for (unsigned requeues = Requeues; numbers.total < messages;) {
                claim made;
                if (numbers.take(self, made) != outcome::ok) {
                    yield();
                } else if (requeues != 0 && any_of(2) == 0) {
                    --requeues;
                    RL_ASSERT(numbers.ring.requeue(self, made));
                } else {
                    const std::uint64_t number = numbers.element(made).use();
                    numbers.ring.release(made);
                    numbers.delivered(number);
                }
            }
        } else {
            std::uint64_t last = 1;
            for (unsigned i = 0; i < 3 + Requeues; ++i) {
                std::array<std::uint64_t, 2> out{};
                if (number_ring<Capacity>::honest(numbers.ring.try_peek(&out, sizeof out)) != outcome::ok) continue;
                RL_ASSERT(out[0] == out[1]);
                RL_ASSERT(out[0] >= last);
                if (Requeues == 0) last = out[0];
            }
        }
    }
    void in_the_end() { numbers.drain(everybody[0]); }

    number_ring<Capacity, shared_element> numbers;
    std::array<participant, 3> everybody;
};

// A participant that is told that a message came back can see it.
struct what_is_counted_is_found : suite<what_is_counted_is_found, 2> {
    void run(unsigned index) {
        participant& self = everybody[index];
        if (index == 0) {
            claim made;
            RL_ASSERT(numbers.push(self, 1) == outcome::ok);
            RL_ASSERT(numbers.take(self, made) == outcome::ok);
            RL_ASSERT(numbers.ring.requeue(self, made));
        } else {
            for (unsigned i = 0; i < 6; ++i) {
                if (numbers.ring.in_order()) continue;
                std::array<std::uint64_t, 2> out{};
                if (any_of(2) == 0) {
                    RL_ASSERT(numbers.ring.try_peek(&out, sizeof out) == outcome::ok);
                    RL_ASSERT(out[0] == 1 && out[1] == 1);
                } else {
                    RL_ASSERT(numbers.ring.size() == 1);
                }
                break;
            }
        }
    }
    void in_the_end() { numbers.drain(everybody[0]); }

    number_ring<1, shared_element> numbers;
    std::array<participant, 2> everybody;
};

// A sleeper announces itself, and then looks, as the ring does, whether it is still to sleep. The other one changes
// that, and then looks for sleepers. Where the plain store of a single role makes the change, both have a full barrier
// in between.
template <bool Single>
struct one_of_two_sees_the_other : suite<one_of_two_sees_the_other<Single>, 2> {
    one_of_two_sees_the_other() {
        if (what == push || what == close) return;
        RL_ASSERT(numbers.push(self, 1) == outcome::ok);
        if (what == pop || what == close_while_full) return;
        RL_ASSERT(numbers.take(self, made) == outcome::ok);
        if (what == pop_again) RL_ASSERT(numbers.ring.requeue(self, made));
    }
    void run(unsigned index) {
        if (index == 0) {
            change();
            if (Single) full_barrier();
            sleeper_seen = sleepers.load(std::memory_order_seq_cst) != 0;
        } else {
            sleepers.fetch_add(1, std::memory_order_seq_cst);
            if (Single) full_barrier();
            change_seen = look();
        }
    }
    void change() {
        std::uint64_t number = 1;
        if (what == push) RL_ASSERT(numbers.push(self, number) == outcome::ok);
        if (what == pop) RL_ASSERT(numbers.pop(self, number) == outcome::ok);
        if (what == pop_again) {  // and not released yet, so that what it was before can still be seen
            while (numbers.take(self, made) != outcome::ok) yield();
        }
        if (what == requeue) RL_ASSERT(numbers.ring.requeue(self, made));
        if (what == close || what == close_while_full) numbers.ring.close();
    }
    bool look() {
        claim found;
        if (what == pop || what == pop_again || what == close_while_full) {
            return numbers.ring.resolve_push(other) != outcome::full;
        }
        return numbers.ring.claim_otherwise(other, found) != outcome::empty;
    }
    void in_the_end() { RL_ASSERT(sleeper_seen || change_seen); }

    enum { push, pop, pop_again, requeue, close, close_while_full };
    const unsigned what = any_of(6);
    number_ring<1> numbers{promisqs::detail::single_roles{Single, Single}};
    participant self;
    participant other;
    claim made;
    word sleepers;
    bool sleeper_seen = false;
    bool change_seen = false;
};

// The same for a sleeper that needs room for two.
struct one_of_two_sees_the_other_two : suite<one_of_two_sees_the_other_two, 2> {
    one_of_two_sees_the_other_two() { RL_ASSERT(numbers.push_two(self, 1)); }
    void run(unsigned index) {
        std::uint64_t number = 0;
        if (index == 0) {
            for (int i = 0; i < 2; ++i) RL_ASSERT(numbers.pop(self, number) == outcome::ok);
            sleeper_seen = sleepers.load(std::memory_order_seq_cst) != 0;
        } else {
            sleepers.fetch_add(1, std::memory_order_seq_cst);
            change_seen = numbers.ring.resolve_push(other, 2) != outcome::full;
        }
    }
    void in_the_end() { RL_ASSERT(sleeper_seen || change_seen); }

    number_ring<2> numbers;
    participant self;
    participant other;
    word sleepers;
    bool sleeper_seen = false;
    bool change_seen = false;
};

// A single producer pushes by plain stores while another thread closes. detail/queue does the same on the shared words.
struct closed_against_a_single_producer : suite<closed_against_a_single_producer, 3> {
    void run(unsigned index) {
        if (index == 0) {
            for (std::uint64_t number = 1; number <= 3; ++number) {
                const bool begun_late = closed;
                const bool done = numbers.push(producer, number) == outcome::ok;
                RL_ASSERT(!(begun_late && done));
                RL_ASSERT(!(ended && done));
                full_barrier();  // a light one
                if (closing.load(std::memory_order_seq_cst) != 0) numbers.ring.close();
                if (!done) break;
            }
        } else if (index == 1) {
            closing.fetch_or(1, std::memory_order_seq_cst);
            for (int tries = 0; tries < 8; ++tries) {
                numbers.ring.close();
                full_barrier();
                if (numbers.ring.closed()) break;
            }
            closed = true;
        } else {
            for (int i = 0; i < 4; ++i) {
                claim made;
                outcome result = numbers.take(consumer, made);
                const bool good = result == outcome::closed && is_closed_for_good();
                if (good) result = numbers.take(consumer, made);
                if (result == outcome::ok) {
                    const std::uint64_t number = numbers.element(made).use();
                    numbers.ring.release(made);
                    numbers.delivered(number);
                }
                if (result == outcome::closed && good) {
                    for (std::uint64_t number = 1; number <= 3; ++number) {
                        RL_ASSERT(numbers.pushed[number] == numbers.popped[number]);
                    }
                    ended = true;
                    break;
                }
                yield();
            }
        }
    }
    bool is_closed_for_good() const {
        full_barrier();
        const std::uint64_t tail = numbers.ring.memory().tail().load(std::memory_order_seq_cst);
        const auto& space = numbers.ring.space();
        return space.closed(tail) && producer.push_intent.load(std::memory_order_acquire) != space.ticket_of(tail);
    }
    void in_the_end() {
        RL_ASSERT(numbers.ring.closed());
        numbers.drain(consumer);
    }

    number_ring<2> numbers{promisqs::detail::single_roles{true, false}};
    participant producer;
    participant consumer;
    word closing;
    bool closed = false;
    bool ended = false;
};

// Single roles, one to one: as between any others.
template <std::uint64_t Capacity>
struct single_roles_pass_messages : suite<single_roles_pass_messages<Capacity>, 2> {
    void run(unsigned index) {
        if (index == 0) {
            for (std::uint64_t number = 1; number <= 3; ++number) numbers.push_for_sure(everybody[0], number);
        } else {
            for (std::uint64_t number = 0, expected = 1; expected <= 3;) {
                if (numbers.pop(everybody[1], number) != outcome::ok) {
                    yield();
                    continue;
                }
                RL_ASSERT(number == expected++);
            }
        }
    }
    void in_the_end() { numbers.drain(everybody[1]); }

    number_ring<Capacity> numbers{promisqs::detail::single_roles{true, true}};
    std::array<participant, 2> everybody;
};

}  // namespace
}  // namespace promisqs_test

int main(int argc, char** argv) {
    using namespace promisqs_test;
    const std::array checks{
        random_runs<messages_pass<1, 1, 1, 2>>("messages pass one to one, through one slot", 50'000),
        all_runs<messages_pass<1, 1, 1, 2>>("messages pass one to one, through one slot", 3),
        random_runs<messages_pass<1, 1, 2, 3>>("messages pass one to one, through two slots", 50'000),
        random_runs<messages_pass<2, 1, 1, 2>>("messages pass two to one, through one slot", 50'000),
        random_runs<messages_pass<1, 2, 1, 2>>("messages pass one to two, through one slot", 50'000),
        random_runs<messages_pass<2, 2, 2, 2>>("messages pass two to two, through two slots", 50'000),
        random_runs<messages_come_back<1, 2, 1, 2>>(
            "messages that come back, and tombstones, are in nobody's way, in one slot", 50'000),
        random_runs<messages_come_back<2, 2, 2, 2>>(
            "messages that come back, and tombstones, are in nobody's way, in two slots", 50'000),
        random_runs<the_end_is_the_end>("a consumer that is told that a closed ring is drained has missed nothing",
                                        50'000),
        random_runs<one_at_a_time<1>>("one message is never counted as two, nor as a full ring", 50'000),
        random_runs<one_at_a_time<3>>("messages one at a time never look like a full ring", 50'000),
        random_runs<peeks_are_whole<1, 0>>("what is peeked is whole and in order, in one slot", 50'000),
        random_runs<peeks_are_whole<2, 0>>("what is peeked is whole and in order, in two slots", 50'000),
        random_runs<peeks_are_whole<1, 3>>("what is peeked is whole, also where messages come back", 50'000),
        random_runs<what_is_counted_is_found>("a consumer that is told that a message came back can see it", 50'000),
        random_runs<one_of_two_sees_the_other<false>>(
            "a waker and the sleeper that waits for its change can't both miss the other", 200'000),
        random_runs<one_of_two_sees_the_other_two>("nor can they where the sleeper needs room for two", 100'000),
        random_runs<one_of_two_sees_the_other<true>>(
            "nor can they where single roles make the change, if both have a barrier", 50'000),
        random_runs<single_roles_pass_messages<1>>("single roles pass messages through one slot", 50'000),
        random_runs<single_roles_pass_messages<2>>("single roles pass messages through two slots", 50'000),
        random_runs<closed_against_a_single_producer>("closed against a single producer, a queue takes nothing more, "
                                                      "and a consumer that is told so has missed nothing",
                                                      100'000),
    };
    return run_checks(checks, argc, argv);
}
