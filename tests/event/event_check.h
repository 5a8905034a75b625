/* What the tests of the event layer share: one table row, and the check of a row. */
#ifndef TESTS_EVENT_CHECK_H
#define TESTS_EVENT_CHECK_H

#include <stdint.h>

#include "event/event.h"

#define RECORD_TIME INT64_C(1600000000000) /* of every record that a row does not give another */
#define NO_TIME     (-1)

/* A record and what must come of it. Texts are NUL-terminated; NULL is a record without. */
struct row {
    const char *key, *value;
    int64_t record_time; /* 0 stands for RECORD_TIME */
    const char *error;   /* NULL: it decodes; else MS_EVENT, and the text must hold this */
    enum ms_event_kind kind;
    const char *user, *item, *type; /* item NULL: none */
    int64_t time;
    bool key_differs;
};

/* The default field names with every type accepted. */
extern const struct ms_event_fields default_fields;

/* Decodes each row with one decoder made of |fields|, twice, and checks everything about it. */
void check_rows(const struct ms_event_fields *fields, const struct row *rows, size_t count);

#endif
