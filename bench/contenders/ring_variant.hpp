// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../cpus.hpp"
#include "shared_object.hpp"

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/protocol/ring.hpp>
#include <promisqs/detail/protocol/slots.hpp>
#include <promisqs/detail/queue/waiter.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace bench {

enum class intents { announced, left_out };
enum class sleepers { looked_for, left_out };

/// The ring of promisqs itself, by its calls that only try, and without what a queue adds: names, checks, looking for the dead. What
/// robustness costs is seen by leaving a part of it out.
template <class T, intents Intents, sleepers Sleepers>
class ring_variant {
public:
    using value_type = T;
    static constexpr const char* name = Intents == intents::left_out     ? "ring_without_intents"
                                        : Sleepers == sleepers::left_out ? "ring_without_sleepers"
                                                                         : "ring";
    static constexpr bool crosses_processes = true;

    static ring_variant create(const std::string& segment, std::uint64_t capacity) {
        ring_variant result(shared_object::create(segment, first_slot + capacity * stride));
        for (std::uint64_t i = 0; i < capacity; ++i) result.ring_.memory().stamp(i).store(0, std::memory_order_relaxed);
        return result;
    }
    static ring_variant open(const std::string& segment, side /*either*/) {
        return ring_variant(shared_object::open(segment));
    }

    bool push(const T& message) {
        const bool done = ring_.push_if_ready(*me_, [&](void* slot) { std::memcpy(slot, &message, sizeof message); });
        if (done) look_for_sleepers(role::consumer);
        return done;
    }
    bool pop(T& out) {
        const bool done = ring_.pop_if_ready(*me_, [&](const void* slot) { std::memcpy(&out, slot, sizeof out); });
        if (done) look_for_sleepers(role::producer);
        return done;
    }

private:
    using role = promisqs::detail::role;

    struct alignas(promisqs::detail::layout::line) announcing {
        std::atomic<std::uint64_t> push_intent;
        std::atomic<std::uint64_t> push_count;
        std::atomic<std::uint64_t> pop_intent;
        std::atomic<std::uint64_t> pop_count;
    };
    struct no_word {
        void store(std::uint64_t /*value*/, std::memory_order /*order*/) const noexcept {}
    };
    struct silent {
        no_word push_intent;
        no_word push_count;
        no_word pop_intent;
        no_word pop_count;
    };
    using participant = std::conditional_t<Intents == intents::announced, announcing, silent>;

    static constexpr std::uint64_t stride = promisqs::detail::layout::slot_stride(sizeof(T), alignof(T));
    static constexpr std::uint64_t offset = promisqs::detail::layout::payload_offset(sizeof(T), alignof(T));
    static constexpr std::uint64_t first_slot =
        (sizeof(promisqs::detail::layout::counters) + promisqs::detail::layout::line - 1) /
        promisqs::detail::layout::line * promisqs::detail::layout::line;
    using memory = promisqs::detail::slots<promisqs::detail::static_stride<stride, offset>>;

    explicit ring_variant(shared_object object)
        : object_(std::move(object)),
          ring_(memory(*reinterpret_cast<promisqs::detail::layout::counters*>(object_.data()),
                       object_.data() + first_slot),
                (object_.size() - first_slot) / stride),
          me_(std::make_unique<participant>()) {}

    void look_for_sleepers(role whose) const {
        if constexpr (Sleepers == sleepers::looked_for) {
            // Nobody ever is asleep here.
            if (promisqs::detail::wait_word(ring_.memory().wait_word(whose)).needs_attention()) [[unlikely]]
                std::abort();
        }
    }

    shared_object object_;
    promisqs::detail::ring<memory> ring_;
    std::unique_ptr<participant> me_;
};

}  // namespace bench
