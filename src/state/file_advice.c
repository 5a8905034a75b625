/* Keeps the files that RocksDB writes in the kernel's page cache.
 *
 * RocksDB's writer of SST files calls posix_fadvise(POSIX_FADV_DONTNEED) on each file as soon as it is synced.
 * The kernel then drops the file's pages. Users who were just written are the ones that come back soon, so each
 * of them would cost a read of the device. RocksDB 7.8.3 has no option in its C interface to turn this off.
 *
 * So this file defines posix_fadvise for the whole process: the dynamic linker takes the executable's
 * definition before the C library's, also for calls from librocksdb. The definition must be visible for that.
 * Advice to drop pages is ignored. Other advice is passed on to the kernel.
 *
 * Nothing in the program refers to this file. CMakeLists.txt asks the linker for the symbol by name. */
#include <fcntl.h>

__attribute__((visibility("default"))) int posix_fadvise(int fd, off_t offset, off_t bytes, int advice)
{
    return advice == POSIX_FADV_DONTNEED ? 0 : posix_fadvise64(fd, offset, bytes, advice);
}
