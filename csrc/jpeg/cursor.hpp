// Where a JPEG stream stands between two bits: the field oracle of T.81, and the cursor over it.
//
// The syntax is written once, as fields: legal() says which values the next syntax element may
// take, take() says what happens when it takes one. Checking, masks, endings, writing and naming
// all follow from these two.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/cursor.hpp"
#include "grammar/cursor_hooks.hpp"
#include "grammar/status.hpp"
#include "grammar/value_set.hpp"
#include "jpeg/grammar.hpp"
#include "jpeg/header.hpp"
#include "jpeg/scan_plan.hpp"
#include "jpeg/scan_script.hpp"

namespace pycodec_lm::jpeg {

/// Hears what entropy-coded data say, in stream order.
class ScanObserver {
public:
    virtual ~ScanObserver() = default;
    virtual void begin_scan(const ScanPlan& plan) = 0;
    /// The coefficient itself, not its difference. Values are as they are coded, shifted by Al.
    virtual void dc(const ScanPlan& plan, int block, uint32_t mcu, uint8_t category, int value) = 0;
    /// An AC symbol at coefficient k, with the value it codes (0 for EOB, EOBn and ZRL); in a
    /// refinement, k of a symbol with a value is where that stands.
    virtual void ac(
        const ScanPlan& plan, int block, uint32_t mcu, int k, uint8_t symbol, int value
    ) = 0;
    /// The next bit of a coefficient, in a refinement: of one that is not 0, for AC coefficients.
    virtual void correction(const ScanPlan& plan, int block, uint32_t mcu, int k, bool bit) = 0;
};

/// How a field is spelled in bits.
enum class Spelling : uint8_t {
    kNumber,   // u(n), most significant bit first
    kHuffman,  // a code of the table in force
    kPadding,  // 1-bits to the end of the byte
};

class JpegCursor {
public:
    explicit JpegCursor(std::shared_ptr<const JpegGrammar> grammar);

    // The contract of grammar/cursor.hpp.
    Status push(uint8_t byte);
    bool accept(uint8_t byte);
    /// accept() for the contents of a table or of text, for a scan header or a marker, as far as
    /// they are here and in order and the grammar is the standard; returns how many bytes it took,
    /// often none.
    size_t accept_contents(const uint8_t* data, size_t n_bytes);
    ByteSet allowed() const;
    bool is_complete() const { return position_.at == Element::kEnd; }
    uint64_t bytes_to_complete() const;
    void complete(std::vector<uint8_t>& out, uint64_t limit) const;
    uint64_t offset() const { return position_.offset; }
    Annotation annotation() const;
    std::string describe() const;

    /// An upper bound of bytes_to_complete() after accepting at most `n_bytes` more bytes;
    /// UINT64_MAX where none is known (the header can still ask for a picture of any size).
    uint64_t ending_bound(uint64_t n_bytes) const;

    // The hooks of grammar/cursor_hooks.hpp. The counters are the DC predictors.
    class Walker;
    static constexpr size_t kCounters = kMaxComponents;
    static uint64_t unit_bytes(std::string_view token);
    std::optional<StateKey> local_key(TokenReach reach) const;
    std::array<int32_t, kCounters> counters() const;
    Walker walker() const;
    class FarWalker;
    std::optional<FarKey> far_key() const;
    FarWalker far_walker() const;
    std::optional<StateKey> ending_key() const;
    std::optional<uint8_t> forced_byte() const;

    // Fields, for the writer and the inspector. Between fields every bit belongs to the next one.
    Element element() const { return position_.at; }
    Spelling spelling() const;
    int field_bits() const;  // of kNumber
    ValueSet legal() const;  // of kNumber
    bool is_legal(uint32_t value) const;
    /// The reason why a value is not legal.
    Status why_not(uint32_t value) const;
    /// The Huffman table of the code that is due.
    const HuffmanTable& huffman_table() const;
    int coefficient_index() const { return position_.k; }
    /// Of the scan, from 0; the one that begins next where one has just ended.
    uint32_t mcu() const { return position_.mcu; }
    int block() const { return position_.block; }  // in the MCU
    int predictor() const;

    const Header& header() const { return *header_; }
    const JpegGrammar& grammar() const { return *grammar_; }
    bool in_scan() const { return position_.in_scan; }

    /// The cursor after the scan it is in, whatever the scan says; the offset is not kept up.
    JpegCursor at_scan_end() const;

    struct Bits {
        uint32_t value;
        int n;
    };
    /// The rest of the current field, as the shortest known ending spells it.
    Bits ending_field() const;
    /// Takes one bit; false and unchanged where no valid file goes on so. Stuffing, pinned bytes
    /// and the offset belong to whole bytes: accept() sees to them.
    bool take_bit(bool bit);
    /// The byte that the shortest known ending takes next.
    uint8_t ending_byte() const;
    bool is_stuffing_due() const { return position_.stuffing_due; }
    bool is_restart_due() const { return position_.restart_due; }

    void set_observer(ScanObserver* observer) { observer_ = observer; }

private:
    friend class FastScan;
    friend class LenientReader;

    struct Position {
        Element at = Element::kSoi;  // the field that comes next
        uint64_t offset = 0;
        uint32_t partial = 0;   // bits read of the current field
        uint8_t n_partial = 0;  // how many
        uint8_t bit = 0;        // 0..7: bits of the current byte taken
        bool stuffing_due = false;
        bool in_scan = false;      // between SOS and the marker after the last interval
        bool in_band = false;      // the scan codes a band of AC coefficients
        bool restart_due = false;  // RSTm comes next
        // Whether an open scan (B.2.5) may have ended behind the last row of MCUs, the other
        // reading beside the one that goes on.
        enum class RowEnd : uint8_t {
            kNone,
            kInByte,  // it ended in this byte
            kPadded,  // nothing but 1-bits came up to the byte's end
            kPrefix,  // and then FF, which may be that of a marker
        };
        RowEnd row_end = RowEnd::kNone;
        uint8_t row_end_bit = 0;
        uint32_t row_end_mcu = 0;
        uint8_t marker = 0;  // the segment
        uint16_t pinned_chunk = 0;
        uint32_t pinned_index = 0;
        // Inside a segment.
        uint16_t segment_left = 0;  // bytes after the current field
        uint16_t index = 0;         // component, coefficient, code length, symbol
        uint16_t n_codes = 0;       // DHT: codes given so far
        uint32_t next_code = 0;     // DHT: first free code of the current length
        uint8_t table_class = 0;
        uint8_t slot = 0;
        uint8_t precision_bits = 0;     // DQT
        uint8_t n_scan_components = 0;  // SOS
        // Inside a scan.
        uint32_t mcu = 0;
        uint32_t interval_left_mcus = 0;
        uint16_t node = 0;  // of the Huffman table
        uint8_t block = 0;  // in the MCU
        uint8_t k = 0;      // next coefficient
        uint8_t symbol = 0;
        uint8_t restart_number = 0;
        // Inside a scan that codes a band.
        uint8_t zeros_to_pass = 0;        // of the run of a symbol
        bool is_negative = false;         // the coefficient of the symbol
        bool keeps_history = true;        // no refinement can follow the bits of a FarWalker
        uint16_t end_of_band_run = 0;     // blocks, this one included
        uint32_t tail_blocks = 0;         // the last of the interval that need no end of band
        uint32_t history_index = 0;       // in the plan's history, of this block or a later one
        uint64_t known_coefficients = 0;  // of this block, before the scan; bit k
        uint64_t new_coefficients = 0;
        HistoryLog history_log;  // of the scan, up to this block
        Predictors predictors{};
        // A Walker's: predictors are differences from an unknown start, and have been between
        // these.
        bool predictors_are_relative = false;
        Predictors lowest{};
        Predictors highest{};

        /// At a byte boundary, before the first block of an MCU and its first bit.
        void leave_block() {
            bit = 0;
            node = 0;
            partial = 0;
            n_partial = 0;
            k = 0;
            block = 0;
            stuffing_due = false;
        }
        // A FarWalker's, in the block it began in: with a smaller lead() it goes the same way.
        bool notes_lead = false;
        uint8_t least_other_lead = kBlockSize;
    };

    /// What a segment has said before it ends.
    struct Segment {
        Frame frame;
        std::array<ScanComponent, kMaxComponents> scan_components;
        ScanParameters scan;
        std::array<uint8_t, 16> bits{};
        std::array<uint8_t, 256> values{};
    };

    // stream.cpp: what happens when a field takes a value.
    void take(uint32_t value);
    void take_marker(uint8_t code);
    void take_frame_field(uint32_t value);
    void take_scan_header_field(uint32_t value);
    void take_quantization_field(uint32_t value);
    void take_huffman_field(uint32_t value);
    void expect(Element element);
    void expect_marker();
    void end_huffman_table();
    void end_history();
    void begin_scan();
    // entropy_coded.cpp
    int take_code_bits(unsigned bits, int n_bits);
    void take_symbol(uint8_t symbol);
    void take_amplitude(uint32_t value);
    void note_other_lead(int lead);
    void begin_interval();
    void begin_block();
    void take_dc_bit(uint32_t bit);
    void end_block();
    void end_interval();
    template <class IsOpen>
    int take_code(unsigned bits, int n_bits, const IsOpen& is_open);
    // number_of_lines.cpp
    bool is_row_end() const;
    bool is_after_first_scan() const;
    bool only_end_follows() const;
    void note_row_end();
    void end_open_scan();
    bool accept_in_open_scan(uint8_t byte);
    bool accept_padding_of_row(uint8_t byte);
    uint8_t ending_byte_in_open_scan() const;
    ValueSet legal_lines() const;
    // progressive.cpp
    void begin_band_interval();
    void begin_band_block();
    void end_band_block();
    void skip_blocks(uint32_t n);
    uint32_t n_blocks_without_corrections();
    int band_left() const;
    bool can_leave_blocks(uint32_t n) const;
    BandTable::Way band_way() const;
    ValueSet legal_run_bits(int n) const;
    uint16_t legal_runs() const;
    bool is_legal_in_band(uint8_t symbol) const;
    void take_band_symbol(uint8_t symbol);
    void take_run_bits(uint32_t value);
    void take_band_amplitude(uint32_t bits);
    void pass_coefficients();
    void take_correction_bit(uint32_t bit);
    Status reject_band_symbol(uint8_t symbol) const;
    // header_fast.cpp
    size_t accept_segment_start(const uint8_t* data, size_t n_bytes);
    size_t take_scan_header(const uint8_t* data, size_t n_bytes);
    size_t take_quantization_table(const uint8_t* data, size_t n_bytes);
    size_t take_huffman_table(const uint8_t* data, size_t n_bytes);
    // legal.cpp: which values a field may take.
    ValueSet legal_start_bytes() const;
    ValueSet legal_markers() const;
    ValueSet legal_lengths() const;
    ValueSet legal_code_counts() const;
    ValueSet legal_text_bytes() const;
    bool is_portable_after_scan() const;
    ValueSet legal_component_identifiers() const;
    ValueSet legal_sampling(bool horizontal) const;
    ScanChoice scan_choice() const;
    ValueSet legal_scan_lengths() const;
    ValueSet legal_scan_field(bool portable) const;
    Status why_not_scan_field(uint32_t value, Status status) const;
    ValueSet legal_dc_bits() const;
    uint32_t smallest_table_bytes() const;
    bool is_scan_possible() const;
    bool is_component_possible(int component) const;
    Code reject_marker(uint32_t code) const;
    Status reject_bit(bool bit) const;
    // ending.cpp
    uint32_t preferred_value() const;
    uint32_t ending_value() const;
    uint8_t preferred_marker() const;
    uint8_t take_ending_byte();
    uint64_t skip_run();
    uint64_t bytes_from_marker() const;
    size_t bytes_left_of_chunk() const;
    uint64_t scan_ending_bytes() const;
    uint64_t sequential_scan_bytes() const;
    uint64_t band_scan_ending_bytes() const;
    uint64_t skip_band_scan();
    LaterScans later_scans() const;
    uint64_t band_ending_bound(uint64_t n_bytes) const;
    void add_bounds(LaterScans& later) const;
    uint64_t most_bytes_of_whole_scan() const;
    bool is_last_known() const;
    bool is_at_band_block_start() const;
    bool skip_band_steps(class EndingBits& bits);
    void skip_run_of_blocks(class EndingBits& bits);
    size_t cheapest_leaf() const;
    size_t cheapest_band_leaf() const;
    uint32_t preferred_run_bits() const;
    uint64_t bytes_after_scan() const;
    // shared_masks.cpp
    void add_place(class Packer& low, class Packer& high, uint32_t k) const;
    uint32_t band_reach() const;
    uint32_t lead() const;
    std::optional<StateKey> header_ending_key() const;
    std::optional<StateKey> scan_ending_key() const;
    std::optional<StateKey> band_ending_key() const;

    bool is_in_open_scan() const {
        return position_.in_scan && !position_.restart_due && plan().is_open();
    }
    const ScanPlan& plan() const { return *header_->scan; }
    int take_bits(unsigned bits, int n_bits);
    void take_legal(unsigned bits, int n_bits);
    bool accept_ordinary(uint8_t byte);
    bool take_in_parts(uint8_t byte);
    void end_byte(uint8_t byte, bool was_in_scan, bool was_restart_due);

    std::shared_ptr<const JpegGrammar> grammar_;
    std::shared_ptr<const Header> header_;
    Position position_;
    Segment segment_;
    ScanObserver* observer_ = nullptr;
};

/// A cursor that does not know the DC predictors it started with, and notes for which it could have
/// come so far.
class JpegCursor::Walker {
public:
    explicit Walker(const JpegCursor& cursor);
    bool accept(uint8_t byte);
    std::array<CounterRange, kCounters> ranges() const;

private:
    friend class FarWalker;

    JpegCursor cursor_;
};

/// A walker in an interval that never ends, of the states that differ in lead() only; counts the
/// MCUs it ends, and those that an end of band has begun to.
class JpegCursor::FarWalker {
public:
    explicit FarWalker(const JpegCursor& cursor);
    bool accept(uint8_t byte);
    std::array<CounterRange, kCounters> ranges() const { return walker_.ranges(); }
    WalkScope scope() const;

private:
    uint32_t n_ended() const;

    Walker walker_;
    uint32_t first_mcu_;
    uint32_t n_leads_;
};

static_assert(GrammarCursor<JpegCursor>);
static_assert(SharesFarMasks<JpegCursor>);
static_assert(BoundsEndings<JpegCursor>);
static_assert(NamesEndings<JpegCursor>);

}  // namespace pycodec_lm::jpeg
