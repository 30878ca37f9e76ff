/*
 * macros.h -- compiler attributes and the few macros that everything uses.
 *
 * Owns: nothing. Threads: no state. Blocks: never.
 */
#ifndef IG_BASE_MACROS_H
#define IG_BASE_MACROS_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The caller must look at the result. */
#define IG_NODISCARD __attribute__((warn_unused_result))

/* A printf-like function: position of the format and of its first argument. */
#define IG_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))

#define IG_UNUSED __attribute__((unused))

#define IG_ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

#endif
