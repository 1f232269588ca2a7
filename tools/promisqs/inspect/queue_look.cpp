// SPDX-License-Identifier: Apache-2.0

#include "inspect/queue_look.hpp"

#include <sys/stat.h>

#include <algorithm>

namespace promisqs_tool {

std::optional<file_status> file_status_of(const std::string& name) {
    struct ::stat found {};
    if (::lstat(("/dev/shm/" + name).c_str(), &found) != 0) return std::nullopt;
    return file_status{found.st_ino, static_cast<std::uint64_t>(found.st_size), found.st_uid, found.st_mode & 07777U,
                       found.st_ctime};
}

queue_look look_at(promisqs::inspector& from, process_lookup& lookup) {
    queue_look result{from.name(), from.look(), file_status_of(from.name()), {}, {}, {}};
    try {
        auto facts = from.facts();
        auto stats = from.stats();
        const auto all = from.participants();
        const std::uint64_t inode = result.file ? result.file->inode : 0;
        result.participants = view_participants(all, inode, lookup);
        result.facts = std::move(facts);
        result.stats = std::move(stats);
    } catch (const promisqs::queue_error&) {
        result.finding = from.look();  // it has become something else
    }
    return result;
}

std::string words_of(promisqs::queue_state state) {
    std::string words(to_string(state));
    std::replace(words.begin(), words.end(), '_', ' ');
    return words;
}

std::optional<promisqs::element_fields> fields_of(const promisqs::queue_facts& facts) {
    try {
        promisqs::element_fields fields(facts.schema);
        if (fields.type().size == facts.element_size) return fields;
    } catch (const promisqs::schema_error&) {
        // Something else has written into it.
    }
    return std::nullopt;
}

}  // namespace promisqs_tool
