/* Any bytes as the target of a request, and as an Accept header.
 *
 * What is accepted lies in the target's room, is no longer than what came, and reads as the same again when it is written with a
 * percent code for each byte. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve/metric.h"
#include "serve/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char again[4 * MS_TARGET_MAX_BYTES];

static size_t put_codes(size_t at, struct ms_bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++)
        at += (size_t)snprintf(again + at, sizeof again - at, "%%%02x", (unsigned char)bytes.data[i]);
    return at;
}

static void check_bytes(const struct ms_target *target, struct ms_bytes bytes)
{
    assert(bytes.data >= target->room && bytes.data + bytes.size <= target->room + sizeof target->room);
}

static void check_same(struct ms_bytes a, struct ms_bytes b)
{
    assert(a.size == b.size && memcmp(a.data, b.data, a.size) == 0);
}

static void check_again(const struct ms_target *target)
{
    static struct ms_target other;
    size_t at = 0;
    for (size_t i = 0; i < target->segment_count; i++) {
        again[at++] = '/';
        at = put_codes(at, target->segments[i]);
    }
    for (size_t i = 0; i < target->query_count; i++) {
        again[at++] = i ? '&' : '?';
        at = put_codes(at, target->queries[i].name);
        again[at++] = '=';
        at = put_codes(at, target->queries[i].value);
    }
    if (at > MS_TARGET_MAX_BYTES)
        return;
    assert(ms_target_parse(&other, (struct ms_bytes){again, at}) == MS_TARGET_GOOD);
    assert(other.segment_count == target->segment_count && other.query_count == target->query_count);
    for (size_t i = 0; i < target->segment_count; i++)
        check_same(target->segments[i], other.segments[i]);
    for (size_t i = 0; i < target->query_count; i++) {
        check_same(target->queries[i].name, other.queries[i].name);
        check_same(target->queries[i].value, other.queries[i].value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ms_target target;
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    enum ms_target_fault fault = ms_target_parse(&target, (struct ms_bytes){text, size});
    assert(fault == MS_TARGET_GOOD || ms_target_fault_text(fault)[0]);
    size_t total = 0;
    for (size_t i = 0; fault == MS_TARGET_GOOD && i < target.segment_count; i++) {
        check_bytes(&target, target.segments[i]);
        total += target.segments[i].size;
    }
    for (size_t i = 0; fault == MS_TARGET_GOOD && i < target.query_count; i++) {
        check_bytes(&target, target.queries[i].name);
        check_bytes(&target, target.queries[i].value);
        total += target.queries[i].name.size + target.queries[i].value.size;
    }
    if (fault == MS_TARGET_GOOD) {
        assert(total < size);
        check_again(&target);
    }
    (void)ms_exposition_type(ms_exposition_accepted(text));
    free(text);
    return 0;
}
