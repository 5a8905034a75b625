/* A user's entry in the cache, as the overlay hands it out. */
#ifndef MS_STATE_ENTRY_H
#define MS_STATE_ENTRY_H

#include <stdint.h>

#include "user/user.h"

struct ms_entry {
    struct ms_user *user;
    uint64_t hash;
    uint16_t marks;        /* enum ms_mark */
    uint16_t slots_stored; /* interests that its row named when it was loaded, before any refold */
    uint32_t flush;        /* number of the flush that last encoded the user */
    uint32_t published_ms; /* the publisher's: when it was published last since it is in memory, 0: not yet */
};

enum ms_mark {
    MS_MARK_DIRTY = 1,    /* changed since it was last encoded */
    MS_MARK_USED = 2,     /* used since the hand of the CLOCK last passed */
    MS_MARK_HELD = 4,     /* set and cleared by the publisher, which has it in a list; never evicted */
    MS_MARK_REFOLDED = 8, /* loaded under another fold id and refolded; the publisher clears it */
    MS_MARK_LISTED = 16,  /* the overlay's: is in its list of users of this batch */
};

#endif
