/* Whether the files with certificates and keys that the clients have read are still the same. librdkafka reads them when a client is
 * made, and never again. */
#ifndef MS_KAFKA_CERTIFICATES_H
#define MS_KAFKA_CERTIFICATES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/config.h"

#define MS_CERTIFICATE_FILES_MAX 16
#define MS_CERTIFICATES_LOOK_S                                                                               \
    5 /* between two looks; a change counts when the next look finds it as it was */

struct ms_certificate_file {
    const char *path;
    struct stat used, seen; /* as the clients have read it, and at the last look */
};

struct ms_certificates {
    const struct ms_config *config;
    struct ms_certificate_file files[MS_CERTIFICATE_FILES_MAX];
    int count;
    double looked_s;
    bool told; /* that what is there now cannot be used */
};

/* Notes the files that |config|, which outlives it, names (ssl.ca.location and its like) as they are now. */
void ms_certificates_note(struct ms_certificates *certificates, const struct ms_config *config);

/* True when files have changed since they were noted, rest, and clients can be made of them; they are noted anew then. A certificate
 * without its key, or half a file, is warned of once and waited out. Looks at most every MS_CERTIFICATES_LOOK_S; to be called often, by
 * one thread. */
bool ms_certificates_renewed(struct ms_certificates *certificates, double now_s);

#endif
