/* The contents of a state directory: the sealed file `contents`, which says what the directory's database held
 * when it was last written, so that what is gone, cut or changed is seen before RocksDB opens it.
 *
 *   format=1
 *   state=open                           new, adopted, open or closed
 *   manifest=MANIFEST-000005 1234 D      its first 1234 bytes, and their digest
 *   file=000012.sst 5678 D               a table: its bytes, and the digest of the last 64 KiB of them
 *
 *   new      the database may not be there yet
 *   adopted  an older version made the database, and nothing is known of its files
 *   open     a process has the database open, or was killed: the manifest may be longer, and compactions may
 *            have replaced tables. RocksDB itself refuses a table that its manifest names and that is gone.
 *   closed   everything is exactly so
 *
 * It is written after each ingestion and therefore never ahead of the database. */
#ifndef MS_STATE_CONTENTS_H
#define MS_STATE_CONTENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mindstream/status.h"

enum ms_contents_state {
    MS_CONTENTS_NONE,
    MS_CONTENTS_NEW,
    MS_CONTENTS_ADOPTED,
    MS_CONTENTS_OPEN,
    MS_CONTENTS_CLOSED
};

struct ms_contents_file {
    uint64_t number, size, digest;
    bool live; /* scratch of an update */
};

/* Zeroed, it is empty. One thread at a time. */
struct ms_contents {
    enum ms_contents_state state;
    uint64_t manifest, manifest_bytes, manifest_digest; /* number of the manifest, 0: not known */
    struct ms_contents_file *files;                     /* ascending by number */
    size_t count, capacity;
};

void ms_contents_free(struct ms_contents *contents);

/* Reads DIR/contents; the state is NONE where there is none. MS_STATE when it is damaged. */
enum ms_status ms_contents_read(struct ms_contents *contents, const char *dir,
                                struct ms_error *error) MS_MUST_CHECK;

enum ms_status ms_contents_write(const struct ms_contents *contents, const char *dir,
                                 struct ms_error *error) MS_MUST_CHECK;

/* Compares DIR/db with the contents; MS_STATE with the name of what is gone, cut or changed. */
enum ms_status ms_contents_check(const struct ms_contents *contents, const char *dir,
                                 struct ms_error *error) MS_MUST_CHECK;

/* Brings the contents up to date with DIR/db: |numbers| are the tables of the database. A table that a
 * compaction removed meanwhile is left out. */
enum ms_status ms_contents_update(struct ms_contents *contents, const char *dir, const uint64_t *numbers,
                                  size_t count, struct ms_error *error) MS_MUST_CHECK;

#endif
