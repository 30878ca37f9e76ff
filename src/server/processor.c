/* processor.c -- see processor.h. */
#include "server/processor.h"

#if defined(__x86_64__) && defined(IGLOO_NEEDS_AVX2)

bool ig_processor_will_do(void) {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
         __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma");
}

const char *ig_processor_needed(void) {
  return "x86-64-v3 (AVX2)";
}

#else

bool ig_processor_will_do(void) {
  return true;
}

const char *ig_processor_needed(void) {
  return "any processor of this architecture";
}

#endif
