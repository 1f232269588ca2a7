// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a handle has that does not depend on the element type. This header only declares; definitions.hpp and
// drivers.hpp define. So a program compiles all of it once at most, however many types it sends, and not at all with
// the compiled library.

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/protocol/ring.hpp>
#include <promisqs/detail/protocol/role.hpp>
#include <promisqs/detail/protocol/slots.hpp>
#include <promisqs/detail/protocol/wait_word.hpp>
#include <promisqs/detail/queue/stopping.hpp>
#include <promisqs/detail/queue/thread_cache.hpp>
#include <promisqs/element.hpp>
#include <promisqs/options.hpp>
#include <promisqs/stats.hpp>
#include <promisqs/status.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace promisqs::detail {

class joined_segment;
class session;
class queue_base;

/// A point of the steady clock that never comes.
inline constexpr std::uint64_t never = ~std::uint64_t{0};

/// What a call wants of a queue, as the drivers see it. The quick path, which knows the type, makes an attempt; what it
/// comes to otherwise is resolved without it.
struct operation {
    role whose;
    bool (*attempt)(const operation&, const queue_base&);  ///< false: the slots are not ready, or the thread is unknown
    std::uint64_t least = 1;                               ///< of a push: how many slots it needs in a row
    claim* made = nullptr;                                 ///< of a claim for a pop
    void* out = nullptr;                                   ///< of other pops: where a message goes
    layout::participant* entry = nullptr;                  ///< of a claim that is to be held: its own, not the thread's
    std::uint64_t* done = nullptr;                         ///< of a batch: how many messages it has moved
};

/// A handle, without its element type.
class queue_base {
public:
    static queue_base create(std::string_view name, const element_description& element, std::uint64_t capacity,
                             const options& wanted);
    /// \param element  of size 0: whatever is found
    static queue_base open(std::string_view name, const element_description& element, const memory_options& memory);
    static queue_base open_or_create(std::string_view name, const element_description& element, std::uint64_t capacity,
                                     const options& wanted);
    static bool remove(std::string_view name);

    [[nodiscard]] const std::string& name() const noexcept;
    [[nodiscard]] bool created() const noexcept;
    [[nodiscard]] const options& actual_options() const noexcept;
    [[nodiscard]] bool is_named() const noexcept;
    [[nodiscard]] std::uint64_t capacity() const noexcept { return capacity_; }
    [[nodiscard]] std::uint64_t size() const noexcept;
    [[nodiscard]] bool full() const noexcept;
    [[nodiscard]] std::uint64_t element_size() const noexcept;  // bytes
    [[nodiscard]] std::uint64_t element_alignment() const noexcept;
    /// The type of the elements, as its creator wrote it down.
    [[nodiscard]] element_type type() const;

    void close() const noexcept;
    [[nodiscard]] bool is_closed() const noexcept;
    recovery_report recover() const;
    void on_dropped(std::function<void(const void*)> handler) const;
    [[nodiscard]] queue_stats stats() const;

    void set_policy(const wait_policy& policy) noexcept { policy_ = policy; }
    [[nodiscard]] const wait_policy& policy() const noexcept { return policy_; }

    // The drivers. They go on where the quick path of an operation has failed.

    /// Makes an attempt, or says why not.
    status once(const operation& op) const;
    /// Repeats the attempt until the operation is done, or the queue is full, empty or closed. A thread that is stuck
    /// recovers what the dead have left.
    ///
    /// \return  whether it is done
    bool until_settled(const operation& op) const;
    /// Repeats the attempt until the operation is done, the queue is closed, the time is over, or a stop is requested.
    /// Looks for a while, and then sleeps.
    ///
    /// \param deadline  by the steady clock, in nanoseconds
    status until(const operation& op, std::uint64_t deadline, const stop_token& stop) const;

    /// Copies the oldest message, as `once` and `until_settled` do.
    status try_peek(void* out) const;
    bool peek(void* out) const;

    /// The calling thread's entry. Its first call for a role takes a lock and makes system calls.
    layout::participant& self(role which) const { return key_.is_known(which) ? key_.known() : enlist(which); }
    [[nodiscard]] [[gnu::__always_inline__]] const entry_key& key() const noexcept { return key_; }

    /// Wakes consumers that sleep, after so many messages were pushed.
    template <class Memory>
    [[gnu::__always_inline__]] void wake_consumers(const Memory& memory, std::uint64_t messages = 1) const {
        memory.light_barrier();  // where the claim, by a plain store, was none
        look_for_consumers(memory, messages);
    }
    /// The same, for a caller that has made the light barrier.
    template <class Memory>
    [[gnu::__always_inline__]] void look_for_consumers(const Memory& memory, std::uint64_t messages = 1) const {
        if (wait_word(memory.wait_word(role::consumer)).needs_attention()) [[unlikely]]
            attend_to_consumers(messages);
    }
    /// Wakes producers that sleep, after so many messages were popped.
    template <class Memory>
    [[gnu::__always_inline__]] void wake_producers(const Memory& memory, std::uint64_t messages = 1) const {
        memory.light_barrier();
        look_for_producers(memory, messages);
    }
    /// The same, for a caller that has made the light barrier.
    template <class Memory>
    [[gnu::__always_inline__]] void look_for_producers(const Memory& memory, std::uint64_t messages = 1) const {
        if (wait_word(memory.wait_word(role::producer)).needs_attention()) [[unlikely]]
            attend_to_producers(messages);
    }

    [[noreturn]] void raise_batch_too_large(std::size_t messages) const;
    /// Refuses a message, or several, of so many bytes.
    [[noreturn]] void raise_message_size(std::size_t bytes) const;

    /// Gives up a claimed push whose callable did not return.
    void give_up(const claim& made) const noexcept;
    /// Leaves a claimed message to another consumer. Waits for the end of a recovery if its state can't grow any more.
    void requeue(layout::participant& self, const claim& made) const noexcept;

    /// What a pop would come to, without one.
    [[nodiscard]] outcome look() const;
    [[nodiscard]] detail::session& session() const noexcept { return *session_; }
    [[nodiscard]] const std::shared_ptr<detail::session>& shared_session() const noexcept { return session_; }

protected:
    /// Where a ring finds its words and slots.
    template <class Stride>
    [[nodiscard]] slot_array<Stride> slots_at(Stride distances) const noexcept {
        slot_array<Stride> result(*counters_, first_slot_, distances);
        if (full_barriers_) result.use_full_barriers();
        return result;
    }
    [[nodiscard]] const single_roles& roles() const noexcept { return roles_; }

private:
    explicit queue_base(joined_segment joined);

    layout::participant& enlist(role which) const;
    void attend_to_consumers(std::uint64_t messages) const noexcept;
    void attend_to_producers(std::uint64_t messages) const noexcept;
    outcome resolve(const operation& op, layout::participant& self) const;
    outcome attempt_and_resolve(const operation& op) const;
    bool claim_after_backing_off(const operation& op) const;
    bool spin_briefly(const operation& op) const;
    std::uint64_t moved_since_last_idle(role whose) const;
    bool recover_when_idle(role whose, outcome found) const;
    status to_status(role whose, outcome found) const;
    template <class Attempt>
    outcome check_closed(Attempt attempt) const;
    outcome attempt_to_peek(void* out) const;
    template <class Attempt, class Probe>
    outcome wait_while_in_progress(role whose, std::uint64_t row, Attempt attempt, Probe probe) const;

    std::shared_ptr<detail::session> session_;
    entry_key key_;
    layout::counters* counters_;
    std::byte* first_slot_;
    std::uint64_t capacity_;
    single_roles roles_;
    bool full_barriers_;
    wait_policy policy_ = wait_policy::balanced();
};

/// Waits until a pop of one of the queues would not have to wait.
///
/// \return  the index of the first that is ready; nothing: the time is over, or a stop was requested
std::optional<std::size_t> wait_for_any(std::span<const queue_base* const> queues, std::uint64_t deadline,
                                        const stop_token& stop);

}  // namespace promisqs::detail
