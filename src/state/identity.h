/* The identity of a state directory: the file `identity` in it, which says whose state it is.
 *
 *   format=1            layout of the directory
 *   workers=4           the greatest number of workers that ever ran on it
 *   application.id=...  escaped as in a .properties file
 *   input.topic=...
 *   instance.id=...
 *
 * Reads and writes that one file. The caller holds the directory's lock where it writes. */
#ifndef MS_STATE_IDENTITY_H
#define MS_STATE_IDENTITY_H

#include <stdbool.h>

#include "mindstream/status.h"

#define MS_STATE_FORMAT   1
#define MS_IDENTITY_BYTES 256 /* of each name, the ending NUL included */

struct ms_identity {
    int format, workers;
    char application_id[MS_IDENTITY_BYTES];
    char input_topic[MS_IDENTITY_BYTES];
    char instance_id[MS_IDENTITY_BYTES];
};

/* Reads the identity of |dir|; *found tells whether there is one, *sealed whether it is sealed (sealed.h),
 * which those of older versions are not. MS_STATE_NEWER when a newer version wrote
 * it, MS_STATE when it is damaged. */
enum ms_status ms_identity_read(struct ms_identity *identity, const char *dir, bool *found, bool *sealed,
                                struct ms_error *error) MS_MUST_CHECK;

/* Writes the identity to a new file, syncs it, and renames it over the old one. */
enum ms_status ms_identity_write(const struct ms_identity *identity, const char *dir,
                                 struct ms_error *error) MS_MUST_CHECK;

/* Reads the identity of |dir|, checks it against what the caller expects, completes it and writes it. Empty
 * names are not known: the directory's stay. Without an instance id one is made at random. MS_STATE when the
 * state belongs to another application or topic. */
enum ms_status ms_identity_settle(struct ms_identity *identity, const char *dir, const char *application_id,
                                  const char *input_topic, const char *instance_id,
                                  struct ms_error *error) MS_MUST_CHECK;

#endif
