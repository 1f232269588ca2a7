// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../cpus.hpp"
#include "helper_process.hpp"

#include <dbus/dbus.h>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace bench {

/// The address of a bus that runs for as long as this program does.
inline const std::string& private_bus() {
    static const helper_process daemon({"dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address=1"},
                                       "unix:");
    return daemon.ready_line();
}

/// D-Bus: calls of a method that takes an array of bytes, by way of a bus of its own. Most are sent without a reply;
/// each 256th waits for one, so that the bus does not have to keep what the consumer has not read yet.
template <class T>
class dbus {
public:
    using value_type = T;
    static constexpr const char* name = "dbus";
    static constexpr bool crosses_processes = true;
    static constexpr bool one_to_one_only = true;

    static dbus create(const std::string& segment, std::uint64_t /*capacity*/) {
        private_bus();
        return dbus(segment);
    }
    static dbus open(const std::string& segment, side where) {
        dbus result(segment);
        result.connect(where);
        return result;
    }

    void push_wait(const T& message) {
        const message_pointer call(
            ::dbus_message_new_method_call(destination_.c_str(), "/queue", "promisqs.Bench", "Push"));
        const auto* bytes = reinterpret_cast<const unsigned char*>(&message);
        if (call == nullptr || ::dbus_message_append_args(call.get(), DBUS_TYPE_ARRAY, DBUS_TYPE_BYTE, &bytes,
                                                          static_cast<int>(sizeof message), DBUS_TYPE_INVALID) == 0) {
            throw std::bad_alloc();
        }
        if (++sent_ % unanswered != 0) {
            ::dbus_message_set_no_reply(call.get(), 1);
            ::dbus_connection_send(connection_.get(), call.get(), nullptr);
            ::dbus_connection_flush(connection_.get());
            return;
        }
        error failed;
        const message_pointer reply(
            ::dbus_connection_send_with_reply_and_block(connection_.get(), call.get(), 30'000, &failed.found));
        failed.raise("call");
    }

    void pop_wait(T& out) {
        for (;;) {
            message_pointer received(::dbus_connection_pop_message(connection_.get()));
            if (received == nullptr) {
                if (::dbus_connection_read_write(connection_.get(), -1) == 0)
                    throw std::runtime_error("the bus is gone");
                continue;
            }
            if (::dbus_message_is_method_call(received.get(), "promisqs.Bench", "Push") == 0) continue;
            const unsigned char* bytes = nullptr;
            int size = 0;
            error failed;
            ::dbus_message_get_args(received.get(), &failed.found, DBUS_TYPE_ARRAY, DBUS_TYPE_BYTE, &bytes, &size,
                                    DBUS_TYPE_INVALID);
            failed.raise("read");
            if (size != sizeof out) throw std::runtime_error("a message of another size");
            std::memcpy(&out, bytes, sizeof out);
            if (::dbus_message_get_no_reply(received.get()) == 0) {
                const message_pointer reply(::dbus_message_new_method_return(received.get()));
                ::dbus_connection_send(connection_.get(), reply.get(), nullptr);
                ::dbus_connection_flush(connection_.get());
            }
            return;
        }
    }

private:
    struct closer {
        void operator()(::DBusConnection* connection) const {
            ::dbus_connection_close(connection);
            ::dbus_connection_unref(connection);
        }
        void operator()(::DBusMessage* message) const { ::dbus_message_unref(message); }
    };
    using message_pointer = std::unique_ptr<::DBusMessage, closer>;

    struct error {
        error() { ::dbus_error_init(&found); }
        ~error() { ::dbus_error_free(&found); }
        error(const error&) = delete;
        error& operator=(const error&) = delete;
        void raise(const char* during) const {
            if (::dbus_error_is_set(&found) != 0) throw std::runtime_error(std::string(during) + ": " + found.message);
        }
        ::DBusError found{};
    };

    static constexpr std::uint64_t unanswered = 256;

    explicit dbus(std::string segment) : destination_("promisqs.bench." + std::move(segment)) {
        for (char& letter : destination_) letter = letter == '-' ? '_' : letter;
    }

    void connect(side where) {
        error failed;
        connection_.reset(::dbus_connection_open_private(private_bus().c_str(), &failed.found));
        failed.raise("connect");
        ::dbus_bus_register(connection_.get(), &failed.found);
        failed.raise("register");
        ::dbus_connection_set_exit_on_disconnect(connection_.get(), 0);
        if (where == side::consumers) {
            ::dbus_bus_request_name(connection_.get(), destination_.c_str(), 0, &failed.found);
            failed.raise("request a name");
            return;
        }
        while (::dbus_bus_name_has_owner(connection_.get(), destination_.c_str(), &failed.found) == 0) {
            failed.raise("look for the consumer");
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    }

    std::string destination_;
    std::unique_ptr<::DBusConnection, closer> connection_;
    std::uint64_t sent_ = 0;
};

}  // namespace bench
