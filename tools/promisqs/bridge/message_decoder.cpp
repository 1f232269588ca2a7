// SPDX-License-Identifier: Apache-2.0

#include "bridge/message_decoder.hpp"

#include "bridge/stream_type.hpp"
#include "text/text.hpp"

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace promisqs_tool {

message_decoder::message_decoder(joined_queue& to, const in_options& wanted)
    : is_json_(wanted.format == decltype(wanted.format)::json),
      type_(type_of_queue(*to)),
      reader_(to.messages().plan),
      room_(to->element_size()) {
    if (is_json_ && !to.messages().problem.empty())
        throw failure(exit_code::broken,
                      fmt::format("the schema of queue \"{}\" can't be used, so no JSON can be read: {}",
                                  printable(wanted.queue), printable(to.messages().problem)));
}

std::span<const std::byte> message_decoder::decode(natsMsg* message) {
    check_type(message);
    const std::string_view text(natsMsg_GetData(message), static_cast<std::size_t>(natsMsg_GetDataLength(message)));
    if (is_json_) {
        reader_.read(text, room_);
        return room_;
    }
    if (text.size() != room_.size())
        throw misfit(fmt::format("expected {} bytes, found {}", room_.size(), text.size()));
    return std::as_bytes(std::span(text));
}

// Other clients say nothing of a type.
void message_decoder::check_type(natsMsg* message) const {
    const message_type found = type_of_message(message);
    if (found.is_json.value_or(is_json_) != is_json_)
        throw misfit(is_json_ ? "it holds the element's bytes, and no JSON; leave --format json out"
                              : "it is JSON, and not the element's bytes; take --format json");
    if (found.fingerprint == 0 || type_.fingerprint == 0 || found.fingerprint == type_.fingerprint) return;
    constexpr std::size_t most = 500;
    throw misfit(fmt::format("it is of another type. The queue's: {}. The message's: {}",
                             printable(type_.text.substr(0, most)),
                             found.schema.empty() ? fmt::format("one of fingerprint {:016x}", found.fingerprint)
                                                  : printable(found.schema.substr(0, most))));
}

}  // namespace promisqs_tool
