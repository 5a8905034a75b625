/* Cutting and decoding. */
#include "serve/target.h"

#include <stdbool.h>
#include <string.h>

const char *ms_target_fault_text(enum ms_target_fault fault)
{
    static const char *const texts[] = {"",
                                        "the path with its query is longer than 8192 bytes",
                                        "the path does not begin with /",
                                        "a % is not followed by two hexadecimal digits",
                                        "a control character or a blank must come as a percent code",
                                        "the path has more than 8 parts",
                                        "the query has more than 8 parameters"};
    return texts[fault];
}

static int hexadecimal(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes |from| to *at, which moves behind it. */
static enum ms_target_fault decode(struct ms_bytes from, bool query, char **at, struct ms_bytes *out)
{
    char *begin = *at;
    for (size_t i = 0; i < from.size; i++) {
        unsigned char c = (unsigned char)from.data[i];
        if (c <= ' ' || c == 0x7f)
            return MS_TARGET_BAD_BYTE;
        if (c != '%') {
            *(*at)++ = query && c == '+' ? ' ' : (char)c;
            continue;
        }
        int high = i + 2 < from.size ? hexadecimal(from.data[i + 1]) : -1;
        int low = i + 2 < from.size ? hexadecimal(from.data[i + 2]) : -1;
        if (high < 0 || low < 0)
            return MS_TARGET_BAD_PERCENT;
        *(*at)++ = (char)(high * 16 + low);
        i += 2;
    }
    *out = (struct ms_bytes){begin, (size_t)(*at - begin)};
    return MS_TARGET_GOOD;
}

/* The bytes up to |stop|, which are cut off |rest| with it. */
static struct ms_bytes cut(struct ms_bytes *rest, char stop, bool *last)
{
    const char *end = rest->size ? memchr(rest->data, stop, rest->size) : NULL;
    struct ms_bytes part = {rest->data, end ? (size_t)(end - rest->data) : rest->size};
    *last = !end;
    rest->data += part.size + (end != NULL);
    rest->size -= part.size + (end != NULL);
    return part;
}

static enum ms_target_fault parse_path(struct ms_target *target, struct ms_bytes path, char **at)
{
    enum ms_target_fault fault = MS_TARGET_GOOD;
    for (bool last = false; !last && fault == MS_TARGET_GOOD;) {
        struct ms_bytes part = cut(&path, '/', &last);
        if (target->segment_count == MS_TARGET_SEGMENTS)
            return MS_TARGET_TOO_MANY_PARTS;
        fault = decode(part, false, at, &target->segments[target->segment_count++]);
    }
    return fault;
}

static enum ms_target_fault parse_query(struct ms_target *target, struct ms_bytes query, char **at)
{
    enum ms_target_fault fault = MS_TARGET_GOOD;
    for (bool last = query.size == 0; !last && fault == MS_TARGET_GOOD;) {
        bool bare;
        struct ms_bytes value = cut(&query, '&', &last), name;
        if (value.size == 0)
            continue;
        if (target->query_count == MS_TARGET_QUERIES)
            return MS_TARGET_TOO_MANY_QUERIES;
        struct ms_query_pair *pair = &target->queries[target->query_count++];
        name = cut(&value, '=', &bare);
        fault = decode(name, true, at, &pair->name);
        if (fault == MS_TARGET_GOOD)
            fault = decode(value, true, at, &pair->value);
    }
    return fault;
}

enum ms_target_fault ms_target_parse(struct ms_target *target, struct ms_bytes text)
{
    char *at = target->room;
    bool no_query;
    target->segment_count = target->query_count = 0;
    if (text.size > sizeof target->room)
        return MS_TARGET_TOO_LONG;
    if (text.size == 0 || text.data[0] != '/')
        return MS_TARGET_NO_PATH;
    struct ms_bytes query = {text.data + 1, text.size - 1};
    struct ms_bytes path = cut(&query, '?', &no_query);
    enum ms_target_fault fault = parse_path(target, path, &at);
    return fault == MS_TARGET_GOOD ? parse_query(target, query, &at) : fault;
}
