/*
 * processor.h -- whether this machine can run what the compiler made.
 *
 * The engine is compiled for x86-64-v3 where the building machine has it (the build then
 * defines IGLOO_NEEDS_AVX2); on an older processor it would die of an illegal instruction
 * somewhere in the middle.
 *
 * Owns: nothing. Threads: no state. Blocks: never.
 */
#ifndef IG_SERVER_PROCESSOR_H
#define IG_SERVER_PROCESSOR_H

#include "base/macros.h"

bool ig_processor_will_do(void);

/* "x86-64-v3 (AVX2)" or what else this build needs. */
const char *ig_processor_needed(void);

#endif
