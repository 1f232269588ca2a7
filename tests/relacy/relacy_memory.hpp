// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a ring and a recovery need, of relacy's words: counters, slots, participants, and the locks that the kernel has.

#include "relacy_atomic.hpp"

namespace promisqs_test {

using promisqs::detail::claim;
using promisqs::detail::make_stamp;
using promisqs::detail::outcome;
using promisqs::detail::slot_state;
using promisqs::detail::ticket_space;

/// A message in two parts, as plain bytes: relacy reports each access that another one may race with.
class plain_element {
public:
    void fill(std::uint64_t number, const where& at = where::current()) {
        for (std::size_t i = 0; i < 2; ++i) {
            parts_[i](debug_info(at)).store(number);
            bytes_[i] = number;
        }
    }
    std::uint64_t use(const where& at = where::current()) const {
        const std::uint64_t number = parts_[0](debug_info(at)).load();
        RL_ASSERT(number == parts_[1](debug_info(at)).load());
        return number;
    }
    /// A copy that is thrown away if it was made while a producer wrote, which relacy is not to report.
    [[nodiscard]] std::array<std::uint64_t, 2> copy() const { return bytes_; }
    static void* bytes(plain_element& element) { return &element; }

private:
    std::array<rl::var<std::uint64_t>, 2> parts_{0, 0};
    std::array<std::uint64_t, 2> bytes_{};
};

/// A message in two words that are read while a producer may overwrite them, as a peek does. The loads are those of the
/// copy in ring_state.hpp [K2]. The stores are releases, which stands for a machine on which all see stores in one
/// order.
class shared_element {
public:
    void fill(std::uint64_t number) {
        words_[0].store(number, std::memory_order_release);
        words_[1].store(number, std::memory_order_release);
    }
    std::uint64_t use() const { return words_[0].load(std::memory_order_relaxed); }
    // The copy is made here, word by word, because the ring's own copies bytes behind relacy's back.
    static void* bytes(shared_element& element) {
        for (std::size_t i = 0; i < 2; ++i) element.copy_[i] = element.words_[i].load(std::memory_order_acquire);
        return element.copy_.data();
    }

private:
    std::array<word, 2> words_;
    std::array<std::uint64_t, 2> copy_{};  // one thread peeks
};

/// A word that says when it is about to be stored to: what was done before is done.
class announced_word : public word {
public:
    using word::word;
    void store(std::uint64_t desired, std::memory_order order, where at = where::current()) {
        if (tell_ != nullptr) tell_(whom_);
        word::store(desired, order, at);
    }
    /// Calls it from now on. Not a std::function: its thread may be killed, or its object be gone.
    template <class Listener>
    void before_store(Listener& listener) {
        whom_ = &listener;
        tell_ = [](void* whom) { (*static_cast<Listener*>(whom))(); };
    }
    void tell_nobody() { tell_ = nullptr; }

private:
    void (*tell_)(void*) = nullptr;
    void* whom_ = nullptr;
};

struct participant {
    word occupied{1};
    announced_word push_intent{promisqs::detail::layout::no_ticket};
    announced_word push_count{1};
    announced_word pop_intent{promisqs::detail::layout::no_ticket};
    announced_word pop_count{1};
};

/// The table, as recovery sees it, and the kernel's locks: one for each entry, and behind them the one that recovery
/// takes.
template <std::uint32_t Count>
class participants {
public:
    static constexpr std::uint32_t recovery_lock = Count;

    participants() {
        for (auto& one : locked_) one.store(0, rl::mo_relaxed, debug_info(where::current()));
    }

    [[nodiscard]] static std::uint32_t count() { return Count; }
    [[nodiscard]] std::uint32_t used() const { return count(); }
    [[nodiscard]] static std::uint64_t process_of(const participant& /*entry*/) { return 0; }
    [[nodiscard]] static bool is_of_a_thread(const participant& /*entry*/) { return true; }
    participant& operator[](std::uint32_t i) const { return entries_[i]; }
    static void give_up_roles(std::uint32_t /*i*/) {}

    // A lock that is got shows what its earlier holders did. One that can't be got shows nothing.
    bool try_lock(std::uint32_t i, const where& at = where::current()) const {
        simulated_thread::current().step();
        std::uint64_t nobody = 0;
        if (!locked_[i].compare_exchange_strong(nobody, this_thread(), rl::mo_acquire, debug_info(at), rl::mo_relaxed,
                                                debug_info(at))) {
            return false;
        }
        owner_[i] = this_thread();
        return true;
    }
    void unlock(std::uint32_t i, const where& at = where::current()) const {
        simulated_thread::current().step();
        drop(i, at);
    }

    /// Plants an entry, before anything runs: its owner is one of relacy's threads, or dead.
    void plant(std::uint32_t i, unsigned thread, const where& at = where::current()) const {
        locked_[i].store(thread + 1, rl::mo_relaxed, debug_info(at));
        owner_[i] = thread + 1;
    }

    /// Takes an entry that nobody uses, as participants.hpp does.
    participant* enlist() const {
        for (std::uint32_t i = 0; i < Count; ++i) {
            participant& entry = entries_[i];
            if (entry.occupied.load(std::memory_order_acquire) != 0 || !try_lock(i)) continue;
            if (entry.occupied.load(std::memory_order_acquire) != 0) {
                unlock(i);
                continue;
            }
            entry.push_intent.store(promisqs::detail::layout::no_ticket, std::memory_order_relaxed);
            entry.pop_intent.store(promisqs::detail::layout::no_ticket, std::memory_order_relaxed);
            entry.occupied.store(1, std::memory_order_release);
            return &entry;
        }
        return nullptr;
    }

    /// What the kernel does when one of relacy's threads is gone.
    void die(const where& at = where::current()) const {
        simulated_thread::current().flush();
        for (std::uint32_t i = 0; i <= Count; ++i) {
            if (owner_[i] == this_thread()) drop(i, at);
        }
    }

private:
    static std::uint64_t this_thread() { return rl::thread_index() + 1; }

    void drop(std::uint32_t i, const where& at) const {
        simulated_thread::current().flush();
        owner_[i] = 0;
        locked_[i].store(0, rl::mo_release, debug_info(at));
    }

    mutable std::array<participant, Count> entries_;
    mutable std::array<rl::atomic<std::uint64_t>, Count + 1> locked_;
    mutable std::array<std::uint64_t, Count + 1> owner_{};
};

/// All that the participants of one ring share.
template <std::uint64_t Capacity, class Element = plain_element>
struct shared_words {
    // The last lap before tickets wrap around at 2^64, so that each check goes across.
    static std::uint64_t first_ticket() { return ticket_space(Capacity).previous_lap(0); }

    shared_words() {
        const ticket_space tickets(Capacity);
        tail.store(first_ticket(), std::memory_order_relaxed);
        head.store(first_ticket(), std::memory_order_relaxed);
        for (auto& slot : slots) slot.stamp.store(tickets.lap(first_ticket()), std::memory_order_relaxed);
    }

    word tail;
    word head;
    word irregular_count;
    word irregular_cleared_at;
    struct slot {
        word stamp;
        Element element;
    };
    std::array<slot, Capacity> slots;
};

template <std::uint64_t Capacity, class Element = plain_element>
class relacy_memory {
public:
    explicit relacy_memory(shared_words<Capacity, Element>& shared) : shared_(&shared) {}

    [[nodiscard]] word& tail() const { return shared_->tail; }
    [[nodiscard]] word& head() const { return shared_->head; }
    [[nodiscard]] word& irregular_count() const { return shared_->irregular_count; }
    [[nodiscard]] word& irregular_cleared_at() const { return shared_->irregular_cleared_at; }
    /// A tally: nothing depends on it, so that it is no step.
    struct unwatched_tally {
        void fetch_add(std::uint64_t more, std::memory_order /*order*/) { value += more; }
        std::uint64_t value = 0;
    };
    [[nodiscard]] unwatched_tally& tombstones() const { return tombstones_; }
    [[nodiscard]] word& stamp(std::uint64_t index) const { return slot(index).stamp; }
    [[nodiscard]] void* payload(std::uint64_t index) const { return Element::bytes(slot(index).element); }
    /// As where the kernel has no heavy barriers.
    static void light_barrier() { full_barrier(); }
    [[nodiscard]] Element& element(std::uint64_t index) const { return slot(index).element; }

private:
    [[nodiscard]] typename shared_words<Capacity, Element>::slot& slot(std::uint64_t index) const {
        RL_ASSERT(index < Capacity);
        return shared_->slots[index];
    }

    shared_words<Capacity, Element>* shared_;
    mutable unwatched_tally tombstones_;
};

/// A ring of numbers, each of which is to come out once, and an account of them. The account is not relacy's: it
/// follows the order in which relacy runs things.
template <std::uint64_t Capacity, class Element = plain_element>
class number_ring {
public:
    using memory_type = relacy_memory<Capacity, Element>;
    using ring_type = promisqs::detail::ring<memory_type>;

    static constexpr std::uint64_t most_numbers = 16;

    explicit number_ring(promisqs::detail::single_roles roles = {}) : ring(memory_type(shared), Capacity, roles) {}

    [[nodiscard]] Element& element(const claim& made) const {
        return ring.memory().element(ring.space().index(made.ticket));
    }

    /// One attempt.
    outcome push(participant& self, std::uint64_t number) {
        claim made;
        if (!ring.claim_push(self, made)) return honest(ring.resolve_push(self));
        element(made).fill(number);
        ring.publish(made);
        ++pushed[number];
        return outcome::ok;
    }
    outcome pop(participant& self, std::uint64_t& number) {
        claim made;
        const outcome result = take(self, made);
        if (result != outcome::ok) return result;
        number = element(made).use();
        ring.release(made);
        delivered(number);
        return outcome::ok;
    }
    outcome take(participant& self, claim& made) {
        return ring.claim_pop(self, made) ? outcome::ok : honest(ring.claim_otherwise(self, made));
    }
    /// Two, by one claim; or none.
    bool push_two(participant& self, std::uint64_t number) {
        std::uint64_t done = 0;
        auto count = [&] {  // at the end both are published
            if (std::exchange(done, 0) == 2) ++pushed[number], ++pushed[number + 1];
        };
        self.push_count.before_store(count);
        const auto fill = [&](void* slot, std::uint64_t i) {
            static_cast<Element*>(slot)->fill(number + i);
            done = i + 1;
        };
        const bool all = ring.push_some_if_ready(self, 2, 2, fill) == 2;
        self.push_count.tell_nobody();
        return all;
    }
    /// Up to two, by one claim.
    std::uint64_t pop_two(participant& self) {
        std::uint64_t in_hand = 0;
        auto hand_over = [&] {  // the one before has been released
            if (in_hand != 0) delivered(std::exchange(in_hand, 0));
        };
        self.pop_count.before_store(hand_over);
        const std::uint64_t done = ring.pop_some_if_ready(self, 2, [&](const void* slot, std::uint64_t /*i*/) {
            hand_over();
            in_hand = static_cast<const Element*>(slot)->use();
        });
        self.pop_count.tell_nobody();
        return done;
    }
    void delivered(std::uint64_t number) {
        RL_ASSERT(number != 0 && number < most_numbers);
        ++popped[number];
        RL_ASSERT(popped[number] == 1);
        ++total;
    }

    void push_for_sure(participant& self, std::uint64_t number) {
        while (push(self, number) != outcome::ok) yield();
    }

    /// When all is done: everything that was pushed comes out once, and every slot can be used again.
    void drain(participant& self) {
        std::uint64_t number = 0;
        const std::uint64_t size = ring.size();
        const std::uint64_t before = total;
        for (outcome result = outcome::ok; result != outcome::empty && result != outcome::closed;) {
            result = pop(self, number);
            RL_ASSERT(result != outcome::in_progress);
        }
        RL_ASSERT(total == before + size);
        for (std::uint64_t i = 0; i < most_numbers; ++i) RL_ASSERT(pushed[i] <= popped[i]);
        RL_ASSERT(ring.in_order() && ring.empty() && !ring.full());
        if (ring.closed()) return;
        for (std::uint64_t lap = 0; lap < 2; ++lap) {
            for (std::uint64_t i = 0; i < Capacity; ++i) RL_ASSERT(push(self, most_numbers - 1) == outcome::ok);
            for (std::uint64_t i = 0; i < Capacity; ++i) {
                popped[most_numbers - 1] = 0;
                RL_ASSERT(pop(self, number) == outcome::ok);
            }
        }
    }

    static outcome honest(outcome result) {
        RL_ASSERT(result != outcome::corrupt);
        return result;
    }

    shared_words<Capacity, Element> shared;
    ring_type ring;
    std::array<unsigned, most_numbers> pushed{};  // for sure
    std::array<unsigned, most_numbers> popped{};  // handed over
    std::uint64_t total = 0;                      // of those
};

}  // namespace promisqs_test
