/* A user's entry in the cache, as the overlay hands it out. */
#ifndef MS_STATE_ENTRY_H
#define MS_STATE_ENTRY_H

#include <stdint.h>

#include "user/user.h"

struct ms_entry {
    struct ms_user *user;
    uint64_t hash;
    uint16_t marks;        /* enum ms_mark */
    uint16_t slots_before; /* the worker's: interests the user had when the transaction began */
    uint32_t flush;        /* number of the flush that last encoded the user */
};

enum ms_mark {
    MS_MARK_DIRTY = 1,    /* changed since it was last encoded */
    MS_MARK_USED = 2,     /* used since the eviction hand last passed */
    MS_MARK_TOUCHED = 4,  /* in the worker's list of this transaction; never evicted */
    MS_MARK_REFOLDED = 8, /* was met under another fold id since it was loaded */
    MS_MARK_OWED = 16,    /* the worker's: to be published when the replay reaches C; never evicted */
    MS_MARK_LISTED = 32,  /* the overlay's, while it lists the users of a batch: lists each once */
};

#endif
