/* The step in float32. Compiled once for each instruction set, with FUNCTIONS and SET_NAME. */
#define REAL          float
#define INTEGER       int32_t
#define REAL_IS_FLOAT 1
#define NAMED(x)      x##_f32
#define EXP           expf
#define SQRT          sqrtf
#include "train/fit/step.inc"
