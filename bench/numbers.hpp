// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace bench {

/// How much is measured at once.
struct scale {
    std::chrono::milliseconds duration{3000};  // for which the use of processors is measured
    bool quick = false;                        // only to see that it works: few of everything, and shortly

    [[nodiscard]] unsigned of(unsigned all, unsigned few) const noexcept { return quick ? few : all; }
    /// Until all that wait are asleep, and have found out that nothing moves.
    [[nodiscard]] std::chrono::milliseconds settling() const noexcept {
        return std::chrono::milliseconds(quick ? 100 : 1500);
    }
};

/// What the library costs with many of something. Measured once, in a process of its own.
struct measurement {
    std::string name;        // the topology
    std::string key_figure;  // the one to look at
    std::function<std::map<std::string, double>(const scale&)> measure;
};

void add_waiting(std::vector<measurement>& all);
void add_calls(std::vector<measurement>& all);
void add_deaths(std::vector<measurement>& all);

/// A forked process, killed at the latest with this or with its parent.
class child {
public:
    /// The calling process has a single thread, so that the child may do anything.
    explicit child(const std::function<void()>& work);
    child(child&& other) noexcept;
    child(const child&) = delete;
    child& operator=(const child&) = delete;
    ~child() { kill(); }

    [[nodiscard]] ::pid_t pid() const noexcept { return pid_; }
    void kill() noexcept;
    /// \par Throws  `std::runtime_error`: it has ended
    void expect_alive() const;
    void wait_until_stopped() const;

private:
    ::pid_t pid_;
};

/// Processor time used so far, in seconds.
double cpu_of_this_process();
double cpu_of(const std::vector<child>& processes);

double seconds_since(std::chrono::steady_clock::time_point begin);
double median(std::vector<double> values);

/// \par Throws  `std::runtime_error` with this text, unless all is well
void expect(bool well, const char* what);

/// Allows this process so many descriptors, or throws.
void allow_descriptors(unsigned wanted);

}  // namespace bench
