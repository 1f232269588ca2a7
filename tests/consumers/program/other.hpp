// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

struct message {
    int number;
    double price;
};

bool push_from_elsewhere(const std::string& queue_name, const message& m);
