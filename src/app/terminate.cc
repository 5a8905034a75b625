/* RocksDB throws where memory or threads end: through its C interface, or in a thread of its own. C++ alone can say what
 * was thrown, and base/json.cc is compiled without exceptions; hence this file. */
#include "app/terminate.h"

#include <cstdio>
#include <exception>
#include <new>
#include <system_error>
#include <unistd.h>

namespace
{

/* Allocates nothing: memory may be what has ended. */
[[noreturn]] void end_process()
{
    char line[256];
    const char *what = "an exception of no known type", *hint = "";
    try {
        if (std::current_exception())
            throw;
    } catch (const std::bad_alloc &) {
        what = "out of memory";
    } catch (const std::system_error &error) { /* of threads, mostly: each needs memory for its stack */
        what = error.what();
        hint = " (no thread can be started; memory may have ended)";
    } catch (const std::exception &error) {
        what = error.what();
    } catch (...) {
    }
    int size = snprintf(line, sizeof line, "mindstream: a library failed: %s%s\n", what, hint);
    if (size > 0)
        (void)!write(STDERR_FILENO, line, (size_t)size < sizeof line ? (size_t)size : sizeof line - 1);
    _exit(1);
}

} // namespace

extern "C" void ms_terminate_with_status(void)
{
    std::set_terminate(end_process);
}
