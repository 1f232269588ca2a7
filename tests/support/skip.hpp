// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "catch.hpp"

/// Ends a test that is not possible here, and says why.
#define SKIP_UNLESS(possible, why)      \
    do {                                \
        if (!(possible)) {              \
            WARN("skipped: " << (why)); \
            return;                     \
        }                               \
    } while (false)
