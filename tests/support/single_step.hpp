// SPDX-License-Identifier: Apache-2.0
#pragma once

// A call in a process of its own, carried out instruction by instruction with ptrace: to be killed, or left standing,
// at any of them. A system call is one instruction; so is a call of what the kernel offers as a library (the vDSO:
// clocks), which begins again when the clock is updated in between, and slowly stepped would never end. The coarse
// clock, by which some calls see whether it is time to do more, stands still for a stepped process: otherwise it would
// be time for that in each.
//
//     stepped_process victim([&] {
//         auto q = queue::open(name);                  // at full speed
//         step_through([&] { sent = q.push(message); });
//         return sent ? 0 : 1;
//     });
//     victim.advance(17);                              // 17 instructions of the push are done
//     victim.kill();
//
// A step costs some microseconds, or tens of them if both processes are not on the same processor. So to reach
// instruction i of a long call, a victim runs natively to a breakpoint that a recorded trace of an earlier run says to
// be close before it, and is stepped from there. Breakpoints, and a call's exact first and last instruction, are known
// for x86-64; elsewhere all is stepped, and a call begins and ends some instructions into raise().

#include "call_trace.hpp"
#include "catch.hpp"
#include "process.hpp"

#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <string>

namespace promisqs_test {

namespace detail {

struct address_range {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;

    [[nodiscard]] bool contains(std::uint64_t address) const noexcept { return address >= begin && address < end; }
};

/// Where the kernel's library lies, in this process and those forked from it.
inline const address_range& vdso() {
    static const address_range found = [] {
        address_range range;
        std::ifstream maps("/proc/self/maps");
        for (std::string line; std::getline(maps, line);) {
            if (!line.ends_with("[vdso]")) continue;
            range.begin = std::stoull(line, nullptr, 16);
            range.end = std::stoull(line.substr(line.find('-') + 1), nullptr, 16);
        }
        return range;
    }();
    return found;
}

/// Keeps this process, and those forked from it, on the processor that it is on.
inline void stay_on_one_processor() noexcept {
    ::cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<unsigned>(std::max(0, ::sched_getcpu())), &one);
    static_cast<void>(::sched_setaffinity(0, sizeof one, &one));
}

#if defined(__x86_64__)
inline constexpr unsigned char breakpoint = 0xCC;  // int3
// Two functions with different bodies, lest the compiler make them one.
[[gnu::noinline]] inline void call_begins() noexcept { asm volatile("int3" ::: "memory"); }
[[gnu::noinline]] inline void call_is_over() noexcept { asm volatile("int3\n\tnop" ::: "memory"); }
#else
inline void call_begins() noexcept { ::raise(SIGTRAP); }
inline void call_is_over() noexcept { ::raise(SIGSTOP); }
#endif

}  // namespace detail

/// In the body of a stepped process: the call that is to be stepped through.
template <class Call>
void step_through(Call&& call) {
    detail::call_begins();
    call();
    detail::call_is_over();
}

/// A forked child that stands at an instruction of the call that it steps through. It is killed when the object goes,
/// or when this process does.
class stepped_process {
public:
    /// Forks; the child runs `body`, which returns its exit status, and stands at the beginning of what `body` steps
    /// through.
    template <class Body>
    explicit stepped_process(Body body) {
        static const bool once = (detail::stay_on_one_processor(), true);
        static_cast<void>(once);
        std::fflush(nullptr);
        pid_ = ::fork();
        if (pid_ < 0) throw std::runtime_error("could not fork");
        if (pid_ == 0) run(body);
        int status = wait();
        while (WIFSTOPPED(status) && WSTOPSIG(status) != SIGTRAP) status = resume(PTRACE_CONT, WSTOPSIG(status));
        if (!WIFSTOPPED(status)) throw std::runtime_error("the victim ended, or was not let to be traced");
        ::ptrace(PTRACE_SETOPTIONS, pid_, nullptr, PTRACE_O_EXITKILL);
        ::clock_gettime(CLOCK_MONOTONIC_COARSE, &begun_);
        look();
    }
    stepped_process(const stepped_process&) = delete;
    stepped_process& operator=(const stepped_process&) = delete;
    ~stepped_process() {
        if (pid_ > 0) kill();
    }

    [[nodiscard]] ::pid_t pid() const noexcept { return pid_; }
    /// How many instructions of the call are done.
    [[nodiscard]] std::size_t done() const noexcept { return done_; }
    /// Whether the call has returned.
    [[nodiscard]] bool is_over() const noexcept { return over_; }

    /// Carries out one instruction. False: the call was over.
    bool step() {
        if (over_) return false;
#if defined(__x86_64__)
        if (counter_ == reinterpret_cast<std::uint64_t>(&detail::call_is_over)) return end();
#endif
        int status = resume(PTRACE_SINGLESTEP, 0);
        while (WIFSTOPPED(status) && WSTOPSIG(status) != SIGTRAP) {
            if (!detail::has_breakpoints && WSTOPSIG(status) == SIGSTOP) return end();
            status = resume(PTRACE_SINGLESTEP, WSTOPSIG(status));
        }
        if (!WIFSTOPPED(status)) return end();
        look();
        if (detail::vdso().contains(counter_) && !return_to_caller()) return end();
        ++done_;
        return true;
    }

    /// Carries out instructions until `count` of the call are done. False: the call was over before.
    bool advance(std::size_t count) {
        while (done_ < count) {
            if (!step()) return false;
        }
        return true;
    }

    /// The same, for a call of which there is a trace, on the assumption that it takes the same path again. Where it
    /// does not, it may come to another instruction, or to its end.
    bool advance(std::size_t count, const call_trace& trace) {
        const auto mark = trace.landmark_before(count);
        if (mark.at > done_ && mark.arrivals > 0 && done_ == 0 && !run_to(mark)) return false;
        return advance(count);
    }

    /// Runs from the beginning of the call to where the traced call had come out of its last sleep, which may be another
    /// sleep of this one. False: the call was over before.
    bool run_to_end_of_sleep(const call_trace& trace) {
        const std::size_t at = trace.last_sleep() + 1;
        return run_to({trace.counter(at), 1, at});
    }

    /// Carries out the rest of the call, and notes each instruction.
    [[nodiscard]] call_trace record() {
        call_trace result;
        for (;;) {
            const std::uint64_t at = counter_;
            const bool system_call = is_system_call(at);
            const bool sleep = system_call && is_sleep();
            if (!step()) break;
            result.add(at, system_call, sleep);
        }
        result.find_landmarks();
        return result;
    }

    void kill() {
        ::kill(pid_, SIGKILL);
        while (!is_gone(wait())) {}
        pid_ = 0;
    }

    /// Lets it go on, at full speed, to its end; the exit status, or minus the signal that ended it.
    int finish() {
        int status = resume(PTRACE_CONT, 0);
        while (!is_gone(status)) {
            const int signal = WSTOPSIG(status);
            status = resume(PTRACE_CONT, signal == SIGTRAP || signal == SIGSTOP ? 0 : signal);
        }
        return ended(status);
    }

    /// Lets go of it and leaves it stopped as by `kill -STOP`; `finish_after_signal_stop` is to follow, or `kill`.
    void leave_to_signal_stop() {
        ::ptrace(PTRACE_DETACH, pid_, nullptr, SIGSTOP);
        int status = 0;
        while (::waitpid(pid_, &status, WUNTRACED) < 0 && errno == EINTR) {}
    }
    int finish_after_signal_stop() {
        ::kill(pid_, SIGCONT);
        int status = wait();
        while (!is_gone(status)) status = wait();
        return ended(status);
    }

private:
    // How long a victim may run without a stop, in seconds, before it is taken to hang.
    static constexpr unsigned longest_run = 120;

    template <class Body>
    [[noreturn]] static void run(Body& body) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::signal(SIGALRM, SIG_DFL);
        ::alarm(longest_run);
        ::signal(SIGTRAP, [](int) {});  // for when nobody traces it any more
        if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(97);
        int status = 98;
        try {
            status = body();
        } catch (const std::exception& failure) {
            std::fprintf(stderr, "victim: %s\n", failure.what());
        }
        ::_exit(status);
    }

    static bool is_gone(int status) noexcept { return WIFEXITED(status) || WIFSIGNALED(status); }

    int ended(int status) noexcept {
        pid_ = 0;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }

    bool end() noexcept {
        over_ = true;
        return false;
    }

    [[nodiscard]] int wait() const {
        int status = 0;
        while (::waitpid(pid_, &status, 0) < 0) {
            if (errno != EINTR) throw std::runtime_error("lost a victim");
        }
        return status;
    }

    // Lets it run on, with a signal or 0, to its next stop; the status that the kernel reports.
    template <class Request>
    int resume(Request request, int signal) {
        ::ptrace(request, pid_, nullptr, signal);
        const int status = wait();
        if (is_gone(status)) {
            over_ = true;
            if (request == PTRACE_SINGLESTEP) {
                pid_ = 0;
                throw std::runtime_error("a victim ended in the middle of its call");
            }
        }
        return status;
    }

#if defined(__x86_64__)
    [[nodiscard]] bool is_system_call(std::uint64_t at) const {
        return (::ptrace(PTRACE_PEEKTEXT, pid_, at, nullptr) & 0xFFFF) == 0x050F;
    }

    [[nodiscard]] bool is_sleep() const {
        constexpr std::uint64_t futex_waitv = 449;
        const std::uint64_t number = word_of_user(offsetof(::user, regs.rax));
        const std::uint64_t operation = word_of_user(offsetof(::user, regs.rsi)) & 0x7F;  // without flags
        return number == futex_waitv || (number == SYS_futex && operation == FUTEX_WAIT_BITSET);
    }

    void look() { counter_ = word_of_user(offsetof(::user, regs.rip)); }
    [[nodiscard]] std::uint64_t word_of_user(std::size_t offset) const {
        return static_cast<std::uint64_t>(::ptrace(PTRACE_PEEKUSER, pid_, offset, nullptr));
    }

    // At the first instruction of a function of the kernel's library. False: it did not come back from there.
    bool return_to_caller() {
        const bool reads_coarse_clock = word_of_user(offsetof(::user, regs.rdi)) == CLOCK_MONOTONIC_COARSE;
        const std::uint64_t result = word_of_user(offsetof(::user, regs.rsi));
        const long caller = ::ptrace(PTRACE_PEEKTEXT, pid_, word_of_user(offsetof(::user, regs.rsp)), nullptr);
        if (!run_to(static_cast<std::uint64_t>(caller))) return false;
        if (reads_coarse_clock) {
            ::ptrace(PTRACE_POKEDATA, pid_, result, begun_.tv_sec);
            ::ptrace(PTRACE_POKEDATA, pid_, result + sizeof begun_.tv_sec, begun_.tv_nsec);
        }
        return true;
    }

    // Lets it run to the next arrival at an address where it does not stand. False: the call was over before.
    bool run_to(std::uint64_t address) {
        const long word = ::ptrace(PTRACE_PEEKTEXT, pid_, address, nullptr);
        const long armed = static_cast<long>((static_cast<unsigned long>(word) & ~0xFFUL) | detail::breakpoint);
        if (::ptrace(PTRACE_POKETEXT, pid_, address, armed) != 0) throw std::runtime_error("can't set a breakpoint");
        int status = resume(PTRACE_CONT, 0);
        while (WIFSTOPPED(status) && WSTOPSIG(status) != SIGTRAP) status = resume(PTRACE_CONT, WSTOPSIG(status));
        if (is_gone(status)) throw std::runtime_error("a victim ended in the middle of its call");
        look();
        ::ptrace(PTRACE_POKETEXT, pid_, address, word);
        if (counter_ != address + 1) return end();
        ::ptrace(PTRACE_POKEUSER, pid_, offsetof(::user, regs.rip), address);
        counter_ = address;
        return true;
    }

    // The same, to a landmark, from the beginning of the call.
    bool run_to(const call_trace::landmark& mark) {
        for (std::size_t arrival = 0; arrival < mark.arrivals; ++arrival) {
            if (counter_ == mark.counter) {
                if (arrival == 0) continue;  // it stands there: this is the first arrival
                resume(PTRACE_SINGLESTEP, 0);
            }
            if (!run_to(mark.counter)) return false;
        }
        done_ = mark.at;
        return true;
    }
#else
    [[nodiscard]] static bool is_system_call(std::uint64_t /*at*/) { return false; }
    [[nodiscard]] static bool is_sleep() { return false; }
    static bool run_to(const call_trace::landmark& /*mark*/) { return true; }
    static bool return_to_caller() { return true; }
    void look() noexcept {}
#endif

    ::pid_t pid_ = 0;
    ::timespec begun_{};         // when it stood at the beginning of the call
    std::uint64_t counter_ = 0;  // the address of the next instruction; 0 where that is not known
    std::size_t done_ = 0;
    bool over_ = false;
};

/// Whether this system lets a process step through its child. Containers may forbid it.
inline bool stepping_is_allowed() {
    try {
        volatile int done = 0;
        stepped_process victim([&] {
            step_through([&] { done = done + 1; });
            return done;
        });
        const bool moved = victim.step();
        return victim.finish() == 1 && moved;
    } catch (const std::exception&) {
        return false;
    }
}

/// What a test prints that has nothing to say because stepping is not allowed; ctest takes it as a test that was
/// skipped.
inline constexpr const char* stepping_is_refused = "SKIPPED: this system lets no process trace another (ptrace)";

// ctest takes the warning for a skipped test.
#define SKIP_IF_STEPPING_IS_REFUSED()             \
    if (!promisqs_test::stepping_is_allowed()) {  \
        WARN(promisqs_test::stepping_is_refused); \
        return;                                   \
    }

}  // namespace promisqs_test
