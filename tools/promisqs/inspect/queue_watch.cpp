// SPDX-License-Identifier: Apache-2.0

#include "inspect/queue_watch.hpp"

#include "inspect/participants.hpp"
#include "system/interruption.hpp"

#include <promisqs/error.hpp>

#include <sys/resource.h>

#include <set>
#include <utility>

namespace promisqs_tool {

namespace {

// Each queue takes a descriptor. Shells allow 1024, though most systems would allow more.
void allow_all_descriptors() {
    ::rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);  // if that is refused, some queues can't be opened, and say so
}

bool may_have_figures(promisqs::queue_state state) {
    using enum promisqs::queue_state;
    return state == in_use || state == abandoned || state == closed;
}

void take_facts(const promisqs::inspector& from, watched_queue& into) {
    const promisqs::queue_facts facts = from.facts();
    into.bytes = facts.segment_size;
    into.element_size = facts.element_size;
    into.most_participants = facts.created_with.participants;
    into.created_at = facts.created_at;
}

}  // namespace

participant_counts count_participants(const watched_queue& of, bool alive) {
    participant_counts result;
    for (const promisqs::participant_look& one : of.participants) {
        if (one.who.alive != alive) continue;
        const bool pushes = is_producer(one);
        const bool pops = is_consumer(one);
        ++(pushes && pops ? result.both : pushes ? result.producers : pops ? result.consumers : result.neither);
    }
    return result;
}

queue_watch::queue_watch(std::vector<std::string> names) : names_(std::move(names)) { allow_all_descriptors(); }

void queue_watch::look() {
    if (!names_.empty()) {
        for (const std::string& name : names_) {
            if (!is_interrupted()) look_at(name, std::nullopt);
        }
        return;
    }
    std::set<std::string> listed;
    for (const promisqs::listed_queue& one : promisqs::list_queues()) {
        if (is_interrupted()) return;
        if (look_at(one.name, one.state)) listed.insert(one.name);
    }
    std::erase_if(found_, [&](const auto& one) { return !listed.contains(one.first); });
    std::erase_if(inspectors_, [&](const auto& one) { return !listed.contains(one.first); });
}

promisqs::inspector& queue_watch::opened(const std::string& name, watched_queue& into) {
    if (const auto known = inspectors_.find(name); known != inspectors_.end()) {
        if (known->second.is_named()) return known->second;
        inspectors_.erase(known);
    }
    promisqs::inspector& fresh = inspectors_.emplace(name, promisqs::inspector(name)).first->second;
    into = {};
    into.object = ++objects_;
    return fresh;
}

bool queue_watch::look_at(const std::string& name, std::optional<promisqs::queue_state> listed) {
    watched_queue& seen = found_[name];
    try {
        promisqs::inspector& looks = opened(name, seen);
        if (!listed || !may_have_figures(*listed)) {
            const promisqs::queue_finding finding = looks.look();
            seen.state = finding.state;
            seen.problem = finding.what;
            if (!may_have_figures(finding.state)) return true;
        } else {
            seen.state = listed;
        }
        seen.figures = looks.stats();
        seen.looked_at = std::chrono::steady_clock::now();
        seen.participants = looks.participants();
        if (seen.bytes == 0) take_facts(looks, seen);
        seen.problem.clear();
        return true;
    } catch (const promisqs::queue_error& error) {
        // It was removed, or changed, since it was listed; or can't be opened.
        if (!inspectors_.contains(name)) seen.state.reset();
        seen.problem = error.what();
        return error.code() != promisqs::errc::not_found;
    }
}

}  // namespace promisqs_tool
