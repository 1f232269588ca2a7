// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/protocol/recovery_notes.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace promisqs::detail {

/// The memory in which a process notes what its recoveries of a queue find, and where the next one goes on. Allocated
/// once, so that a recovery needs none. Only the holder of the recovery lock may use it.
class recovery_workspace {
public:
    recovery_workspace(std::uint32_t participants, std::uint64_t capacity)
        : verdicts_(participants),
          states_(layout::lesser(capacity, largest_window)),
          words_(recovery_notes::words_for(states_.size())),
          notes_(verdicts_, states_, words_) {}

    recovery_workspace(const recovery_workspace&) = delete;
    recovery_workspace& operator=(const recovery_workspace&) = delete;
    ~recovery_workspace() = default;

    [[nodiscard]] recovery_notes& notes() noexcept { return notes_; }

private:
    static constexpr std::uint64_t largest_window = 65536;

    std::vector<verdict> verdicts_;
    std::vector<std::uint8_t> states_;
    std::vector<std::uint64_t> words_;
    recovery_notes notes_;
};

}  // namespace promisqs::detail
