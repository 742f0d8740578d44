#include "jpeg/sequential_fast.hpp"

#include <algorithm>

namespace pycodec_lm::jpeg {

namespace {

/// a where all bits of the mask are 1, b where none is. Compilers make a branch of ?: here.
template <class T>
const T* choose(uint64_t mask, const T* a, const T* b) {
    const auto a_bits = reinterpret_cast<uintptr_t>(a);
    const auto b_bits = reinterpret_cast<uintptr_t>(b);
    return reinterpret_cast<const T*>(b_bits ^ ((a_bits ^ b_bits) & mask));
}

}  // namespace

FastSequential::FastSequential(const ScanPlan& plan)
    : plan_(plan),
      mcus_in_group_(
          static_cast<uint32_t>(kBlocksInGroup) / static_cast<uint32_t>(plan.n_blocks())
      ) {
    for (int i = 0; i < plan.n_components(); ++i) {
        const ScanComponent& component = plan.component(i);
        lookups_[static_cast<size_t>(i)] = BlockLookup::shared(component.dc, component.ac);
    }
    for (size_t block = 0; block < kBlocksInGroup; ++block)
        next_runs_[block] = {&lookup_of(block + 1).from_start(), &lookup_of(block).after_dc()};
}

const BlockLookup& FastSequential::lookup_of(size_t block_in_group) const {
    const int block = static_cast<int>(block_in_group) % plan_.n_blocks();
    return *lookups_[static_cast<size_t>(plan_.component_of_block(block))];
}

/// Some blocks; false where one is not in order, but for the range of DC coefficients.
///
/// The end of a block is no branch, since nothing foretells it: the look-up of what comes next is
/// chosen instead.
bool FastSequential::take_blocks(BitReader& reader, size_t n_blocks, const uint8_t* end) {
    constexpr int kRunsInRefill = BitReader::kRefilledBits / BlockLookup::kMaxRunBits;
    static_assert(kRunsInRefill * BlockLookup::kMaxRunBits <= BitReader::kRefilledBits);
    // Each run may refill twice.
    static_assert((2 * kRunsInRefill + 3) * BitReader::kWordBytes <= IntervalBytes::kMarginBytes);
    BitReader bits = reader;  // by value, or it would live in memory
    size_t block = 0;
    uint64_t is_start = ~uint64_t{0};  // all bits 1 at the start of a block, else 0
    uint64_t n_coefficients = 0;
    const BlockLookup::Runs* runs = &lookup_of(0).from_start();
    while (bits.is_near(end)) {
        bits.refill();
        for (int i = 0; i < kRunsInRefill; ++i) {
            // Good for a run at least; the bits behind may be missing.
            uint32_t& head = heads_[block][is_start & 1];
            head = bits.peek(32);
            Run run = (*runs)[bits.peek(BlockLookup::kIndexBits)];
            if (n_coefficients + run.n_coefficients() > Run::kMaxCoefficients) {
                bits.refill();
                head = bits.peek(32);
                const BlockLookup& lookup = lookup_of(block);
                run = is_start ? lookup.find_dc(head)
                               : lookup.find_ac(head, static_cast<unsigned>(n_coefficients));
                if (run.n_bits() == 0) return false;
                bits.skip(run.n_bits());
                bits.refill();
            } else {
                bits.skip(run.n_bits());
            }
            is_start = run.end_mask();
            n_coefficients = (n_coefficients + run.n_coefficients()) & ~is_start;
            runs = choose(is_start, next_runs_[block].if_ended, next_runs_[block].if_not);
            block -= is_start;
            if (block == n_blocks) {
                reader = bits;
                return true;
            }
        }
    }
    return false;
}

/// T.81 F.1.2.1: the DC coefficients of the blocks that were taken last; false where one is out of
/// range.
bool FastSequential::add_differences(uint32_t n_mcus, Predictors& predictors) const {
    const SampleLimits limits = plan_.limits();
    const auto blocks_in_mcu = static_cast<size_t>(plan_.n_blocks());
    const size_t n_blocks = n_mcus * blocks_in_mcu;
    bool is_in_range = true;
    // One component at a time, so that its predictor stays in a register.
    size_t first_block = 0;
    for (int i = 0; i < plan_.n_components(); ++i) {
        const ScanComponent& component = plan_.component(i);
        const BlockLookup& lookup = *lookups_[static_cast<size_t>(i)];
        const size_t n = size_t{component.horizontal_blocks} * component.vertical_blocks;
        int32_t predictor = predictors[static_cast<size_t>(i)];
        for (size_t mcu = first_block; mcu < n_blocks; mcu += blocks_in_mcu) {
            for (size_t block = mcu; block < mcu + n; ++block) {
                predictor += lookup.difference(heads_[block][1]);
                is_in_range &= (predictor >= limits.min_dc) & (predictor <= limits.max_dc);
            }
        }
        predictors[static_cast<size_t>(i)] = predictor;
        first_block += n;
    }
    return is_in_range;
}

bool FastSequential::check(const IntervalBytes& interval, uint32_t /*first_mcu*/, uint32_t n_mcus) {
    const auto take = [&](BitReader& bits, uint32_t n, Predictors& predictors) {
        const size_t n_blocks = size_t{n} * static_cast<size_t>(plan_.n_blocks());
        return take_blocks(bits, n_blocks, interval.data_end()) && add_differences(n, predictors);
    };
    return check_groups(interval, n_mcus, mcus_in_group_, take);
}

}  // namespace pycodec_lm::jpeg
