/* The mark of a model directory that this program wrote: a file .mindstream-written, which names each of the
 * model's files with its size and digest, one a line. A model without the mark, or one whose files have changed
 * since, may be somebody's trained model. */
#ifndef MS_MODEL_MARK_H
#define MS_MODEL_MARK_H

#include <stdbool.h>

#include "mindstream/status.h"

#define MS_MODEL_MARK ".mindstream-written"

/* Whether |name| is that of a model's file. */
bool ms_model_is_file(const char *name);

/* Writes the mark of the model's files that |dir| holds. */
enum ms_status ms_model_mark_write(const char *dir, struct ms_error *error) MS_MUST_CHECK;

/* Whether the files of |dir| are those that its mark names, unchanged. False where there is no mark or a file cannot be
 * read. MS_MEMORY leaves *holds as it is. */
enum ms_status ms_model_mark_holds(const char *dir, bool *holds, struct ms_error *error) MS_MUST_CHECK;

#endif
