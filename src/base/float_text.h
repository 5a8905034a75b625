/* Floats as text, many of them. */
#ifndef MS_BASE_FLOAT_TEXT_H
#define MS_BASE_FLOAT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As ms_print_float (base/json.h), byte for byte, in half the time. */
size_t ms_float_text(char *at, float value);

#endif
