// SPDX-License-Identifier: Apache-2.0

// Nothing of its own: CMake makes a precompiled header only for a target that has a source that uses it.
