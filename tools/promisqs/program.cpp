// SPDX-License-Identifier: Apache-2.0

#include "program.hpp"

#include "output.hpp"
#include "text.hpp"

#include <promisqs/error.hpp>
#include <promisqs/version.hpp>

#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <new>
#include <utility>

namespace promisqs_tool {

namespace {

exit_code code_of(const promisqs::queue_error& error) {
    switch (static_cast<promisqs::errc>(error.code().value())) {
        case promisqs::errc::not_found: return exit_code::no_such_queue;
        case promisqs::errc::no_permission: return exit_code::not_allowed;
        case promisqs::errc::invalid_name:
        case promisqs::errc::invalid_capacity:
        case promisqs::errc::invalid_options:
        case promisqs::errc::invalid_type: return exit_code::wrong_use;
        default: return exit_code::broken;
    }
}

exit_code complain(exit_code code, std::string_view sentence) {
    fmt::print(stderr, "promisqs: {}\n", sentence);
    return code;
}

std::string footer_of(const command& described) {
    std::string text = described.details + "\n\nExamples:";
    for (const example& one : described.examples) text += fmt::format("\n  {}\n      {}", one.line, one.what);
    return text;
}

// Runs what may fail, and says why it did.
template <class Action>
exit_code report_failures(Action&& action) {
    try {
        return action();
    } catch (const output_closed&) {
        return exit_code::done;
    } catch (const failure& error) {
        return complain(error.code(), error.what());
    } catch (const promisqs::queue_error& error) {
        return complain(code_of(error), printable(error.what()));
    } catch (const std::bad_alloc&) {
        return complain(exit_code::broken, "there is not enough memory");
    } catch (const std::exception& error) {
        return complain(exit_code::broken, printable(error.what()));
    }
}

}  // namespace

program::program() : app_("Look into the queues of this machine, and take part in them.", "promisqs") {
    app_.set_version_flag("--version", fmt::format("promisqs {}.{}.{}", promisqs::version_major,
                                                   promisqs::version_minor, promisqs::version_patch));
    app_.require_subcommand(1);
    app_.footer(
        "promisqs COMMAND --help explains a command, with examples.\n\n"
        "Exit codes: 0 done, 1 the answer is no, 2 wrong use, 3 no such queue, 4 not allowed, 5 something broke.");
}

CLI::App& program::add(command added) {
    commands_.push_back(std::move(added));
    command& kept = commands_.back();
    kept.app = app_.add_subcommand(kept.name, kept.summary);
    kept.app->footer(footer_of(kept));
    return *kept.app;
}

exit_code program::run(int count, const char* const* arguments) {
    try {
        app_.parse(count, arguments);
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0) {  // --help or --version: asked for
            static_cast<void>(app_.exit(error));
            return exit_code::done;
        }
        const auto chosen = app_.get_subcommands();
        const std::string name = chosen.empty() ? "promisqs" : "promisqs " + chosen.front()->get_name();
        return complain(exit_code::wrong_use, fmt::format("{}\nSee: {} --help", error.what(), name));
    }
    for (const command& one : commands_) {
        if (!one.app->parsed()) continue;
        const exit_code result = report_failures(one.run);
        const exit_code written = report_failures([] {
            standard_output().flush();
            return exit_code::done;
        });
        return result == exit_code::done ? written : result;
    }
    return exit_code::wrong_use;
}

}  // namespace promisqs_tool
