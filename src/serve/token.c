/* Reading and comparing. */
#include "serve/token.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCHEME "Bearer "

static enum ms_status check_file(int fd, const char *path, struct ms_error *error)
{
    struct stat found;
    if (fstat(fd, &found) != 0)
        return ms_fail(error, MS_CONFIG, "http.token.file=%s: %s", path, strerror(errno));
    if (!S_ISREG(found.st_mode))
        return ms_fail(error, MS_CONFIG, "http.token.file=%s: is no file", path);
    if (found.st_mode & 077)
        return ms_fail(error, MS_CONFIG,
                       "http.token.file=%s: others than its owner may use it (mode %04o): chmod 600 it", path,
                       (unsigned)(found.st_mode & 07777));
    return MS_OK;
}

enum ms_status ms_token_read(const char *path, struct ms_buffer *token, struct ms_error *error)
{
    char text[MS_TOKEN_MAX_BYTES + 2];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return ms_fail(error, MS_CONFIG, "http.token.file=%s: %s", path, strerror(errno));
    enum ms_status status = check_file(fd, path, error);
    ssize_t got = status == MS_OK ? read(fd, text, sizeof text) : 0;
    close(fd);
    if (status != MS_OK)
        return status;
    size_t from = 0, to = got > 0 ? (size_t)got : 0;
    while (from < to && isspace((unsigned char)text[from]))
        from++;
    while (to > from && isspace((unsigned char)text[to - 1]))
        to--;
    bool visible = true;
    for (size_t i = from; i < to; i++)
        visible &= text[i] > ' ' && text[i] < 0x7f;
    if (got < 0 || to - from < MS_TOKEN_MIN_BYTES || to - from > MS_TOKEN_MAX_BYTES || !visible)
        return ms_fail(error, MS_CONFIG,
                       "http.token.file=%s: has to hold one word of %d to %d visible ASCII characters", path,
                       MS_TOKEN_MIN_BYTES, MS_TOKEN_MAX_BYTES);
    return ms_buffer_append(token, text + from, to - from)
               ? MS_OK
               : ms_fail(error, MS_MEMORY, "no memory for a token");
}

bool ms_token_shown(const struct ms_buffer *token, const char *authorization)
{
    size_t scheme = strlen(SCHEME), size = authorization ? strlen(authorization) : 0;
    if (size < scheme || strncasecmp(authorization, SCHEME, scheme) != 0)
        return false;
    const char *shown = authorization + scheme;
    size -= scheme;
    volatile unsigned char differs = size != token->size;
    for (size_t i = 0; i < size; i++)
        differs = (unsigned char)(differs | (shown[i] ^ token->data[i % token->size]));
    return !differs;
}
