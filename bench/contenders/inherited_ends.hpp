// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../cpus.hpp"
#include "descriptor.hpp"

#include <fcntl.h>

#include <array>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>

namespace bench {

/// The two ends of a connection that is made before the fork; a child, who has inherited them, finds its own by the
/// segment's name. So no side has to wait for the other to listen, and nothing is ever left in the file system.
class inherited_ends {
public:
    /// Gives the ends a name for as long as this lives.
    inherited_ends(std::string segment, descriptor producers, descriptor consumers)
        : segment_(std::move(segment)), ends_{std::move(producers), std::move(consumers)} {
        if (!known().try_emplace(segment_, std::array{ends_[0].get(), ends_[1].get()}).second) {
            throw std::logic_error(segment_ + " exists already");
        }
    }

    /// Has a copy of one of them.
    inherited_ends(const std::string& segment, side where) {
        const auto found = known().find(segment);
        if (found == known().end()) throw std::logic_error(segment + " was not created by a parent of this process");
        ends_[index(where)] = {::fcntl(found->second[index(where)], F_DUPFD_CLOEXEC, 0), "fcntl"};
    }

    inherited_ends(inherited_ends&& other) noexcept
        : segment_(std::exchange(other.segment_, {})), ends_(std::move(other.ends_)) {}
    inherited_ends& operator=(inherited_ends&&) = delete;
    ~inherited_ends() {
        if (!segment_.empty()) known().erase(segment_);
    }

    [[nodiscard]] int producers() const noexcept { return ends_[0].get(); }
    [[nodiscard]] int consumers() const noexcept { return ends_[1].get(); }

private:
    static constexpr std::size_t index(side where) { return where == side::producers ? 0 : 1; }

    static std::map<std::string, std::array<int, 2>>& known() {
        static std::map<std::string, std::array<int, 2>> ends;
        return ends;
    }

    std::string segment_;  // empty in a copy
    std::array<descriptor, 2> ends_;
};

}  // namespace bench
