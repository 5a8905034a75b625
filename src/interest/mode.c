/* What routing.mode means for a model. */
#include "interest/mode.h"

#include <stdio.h>

#include "mindstream/extract.h"

enum ms_status ms_routing_mode_resolve(const struct ms_model *model, enum ms_routing_mode mode,
                                       bool *incremental, char *reason, size_t reason_bytes,
                                       struct ms_error *error)
{
    struct ms_error why;
    reason[0] = '\0';
    if (mode == MS_ROUTING_FULL) {
        *incremental = false;
        return MS_OK;
    }
    enum ms_status status = ms_fold_supported(model, &why);
    if (status != MS_OK && mode == MS_ROUTING_INCREMENTAL)
        return ms_fail(error, MS_CONFIG, "routing.mode=incremental: %s", why.text);
    if (status != MS_OK)
        snprintf(reason, reason_bytes, "%s", why.text);
    *incremental = status == MS_OK;
    return MS_OK;
}
