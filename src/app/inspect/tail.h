/* The insides of `mindstream inspect tail`, for its files alone: tail.c is the command, tail_output.c, tail_input.c and tail_dead.c
 * are the kinds of topics, tail_text.c is what they share. */
#ifndef MS_APP_INSPECT_TAIL_H
#define MS_APP_INSPECT_TAIL_H

#include "app/inspect/shared.h"
#include "stream/records.h"

/* A kind of topic. */
struct ms_tail_kind {
    const char *name;   /* of --topic */
    const char *option; /* that names the topic */
    size_t topic;       /* offset in struct ms_config of the topic's name */
    /* Makes and frees what decoding needs of its own. NULL: nothing. */
    enum ms_status (*open)(void **own, const struct ms_config *config, struct ms_error *error);
    void (*close)(void *own);
    /* Decodes a record and keeps what came of it in |own| until the next one. *user is whose it is, as far as that is known, else
     * the key; its bytes hold as long. A record that cannot be decoded is MS_OK. Where |wanted| is not NULL and the key tells that it
     * is another user's, it is not decoded. */
    enum ms_status (*look)(void *own, const struct ms_input *record, const char *wanted,
                           struct ms_bytes *user, struct ms_error *error);
    /* Appends what came of it, behind time, partition and offset. False without memory. */
    bool (*text)(void *own, const struct ms_input *record, struct ms_buffer *out);
    /* Adds the members of what came of it to |root|. */
    void (*json)(void *own, const struct ms_input *record, json_t *root);
};

extern const struct ms_tail_kind ms_tail_output, ms_tail_input, ms_tail_dead;

/* Whether |user| is the one with this id. */
bool ms_tail_is(struct ms_bytes user, const char *id);

/* Appends bytes from outside, escaped and cut to about a line. */
bool ms_tail_bytes(struct ms_buffer *out, struct ms_bytes bytes);
/* The same in quotation marks, "null" without data. */
bool ms_tail_quoted(struct ms_buffer *out, struct ms_bytes bytes);

/* As JSON: a string, null without data. */
json_t *ms_tail_json(struct ms_bytes bytes);

#endif
