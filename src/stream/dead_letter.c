/* Dead letters: what is kept of a record, and the headers. */
#include "stream/dead_letter.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BATCH_BYTES                                                                                          \
    128 /* of a batch with one record, beside the record's key, value and headers: at most 61 + 36 */
#define LENGTHS_BYTES 10    /* of a header: two lengths */
#define CLOCKS_MS     60000 /* how far our clock and the broker's may differ */
#define REASON_SHARE  8     /* the reason may take this part of the room */
#define RENAMED       "original-"
#define EXCEPTION     "mindstream.BadEvent: "

/* X(name, style): the headers that are ours. MS_HEADERS_BOTH has them all. */
#define OWN_HEADERS(X)                                                                                       \
    X("error", MINDSTREAM)                                                                                   \
    X("source-topic", MINDSTREAM)                                                                            \
    X("source-partition", MINDSTREAM)                                                                        \
    X("source-offset", MINDSTREAM)                                                                           \
    X("source-timestamp", BOTH)                                                                              \
    X("source-key-null", BOTH)                                                                               \
    X("source-value-null", BOTH)                                                                             \
    X("cut-key-bytes", BOTH)                                                                                 \
    X("cut-value-bytes", BOTH)                                                                               \
    X("cut-headers", BOTH)                                                                                   \
    X("__streams.errors.exception", STREAMS)                                                                 \
    X("__streams.errors.message", STREAMS)                                                                   \
    X("__streams.errors.topic", STREAMS)                                                                     \
    X("__streams.errors.partition", STREAMS)                                                                 \
    X("__streams.errors.offset", STREAMS)

static const struct {
    const char *name;
    int style;
} own_headers[] = {
#define OWN_HEADER(name, style) {name, MS_HEADERS_##style},
    OWN_HEADERS(OWN_HEADER)
#undef OWN_HEADER
};
static_assert(sizeof own_headers / sizeof *own_headers <= MS_DEAD_LETTER_OWN, "a letter has room for all");

static bool is_own(const char *name)
{
    for (size_t i = 0; i < sizeof own_headers / sizeof *own_headers; i++) {
        if (strcmp(name, own_headers[i].name) == 0)
            return true;
    }
    return false;
}

size_t ms_header_bytes(const struct ms_header *header)
{
    return LENGTHS_BYTES + strlen(header->name) + header->value.size;
}

static size_t source_header_bytes(const struct ms_header *header)
{
    return ms_header_bytes(header) + (is_own(header->name) ? strlen(RENAMED) : 0);
}

/* ---- our headers ---- */

static void add_bytes(struct ms_dead_letter *letter, const char *name, struct ms_bytes value)
{
    letter->own[letter->own_count++] = (struct ms_header){name, value};
}

static void add_text(struct ms_dead_letter *letter, const char *name, const char *value)
{
    add_bytes(letter, name, (struct ms_bytes){value, strlen(value)});
}

/* A number in digits, kept in the letter. */
static struct ms_bytes digits(struct ms_dead_letter *letter, int64_t number)
{
    char *at = letter->text + letter->text_bytes;
    int bytes = snprintf(at, sizeof letter->text - letter->text_bytes, "%" PRId64, number);
    letter->text_bytes += (size_t)bytes;
    return (struct ms_bytes){at, (size_t)bytes};
}

/* The start of |text| of at most |most| bytes, without half a character of UTF-8. */
static struct ms_bytes start_of(const char *text, size_t most)
{
    size_t size = strlen(text), n = size < most ? size : most;
    while (n && n < size && ((unsigned char)text[n] & 0xC0) == 0x80)
        n--;
    return (struct ms_bytes){text, n};
}

/* What a reader of Kafka Streams' dead letters looks for. There is no stack trace. */
static void add_streams(struct ms_dead_letter *letter, const char *topic, struct ms_bytes reason,
                        struct ms_bytes partition, struct ms_bytes offset)
{
    int bytes = snprintf(letter->exception, sizeof letter->exception, EXCEPTION "%.*s", (int)reason.size,
                         reason.data);
    add_bytes(letter, "__streams.errors.exception", (struct ms_bytes){letter->exception, (size_t)bytes});
    add_bytes(letter, "__streams.errors.message", reason);
    add_text(letter, "__streams.errors.topic", topic);
    add_bytes(letter, "__streams.errors.partition", partition);
    add_bytes(letter, "__streams.errors.offset", offset);
}

/* Which headers a letter needs beside those that say whence and why. */
struct special {
    bool time, null_key, null_value, cut;
    struct ms_bytes time_ms, key_bytes, value_bytes; /* in digits */
};

static void add_own(struct ms_dead_letter *letter, const struct ms_dead_letter_rules *rules,
                    const char *topic, struct ms_bytes reason, struct ms_bytes partition,
                    struct ms_bytes offset, const struct special *special)
{
    letter->own_count = 0;
    if (rules->headers != MS_HEADERS_STREAMS) {
        add_bytes(letter, "error", reason);
        add_text(letter, "source-topic", topic);
        add_bytes(letter, "source-partition", partition);
        add_bytes(letter, "source-offset", offset);
    }
    if (special->time)
        add_bytes(letter, "source-timestamp", special->time_ms);
    if (special->null_key)
        add_text(letter, "source-key-null", "true");
    if (special->null_value)
        add_text(letter, "source-value-null", "true");
    if (special->cut) {
        add_bytes(letter, "cut-key-bytes", special->key_bytes);
        add_bytes(letter, "cut-value-bytes", special->value_bytes);
        add_text(letter, "cut-headers", "4294967295"); /* as long as it can be, until it is known */
    }
    if (rules->headers != MS_HEADERS_MINDSTREAM)
        add_streams(letter, topic, reason, partition, offset);
}

static size_t own_bytes(const struct ms_dead_letter *letter)
{
    size_t bytes = 0;
    for (size_t i = 0; i < letter->own_count; i++)
        bytes += ms_header_bytes(&letter->own[i]);
    return bytes;
}

/* ---- what is kept of the record ---- */

/* What a part may take of |room|, when the |others| beside it, |parts| with it, would like to have |wanted| bytes. */
static size_t share(size_t room, size_t parts, size_t wanted)
{
    size_t equal = room / parts, rest = room > wanted ? room - wanted : 0;
    return equal > rest ? equal : rest;
}

static size_t headers_bytes(const struct ms_headers *source)
{
    size_t bytes = 0;
    for (size_t i = 0; i < source->count; i++) {
        struct ms_header header;
        source->get(source->context, i, &header);
        bytes += source_header_bytes(&header);
    }
    return bytes;
}

/* Takes the header out of the room that is left, or leaves it out. */
static bool keep(const struct ms_header *header, size_t *room)
{
    size_t bytes = source_header_bytes(header);
    if (bytes > *room)
        return false;
    *room -= bytes;
    return true;
}

/* Says in its header how many of the source's headers are left out, and returns what the others take. */
static size_t cut_headers(struct ms_dead_letter *letter, const struct ms_headers *source)
{
    size_t room = letter->room, left_out = 0;
    for (size_t i = 0; i < source->count; i++) {
        struct ms_header header;
        source->get(source->context, i, &header);
        left_out += !keep(&header, &room);
    }
    for (size_t i = 0; i < letter->own_count; i++) {
        if (strcmp(letter->own[i].name, "cut-headers") == 0)
            letter->own[i].value = digits(letter, (int64_t)left_out);
    }
    return letter->room - room;
}

/* Fits the letter into |room|: our headers first, the last of them first left out. */
static void cut(struct ms_dead_letter *letter, size_t room, const struct ms_headers *source,
                size_t source_bytes)
{
    while (letter->own_count && own_bytes(letter) > room)
        letter->own_count--;
    room -= own_bytes(letter);
    size_t key_most = share(room, 3, source_bytes + letter->value.size);
    if (letter->key.size > key_most)
        letter->key.size = key_most;
    room -= letter->key.size;
    letter->room = share(room, 2, letter->value.size);
    room -= cut_headers(letter, source);
    if (letter->value.size > room)
        letter->value.size = room;
}

/* Gives a letter to a compacted topic the key and the value that it needs. */
static void fill_nulls(struct ms_dead_letter *letter, const char *topic, const struct ms_input *input,
                       struct special *special)
{
    if (!letter->key.data) {
        special->null_key = true;
        char *at = letter->text + letter->text_bytes;
        int bytes = snprintf(at, sizeof letter->text - letter->text_bytes, "%s-%" PRId32 "-%" PRId64, topic,
                             input->partition, input->offset);
        letter->text_bytes += (size_t)bytes;
        letter->key = (struct ms_bytes){at, (size_t)bytes};
    }
    if (!letter->value.data) {
        special->null_value = true;
        letter->value = (struct ms_bytes){"", 0};
    }
}

/* Whether the broker would refuse the record's time, or replace it. */
static bool time_lost(const struct ms_dead_letter_rules *rules, int64_t time_ms, int64_t now_ms)
{
    int64_t ahead_ms = time_ms - now_ms;
    return time_ms == 0 || rules->append_time ||
           (rules->before_ms != INT64_MAX && -ahead_ms > rules->before_ms - CLOCKS_MS) ||
           (rules->after_ms != INT64_MAX && ahead_ms > rules->after_ms - CLOCKS_MS);
}

void ms_dead_letter_make(struct ms_dead_letter *letter, const struct ms_dead_letter_rules *rules,
                         const struct ms_output *output, const char *topic, const struct ms_headers *source,
                         int64_t now_ms)
{
    const struct ms_input *input = output->input;
    struct special special = {false};
    size_t room = rules->most_bytes > BATCH_BYTES ? rules->most_bytes - BATCH_BYTES : 0;
    letter->key = output->key;
    letter->value = output->value;
    letter->text_bytes = 0;
    letter->time_ms = input->time_ms < 0 ? 0 : input->time_ms;
    if (input->time_ms >= 0 && time_lost(rules, input->time_ms, now_ms)) {
        special.time = true;
        special.time_ms = digits(letter, input->time_ms);
        letter->time_ms = 0;
    }
    if (rules->compacted)
        fill_nulls(letter, topic, input, &special);
    struct ms_bytes reason = start_of(output->reason, room / REASON_SHARE);
    struct ms_bytes partition = digits(letter, input->partition), offset = digits(letter, input->offset);
    add_own(letter, rules, topic, reason, partition, offset, &special);
    size_t source_bytes = headers_bytes(source);
    letter->room = source_bytes;
    if (own_bytes(letter) + source_bytes + letter->key.size + letter->value.size <= room)
        return;
    special.cut = true;
    special.key_bytes = digits(letter, (int64_t)output->key.size);
    special.value_bytes = digits(letter, (int64_t)output->value.size);
    add_own(letter, rules, topic, reason, partition, offset, &special);
    cut(letter, room, source, source_bytes);
}

void ms_dead_letter_headers(const struct ms_dead_letter *letter, const struct ms_headers *source,
                            void (*add)(void *context, const struct ms_header *header), void *context)
{
    size_t room = letter->room;
    for (size_t i = 0; i < source->count; i++) {
        char name[64];
        struct ms_header header;
        source->get(source->context, i, &header);
        if (!keep(&header, &room))
            continue;
        if (is_own(header.name)) {
            snprintf(name, sizeof name, RENAMED "%s", header.name);
            header.name = name;
        }
        add(context, &header);
    }
    for (size_t i = 0; i < letter->own_count; i++)
        add(context, &letter->own[i]);
}

enum ms_bad_kind ms_bad_kind(const char *reason)
{
    static const char *const begins[] = {
#define MS_BEGINS(name, text, help) text,
        MS_BAD_KINDS(MS_BEGINS)
#undef MS_BEGINS
    };
    int kind = 0;
    while (strncmp(reason, begins[kind], strlen(begins[kind])) != 0) /* the last begins with nothing */
        kind++;
    return (enum ms_bad_kind)kind;
}
