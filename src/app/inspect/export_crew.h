/* Threads that turn users into text, in the order in which the users come. */
#ifndef MS_APP_INSPECT_EXPORT_CREW_H
#define MS_APP_INSPECT_EXPORT_CREW_H

#include "app/inspect/export_text.h"

struct ms_export_crew;

/* Takes what the next users came to. In the caller's thread. */
typedef enum ms_status ms_export_take(void *context, const struct ms_export_text *text,
                                      struct ms_error *error);

/* Starts a thread for each of the |count| exporters, which stay the caller's and live as long. MS_MEMORY where a thread
 * cannot be started. ms_export_crew_end(NULL) is legal. */
enum ms_status ms_export_crew_start(struct ms_export_crew **crew, struct ms_exporter *exporters, size_t count,
                                    ms_export_take *take, void *context,
                                    struct ms_error *error) MS_MUST_CHECK;
/* Gives one complete user, which belongs to the crew from then on. Waits where all threads have enough to do, and hands
 * finished text to |take| meanwhile. The first failure of a thread or of |take| is answered. */
enum ms_status ms_export_crew_give(struct ms_export_crew *crew, struct ms_user *user,
                                   struct ms_error *error) MS_MUST_CHECK;
/* Waits for all users and hands the rest to |take|. */
enum ms_status ms_export_crew_finish(struct ms_export_crew *crew, struct ms_error *error) MS_MUST_CHECK;
/* Ends the threads, whatever is left to do, and frees all. */
void ms_export_crew_end(struct ms_export_crew *crew);

#endif
