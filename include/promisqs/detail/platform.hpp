// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the library needs of the compiler and the system. Every public header includes this first. Where something is
// missing, the compiler says so in one sentence, and stops: a file that is not there is an error that ends it.

#if __cplusplus < 202002L
#error "promisqs needs C++20: compile with -std=c++20"
#include "promisqs stops here: see the error above"
#elif defined(__clang__) && __clang_major__ < 16
#error "promisqs needs clang 16 or later: earlier ones can't take an element type apart"
#include "promisqs stops here: see the error above"
#elif !defined(__clang__) && (!defined(__GNUC__) || __GNUC__ < 12)
#error "promisqs needs g++ 12 or later, or clang 16 or later"
#include "promisqs stops here: see the error above"
#elif !defined(__cpp_exceptions)
#error "promisqs needs exceptions, by which it reports errors: compile without -fno-exceptions"
#include "promisqs stops here: see the error above"
#elif !defined(__linux__)
#error "promisqs runs on Linux: it needs open-file-description locks and futexes"
#include "promisqs stops here: see the error above"
#elif __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "promisqs needs a little-endian machine: the shared bytes have that order"
#include "promisqs stops here: see the error above"
#elif __SIZEOF_POINTER__ != 8
#error "promisqs needs a 64-bit program: the lock bytes and the largest queues lie beyond 32-bit offsets"
#include "promisqs stops here: see the error above"
#elif __GCC_ATOMIC_LLONG_LOCK_FREE != 2 || __GCC_ATOMIC_INT_LOCK_FREE != 2
#error "promisqs needs lock-free 32-bit and 64-bit atomics, because other processes share them"
#include "promisqs stops here: see the error above"
#endif

#if defined(min) || defined(max)
// Macros of the program, which standard headers do not stand. All that the library includes come here, without them.
#pragma push_macro("min")
#pragma push_macro("max")
#undef min
#undef max
#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <list>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>
#if __has_include(<stop_token>)
#include <stop_token>
#endif
#pragma pop_macro("max")
#pragma pop_macro("min")
#endif
