// SPDX-License-Identifier: Apache-2.0

#include "suite.hpp"

#include "histogram.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <fstream>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace bench {
namespace {

using json = nlohmann::ordered_json;

// For those during which the processors moved. One alone shows only that it works.
unsigned spare_repetitions(unsigned repetitions) { return repetitions == 1 ? 0 : 6; }

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

/// One contender, and what has been found of it so far.
class turn {
public:
    explicit turn(const contender& who) : who_(who) {}

    /// \return  what was found; nothing if it is left out
    std::optional<json> take(const effort& how_much, const std::string& key_figure) {
        if (!left_out_.empty()) return std::nullopt;
        try {
            sample found = who_.measure(how_much);
            if (!found.times.empty()) add_percentiles(found);
            last_ = std::move(found.times);
            last_key_ = found.figures.at(key_figure);
            return json(found.figures);
        } catch (const std::exception& error) {
            left_out_ = error.what();
            return std::nullopt;
        }
    }
    /// The turn was part of a repetition that counts.
    void keep(const std::string& distance) {
        if (!left_out_.empty()) return;
        keys_[distance].push_back(last_key_);
        if (last_.empty()) return;
        has_times_ = true;
        times_.add(last_);
    }

    [[nodiscard]] const std::string& name() const { return who_.name; }
    [[nodiscard]] const std::string& left_out() const { return left_out_; }
    /// By the distance of the processors.
    [[nodiscard]] const std::map<std::string, std::vector<double>>& keys() const { return keys_; }
    [[nodiscard]] bool has_times() const { return has_times_; }
    [[nodiscard]] json times() const { return times_.to_json(); }

private:
    const contender& who_;
    std::string left_out_;
    std::vector<std::uint32_t> last_;
    double last_key_ = 0;
    std::map<std::string, std::vector<double>> keys_;
    histogram times_;
    bool has_times_ = false;
};

void show(const group& what, const std::vector<turn>& turns) {
    for (const turn& one : turns) {
        if (!one.left_out().empty()) {
            std::printf("  %-28s left out: %s\n", one.name().c_str(), one.left_out().c_str());
        }
        for (const auto& [distance, keys] : one.keys()) {
            const auto [least, most] = std::minmax_element(keys.begin(), keys.end());
            std::printf("  %-28s %s %.4g [%.4g, %.4g] %s\n", one.name().c_str(), what.key_figure.c_str(), median(keys),
                        *least, *most, distance.c_str());
        }
    }
    std::fflush(stdout);
}

/// Whether promisqs itself could not be measured.
bool lacks_promisqs(const json& found) {
    const auto& left_out = found["left_out"].items();
    return std::any_of(left_out.begin(), left_out.end(),
                       [](const auto& one) { return one.key().starts_with("promisqs"); });
}

json to_json(std::optional<double> number) { return number ? json(*number) : json(nullptr); }

}  // namespace

std::string group::name() const {
    std::string result = workload;
    for (const auto& [key, value] : parameters.items()) {
        result += "/" + key + "=" + (value.is_string() ? value.get<std::string>() : value.dump());
    }
    return result;
}

json run(const group& what, const effort& how_much) {
    std::printf("%s\n", what.name().c_str());
    std::fflush(stdout);
    std::vector<turn> turns(what.contenders.begin(), what.contenders.end());
    json repetitions = json::array();
    for (unsigned counted = 0, made = 0; counted < how_much.repetitions; ++made) {
        json repetition;
        const auto before = what.two_processors ? measure_line_crossing() : std::nullopt;
        json figures = json::object();
        for (turn& one : turns) {
            if (auto found = one.take(how_much, what.key_figure)) figures[one.name()] = std::move(*found);
        }
        const auto after = what.two_processors ? measure_line_crossing() : std::nullopt;
        const bool moved = distance_class(before) != distance_class(after);
        const std::string distance = moved ? "moved" : distance_class(after);
        if (what.two_processors) {
            repetition["line_ns"] = {to_json(before), to_json(after)};
            repetition["distance"] = distance;
        }
        repetition["figures"] = std::move(figures);
        repetitions.push_back(std::move(repetition));
        if (moved && made < how_much.repetitions + spare_repetitions(how_much.repetitions)) continue;
        ++counted;
        if (moved) continue;
        for (turn& one : turns) one.keep(what.two_processors ? distance : "");
    }
    show(what, turns);

    json result;
    result["workload"] = what.workload;
    result["parameters"] = what.parameters;
    result["repetitions"] = std::move(repetitions);
    json left_out = json::object();
    json times = json::object();
    for (const turn& one : turns) {
        if (!one.left_out().empty()) left_out[one.name()] = one.left_out();
        if (one.has_times()) times[one.name()] = one.times();
    }
    result["left_out"] = std::move(left_out);
    if (!times.empty()) result["histograms_ns"] = std::move(times);
    return result;
}

effort wanted_effort::applied_to(effort usual) const {
    if (repetitions != 0) usual.repetitions = repetitions;
    if (duration != 0) usual.duration = std::chrono::milliseconds(duration);
    return usual;
}

bool run_all(const std::vector<group>& groups, const json& about, const effort& how_much, const std::string& output) {
    std::ofstream file;
    if (!output.empty()) {
        file.open(output);
        if (!file) throw std::runtime_error("can't write to " + output);
    }
    json result;
    result["run"] = about;
    std::printf("%s\n", about.dump(2).c_str());
    bool well = true;
    for (const group& one : groups) {
        result["groups"].push_back(run(one, how_much));
        well = well && !lacks_promisqs(result["groups"].back());
    }
    if (file.is_open()) {
        file << result.dump() << '\n';
        if (!file.flush()) throw std::runtime_error("could not write all of " + output);
    }
    return well;
}

void add_percentiles(sample& to) {
    std::sort(to.times.begin(), to.times.end());
    const auto at = [&](double part) {
        return static_cast<double>(to.times[static_cast<std::size_t>(part * static_cast<double>(to.times.size() - 1))]);
    };
    to.figures["p50_ns"] = at(0.5);
    to.figures["p99_ns"] = at(0.99);
    to.figures["p99.9_ns"] = at(0.999);
    to.figures["max_ns"] = at(1);
}

}  // namespace bench
