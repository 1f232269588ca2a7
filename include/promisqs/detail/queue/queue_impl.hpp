// SPDX-License-Identifier: Apache-2.0
#pragma once

// What shmem_queue<T> does; queue.hpp says what it promises.

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/lifecycle/open.hpp>
#include <promisqs/detail/lifecycle/validation.hpp>
#include <promisqs/detail/os/backoff.hpp>
#include <promisqs/detail/protocol/ring.hpp>
#include <promisqs/detail/protocol/role.hpp>
#include <promisqs/detail/protocol/slots.hpp>
#include <promisqs/detail/queue/reentrancy.hpp>
#include <promisqs/detail/queue/session.hpp>
#include <promisqs/detail/queue/waiter.hpp>
#include <promisqs/element.hpp>
#include <promisqs/error.hpp>
#include <promisqs/options.hpp>
#include <promisqs/status.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

namespace promisqs::detail {

template <class T>
class queue_impl {
    static_assert(schema_of<T>.text.size() <= layout::max_schema_size,
                  "the schema of T is too long: specialise promisqs::treat_as_opaque<T> as true");

    using geometry =
        static_stride<layout::slot_stride(sizeof(T), alignof(T)), layout::payload_offset(sizeof(T), alignof(T))>;
    using typed_slots = slots<geometry>;

public:
    // Room for a message that need not have a default constructor; not cleared, which would take as long as a copy.
    union storage {
        storage() noexcept {}
        alignas(T) std::byte bytes[sizeof(T)];
        T value;
    };
    struct taken {
        storage message;
        bool done = false;
    };
    // A small message is passed by value, so that the caller's need not have an address.
    using in_registers_if_small = std::conditional_t<sizeof(T) <= 2 * sizeof(void*), T, const T&>;

    explicit queue_impl(joined_segment joined)
        : session_(std::make_shared<session>(std::move(joined))),
          key_(*session_),
          ring_(slots_of(*session_), session_->header().capacity, session_->roles()) {}

    static element_description description() noexcept { return {sizeof(T), alignof(T), schema_of<T>}; }
    static std::uint64_t messages_in(const segment& object, const checked_header& header) noexcept {
        return ring_of(object, header).size();
    }
    static void copy_bytes(void* to, const void* from) noexcept { std::memcpy(to, from, sizeof(T)); }

    [[nodiscard]] session& owner() const noexcept { return *session_; }
    [[nodiscard]] const auto& ring() const noexcept { return ring_; }
    [[nodiscard]] layout::participant* me_if_known() const noexcept { return key_.me_if_known(); }
    void set_policy(const wait_policy& policy) noexcept { policy_ = policy; }
    [[nodiscard]] const wait_policy& policy() const noexcept { return policy_; }

    // The path that matters: one look at a slot, one claim, one copy, one publish or release, and one look at a wait word. False: it is
    // the thread's first time, or the slot was not ready.

    [[gnu::always_inline]] bool push_quickly(const T& message) const {
        return key_.is_known(role::producer) && push_if_ready(key_.known(role::producer), message);
    }
    template <class Use>
    [[gnu::always_inline]] bool pop_quickly(Use&& use) const {
        return key_.is_known(role::consumer) && pop_if_ready(key_.known(role::consumer), use);
    }

    [[gnu::always_inline]] bool claim_pop_quickly(claim& mine) const {
        return key_.is_known(role::consumer) && ring_.claim_pop(key_.known(role::consumer), mine);
    }
    /// Between claim and release; what is returned is made where the caller wants it. (An optional that is to be filled later would be
    /// cleared before, all of it.)
    [[gnu::always_inline]] std::optional<T> take(const claim& mine) const {
        std::optional<T> message(std::in_place, *static_cast<const T*>(ring_.payload(mine)));
        finish_pop(mine);
        return message;
    }

    // What a call does when it is the thread's first, or when the quick attempt came to nothing. Kept out of line, so that the path that
    // matters saves no registers.

    [[gnu::noinline, gnu::cold]] outcome push_slowly(in_registers_if_small message) const {
        if (look_again(role::producer, [&] { return push_quickly(message); })) return outcome::ok;
        return ride_out([&] { return push_thoroughly(message); });
    }
    [[gnu::noinline, gnu::cold]] std::optional<T> pop_slowly() const {
        claim mine{};
        const bool done = look_again(role::consumer, [&] { return claim_pop_quickly(mine); }) ||
                          ride_out([&] { return claim_pop(mine); }) == outcome::ok;
        return done ? take(mine) : std::nullopt;
    }
    [[gnu::noinline, gnu::cold]] taken pop_slowly_in_parts() const {
        taken result{};
        if (const std::optional<T> message = pop_slowly()) {
            copy_bytes(result.message.bytes, std::addressof(*message));
            result.done = true;
        }
        return result;
    }
    [[gnu::noinline, gnu::cold]] std::optional<T> pop_waiting(std::uint64_t deadline) const {
        claim mine{};
        const outcome result = wait(
            role::consumer, deadline, [&] { return claim_pop_quickly(mine); }, [&] { return claim_pop(mine); });
        return result == outcome::ok ? take(mine) : std::nullopt;
    }
    [[gnu::noinline, gnu::cold]] outcome push_waiting(const T& message, std::uint64_t deadline) const {
        return wait(
            role::producer, deadline, [&] { return push_quickly(message); }, [&] { return push_thoroughly(message); });
    }
    template <class Use>
    [[gnu::noinline, gnu::cold]] outcome pop_waiting(Use use, std::uint64_t deadline) const {
        return wait(
            role::consumer, deadline, [&] { return pop_quickly(use); }, [&] { return pop_thoroughly(use); });
    }

    // All other attempts. `thoroughly` is one that says why it failed.

    outcome push_thoroughly(const T& message) const {
        auto& me = key_.me(role::producer);
        return push_if_ready(me, message) ? outcome::ok : resolve_push(me);
    }
    /// After a quick one that failed.
    [[gnu::noinline, gnu::cold]] status push_or_say_why(in_registers_if_small message) const {
        if (look_again(role::producer, [&] { return push_quickly(message); })) return status::ok;
        return to_status(key_.is_known(role::producer) ? resolve_push(key_.me(role::producer))
                                                       : push_thoroughly(message));
    }

    template <class Use>
    outcome pop_thoroughly(Use use) const {
        auto& me = key_.me(role::consumer);
        return pop_if_ready(me, use) ? outcome::ok : pop_otherwise(me, use);
    }
    [[gnu::noinline, gnu::cold]] status pop_or_say_why(T& out) const {
        const auto use = [&](const void* slot) { copy_bytes(std::addressof(out), slot); };
        if (look_again(role::consumer, [&] { return pop_quickly(use); })) return status::ok;
        if (!key_.is_known(role::consumer)) return to_status(pop_thoroughly(use));
        return to_status(pop_otherwise(key_.me(role::consumer), use));
    }

    // Batches, likewise. A side's attempt is made of what it has to move, which says how many are done.

    /// The first of `messages`, `least` or more of them, as many as there is room for.
    struct batch_to_push {
        std::span<const T> messages;
        std::uint64_t least;
        std::uint64_t done = 0;
    };
    /// Room for as many messages as wait in a row.
    struct batch_to_pop {
        std::span<T> room;
        std::uint64_t done = 0;
    };

    [[nodiscard]] bool push_quickly(batch_to_push& batch) const {
        return key_.is_known(role::producer) && push_if_ready(key_.known(role::producer), batch);
    }
    outcome push_thoroughly(batch_to_push& batch) const {
        auto& me = key_.me(role::producer);
        return push_if_ready(me, batch) ? outcome::ok : ring_.resolve_push_some(me, batch.least);
    }
    [[nodiscard]] bool pop_quickly(batch_to_pop& batch) const {
        return key_.is_known(role::consumer) && pop_if_ready(key_.known(role::consumer), batch);
    }
    outcome pop_thoroughly(batch_to_pop& batch) const {
        auto& me = key_.me(role::consumer);
        if (pop_if_ready(me, batch)) return outcome::ok;
        const auto use_one = [&](const void* slot) { copy_bytes(std::addressof(batch.room[0]), slot); };
        const outcome result = pop_otherwise(me, use_one);  // perhaps one that came back
        if (result == outcome::ok) batch.done = 1;
        return result;
    }

    outcome push(batch_to_push& batch) const {
        const auto quick = [&] { return push_quickly(batch); };
        if (batch.messages.empty() || quick() || look_again(role::producer, quick)) return outcome::ok;
        return ride_out([&] { return push_thoroughly(batch); });
    }
    outcome push_waiting(batch_to_push& batch, std::uint64_t deadline) const {
        const auto quick = [&] { return push_quickly(batch); };
        if (batch.messages.empty() || quick()) return outcome::ok;
        return wait(role::producer, deadline, quick, [&] { return push_thoroughly(batch); });
    }
    outcome pop(batch_to_pop& batch) const {
        const auto quick = [&] { return pop_quickly(batch); };
        if (batch.room.empty() || quick() || look_again(role::consumer, quick)) return outcome::ok;
        return ride_out([&] { return pop_thoroughly(batch); });
    }
    outcome pop_waiting(batch_to_pop& batch, std::uint64_t deadline) const {
        const auto quick = [&] { return pop_quickly(batch); };
        if (batch.room.empty() || quick()) return outcome::ok;
        return wait(role::consumer, deadline, quick, [&] { return pop_thoroughly(batch); });
    }

    /// Copies the oldest message.
    outcome peek(void* out) const {
        return really_closed([&] { return ring_.try_peek(out, sizeof(T)); });
    }

    /// What a pop would come to, without one.
    [[nodiscard]] outcome look() const {
        return really_closed([&] { return ring_.try_peek(nullptr, 0); });
    }

    outcome claim_push(claim& mine) const {
        auto& me = key_.me(role::producer);
        return ring_.claim_push(me, mine) ? outcome::ok : resolve_push(me);
    }
    outcome claim_pop(claim& mine) const {
        auto& me = key_.me(role::consumer);
        return ring_.claim_pop(me, mine) ? outcome::ok : claim_otherwise(me, mine);
    }

    /// Between claim and publish.
    template <class Fill>
    void push_claimed(const claim& mine, Fill&& fill) const {
        run_in_place(
            key_, name(), [&] { std::invoke(std::forward<Fill>(fill), *static_cast<T*>(ring_.payload(mine))); },
            [&]() noexcept {
                ring_.give_up(mine);
                session_->object().counters().tombstones.fetch_add(1, std::memory_order_relaxed);
                wake_consumers();  // whoever wakes finds what others have pushed behind it
            });
        ring_.publish(mine);
        wake_consumers();
    }

    /// Between claim and release.
    template <class Use>
    void pop_claimed(const claim& mine, Use&& use) const {
        auto& me = key_.me(role::consumer);
        run_in_place(
            key_, name(), [&] { std::invoke(std::forward<Use>(use), *static_cast<const T*>(ring_.payload(mine))); },
            [&]() noexcept {
                requeue(*session_, ring_, me, mine);
                wake(role::consumer);
            });
        finish_pop(mine);
    }

    /// Repeats an attempt until it comes to something; who is stuck looks whether it is behind somebody dead.
    template <class Attempt>
    outcome ride_out(Attempt attempt) const {
        for (backoff wait;;) {
            const outcome result = attempt();
            if (result == outcome::corrupt) raise_corrupt();
            if (result == outcome::empty && look_around(result)) continue;
            if (result != outcome::contended && result != outcome::in_progress) return result;
            if (result != outcome::in_progress) continue;
            wait();
            if (!wait.is_long()) continue;
            session_->refuse_in_callable();
            session_->recover_if_due(key_.me_if_known(), recovery_schedule::when_stuck, os::steady_clock());
        }
    }

    /// Repeats an attempt until it comes to something else than that there is nothing, or no room; or until the time is over. Looks for a
    /// while, and then sleeps.
    ///
    /// \param whose     the side of who waits
    /// \param deadline  by the steady clock
    /// \param quick     a cheap attempt: whether it was made
    /// \param thorough  one that says why not
    template <class Quick, class Thorough>
    outcome wait(role whose, std::uint64_t deadline, Quick quick, Thorough thorough) const {
        using stage = wait_clock::stage;
        wait_clock clock(policy_);
        if (policy_.in_a_stream != 0 && deadline != 0 && moved_since_last_idle(whose) > 1) {
            for (std::uint32_t i = 0; i < policy_.in_a_stream; ++i) os::pause();
        }
        for (stage now_at = clock.first(deadline != 0);;) {
            if (now_at == stage::yield) os::yield();
            if (now_at != stage::sleep && clock.look(quick)) return outcome::ok;
            outcome found = thorough();
            const std::uint64_t now = os::steady_clock();
            if (goes_on_waiting(found) && now >= deadline) return outcome::timed_out;
            now_at = clock.at(now);
            if (now_at != stage::spin && found == outcome::in_progress) rescue(now);
            if (now_at == stage::sleep && goes_on_waiting(found) && found != outcome::contended) {
                found = sleep(whose, found, deadline, thorough, clock);
                now_at = clock.at(os::steady_clock());
            }
            if (!goes_on_waiting(found)) return found;
        }
    }

    status to_status(outcome result) const {
        switch (result) {
            case outcome::ok: return status::ok;
            case outcome::full: return status::full;
            case outcome::closed: return status::closed;
            case outcome::empty: return look_around(result), status::empty;
            case outcome::contended: return status::would_block;
            case outcome::in_progress: return look_around(result), status::would_block;
            case outcome::timed_out: return status::timed_out;
            case outcome::corrupt: break;
        }
        raise_corrupt();
    }

    [[nodiscard]] const std::string& name() const noexcept { return session_->object().name(); }

    [[noreturn, gnu::noinline, gnu::cold]] void raise_corrupt() const {
        throw queue_error(
            errc::corrupt, name(),
            "expected counters and slots that agree with each other, found some that no participant writes; "
            "something else has written into it: remove it and create it again");
    }

private:
    static typed_slots slots_of(const session& owner) noexcept {
        const segment& object = owner.object();
        typed_slots result(object.counters(), object.template at<std::byte>(owner.header().plan.slots_offset));
        if (!owner.has_heavy_barriers()) result.use_full_barriers();
        return result;
    }

    // How many tickets of its side have been claimed, by anybody, since the calling thread last found one not ready; 0 if it has not taken
    // part yet.
    std::uint64_t moved_since_last_idle(role whose) const {
        if (!key_.is_known(whose)) return 0;
        const auto& memory = ring_.memory();
        const auto& counter = whose == role::producer ? memory.tail() : memory.head();
        // Relaxed: it only decides how to look.
        const std::uint64_t now_at = ring_.space().ticket_of(counter.load(std::memory_order_relaxed));
        const std::uint64_t was_at = key_.is_idle_at(whose, now_at);
        return was_at == layout::no_ticket ? 1 : ring_.space().distance(was_at, now_at);
    }

    // To say that there is nothing, or no room, takes a look at the counter of the other side, which takes the line away from whoever is
    // about to claim on it: costly in a stream. So who has found something since it last looked in vain, looks at its slot a few more times.
    template <class Look>
    bool look_again(role whose, Look look) const {
        constexpr unsigned looks = 16;
        if (moved_since_last_idle(whose) == 0) return false;
        for (unsigned i = 0; i < looks; ++i) {
            os::pause();
            if (look()) return true;
        }
        return false;
    }

    [[gnu::always_inline]] bool push_if_ready(layout::participant& me, const T& message) const {
        if (!ring_.push_if_ready(me, [&](void* slot) { copy_bytes(slot, std::addressof(message)); })) return false;
        wake_consumers();
        return true;
    }
    template <class Use>
    [[gnu::always_inline]] bool pop_if_ready(layout::participant& me, Use& use) const {
        if (!ring_.pop_if_ready(me, use)) return false;
        wake_producers();
        return true;
    }

    bool push_if_ready(layout::participant& me, batch_to_push& batch) const {
        batch.done = ring_.push_some_if_ready(me, batch.least, batch.messages.size(), [&](void* slot, std::uint64_t i) {
            copy_bytes(slot, std::addressof(batch.messages[i]));
        });
        if (batch.done == 0) return false;
        wake_consumers();
        return true;
    }
    bool pop_if_ready(layout::participant& me, batch_to_pop& batch) const {
        batch.done = ring_.pop_some_if_ready(me, batch.room.size(), [&](const void* slot, std::uint64_t i) {
            copy_bytes(std::addressof(batch.room[i]), slot);
        });
        if (batch.done == 0) return false;
        wake_producers();
        return true;
    }

    outcome resolve_push(layout::participant& me) const {
        const outcome result = ring_.resolve_push(me);
        if (result == outcome::contended) wake_producers();  // it may have taken a void out of the way
        return result;
    }
    template <class Use>
    outcome pop_otherwise(layout::participant& me, Use& use) const {
        const outcome result = really_closed([&] { return ring_.pop_otherwise(me, use); });
        if (result == outcome::ok || result == outcome::contended) wake_producers();  // likewise
        return result;
    }
    outcome claim_otherwise(layout::participant& me, claim& mine) const {
        const outcome result = really_closed([&] { return ring_.claim_otherwise(me, mine); });
        if (result == outcome::contended) wake_producers();
        return result;
    }
    // Looks a second time at what was found closed, when it is known that it is so for good: a push may have come to its end meanwhile.
    template <class Attempt>
    outcome really_closed(Attempt attempt) const {
        const outcome result = attempt();
        if (result != outcome::closed || !ring_.roles().producer) return result;
        return session_->is_closed_for_good() ? attempt() : outcome::in_progress;
    }

    [[gnu::always_inline]] void finish_pop(const claim& mine) const {
        ring_.release(mine);
        wake_producers();
    }

    // Looks at the wait word of the other side, after what it may wait for has been done.
    [[gnu::always_inline]] void wake_consumers() const {
        ring_.memory().light_barrier();  // where the claim, by a plain store, was none
        if (!word_of(role::consumer).needs_attention()) [[likely]]
            return;
        attend_to_consumers();
    }
    [[gnu::always_inline]] void wake_producers() const {
        ring_.memory().light_barrier();
        if (!word_of(role::producer).needs_attention()) [[likely]]
            return;
        wake(role::producer);
    }
    [[gnu::noinline]] void attend_to_consumers() const noexcept {
        if (word_of(role::consumer).has(layout::closing)) ring_.close();  // [Q1] our store may have wiped the bit out
        wake(role::consumer);
    }
    [[gnu::noinline]] void wake(role whose) const noexcept { session_->wake(whose); }
    [[gnu::always_inline]] wait_word word_of(role whose) const noexcept {
        return wait_word(ring_.memory().wait_word(whose));
    }

    static bool is_idle(outcome found) noexcept { return found == outcome::empty || found == outcome::full; }
    bool goes_on_waiting(outcome found) const {
        if (found == outcome::corrupt) raise_corrupt();
        return is_idle(found) || found == outcome::in_progress || found == outcome::contended;
    }

    template <class Thorough>
    outcome sleep(role whose, outcome found, std::uint64_t deadline, Thorough& thorough, wait_clock& clock) const {
        wait_word word = word_of(whose);
        const bool closing =
            whose == role::consumer && session_->is_closed();  // it is only a matter of who has the rest
        if (found == outcome::in_progress || closing) {
            os::nap();
            return found;
        }
        const std::uint32_t value = word.announce();
        std::uint64_t interval = wait_word::interval;
        if (ring_.roles().is_single(opposite(whose)) && !os::heavy_barrier()) interval = wait_word::short_interval;
        found = thorough();
        if (!is_idle(found)) return found;
        const std::uint64_t now = os::steady_clock();
        if (os::sleep_on(word.futex(), value, std::min(deadline, now + interval)) != ETIMEDOUT) {
            clock.restart();
        } else {
            clock.go_on_sleeping();
            look_around(outcome::empty);
        }
        return found;
    }

    void rescue(std::uint64_t now) const {
        session_->refuse_in_callable();
        session_->recover_if_due(key_.me_if_known(), recovery_schedule::when_stuck, now);
    }

    // Who polls is never stuck, but may be waiting for what the dead have; it looks every so often. True: it has found some.
    bool look_around(outcome result) const {
        return session_->recover_if_due(
            key_.me_if_known(),
            result == outcome::in_progress ? recovery_schedule::when_stuck : recovery_schedule::when_idle,
            os::coarse_steady_clock());
    }

    std::shared_ptr<session> session_;
    session::key key_;
    promisqs::detail::ring<typed_slots> ring_;
    wait_policy policy_ = wait_policy::balanced();
};

}  // namespace promisqs::detail
