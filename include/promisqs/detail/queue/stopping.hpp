// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <version>

#if defined(__cpp_lib_jthread)
#include <stop_token>
#endif

namespace promisqs::detail {

#if defined(__cpp_lib_jthread)
using stop_token = std::stop_token;
#else
/// Stands in for `std::stop_token` where the standard library has none (libc++ before 18): no stop is ever requested.
struct stop_token {
    [[nodiscard]] static constexpr bool stop_possible() noexcept { return false; }
    [[nodiscard]] static constexpr bool stop_requested() noexcept { return false; }
};
#endif

}  // namespace promisqs::detail
