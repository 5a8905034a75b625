/* Which partitions there are: from row to row, past the users between them. */
#include "state/store_inside.h"

/* Takes the row under the iterator. Returns the first partition that is looked for next, MS_MAX_PARTITIONS for none. */
static unsigned take_row(rocksdb_iterator_t *it, uint16_t *partitions, size_t *count)
{
    struct ms_bytes bytes;
    struct ms_key key;
    bytes.data = rocksdb_iter_key(it, &bytes.size);
    if (!ms_key_parse(bytes, &key) || key.kind == MS_KEY_CHUNK) /* the chunks come last */
        return MS_MAX_PARTITIONS;
    if (key.kind == MS_KEY_PARTITION)
        partitions[(*count)++] = key.partition;
    return key.partition + 1u;
}

enum ms_status ms_store_list_partitions(struct ms_store *store, uint16_t *partitions, size_t *count,
                                        struct ms_error *error)
{
    rocksdb_iterator_t *it = rocksdb_create_iterator(store->db, store->read);
    size_t found = 0;
    char *text = NULL;
    for (unsigned next = 0; next < MS_MAX_PARTITIONS;) {
        const char key[] = {(char)(next >> 8), (char)next};
        rocksdb_iter_seek(it, key, sizeof key);
        next = rocksdb_iter_valid(it) ? take_row(it, partitions, &found) : MS_MAX_PARTITIONS;
    }
    rocksdb_iter_get_error(it, &text);
    rocksdb_iter_destroy(it);
    enum ms_status status = ms_rocksdb_error(text, MS_STATE, error, store->dir);
    if (status == MS_OK)
        *count = found;
    return status;
}
