/* Reading items.txt: every line an id, checked once, then found by hash. */
#include "model/items.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/lines.h"
#include "mindstream/model.h"
#include "model/file.h"

#define LINE_MAX_BYTES ((size_t)1 << 20) /* of which an id may have MS_MAX_ITEM_ID */

/* |line| counts from 1. */
static enum ms_status check_id(const char *id, size_t size, uint32_t line, const char *path,
                               struct ms_error *error)
{
    if (size == 0)
        return ms_fail(error, MS_MODEL, "%s: line %u is empty", path, line);
    if (size > MS_MAX_ITEM_ID)
        return ms_fail(error, MS_MODEL, "%s: line %u has %zu bytes, at most %d are allowed", path, line, size,
                       MS_MAX_ITEM_ID);
    if (!ms_utf8_valid(id, size))
        return ms_fail(error, MS_MODEL, "%s: line %u is not valid UTF-8", path, line);
    return MS_OK;
}

/* A file whose bytes go into a hash as they are read. */
struct hashed_file {
    const struct ms_file *file;
    size_t at;
    XXH64_state_t *hash;
};

static enum ms_status read_hashed(void *context, char *into, size_t room, size_t *got, struct ms_error *error)
{
    struct hashed_file *hashed = context;
    size_t left = hashed->file->size - hashed->at;
    *got = left < room ? left : room;
    enum ms_status status = *got ? ms_file_read(hashed->file, hashed->at, into, *got, error) : MS_OK;
    if (status != MS_OK)
        return status;
    XXH64_update(hashed->hash, into, *got);
    hashed->at += *got;
    return MS_OK;
}

/* Copies the file's lines to |text|, which has room for all of them, each with a newline. */
static enum ms_status copy_lines(const struct ms_file *file, char *text, size_t *size, XXH64_state_t *hash,
                                 struct ms_error *error)
{
    struct hashed_file hashed = {file, 0, hash};
    struct ms_lines lines;
    struct ms_bytes line;
    enum ms_status status;
    uint64_t length = file->size;
    size_t used = 0;
    XXH64_update(hash, &length, sizeof length);
    ms_lines_init(&lines, (struct ms_byte_source){file->path, &hashed, read_hashed}, LINE_MAX_BYTES);
    while ((status = ms_lines_next(&lines, &line, error)) == MS_OK && line.data) {
        memcpy(text + used, line.data, line.size);
        used += line.size;
        text[used++] = '\n';
    }
    uint64_t number = lines.number + 1;
    ms_lines_free(&lines);
    *size = used;
    return status == MS_FORMAT
               ? ms_fail(error, MS_MODEL, "%s: line %llu has more than %zu bytes, at most %d are allowed",
                         file->path, (unsigned long long)number, LINE_MAX_BYTES, MS_MAX_ITEM_ID)
               : status;
}

/* Reads the file's lines into items->text. */
static enum ms_status read_lines(struct ms_items *items, size_t *size, const char *path, XXH64_state_t *hash,
                                 struct ms_error *error)
{
    struct ms_file file = {.fd = -1};
    /* less one: the start after the last line may be one beyond the text */
    enum ms_status status = ms_file_open(&file, path, MS_ITEMS_MAX_BYTES - 1, error);
    if (status != MS_OK)
        return status;
    items->text = malloc(file.size + 1);
    if (!items->text)
        status = ms_fail(error, MS_MEMORY, "%s: no memory for %zu bytes", path, file.size);
    if (status == MS_OK)
        status = copy_lines(&file, items->text, size, hash, error);
    if (status == MS_OK)
        status = ms_file_unchanged(&file, error);
    ms_file_close(&file);
    return status;
}

static enum ms_status split_lines(struct ms_items *items, size_t size, const char *path,
                                  struct ms_error *error)
{
    size_t lines = 0;
    for (const char *at = items->text, *end = at + size; at < end; lines++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        at = newline ? newline + 1 : end;
    }
    if (!lines) /* a byte order mark alone */
        return ms_fail(error, MS_MODEL, "%s: line 1 is empty", path);
    if (lines > MS_ITEMS_MAX_COUNT)
        return ms_fail(error, MS_MODEL, "%s: %zu items, at most %u are allowed", path, lines,
                       MS_ITEMS_MAX_COUNT);
    items->starts = malloc((lines + 1) * sizeof *items->starts);
    if (!items->starts)
        return ms_fail(error, MS_MEMORY, "%s: no memory for %zu items", path, lines);
    size_t start = 0;
    for (uint32_t item = 0; item < lines; item++) {
        const char *newline = memchr(items->text + start, '\n', size - start);
        size_t end = newline ? (size_t)(newline - items->text) : size;
        enum ms_status status = check_id(items->text + start, end - start, item + 1, path, error);
        if (status != MS_OK)
            return status;
        items->starts[item] = (uint32_t)start;
        start = end + 1;
    }
    items->starts[lines] = (uint32_t)start;
    items->count = (uint32_t)lines;
    return MS_OK;
}

static uint64_t hash_of_item(void *context, uint32_t item)
{
    size_t size;
    const char *id = ms_items_id(context, item, &size);
    return XXH3_64bits(id, size);
}

static enum ms_status index_items(struct ms_items *items, const char *path, struct ms_error *error)
{
    if (!ms_index_init(&items->index, items->count))
        return ms_fail(error, MS_MEMORY, "%s: no memory for the index of %u items", path, items->count);
    for (uint32_t item = 0; item < items->count; item++) {
        size_t size;
        const char *id = ms_items_id(items, item, &size);
        uint32_t same = ms_items_find(items, id, size);
        if (same != MS_NO_ITEM)
            return ms_fail(error, MS_MODEL, "%s: line %u repeats the id of line %u: \"%.*s\"", path, item + 1,
                           same + 1, (int)(size < 100 ? size : 100), id);
        if (!ms_index_add(&items->index, XXH3_64bits(id, size), item, hash_of_item, items))
            return ms_fail(error, MS_MEMORY, "%s: no memory for the index of %u items", path, items->count);
    }
    return MS_OK;
}

enum ms_status ms_items_read(struct ms_items *out, const char *path, XXH64_state_t *hash,
                             struct ms_error *error)
{
    struct ms_items items = {0};
    size_t size = 0;
    enum ms_status status = read_lines(&items, &size, path, hash, error);
    if (status == MS_OK)
        status = split_lines(&items, size, path, error);
    if (status == MS_OK)
        *out = items;
    else
        ms_items_free(&items);
    return status;
}

enum ms_status ms_items_load(struct ms_items *out, const char *path, XXH64_state_t *hash,
                             struct ms_error *error)
{
    struct ms_items items = {0};
    enum ms_status status = ms_items_read(&items, path, hash, error);
    if (status == MS_OK)
        status = index_items(&items, path, error);
    if (status == MS_OK)
        *out = items;
    else
        ms_items_free(&items);
    return status;
}

/* Adds |id| as the last item. */
static bool add_item(struct ms_items *items, size_t *used, struct ms_bytes id)
{
    memcpy(items->text + *used, id.data, id.size);
    *used += id.size;
    items->text[(*used)++] = '\n';
    items->starts[++items->count] = (uint32_t)*used;
    return ms_index_add(&items->index, XXH3_64bits(id.data, id.size), items->count - 1, hash_of_item, items);
}

/* The wanted ids, each once, as the items of |wanted|. */
static bool set_of(struct ms_items *wanted, const struct ms_bytes *ids, size_t count)
{
    size_t bytes = 1, used = 0;
    for (size_t i = 0; i < count; i++)
        bytes += ids[i].size + 1;
    wanted->text = malloc(bytes);
    wanted->starts = calloc(count + 1, sizeof *wanted->starts);
    bool good = wanted->text && wanted->starts && ms_index_init(&wanted->index, (uint32_t)count);
    for (size_t i = 0; good && i < count; i++) {
        if (ms_items_find(wanted, ids[i].data, ids[i].size) == MS_NO_ITEM)
            good = add_item(wanted, &used, ids[i]);
    }
    return good;
}

enum ms_status ms_items_pick(struct ms_items *out, uint32_t *numbers, const struct ms_items *all,
                             const struct ms_bytes *ids, size_t count, struct ms_error *error)
{
    struct ms_items wanted = {0}, picked = {0};
    size_t used = 0;
    bool good = set_of(&wanted, ids, count);
    picked.text = good ? malloc(wanted.starts[wanted.count] + 1) : NULL;
    picked.starts = good ? calloc((size_t)wanted.count + 1, sizeof *picked.starts) : NULL;
    good = picked.text && picked.starts && ms_index_init(&picked.index, wanted.count);
    for (uint32_t item = 0; good && item < all->count && picked.count < wanted.count; item++) {
        struct ms_bytes id;
        id.data = ms_items_id(all, item, &id.size);
        if (ms_items_find(&wanted, id.data, id.size) == MS_NO_ITEM)
            continue;
        numbers[picked.count] = item;
        good = add_item(&picked, &used, id);
    }
    ms_items_free(&wanted);
    if (good) {
        *out = picked;
        return MS_OK;
    }
    ms_items_free(&picked);
    return ms_fail(error, MS_MEMORY, "no memory for %zu items of a model", count);
}

void ms_items_free(struct ms_items *items)
{
    free(items->text);
    free(items->starts);
    ms_index_free(&items->index);
    *items = (struct ms_items){0};
}

static uint32_t find_hashed(const struct ms_items *items, const char *id, size_t id_bytes, uint64_t hash)
{
    uint32_t cursor = ms_index_start(&items->index, hash), item;
    while (ms_index_next(&items->index, hash, &cursor, &item)) {
        size_t size;
        const char *at = ms_items_id(items, item, &size);
        if (size == id_bytes && memcmp(at, id, size) == 0)
            return item;
    }
    return MS_NO_ITEM;
}

uint32_t ms_items_find(const struct ms_items *items, const char *id, size_t id_bytes)
{
    return find_hashed(items, id, id_bytes, XXH3_64bits(id, id_bytes));
}

#define TOGETHER 32

/* Index slot, then start, then text: the item by its tag alone is nearly always the one. */
static void find_together(const struct ms_items *items, const char *const *ids, const size_t *id_bytes,
                          size_t count, uint32_t *found)
{
    uint64_t hashes[TOGETHER];
    for (size_t i = 0; i < count; i++) {
        hashes[i] = XXH3_64bits(ids[i], id_bytes[i]);
        ms_index_prefetch(&items->index, hashes[i]);
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t cursor = ms_index_start(&items->index, hashes[i]);
        found[i] = 0;
        if (ms_index_next(&items->index, hashes[i], &cursor, &found[i]))
            __builtin_prefetch(items->starts + found[i]);
    }
    for (size_t i = 0; i < count; i++)
        __builtin_prefetch(items->text + items->starts[found[i]]);
    for (size_t i = 0; i < count; i++)
        found[i] = find_hashed(items, ids[i], id_bytes[i], hashes[i]);
}

void ms_items_find_many(const struct ms_items *items, const char *const *ids, const size_t *id_bytes,
                        size_t count, uint32_t *found)
{
    for (size_t at = 0; at < count; at += TOGETHER)
        find_together(items, ids + at, id_bytes + at, count - at < TOGETHER ? count - at : TOGETHER,
                      found + at);
}
