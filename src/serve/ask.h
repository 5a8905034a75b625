/* Asking the service that runs on a state directory, over its socket there. */
#ifndef MS_SERVE_ASK_H
#define MS_SERVE_ASK_H

#include <stdbool.h>

#include "base/buffer.h"
#include "mindstream/bytes.h"

#define MS_ASK_WAIT_S 5 /* for an answer, which takes milliseconds */

/* Appends |bytes| as a part of a path: all but letters, digits and -._~ as percent codes. False without memory. */
bool ms_ask_escape(struct ms_buffer *path, struct ms_bytes bytes);

/* Asks for |path| (with its query). Returns the status of the answer and appends its body to |body|; 0, and nothing is appended, where no
 * service answers: the caller looks at the database then. |accept| NULL: any type. */
int ms_ask(const char *state_dir, const char *path, const char *accept, struct ms_buffer *body);

#endif
