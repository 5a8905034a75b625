/* What RocksDB tells of itself: files, compactions, caches. */
#ifndef MS_STATE_FIGURES_H
#define MS_STATE_FIGURES_H

#include "state/store.h"

#define MS_FIGURES_LEVELS 7

struct ms_store_figures {
    uint64_t files[MS_FIGURES_LEVELS]; /* by level */
    uint64_t file_bytes;
    uint64_t pending_compaction_bytes, compactions_running;
    uint64_t writes_stopped; /* 1: until compactions have caught up */
    uint64_t cache_bytes, cache_limit_bytes;
    /* Since the start: */
    uint64_t cache_hits, cache_misses;
    uint64_t filter_spared; /* look-ups that a filter has answered without a read */
    uint64_t compaction_read_bytes, compaction_written_bytes;
};

/* Any thread. What RocksDB does not tell is 0. */
void ms_store_figures(struct ms_store *store, struct ms_store_figures *figures);

#endif
