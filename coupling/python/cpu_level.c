/* Return the x86-64 level that this CPU has and that the operating system lets programs use: 4 (AVX-512), 3 (AVX2 and
   fused multiply-adds), otherwise 1; 0 on other kinds of CPU. Fortran has no such inquiry. */
int emufort_cpu_level(void) {
#if defined(__x86_64__) && defined(__GNUC__)
  __builtin_cpu_init();
  if (!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
        __builtin_cpu_supports("bmi2")))
    return 1;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return 4;
  return 3;
#else
  return 0;
#endif
}
