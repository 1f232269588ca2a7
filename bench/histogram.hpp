// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/histogram.hpp>
#include <nlohmann/json.hpp>

#include <cmath>
#include <cstdint>
#include <vector>

namespace bench {

/// A histogram of high dynamic range: the bins are so wide as what they hold is large, one percent of it, from 10 ns to
/// 10 s.
class histogram {
public:
    void add(const std::vector<std::uint32_t>& nanoseconds) { counts_.fill(nanoseconds); }

    /// The bins that hold anything, each as its lower bound in nanoseconds and how many lie in it.
    [[nodiscard]] nlohmann::ordered_json to_json() const {
        auto bins = nlohmann::ordered_json::array();
        for (const auto& bin : boost::histogram::indexed(counts_, boost::histogram::coverage::all)) {
            if (*bin == 0) continue;
            bins.push_back({std::round(bin.bin().lower() * 10) / 10, static_cast<std::uint64_t>(*bin)});
        }
        return bins;
    }

private:
    using axis = boost::histogram::axis::regular<double, boost::histogram::axis::transform::log>;

    // 2083 of them: the factor between bounds is 10^(9 / 2083) = 1.01.
    using counts = decltype(boost::histogram::make_histogram_with(std::vector<std::uint64_t>(), axis()));
    counts counts_ =
        boost::histogram::make_histogram_with(std::vector<std::uint64_t>(), axis(2083, 10, 10e9, "nanoseconds"));
};

}  // namespace bench
