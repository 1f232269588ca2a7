// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <benchmark/benchmark.h>

#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace bench {

/// What one repetition measured.
struct sample {
    std::string distance;        // of the two processors, see `distance_class`; empty where only one is used
    std::vector<double> values;  // one, or the percentiles of round trips
};

/// Prints a line for each benchmark when its repetitions are done, and at the end tables in which the contenders stand
/// beside each other: medians, ranges, and the ratio of promisqs to the textbook ring.
class summary : public benchmark::BenchmarkReporter {
public:
    bool ReportContext(const Context& context) override;
    void ReportRuns(const std::vector<Run>& runs) override;
    void Finalize() override;

    /// Whether a benchmark could not be run to its end.
    [[nodiscard]] bool failed() const noexcept { return failed_; }

private:
    using row = std::map<std::string, std::vector<sample>>;  // by contender
    using table = std::map<std::size_t, row>;                // by size

    std::map<std::string, table> tables_;  // by topology and place
    bool failed_ = false;
};

}  // namespace bench
