/* The man page of running the service: mindstream(8). */
#ifndef MS_APP_SERVICE_DOCS_H
#define MS_APP_SERVICE_DOCS_H

#include <stdio.h>

/* Writes it to |out|, whose error flag tells of failures. Exit statuses, and the settings that can be changed while the service
 * runs, come from their tables. */
void ms_service_man(FILE *out);

#endif
