/* A user as it was: folded again from the behaviors that are kept, where those tell. */
#ifndef MS_VIEW_AS_OF_H
#define MS_VIEW_AS_OF_H

#include "view/viewer.h"

/* A moment in a user's life. */
struct ms_moment {
    bool by_version;
    uint64_t version; /* after so many events */
    int64_t time_ms;  /* else: of the events up to this time, both included */
};

/* Reads "17" (a version; a number of ten digits and more is a time) or a time as event/time.h takes it. MS_USAGE quotes
 * it. Pure. */
enum ms_status ms_moment_parse(struct ms_moment *moment, const char *text,
                               struct ms_error *error) MS_MUST_CHECK;

/* Makes the user as of the moment; free with free(). |user| is complete. What an earlier moment takes: the whole history is
 * kept (as many behaviors as there were events), or, for a time with full routing, the kept behaviors up to it fill a
 * window. The profile is today's. MS_NOT_FOUND with the reason where the kept behaviors do not tell; MS_MEMORY. */
enum ms_status ms_user_as_of(struct ms_user **out, struct ms_viewer *viewer, const struct ms_user *user,
                             const struct ms_moment *moment, struct ms_error *error) MS_MUST_CHECK;

/* Makes the user again from all its kept behaviors, folded in the order in which they arrived under the settings of its fold
 * id; free with free(). |user| is complete and resolved (ms_viewer_fold), and its fold id is one of the viewer's.
 *
 * *told: whether that must give the interests it has. It must in full routing, and where every event in the sums is kept
 * and the order of arrival is still known. */
enum ms_status ms_user_again(struct ms_user **again, struct ms_viewer *viewer, const struct ms_user *user,
                             bool *told, struct ms_error *error) MS_MUST_CHECK;

#endif
