/* The x86-64 level of this CPU. Fortran has no such inquiry. */
#include <stdlib.h>

/* Return the level that the CPU has and that the operating system lets programs use: 4 (AVX-512), 3 (AVX2 and fused
   multiply-adds), 2 (SSE4.2), otherwise 1; 0 on other kinds of CPU. */
int emufort_cpu_level(void) {
#if defined(__x86_64__) && defined(__GNUC__)
  __builtin_cpu_init();
  if (!(__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("popcnt")))
    return 1;
  if (!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
        __builtin_cpu_supports("bmi2")))
    return 2;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return 4;
  return 3;
#else
  return 0;
#endif
}

/* Return the level of the kernels that this process uses, 1 to 4: that of the CPU, or a lower one that the environment
   variable EMUFORT_CPU_LEVEL names. It is found once. Threads may find it at the same time, with the same result. */
int emufort_level_in_use(void) {
#if defined(__x86_64__) && defined(__GNUC__)
  static int found = 0;
  int level = __atomic_load_n(&found, __ATOMIC_RELAXED);
  if (level == 0) {
    const char *wanted = getenv("EMUFORT_CPU_LEVEL");
    level = emufort_cpu_level();
    if (wanted && wanted[0] >= '1' && wanted[0] < '0' + level && wanted[1] == '\0') level = wanted[0] - '0';
    __atomic_store_n(&found, level, __ATOMIC_RELAXED);
  }
  return level;
#else
  return 1;
#endif
}
