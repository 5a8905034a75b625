/* Reading and decompressing. */
#include "train/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define PACKED_ROOM ((size_t)1 << 17)
#define MAGIC_BYTES 4
#define GZIP_FORMAT (MAX_WBITS + 16) /* zlib: gzip, and nothing else */

static const unsigned char gzip_magic[] = {0x1f, 0x8b}, zstd_magic[] = {0x28, 0xb5, 0x2f, 0xfd};

enum packing { PLAIN, GZIP, ZSTD };

struct ms_input {
    const char *name;
    int fd;
    uint64_t bytes; /* read so far */
    enum packing packing;
    unsigned char *packed; /* [PACKED_ROOM], of which [begin, end) is not read yet */
    size_t begin, end;
    bool ended;  /* the file has no more bytes */
    bool inside; /* a gzip member or zstd frame has begun and has not ended */
    z_stream gzip;
    bool gzip_made;
    ZSTD_DStream *zstd;
};

/* Reads what there is; *got is 0 at the end. */
static enum ms_status read_some(struct ms_input *input, void *into, size_t room, size_t *got,
                                struct ms_error *error)
{
    ssize_t n;
    do
        n = read(input->fd, into, room);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return ms_fail(error, MS_IO, "%s: %s", input->name, strerror(errno));
    input->ended = n == 0;
    *got = (size_t)n;
    input->bytes += (uint64_t)n;
    return MS_OK;
}

/* Reads on behind |end|; room must be there. */
static enum ms_status fill(struct ms_input *input, struct ms_error *error)
{
    size_t got;
    enum ms_status status = read_some(input, input->packed + input->end, PACKED_ROOM - input->end, &got,
                                      error);
    if (status == MS_OK)
        input->end += got;
    return status;
}

static bool begins_with(const struct ms_input *input, const unsigned char *magic, size_t bytes)
{
    return input->end - input->begin >= bytes && memcmp(input->packed + input->begin, magic, bytes) == 0;
}

/* Reads the first bytes and sets up what they ask for. */
static enum ms_status find_packing(struct ms_input *input, struct ms_error *error)
{
    while (!input->ended && input->end < MAGIC_BYTES) {
        enum ms_status status = fill(input, error);
        if (status != MS_OK)
            return status;
    }
    if (begins_with(input, gzip_magic, sizeof gzip_magic)) {
        input->packing = GZIP;
        input->gzip_made = inflateInit2(&input->gzip, GZIP_FORMAT) == Z_OK;
        if (input->gzip_made)
            return MS_OK;
    } else if (begins_with(input, zstd_magic, sizeof zstd_magic)) {
        input->packing = ZSTD;
        input->zstd = ZSTD_createDStream();
        if (input->zstd)
            return MS_OK;
    } else {
        return MS_OK;
    }
    return ms_fail(error, MS_MEMORY, "%s: no memory to decompress it", input->name);
}

enum ms_status ms_input_open(struct ms_input **input, const char *path, struct ms_error *error)
{
    bool standard = strcmp(path, "-") == 0;
    struct ms_input *made = calloc(1, sizeof *made);
    unsigned char *packed = malloc(PACKED_ROOM);
    if (!made || !packed) {
        free(made);
        free(packed);
        return ms_fail(error, MS_MEMORY, "%s: no memory to read it", path);
    }
    *made = (struct ms_input){
        .name = standard ? "standard input" : path, .fd = STDIN_FILENO, .packed = packed};
    enum ms_status status = MS_OK;
    if (!standard && (made->fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
        status = ms_fail(error, MS_IO, "%s: %s", path, strerror(errno));
    if (status == MS_OK)
        status = find_packing(made, error);
    if (status == MS_OK)
        *input = made;
    else
        ms_input_close(made);
    return status;
}

void ms_input_close(struct ms_input *input)
{
    if (!input)
        return;
    if (input->fd > STDIN_FILENO)
        close(input->fd);
    if (input->gzip_made)
        inflateEnd(&input->gzip);
    ZSTD_freeDStream(input->zstd);
    free(input->packed);
    free(input);
}

/* Plain bytes: first those that were looked at, then straight from the file. */
static enum ms_status read_plain(struct ms_input *input, char *into, size_t room, size_t *got,
                                 struct ms_error *error)
{
    size_t left = input->end - input->begin;
    if (!left && !input->ended)
        return read_some(input, into, room, got, error);
    *got = left < room ? left : room;
    memcpy(into, input->packed + input->begin, *got);
    input->begin += *got;
    return MS_OK;
}

static enum ms_status damaged(const struct ms_input *input, const char *why, struct ms_error *error)
{
    return ms_fail(error, MS_FORMAT, "%s: the %s data are damaged (%s)", input->name,
                   input->packing == GZIP ? "gzip" : "zstd", why);
}

/* Decompresses from [begin, end); *got may be 0 although there is more. */
static enum ms_status inflate_some(struct ms_input *input, char *into, size_t room, size_t *got,
                                   struct ms_error *error)
{
    z_stream *z = &input->gzip;
    if (!input->inside) { /* between members; zeros may fill up the last block of a tape */
        while (input->begin < input->end && input->packed[input->begin] == 0)
            input->begin++;
        if (input->begin == input->end)
            return MS_OK;
        if (inflateReset(z) != Z_OK)
            return damaged(input, "zlib cannot start again", error);
        input->inside = true;
    }
    z->next_in = input->packed + input->begin;
    z->avail_in = (uInt)(input->end - input->begin);
    z->next_out = (unsigned char *)into;
    z->avail_out = room < UINT32_MAX ? (uInt)room : UINT32_MAX;
    int code = inflate(z, Z_NO_FLUSH);
    input->begin = input->end - z->avail_in;
    *got = (size_t)((char *)z->next_out - into);
    if (code == Z_STREAM_END)
        input->inside = false;
    else if (code == Z_MEM_ERROR)
        return ms_fail(error, MS_MEMORY, "%s: no memory to decompress it", input->name);
    else if (code != Z_OK && code != Z_BUF_ERROR)
        return damaged(input, z->msg ? z->msg : "zlib does not say why", error);
    return MS_OK;
}

static enum ms_status unzstd_some(struct ms_input *input, char *into, size_t room, size_t *got,
                                  struct ms_error *error)
{
    if (!input->inside && input->begin == input->end)
        return MS_OK;
    ZSTD_inBuffer in = {input->packed + input->begin, input->end - input->begin, 0};
    ZSTD_outBuffer out = {into, room, 0};
    size_t code = ZSTD_decompressStream(input->zstd, &out, &in);
    if (ZSTD_isError(code))
        return damaged(input, ZSTD_getErrorName(code), error);
    input->begin += in.pos;
    input->inside = code != 0;
    *got = out.pos;
    return MS_OK;
}

static enum ms_status read_input(void *context, char *into, size_t room, size_t *got, struct ms_error *error)
{
    struct ms_input *input = context;
    *got = 0;
    if (input->packing == PLAIN)
        return read_plain(input, into, room, got, error);
    for (;;) {
        enum ms_status status = input->packing == GZIP ? inflate_some(input, into, room, got, error)
                                                       : unzstd_some(input, into, room, got, error);
        if (status != MS_OK || *got)
            return status;
        if (input->begin < input->end)
            continue;
        if (input->ended)
            return input->inside ? damaged(input, "cut off", error) : MS_OK;
        input->begin = input->end = 0;
        if ((status = fill(input, error)))
            return status;
    }
}

uint64_t ms_input_bytes(const struct ms_input *input)
{
    return input ? input->bytes : 0;
}

struct ms_byte_source ms_input_source(struct ms_input *input)
{
    return (struct ms_byte_source){.name = input->name, .context = input, .read = read_input};
}

enum ms_status ms_line_file_open(struct ms_line_file *file, const char *path, size_t max_bytes,
                                 struct ms_error *error)
{
    struct ms_input *input;
    enum ms_status status = ms_input_open(&input, path, error);
    if (status != MS_OK)
        return status;
    file->input = input;
    ms_lines_init(&file->lines, ms_input_source(input), max_bytes);
    return MS_OK;
}

void ms_line_file_close(struct ms_line_file *file)
{
    ms_lines_free(&file->lines);
    ms_input_close(file->input);
    *file = (struct ms_line_file){0};
}
