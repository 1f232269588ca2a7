// SPDX-License-Identifier: Apache-2.0

// A library that uses a queue, loaded and unloaded by a program that uses queues as well.

#include "support/catch.hpp"
#include "support/names.hpp"
#include "support/process.hpp"

#include <promisqs/queue.hpp>

#include <dlfcn.h>

#include <atomic>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <thread>

using promisqs_test::forked;
using promisqs_test::scoped_name;
using promisqs_test::wait_for;
using queue = promisqs::shmem_queue<std::uint32_t>;

namespace {

class plugin {
public:
    plugin() : library_(::dlopen(PROMISQS_TEST_PLUGIN, RTLD_NOW | RTLD_LOCAL)) {
        if (library_ == nullptr) throw std::runtime_error(::dlerror());
    }
    plugin(const plugin&) = delete;
    plugin& operator=(const plugin&) = delete;
    ~plugin() { ::dlclose(library_); }

    void open(const scoped_name& name) const { function<void(const char*)>("plugin_open")(name.str().c_str()); }
    [[nodiscard]] bool push(std::uint32_t message) const {
        return function<bool(std::uint32_t)>("plugin_push")(message);
    }
    void close() const { function<void()>("plugin_close")(); }

    [[nodiscard]] static bool is_loaded() {
        void* library = ::dlopen(PROMISQS_TEST_PLUGIN, RTLD_NOW | RTLD_NOLOAD);
        if (library != nullptr) ::dlclose(library);
        return library != nullptr;
    }

private:
    template <class Signature>
    [[nodiscard]] Signature* function(const char* name) const {
        void* found = ::dlsym(library_, name);
        if (found == nullptr) throw std::runtime_error(::dlerror());
        return reinterpret_cast<Signature*>(found);
    }

    void* library_;
};

}  // namespace

TEST_CASE("a plug-in that was unloaded does no harm to a thread that has used a queue in it") {
    const scoped_name name("plugin");
    auto q = queue::create(name, 8);
    for (std::uint32_t i = 0; i < 3; ++i) {
        std::atomic<bool> used = false;
        std::atomic<bool> unloaded = false;
        std::thread worker;
        {
            const plugin loaded;
            loaded.open(name);
            worker = std::thread([&] {
                CHECK(loaded.push(i));
                CHECK(q.pop() == i);  // through the host's own handle
                used = true;
                used.notify_one();
                unloaded.wait(false);
            });
            used.wait(false);
            loaded.close();
        }
        unloaded = true;
        unloaded.notify_one();
        worker.join();
        CHECK(q.stats().participants.empty());
    }
    CHECK(wait_for(forked([] { return 0; })) == 0);  // calls no handler of the plug-in's
}

TEST_CASE("a thread that ends gives back what it has in a plug-in's queue") {
    const scoped_name name("plugin-entry");
    auto q = queue::create(name, 8);
    const plugin loaded;
    loaded.open(name);
    std::thread([&] { CHECK(loaded.push(1)); }).join();
    CHECK(q.stats().participants.empty());
    CHECK(q.pop() == 1U);
    loaded.close();
}

TEST_CASE("a plug-in is unloaded once the threads that have used a queue in it have ended") {
    const scoped_name name("plugin-gone");
    const auto q = queue::create(name, 8);
    {
        const plugin loaded;
        loaded.open(name);
        std::thread([&] { CHECK(loaded.push(1)); }).join();
        loaded.close();
    }
    CHECK_FALSE(plugin::is_loaded());
}
