/* Tokens to log in with, for all clients of the process: fetched by a command, kept while they are fresh. */
#ifndef MS_STREAM_LOGIN_H
#define MS_STREAM_LOGIN_H

#include "mindstream/status.h"
#include "stream/token.h"

struct ms_login;

/* |command| is a list of words (base/child.h). Runs nothing yet. The caller destroys it after all clients. */
enum ms_status ms_login_new(struct ms_login **login, const char *command,
                            struct ms_error *error) MS_MUST_CHECK;
void ms_login_destroy(struct ms_login *login);

/* Whether the command's program can be run; MS_CONFIG. */
enum ms_status ms_login_check(const struct ms_login *login, struct ms_error *error) MS_MUST_CHECK;

/* A token that has lived for less than half of its life: the one that is kept, or what the command prints now. While one caller waits
 * for the command the others wait for him. The caller frees *token. A failure is kept for a moment, too. Any thread. */
enum ms_status ms_login_token(struct ms_login *login, struct ms_token *token,
                              struct ms_error *error) MS_MUST_CHECK;

#endif
