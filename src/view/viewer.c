/* An extractor and one or two fold contexts. */
#include "view/viewer.h"

#include <stddef.h>
#include <stdlib.h>

#include "interest/mode.h"

struct ms_viewer {
    struct ms_extractor *extractor;
    struct ms_fold_context contexts[2]; /* the configured mode, and the other one */
    size_t context_count;
    struct ms_catalogue catalogue;
};

enum ms_status ms_viewer_new(struct ms_viewer **out, const struct ms_model *model, enum ms_routing_mode mode,
                             const struct ms_decay *decay, uint32_t behaviors_max, struct ms_error *error)
{
    char reason[512];
    bool incremental = false;
    struct ms_viewer *viewer = calloc(1, sizeof *viewer);
    if (!viewer)
        return ms_fail(error, MS_MEMORY, "no memory for a viewer");
    viewer->catalogue = ms_model_catalogue(model);
    enum ms_status status = ms_extractor_new(&viewer->extractor, model, error);
    if (status == MS_OK)
        status = ms_routing_mode_resolve(model, mode, &incremental, reason, sizeof reason, error);
    /* Auto takes the fold where the model can be folded. */
    size_t count = mode == MS_ROUTING_AUTO && incremental ? 2 : 1;
    for (size_t i = 0; status == MS_OK && i < count; i++) {
        status = ms_fold_context_init(&viewer->contexts[i], model, viewer->extractor,
                                      i == 0 ? incremental : !incremental, decay, behaviors_max, error);
        viewer->context_count += status == MS_OK;
    }
    if (status != MS_OK) {
        ms_viewer_destroy(viewer);
        return status;
    }
    *out = viewer;
    return MS_OK;
}

void ms_viewer_destroy(struct ms_viewer *viewer)
{
    if (!viewer)
        return;
    for (size_t i = 0; i < viewer->context_count; i++)
        ms_fold_context_free(&viewer->contexts[i]);
    ms_extractor_destroy(viewer->extractor);
    free(viewer);
}

void ms_viewer_set_catalogue(struct ms_viewer *viewer, struct ms_catalogue catalogue)
{
    viewer->catalogue = catalogue;
}

const struct ms_catalogue *ms_viewer_catalogue(const struct ms_viewer *viewer)
{
    return &viewer->catalogue;
}

struct ms_fold_context *ms_viewer_fold_context(struct ms_viewer *viewer, uint64_t fold_id)
{
    for (size_t i = 0; i < viewer->context_count; i++) {
        if (viewer->contexts[i].fold_id == fold_id)
            return &viewer->contexts[i];
    }
    return &viewer->contexts[0];
}

enum ms_status ms_viewer_fold(struct ms_viewer *viewer, struct ms_user **user,
                              struct ms_fold_context **context, bool *refolded, struct ms_error *error)
{
    struct ms_fold_context *own = ms_viewer_fold_context(viewer, (*user)->fold_id);
    *context = own;
    *refolded = (*user)->fold_id != own->fold_id;
    enum ms_status status = ms_fold_check(own, *user, error);
    if (status != MS_OK)
        return status;
    if ((*refolded || (*user)->sums_left_out) && !ms_refold(own, user))
        return ms_fail(error, MS_MEMORY, "no memory to fold the user again");
    ms_user_resolve(*user, own->model);
    return MS_OK;
}
