/* Titles by item: texts in an arena, found by the item's hash. */
#include "serve/titles.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/arena.h"
#include "base/array.h"
#include "base/index.h"
#include "base/json.h"
#include "base/lines.h"

#define LINE_MAX_BYTES ((size_t)1 << 20)

struct row {
    const char *text; /* the item's bytes, the title's, the picture's */
    uint32_t item_bytes, title_bytes, image_bytes;
};

struct ms_titles {
    struct ms_arena texts;
    struct ms_index index;
    struct row *rows;
    size_t count, room;
};

static uint64_t hash_of(void *context, uint32_t value)
{
    const struct row *row = &((const struct ms_titles *)context)->rows[value];
    return XXH3_64bits(row->text, row->item_bytes);
}

static struct row *find(const struct ms_titles *titles, struct ms_bytes item, uint64_t hash)
{
    uint32_t cursor = ms_index_start(&titles->index, hash), value;
    while (ms_index_next(&titles->index, hash, &cursor, &value)) {
        struct row *row = &titles->rows[value];
        if (row->item_bytes == item.size && memcmp(row->text, item.data, item.size) == 0)
            return row;
    }
    return NULL;
}

static bool add(struct ms_titles *titles, struct ms_bytes item, struct ms_bytes title, struct ms_bytes image)
{
    uint64_t hash = XXH3_64bits(item.data, item.size);
    struct row *row = find(titles, item, hash);
    char *text = ms_arena_alloc(&titles->texts, item.size + title.size + image.size + 1);
    if (!text)
        return false;
    memcpy(text, item.data, item.size);
    if (title.size)
        memcpy(text + item.size, title.data, title.size);
    if (image.size)
        memcpy(text + item.size + title.size, image.data, image.size);
    struct row made = {text, (uint32_t)item.size, (uint32_t)title.size, (uint32_t)image.size};
    if (row) {
        *row = made;
        return true;
    }
    if (titles->count >= UINT32_MAX - 1 ||
        !ms_array_reserve(&titles->rows, &titles->room, titles->count + 1, sizeof *titles->rows))
        return false;
    titles->rows[titles->count] = made;
    return ms_index_add(&titles->index, hash, (uint32_t)titles->count++, hash_of, titles);
}

static struct ms_bytes member_text(struct ms_json_value root, const char *name)
{
    struct ms_json_value value;
    struct ms_bytes text = {NULL, 0};
    if (ms_json_member(root, name, strlen(name), &value) && ms_json_type(value) == MS_JSON_STRING)
        text.data = ms_json_string(value, &text.size);
    return text;
}

static struct ms_bytes cut(struct ms_bytes text, size_t most)
{
    if (text.size > most) {
        text.size = most;
        while (text.size && ((unsigned char)text.data[text.size] & 0xc0) == 0x80)
            text.size--;
    }
    return text;
}

static bool begins(struct ms_bytes text, const char *with)
{
    size_t size = strlen(with);
    return text.size >= size && memcmp(text.data, with, size) == 0;
}

static struct ms_bytes good_image(struct ms_bytes image)
{
    bool good = begins(image, "https://") || begins(image, "http://") || begins(image, "data:image/");
    return good && image.size <= MS_IMAGE_MAX_BYTES ? image : (struct ms_bytes){NULL, 0};
}

static enum ms_status read_line(struct ms_titles *titles, struct ms_json *json, struct ms_bytes line,
                                struct ms_error *error)
{
    struct ms_json_value root, value;
    char digits[MS_JSON_DIGITS_MAX];
    struct ms_bytes item = {NULL, 0};
    const char *reason = ms_json_read(json, line.data, line.size, &root);
    if (reason)
        return ms_fail(error, reason == ms_json_no_memory ? MS_MEMORY : MS_CONFIG, "not JSON: %s", reason);
    if (ms_json_type(root) == MS_JSON_OBJECT && ms_json_member(root, "item_id", 7, &value))
        item.data = ms_json_id(value, digits, &item.size);
    if (!item.data || item.size == 0)
        return ms_fail(error, MS_CONFIG, "item_id is missing, or neither a text nor a whole number");
    if (!add(titles, item, cut(member_text(root, "title"), MS_TITLE_MAX_BYTES),
             good_image(member_text(root, "image"))))
        return ms_fail(error, MS_MEMORY, "no memory for %zu titles", titles->count);
    return MS_OK;
}

static enum ms_status read_bytes(void *context, char *into, size_t room, size_t *got, struct ms_error *error)
{
    *got = fread(into, 1, room, context);
    return ferror((FILE *)context) ? ms_fail(error, MS_CONFIG, "%s", strerror(errno)) : MS_OK;
}

static enum ms_status read_lines(struct ms_titles *titles, const char *path, struct ms_json *json, FILE *file,
                                 struct ms_error *error)
{
    struct ms_lines lines;
    struct ms_bytes line;
    enum ms_status status;
    ms_lines_init(&lines, (struct ms_byte_source){path, file, read_bytes}, LINE_MAX_BYTES);
    while ((status = ms_lines_next(&lines, &line, error)) == MS_OK && line.data) {
        if (ms_bytes_trim(line).size == 0)
            continue;
        status = read_line(titles, json, line, error);
        if (status != MS_OK) {
            status = ms_fail_in(error, status, "items.meta=%s: line %" PRIu64, path, lines.number);
            break;
        }
    }
    ms_lines_free(&lines);
    return status == MS_FORMAT ? MS_CONFIG : status;
}

enum ms_status ms_titles_load(struct ms_titles **out, const char *path, struct ms_error *error)
{
    struct ms_titles *titles = calloc(1, sizeof *titles);
    struct ms_json *json = ms_json_new();
    FILE *file = fopen(path, "re");
    enum ms_status status = MS_OK;
    if (!file)
        status = ms_fail(error, MS_CONFIG, "items.meta=%s: %s", path, strerror(errno));
    else if (!titles || !json || !ms_index_init(&titles->index, 1024))
        status = ms_fail(error, MS_MEMORY, "no memory for titles");
    if (status == MS_OK)
        status = read_lines(titles, path, json, file, error);
    if (file)
        fclose(file);
    ms_json_destroy(json);
    if (status == MS_OK)
        *out = titles;
    else
        ms_titles_free(titles);
    return status;
}

void ms_titles_free(struct ms_titles *titles)
{
    if (!titles)
        return;
    ms_arena_free(&titles->texts);
    ms_index_free(&titles->index);
    free(titles->rows);
    free(titles);
}

size_t ms_titles_count(const struct ms_titles *titles)
{
    return titles ? titles->count : 0;
}

struct ms_title ms_titles_find(const struct ms_titles *titles, struct ms_bytes item)
{
    const struct row *row = titles ? find(titles, item, XXH3_64bits(item.data, item.size)) : NULL;
    if (!row)
        return (struct ms_title){{NULL, 0}, {NULL, 0}};
    const char *title = row->text + row->item_bytes;
    return (struct ms_title){{title, row->title_bytes}, {title + row->title_bytes, row->image_bytes}};
}
