/* Properties and tickers. */
#include "state/figures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/store_inside.h"

static uint64_t property(struct ms_store *store, const char *name)
{
    uint64_t value = 0;
    return rocksdb_property_int_cf(store->db, store->rows, name, &value) == 0 ? value : 0;
}

/* RocksDB has this one as text alone. */
static uint64_t text_property(struct ms_store *store, const char *name)
{
    char *text = rocksdb_property_value_cf(store->db, store->rows, name);
    uint64_t value = text ? strtoull(text, NULL, 10) : 0;
    if (text)
        rocksdb_free(text);
    return value;
}

/* A line of the statistics: "NAME COUNT : 17". */
static uint64_t ticker(const char *text, const char *name)
{
    size_t size = strlen(name);
    for (const char *at = text; at && (at = strstr(at, name)); at += size) {
        bool begins = at == text || at[-1] == '\n';
        if (begins && strncmp(at + size, " COUNT : ", 9) == 0)
            return strtoull(at + size + 9, NULL, 10);
    }
    return 0;
}

void ms_store_figures(struct ms_store *store, struct ms_store_figures *figures)
{
    char *text = rocksdb_options_statistics_get_string(store->options);
    *figures = (struct ms_store_figures){
        .file_bytes = property(store, "rocksdb.total-sst-files-size"),
        .pending_compaction_bytes = property(store, "rocksdb.estimate-pending-compaction-bytes"),
        .compactions_running = property(store, "rocksdb.num-running-compactions"),
        .writes_stopped = property(store, "rocksdb.is-write-stopped"),
        .cache_bytes = rocksdb_cache_get_usage(store->cache),
        .cache_limit_bytes = rocksdb_cache_get_capacity(store->cache),
        .cache_hits = ticker(text, "rocksdb.block.cache.hit"),
        .cache_misses = ticker(text, "rocksdb.block.cache.miss"),
        .filter_spared = ticker(text, "rocksdb.bloom.filter.useful"),
        .compaction_read_bytes = ticker(text, "rocksdb.compact.read.bytes"),
        .compaction_written_bytes = ticker(text, "rocksdb.compact.write.bytes")};
    for (int level = 0; level < MS_FIGURES_LEVELS; level++) {
        char name[48];
        snprintf(name, sizeof name, "rocksdb.num-files-at-level%d", level);
        figures->files[level] = text_property(store, name);
    }
    if (text)
        rocksdb_free(text);
}
