// SPDX-License-Identifier: Apache-2.0
#pragma once

// What can be sent through a queue. Each requirement has a name of its own, because that is what a compiler's message shows.

#include <promisqs/layout.hpp>

#include <type_traits>

namespace promisqs {

/// Its bytes are its value: it can be copied to another process as it is, and is neither const nor volatile.
template <class T>
concept trivially_copyable = std::is_trivially_copyable_v<T> && std::is_same_v<T, std::remove_cv_t<T>>;

/// A copy of it can be made and returned. (A C array can't: use `std::array`.)
template <class T>
concept returnable_by_copy = std::is_trivially_copy_constructible_v<T> && !std::is_array_v<T>;

/// It means the same in another process, which an address does not: send an index or an offset instead.
template <class T>
concept meaningful_elsewhere = !std::is_pointer_v<T> && !std::is_member_pointer_v<T> && !std::is_null_pointer_v<T>;

/// It is aligned to no more than a page.
template <class T>
concept aligned_within_a_page = alignof(T) <= layout::max_alignment;

/// What can be sent through a queue.
template <class T>
concept queue_element =
    trivially_copyable<T> && returnable_by_copy<T> && meaningful_elsewhere<T> && aligned_within_a_page<T>;

}  // namespace promisqs
