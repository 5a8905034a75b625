/* The table of input sources. */
#include <assert.h>
#include <string.h>

#include "base/digest.h"
#include "stream/source.h"

const struct ms_source *const ms_sources[] = {
#define MS_SOURCE_ROW(name, descriptor) &descriptor,
    MS_SOURCE_TABLE(MS_SOURCE_ROW)
#undef MS_SOURCE_ROW
};
static_assert(sizeof ms_sources / sizeof *ms_sources == MS_SOURCES, "a partition's row stores every source");

const char *ms_source_topic(int source, const struct ms_config *config)
{
    const char *topic;
    memcpy(&topic, (const char *)config + ms_sources[source]->topic, sizeof topic);
    return topic ? topic : "";
}

uint64_t ms_sources_decode_id(const struct ms_config *config)
{
    uint64_t id = 0;
    for (int source = 0; source < MS_SOURCES; source++) {
        uint64_t own = ms_sources[source]->decode_id(config);
        id = ms_digest_next(id, &own, sizeof own);
    }
    return id ? id : 1;
}

int ms_source_of_topic(const char *topic, const struct ms_config *config)
{
    for (int source = 1; source < MS_SOURCES; source++) {
        const char *own = ms_source_topic(source, config);
        if (own[0] && strcmp(topic, own) == 0)
            return source;
    }
    return 0;
}
