// SPDX-License-Identifier: Apache-2.0

// One queue for each of many sizes and alignments. They take long to compile, so one build has them: the optimised one.

#include "support/catch.hpp"
#include "support/names.hpp"
#include "support/patterned.hpp"

#include <promisqs/queue.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

using promisqs::shmem_queue;
using promisqs::status;
using promisqs_test::patterned;
using promisqs_test::scoped_name;

namespace {

template <std::size_t Size>
struct bytes {
    std::array<unsigned char, Size> data;
    friend bool operator==(const bytes&, const bytes&) = default;
};

template <std::size_t Size, std::size_t Alignment>
struct alignas(Alignment) aligned_bytes {
    std::array<unsigned char, Size> data;
    friend bool operator==(const aligned_bytes&, const aligned_bytes&) = default;
};

}  // namespace

TEMPLATE_TEST_CASE("elements of every size and alignment arrive as they were sent", "", bytes<1>, bytes<2>, bytes<3>,
                   bytes<7>, bytes<8>, bytes<9>, bytes<24>, bytes<32>, bytes<33>, bytes<56>, bytes<64>, bytes<65>,
                   bytes<255>, bytes<256>, bytes<1000>, bytes<4096>, bytes<65537>, (aligned_bytes<16, 16>),
                   (aligned_bytes<64, 64>), (aligned_bytes<128, 128>), (aligned_bytes<512, 256>),
                   (aligned_bytes<4096, 4096>)) {
    const scoped_name name("elements");
    auto q = shmem_queue<TestType>::create(name, 3);
    auto out = std::make_unique<TestType>();

    for (std::uint64_t i = 0; i < 10; i += 3) {
        for (std::uint64_t j = i; j < i + 3; ++j) REQUIRE(q.push(patterned<TestType>(j)));
        REQUIRE(q.try_peek(*out) == status::ok);
        CHECK((*out == patterned<TestType>(i)));
        CHECK((*q.pop() == patterned<TestType>(i)));
        REQUIRE(q.try_pop(*out) == status::ok);
        CHECK((*out == patterned<TestType>(i + 1)));
        CHECK((*q.pop() == patterned<TestType>(i + 2)));
    }
}
