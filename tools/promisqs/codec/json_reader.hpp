// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "codec/plan.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace promisqs_tool {

/// A text that is no JSON, or does not fit the schema: which field, what was expected, and what was found.
class misfit : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// Makes messages of JSON as `json_writer` writes it. Every field is to be there, once.
class json_reader {
public:
    explicit json_reader(std::shared_ptr<const message_plan> plan);

    /// \param text     one JSON value
    /// \param message  of the plan's size; padding becomes zero. If it does not fit, anything
    /// \throws misfit
    void read(std::string_view text, std::span<std::byte> message);

    [[nodiscard]] const message_plan& plan() const noexcept { return *plan_; }

    // What nlohmann's parser calls, in the order of the text.

    bool null();
    bool boolean(bool value);
    bool number_integer(std::int64_t value);
    bool number_unsigned(std::uint64_t value);
    bool number_float(double value, const std::string& digits);
    bool string(std::string& value);
    bool binary(std::vector<std::uint8_t>& value);
    bool start_object(std::size_t count);
    bool key(std::string& name);
    bool end_object();
    bool start_array(std::size_t count);
    bool end_array();
    template <class Exception>
    bool parse_error(std::size_t position, const std::string& /*last_token*/, const Exception& error) {
        refuse_text(position, error.what());
    }

private:
    /// Where a value goes.
    struct place {
        const plan_node* field;
        std::uint32_t extent;  ///< how many indices lead to it
        std::byte* at;

        [[nodiscard]] bool is_array() const noexcept { return extent != field->extents; }
    };
    /// An array or object that has begun.
    struct level {
        place of;
        std::uint64_t count;     ///< of its elements or fields, so far
        const plan_node* field;  ///< of an object: the last one
    };

    [[nodiscard]] place next_place();

    /// Whether the last object is `{"hex":"…"}` in place of a text.
    [[nodiscard]] bool is_in_hex() const;
    [[nodiscard]] std::string path() const;
    [[noreturn]] void refuse(std::string_view expected, std::string_view found) const;
    [[noreturn]] void refuse_at(const place& to, std::string_view found) const;
    [[noreturn]] void refuse_key(const plan_node& object, std::string_view name) const;
    [[noreturn]] static void refuse_text(std::size_t position, std::string_view why);

    std::shared_ptr<const message_plan> plan_;
    std::vector<level> open_;
    std::vector<bool> seen_;  // of each field: whether the object that it is in has had it
    std::byte* message_ = nullptr;
};

}  // namespace promisqs_tool
