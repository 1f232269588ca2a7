// SPDX-License-Identifier: Apache-2.0

// The headers after macros that other libraries have: Qt, X11, <complex.h>, the kernel's, those of Windows that are
// ported along, and one letter for a number. Only the library's own names meet most of them, as the other headers that it
// includes come first. `min` and `max` are there before standard headers.

#include <cstddef>

#undef min
#undef max
#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))

#include <promisqs/version.hpp>

#include "other_headers.hpp"

#if !defined(min) || !defined(max)
#error "the program's macros are gone"
#endif

// Qt
#define slots
#define signals public
#define emit
#define foreach(variable, container) for (variable : container)
#define forever for (;;)
// <complex.h> with GNU extensions
#undef I
#define I (__extension__ 1.0iF)
#define complex _Complex
#define imaginary _Imaginary
// Linux kernel
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define noinline __attribute__((noinline))
#define always_inline inline __attribute__((always_inline))
#define cold __attribute__((cold))
#define hot __attribute__((hot))
#define packed __attribute__((packed))
#define barrier() asm volatile("" ::: "memory")
#define container_of(pointer, type, member) 0
#define READ_ONCE(x) x
#define BIT(n) (1U << (n))
#define PAGE_SIZE 4096
#define unused __attribute__((unused))
// Windows, and code that was ported from there
#define small char
#define near
#define far
#define interface struct
#define ERROR 0
#define IN
#define OUT
#define CONST const
#define VOID void
#define TRUE 1
#define FALSE 0
#define DELETE 3
// X11
#define None 0L
#define Bool int
#define Status int
#define True 1
#define False 0
#define Success 0
#define Always 2
#define Complex 0
#define Unsorted 0
// Sockets of lwIP, and wrappers of the C library
int wrapped_close(int);
long wrapped_read(int, void*, unsigned long);
long wrapped_write(int, const void*, unsigned long);
void wrapped_free(void*);
#define close(s) wrapped_close(s)
#define read(s, to, size) wrapped_read(s, to, size)
#define write(s, from, size) wrapped_write(s, from, size)
#define free(p) wrapped_free(p)
// Programs
#define N 100
#define U 1U
#define EMPTY 0
#define DEBUG 1

#include "every_call.cpp"
