// SPDX-License-Identifier: Apache-2.0
#pragma once

// Runs checks: each a sentence, and a suite of relacy's.

#include "relacy_memory.hpp"
#include "weakened_order.hpp"

#include <chrono>
#include <span>

namespace promisqs_test {

/// A suite of relacy's: `thread(n)` of each thread, then `after()`.
template <class Check, int Threads>
struct suite : rl::test_suite<Check, Threads> {
    suite() { simulated_thread::reset(); }
    void before() { simulated_thread::current().flush(); }
    void thread(unsigned index) {
        static_cast<Check*>(this)->run(index);
        simulated_thread::current().flush();
    }
    void after() {
        simulated_thread::reset();
        static_cast<Check*>(this)->in_the_end();
    }
    void in_the_end() {}
};

struct check {
    const char* sentence;
    rl::test_result_e (*explore)(rl::test_params&, std::ostream& state);
    rl::iteration_t runs = 0;       // of the random search
    unsigned context_switches = 0;  // of the bounded one, which tries everything with so many
};

template <class Suite, class Scheduler>
rl::test_result_e explore(rl::test_params& params, std::ostream& state) {
    return rl::run_test<Suite, Scheduler>(params, state, false);
}

template <class Suite>
check random_runs(const char* sentence, rl::iteration_t runs) {
    return {.sentence = sentence,
            .explore = explore<Suite, rl::random_scheduler<Suite::params::thread_count>>,
            .runs = runs};
}
template <class Suite>
check all_runs(const char* sentence, unsigned context_switches) {
    return {.sentence = sentence,
            .explore = explore<Suite, rl::context_bound_scheduler<Suite::params::thread_count>>,
            .context_switches = context_switches};
}

class silence : public std::streambuf {
    int overflow(int c) override { return c; }
};

struct options {
    std::string_view only;  // part of the sentence
    double share = 1;       // of the runs
    bool brief = false;     // no history of a failed run
};

// Whether it passes, for which nothing is printed.
inline bool passes(const check& one, rl::iteration_t runs) {
    silence nothing;
    std::ostream quiet(&nothing);
    rl::test_params params;
    params.iteration_count = runs;
    params.execution_depth_limit = 5000;
    params.progress_stream = &quiet;
    rl::ostringstream state;
    return one.explore(params, state) == rl::test_result_success;
}

inline bool run_check(const check& one, const options& wanted) {
    // What does not come by the order that is weakened in a few runs need not run any longer.
    if (weakened.place >= 0 && (one.runs == 0 || (passes(one, 500) && !reached[weakened.place]))) return true;
    silence nothing;
    std::ostream quiet(&nothing);
    rl::test_params params;
    params.search_type = one.runs != 0 ? rl::sched_random : rl::sched_bound;
    params.iteration_count = static_cast<rl::iteration_t>(static_cast<double>(one.runs) * wanted.share) + 1;
    params.context_bound = one.context_switches;
    params.execution_depth_limit = 5000;
    params.progress_stream = &quiet;
    const auto begin = std::chrono::steady_clock::now();
    rl::ostringstream state;
    const rl::test_result_e result = one.explore(params, state);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    const bool good = result == rl::test_result_success;
    std::printf("%-7s %8llu runs %6.2f s  %s%s\n", good ? "ok" : "FAILED",
                static_cast<unsigned long long>(params.stop_iteration), took.count(), one.sentence,
                one.runs != 0 ? "" : " (all of few switches)");
    if (!good) std::printf("        %s\n", rl::test_result_str(result));
    std::fflush(stdout);
    if (!good && !wanted.brief) {
        params.collect_history = true;
        params.initial_state = state.str();
        static_cast<void>(one.explore(params, state));
    }
    return good;
}

inline std::memory_order order_named(std::string_view name) {
    if (name == "relaxed") return std::memory_order_relaxed;
    if (name == "acquire") return std::memory_order_acquire;
    if (name == "release") return std::memory_order_release;
    if (name == "acq_rel") return std::memory_order_acq_rel;
    return std::memory_order_seq_cst;
}

/// --only PART    the checks whose sentences have this in them
/// --share X      of the runs of each
/// --brief        no history of a run that failed
/// --first        ends with the first check that fails
/// --weaken, --reached   for the program of that name
inline int run_checks(std::span<const check> checks, int argc, char** argv) {
    options wanted;
    bool first_only = false;
    bool list_reached = false;
    for (int i = 1; i < argc; ++i) {
        const std::string_view argument = argv[i];
        if (argument == "--only" && i + 1 < argc) {
            wanted.only = argv[++i];
        } else if (argument == "--share" && i + 1 < argc) {
            wanted.share = std::atof(argv[++i]);
        } else if (argument == "--brief") {
            wanted.brief = true;
        } else if (argument == "--first") {
            first_only = true;
        } else if (argument == "--reached") {
            list_reached = true;
        } else if (argument == "--weaken" && i + 2 < argc) {
            weakened.place = std::atoi(argv[++i]);
            weakened.order = order_named(argv[++i]);
        } else {
            std::fprintf(stderr, "usage: %s [--only PART] [--share X] [--brief] [--first] [--weaken PLACE ORDER]\n",
                         argv[0]);
            return 2;
        }
    }
    int failed = 0;
    for (const check& one : checks) {
        if (std::string_view(one.sentence).find(wanted.only) == std::string_view::npos) continue;
        if (run_check(one, wanted)) continue;
        ++failed;
        if (first_only) break;
    }
    if (list_reached) {
        std::printf("reached:");
        for (std::size_t i = 0; i < reached.size(); ++i) {
            if (reached[i]) std::printf(" %zu", i);
        }
        std::printf("\n");
    }
    return failed == 0 ? 0 : 1;
}

}  // namespace promisqs_test
