// Things worth making once for all streams of the program.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

namespace pycodec_lm::jpeg {

/// The things that were asked for last, by key. Safe to use from many threads.
template <class Key, class Value>
class Recent {
public:
    template <class Make>
    std::shared_ptr<const Value> get(Key key, const Make& make) {
        const std::lock_guard lock(mutex_);
        const auto found = entries_.find(key);
        if (found != entries_.end()) {
            found->second.last_use = ++n_uses_;
            return found->second.value;
        }
        if (entries_.size() >= kMaxEntries) {
            entries_.erase(
                std::min_element(
                    entries_.begin(), entries_.end(), [](const auto& a, const auto& b) {
                        return a.second.last_use < b.second.last_use;
                    }
                )
            );
        }
        std::shared_ptr<const Value> value = make();
        entries_.emplace(std::move(key), Entry{value, ++n_uses_});
        return value;
    }

private:
    static constexpr size_t kMaxEntries = 64;  // some 20 KB each

    struct Entry {
        std::shared_ptr<const Value> value;
        uint64_t last_use;
    };

    std::mutex mutex_;
    std::map<Key, Entry> entries_;
    uint64_t n_uses_ = 0;
};

}  // namespace pycodec_lm::jpeg
