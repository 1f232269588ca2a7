// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

namespace bench {

/// A name for a shared memory object that nobody else uses. The object, whoever made it, is removed with this, or when
/// the program is ended by Ctrl-C.
class segment_name {
public:
    segment_name();
    ~segment_name();
    segment_name(const segment_name&) = delete;
    segment_name& operator=(const segment_name&) = delete;

    [[nodiscard]] const std::string& get() const noexcept { return name_; }

private:
    std::string name_;
    std::size_t place_;  // in the list that the signal handler goes through
};

/// Installs the handler. Once, at the start of the program.
void remove_segments_on_signals();

}  // namespace bench
