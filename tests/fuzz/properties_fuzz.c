/* Any bytes as a file of settings. Keys and values are texts that end, places count up, a key and value written out again with all escapes
 * are read as the same, and no error shows a part of the file. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/properties.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct read {
    struct ms_buffer pairs, again; /* key NUL value NUL; and as lines of a file */
    const char *path;
    long line;
    size_t count;
};

static void escape(struct ms_buffer *out, const char *text)
{
    for (; *text; text++) {
        const char *letter = strchr("\tt\nn\rr\ff", *text);
        char pair[2] = {'\\', letter && strchr("\t\n\r\f", *text) ? letter[1] : *text};
        /* A byte of a character beyond ASCII needs none. */
        bool plain = (*text & 0x80) || *text == 't' || *text == 'n' || *text == 'r' || *text == 'f' ||
                     *text == 'u';
        assert(ms_buffer_append(out, plain ? text : pair, plain ? 1 : 2));
    }
}

static enum ms_status keep(void *context, const char *key, const char *value, const char *where,
                           struct ms_error *error)
{
    struct read *read = context;
    size_t size = strlen(read->path);
    (void)error;
    assert(strncmp(where, read->path, size) == 0 && where[size] == ':');
    long line = strtol(where + size + 1, NULL, 10);
    assert(line >= read->line && line >= 1);
    read->line = line;
    read->count++;
    assert(ms_buffer_append(&read->pairs, key, strlen(key) + 1) &&
           ms_buffer_append(&read->pairs, value, strlen(value) + 1));
    escape(&read->again, key);
    assert(ms_buffer_append(&read->again, "=", 1));
    escape(&read->again, value);
    assert(ms_buffer_append(&read->again, "\n", 1));
    return MS_OK;
}

static void fill(int file, const void *data, size_t size)
{
    assert(ftruncate(file, 0) == 0 && pwrite(file, data, size, 0) == (ssize_t)size);
}

static void free_read(struct read *read)
{
    ms_buffer_free(&read->pairs);
    ms_buffer_free(&read->again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int file = -1;
    static char path[64];
    struct ms_error error = {0};
    if (file < 0) {
        file = memfd_create("settings", 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    }
    struct read first = {.path = path}, second = {.path = path};
    assert(ms_buffer_append(&first.again, "\n", 1)); /* no mark of the byte order stands before a key */
    fill(file, data, size);
    enum ms_status status = ms_properties_read(path, keep, &first, &error);
    assert(status == MS_OK || (status == MS_CONFIG && strncmp(error.text, path, strlen(path)) == 0));
    if (status == MS_CONFIG) {
        const char *said = strstr(error.text, ": ");
        assert(said && (strncmp(said, ": the line ", 11) == 0));
        free_read(&first);
        return 0;
    }
    fill(file, first.again.data, first.again.size);
    assert(ms_properties_read(path, keep, &second, &error) == MS_OK);
    assert(second.count == first.count && second.pairs.size == first.pairs.size);
    assert(!first.pairs.size || memcmp(second.pairs.data, first.pairs.data, first.pairs.size) == 0);
    free_read(&first);
    free_read(&second);
    return 0;
}
