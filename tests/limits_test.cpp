// SPDX-License-Identifier: Apache-2.0

// The limits that a system sets a process (setrlimit): what meets one is an error that names it, and nothing is left.
// error_test.cpp and creation_test.cpp have those that creating a queue meets.

#include "support/catch.hpp"
#include "support/names.hpp"
#include "support/process.hpp"

#include <promisqs/queue.hpp>
#include <promisqs/ready_event.hpp>
#include <promisqs/wait_any.hpp>

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string_view>
#include <system_error>
#include <thread>

using namespace std::chrono_literals;
using promisqs::errc;
using promisqs::queue_error;
using promisqs_test::forked;
using promisqs_test::scoped_name;
using promisqs_test::wait_for;
using queue = promisqs::shmem_queue<std::uint64_t>;

namespace {

// The next descriptor that the process gets, plus so many, is beyond its limit.
bool leave_descriptors(int count) {
    const int next = ::dup(0);
    ::close(next);
    const ::rlimit few{static_cast<::rlim_t>(next + count), static_cast<::rlim_t>(next + count)};
    return next >= 0 && ::setrlimit(RLIMIT_NOFILE, &few) == 0;
}

// Whether an error that names the limit comes out.
template <class Action>
bool names(std::string_view limit, errc code, Action action) {
    try {
        action();
    } catch (const queue_error& error) {
        if (error.code() == code && std::string_view(error.what()).find(limit) != std::string_view::npos) return true;
        std::fprintf(stderr, "%s\n", error.what());
    }
    return false;
}

}  // namespace

TEST_CASE("a queue that can't be opened for want of descriptors says so, and is whole") {
    const scoped_name name("limit-open");
    auto q = queue::create(name, 4);
    bool opened = false;
    for (int count = 0; count < 16 && !opened; ++count) {
        CAPTURE(count);
        const int result = wait_for(forked([&] {
            if (!leave_descriptors(count)) return 1;
            try {
                return queue::open(name).push(1) ? 0 : 2;
            } catch (const queue_error& error) {
                const std::string_view text = error.what();
                return error.code() == errc::system_failure && text.find("RLIMIT_NOFILE") != text.npos ? 3 : 4;
            }
        }));
        opened = result == 0;
        CHECK((opened || result == 3));
        CHECK(q.stats().participants.empty());
    }
    CHECK(opened);
    CHECK(q.pop() == 1U);
    CHECK(q.empty());
}

TEST_CASE("a process that has no descriptors left goes on with the queues that it has") {
    const scoped_name name("limit-goes-on");
    auto q = queue::create(name, 2, {.max_deaths = 1});
    const int result = wait_for(forked([&] {
        auto mine = queue::open(name);
        if (!leave_descriptors(0)) return 1;
        if (!mine.push(1) || mine.pop() != 1U || mine.pop_wait_for(30ms)) return 2;
        bool pushed = false;
        std::thread([&] { pushed = mine.push(2); }).join();  // a new participant
        if (!pushed || promisqs::wait_any(mine, 1s) != 0U) return 3;
        static_cast<void>(mine.recover());
        if (mine.stats().participants.size() != 1) return 4;
        try {
            const promisqs::ready_event event(mine);
            return 5;
        } catch (const std::system_error& error) {
            return error.code() == std::errc::too_many_files_open ? 0 : 6;
        }
    }));
    CHECK(result == 0);
    CHECK(q.pop() == 2U);
}

TEST_CASE("a queue that does not fit into a process's address space is not opened there, with the limit's name") {
    const scoped_name name("limit-space");
    auto q = queue::create(name, std::uint64_t{8} << 20);  // 128 MiB
    const int result = wait_for(forked([&] {
        ::rlimit limit{};
        std::FILE* const self = std::fopen("/proc/self/statm", "r");
        unsigned long pages = 0;
        if (self == nullptr || std::fscanf(self, "%lu", &pages) != 1) return 1;
        std::fclose(self);
        limit.rlim_cur = limit.rlim_max = (pages * 4096) + (std::size_t{32} << 20);
        if (::setrlimit(RLIMIT_AS, &limit) != 0) return 2;
        return names("RLIMIT_AS", errc::no_memory, [&] { static_cast<void>(queue::open(name)); }) ? 0 : 3;
    }));
#if !defined(__SANITIZE_ADDRESS__)  // which needs all of the address space
    CHECK(result == 0);
#else
    static_cast<void>(result);
#endif
    CHECK(q.push(1));
    CHECK(q.pop() == 1U);
}

TEST_CASE("a limit to the size of files is no hindrance to opening and using a queue") {
    const scoped_name name("limit-size");
    auto q = queue::create(name, 1000);
    const int result = wait_for(forked([&] {
        const ::rlimit limit{4096, 4096};
        if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 1;
        auto mine = queue::open(name);
        return mine.push(1) && mine.pop() == 1U && !mine.pop_wait_for(1ms) ? 0 : 2;
    }));
    CHECK(result == 0);
}
