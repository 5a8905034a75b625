/* The state directory itself: whose it is, who may write to it, and that nothing in it is a link to elsewhere. */
#ifndef MS_STATE_DIR_H
#define MS_STATE_DIR_H

#include "mindstream/status.h"

/* Makes |dir| (mode 0700) where it is not there. One that is must belong to this user or to root, and not be
 * writable by everybody: MS_STATE otherwise. It may be a link; what is in it may not. */
enum ms_status ms_dir_make(const char *dir, struct ms_error *error) MS_MUST_CHECK;

/* MS_STATE when |dir|, which has no identity, holds anything but what a start that was killed leaves. */
enum ms_status ms_dir_check_unclaimed(const char *dir, struct ms_error *error) MS_MUST_CHECK;

/* Makes the directory DIR/NAME, or checks that it is one and no link. */
enum ms_status ms_dir_make_part(const char *dir, const char *name, struct ms_error *error) MS_MUST_CHECK;

/* Removes a state from |dir|: identity, contents, db/ and ingest/, and last the file |witness|. Only where |witness|, a sealed
 * file, says that what is here may go: MS_STATE otherwise, and where a process holds the directory. What is not of a state
 * stays. An empty or missing directory is MS_OK. */
enum ms_status ms_dir_remove_state(const char *dir, const char *witness,
                                   struct ms_error *error) MS_MUST_CHECK;

/* Removes the files NUMBER.sst that a killed process left in DIR/ingest. Other files stay. */
void ms_dir_clear_ingest(const char *dir);

#endif
