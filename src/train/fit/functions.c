/* Choosing among the compiled steps, as the kernels of routing are chosen. */
#include <stddef.h>

#include "train/fit/step.h"

extern const struct ms_fit_functions_f32 ms_fit_functions_baseline;
#ifdef MS_KERNELS_X86
extern const struct ms_fit_functions_f32 ms_fit_functions_x86_64_v3, ms_fit_functions_x86_64_v4;
#endif

const struct ms_fit_functions_f32 *ms_fit_functions(void)
{
#ifdef MS_KERNELS_X86
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("bmi2"))
        return &ms_fit_functions_baseline;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        return &ms_fit_functions_x86_64_v4;
    return &ms_fit_functions_x86_64_v3;
#else
    return &ms_fit_functions_baseline;
#endif
}
