// SPDX-License-Identifier: Apache-2.0

// What recovery costs where there is much of something: slots, entries, handles, hostile words.

#include "numbers.hpp"
#include "segment_name.hpp"
#include "team.hpp"

#include <promisqs/detail/protocol/delivery_state.hpp>
#include <promisqs/detail/protocol/ticket.hpp>
#include <promisqs/queue.hpp>
#include <promisqs/wait_any.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <map>
#include <new>
#include <optional>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace bench {
namespace {

using clock = std::chrono::steady_clock;
using queue = promisqs::shmem_queue<std::uint64_t>;
using figures = std::map<std::string, double>;
using namespace std::chrono_literals;

// ---------------------------------------------------------------------------------------------- death inside a batch

std::atomic<bool>* is_inside = nullptr;

void stay(int /*signal*/) {
    *is_inside = true;
    for (;;) ::pause();
}

/// A producer that has claimed a batch as large as the queue, and stops at its first message, which can't be read.
void push_what_cannot_be_read(const std::string& name, std::size_t messages, std::atomic<bool>& inside) {
    is_inside = &inside;
    std::signal(SIGSEGV, stay);
    const std::size_t size = messages * sizeof(std::uint64_t);
    void* const memory = ::mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    auto q = queue::open(name);
    static_cast<void>(q.push_some(std::span(static_cast<const std::uint64_t*>(memory), messages)));
}

/// Milliseconds from the order to kill it until a message goes through that a producer and a consumer wait for.
double measure_batch_death(std::uint64_t capacity, std::uint32_t entries) {
    const segment_name name;
    auto q = queue::create(name.get(), capacity, {.participants = entries});
    const shared_array<std::atomic<bool>> inside(1);
    child producer([&] { push_what_cannot_be_read(name.get(), capacity, inside[0]); });
    while (!inside[0]) {
        producer.expect_alive();
        std::this_thread::sleep_for(100us);
    }
    std::optional<std::uint64_t> message;
    std::jthread pops([&] { message = q.pop_wait(); });
    std::jthread pushes([&] { static_cast<void>(q.push_wait(7)); });
    std::this_thread::sleep_for(30ms);  // until both are stuck, and have stopped looking
    const auto begin = clock::now();
    producer.kill();
    pops.join();
    const double passed = seconds_since(begin);
    pushes.join();
    expect(message == 7U, "another message came");
    return 1e3 * passed;
}

figures batch_death(std::uint64_t capacity, std::uint32_t entries, unsigned deaths) {
    std::vector<double> times;
    for (unsigned i = 0; i < deaths; ++i) times.push_back(measure_batch_death(capacity, entries));
    return {{"others_go_on_ms", median(times)}, {"longest_ms", *std::max_element(times.begin(), times.end())}};
}

// ------------------------------------------------------------------------------------------------------ many handles

struct opening {
    std::atomic<bool> done;
    std::atomic<bool> failed;
    double seconds;
    std::array<char, 256> error;
};

/// Opens so many handles, makes the calling thread a participant through each, and keeps them.
void open_many(const std::string& name, unsigned count, opening& report) {
    try {
        allow_descriptors(4 * count + 64);
        std::vector<queue> handles;
        handles.reserve(count);
        const auto begin = clock::now();
        for (unsigned i = 0; i < count; ++i) {
            handles.push_back(queue::open(name));
            static_cast<void>(handles.back().push(i));
            static_cast<void>(handles.back().pop());
        }
        report.seconds = seconds_since(begin);
        report.done = true;
        for (;;) ::pause();
    } catch (const std::exception& error) {
        std::strncpy(report.error.data(), error.what(), report.error.size() - 1);
        report.failed = true;
    }
}

figures many_handles(unsigned count, const scale& /*how_much*/) {
    const segment_name name;
    auto q = queue::create(name.get(), 1024, {.participants = 4096});
    const shared_array<opening> report(1);
    const child others([&] { open_many(name.get(), count, report[0]); });
    while (!report[0].done) {
        if (report[0].failed) throw std::runtime_error(report[0].error.data());
        others.expect_alive();
        std::this_thread::sleep_for(1ms);
    }
    std::vector<double> times;
    for (int i = 0; i < 21; ++i) {
        const auto begin = clock::now();
        const auto found = q.recover();
        times.push_back(1e3 * seconds_since(begin));
        expect(found.participants_removed == 0, "a living participant was taken for dead");
    }
    return {{"recover_ms", median(times)}, {"open_s", report[0].seconds}};
}

// ----------------------------------------------------------------------------------------------------- hostile words

/// A queue's shared memory, for somebody who does not care for the rules. docs/layout.md has the distances.
class intruder {
public:
    explicit intruder(const std::string& name) {
        const int file = ::open(("/dev/shm/" + name).c_str(), O_RDWR | O_CLOEXEC);
        size_ = static_cast<std::size_t>(::lseek(file, 0, SEEK_END));
        void* const memory = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        ::close(file);
        if (memory == MAP_FAILED) throw std::bad_alloc();
        bytes_ = static_cast<std::byte*>(memory);
    }
    intruder(const intruder&) = delete;
    intruder& operator=(const intruder&) = delete;
    ~intruder() { ::munmap(bytes_, size_); }

    void tail(std::uint64_t ticket) const { put(256, ticket); }
    void head(std::uint64_t ticket) const { put(384, ticket); }
    void irregular_count(std::uint64_t count) const { put(768, count); }
    void occupied(std::uint64_t entry) const { put(entry_at(entry), std::uint32_t{1}); }
    void intents(std::uint64_t entry, std::uint64_t first, std::uint64_t count) const {
        for (const std::size_t role : {std::size_t{0}, std::size_t{16}}) {
            put(entry_at(entry) + 32 + role, first);
            put(entry_at(entry) + 40 + role, count);
        }
    }
    void stamp(std::uint64_t index, std::uint64_t value) const {
        put(get<std::uint64_t>(56) + index * get<std::uint64_t>(40) + get<std::uint32_t>(52), value);
    }
    /// All words but the header, and `occupied` of entries.
    void randomise(unsigned seed, std::uint64_t entries) const {
        std::mt19937_64 random(seed);
        for (std::size_t at = 256; at < entry_at(0); at += 8) put(at, random());
        for (std::uint64_t i = 0; i < entries; ++i) {
            for (std::size_t at = 8; at < 128; at += 8) put(entry_at(i) + at, random());
        }
        for (auto at = get<std::uint64_t>(56); at + 8 <= size_; at += 8) put(at, random());
    }

private:
    template <class Word>
    void put(std::size_t at, Word word) const {
        expect(at + sizeof word <= size_, "the layout is another one");
        std::memcpy(bytes_ + at, &word, sizeof word);
    }
    template <class Word>
    [[nodiscard]] Word get(std::size_t at) const {
        Word word{};
        std::memcpy(&word, bytes_ + at, sizeof word);
        return word;
    }
    [[nodiscard]] std::size_t entry_at(std::uint64_t entry) const {
        return get<std::uint64_t>(64) + entry * get<std::uint32_t>(76);
    }

    std::size_t size_;
    std::byte* bytes_;
};

struct hostile_size {
    std::uint64_t capacity;
    std::uint32_t entries;
};

/// What is written into the queue; entries and their intents come on top.
struct hostile_words {
    const char* name;
    std::function<void(const intruder&, const promisqs::detail::ticket_space&)> write;
};

std::vector<hostile_words> all_hostile_words(std::uint32_t entries) {
    using promisqs::detail::delivery_state;
    using promisqs::detail::make_stamp;
    using promisqs::detail::slot_state;
    using promisqs::detail::ticket_space;
    const auto lap = [](const ticket_space& space) { return space.next_lap(space.next_lap(0)); };
    // A whole lap in one state, all claimed by producers; by consumers, too, or not.
    const auto filled = [=](std::uint64_t state, bool popped) {
        return [=](const intruder& at, const ticket_space& space) {
            at.head(popped ? space.next_lap(lap(space)) : lap(space));
            at.tail(space.next_lap(lap(space)));
            for (std::uint64_t i = 0; i < space.capacity(); ++i) at.stamp(i, lap(space) + state);
        };
    };
    const auto of = [](slot_state state) { return static_cast<std::uint64_t>(state); };
    const std::uint64_t orphan = delivery_state(of(slot_state::full)).after_death().value();
    const std::uint64_t retaken = delivery_state(orphan).retaken().value();
    std::vector<hostile_words> all{
        {"pushes in progress", filled(of(slot_state::free), false)},
        {"pops in progress", filled(of(slot_state::full), true)},
        {"tombstones", filled(of(slot_state::tombstone), false)},
        {"tombstones that were passed", filled(of(slot_state::tombstone), true)},
        {"retaken messages", filled(retaken, true)},
        {"orphans",
         [=](const intruder& at, const ticket_space& space) {
             filled(orphan, true)(at, space);
             at.irregular_count(1);
         }},
        {"all states", [=](const intruder& at, const ticket_space& space) {
             filled(0, true)(at, space);
             at.irregular_count(1);
             for (std::uint64_t i = 0; i < space.capacity(); ++i) {
                 at.stamp(i, lap(space) + std::array<std::uint64_t, 5>{0, 1, 2, orphan, retaken}[i % 5]);
             }
         }}};
    for (unsigned seed = 1; seed <= 3; ++seed) {
        all.push_back(
            {"random words", [=](const intruder& at, const ticket_space& /*space*/) { at.randomise(seed, entries); }});
    }
    return all;
}

/// Calls that never block, or do not wait when they are told not to.
std::vector<std::pair<const char*, std::function<void(queue&)>>> non_blocking_calls() {
    return {{"try_push", [](queue& q) { static_cast<void>(q.try_push(1)); }},
            {"try_pop",
             [](queue& q) {
                 std::uint64_t out = 0;
                 static_cast<void>(q.try_pop(out));
             }},
            {"try_peek",
             [](queue& q) {
                 std::uint64_t out = 0;
                 static_cast<void>(q.try_peek(out));
             }},
            {"push_wait_for_zero", [](queue& q) { static_cast<void>(q.push_wait_for(1, 0ns)); }},
            {"pop_wait_for_zero", [](queue& q) { static_cast<void>(q.pop_wait_for(0ns)); }},
            {"wait_any_zero", [](queue& q) { static_cast<void>(promisqs::wait_any(q, 0ns)); }},
            {"size", [](queue& q) { static_cast<void>(q.size()); }},
            {"full", [](queue& q) { static_cast<void>(q.full()); }},
            {"stats", [](queue& q) { static_cast<void>(q.stats()); }},
            {"recover", [](queue& q) { static_cast<void>(q.recover()); }}};
}

/// Milliseconds that a call takes. All entries but the caller's, and the last one, belong to nobody any more.
///
/// \param one_is_alive  whether all intents cover all positions, and the last entry's owner lives
double measure_hostile_call(const hostile_size& size, const hostile_words& words, bool one_is_alive,
                            const std::function<void(queue&)>& call) {
    const promisqs::detail::ticket_space space(size.capacity);
    const segment_name name;
    auto q = queue::create(name.get(), size.capacity, {.participants = size.entries});
    const intruder other(name.get());
    const auto use = [](queue& own) { expect(own.push(1) && own.pop(), "a push or a pop failed"); };
    use(q);
    auto last = queue::open(name.get());  // before the entries are written, because it recovers
    for (std::uint32_t i = 1; i < size.entries - 1; ++i) other.occupied(i);
    if (one_is_alive) use(last);
    if (!one_is_alive) other.occupied(size.entries - 1);
    words.write(other, space);
    // So that it is in the middle of something at every position.
    const std::uint64_t first = space.next_lap(space.next_lap(0));
    for (std::uint32_t i = 1; i < size.entries; ++i) other.intents(i, first, ~std::uint64_t{0});
    const auto begin = clock::now();
    try {
        call(q);
    } catch (const promisqs::queue_error&) {}  // that it is corrupt
    return 1e3 * seconds_since(begin);
}

figures hostile(const hostile_size& size, const scale& how_much) {
    figures found{{"longest_ms", 0}};
    for (const auto& words : all_hostile_words(size.entries)) {
        for (const auto& [name, call] : non_blocking_calls()) {
            for (const bool one_is_alive : {true, false}) {
                // The same each time: what is more than the least is another process's.
                double least = measure_hostile_call(size, words, one_is_alive, call);
                for (unsigned i = 1; i < how_much.of(3, 1); ++i) {
                    least = std::min(least, measure_hostile_call(size, words, one_is_alive, call));
                }
                found["longest_ms"] = std::max(found["longest_ms"], least);
                auto& of_call = found[std::string(name) + "_ms"];
                of_call = std::max(of_call, least);
            }
        }
    }
    return found;
}

}  // namespace

void add_deaths(std::vector<measurement>& all) {
    const char* const go_on = "others_go_on_ms";
    all.push_back({"death_in_a_batch/slots=1024/entries=256", go_on,
                   [](const scale& s) { return batch_death(1024, 256, s.of(15, 1)); }});
    all.push_back({"death_in_a_batch/slots=65536/entries=65536", go_on,
                   [](const scale& s) { return s.quick ? batch_death(2048, 2048, 1) : batch_death(65536, 65536, 1); }});
    all.push_back({"handles=1600", "recover_ms", [](const scale& s) { return many_handles(s.of(1600, 100), s); }});
    all.push_back({"hostile_words/slots=1024/entries=256", "longest_ms", [](const scale& s) {
                       return hostile(s.quick ? hostile_size{16, 8} : hostile_size{1024, 256}, s);
                   }});
}

}  // namespace bench
