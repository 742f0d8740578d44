#include "jpeg/coefficients.hpp"

#include "jpeg/writer.hpp"

namespace pycodec_lm::jpeg {
namespace {

/// Where a block of a scan lies in its component (T.81 A.2.3, Figure A.3).
struct BlockPlace {
    uint32_t row;
    uint32_t column;
};

BlockPlace place_of(const ScanPlan& plan, int block, uint32_t mcu) {
    const int index = plan.component_of_block(block);
    int first = block;
    while (first > 0 && plan.component_of_block(first - 1) == index) --first;
    const ScanComponent& c = plan.component(index);
    const auto inside = static_cast<uint32_t>(block - first);
    const uint32_t mcu_row = mcu / plan.mcus_wide();
    const uint32_t mcu_column = mcu % plan.mcus_wide();
    return {
        mcu_row * c.vertical_blocks + inside / c.horizontal_blocks,
        mcu_column * c.horizontal_blocks + inside % c.horizontal_blocks,
    };
}

class PlaneFiller : public ScanObserver {
public:
    PlaneFiller(std::vector<CoefficientPlane>& planes, size_t max_bytes)
        : planes_(planes), max_bytes_(max_bytes) {}

    void begin_scan(const ScanPlan& plan) override {
        for (int i = 0; i < plan.n_components(); ++i) {
            const ScanComponent& c = plan.component(i);
            if (planes_.size() <= c.frame_index) planes_.resize(c.frame_index + size_t{1});
            CoefficientPlane& plane = planes_[c.frame_index];
            if (!plane.values.empty()) continue;  // a later scan of a progressive picture
            plane.blocks_wide = plan.mcus_wide() * c.horizontal_blocks;
            plane.blocks_high = plan.n_mcus() / plan.mcus_wide() * c.vertical_blocks;
            const size_t n_values = size_t{plane.blocks_wide} * plane.blocks_high * kBlockSize;
            n_bytes_ += n_values * sizeof(int16_t);
            if (n_bytes_ > max_bytes_) return;
            plane.values.assign(n_values, 0);
        }
    }
    void dc(const ScanPlan& plan, int block, uint32_t mcu, uint8_t, int value) override {
        if (int16_t* place = find(plan, block, mcu, 0)) *place = shifted(plan, value);
    }
    void ac(const ScanPlan& plan, int block, uint32_t mcu, int k, uint8_t, int value) override {
        if (value == 0) return;
        if (int16_t* place = find(plan, block, mcu, k)) *place = shifted(plan, value);
    }
    void correction(const ScanPlan& plan, int block, uint32_t mcu, int k, bool bit) override {
        int16_t* place = find(plan, block, mcu, k);
        if (place == nullptr || !bit) return;
        // G.1.2.3: AC coefficients grow away from 0; a DC coefficient is shifted as a two's
        // complement.
        const int step = k > 0 && *place < 0 ? -1 : 1;
        *place = static_cast<int16_t>(*place + shifted(plan, step));
    }
    bool is_too_large() const { return n_bytes_ > max_bytes_; }

private:
    static int16_t shifted(const ScanPlan& plan, int value) {
        return static_cast<int16_t>(value * (1 << plan.parameters().al));
    }

    /// Null outside the plane: interleaved scans code more blocks than others do.
    int16_t* find(const ScanPlan& plan, int block, uint32_t mcu, int k) {
        if (is_too_large()) return nullptr;
        const ScanComponent& c = plan.component(plan.component_of_block(block));
        CoefficientPlane& plane = planes_[c.frame_index];
        const BlockPlace place = place_of(plan, block, mcu);
        if (place.column >= plane.blocks_wide || place.row >= plane.blocks_high) return nullptr;
        const size_t at = size_t{place.row} * plane.blocks_wide + place.column;
        return &plane.values[at * kBlockSize + static_cast<size_t>(k)];
    }

    std::vector<CoefficientPlane>& planes_;
    size_t max_bytes_;
    size_t n_bytes_ = 0;
};

class SymbolCounter : public ScanObserver {
public:
    explicit SymbolCounter(SymbolCounts& counts) : counts_(counts) {}

    void begin_scan(const ScanPlan&) override {}
    void dc(const ScanPlan& plan, int block, uint32_t, uint8_t category, int) override {
        ++counts_[0][plan.component(plan.component_of_block(block)).dc_slot][category];
    }
    void ac(const ScanPlan& plan, int block, uint32_t, int, uint8_t symbol, int) override {
        ++counts_[1][plan.component(plan.component_of_block(block)).ac_slot][symbol];
    }
    void correction(const ScanPlan&, int, uint32_t, int, bool) override {}

private:
    SymbolCounts& counts_;
};

/// T.81 F.1.2.1: the bits of a value in its category.
uint32_t amplitude_bits(int value, int size) {
    return static_cast<uint32_t>(value < 0 ? value + (1 << size) - 1 : value);
}

int category_of(int value) {
    int magnitude = value < 0 ? -value : value;
    int size = 0;
    for (; magnitude != 0; magnitude >>= 1) ++size;
    return size;
}

class Transcriber : public ScanObserver {
public:
    explicit Transcriber(JpegWriter& writer) : writer_(writer) {}

    void begin_scan(const ScanPlan& plan) override {
        if (plan.kind() == ScanKind::kSequential || !status_) return;
        status_ = {.code = Code::kNotInGrammar, .element = Element::kSs};
    }
    void correction(const ScanPlan&, int, uint32_t, int, bool) override {}
    void dc(const ScanPlan&, int, uint32_t, uint8_t, int value) override {
        writer_.write_forced();
        if (!expects(Element::kDcCode)) return;
        const int difference = value - writer_.cursor().predictor();
        const int size = category_of(difference);
        write(static_cast<uint32_t>(size));
        if (size > 0) write(amplitude_bits(difference, size));
    }
    void ac(const ScanPlan&, int, uint32_t, int, uint8_t symbol, int value) override {
        if (!expects(Element::kAcCode)) return;
        write(symbol);
        if (const int size = size_of(symbol); size > 0) write(amplitude_bits(value, size));
    }
    const Status& status() const { return status_; }

private:
    bool expects(Element element) {
        if (!status_) return false;
        if (writer_.cursor().element() == element) return true;
        status_ = {
            .code = Code::kNotInGrammar,
            .element = writer_.cursor().element(),
            .byte = writer_.bytes().size(),
        };
        return false;
    }
    void write(uint32_t value) {
        if (status_) status_ = writer_.write(value);
    }

    JpegWriter& writer_;
    Status status_;
};

Status push_all(JpegCursor& cursor, const uint8_t* data, size_t n_bytes) {
    for (size_t i = 0; i < n_bytes && !cursor.is_complete(); ++i) {
        if (const Status status = cursor.push(data[i]); !status) return status;
    }
    if (cursor.is_complete()) return {};
    return {.code = Code::kTruncated, .element = cursor.element(), .byte = n_bytes};
}

}  // namespace

Status read_coefficients(
    std::shared_ptr<const JpegGrammar> grammar, const uint8_t* data, size_t n_bytes,
    size_t max_bytes, std::vector<CoefficientPlane>& planes
) {
    PlaneFiller filler(planes, max_bytes);
    JpegCursor cursor(with_known_lines(std::move(grammar), data, n_bytes));
    cursor.set_observer(&filler);
    Status status = push_all(cursor, data, n_bytes);
    if (status && filler.is_too_large()) {
        status = {.code = Code::kTooLarge, .element = Element::kX};
    }
    return status;
}

Status count_symbols(
    std::shared_ptr<const JpegGrammar> grammar, const uint8_t* data, size_t n_bytes,
    SymbolCounts& counts
) {
    SymbolCounter counter(counts);
    JpegCursor cursor(with_known_lines(std::move(grammar), data, n_bytes));
    cursor.set_observer(&counter);
    return push_all(cursor, data, n_bytes);
}

Status transcode(
    std::shared_ptr<const JpegGrammar> from, const uint8_t* data, size_t n_bytes,
    std::shared_ptr<const JpegGrammar> to, std::vector<uint8_t>& out
) {
    JpegWriter writer(std::move(to));
    Transcriber transcriber(writer);
    JpegCursor cursor(with_known_lines(std::move(from), data, n_bytes));
    cursor.set_observer(&transcriber);
    if (const Status status = push_all(cursor, data, n_bytes); !status) return status;
    if (!transcriber.status()) return transcriber.status();
    writer.write_forced();
    if (!writer.is_complete()) {
        return {
            .code = Code::kNotInGrammar,
            .element = writer.cursor().element(),
            .byte = writer.bytes().size(),
        };
    }
    out = writer.bytes();
    return {};
}

}  // namespace pycodec_lm::jpeg
