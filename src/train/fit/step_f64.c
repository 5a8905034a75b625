/* The step in double, for tests of the gradient. */
#define REAL          double
#define INTEGER       int64_t
#define REAL_IS_FLOAT 0
#define NAMED(x)      x##_f64
#define EXP           exp
#define SQRT          sqrt
#define FUNCTIONS     ms_fit_functions_double
#define SET_NAME      "double"
#include "train/fit/step.inc"
