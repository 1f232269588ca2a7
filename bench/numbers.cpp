// SPDX-License-Identifier: Apache-2.0

// What the library costs at any number: of processes, threads, sleepers, queues, slots, entries, handles. Each
// measurement is made in a process of its own, which is killed after a minute. Two builds of this program, against two
// trees of headers, can take turns within one run.

#include "numbers.hpp"
#include "segment_name.hpp"
#include "suite.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <fcntl.h>  // O_CLOEXEC
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using json = nlohmann::ordered_json;
using clock = std::chrono::steady_clock;

constexpr std::chrono::seconds time_limit{60};

struct wishes {
    std::string output;
    std::string groups;
    std::string before;
    std::string measure;
    bool list = false;
    bool commit = false;
    bool quick = false;
    bench::wanted_effort how_much;
};

std::vector<bench::measurement> all_measurements() {
    std::vector<bench::measurement> all;
    bench::add_waiting(all);
    bench::add_calls(all);
    bench::add_deaths(all);
    return all;
}

[[noreturn]] void become(std::vector<std::string> command, int output, ::pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() == parent) {
        ::dup2(output, STDOUT_FILENO);
        std::vector<char*> arguments;
        for (std::string& word : command) arguments.push_back(word.data());
        arguments.push_back(nullptr);
        ::execvp(arguments[0], arguments.data());
    }
    ::_exit(127);
}

/// What a program says. Empty if it takes more than a minute, and is killed.
std::string read_all(int from, clock::time_point end) {
    std::string said;
    for (;;) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - clock::now()).count();
        ::pollfd wanted{from, POLLIN, 0};
        if (left <= 0 || ::poll(&wanted, 1, static_cast<int>(left)) == 0) return {};
        std::array<char, 4096> room{};
        const ::ssize_t size = ::read(from, room.data(), room.size());
        if (size == 0) return said;
        if (size > 0) said.append(room.data(), static_cast<std::size_t>(size));
        if (size < 0 && errno != EINTR) throw std::runtime_error("can't read from a pipe");
    }
}

/// What a process that was killed could not remove.
void remove_segments_of(::pid_t pid) {
    const std::string prefix = "promisqs-bench-" + std::to_string(pid) + "-";
    for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
        if (entry.path().filename().string().starts_with(prefix)) ::unlink(entry.path().c_str());
    }
}

double seconds(const ::timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

/// Processor time that everything on this machine has used.
double cpu_of_all() {
    std::ifstream file("/proc/stat");
    std::string name;
    std::array<double, 8> ticks{};  // user, nice, system, idle, iowait, irq, softirq, steal
    file >> name;
    for (double& one : ticks) file >> one;
    const double busy = ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6];
    return busy / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

struct answer {
    std::string said;
    double others_cpu = 0;  // processors that everything else on this machine used
};

/// Runs a program to its end.
answer run_program(const std::vector<std::string>& command) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe to be had");
    const double busy_before = cpu_of_all();
    const auto begin = clock::now();
    const ::pid_t self = ::getpid();
    const ::pid_t pid = ::fork();
    if (pid == 0) become(command, ends[1], self);
    ::close(ends[1]);
    answer found;
    if (pid > 0) found.said = read_all(ends[0], begin + time_limit);
    ::close(ends[0]);
    if (pid < 0) throw std::runtime_error("fork failed");
    if (found.said.empty()) ::kill(pid, SIGKILL);
    int status = 0;
    ::rusage used{};
    ::wait4(pid, &status, 0, &used);
    const double passed = std::chrono::duration<double>(clock::now() - begin).count();
    const double ours = seconds(used.ru_utime) + seconds(used.ru_stime);
    found.others_cpu = std::max(0.0, (cpu_of_all() - busy_before - ours) / passed);
    if (!found.said.empty()) return found;
    remove_segments_of(pid);
    throw std::runtime_error(passed >= 60 ? "over 60 s" : "ended without a result");
}

/// Has a program, this or another build of it, measure once.
bench::sample measure_by(const std::string& program, const std::string& name, const bench::effort& how_much,
                         bool quick) {
    std::vector<std::string> command{program, "--measure", name, "--duration",
                                     std::to_string(how_much.duration.count())};
    if (quick) command.emplace_back("--quick");
    const answer got = run_program(command);
    const json found = json::parse(got.said);
    if (found.contains("error")) throw std::runtime_error(found["error"].get<std::string>());
    bench::sample result{found["figures"].get<std::map<std::string, double>>(), {}};
    result.figures["others_cpu_percent"] = 100 * got.others_cpu;
    return result;
}

std::string own_path() { return std::filesystem::read_symlink("/proc/self/exe").string(); }

std::vector<bench::group> make_groups(const wishes& wanted) {
    std::vector<bench::group> groups;
    for (const bench::measurement& one : all_measurements()) {
        if (!std::regex_search(one.name, std::regex(wanted.groups))) continue;
        bench::group group{one.name, json::object(), one.key_figure, false, {}};
        const auto add = [&](const char* name, const std::string& program) {
            group.contenders.push_back({name, [=, quick = wanted.quick](const bench::effort& how_much) {
                                            return measure_by(program, one.name, how_much, quick);
                                        }});
        };
        if (!wanted.before.empty()) add("before", wanted.before);
        add("promisqs", own_path());
        groups.push_back(std::move(group));
    }
    if (groups.empty()) throw std::runtime_error("nothing matches --groups; see --list");
    return groups;
}

/// Measures one thing once, here, and says what was found.
bool measure_here(const wishes& wanted) {
    json result;
    try {
        bench::scale how_much;
        how_much.quick = wanted.quick;
        if (wanted.how_much.duration != 0) how_much.duration = std::chrono::milliseconds(wanted.how_much.duration);
        const auto all = all_measurements();
        const auto one = std::find_if(all.begin(), all.end(), [&](auto& each) { return each.name == wanted.measure; });
        if (one == all.end()) throw std::runtime_error("no such measurement; see --list");
        result["figures"] = one->measure(how_much);
    } catch (const std::exception& error) {
        result["error"] = error.what();
    }
    std::printf("%s\n", result.dump().c_str());
    return !result.contains("error");
}

/// \return  whether all could be measured
bool run(const wishes& wanted) {
    if (wanted.list) {
        for (const auto& one : all_measurements()) std::printf("%s\n", one.name.c_str());
        return true;
    }
    const auto groups = make_groups(wanted);
    const bench::effort usual{wanted.quick ? 1U : 5U, std::chrono::milliseconds(wanted.quick ? 100 : 3000), 0};
    const bench::effort how_much = wanted.how_much.applied_to(usual);
    json about = bench::describe_run(how_much);
    if (!wanted.before.empty()) {
        std::istringstream said(run_program({wanted.before, "--commit"}).said);
        std::string commit;
        said >> commit;
        about["before"] = commit;
    }
    return bench::run_all(groups, about, how_much, wanted.output);
}

}  // namespace

int main(int argc, char** argv) {
    wishes wanted;
    CLI::App app(
        "Measures what promisqs costs with many processes, threads, queues, slots and handles.\n"
        "Prints medians [least, most] of the repetitions; --output writes everything as JSON.");
    app.add_option("--output", wanted.output, "where to write the results, as JSON");
    app.add_option("--groups", wanted.groups, "only those whose name this regular expression is found in");
    app.add_option("--before", wanted.before, "another build of this program, which takes turns with this one")
        ->check(CLI::ExistingFile);
    app.add_flag("--list", wanted.list, "show the names, and measure nothing");
    app.add_flag("--quick", wanted.quick, "once and shortly, with few of everything, to see that everything works");
    app.add_option("--repetitions", wanted.how_much.repetitions, "how often each is measured (5)")
        ->check(CLI::Range(1, 1000));
    app.add_option("--duration", wanted.how_much.duration, "of a measurement of processor time, in milliseconds (3000)")
        ->check(CLI::Range(50, 30000));
    app.add_option("--measure", wanted.measure, "measure this once, in this process, and print it as JSON");
    app.add_flag("--commit", wanted.commit, "show of which commit the library is that this was built with");
    CLI11_PARSE(app, argc, argv);
    try {
        bench::remove_segments_on_signals();
        if (wanted.commit) return std::printf("%s\n", bench::commit()) > 0 ? 0 : 1;
        if (!wanted.measure.empty()) return measure_here(wanted) ? 0 : 1;
        return run(wanted) ? 0 : 1;
    } catch (const std::regex_error& error) {
        std::fprintf(stderr, "promisqs_numbers: not a regular expression: %s\n", error.what());
        return 2;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "promisqs_numbers: %s\n", error.what());
        return 1;
    }
}
