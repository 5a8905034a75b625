/* One pass over the bytes. Whatever is not of the simple kind ends it. */
#include "event/flat.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#define DIGITS_MAX 18 /* of any int64_t */

#define EACH(byte) (0x0101010101010101ull * (byte))

/* Bytes that stand for themselves within a string. */
static bool plain(char c)
{
    unsigned char byte = (unsigned char)c;
    return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
}

/* The high bit of each byte of |word| that is zero, and perhaps of bytes above one. */
static uint64_t zeros(uint64_t word)
{
    return (word - EACH (1)) & ~word & EACH (0x80);
}

/* Behind the plain bytes from |at| on; eight at a time where the order of bytes in a word lets the first be told. */
static const char *skip_plain(const char *at, const char *end)
{
    static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first byte is the lowest of a word");
    while (end - at >= 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        uint64_t control = (word - EACH (0x20)) & ~word & EACH (0x80);
        uint64_t stops = (word & EACH (0x80)) | control | zeros(word ^ EACH ('"')) |
                         zeros(word ^ EACH ('\\')) | zeros(word ^ EACH (0x7f));
        if (stops)
            return at + __builtin_ctzll(stops) / 8;
        at += 8;
    }
    while (at < end && plain(*at))
        at++;
    return at;
}

static const char *skip_blanks(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
        at++;
    return at;
}

/* A string that begins at |at|. Returns what follows it, NULL where it is none of the simple kind. */
static const char *read_string(const char *at, const char *end, struct ms_bytes *text)
{
    if (at == end || *at != '"')
        return NULL;
    const char *start = ++at;
    at = skip_plain(at, end);
    if (at == end || *at != '"')
        return NULL;
    *text = (struct ms_bytes){start, (size_t)(at - start)};
    return at + 1;
}

/* The same for an integer; the caller sees whether what follows may follow a number. */
static const char *read_integer(const char *at, const char *end, struct ms_bytes *text)
{
    const char *start = at;
    at += at < end && *at == '-';
    const char *digits = at;
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    size_t count = (size_t)(at - digits);
    if (count == 0 || count > DIGITS_MAX || (*digits == '0' && at > start + 1)) /* 0 alone may begin with 0 */
        return NULL;
    *text = (struct ms_bytes){start, (size_t)(at - start)};
    return at;
}

static void keep(struct ms_bytes key, const struct ms_flat_value *value, const struct ms_flat_field *fields,
                 size_t count, struct ms_flat_value *values)
{
    for (size_t i = 0; i < count; i++) {
        if (!values[i].text.data && fields[i].key_bytes == key.size &&
            (key.size == 0 || fields[i].key[0] == key.data[0]) &&
            memcmp(fields[i].key, key.data, key.size) == 0)
            values[i] = *value;
    }
}

bool ms_flat_read(struct ms_bytes document, const struct ms_flat_field *fields, size_t count,
                  struct ms_flat_value *values)
{
    const char *at = document.data, *end = at + document.size;
    memset(values, 0, count * sizeof *values);
    if (at == end || *at != '{')
        return false;
    do {
        struct ms_bytes key;
        struct ms_flat_value value;
        at = read_string(skip_blanks(at + 1, end), end, &key);
        if (!at || (at = skip_blanks(at, end)) == end || *at != ':')
            return false;
        at = skip_blanks(at + 1, end);
        value.integer = at < end && *at != '"';
        at = value.integer ? read_integer(at, end, &value.text) : read_string(at, end, &value.text);
        if (!at)
            return false;
        keep(key, &value, fields, count, values);
        at = skip_blanks(at, end);
    } while (at < end && *at == ',');
    return at < end && *at == '}' && skip_blanks(at + 1, end) == end;
}
