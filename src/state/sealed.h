/* Sealed files: small text files of a state directory whose last line, check=DIGEST, tells whether all of the
 * text is as it was written. */
#ifndef MS_STATE_SEALED_H
#define MS_STATE_SEALED_H

#include <stdbool.h>

#include "base/buffer.h"
#include "mindstream/status.h"

/* Writes |text|, sealed, to a new file, syncs it, and renames it over DIR/NAME. */
enum ms_status ms_sealed_write(const char *dir, const char *name, const struct ms_buffer *text,
                               struct ms_error *error) MS_MUST_CHECK;

/* Appends the text of DIR/NAME, without the seal, to |text|. *found tells whether there is such a file, *sealed
 * whether it has a seal. MS_STATE where the text does not fit the seal, or the file is no regular one. */
enum ms_status ms_sealed_read(const char *dir, const char *name, struct ms_buffer *text, bool *found,
                              bool *sealed, struct ms_error *error) MS_MUST_CHECK;

#endif
