// SPDX-License-Identifier: Apache-2.0

// Recovery under weak memory: its own code and the ring's, on relacy's words, while participants live, die, and come
// anew.

#include "runner.hpp"

namespace promisqs_test {
namespace {

// A ring whose participants may be dead, and what recovery has done to it.
template <std::uint64_t Capacity, std::uint32_t Participants>
struct mortal_ring : number_ring<Capacity> {
    using base = number_ring<Capacity>;
    using base::base;
    static constexpr std::uint64_t first() { return shared_words<Capacity>::first_ticket(); }
    static constexpr std::uint64_t window = Capacity;  // all slots at once

    // Where poison messages go. They are copied before it is sure that they can be had.
    struct letters {
        mortal_ring& ring;
        std::array<std::uint64_t, 2> message{};

        bool stage(const void* bytes) {
            message = static_cast<const plain_element*>(bytes)->copy();
            return true;
        }
        void commit() {
            RL_ASSERT(message[0] == message[1]);
            ring.delivered(message[0]);
        }
    };

    // Does nothing if another recovery is in progress.
    void recover(participant& self) {
        if (!table.try_lock(table.recovery_lock)) return;
        letters dropped_here{*this};
        std::array<promisqs::detail::verdict, Participants> verdicts;
        std::array<std::uint8_t, window> states;
        std::array<std::uint64_t, promisqs::detail::recovery_notes::words_for(window)> words;
        promisqs::detail::recovery_notes notes(verdicts, states, words);
        const auto report = promisqs::detail::recovery<typename base::memory_type, participants<Participants>,
                                                       const participants<Participants>, letters>(
                                this->ring, table, table, dropped_here, max_deaths, notes,
                                promisqs::detail::recovery_extent::full(), &self)
                                .run();
        table.unlock(table.recovery_lock);
        tombstones += report.tombstones;
        returned += report.messages_to_redeliver;
        dropped += report.messages_dropped;
        left = report.postponed;
    }

    // What a participant does until it is killed, if it is; otherwise it leaves, or stays and does nothing more.
    template <class Body>
    void live_and_die(const Body& body) {
        const bool alive = run_until_killed(any_of(40), body);
        participant& self = table[rl::thread_index()];
        self.push_count.tell_nobody();
        self.pop_count.tell_nobody();
        if (!alive) ++killed;
        if (!alive || any_of(2) == 0) table.die();
    }

    void try_to_push(participant& self, std::uint64_t number, unsigned attempts) {
        for (unsigned i = 0; i < attempts && this->push(self, number) != outcome::ok; ++i) yield();
    }
    void try_to_pop(participant& self, unsigned attempts) {
        for (unsigned i = 0; i < attempts; ++i) {
            claim made;
            if (this->take(self, made) != outcome::ok) {
                yield();
                continue;
            }
            const std::uint64_t number = this->element(made).use();
            if (any_of(4) == 0 && this->ring.requeue(self, made)) continue;
            this->ring.release(made);
            this->delivered(number);
        }
    }

    // When nobody else runs: the dead are recovered at once, and nothing is lost.
    void recover_at_rest(participant& self) {
        recover(self);
        RL_ASSERT(left == 0);
        this->drain(self);
    }

    participants<Participants> table;
    std::uint64_t max_deaths = 0;
    std::uint64_t tombstones = 0;
    std::uint64_t returned = 0;
    std::uint64_t dropped = 0;
    std::uint64_t left = 0;
    unsigned killed = 0;
};

// A dead participant's entry names the tickets that the living are at, or about to be; and nothing of theirs is
// touched.
template <std::uint64_t Capacity>
struct nobody_alive_is_robbed : suite<nobody_alive_is_robbed<Capacity>, 3> {
    nobody_alive_is_robbed() {
        for (unsigned i = 0; i < 3; ++i) numbers.table.plant(i, i);
        participant& dead = numbers.table[3];
        const std::uint64_t first = numbers.first();
        const std::uint64_t second = numbers.ring.space().next(first);
        if (any_of(2) == 0) dead.push_intent.store(any_of(2) == 0 ? first : second, std::memory_order_relaxed);
        if (any_of(2) == 0) dead.pop_intent.store(any_of(2) == 0 ? first : second, std::memory_order_relaxed);
        if (any_of(3) == 0) {  // the first message has come back, and has been counted or not
            participant& self = numbers.table[1];
            claim made;
            RL_ASSERT(numbers.push(numbers.table[0], 1) == outcome::ok);
            RL_ASSERT(numbers.take(self, made) == outcome::ok);
            RL_ASSERT(numbers.ring.requeue(self, made));
            if (any_of(2) == 0) numbers.shared.irregular_count.store(0, std::memory_order_relaxed);
            dead.pop_intent.store(first, std::memory_order_relaxed);
            next = 2;
        }
    }
    void run(unsigned index) {
        participant& self = numbers.table[index];
        if (index == 0) {
            for (; next <= 3; ++next) numbers.push_for_sure(self, next);
        } else if (index == 1) {
            while (numbers.total < 3) {
                std::uint64_t number = 0;
                if (numbers.pop(self, number) != outcome::ok) yield();
            }
        } else {
            while (numbers.total < 3) {
                numbers.recover(self);
                yield();
            }
        }
    }
    void in_the_end() {
        RL_ASSERT(numbers.tombstones == 0 && numbers.returned == 0 && numbers.dropped == 0);
        numbers.recover_at_rest(numbers.table[2]);
    }

    mortal_ring<Capacity, 4> numbers;
    std::uint64_t next = 1;
};

// The same with one producer, or one consumer, alone with a recoverer: so that there are more ways to meet.
struct a_producer_is_not_robbed : suite<a_producer_is_not_robbed, 2> {
    a_producer_is_not_robbed() {
        for (unsigned i = 0; i < 2; ++i) numbers.table.plant(i, i);
        std::uint64_t ticket = numbers.first();
        if (any_of(2) == 0) ticket = numbers.ring.space().next(ticket);
        numbers.table[2].push_intent.store(ticket, std::memory_order_relaxed);
    }
    void run(unsigned index) {
        if (index == 0) {
            for (std::uint64_t number = 1; number <= 3; ++number)
                RL_ASSERT(numbers.push(numbers.table[0], number) == outcome::ok);
        } else {
            while (numbers.pushed[3] == 0) numbers.recover(numbers.table[1]);
        }
    }
    void in_the_end() {
        RL_ASSERT(numbers.tombstones == 0);
        numbers.recover_at_rest(numbers.table[1]);
    }

    mortal_ring<3, 3> numbers;
};

// A producer of two at once is not robbed either.
struct a_batch_is_not_robbed : suite<a_batch_is_not_robbed, 2> {
    a_batch_is_not_robbed() {
        for (unsigned i = 0; i < 2; ++i) numbers.table.plant(i, i);
        std::uint64_t ticket = numbers.first();
        for (unsigned i = any_of(4); i > 0; --i) ticket = numbers.ring.space().next(ticket);
        numbers.table[2].push_count.store(1 + any_of(2), std::memory_order_relaxed);
        numbers.table[2].push_intent.store(ticket, std::memory_order_relaxed);
    }
    void run(unsigned index) {
        participant& self = numbers.table[index];
        if (index == 0) {
            RL_ASSERT(numbers.push_two(self, 1));
            RL_ASSERT(numbers.push(self, 3) == outcome::ok);
            RL_ASSERT(numbers.push_two(self, 4));
        } else {
            while (numbers.pushed[5] == 0) numbers.recover(self);
        }
    }
    void in_the_end() {
        RL_ASSERT(numbers.tombstones == 0);
        numbers.recover_at_rest(numbers.table[1]);
    }

    mortal_ring<5, 3> numbers;
};

// One that pushes two at once is killed before any of its operations: each of the two is there, or not, on its own.
template <std::uint64_t Capacity>
struct half_a_batch_is_survived : suite<half_a_batch_is_survived<Capacity>, 3> {
    half_a_batch_is_survived() {
        for (unsigned i = 0; i < 3; ++i) numbers.table.plant(i, i);
    }
    void run(unsigned index) {
        participant& self = numbers.table[index];
        if (index == 0) {
            numbers.live_and_die([&] {
                for (unsigned i = 0; i < 3 && !numbers.push_two(self, 1); ++i) yield();
                numbers.try_to_push(self, 3, 3);
            });
        } else if (index == 1) {
            numbers.try_to_push(self, 4, 2);
            numbers.try_to_pop(self, 3);
        } else {
            for (unsigned i = 0; i < 3; ++i) {
                numbers.recover(self);
                numbers.try_to_pop(self, 1);
            }
        }
    }
    void in_the_end() {
        numbers.recover_at_rest(numbers.table[2]);
        RL_ASSERT(numbers.tombstones <= 2 * numbers.killed && numbers.returned == 0);
    }

    mortal_ring<Capacity, 3> numbers;
};

// Nor is a consumer of two at once. If it is killed, each of the two is delivered to it, or to another one.
struct a_consumer_of_two_is_not_robbed : suite<a_consumer_of_two_is_not_robbed, 2> {
    a_consumer_of_two_is_not_robbed() {
        for (unsigned i = 0; i < 2; ++i) numbers.table.plant(i, i);
        for (std::uint64_t number = 1; number <= 5; ++number) {
            RL_ASSERT(numbers.push(numbers.table[0], number) == outcome::ok);
        }
        std::uint64_t ticket = numbers.first();
        for (unsigned i = any_of(4); i > 0; --i) ticket = numbers.ring.space().next(ticket);
        numbers.table[2].pop_count.store(1 + any_of(2), std::memory_order_relaxed);
        numbers.table[2].pop_intent.store(ticket, std::memory_order_relaxed);
    }
    void run(unsigned index) {
        participant& self = numbers.table[index];
        if (index == 0) {
            std::uint64_t number = 0;
            RL_ASSERT(numbers.pop_two(self) == 2);
            RL_ASSERT(numbers.pop(self, number) == outcome::ok);
            RL_ASSERT(numbers.pop_two(self) == 2);
        } else {
            while (numbers.total < 5) numbers.recover(self);
        }
    }
    void in_the_end() {
        RL_ASSERT(numbers.returned == 0);
        numbers.recover_at_rest(numbers.table[1]);
    }

    mortal_ring<5, 3> numbers;
};

template <std::uint64_t Capacity>
struct half_a_popped_batch_is_survived : suite<half_a_popped_batch_is_survived<Capacity>, 3> {
    half_a_popped_batch_is_survived() {
        for (unsigned i = 0; i < 3; ++i) numbers.table.plant(i, i);
        RL_ASSERT(numbers.push_two(numbers.table[0], 1));
    }
    void run(unsigned index) {
        participant& self = numbers.table[index];
        if (index == 0) {
            numbers.live_and_die([&] {
                for (unsigned i = 0; i < 3; ++i) {
                    static_cast<void>(numbers.pop_two(self));
                    yield();
                }
            });
        } else if (index == 1) {
            numbers.try_to_push(self, 3, 2);
            static_cast<void>(numbers.pop_two(self));
        } else {
            for (unsigned i = 0; i < 3; ++i) {
                numbers.recover(self);
                numbers.try_to_pop(self, 1);
            }
        }
    }
    void in_the_end() {
        numbers.recover_at_rest(numbers.table[2]);
        RL_ASSERT(numbers.returned <= 2 * numbers.killed && numbers.tombstones == 0);
    }

    mortal_ring<Capacity, 3> numbers;
};

// A single producer and a single consumer, which claim by plain stores, are killed before any of their operations, and
// others take their places.
template <std::uint64_t Capacity>
struct single_roles_are_survived : suite<single_roles_are_survived<Capacity>, 3> {
    single_roles_are_survived() {
        for (unsigned i = 0; i < 3; ++i) numbers.table.plant(i, i);
    }
    void run(unsigned index) {
        participant& self = numbers.table[index];
        if (index == 0) {
            numbers.live_and_die([&] {
                for (std::uint64_t number = 1; number <= 3; ++number) numbers.try_to_push(self, number, 3);
            });
        } else if (index == 1) {
            numbers.live_and_die([&] { numbers.try_to_pop(self, 4); });
        } else {
            for (unsigned i = 0; i < 3; ++i) {
                numbers.recover(self);
                yield();
            }
        }
    }
    void in_the_end() {
        numbers.recover_at_rest(numbers.table[2]);
        RL_ASSERT(numbers.tombstones + numbers.returned <= numbers.killed);
    }

    mortal_ring<Capacity, 3> numbers{promisqs::detail::single_roles{true, true}};
};

struct a_consumer_is_not_robbed : suite<a_consumer_is_not_robbed, 2> {
    a_consumer_is_not_robbed() {
        for (unsigned i = 0; i < 2; ++i) numbers.table.plant(i, i);
        participant& self = numbers.table[0];
        std::array<claim, 2> claims;
        for (std::uint64_t number = 1; number <= 2; ++number) RL_ASSERT(numbers.push(self, number) == outcome::ok);
        const unsigned taken = any_of(3);
        for (unsigned i = 0; i < taken; ++i) RL_ASSERT(numbers.take(self, claims[i]) == outcome::ok);
        for (unsigned i = 0; i < taken; ++i) RL_ASSERT(numbers.ring.requeue(self, claims[i]));
        std::uint64_t ticket = numbers.first();
        if (any_of(2) == 0) ticket = numbers.ring.space().next(ticket);
        numbers.table[2].pop_intent.store(ticket, std::memory_order_relaxed);
    }
    void run(unsigned index) {
        participant& self = numbers.table[index];
        if (index == 0) {
            std::uint64_t number = 0;
            while (numbers.total < 2) static_cast<void>(numbers.pop(self, number));
        } else {
            while (numbers.total < 2) numbers.recover(self);
        }
    }
    void in_the_end() {
        RL_ASSERT(numbers.returned == 0);
        numbers.recover_at_rest(numbers.table[1]);
    }

    mortal_ring<2, 3> numbers;
};

// What a dead participant left in the middle is recovered while the living use the ring, and keeps none of them.
template <std::uint64_t Capacity>
struct the_dead_are_recovered : suite<the_dead_are_recovered<Capacity>, 3> {
    the_dead_are_recovered() {
        for (unsigned i = 0; i < 3; ++i) numbers.table.plant(i, i);
        participant& dead = numbers.table[3];
        numbers.max_deaths = any_of(2);
        claim made;
        switch (any_of(5)) {
            case 0:  // a push, claimed and perhaps written
                RL_ASSERT(numbers.ring.claim_push(dead, made));
                if (any_of(2) == 0) numbers.element(made).fill(99);
                break;
            case 1:  // a push given up, and not counted
                RL_ASSERT(numbers.ring.claim_push(dead, made));
                numbers.ring.give_up(made);
                numbers.shared.irregular_count.store(0, std::memory_order_relaxed);
                break;
            case 2:  // a pop
                take_the_first(dead, made);
                break;
            case 3:  // a pop of a message that had come back
                take_the_first(dead, made);
                RL_ASSERT(numbers.ring.requeue(dead, made));
                RL_ASSERT(numbers.take(dead, made) == outcome::ok);
                break;
            case 4:  // a tombstone being freed
                RL_ASSERT(numbers.ring.claim_push(dead, made));
                numbers.ring.give_up(made);
                dead.pop_intent.store(made.ticket, std::memory_order_relaxed);
                numbers.shared.head.store(numbers.ring.space().next(made.ticket), std::memory_order_relaxed);
                break;
        }
    }
    void take_the_first(participant& dead, claim& made) {
        RL_ASSERT(numbers.push(dead, 1) == outcome::ok);
        RL_ASSERT(numbers.take(dead, made) == outcome::ok);
        next = 2;
    }
    void run(unsigned index) {
        participant& self = numbers.table[index];
        if (index == 0) {
            for (std::uint64_t number = next; number <= 3; ++number) numbers.push_for_sure(self, number);
        } else {
            while (numbers.total < 4 - next + numbers.pushed[1] * (next - 1)) {
                std::uint64_t number = 0;
                if (numbers.pop(self, number) == outcome::ok) continue;
                if (index == 2) numbers.recover(self);
                yield();
            }
        }
    }
    void in_the_end() {
        RL_ASSERT(numbers.tombstones + numbers.returned + numbers.dropped <= 1);
        numbers.recover_at_rest(numbers.table[2]);
        RL_ASSERT(numbers.table[3].occupied.load(std::memory_order_relaxed) == 0);
    }

    mortal_ring<Capacity, 4> numbers;
    std::uint64_t next = 1;
};

// A producer, a consumer and one that recovers are killed before any of their operations; one lives and goes on.
template <std::uint64_t Capacity>
struct killed_is_survived : suite<killed_is_survived<Capacity>, 4> {
    killed_is_survived() {
        for (unsigned i = 0; i < 4; ++i) numbers.table.plant(i, i);
        numbers.max_deaths = any_of(3);
    }
    void run(unsigned index) {
        participant& self = numbers.table[index];
        if (index == 0) {
            numbers.live_and_die([&] {
                for (std::uint64_t number = 1; number <= 3; ++number) numbers.try_to_push(self, number, 3);
            });
        } else if (index == 1) {
            numbers.live_and_die([&] { numbers.try_to_pop(self, 3); });
        } else if (index == 2) {
            numbers.live_and_die([&] {
                numbers.try_to_push(self, 4, 3);
                numbers.recover(self);
                numbers.try_to_pop(self, 2);
            });
        } else {
            for (unsigned i = 0; i < 3; ++i) {
                numbers.try_to_pop(self, 2);
                numbers.recover(self);
            }
        }
    }
    void in_the_end() {
        numbers.recover_at_rest(numbers.table[3]);
        RL_ASSERT(numbers.tombstones + numbers.returned + numbers.dropped <= numbers.killed);
    }

    mortal_ring<Capacity, 4> numbers;
};

// A newcomer, which may die, too, uses the entry of a dead participant while others recover.
template <std::uint64_t Capacity>
struct entries_are_used_again : suite<entries_are_used_again<Capacity>, 3> {
    entries_are_used_again() {
        numbers.table.plant(1, 1);
        numbers.table.plant(2, 2);
        claim made;
        participant& dead = numbers.table[0];
        if (any_of(2) == 0) {
            RL_ASSERT(numbers.ring.claim_push(dead, made));
        } else {
            RL_ASSERT(numbers.push(dead, 1) == outcome::ok);
            if (any_of(2) == 0) RL_ASSERT(numbers.take(dead, made) == outcome::ok);
        }
    }
    void run(unsigned index) {
        if (index == 0) {
            numbers.live_and_die([&] {
                participant* self = nullptr;
                for (unsigned i = 0; self == nullptr && i < 4; ++i) {
                    self = numbers.table.enlist();
                    yield();
                }
                if (self == nullptr) return;
                numbers.try_to_push(*self, 2, 2);
                numbers.try_to_pop(*self, 2);
                numbers.try_to_push(*self, 3, 2);
            });
        } else {
            participant& self = numbers.table[index];
            for (unsigned i = 0; i < 3; ++i) {
                numbers.recover(self);
                numbers.try_to_pop(self, 1);
            }
        }
    }
    void in_the_end() {
        numbers.recover_at_rest(numbers.table[1]);
        RL_ASSERT(numbers.tombstones + numbers.returned <= 1 + numbers.killed);
    }

    mortal_ring<Capacity, 3> numbers;
};

// A consumer dies over a message that it has read; another one gets it, or it is dropped, and a producer writes over it.
// The message may have come back so often that its state can't grow any more.
struct read_again_before_written_over : suite<read_again_before_written_over, 4> {
    read_again_before_written_over() {
        for (unsigned i = 0; i < 4; ++i) numbers.table.plant(i, i);
        numbers.max_deaths = any_of(2);
        RL_ASSERT(numbers.push(numbers.table[1], 1) == outcome::ok);
        numbers.ring.count_irregularity();
        if (any_of(2) == 0) {
            claim made;
            RL_ASSERT(numbers.take(numbers.table[1], made) == outcome::ok);
            RL_ASSERT(numbers.ring.requeue(numbers.table[1], made));
            const std::uint64_t state = any_of(2) == 0 ? promisqs::detail::delivery_state::most_deaths << 5 | 4 : 4;
            numbers.ring.stamp_of(made.ticket)
                .store(numbers.ring.space().lap(made.ticket) + state, std::memory_order_relaxed);
        }
    }
    void run(unsigned index) {
        participant& self = numbers.table[index];
        if (index == 0) {
            claim made;
            while (numbers.total == 0 && numbers.take(self, made) != outcome::ok) yield();
            if (numbers.total == 0) numbers.element(made).use();
            numbers.table.die();
        } else if (index == 3) {
            numbers.push_for_sure(self, 2);
        } else {
            while (numbers.total == 0) {
                if (index == 1) numbers.recover(self);
                if (index == 2) numbers.try_to_pop(self, 1);
                yield();
            }
        }
    }
    void in_the_end() { numbers.recover_at_rest(numbers.table[1]); }

    mortal_ring<1, 4> numbers;
};

// Requeuing a message that came back too often takes the recovery lock; and it still comes once.
struct requeued_too_often : suite<requeued_too_often, 3> {
    requeued_too_often() {
        for (unsigned i = 0; i < 3; ++i) numbers.table.plant(i, i);
        claim made;
        participant& self = numbers.table[0];
        RL_ASSERT(numbers.push(self, 1) == outcome::ok);
        RL_ASSERT(numbers.take(self, made) == outcome::ok);
        RL_ASSERT(numbers.ring.requeue(self, made));
        const std::uint64_t state = any_of(2) << 5 | promisqs::detail::delivery_state::most_requeues << 1;
        numbers.ring.stamp_of(made.ticket)
            .store(numbers.ring.space().lap(made.ticket) + state, std::memory_order_relaxed);
    }
    void run(unsigned index) {
        participant& self = numbers.table[index];
        if (index == 0) {
            numbers.live_and_die([&] {
                claim made;
                if (numbers.take(self, made) != outcome::ok) return;
                numbers.element(made).use();
                if (numbers.ring.requeue(self, made)) return;
                while (!numbers.table.try_lock(numbers.table.recovery_lock)) yield();
                numbers.ring.requeue_locked(self, made);
                numbers.table.unlock(numbers.table.recovery_lock);
            });
        } else if (index == 1) {
            numbers.try_to_pop(self, 3);
        } else {
            numbers.recover(self);
            numbers.try_to_push(self, 2, 2);
            numbers.recover(self);
        }
    }
    void in_the_end() { numbers.recover_at_rest(numbers.table[2]); }

    mortal_ring<1, 3> numbers;
};

}  // namespace
}  // namespace promisqs_test

int main(int argc, char** argv) {
    using namespace promisqs_test;
    const std::array checks{
        random_runs<nobody_alive_is_robbed<1>>("nobody alive is robbed because of a dead one's intent, in one slot",
                                               50'000),
        random_runs<nobody_alive_is_robbed<2>>("nobody alive is robbed because of a dead one's intent, in two slots",
                                               50'000),
        random_runs<a_producer_is_not_robbed>("a producer that goes on is not robbed", 100'000),
        random_runs<a_batch_is_not_robbed>("a producer of two at once that goes on is not robbed", 100'000),
        random_runs<half_a_batch_is_survived<2>>(
            "killed in the middle of two at once, each is there or not, in two slots", 50'000),
        random_runs<half_a_batch_is_survived<3>>(
            "killed in the middle of two at once, each is there or not, in three slots", 50'000),
        random_runs<a_consumer_of_two_is_not_robbed>("a consumer of two at once that goes on is not robbed", 100'000),
        random_runs<half_a_popped_batch_is_survived<2>>(
            "killed in the middle of popping two at once, each is had or comes back, in two slots", 50'000),
        random_runs<half_a_popped_batch_is_survived<3>>(
            "killed in the middle of popping two at once, each is had or comes back, in three slots", 50'000),
        random_runs<single_roles_are_survived<1>>("killed single roles are survived, in one slot", 50'000),
        random_runs<single_roles_are_survived<2>>("killed single roles are survived, in two slots", 50'000),
        random_runs<a_consumer_is_not_robbed>("a consumer that goes on is not robbed", 300'000),
        random_runs<the_dead_are_recovered<1>>("what a dead one holds is recovered while others go on, in one slot",
                                               50'000),
        random_runs<the_dead_are_recovered<2>>("what a dead one holds is recovered while others go on, in two slots",
                                               50'000),
        random_runs<killed_is_survived<1>>("killed anywhere, nothing is lost or doubled, in one slot", 50'000),
        random_runs<killed_is_survived<2>>("killed anywhere, nothing is lost or doubled, in two slots", 50'000),
        random_runs<entries_are_used_again<1>>("a dead one's entry is a newcomer's, in one slot", 50'000),
        random_runs<entries_are_used_again<2>>("a dead one's entry is a newcomer's, in two slots", 50'000),
        random_runs<read_again_before_written_over>(
            "a message that killed its consumer is read again before it is written over", 50'000),
        random_runs<requeued_too_often>("a message that is requeued too often comes once", 50'000),
    };
    return run_checks(checks, argc, argv);
}
