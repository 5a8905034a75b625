/* The token that clients show: "Authorization: Bearer TOKEN". */
#ifndef MS_SERVE_TOKEN_H
#define MS_SERVE_TOKEN_H

#include <stdbool.h>

#include "base/buffer.h"
#include "mindstream/status.h"

#define MS_TOKEN_MIN_BYTES 16
#define MS_TOKEN_MAX_BYTES 4096

/* Reads the token of a file, without the blanks around it. MS_CONFIG where the file is not there, others than its owner may read
 * it, or what it holds is too short or has other than visible ASCII in it. The token is never in a message. */
enum ms_status ms_token_read(const char *path, struct ms_buffer *token, struct ms_error *error) MS_MUST_CHECK;

/* Whether the header |authorization| (NULL: none) shows |token|. Takes as long for any header of one length. */
bool ms_token_shown(const struct ms_buffer *token, const char *authorization);

#endif
