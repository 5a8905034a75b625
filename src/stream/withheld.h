/* The users that user.max.publish.rate withholds, as the note beside a committed offset names them (offsets.h).
 *
 * A user that was published a moment ago is published again only when the rate allows. Its events are committed meanwhile. What
 * is owed to readers must outlive the process, and the state must not depend on the clock: so the offset's note names these
 * users, in the same transaction, and whoever takes the partition publishes them. The note has room for so many; a user that
 * finds none is published at once. */
#ifndef MS_STREAM_WITHHELD_H
#define MS_STREAM_WITHHELD_H

#include <stdbool.h>
#include <stddef.h>

#include "mindstream/bytes.h"

#define MS_WITHHELD_BYTES 1600 /* of their names in a note, with the end. Brokers take notes of 4096 bytes */

/* Bytes that a user takes, with the comma behind it: letters, digits, '.', '_' and '-' stand for themselves, other bytes are
 * %XX. */
size_t ms_withheld_bytes(struct ms_bytes id);

/* Writes a user and a comma, and an end behind them; |text| has room for ms_withheld_bytes and one. Returns what was written,
 * without the end. */
size_t ms_withheld_write(char *text, struct ms_bytes id);

/* Whether |size| bytes of |text| are such names. */
bool ms_withheld_is(const char *text, size_t size);

/* Reads the user at *text, which moves behind its comma, into |id|, which has room for as many bytes as there are up to the comma;
 * returns its size. */
size_t ms_withheld_read(const char **text, char *id);

#endif
