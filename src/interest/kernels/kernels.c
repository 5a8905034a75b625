/* Choosing among the compiled kernels. Explicit features are asked for rather than a level's name, which
 * clang 14 does not know. */
#include "interest/kernels/kernels.h"

extern const struct ms_kernels ms_kernels_baseline;
#ifdef MS_KERNELS_X86
extern const struct ms_kernels ms_kernels_x86_64_v3, ms_kernels_x86_64_v4;

static bool runs_v3(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2");
}

static bool runs_v4(void)
{
    return runs_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}
#endif

const struct ms_kernels *ms_kernels_at(int index)
{
    const struct ms_kernels *all[4] = {&ms_kernels_baseline};
#ifdef MS_KERNELS_X86
    __builtin_cpu_init();
    if (runs_v3())
        all[1] = &ms_kernels_x86_64_v3;
    if (runs_v4())
        all[2] = &ms_kernels_x86_64_v4;
#endif
    return index >= 0 && index < 4 ? all[index] : NULL;
}

const struct ms_kernels *ms_kernels_best(void)
{
    int last = 0;
    while (ms_kernels_at(last + 1))
        last++;
    return ms_kernels_at(last);
}
