// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/inspector.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace promisqs_tool {

/// What the latest look at a queue has found.
struct watched_queue {
    std::optional<promisqs::queue_state> state;  ///< nothing: no such object, or it can't be opened
    std::string problem;                         ///< why there are no figures, in a sentence; empty: there are
    std::uint64_t object = 0;                    ///< another number: the name leads to another object
    std::chrono::steady_clock::time_point looked_at{};
    promisqs::queue_stats figures{};
    std::vector<promisqs::participant_look> participants;
    std::uint64_t bytes = 0;
    std::uint64_t element_size = 0;
    std::uint32_t most_participants = 0;
    std::chrono::system_clock::time_point created_at{};

    [[nodiscard]] bool has_figures() const noexcept { return problem.empty(); }
};

/// How many participants of a queue do what.
struct participant_counts {
    std::size_t producers = 0;
    std::size_t consumers = 0;
    std::size_t both = 0;
    std::size_t neither = 0;  ///< they have only waited so far
};
[[nodiscard]] participant_counts count_participants(const watched_queue& of, bool alive);

/// Looks at queues again and again, without taking part. It keeps what it has opened, so that it knows for how long
/// each participant has held a message.
class queue_watch {
public:
    /// \param names  which queues; none: all that are there
    explicit queue_watch(std::vector<std::string> names);

    /// Looks at each queue once. An interruption ends it early: then the rest stays as it was.
    void look();

    /// In the order of their names.
    [[nodiscard]] const std::map<std::string, watched_queue>& queues() const noexcept { return found_; }

private:
    /// \return  whether it is there
    bool look_at(const std::string& name, std::optional<promisqs::queue_state> listed);
    promisqs::inspector& opened(const std::string& name, watched_queue& into);

    std::vector<std::string> names_;
    std::map<std::string, watched_queue> found_;
    std::map<std::string, promisqs::inspector> inspectors_;
    std::uint64_t objects_ = 0;
};

}  // namespace promisqs_tool
