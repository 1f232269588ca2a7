// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bridge/bridge_record.hpp"
#include "bridge/delivery_table.hpp"

#include <promisqs/untyped_queue.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>

namespace promisqs_tool {

/// Decides what is to be done with a message that a stream delivers. Of several bridges into one queue, of one user,
/// one at most holds it.
class intake {
public:
    enum class answer : std::uint8_t {
        to_push,    ///< it is held from now on
        held,       ///< it is held already, and was delivered again
        duplicate,  ///< it is in the queue, or was
        not_now     ///< another bridge holds it, or there is no room: it is to be delivered again later
    };
    struct decision {
        answer what;
        std::optional<delivery_table::place> at;  ///< in this bridge's record, if it is there
    };

    intake(promisqs::untyped_queue& queue, bridge_record& record)
        : queue_(queue), record_(record), most_taken_(record.table().size() / 4) {
        look_for_room();
    }

    [[nodiscard]] decision decide(const delivery& of);
    /// Until the consumer's floor has risen, the record has room for messages that are delivered again, and none for those
    /// that are delivered for the first time.
    [[nodiscard]] bool lacks_room() const noexcept { return taken_ >= most_taken_; }
    /// To be called once the floor has risen.
    void look_for_room() { taken_ = record_.table().taken(record_.floor()); }

private:
    [[nodiscard]] std::optional<decision> decide_by_own(delivery_table& table, const delivery& of) const;
    [[nodiscard]] std::optional<delivery_table::place> hold(delivery_table& table, const delivery& of);
    [[nodiscard]] bool is_acknowledged(const delivery& of) const;
    [[nodiscard]] delivery_state state_elsewhere(const delivery& of);
    [[nodiscard]] delivery_state state_at_peer(const record_file& peer, const delivery& of);

    promisqs::untyped_queue& queue_;
    bridge_record& record_;
    std::size_t most_taken_;
    std::size_t taken_ = 0;
};

}  // namespace promisqs_tool
