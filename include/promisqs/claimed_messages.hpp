// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/platform.hpp>  // first

/// \file
/// Messages that a consumer holds until it is done with them: `claim_some` of a queue.
///
/// \code
/// auto held = q.claim_some_wait(64);
/// for (const order& one : held) send(one);
/// while (const auto i = next_acknowledgement()) held.release(*i);  // one by one
/// \endcode

#include <promisqs/detail/queue/held_batch.hpp>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <type_traits>
#include <utility>

namespace promisqs {

/// Messages that were claimed, and what is to become of each. A message that is *released* is gone: the consumer has
/// had it, and its place is free. A message that is *held* keeps its place in the queue. If this object is destroyed,
/// or its process is killed, other consumers get what it holds. `claim_some` finds such messages first, one at a time;
/// those of a killed process, once a recovery has found that (`recover`). They come in the order of the queue to a
/// consumer that begins afterwards; one that claims in the meantime may get later ones first. Such a death does not
/// count as one of the message's (`options::max_deaths`).
///
/// Each object takes part in the queue as one more participant (`options::participants`), whichever threads use it. A
/// handle keeps that participant's entry for the next object. One thread at a time may use an object. The queue stays
/// open while an object is not empty, also when the handle that it came from is gone. A child of `fork` holds nothing:
/// the messages are its parent's.
///
/// \tparam Elements  of the handle: a message is a `const T&` of a `shmem_queue<T>`, and a `std::span` of the bytes of
///                   an `untyped_queue`
template <class Elements>
class claimed_messages {
public:
    using size_type = std::uint64_t;
    using view = typename Elements::view;
    class iterator;

    claimed_messages(claimed_messages&&) noexcept = default;
    /// Gives back what it holds, first.
    claimed_messages& operator=(claimed_messages&&) noexcept = default;
    ~claimed_messages() = default;

    /// How many were claimed, released or not.
    [[nodiscard]] size_type size() const noexcept { return batch_.size(); }
    /// Whether none was claimed.
    [[nodiscard]] bool empty() const noexcept { return batch_.size() == 0; }
    /// How many are held.
    [[nodiscard]] size_type held() const noexcept { return batch_.left(); }

    /// A message, in the queue. Do not use it once it is released: a producer may write there.
    ///
    /// \pre  i < size(), and it is held
    [[nodiscard]] view operator[](size_type i) const noexcept { return elements_.view_at(batch_.payload(i)); }
    /// The number of a message: how many places of the queue come before its own, from the queue's creation on. No two
    /// messages of a queue have the same. A message that is delivered again keeps it.
    ///
    /// \pre  i < size()
    [[nodiscard]] std::uint64_t number(size_type i) const noexcept { return batch_.number(i); }
    /// Whether a message is held: not released yet, nor given back.
    [[nodiscard]] bool is_held(size_type i) const noexcept { return batch_.is_held(i); }

    /// Hands a message over, in any order. That is one store, as at the end of a pop; what this thread did before comes
    /// before what the producer does that uses the place next.
    ///
    /// \param i         any number; from `size()` on, nothing happens
    /// \return  whether it was held; false changes nothing
    /// \par Blocks
    ///   never; makes a system call to wake a producer that sleeps, and after the last one takes a lock of this process
    /// \par If killed
    ///   the message is gone, or is delivered to another consumer
    bool release(size_type i) noexcept { return batch_.release(i); }
    /// Releases all that are held.
    void release_all() noexcept {
        for (size_type i = 0; i < size(); ++i) batch_.release(i);
    }
    /// Leaves all that are held to other consumers. Then it is empty.
    ///
    /// \par Blocks
    ///   as a callable of `pop_with` that throws
    /// \par If killed
    ///   the same happens, by a recovery
    void give_back() noexcept { batch_.give_back(); }

    /// All messages, released or not. Read only those that are held.
    [[nodiscard]] iterator begin() const noexcept { return {*this, 0}; }
    [[nodiscard]] iterator end() const noexcept { return {*this, size()}; }

private:
    template <class>
    friend class basic_queue;
    claimed_messages(const Elements& elements, detail::held_batch&& batch) noexcept
        : elements_(elements), batch_(std::move(batch)) {}

    Elements elements_;
    detail::held_batch batch_;
};

/// Goes through the messages.
template <class Elements>
class claimed_messages<Elements>::iterator {
public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = std::remove_cvref_t<view>;
    using difference_type = std::ptrdiff_t;

    iterator(const claimed_messages& all, size_type at) noexcept : all_(&all), at_(at) {}

    [[nodiscard]] view operator*() const noexcept { return (*all_)[at_]; }
    iterator& operator++() noexcept {
        ++at_;
        return *this;
    }
    void operator++(int) noexcept { ++at_; }
    friend bool operator==(const iterator& a, const iterator& b) noexcept { return a.at_ == b.at_; }

private:
    const claimed_messages* all_;
    size_type at_;
};

}  // namespace promisqs
