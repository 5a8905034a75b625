/* The description of the HTTP server, made of its routes. */
#ifndef MS_SERVE_OPENAPI_H
#define MS_SERVE_OPENAPI_H

#include <jansson.h>

#include "serve/route.h"

/* OpenAPI 3.1 of |count| routes, a new reference; NULL without memory. */
json_t *ms_openapi(const struct ms_route *routes, int count);

#endif
