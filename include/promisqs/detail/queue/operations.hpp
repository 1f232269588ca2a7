// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a call wants of a queue is an operation: push one, pop one, push many, pop many, claim for a push, claim for a
// pop. `attempt` makes it, if its slots are ready: one look at a slot, one claim, one copy, one publish or release, and
// one look at a wait word. Where it fails, a driver of queue_base goes on, with what `describe` says of it.
//
// In `attempt`, `here` is a copy of the ring, whose members can stay in registers: an atomic might change `*this`, for
// all that the compiler knows. The ring itself says which roles are single, so that no register waits for that.
//
// Where a message comes from is a `Source`, where it goes is a `Target`: elements.hpp has those of each kind of handle.

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/protocol/ring.hpp>
#include <promisqs/detail/protocol/role.hpp>
#include <promisqs/detail/queue/queue_base.hpp>

#include <cstdint>

namespace promisqs::detail {

/// Pushes one message.
template <class Source>
struct push_one {
    static constexpr role whose = role::producer;
    Source message;

    template <class Queue>
    [[gnu::__always_inline__]] bool attempt(const Queue& queue, layout::participant& self) const {
        auto here = queue.ring();  // not const: g++ 12 keeps a const copy in memory
        claim made{};
        if (!queue.ring().claim_push(here, self, made)) [[unlikely]]
            return false;
        message.copy_to(here.payload(made));
        here.publish(made);
        queue.ring().memory().light_barrier();
        queue.look_for_consumers(here.memory());
        return true;
    }
    void describe(operation&) const noexcept {}
};
template <class Source>
push_one(Source) -> push_one<Source>;

/// Pops one message into `room`.
template <class Target>
struct pop_one {
    static constexpr role whose = role::consumer;
    Target room;

    template <class Queue>
    [[gnu::__always_inline__]] bool attempt(const Queue& queue, layout::participant& self) const {
        auto here = queue.ring();  // not const: g++ 12 keeps a const copy in memory
        claim made{};
        if (!queue.ring().claim_pop(here, self, made)) [[unlikely]]
            return false;
        room.copy_from(here.payload(made));
        here.release(made);
        queue.ring().memory().light_barrier();
        queue.look_for_producers(here.memory());
        return true;
    }
    void describe(operation& described) const noexcept { described.out = room.bytes(); }
};
template <class Target>
pop_one(Target) -> pop_one<Target>;

/// Pushes the first of `messages`: as many as there is room for, if those are `least` or more.
template <class Sources>
struct push_many {
    static constexpr role whose = role::producer;
    Sources messages;
    std::uint64_t least;
    std::uint64_t& done;

    // Not inlined, so that a batch of one, which is pushed or popped singly, has all registers.
    template <class Queue>
    [[gnu::__noinline__]] bool attempt(const Queue& queue, layout::participant& self) const {
        done = queue.ring().push_some_if_ready(self, least, messages.count(),
                                               [&](void* slot, std::uint64_t i) { messages.at(i).copy_to(slot); });
        if (done != 0) queue.wake_consumers(queue.ring().memory(), done);
        return done != 0;
    }
    void describe(operation& described) const noexcept { described.least = least; }
};
template <class Sources>
push_many(Sources, std::uint64_t, std::uint64_t&) -> push_many<Sources>;

/// Pops as many messages as wait in a row, and as there is room for.
template <class Targets>
struct pop_many {
    static constexpr role whose = role::consumer;
    Targets room;
    std::uint64_t& done;

    // Not inlined, so that a batch of one, which is pushed or popped singly, has all registers.
    template <class Queue>
    [[gnu::__noinline__]] bool attempt(const Queue& queue, layout::participant& self) const {
        done = queue.ring().pop_some_if_ready(self, room.count(),
                                              [&](const void* slot, std::uint64_t i) { room.at(i).copy_from(slot); });
        if (done != 0) queue.wake_producers(queue.ring().memory(), done);
        return done != 0;
    }
    void describe(operation& described) const noexcept {
        described.out = room.at(0).bytes();
        described.done = &done;
    }
};
template <class Targets>
pop_many(Targets, std::uint64_t&) -> pop_many<Targets>;

/// Claims a place for a message that is to be made in it.
struct claim_for_push {
    static constexpr role whose = role::producer;
    claim& made;

    template <class Queue>
    [[gnu::__always_inline__]] bool attempt(const Queue& queue, layout::participant& self) const {
        return queue.ring().claim_push(self, made);
    }
    void describe(operation&) const noexcept {}
};

/// Claims a message that is to be read where it is.
struct claim_for_pop {
    static constexpr role whose = role::consumer;
    claim& made;

    template <class Queue>
    [[gnu::__always_inline__]] bool attempt(const Queue& queue, layout::participant& self) const {
        return queue.ring().claim_pop(self, made);
    }
    void describe(operation& described) const noexcept { described.made = &made; }
};

}  // namespace promisqs::detail
