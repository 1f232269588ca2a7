// SPDX-License-Identifier: Apache-2.0

// The shared bytes, as docs/layout.md promises them to readers in other languages. A failure here means: raise
// `layout::version` and write it down in CHANGELOG.md, or take the change back.

#include "support/catch.hpp"
#include "support/names.hpp"
#include "support/raw_object.hpp"

#include <promisqs/queue.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

using promisqs_test::raw_object;
using promisqs_test::scoped_name;

namespace layout = promisqs::detail::layout;

namespace {

struct order {
    std::uint64_t id;
    std::array<std::uint8_t, 12> symbol;
    float price;
};

class image {
public:
    explicit image(const scoped_name& name) : bytes_(raw_object(name.path()).read()) {}

    [[nodiscard]] std::uint64_t u64(std::size_t offset) const { return number<std::uint64_t>(offset); }
    [[nodiscard]] std::uint32_t u32(std::size_t offset) const { return number<std::uint32_t>(offset); }
    [[nodiscard]] std::string text(std::size_t offset, std::size_t size) const {
        return {reinterpret_cast<const char*>(&bytes_.at(offset)), size};
    }
    [[nodiscard]] std::size_t size() const { return bytes_.size(); }

    void blank(std::size_t offset, std::size_t size) { std::memset(&bytes_.at(offset), 0, size); }
    [[nodiscard]] std::string hex(std::size_t from, std::size_t to) const {
        std::string digits;
        for (std::size_t i = from; i < to; ++i) {
            constexpr const char* digit = "0123456789abcdef";
            const auto byte = std::to_integer<unsigned>(bytes_.at(i));
            digits += {digit[byte / 16], digit[byte % 16]};
        }
        return digits;
    }

private:
    template <class Number>
    [[nodiscard]] Number number(std::size_t offset) const {
        Number value = 0;
        std::memcpy(&value, &bytes_.at(offset), sizeof value);
        return value;
    }

    std::vector<std::byte> bytes_;
};

}  // namespace

TEST_CASE("the header of a new queue is these bytes") {
    const scoped_name name("golden");
    const auto q = promisqs::shmem_queue<order>::create(name, 5, {.life = promisqs::lifetime::keep, .participants = 3});
    image bytes(name);

    CHECK(bytes.u32(128) == static_cast<std::uint32_t>(::getpid()));
    CHECK(bytes.u64(120) > 1'700'000'000'000'000'000U);
    bytes.blank(120, 12);
    CHECK(bytes.hex(0, 256) ==
          "8950524f4d495351"  // magic
          "04000000"          // layout version
          "01000000"          // lifetime
          "1800000000000000"  // element size
          "0800000000000000"  // element alignment
          "0500000000000000"  // capacity
          "2000000000000000"  // slot stride
          "00000000"          // payload offset
          "18000000"          // stamp offset
          "8006000000000000"  // slots offset
          "8004000000000000"  // participants offset
          "03000000"          // participant count
          "80000000"          // participant stride
          "0006000000000000"  // schema offset
          "1c00000000000000"  // schema size
          "47af3c89d7e573e1"  // schema fingerprint
          "0000000000000000"  // name fingerprint: no name given
          "2007000000000000"  // segment size
          "0000000000000000"  // created at, blanked
          "00000000"          // creator pid, blanked
          "03000000" +        // deaths until a message is dropped
              std::string(240, '0'));
    CHECK(bytes.text(0x600, 0x1c) == "{u64@0 u8[12]@8 f32@20}:24:8");
    CHECK(bytes.size() == 0x720);
    CHECK(bytes.hex(256, 0x600) == std::string((0x600 - 256) * 2, '0'));
    CHECK(bytes.hex(0x680, 0x720) == std::string((0x720 - 0x680) * 2, '0'));
}

TEST_CASE("counters, intents, stamps and elements are where the documents say") {
    const scoped_name name("places");
    auto q = promisqs::shmem_queue<std::uint32_t>::create(name, 3, {.participants = 2});
    for (std::uint32_t i = 0; i < 3; ++i) REQUIRE(q.push(0xA0 + i));
    REQUIRE(q.pop() == 0xA0U);
    REQUIRE(q.push(0xA3));
    const image bytes(name);
    constexpr std::uint64_t lap = 256;  // the index of a slot takes 8 bits, at this capacity
    const std::size_t slots = bytes.u64(56);

    CHECK(bytes.u64(256) == lap + 1);  // tail: lap 1, index 1
    CHECK(bytes.u64(384) == 1);        // head: lap 0, index 1
    CHECK(bytes.u32(1152) == 1);       // occupied
    CHECK(bytes.u32(1156) == static_cast<std::uint32_t>(::getpid()));
    CHECK(bytes.u32(1160) == promisqs::detail::os::thread_id());
    CHECK(bytes.u64(1168) >= bytes.u64(120));
    CHECK(bytes.u64(1176) != 0);         // the number of this process
    CHECK(bytes.u64(1152 + 32) == lap);  // its last push ticket
    CHECK(bytes.u64(1152 + 40) == 1);
    CHECK(bytes.u64(1152 + 48) == 0);  // its last pop ticket
    CHECK(bytes.u64(1152 + 56) == 1);
    CHECK(bytes.u32(1152 + 128) == 0);  // the second entry is free
    CHECK(bytes.u32(slots) == 0xA3);
    CHECK(bytes.u64(slots + 8) == lap + 1);  // full, lap 1
    CHECK(bytes.u32(slots + 16) == 0xA1);
    CHECK(bytes.u64(slots + 24) == 1);  // full, lap 0
    CHECK(bytes.u32(slots + 32) == 0xA2);
    CHECK(bytes.u64(slots + 40) == 1);
}

TEST_CASE("single roles, their holders, and the wait words are where the documents say") {
    const scoped_name name("roles");
    auto q = promisqs::shmem_queue<std::uint32_t>::create(
        name, 3, {.participants = 2, .single_producer = true, .single_consumer = true});
    CHECK(image(name).u32(136) == 3);
    CHECK(image(name).u64(1024) == 0);
    REQUIRE(q.push(1));
    CHECK(image(name).u32(1024) == 1);  // the first entry
    CHECK(image(name).u32(1028) == 0);
    REQUIRE(q.pop() == 1U);
    CHECK(image(name).u32(1028) == 1);
    q.set_wait_policy({0, {}, {}});
    std::uint32_t left = 0;
    do {  // again, if the time was over before it could sleep
        CHECK_FALSE(q.pop_wait_for(std::chrono::milliseconds(100)));
        left = image(name).u32(512);
    } while (left < 16);                   // another epoch
    CHECK(left % 16 == 0);                 // nobody sleeps any more
    CHECK(image(name).u64(520) != 0);      // it has promised to look
    CHECK(image(name).u64(520) % 2 == 1);  // and left
    CHECK(image(name).u32(640) == 0);
    CHECK(image(name).u64(648) == 0);
    REQUIRE(q.push(2));
    CHECK(image(name).u32(512) == left);  // nobody to wake
    q.close();
    CHECK(image(name).u32(512) == left + 2);  // closing
    REQUIRE(q.pop() == 2U);
    CHECK_FALSE(q.pop());
    CHECK(image(name).u32(512) == left + 2 + 4);  // for good
}

TEST_CASE("the stamp lies behind a small element, and before a large one") {
    CHECK(layout::payload_offset(1, 1) == 0);
    CHECK(layout::stamp_offset(1) == 8);
    CHECK(layout::stamp_offset(8) == 8);
    CHECK(layout::stamp_offset(12) == 16);
    CHECK(layout::payload_offset(64, 64) == 0);
    CHECK(layout::stamp_offset(64) == 64);
    CHECK(layout::payload_offset(255, 1) == 0);
    CHECK(layout::stamp_offset(255) == 256);
    CHECK(layout::payload_offset(256, 8) == 64);
    CHECK(layout::stamp_offset(256) == 0);
    CHECK(layout::payload_offset(4096, 4096) == 4096);
    CHECK(layout::stamp_offset(4096) == 0);
}

TEST_CASE("slots are packed, but one that about fills a line has it to itself, and a large element begins on one") {
    CHECK(layout::slot_stride(1, 1) == 16);
    CHECK(layout::slot_stride(8, 8) == 16);
    CHECK(layout::slot_stride(16, 16) == 32);
    CHECK(layout::slot_stride(24, 8) == 32);
    CHECK(layout::slot_stride(32, 8) == 40);
    CHECK(layout::slot_stride(33, 1) == 64);
    CHECK(layout::slot_stride(56, 8) == 64);
    CHECK(layout::slot_stride(57, 1) == 72);
    CHECK(layout::slot_stride(64, 8) == 72);
    CHECK(layout::slot_stride(64, 16) == 80);
    CHECK(layout::slot_stride(64, 64) == 128);
    CHECK(layout::slot_stride(192, 8) == 200);
    CHECK(layout::slot_stride(255, 1) == 264);
    CHECK(layout::slot_stride(256, 8) == 320);
    CHECK(layout::slot_stride(4096, 4096) == 8192);
}

TEST_CASE("every slot of every element is aligned and inside the segment") {
    for (std::uint64_t alignment = 1; alignment <= layout::max_alignment; alignment *= 2) {
        for (std::uint64_t size = alignment; size < 3 * alignment + 600; size += alignment) {
            const auto plan = layout::make_plan(size, alignment, 7, 3, 41);
            REQUIRE(plan.slots_offset % alignment == 0);
            REQUIRE(plan.slots_offset % 128 == 0);
            REQUIRE(plan.slot_stride % alignment == 0);
            REQUIRE(plan.slot_stride % 8 == 0);
            REQUIRE(plan.payload_offset % alignment == 0);
            REQUIRE(plan.stamp_offset % 8 == 0);
            REQUIRE((plan.stamp_offset + 8 <= plan.payload_offset || plan.payload_offset + size <= plan.stamp_offset));
            REQUIRE(plan.payload_offset + size <= plan.slot_stride);
            REQUIRE(plan.stamp_offset + 8 <= plan.slot_stride);
            REQUIRE(plan.segment_size == plan.slots_offset + 7 * plan.slot_stride);
            REQUIRE(plan.schema_offset + 41 <= plan.slots_offset);
        }
    }
}
