// SPDX-License-Identifier: Apache-2.0

#include "bridge/delivery_table.hpp"

#include <algorithm>
#include <bit>

namespace promisqs_tool {

namespace {

constexpr unsigned state_bits = 4;
constexpr std::uint64_t state_mask = (std::uint64_t{1} << state_bits) - 1;

constexpr std::uint64_t word_of(std::uint64_t sequence, delivery_state state) noexcept {
    return sequence << state_bits | static_cast<std::uint64_t>(state);
}
constexpr std::uint64_t sequence_of(std::uint64_t word) noexcept { return word >> state_bits; }

// What is no state counts as none: others may have written into the file.
constexpr delivery_state state_of_word(std::uint64_t word) noexcept {
    const std::uint64_t state = word & state_mask;
    return state <= static_cast<std::uint64_t>(delivery_state::confirmed) ? static_cast<delivery_state>(state)
                                                                          : delivery_state::unknown;
}

// What is written before is in the memory when it is: also for a reader on another processor. A bridge that is killed
// has made all stores up to some instruction, and none behind it.
constexpr auto publish = std::memory_order_release;
constexpr auto relaxed = std::memory_order_relaxed;

}  // namespace

delivery_table::delivery_table(std::span<delivery_entry> entries) noexcept
    : entries_(entries), shift_(64U - static_cast<unsigned>(std::bit_width(entries.size() / ways) - 1)) {}

// Neighbours, and sequences at any regular distance, are spread over the table.
std::size_t delivery_table::first_of(std::uint64_t sequence) const noexcept {
    if (shift_ >= 64U) return 0;
    constexpr std::uint64_t golden_ratio = 0x9e3779b97f4a7c15;
    return static_cast<std::size_t>((sequence * golden_ratio) >> shift_) * ways;
}

std::optional<delivery_table::place> delivery_table::find(const delivery& of) const noexcept {
    const std::size_t first = first_of(of.sequence);
    for (std::size_t i = first; i < first + ways; ++i) {
        const std::uint64_t word = entries_[i].word.load(std::memory_order_acquire);
        const bool is_it = sequence_of(word) == of.sequence && state_of_word(word) != delivery_state::unknown;
        if (is_it && entries_[i].timestamp.load(relaxed) == of.timestamp) return i;
    }
    return std::nullopt;
}

delivery_state delivery_table::state_of(const delivery& of) const noexcept {
    const auto found = find(of);
    return found ? state_at(*found) : delivery_state::unknown;
}

delivery_state delivery_table::state_at(place at) const noexcept {
    return state_of_word(entries_[at].word.load(std::memory_order_acquire));
}

delivery delivery_table::at(place at) const noexcept {
    const delivery_entry& one = entries_[at];
    return {sequence_of(one.word.load(std::memory_order_acquire)), one.timestamp.load(relaxed),
            one.consumer_sequence.load(relaxed), one.deliveries.load(relaxed)};
}

std::optional<delivery_table::place> delivery_table::hold(const delivery& added, std::uint64_t floor) noexcept {
    const std::size_t first = first_of(added.sequence);
    std::optional<place> oldest;
    std::uint64_t oldest_sequence = 0;
    for (std::size_t i = first; i < first + ways; ++i) {
        const std::uint64_t word = entries_[i].word.load(relaxed);
        const delivery_state state = state_of_word(word);
        // The same number and another time: it is of a stream that is no more.
        const bool is_free = state == delivery_state::unknown || sequence_of(word) == added.sequence;
        const bool is_forgettable = state == delivery_state::confirmed && sequence_of(word) <= floor;
        if (!is_free && !is_forgettable) continue;
        const std::uint64_t sequence = is_free ? 0 : sequence_of(word);
        if (oldest && sequence >= oldest_sequence) continue;
        oldest = i;
        oldest_sequence = sequence;
    }
    if (!oldest) return std::nullopt;
    delivery_entry& chosen = entries_[*oldest];
    chosen.word.store(0, publish);
    chosen.timestamp.store(added.timestamp, publish);
    renew(*oldest, added);
    chosen.word.store(word_of(added.sequence, delivery_state::held), publish);
    return oldest;
}

void delivery_table::renew(place at, const delivery& again) noexcept {
    entries_[at].consumer_sequence.store(again.consumer_sequence, publish);
    entries_[at].deliveries.store(again.deliveries, publish);
}

void delivery_table::set(place at, delivery_state state) noexcept {
    const std::uint64_t sequence = sequence_of(entries_[at].word.load(relaxed));
    entries_[at].word.store(word_of(sequence, state), publish);
}

void delivery_table::forget(place at) noexcept { entries_[at].word.store(0, publish); }

std::size_t delivery_table::taken(std::uint64_t floor) const noexcept {
    return static_cast<std::size_t>(std::count_if(entries_.begin(), entries_.end(), [floor](const auto& one) {
        const std::uint64_t word = one.word.load(relaxed);
        const delivery_state state = state_of_word(word);
        return state != delivery_state::unknown && (state != delivery_state::confirmed || sequence_of(word) > floor);
    }));
}

std::vector<delivery_table::place> delivery_table::unsettled() const {
    std::vector<place> found;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
        const delivery_state state = state_at(i);
        if (state != delivery_state::unknown && state != delivery_state::confirmed) found.push_back(i);
    }
    std::sort(found.begin(), found.end(), [this](place a, place b) { return at(a).sequence < at(b).sequence; });
    return found;
}

}  // namespace promisqs_tool
