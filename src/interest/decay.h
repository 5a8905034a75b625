/* Reads the settings that say how the incremental fold forgets. */
#ifndef MS_INTEREST_DECAY_H
#define MS_INTEREST_DECAY_H

#include <stdbool.h>

#include "mindstream/extract.h"

#define MS_DECAY_OF_MODEL "model"
#define MS_DECAY_AUTO     "auto"

/* Reads |decay| ("0.7,0.95": decays per event, each in (0, 1]; "model": those of |model|; "auto" or "": those of |model|
 * where it has any, else 0.9) or |half_life| ("7d,12h": half-lives in event time, ms where no unit is given) into *parsed;
 * at most MS_MAX_DECAYS numbers. "" is not given; both given is an error. |model| may be NULL: it is not known yet, and
 * the parsed number of what is up to it has no meaning. MS_CONFIG, naming the setting and the number, when one does not
 * parse, or when the model has no decays and is asked for them. Pure. */
enum ms_status ms_decay_parse(const char *decay, const char *half_life, const struct ms_model *model,
                              struct ms_decay *parsed, struct ms_error *error) MS_MUST_CHECK;

/* Reads a list alone: decays (or "model"), or half-lives where |by_time| is set. |name| ("--decay") opens the messages; ""
 * is a list with one element that is not legal. MS_CONFIG likewise. Pure. */
enum ms_status ms_decay_list(const char *name, const char *text, bool by_time, struct ms_decay *parsed,
                             struct ms_error *error) MS_MUST_CHECK;

#endif
