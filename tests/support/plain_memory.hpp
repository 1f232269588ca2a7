// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a ring needs, in ordinary memory: for tests that start anywhere, plant anything, and act in between two
// accesses.

#include <promisqs/detail/protocol/ring.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace promisqs_test {

/// A counter or stamp that calls a test before it is read or exchanged.
class word {
public:
    std::uint64_t load(std::memory_order order) const {
        if (before_load) std::exchange(before_load, nullptr)();
        return value.load(order);
    }
    void store(std::uint64_t desired, std::memory_order order) { value.store(desired, order); }
    bool compare_exchange_strong(std::uint64_t& expected, std::uint64_t desired, std::memory_order success,
                                 std::memory_order failure) {
        if (before_exchange) std::exchange(before_exchange, nullptr)();
        return value.compare_exchange_strong(expected, desired, success, failure);
    }
    std::uint64_t fetch_add(std::uint64_t change, std::memory_order order) { return value.fetch_add(change, order); }
    std::uint64_t fetch_or(std::uint64_t bits, std::memory_order order) { return value.fetch_or(bits, order); }

    std::atomic<std::uint64_t> value{0};
    mutable std::function<void()> before_load;  // called once
    std::function<void()> before_exchange;      // called once
};

template <class Word>
struct basic_slot {
    Word stamp{};
    std::uint64_t element = 0;
};

/// All that the participants of one ring share.
template <class Word>
struct shared_words {
    shared_words(std::uint64_t capacity, std::uint64_t first_ticket) : slots(capacity) {
        const promisqs::detail::ticket_space tickets(capacity);
        tail.store(first_ticket, std::memory_order_relaxed);
        head.store(first_ticket, std::memory_order_relaxed);
        std::uint64_t ticket = first_ticket;
        for (std::uint64_t i = 0; i < capacity; ++i, ticket = tickets.next(ticket)) {
            slots[tickets.index(ticket)].stamp.store(tickets.lap(ticket), std::memory_order_relaxed);
        }
    }

    Word tail{};
    Word head{};
    Word irregular_count{};
    Word irregular_cleared_at{};
    Word tombstones{};
    std::vector<basic_slot<Word>> slots;
};

template <class Word>
class plain_memory {
public:
    explicit plain_memory(shared_words<Word>& shared) noexcept : shared_(&shared) {}

    [[nodiscard]] Word& tail() const noexcept { return shared_->tail; }
    [[nodiscard]] Word& head() const noexcept { return shared_->head; }
    [[nodiscard]] Word& irregular_count() const noexcept { return shared_->irregular_count; }
    [[nodiscard]] Word& irregular_cleared_at() const noexcept { return shared_->irregular_cleared_at; }
    [[nodiscard]] Word& tombstones() const noexcept { return shared_->tombstones; }
    [[nodiscard]] Word& stamp(std::uint64_t index) const { return shared_->slots.at(index).stamp; }
    [[nodiscard]] void* payload(std::uint64_t index) const { return &shared_->slots.at(index).element; }
    static void light_barrier() noexcept {}

private:
    shared_words<Word>* shared_;
};

struct participant {
    std::atomic<std::uint32_t> occupied{1};
    std::atomic<std::uint64_t> push_intent{promisqs::detail::layout::no_ticket};
    std::atomic<std::uint64_t> push_count{1};
    std::atomic<std::uint64_t> pop_intent{promisqs::detail::layout::no_ticket};
    std::atomic<std::uint64_t> pop_count{1};
};

/// A ring of numbers in ordinary memory.
template <class Word = word>
class number_ring {
public:
    using ring_type = promisqs::detail::ring<plain_memory<Word>>;

    explicit number_ring(std::uint64_t capacity, std::uint64_t first_ticket = 0,
                         promisqs::detail::single_roles roles = {})
        : shared(capacity, first_ticket), ring(plain_memory<Word>(shared), capacity, roles), tickets(capacity) {}

    /// One attempt at the tail. `fill(void*)` is called between claim and publish.
    template <class Fill>
    bool push_if_ready(participant& self, Fill fill) const {
        promisqs::detail::claim made{};
        if (!ring.claim_push(self, made)) return false;
        fill(ring.payload(made));
        ring.publish(made);
        return true;
    }
    /// One attempt at the head. `use(const void*)` is called between claim and release.
    template <class Use>
    bool pop_if_ready(participant& self, Use use) const {
        promisqs::detail::claim made{};
        if (!ring.claim_pop(self, made)) return false;
        use_and_release(made, use);
        return true;
    }

    promisqs::detail::outcome push(participant& self, std::uint64_t number) const {
        const auto fill = [&](void* slot) { *static_cast<std::uint64_t*>(slot) = number; };
        return push_if_ready(self, fill) ? promisqs::detail::outcome::ok : ring.resolve_push(self);
    }
    promisqs::detail::outcome pop(participant& self, std::uint64_t& number) const {
        const auto use = [&](const void* slot) { number = *static_cast<const std::uint64_t*>(slot); };
        if (pop_if_ready(self, use)) return promisqs::detail::outcome::ok;
        promisqs::detail::claim made{};
        const auto result = ring.claim_otherwise(self, made);
        if (result == promisqs::detail::outcome::ok) use_and_release(made, use);
        return result;
    }
    promisqs::detail::outcome peek(std::uint64_t& number) const { return ring.try_peek(&number, sizeof number); }

    shared_words<Word> shared;
    ring_type ring;
    promisqs::detail::ticket_space tickets;

private:
    template <class Use>
    void use_and_release(const promisqs::detail::claim& made, Use& use) const {
        use(static_cast<const void*>(ring.payload(made)));
        ring.release(made);
    }
};

}  // namespace promisqs_test
