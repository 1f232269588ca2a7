// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "system/exit_code.hpp"
#include "text/json.hpp"

#include <nats/nats.h>

#include <exception>
#include <stdexcept>
#include <string>

namespace promisqs_tool {

/// Something that does not work between this program and the server, in a sentence.
class nats_problem : public std::runtime_error {
public:
    /// \param code  how the program ends if trying again is of no use
    nats_problem(const std::string& sentence, exit_code code) : std::runtime_error(sentence), code_(code) {}
    /// One that may pass: the server can't be reached, or has no leader.
    explicit nats_problem(const std::string& sentence)
        : std::runtime_error(sentence), code_(exit_code::broken), passes_(true) {}

    [[nodiscard]] bool passes() const noexcept { return passes_; }
    [[nodiscard]] exit_code code() const noexcept { return code_; }

private:
    exit_code code_;
    bool passes_ = false;
};

/// An error that JetStream's interface has answered with.
class jetstream_error : public nats_problem {
public:
    jetstream_error(const std::string& sentence, exit_code code, int error, bool passes)
        : nats_problem(passes ? nats_problem(sentence) : nats_problem(sentence, code)), error_(error) {}

    /// One of `jsErrCode`.
    [[nodiscard]] int error() const noexcept { return error_; }

private:
    int error_;
};

/// The program was interrupted while it waited for the server.
class nats_interrupted : public std::exception {};

/// \throws nats_problem  the client's library says that something went wrong; "could not WHAT: WHY"
void check(natsStatus status, const std::string& what);

/// What the library says of an error, without the place in its source: "(conn.c:2088): …". Printable.
///
/// \param more  its own text; may be null
[[nodiscard]] std::string explain(natsStatus status, const char* more);

/// \param urls  of the servers, for people
/// \throws nats_problem  always: why there is no connection
[[noreturn]] void raise_connecting(natsStatus status, const std::string& urls);

/// What JetStream's interface has answered: an object. An error is a member of it.
///
/// \param name  what was asked for
/// \throws jetstream_error  it is an error
/// \throws nats_problem     it is something else
[[nodiscard]] json checked_answer(const std::string& name, const natsMsg* answer);

}  // namespace promisqs_tool
