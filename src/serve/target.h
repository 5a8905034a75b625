/* The target of a request: path and query as they come over the wire. Pure. */
#ifndef MS_SERVE_TARGET_H
#define MS_SERVE_TARGET_H

#include <stddef.h>

#include "mindstream/bytes.h"

#define MS_TARGET_MAX_BYTES                                                                                  \
    8192 /* of path and query: an id of 1024 bytes takes 3072 where each is a percent code */
#define MS_TARGET_SEGMENTS 8
#define MS_TARGET_QUERIES  8

struct ms_query_pair {
    struct ms_bytes name, value;
};

/* Decoded. The bytes lie in |room|. */
struct ms_target {
    struct ms_bytes
        segments[MS_TARGET_SEGMENTS]; /* of the path, without their slashes: "/" has one, which is empty */
    size_t segment_count;
    struct ms_query_pair queries[MS_TARGET_QUERIES];
    size_t query_count;
    char room[MS_TARGET_MAX_BYTES];
};

enum ms_target_fault {
    MS_TARGET_GOOD,
    MS_TARGET_TOO_LONG,
    MS_TARGET_NO_PATH,        /* it does not begin with a slash */
    MS_TARGET_BAD_PERCENT,    /* no two hexadecimal digits behind a % */
    MS_TARGET_BAD_BYTE,       /* a control character or a blank */
    MS_TARGET_TOO_MANY_PARTS, /* of the path */
    MS_TARGET_TOO_MANY_QUERIES,
};

/* Parses |text|: percent codes are decoded after the cut at slashes, so that an id may have one (%2F), and a plus sign
 * stands for itself. Of the query a plus is a blank. *target is not to be used after a fault. */
enum ms_target_fault ms_target_parse(struct ms_target *target, struct ms_bytes text);

/* What is wrong, for people. */
const char *ms_target_fault_text(enum ms_target_fault fault);

#endif
