/* A user's profile as it came ({"gender":"f","age":"25-34","tags":["a","b"]}) to the embedding that stands
 * beside every interest. Pure. */
#ifndef MS_USER_PROFILE_H
#define MS_USER_PROFILE_H

#include "base/json.h"
#include "mindstream/model.h"

#define MS_PROFILE_VALUES    256   /* values of one field that count; more are left out */
#define MS_PROFILE_MAX_BYTES 65536 /* of a profile's text */

/* Writes profile_dim floats to |out|: for each field of the model the row of its value, of several values the
 * mean, and the default row where the field is missing, null, empty, or of another type than string, integer
 * or a list of these. */
void ms_profile_embed(const struct ms_model *model, struct ms_json_value profile, float *out);

/* The same from JSON text; no text, or text that is not a JSON object, is a profile without fields. |json| has room for
 * MS_PROFILE_MAX_BYTES (ms_json_reserve): then nothing is allocated, and memory cannot run out. */
void ms_profile_embed_text(const struct ms_model *model, struct ms_json *json, const char *text, size_t bytes,
                           float *out);

#endif
