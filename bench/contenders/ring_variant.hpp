// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../cpus.hpp"
#include "shared_object.hpp"

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/protocol/ring.hpp>
#include <promisqs/detail/protocol/slots.hpp>
#include <promisqs/detail/protocol/wait_word.hpp>

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

/// The ring of promisqs itself, without what a queue adds: names, checks, recovery. Leaving a part of it out shows what
/// robustness costs.
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
        const auto here = ring_;
        promisqs::detail::claim made{};
        if (!ring_.claim_push(here, *self_, made)) return false;
        std::memcpy(here.payload(made), &message, sizeof message);
        here.publish(made);
        look_for_sleepers(role::consumer);
        return true;
    }
    bool pop(T& out) {
        const auto here = ring_;
        promisqs::detail::claim made{};
        if (!ring_.claim_pop(here, *self_, made)) return false;
        std::memcpy(&out, here.payload(made), sizeof out);
        here.release(made);
        look_for_sleepers(role::producer);
        return true;
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
    static constexpr std::uint64_t stamp_offset = promisqs::detail::layout::stamp_offset(sizeof(T));
    using memory = promisqs::detail::slot_array<promisqs::detail::static_stride<stride, offset, stamp_offset>>;

    explicit ring_variant(shared_object object)
        : object_(std::move(object)),
          ring_(memory(*reinterpret_cast<promisqs::detail::layout::counters*>(object_.data()),
                       object_.data() + first_slot),
                (object_.size() - first_slot) / stride),
          self_(std::make_unique<participant>()) {}

    void look_for_sleepers(role whose) const {
        if constexpr (Sleepers == sleepers::looked_for) {
            // Nobody ever sleeps here.
            if (promisqs::detail::wait_word(ring_.memory().wait_word(whose)).needs_attention()) [[unlikely]]
                std::abort();
        }
    }

    shared_object object_;
    promisqs::detail::ring<memory> ring_;
    std::unique_ptr<participant> self_;
};

}  // namespace bench
