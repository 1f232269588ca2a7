// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "inspect/queue_watch.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace promisqs_tool {

/// How full a queue was in each second of the last minute.
class minute_trace {
public:
    static constexpr std::size_t seconds = 60;
    static constexpr unsigned unknown = 0;
    static constexpr unsigned empty = 1;
    static constexpr unsigned full = 9;

    /// \param fraction  of its capacity, 0 to 1
    void add(double fraction, std::chrono::steady_clock::time_point now);

    /// The fullest of the seconds that this one of so many columns stands for, the latest in the last column: `unknown`,
    /// `empty`, or more, up to `full`.
    [[nodiscard]] unsigned level(std::size_t column, std::size_t columns) const;

private:
    std::array<std::uint8_t, seconds> levels_{};  // by second, modulo 60
    std::int64_t latest_ = -1;                    // the second of the latest one
};

/// What `top` shows of a queue.
struct top_row {
    std::string name;           ///< printable
    std::string problem;        ///< why there are no figures; empty: there are
    std::optional<double> in;   ///< messages pushed in a second; nothing: it was not there before
    std::optional<double> out;  ///< messages popped in a second
    std::uint64_t size = 0;
    std::uint64_t capacity = 1;
    std::string users;  ///< "2/1": producers and consumers; or the state, if there are none
    std::string note;   ///< who blocks whom
    bool is_stalled = false;
    minute_trace trace;

    [[nodiscard]] double fullness() const noexcept {
        return static_cast<double>(size) / static_cast<double>(capacity == 0 ? 1 : capacity);
    }
};

enum class top_order { name, in, out, depth, stalled };
[[nodiscard]] std::string_view to_string(top_order order) noexcept;
[[nodiscard]] top_order next_order(top_order order) noexcept;

/// Remembers what rates and traces are made from.
class top_rows {
public:
    /// Takes in what has been found.
    void take(const queue_watch& seen);

    [[nodiscard]] std::vector<const top_row*> sorted(top_order order) const;

private:
    struct remembered {
        top_row row;
        std::uint64_t object = 0;
        std::uint64_t pushed = 0;
        std::uint64_t popped = 0;
        std::chrono::steady_clock::time_point when{};
    };
    static void fill(remembered& into, const std::string& name, const watched_queue& from);

    std::map<std::string, remembered> all_;
};

}  // namespace promisqs_tool
