// SPDX-License-Identifier: Apache-2.0
#pragma once

/// What stands before a function that does not depend on an element type, where it is defined. Header-only,
/// each program has a copy of it. With the compiled form, only src/promisqs.cpp defines it.
#if defined(PROMISQS_COMPILED)
#define PROMISQS_DEFINITION
#else
#define PROMISQS_DEFINITION inline
#endif
