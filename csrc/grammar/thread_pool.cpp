#include "grammar/thread_pool.hpp"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace pycodec_lm {
namespace {

/// One parallel_for(). Threads that come late find nothing left to take, so nobody waits for a
/// thread that has not begun.
class Job {
public:
    Job(size_t n, const std::function<void(size_t)>& work) : n_(n), work_(work) {}

    void help() {
        for (size_t i = next_.fetch_add(1); i < n_; i = next_.fetch_add(1)) {
            try {
                if (!has_failed_.load(std::memory_order_relaxed)) work_(i);
            } catch (...) {
                const std::lock_guard lock(mutex_);
                if (!has_failed_.exchange(true)) failure_ = std::current_exception();
            }
            if (n_done_.fetch_add(1) + 1 == n_) {
                const std::lock_guard lock(mutex_);
                all_done_.notify_all();
            }
        }
    }

    void wait() {
        std::unique_lock lock(mutex_);
        all_done_.wait(lock, [this] { return n_done_.load() == n_; });
        if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
    }

private:
    const size_t n_;
    const std::function<void(size_t)>& work_;  // lives as long as something is left to do
    std::atomic<size_t> next_{0};
    std::atomic<size_t> n_done_{0};
    std::atomic<bool> has_failed_{false};
    std::mutex mutex_;
    std::condition_variable all_done_;
    std::exception_ptr failure_;
};

class ThreadPool {
public:
    ThreadPool() {
        const unsigned n_cores = std::max(1u, std::thread::hardware_concurrency());
        for (; n_threads_ + 1 < n_cores; ++n_threads_) {
            try {
                // Detached: at the end of the process a thread that waits is no reason to wait.
                std::thread([this] { serve(); }).detach();
            } catch (const std::system_error&) {
                return;  // the system gives no more threads; fewer do the same work
            }
        }
    }

    size_t n_threads() const { return n_threads_; }

    void post(const std::shared_ptr<Job>& job, size_t n_helpers) {
        {
            const std::lock_guard lock(mutex_);
            for (size_t i = 0; i < n_helpers; ++i) jobs_.push_back(job);
        }
        for (size_t i = 0; i < n_helpers; ++i) has_job_.notify_one();
    }

private:
    [[noreturn]] void serve() {
        for (;;) {
            std::shared_ptr<Job> job;
            {
                std::unique_lock lock(mutex_);
                has_job_.wait(lock, [this] { return !jobs_.empty(); });
                job = std::move(jobs_.front());
                jobs_.pop_front();
            }
            job->help();
        }
    }

    std::mutex mutex_;
    std::condition_variable has_job_;
    std::deque<std::shared_ptr<Job>> jobs_;
    size_t n_threads_ = 0;
};

std::atomic<ThreadPool*> the_pool{nullptr};
std::mutex the_pool_mutex;

/// Never deleted: its threads may outlive main(). A forked child has none of the parent's threads,
/// so it starts a pool of its own and leaves the parent's, which may be locked, alone.
ThreadPool& pool() {
    if (ThreadPool* found = the_pool.load(std::memory_order_acquire)) return *found;
    const std::lock_guard lock(the_pool_mutex);
    if (the_pool.load() == nullptr) {
        static const int at_fork = pthread_atfork(
            [] { the_pool_mutex.lock(); }, [] { the_pool_mutex.unlock(); },
            [] {
                the_pool.store(nullptr);
                the_pool_mutex.unlock();
            }
        );
        static_cast<void>(at_fork);
        the_pool.store(new ThreadPool, std::memory_order_release);
    }
    return *the_pool.load();
}

}  // namespace

void parallel_for(size_t n, const std::function<void(size_t)>& work, size_t max_threads) {
    if (n <= 1 || max_threads <= 1) {
        for (size_t i = 0; i < n; ++i) work(i);
        return;
    }
    ThreadPool& threads = pool();
    // Shared: a thread that comes late still looks at the job, when the caller is long gone.
    const auto job = std::make_shared<Job>(n, work);
    threads.post(job, std::min({n - 1, max_threads - 1, threads.n_threads()}));
    job->help();
    job->wait();
}

}  // namespace pycodec_lm
