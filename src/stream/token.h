/* What a command prints that fetches a token to log in with (SASL OAUTHBEARER). */
#ifndef MS_STREAM_TOKEN_H
#define MS_STREAM_TOKEN_H

#include <stddef.h>
#include <stdint.h>

#include "mindstream/status.h"

#define MS_TOKEN_MAX_BYTES      ((size_t)64 << 10) /* of the output */
#define MS_TOKEN_EXTENSIONS_MAX 16

struct ms_token {
    char *value;                                   /* printable ASCII without blanks */
    char *principal;                               /* never NULL; "unknown" where nothing says it */
    char *extensions[2 * MS_TOKEN_EXTENSIONS_MAX]; /* name, value, name, value, ... */
    size_t extension_count;                        /* pairs */
    int64_t expires_ms;                            /* since 1970 */
};

/* Reads |size| bytes of output: either the token alone, a JWT, or a JSON object:
 *
 *   token or access_token   the token, required
 *   expiry                  when it ends: as an event's time (event/time.h)
 *   expires_in              or how many seconds it lives from |now_ms| on
 *   principal               whom it names
 *   extensions              an object of texts for the broker (RFC 7628)
 *
 * Without an expiry or principal the claims "exp" and "sub" of a JWT count. Blanks and line ends around are passed over.
 * MS_FORMAT with what is wrong; no text ever shows the output. The caller frees *token, which is set on success alone. */
enum ms_status ms_token_parse(struct ms_token *token, const char *text, size_t size, int64_t now_ms,
                              struct ms_error *error) MS_MUST_CHECK;
/* A copy; MS_MEMORY. */
enum ms_status ms_token_copy(struct ms_token *copy, const struct ms_token *token,
                             struct ms_error *error) MS_MUST_CHECK;
/* Overwrites and frees what it holds. */
void ms_token_free(struct ms_token *token);

#endif
