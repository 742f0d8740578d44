// A value that copies share until one of them writes to it.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace pycodec_lm {

/// Copies may live in different threads; one object may not be used by two at once, as with any
/// value. Unlike std::shared_ptr it can tell safely that nobody else holds the value (use_count()
/// does not synchronise with those who let go of it), and assigning what is already there touches
/// no counter.
template <class T>
class CopyOnWrite {
public:
    CopyOnWrite() : node_(new Node{}) {}
    explicit CopyOnWrite(T value) : node_(new Node{std::move(value)}) {}
    CopyOnWrite(const CopyOnWrite& other) : node_(other.node_) { hold(); }
    CopyOnWrite& operator=(const CopyOnWrite& other) {
        if (node_ != other.node_) {
            release();
            node_ = other.node_;
            hold();
        }
        return *this;
    }
    ~CopyOnWrite() { release(); }

    const T& operator*() const { return node_->value; }
    const T* operator->() const { return &node_->value; }

    /// The value to write to, this object's alone.
    T& edit() {
        if (node_->n_owners.load(std::memory_order_acquire) != 1) {
            Node* copy = new Node{node_->value};
            release();
            node_ = copy;
        }
        return node_->value;
    }

private:
    struct Node {
        T value{};
        std::atomic<uint32_t> n_owners{1};
    };

    void hold() { node_->n_owners.fetch_add(1, std::memory_order_relaxed); }
    void release() {
        if (node_->n_owners.fetch_sub(1, std::memory_order_acq_rel) == 1) delete node_;
    }

    Node* node_;
};

}  // namespace pycodec_lm
