/* Whether there is room left. */
#ifndef MS_BASE_ROOM_H
#define MS_BASE_ROOM_H

#include <stdbool.h>
#include <stddef.h>

/* Whether |bytes| of address space can be had at once: for a library that does not tell when it gets none. */
bool ms_has_room(size_t bytes);
/* The same for |threads| stacks and |bytes| besides. */
bool ms_has_room_for_threads(int threads, size_t bytes);

#endif
