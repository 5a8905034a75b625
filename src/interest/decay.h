/* Reads the settings that say how the incremental fold forgets. */
#ifndef MS_INTEREST_DECAY_H
#define MS_INTEREST_DECAY_H

#include <stdbool.h>

#include "mindstream/extract.h"

/* Reads |decay| ("0.7,0.95": decays per event, each in (0, 1]) or |half_life| ("7d,12h": half-lives in event
 * time, ms where no unit is given) into *parsed; at most MS_MAX_DECAYS numbers. "" is not given; neither
 * given is a decay of 0.9, both is an error. MS_CONFIG, naming the setting and the number, when one does not
 * parse. Pure. */
enum ms_status ms_decay_parse(const char *decay, const char *half_life, struct ms_decay *parsed,
                              struct ms_error *error) MS_MUST_CHECK;

/* Reads a list alone: decays, or half-lives where |by_time| is set. |name| ("--decay") opens the messages; "" is a list
 * with one element that is not legal. MS_CONFIG likewise. Pure. */
enum ms_status ms_decay_list(const char *name, const char *text, bool by_time, struct ms_decay *parsed,
                             struct ms_error *error) MS_MUST_CHECK;

#endif
