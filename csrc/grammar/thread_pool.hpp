// One pool of threads for the life of the process.
#pragma once

#include <cstddef>
#include <functional>
#include <limits>

namespace pycodec_lm {

inline constexpr size_t kAllThreads = std::numeric_limits<size_t>::max();

/// Calls work(0) to work(n - 1), each once, on the caller's thread and on those of the pool, on no
/// more than `max_threads` in all, and returns when all are done. The first exception thrown by a
/// call is thrown again here; calls not yet begun are then skipped. Waking threads costs some ten
/// microseconds: give it work that takes longer.
void parallel_for(
    size_t n, const std::function<void(size_t)>& work, size_t max_threads = kAllThreads
);

}  // namespace pycodec_lm
