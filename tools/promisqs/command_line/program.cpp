// SPDX-License-Identifier: Apache-2.0

#include "command_line/program.hpp"

#include "command_line/help.hpp"
#include "command_line/usage_errors.hpp"
#include "system/output.hpp"
#include "system/say.hpp"
#include "text/text.hpp"

#include <promisqs/error.hpp>
#include <promisqs/version.hpp>

#include <fmt/format.h>

#include <cstddef>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <utility>

namespace promisqs_tool {

namespace {

// A paragraph is one line; its output is wrapped.
std::string joined_lines(std::string text) {
    for (std::size_t at = 0; (at = text.find('\n', at)) != std::string::npos; ++at) {
        if (text.compare(at, 2, "\n\n") == 0) {
            ++at;
        } else {
            text[at] = ' ';
        }
    }
    return text;
}

// The library advises programmers. Here somebody types commands.
std::string advice_for_users(std::string text) {
    static constexpr std::pair<std::string_view, std::string_view> advice[] = {
        {"see list_queues", "promisqs ls shows all"},
        {"create it first, or call open_or_create", "promisqs ls shows all, promisqs create makes one"},
        {"see options::permissions of its creator", "ask its owner for them (chmod)"},
    };
    for (const auto& [from, to] : advice) {
        const std::size_t at = text.find(from);
        if (at != std::string::npos) text.replace(at, from.size(), to);
    }
    return text;
}

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
    constexpr std::string_view already_said = "promisqs ";  // by the library
    if (sentence.starts_with(already_said)) sentence.remove_prefix(already_said.size());
    say("promisqs: {}\n", sentence);
    return code;
}

// Writes what is left.
exit_code finished(exit_code result) {
    const exit_code written = report_failures([] {
        standard_output().flush();
        return exit_code::done;
    });
    return result == exit_code::done ? written : result;
}

const command* chosen_in(const std::list<command>& all) {
    for (const command& one : all) {
        if (one.app->parsed()) return &one;
    }
    return nullptr;
}

}  // namespace

exit_code report_failures(const std::function<exit_code()>& action) {
    try {
        return action();
    } catch (const output_interrupted&) {
        say("promisqs: interrupted; nobody reads the output, so the rest was not written\n");
        return exit_code::done;
    } catch (const output_closed&) {
        return exit_code::done;
    } catch (const failure& error) {
        return complain(error.code(), error.what());
    } catch (const promisqs::queue_error& error) {
        return complain(code_of(error), printable(advice_for_users(error.what())));
    } catch (const std::bad_alloc&) {
        return complain(exit_code::broken, "there is not enough memory");
    } catch (const std::exception& error) {
        return complain(exit_code::broken, printable(error.what()));
    }
}

program::program() : app_("", "promisqs") {
    app_.set_version_flag(
        "--version",
        fmt::format("promisqs {}.{}.{}", promisqs::version_major, promisqs::version_minor, promisqs::version_patch),
        "Show the version");
    app_.require_subcommand(0, 1);
}

CLI::App& program::add(command added) {
    added.details = joined_lines(added.details);
    commands_.push_back(std::move(added));
    command& kept = commands_.back();
    kept.app = app_.add_subcommand(kept.name, kept.summary);
    return *kept.app;
}

exit_code program::run(int count, const char* const* arguments) {
    std::string sentence = unknown_command(*this, count, arguments);
    const command* chosen = nullptr;
    try {
        if (sentence.empty()) app_.parse(count, arguments);
        chosen = chosen_in(commands_);
    } catch (const CLI::CallForVersion& version) {
        standard_output().print("{}\n", version.what());
        return finished(exit_code::done);
    } catch (const CLI::CallForHelp&) {
        chosen = chosen_in(commands_);
        standard_output().write(chosen == nullptr ? help_of(*this) : help_of(*chosen));
        return finished(exit_code::done);
    } catch (const CLI::ParseError& error) {
        chosen = chosen_in(commands_);
        sentence = sentence_of(error, chosen == nullptr ? app_ : *chosen->app);
    }
    if (!sentence.empty()) {
        const std::string name = chosen == nullptr ? "" : " " + chosen->name;
        return complain(exit_code::wrong_use, fmt::format("{}\nSee: promisqs{} --help", sentence, name));
    }
    if (chosen == nullptr) {
        say("{}", help_of(*this));
        return exit_code::wrong_use;
    }
    return finished(report_failures(chosen->run));
}

}  // namespace promisqs_tool
