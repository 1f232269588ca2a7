// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "catch.hpp"

#include <promisqs/error.hpp>

#include <initializer_list>
#include <string>
#include <string_view>

namespace promisqs_test {

/// Calls `action`, which must throw `queue_error` with this code, and with all these words in its text.
template <class Action>
void expect_error(promisqs::errc code, std::initializer_list<std::string_view> words, Action action) {
    try {
        action();
    } catch (const promisqs::queue_error& error) {
        CHECK(error.code() == code);
        const std::string text = error.what();
        CAPTURE(text);
        for (const std::string_view word : words) {
            CAPTURE(word);
            CHECK(text.find(word) != std::string::npos);
        }
        return;
    }
    FAIL("no queue_error was thrown");
}

}  // namespace promisqs_test
