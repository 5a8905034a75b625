/* The model that fits a generated click stream. */
#ifndef MS_SYNTH_MODEL_H
#define MS_SYNTH_MODEL_H

#include <stdbool.h>

#include "synth/generator.h"

/* Writes the model directory |dir| under another name and renames it, so that no reader sees half a model. A
 * model that this program wrote is replaced, another only with |replace|. A directory that holds anything else is
 * left alone (MS_IO). */
enum ms_status ms_generator_write_model(const struct ms_generator *generator, const char *dir, bool replace,
                                        struct ms_error *error) MS_MUST_CHECK;

#endif
