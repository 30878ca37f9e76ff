/*
 * late.h -- libraries of the system that are loaded when they are first needed.
 *
 * OpenSSL, libmicrohttpd and libedit bring sixteen libraries with them, and loading those
 * takes longer than a small query. So the program is not linked with them: a file that
 * lists the functions it needs by IG_LATE_LIBRARY stands in for the library, and each
 * function is a jump to what ig_late_load() has found. One that the list lacks is an
 * undefined symbol for the linker.
 *
 * The one rule: load before the first call. A call without ends the process.
 *
 * Owns:    nothing; a library that was loaded stays.
 * Threads: thread-safe.
 * Blocks:  in the disk, at the first load.
 */
#ifndef IG_BASE_LATE_H
#define IG_BASE_LATE_H

#include <pthread.h>

#include "base/error.h"

typedef void (*ig_late_pointer)(void);

struct ig_late_function {
  const char *name;
  ig_late_pointer *slot; /* where the jump goes */
};

struct ig_late_library {
  const char *file; /* as the loader knows it: "libssl.so.3" */
  const struct ig_late_function *functions;
  size_t functions_count;
  pthread_mutex_t mu; /* a leaf lock */
  bool is_loaded;     /* guarded by mu */
};

/* Load the library and find its functions, once. Functions of libraries that it needs
 * itself are found too. Returns IGLOO_OK; NOT_FOUND 58P01 where it is not installed, is
 * damaged or lacks a function. */
IG_NODISCARD igloo_status ig_late_load(struct ig_late_library *library,
                                       struct igloo_error *reterr);

/* What a function jumps to before it is loaded: ends the process. */
void ig_late_missing(void);

/* Define the library `name`. LIST(X) is X(function) for each function. */
#define IG_LATE_LIBRARY(name, file, LIST)                                           \
  LIST(IG_LATE_JUMP_)                                                               \
  static const struct ig_late_function name##_functions[] = {LIST(IG_LATE_ENTRY_)}; \
  static struct ig_late_library name = {file, name##_functions,                     \
                                        IG_ARRAY_LEN(name##_functions),             \
                                        PTHREAD_MUTEX_INITIALIZER, false}

#define IG_LATE_ENTRY_(function) {#function, &ig_late_##function},

/* The jump leaves all arguments where they are, whatever the function's type. Hidden: no
 * other library is to find it under the function's name. */
/* clang-format off */
#define IG_LATE_JUMP_(function)                                                      \
  static ig_late_pointer ig_late_##function __attribute__((used)) = ig_late_missing; \
  __asm__(".pushsection .text.ig_late_" #function ",\"ax\";"                         \
          ".globl " #function ";"                                                    \
          ".hidden " #function ";"                                                   \
          ".type " #function ",%function;"                                           \
          #function ":" IG_LATE_GO_("ig_late_" #function) ";"                        \
          ".popsection");

#if defined(__x86_64__)
#define IG_LATE_GO_(slot) "jmp *" slot "(%rip)"
#elif defined(__aarch64__)
#define IG_LATE_GO_(slot) "adrp x16, " slot "; ldr x16, [x16, #:lo12:" slot "]; br x16"
#else
#error "write the jump to an address in memory for this processor"
#endif
/* clang-format on */

#endif
