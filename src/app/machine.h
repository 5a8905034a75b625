/* What the machine gives this process: cores and memory. */
#ifndef MS_APP_MACHINE_H
#define MS_APP_MACHINE_H

#include <stdint.h>

/* Cores that the process may run on, at least 1. */
int ms_machine_cores(void);
/* Physical memory in bytes, or the lowest memory.max of its control groups (version 2) when that is less. */
int64_t ms_machine_memory_bytes(void);

#endif
