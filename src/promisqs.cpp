// SPDX-License-Identifier: Apache-2.0

// The compiled form: all of the library that does not depend on an element type. It is built with PROMISQS_COMPILED
// defined, as is every source that links it (the CMake target promisqs::compiled sees to both).

#if !defined(PROMISQS_COMPILED)
#define PROMISQS_COMPILED
#endif

#include <promisqs/detail/inspection/definitions.hpp>
#include <promisqs/detail/queue/any_waiter.hpp>
#include <promisqs/detail/queue/definitions.hpp>
#include <promisqs/detail/queue/event_watcher.hpp>
