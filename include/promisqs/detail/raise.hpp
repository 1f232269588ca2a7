// SPDX-License-Identifier: Apache-2.0
#pragma once

// Throwing with a text made of parts. All of it is out of line and compiled for size: a place that throws then costs
// little more than the addresses of its words.

#include <promisqs/error.hpp>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <system_error>

namespace promisqs::detail {

/// A number as a part of a text.
class digits {
public:
    [[gnu::__cold__, gnu::__noinline__]] explicit digits(std::uint64_t number, unsigned base = 10) noexcept {
        do {
            text_[--begin_] = static_cast<char>('0' + number % base);
            number /= base;
        } while (number != 0);
    }

    operator std::string_view() const noexcept {  // NOLINT(google-explicit-constructor): stands for it
        return {text_ + begin_, sizeof text_ - begin_};
    }

private:
    char text_[22];  // enough for 2^64 - 1, octal
    std::size_t begin_ = sizeof text_;
};

/// What the system says of an `errno`.
[[gnu::__cold__, gnu::__noinline__]] inline std::string system_message(int error) {
    return std::generic_category().message(error);
}

/// \param queue    its name
/// \param details  the parts of the text: what was expected, what was found, and what to do
/// \throws         `queue_error`, always
[[noreturn, gnu::__cold__, gnu::__noinline__]] inline void raise(errc code, std::string_view queue,
                                                                 std::initializer_list<std::string_view> details) {
    throw queue_error(code, queue, concat(details));
}

}  // namespace promisqs::detail
