/* OpenBLAS's memory. It takes one work buffer with its first product and keeps it. Where it gets none it tries again for
 * ever (0.3.21), so whoever multiplies makes sure of the buffer first. */
#ifndef MS_INTEREST_BLAS_H
#define MS_INTEREST_BLAS_H

#include "mindstream/status.h"

/* Has OpenBLAS take its buffer, if it has none yet. MS_MEMORY where there is no room for it. One product at a time, as for
 * Debian's serial OpenBLAS in general. */
enum ms_status ms_blas_ready(struct ms_error *error) MS_MUST_CHECK;

#endif
