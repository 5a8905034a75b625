/* Checking one table row, whatever its outcome. */
#include "event_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

const struct ms_event_fields default_fields = {"user_id", "item_id", "timestamp",  "event_type",
                                               "",        1024,      MS_KEY_STRING};

/* An exact-size heap copy, so that a sanitizer or valgrind sees a read beyond the record. */
static struct ms_bytes exact_copy(const char *text)
{
    if (!text)
        return (struct ms_bytes){NULL, 0};
    size_t size = strlen(text);
    char *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, text, size);
    return (struct ms_bytes){copy, size};
}

static void check_text(const char *what, struct ms_bytes got, const char *expected, const char *value)
{
    if (!expected) {
        if (got.data)
            fail_msg("%s of %s: expected none", what, value);
        return;
    }
    if (!got.data || got.size != strlen(expected) || memcmp(got.data, expected, got.size) != 0)
        fail_msg("%s of %s: \"%.*s\", expected \"%s\"", what, value, got.data ? (int)got.size : 0,
                 got.data ? got.data : "", expected);
}

static void check_row(struct ms_decoder *decoder, struct ms_arena *arena, const struct row *row)
{
    struct ms_bytes key = exact_copy(row->key), value = exact_copy(row->value);
    const char *shown = row->value ? row->value : "(null)";
    struct ms_event event, untouched;
    enum ms_event_kind kind = (enum ms_event_kind)77;
    struct ms_event_notes notes = {.key_differs = true};
    struct ms_error error = {.text = ""};
    memset(&untouched, 0x5a, sizeof untouched);
    event = untouched;
    enum ms_status status = ms_decode_event(decoder, arena, key, value,
                                            row->record_time ? row->record_time : RECORD_TIME, &event, &kind,
                                            &notes, &error);
    if (row->error) {
        if (status != MS_EVENT || error.status != MS_EVENT || !strstr(error.text, row->error))
            fail_msg("%s: status %s \"%s\", expected EVENT with \"%s\"", shown, ms_status_name(status),
                     error.text, row->error);
        assert_memory_equal(&event, &untouched, sizeof event);
        assert_int_equal(kind, 77);
    } else {
        if (status != MS_OK)
            fail_msg("%s: %s", shown, error.text);
        assert_int_equal(kind, row->kind);
        assert_int_equal(notes.no_key, !row->key);
        free((void *)(uintptr_t)key.data); /* the event keeps nothing of the record */
        free((void *)(uintptr_t)value.data);
        key.data = value.data = NULL;
        check_text("user", event.user, row->user, shown);
        check_text("item", event.item, row->item, shown);
        check_text("type", event.type, row->type, shown);
        if (event.time_ms != row->time)
            fail_msg("time of %s: %lld, expected %lld", shown, (long long)event.time_ms,
                     (long long)row->time);
        if (notes.key_differs != row->key_differs)
            fail_msg("key_differs of %s: %d", shown, notes.key_differs);
    }
    free((void *)(uintptr_t)key.data);
    free((void *)(uintptr_t)value.data);
}

void check_rows(const struct ms_event_fields *fields, const struct row *rows, size_t count)
{
    struct ms_decoder *decoder;
    struct ms_arena arena = {0};
    struct ms_error error;
    if (ms_decoder_new(&decoder, fields, &error))
        fail_msg("%s", error.text);
    for (int turn = 0; turn < 2; turn++) {
        for (size_t i = 0; i < count; i++)
            check_row(decoder, &arena, &rows[i]);
        ms_arena_reset(&arena);
    }
    ms_arena_free(&arena);
    ms_decoder_destroy(decoder);
}
